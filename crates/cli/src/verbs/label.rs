//! `label` and `annotate`: set and remove keys of metadata.

use anyhow::bail;
use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use crate::{
    environment::ExitStatus,
    object,
    print::output::{OutputArgs, print_done},
    resource_args::SelectArgs,
    session::Session,
};

/// Set labels (key=value) or remove them (key-)
#[derive(Args, Debug)]
pub(crate) struct LabelArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

/// Set annotations (key=value) or remove them (key-)
#[derive(Args, Debug)]
pub(crate) struct AnnotateArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args, Debug)]
struct ChangeArgs {
    /// TYPE NAME… key=value… key-…
    #[arg(value_name = "WORD", required = true)]
    words: Vec<String>,
    #[command(flatten)]
    select: SelectArgs,
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
    if changes.is_empty() {
        bail!("at least one {} update is required", field.trim_end_matches('s'));
    }
    let client = session.client()?;
    let found = args.select.objects(&words, session).await?;
    for (kind, current) in found {
        let (patch, done) = make_patch(field, &changes, &current, &args)?;
        let path = kind.resource().item(object::namespace(&current), object::name(&current), None);
        let path =
            format!("{path}?fieldManager=kubectl-{}", if field == "labels" { "label" } else { "annotate" });
        let after = match patch {
            Some(patch) => {
                client
                    .request(Method::PATCH, &path, Some("application/merge-patch+json"), Some(&patch))
                    .await?
            }
            None => current,
        };
        print_done(session, &args.output, &kind, &after, done)?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// The patch (none if nothing changes) and what to say about it.
fn make_patch(
    field: &str,
    changes: &[String],
    current: &Value,
    args: &ChangeArgs,
) -> anyhow::Result<(Option<Value>, &'static str)> {
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
