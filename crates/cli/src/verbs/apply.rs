//! `apply`: make objects be as documents say.
//!
//! Client-side: the document that was applied last is kept in an annotation; what it had and the new one lacks
//! is removed, what others set is left alone. With `--server-side` the server does it.

use clap::Args;
use http::Method;
use pierhead_client::{Client, ClientError};
use serde_json::{Map, Value};

use super::create::{CreateOptions, post};
use crate::{
    discovery::ApiKind,
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
        anyhow::bail!("must specify one of -f and -k");
    }
    let options = args.options.clone().managed_by(if args.server_side { "kubectl" } else { MANAGER });
    for document in args.files.read(session)? {
        let mut document = document;
        let discovery = session.discovery().await?;
        let kind = discovery.of_document(&document)?.clone();
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
        print_done(session, &options.output, &kind, &stored, &options.done(done))?;
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
    loop {
        attempts += 1;
        let current = match client.request(Method::GET, &path, None, None).await {
            Ok(current) => current,
            Err(error) if error.is_not_found() => {
                if options.is_dry_run_client() {
                    return Ok((document, "created"));
                }
                return post(client, kind, namespace, &document, &options.query())
                    .await
                    .map(|stored| (stored, "created"));
            }
            Err(error) => return Err(error),
        };
        let before = last_applied(&current);
        let patch = three_way(before.as_ref(), &document, &current);
        if patch.as_object().is_some_and(Map::is_empty) {
            return Ok((current, "unchanged"));
        }
        if options.is_dry_run_client() {
            return Ok((document, "configured"));
        }
        let patch_path = format!("{path}?{}", options.query());
        let content_type = Some("application/merge-patch+json");
        match client.request(Method::PATCH, &patch_path, content_type, Some(&patch)).await {
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

/// The merge patch that leads from `current` to what `wanted` says, removing what only `before` said.
fn three_way(before: Option<&Value>, wanted: &Value, current: &Value) -> Value {
    let mut patch = changes(wanted, current);
    if let Some(before) = before {
        add_removals(&mut patch, before, wanted, current);
    }
    patch
}

fn changes(wanted: &Value, current: &Value) -> Value {
    let nothing = Map::new();
    let wanted = wanted.as_object().unwrap_or(&nothing);
    let mut patch = Map::new();
    for (key, value) in wanted {
        match (value, current.get(key)) {
            (Value::Null, None) => {}
            (Value::Object(_), Some(known @ Value::Object(_))) => {
                let inner = changes(value, known);
                if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
                    patch.insert(key.clone(), inner);
                }
            }
            (value, Some(known)) if value == known => {}
            (value, _) => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}

fn add_removals(patch: &mut Value, before: &Value, wanted: &Value, current: &Value) {
    let (Some(before), Some(current)) = (before.as_object(), current.as_object()) else { return };
    for (key, old) in before {
        let Some(known) = current.get(key) else { continue };
        match wanted.get(key) {
            None => {
                if let Value::Object(patch) = patch {
                    patch.insert(key.clone(), Value::Null);
                }
            }
            Some(new @ Value::Object(_)) if old.is_object() => {
                let Value::Object(fields) = patch else { continue };
                let mut inner = fields.remove(key).unwrap_or_else(|| Value::Object(Map::new()));
                add_removals(&mut inner, old, new, known);
                if inner.as_object().is_none_or(|inner| !inner.is_empty()) {
                    fields.insert(key.clone(), inner);
                }
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::three_way;

    #[track_caller]
    fn check(before: Value, wanted: Value, current: Value, expected: Value) {
        assert_eq!(three_way(Some(&before), &wanted, &current), expected);
    }

    #[test]
    fn own_fields_go_others_stay() {
        check(
            json!({"spec": {"a": 1, "b": 1}, "labels": {"x": "1"}}),
            json!({"spec": {"a": 2}, "labels": {"y": "1"}}),
            json!({"spec": {"a": 1, "b": 1, "server": true}, "labels": {"x": "1", "theirs": "1"}}),
            json!({"spec": {"a": 2, "b": null}, "labels": {"y": "1", "x": null}}),
        );
        check(json!({"a": {"b": 1}}), json!({"a": {"b": 1}}), json!({"a": {"b": 1, "c": 2}}), json!({}));
        check(json!({"a": 1}), json!({}), json!({}), json!({}));
        check(json!({}), json!({"list": [1, 2]}), json!({"list": [1]}), json!({"list": [1, 2]}));
    }
}
