//! `set serviceaccount`: as whom pods run.

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::{SetOptions, pod_spec_path};
use crate::{environment::ExitStatus, object, session::Session};

/// Change as which service account pods run
#[derive(Args, Debug)]
pub(super) struct ServiceAccountArgs {
    /// TYPE/NAME… ACCOUNT
    #[arg(value_name = "WORD", required = true)]
    words: Vec<String>,
    #[command(flatten)]
    options: SetOptions,
}

pub(super) async fn run(args: ServiceAccountArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let Some((account, words)) = args.words.split_last().filter(|(_, words)| !words.is_empty()) else {
        bail!("serviceaccount is required");
    };
    let account = account.rsplit('/').next().unwrap_or(account);
    let objects = args.options.objects(words, session).await?;
    args.options
        .change(objects, "serviceaccount updated", session, |object| {
            let path = pod_spec_path(object);
            let spec = object::object_mut(object, path);
            spec.insert("serviceAccountName".to_owned(), Value::from(account));
            // The older name of the same field would win otherwise.
            if spec.contains_key("serviceAccount") {
                spec.insert("serviceAccount".to_owned(), Value::from(account));
            }
            Ok(())
        })
        .await
}
