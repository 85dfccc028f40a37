//! `patch`: change a part of an object.

use anyhow::{Context as _, bail};
use clap::Args;
use http::Method;
use pierhead_client::yaml;

use super::get;
use crate::{
    environment::ExitStatus,
    object,
    print::output::{OutputArgs, print_done},
    resource_args,
    session::Session,
};

/// Change a part of an object
///
/// Examples:
///   patch is/myimage -p '{"spec":{"lookupPolicy":{"local":true}}}'
///   patch sa pusher --type=json -p '[{"op":"remove","path":"/secrets/0"}]'
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct PatchArgs {
    /// TYPE NAME | TYPE/NAME
    #[arg(value_name = "TYPE", required = true)]
    words: Vec<String>,
    /// The patch, JSON or YAML
    #[arg(short = 'p', long, value_name = "PATCH", allow_hyphen_values = true)]
    patch: Option<String>,
    /// File with the patch
    #[arg(long, value_name = "FILE")]
    patch_file: Option<String>,
    /// json, merge or strategic
    #[arg(long = "type", default_value = "strategic", value_name = "TYPE")]
    patch_type: String,
    /// Change this subresource
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: PatchArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let text = match (&args.patch, &args.patch_file) {
        (Some(patch), None) => patch.clone(),
        (None, Some(file)) => String::from_utf8(session.read_file(file)?).context("the patch is not text")?,
        _ => bail!("must specify --patch or --patch-file containing the contents of the patch"),
    };
    let content_type = match args.patch_type.as_str() {
        "json" => "application/json-patch+json",
        "merge" => "application/merge-patch+json",
        "strategic" => "application/strategic-merge-patch+json",
        other => bail!("--type must be one of [json merge strategic], not {other:?}"),
    };
    let documents = yaml::parse_documents(&text).with_context(|| format!("unable to parse {text:?}"))?;
    let [patch] = documents.as_slice() else { bail!("unable to parse {text:?}: expected one document") };
    let discovery = session.discovery().await?;
    let (kind, name) = resource_args::parse_one(&discovery, &args.words)?;
    let namespace = session.namespace()?;
    let client = session.client()?;
    let before = get::read(&client, &kind, &namespace, &name).await?;
    let path = kind.resource().item(Some(&namespace), &name, args.subresource.as_deref());
    let query = "fieldManager=kubectl-patch";
    let after =
        client.request(Method::PATCH, &format!("{path}?{query}"), Some(content_type), Some(patch)).await?;
    let version = |value| object::text(value, "metadata.resourceVersion").to_owned();
    let done = if version(&before) == version(&after) { "patched (no change)" } else { "patched" };
    print_done(session, &args.output, &kind, &after, done)?;
    Ok(ExitStatus::SUCCESS)
}
