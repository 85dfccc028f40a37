//! `apply`: make objects be as documents say.
//!
//! Client-side: the document that was applied last is kept in an annotation; what it had and the new one lacks
//! is removed, what others set is left alone; items of lists with a key are merged one by one. With `--server-side` the
//! server does it. `prune` and what concerns only the annotation have files of their own.

mod last_applied;
mod prune;
mod three_way;

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_api::{patch::PatchSchema, selector::LabelSelector};
use pierhead_client::Client;
use serde_json::{Map, Value};

use super::{
    create::{CreateOptions, post},
    replace::{Patience, anew},
};
use crate::{
    discovery::ApiKind,
    dry_run::DryRun,
    environment::ExitStatus,
    manifest::{self, FileArgs},
    object,
    print::output::print_done,
    session::Session,
    tally::Tally,
};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const MANAGER: &str = "kubectl-client-side-apply";

/// Create objects, or change them, so that they are as documents say
///
/// Examples:
///   apply -f app.yaml
///   apply -f app/ -R --server-side --field-manager=pipeline
///   apply -f app.yaml --prune -l app=web
///   apply view-last-applied is/myimage
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub(crate) struct ApplyArgs {
    #[command(subcommand)]
    verb: Option<last_applied::LastAppliedVerb>,
    #[command(flatten)]
    files: FileArgs,
    /// Only documents with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Documents without a selector count for --prune
    #[arg(long)]
    all: bool,
    /// Delete what was applied before and is in the documents no more (with -l or --all)
    #[arg(long, conflicts_with = "server_side")]
    prune: bool,
    /// Kinds to prune, as GROUP/VERSION/KIND; core/v1/Secret for example
    #[arg(long, visible_alias = "prune-whitelist", requires = "prune", value_name = "KIND")]
    prune_allowlist: Vec<String>,
    /// Delete and create anew what cannot be changed
    #[arg(long, conflicts_with = "server_side")]
    force: bool,
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
    if let Some(verb) = args.verb {
        return last_applied::run(verb, session).await;
    }
    if args.files.is_empty() {
        bail!("must specify -f");
    }
    if args.prune && args.selector.is_none() && !args.all {
        bail!(
            "all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all flag. If you did not mean to prune all resources, specify a label selector"
        );
    }
    if args.server_side && args.options.dry_run() == DryRun::Client {
        bail!("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
    }
    if args.force && args.options.dry_run() == DryRun::Server {
        bail!("--dry-run=server cannot be used with --force");
    }
    let options = args.options.clone().managed_by(if args.server_side { "kubectl" } else { MANAGER });
    let selector: LabelSelector = args.selector.as_deref().unwrap_or_default().parse()?;
    let mut documents = args.files.read(session).await?;
    documents.retain(|document| manifest::is_selected(&selector, document));
    if documents.is_empty() {
        bail!("no objects passed to apply");
    }
    let mut tally = Tally::default();
    let mut applied = Vec::new();
    for document in documents {
        let done = apply_one(document, &args, &options, session).await;
        applied.extend(tally.note(done));
    }
    // With a failure it is not known what belongs to the set.
    if args.prune && !tally.has_failures() {
        let set = prune::Set {
            applied: &applied,
            selector: args.selector.as_deref(),
            kinds: &args.prune_allowlist,
        };
        prune::prune(&set, &options, session).await?;
    }
    tally.finish(session)
}

/// An object that documents named, with its uid and namespace.
struct Applied {
    uid: String,
    namespace: Option<String>,
}

async fn apply_one(
    mut document: Value,
    args: &ApplyArgs,
    options: &CreateOptions,
    session: &mut Session,
) -> anyhow::Result<Applied> {
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
        let way = Way { client: &client, kind: &kind, namespace: namespace.as_deref(), options };
        apply(&way, document, args, session).await?
    };
    print_done(session, &options.output, &kind, &stored, &options.dry_run().done(done))?;
    Ok(Applied { uid: object::text(&stored, "metadata.uid").to_owned(), namespace })
}

