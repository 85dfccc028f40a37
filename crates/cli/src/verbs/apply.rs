//! `apply`: make objects be as documents say.
//!
//! Client-side: the document that was applied last is kept in an annotation; what it had and the new one lacks
//! is removed, what others set is left alone; items of lists with a key are merged one by one. With `--server-side` the server does it.

mod three_way;

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_api::patch::PatchSchema;
use pierhead_client::{Client, ClientError};
use serde_json::{Map, Value};

use super::create::{CreateOptions, post};
use crate::{
    discovery::ApiKind,
    dry_run::DryRun,
    environment::ExitStatus,
    manifest::{self, FileArgs},
    object,
    print::output::print_done,
    session::Session,
};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const MANAGER: &str = "kubectl-client-side-apply";

/// Create objects, or change them, so that they are as documents say
#[derive(Args, Debug)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Let the server merge
    #[arg(long)]
    server_side: bool,
    /// Take over fields that others own (with --server-side)
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    options: CreateOptions,
}

pub(crate) async fn run(args: ApplyArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if args.files.is_empty() {
        bail!("must specify one of -f and -k");
    }
    if args.server_side && args.options.dry_run() == DryRun::Client {
        bail!("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
    }
    let options = args.options.clone().managed_by(if args.server_side { "kubectl" } else { MANAGER });
    for document in args.files.read(session)? {
        let mut document = document;
        let discovery = session.discovery().await?;
        let kind = discovery.of_document(&document)?.clone();
        manifest::name_of(&document)?;
        let namespace = manifest::prepare(session, &kind, &mut document)?;
        let client = session.client()?;
        let (stored, done) = if args.server_side {
            let path = format!(
                "{}?{}&force={}",
                kind.resource().item(namespace.as_deref(), object::name(&document), None),
                options.query(),
                args.force_conflicts
            );
            let content_type = Some("application/apply-patch+yaml");
            (client.request(Method::PATCH, &path, content_type, Some(&document)).await?, "serverside-applied")
        } else {
            apply(&client, &kind, namespace.as_deref(), document, &options).await?
        };
        print_done(session, &options.output, &kind, &stored, &options.dry_run().done(done))?;
    }
    Ok(ExitStatus::SUCCESS)
}

async fn apply(
    client: &Client,
    kind: &ApiKind,
    namespace: Option<&str>,
    mut document: Value,
    options: &CreateOptions,
) -> Result<(Value, &'static str), ClientError> {
    let name = object::name(&document).to_owned();
    let path = kind.resource().item(namespace, &name, None);
    // Only the latest attempt sees the state that its patch was computed for.
    let mut attempts = 0;
    remember(&mut document);
    let mut schema = schema_of(kind);
    loop {
        attempts += 1;
        let current = match client.request(Method::GET, &path, None, None).await {
            Ok(current) => current,
            Err(error) if error.is_not_found() => {
                if options.dry_run() == DryRun::Client {
                    return Ok((document, "created"));
                }
                return post(client, kind, namespace, &document, &options.query())
                    .await
                    .map(|stored| (stored, "created"));
            }
            Err(error) => return Err(error),
        };
        let before = last_applied(&current);
        let patch = three_way::patch(before.as_ref(), &document, &current, schema.as_ref());
        if patch.as_object().is_some_and(Map::is_empty) {
            return Ok((current, "unchanged"));
        }
        if options.dry_run() == DryRun::Client {
            return Ok((document, "configured"));
        }
        let patch_path = format!("{path}?{}", options.query());
        let content_type = match schema {
            Some(_) => "application/strategic-merge-patch+json",
            None => "application/merge-patch+json",
        };
        match client.request(Method::PATCH, &patch_path, Some(content_type), Some(&patch)).await {
            // Servers that serve such kinds as custom ones know no strategic patches.
            Err(error) if error.code() == Some(415) && schema.is_some() => schema = None,
            Ok(stored) => return Ok((stored, "configured")),
            Err(error) if error.is_conflict() && attempts < 5 => {}
            Err(error) => return Err(error),
        }
    }
}

fn last_applied(current: &Value) -> Option<Value> {
    let annotations = object::at(current, "metadata.annotations")?;
    serde_json::from_str(annotations.get(LAST_APPLIED)?.as_str()?).ok()
}

/// Notes the document within itself.
fn remember(document: &mut Value) {
    let annotations = object::object_mut(document, "metadata.annotations");
    annotations.remove(LAST_APPLIED);
    let text = format!("{document}\n");
    object::object_mut(document, "metadata.annotations").insert(LAST_APPLIED.to_owned(), Value::String(text));
}

/// Whether the server knows how the lists of a kind are merged, and we do as well.
fn schema_of(kind: &ApiKind) -> Option<PatchSchema> {
    let is_known = kind.group.is_empty()
        || matches!(kind.group.as_str(), "apps.openshift.io" | "image.openshift.io" | "project.openshift.io");
    is_known.then(|| PatchSchema::of(&kind.group, &kind.kind))
}
