//! `label` and `annotate`: set and remove keys of metadata.

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_api::patch::merge_patch;
use serde_json::{Map, Value, json};

use super::get;
use crate::{
    discovery::ApiKind,
    dry_run::{DryRun, DryRunArgs},
    environment::ExitStatus,
    manifest::{self, FileArgs},
    object,
    print::output::{OutputArgs, print_done},
    resource_args::SelectArgs,
    session::Session,
    tally::Tally,
};

/// Set labels (key=value) or remove them (key-)
///
/// Examples:
///   label is/myimage team=shop tier-
///   label secrets --all team=shop --overwrite
///   label pods -l app=web --list
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct LabelArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

/// Set annotations (key=value) or remove them (key-)
///
/// Examples:
///   annotate is/myimage description='what the shop runs'
///   annotate is/myimage description-
///   annotate is/myimage --list
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct AnnotateArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args, Debug)]
struct ChangeArgs {
    /// TYPE NAME… key=value… key-…
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    select: SelectArgs,
    /// Show what there is
    #[arg(long)]
    list: bool,
    /// Change the documents (-f) alone and print them: the server is not asked
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    dry: DryRunArgs,
    /// Name to record as the owner of the fields
    #[arg(long, value_name = "NAME")]
    field_manager: Option<String>,
    /// Values that exist may be replaced
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    overwrite: bool,
    /// Only if the object has this version
    #[arg(long, value_name = "VERSION")]
    resource_version: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run_label(args: LabelArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    change("labels", args.change, session).await
}

pub(crate) async fn run_annotate(args: AnnotateArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    change("annotations", args.change, session).await
}

async fn change(field: &str, args: ChangeArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let is_change = |word: &String| {
        word.contains('=')
            || (word.ends_with('-') && !word.contains('/'))
            || word.rsplit_once('/').is_some_and(|(_, last)| last.ends_with('-'))
    };
    let (changes, words): (Vec<String>, Vec<String>) = args.words.iter().cloned().partition(is_change);
    if changes.is_empty() && !args.list {
        bail!("at least one {} update is required", field.trim_end_matches('s'));
    }
    if args.local {
        let change = |document: Value| -> anyhow::Result<Value> {
            let (patch, _) = make_patch(field, &changes, &document, &args)?;
            Ok(match patch {
                Some(patch) => merge_patch(&document, &patch),
                None => document,
            })
        };
        return args.files.print_changed(&args.output, change, session).await;
    }
    let mut tally = Tally::default();
    for (kind, current) in find(&words, &args, session).await? {
        let changed = change_one(field, &changes, (&kind, current), &args, session).await;
        tally.note(changed);
    }
    tally.finish(session)
}

/// The objects that words, flags and documents mean, as they are now.
async fn find(
    words: &[String],
    args: &ChangeArgs,
    session: &mut Session,
) -> anyhow::Result<Vec<(ApiKind, Value)>> {
    if args.files.is_empty() {
        return args.select.objects(words, session).await;
    }
    let discovery = session.discovery().await?;
    let (client, own) = (session.client()?, session.namespace()?);
    let mut found = Vec::new();
    for document in args.files.read(session).await? {
        let kind = discovery.of_document(&document)?.clone();
        let namespace = object::namespace(&document).unwrap_or(&own);
        let current = get::read(&client, &kind, namespace, manifest::name_of(&document)?).await?;
        found.push((kind, current));
    }
    Ok(found)
}

async fn change_one(
    field: &str,
    changes: &[String],
    (kind, current): (&ApiKind, Value),
    args: &ChangeArgs,
    session: &mut Session,
) -> anyhow::Result<()> {
    if args.list {
        for (key, value) in object::string_map(&current, &format!("metadata.{field}")) {
            session.say(&format!("{key}={value}"))?;
        }
        if changes.is_empty() {
            return Ok(());
        }
    }
    let (patch, done) = make_patch(field, changes, &current, args)?;
    let dry_run = args.dry.dry_run;
    let after = match patch {
        None => current,
        Some(patch) if dry_run == DryRun::Client => merge_patch(&current, &patch),
        Some(patch) => {
            let path = kind.resource().item(object::namespace(&current), object::name(&current), None);
            let verb = if field == "labels" { "kubectl-label" } else { "kubectl-annotate" };
            let query = dry_run.query_of(args.field_manager.as_deref().unwrap_or(verb));
            let content_type = Some("application/merge-patch+json");
            let client = session.client()?;
            client.request(Method::PATCH, &format!("{path}?{query}"), content_type, Some(&patch)).await?
        }
    };
    print_done(session, &args.output, kind, &after, &dry_run.done(done))
}

/// The patch (none if nothing changes) and what to say about it.
fn make_patch(
    field: &str,
    changes: &[String],
    current: &Value,
    args: &ChangeArgs,
) -> anyhow::Result<(Option<Value>, &'static str)> {
    let removes = |key: &str| changes.iter().any(|change| change.strip_suffix('-') == Some(key));
    if changes.iter().filter_map(|change| change.split_once('=')).any(|(key, _)| removes(key)) {
        bail!("can not both modify and remove one of the {field} in the same command");
    }
    let known = object::string_map(current, &format!("metadata.{field}"));
    let mut entries = Map::new();
    let mut only_removals = true;
    for change in changes {
        if let Some((key, value)) = change.split_once('=') {
            only_removals = false;
            match known.iter().find(|(known, _)| *known == key) {
                Some((_, old)) if *old == value => continue,
                Some((_, old)) if !args.overwrite => {
                    bail!("'{key}' already has a value ({old}), and --overwrite is false");
                }
                _ => {}
            }
            entries.insert(key.to_owned(), Value::from(value));
        } else {
            let key = change.strip_suffix('-').unwrap_or(change);
            if known.iter().any(|(known, _)| *known == key) {
                entries.insert(key.to_owned(), Value::Null);
            }
        }
    }
    let done = match (field, entries.is_empty(), only_removals) {
        ("labels", true, _) => "not labeled",
        ("labels", false, true) => "unlabeled",
        ("labels", false, false) => "labeled",
        (_, true, _) => "not annotated",
        _ => "annotated",
    };
    if entries.is_empty() {
        return Ok((None, done));
    }
    let mut patch = json!({"metadata": {field: entries}});
    if let Some(version) = &args.resource_version {
        object::set_text(&mut patch, "metadata.resourceVersion", version);
    }
    Ok((Some(patch), done))
}