/// Where a document goes.
struct Way<'w> {
    client: &'w Client,
    kind: &'w ApiKind,
    namespace: Option<&'w str>,
    options: &'w CreateOptions,
}

async fn apply(
    way: &Way<'_>,
    mut document: Value,
    args: &ApplyArgs,
    session: &mut Session,
) -> anyhow::Result<(Value, &'static str)> {
    let Way { client, kind, namespace, options } = way;
    let name = object::name(&document).to_owned();
    let path = kind.resource().item(*namespace, &name, None);
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
                let stored = post(client, kind, *namespace, &document, &options.query()).await?;
                return Ok((stored, "created"));
            }
            Err(error) => return Err(error.into()),
        };
        let before = last_applied(&current);
        if before.is_none() && attempts == 1 {
            warn_about_history(kind, &name, session)?;
        }
        let patch = three_way::patch(before.as_ref(), &document, &current, schema.as_ref());
        if patch.as_object().is_some_and(Map::is_empty) {
            return Ok((current, "unchanged"));
        }
        if options.dry_run() == DryRun::Client {
            // By its uid --prune knows what was applied.
            object::set_text(&mut document, "metadata.uid", object::text(&current, "metadata.uid"));
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
            Err(error) if args.force && (error.is_conflict() || error.is_invalid()) => {
                return Ok((renew(way, document, current).await?, "configured"));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Deletes an object and creates it as the document says; what was there must not be lost with what cannot be made.
async fn renew(way: &Way<'_>, document: Value, mut old: Value) -> anyhow::Result<Value> {
    let Way { client, kind, namespace, options } = way;
    let query = options.query();
    let path = kind.resource().item(*namespace, object::name(&document), None);
    let refused = match anew(client, kind, *namespace, document, (&query, Patience::NONE)).await {
        Ok(stored) => return Ok(stored),
        Err(refused) => refused,
    };
    let there = client.request(Method::GET, &path, None, None).await;
    if there.is_err_and(|error| error.is_not_found()) {
        let metadata = object::object_mut(&mut old, "metadata");
        for field in ["resourceVersion", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
            metadata.remove(field);
        }
        if let Err(error) = post(client, kind, *namespace, &old, &query).await {
            let name = object::name(&old);
            return Err(refused.context(format!("{name:?} is gone and could not be put back: {error}")));
        }
    }
    Err(refused)
}

/// Objects that were not made by `apply` cannot lose what documents no longer say.
fn warn_about_history(kind: &ApiKind, name: &str, session: &mut Session) -> anyhow::Result<()> {
    session.remark(&format!(
        "Warning: resource {}/{name} is missing the {LAST_APPLIED} annotation which is required by apply. apply \
         should only be used on resources created declaratively by either create --save-config or apply. The missing \
         annotation will be patched automatically.",
        kind.plural
    ))?;
    Ok(())
}

fn last_applied(current: &Value) -> Option<Value> {
    serde_json::from_str(remembered(current)?).ok()
}

/// The document that was applied last, as text.
fn remembered(current: &Value) -> Option<&str> {
    object::at(current, "metadata.annotations")?.get(LAST_APPLIED)?.as_str()
}

/// Notes the document within itself.
pub(super) fn remember(document: &mut Value) {
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

/// The patches that make an object be as a document says, the best first.
pub(super) fn patches(kind: &ApiKind, document: &Value, current: &Value) -> Vec<(&'static str, Value)> {
    let before = last_applied(current);
    let mut patches = Vec::new();
    if let Some(schema) = schema_of(kind) {
        let patch = three_way::patch(before.as_ref(), document, current, Some(&schema));
        patches.push(("application/strategic-merge-patch+json", patch));
    }
    let patch = three_way::patch(before.as_ref(), document, current, None);
    patches.push(("application/merge-patch+json", patch));
    patches
}

/// Takes the note of what was applied last away.
pub(super) fn forget(object: &mut Value) {
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
}
