//! `patch`: change a part of an object.

use anyhow::{Context as _, bail};
use clap::Args;
use http::Method;
use pierhead_api::patch::{PatchSchema, json_patch, merge_patch, strategic_merge_patch};
use pierhead_client::{Client, yaml};
use serde_json::Value;

use super::get;
use crate::{
    discovery::ApiKind,
    dry_run::{DryRun, DryRunArgs},
    environment::ExitStatus,
    manifest::{self, FileArgs},
    object,
    print::output::{OutputArgs, print_done},
    resource_args,
    session::Session,
    tally::Tally,
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
    #[arg(value_name = "TYPE")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// The patch, JSON or YAML
    #[arg(short = 'p', long, value_name = "PATCH", allow_hyphen_values = true)]
    patch: Option<String>,
    /// File with the patch
    #[arg(long, value_name = "FILE")]
    patch_file: Option<String>,
    /// json, merge or strategic
    #[arg(long = "type", default_value = "strategic", value_parser = ["json", "merge", "strategic"], value_name = "TYPE")]
    patch_type: String,
    /// Print what the documents (-f) would be with it: the server is not asked
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    dry: DryRunArgs,
    /// Name to record as the owner of the fields
    #[arg(long, default_value = "kubectl-patch", value_name = "NAME")]
    field_manager: String,
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
        _ => "application/strategic-merge-patch+json",
    };
    let documents = yaml::parse_documents(&text).with_context(|| format!("unable to parse {text:?}"))?;
    let [patch] = documents.as_slice() else { bail!("unable to parse {text:?}: expected one document") };
    if args.local {
        let change = |document: Value| {
            let group = object::text(&document, "apiVersion").split_once('/').map_or("", |(group, _)| group);
            let schema = PatchSchema::of(group, object::text(&document, "kind"));
            patch_with(&document, &args.patch_type, patch, &schema)
        };
        return args.files.print_changed(&args.output, change, session).await;
    }
    let mut tally = Tally::default();
    for (kind, namespace, name) in targets(&args, session).await? {
        let client = session.client()?;
        let patched = patch_one(&client, (&kind, &namespace, &name), content_type, patch, &args).await;
        if let Some((after, done)) = tally.note(patched) {
            print_done(session, &args.output, &kind, &after, &args.dry.dry_run.done(done))?;
        }
    }
    tally.finish(session)
}

async fn targets(args: &PatchArgs, session: &mut Session) -> anyhow::Result<Vec<(ApiKind, String, String)>> {
    let discovery = session.discovery().await?;
    let own = session.namespace()?;
    if args.files.is_empty() {
        let (kind, name) = resource_args::parse_one(&discovery, &args.words)?;
        return Ok(vec![(kind, own, name)]);
    }
    let mut found = Vec::new();
    for document in args.files.read(session).await? {
        let kind = discovery.of_document(&document)?.clone();
        let namespace = object::namespace(&document).unwrap_or(&own).to_owned();
        found.push((kind, namespace, manifest::name_of(&document)?.to_owned()));
    }
    Ok(found)
}

/// The object afterwards, and what to say about it.
async fn patch_one(
    client: &Client,
    (kind, namespace, name): (&ApiKind, &str, &str),
    content_type: &str,
    patch: &Value,
    args: &PatchArgs,
) -> anyhow::Result<(Value, &'static str)> {
    let before = get::read(client, kind, namespace, name).await?;
    let dry_run = args.dry.dry_run;
    if dry_run == DryRun::Client {
        let after = locally(&before, kind, &args.patch_type, patch)?;
        let done = if after == before { "patched (no change)" } else { "patched" };
        return Ok((after, done));
    }
    let path = kind.resource().item(kind.scope(namespace), name, args.subresource.as_deref());
    let path = format!("{path}?{}", dry_run.query_of(&args.field_manager));
    let after = client.request(Method::PATCH, &path, Some(content_type), Some(patch)).await?;
    let version = |value| object::text(value, "metadata.resourceVersion").to_owned();
    let is_same = match dry_run {
        DryRun::None => version(&before) == version(&after),
        _ => before == after,
    };
    Ok((after, if is_same { "patched (no change)" } else { "patched" }))
}

fn locally(before: &Value, kind: &ApiKind, patch_type: &str, patch: &Value) -> anyhow::Result<Value> {
    patch_with(before, patch_type, patch, &PatchSchema::of(&kind.group, &kind.kind))
}

fn patch_with(
    before: &Value,
    patch_type: &str,
    patch: &Value,
    schema: &PatchSchema,
) -> anyhow::Result<Value> {
    Ok(match patch_type {
        "json" => json_patch(before, patch)?,
        "merge" => merge_patch(before, patch),
        _ => strategic_merge_patch(before, patch, schema)?,
    })
}
