//! `create imagestream NAME`.

use clap::Args;
use serde_json::{Value, json};

use super::CreateOptions;

/// Create an image stream, which images can be pushed to
#[derive(Args, Debug)]
pub(crate) struct ImageStreamArgs {
    /// Name of the stream
    name: String,
    /// Names of its tags resolve in image fields of the project's pods
    #[arg(long)]
    lookup_local: bool,
    #[command(flatten)]
    options: CreateOptions,
}

pub(super) fn document(args: ImageStreamArgs) -> (Value, CreateOptions) {
    let document = json!({
        "apiVersion": "image.openshift.io/v1",
        "kind": "ImageStream",
        "metadata": {"name": args.name},
        "spec": {"lookupPolicy": {"local": args.lookup_local}},
    });
    (document, args.options)
}
