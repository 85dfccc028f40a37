//! DELETE: of one object, or of all that match.

use http::StatusCode;
use http::request::Parts as Head;
use pierhead_api::meta::{DeleteOptions, Status};

use crate::call::{Answer, Call, ListAnswer};
use crate::collection::{Collection, Deleted};
use crate::error::ApiError;
use crate::http::{body, list};
use crate::metadata;
use crate::path::Prefix;
use crate::query::{DryRun, ListOptions, WriteOptions};
use crate::storage::{Document, Key};

/// `DELETE …/<resource>/<name>`: a Status, or the object while something holds it.
pub(super) async fn one(call: &Call, head: &Head, body: &[u8]) -> Result<Answer, ApiError> {
    let options = options(call, head, body)?;
    let kind = &call.resource.kind;
    let collection = Collection::of(call)?;
    let deleted = match (collection.delete(&call.key(), &options).await, kind.deleted_as) {
        (Err(error), Some(stored_name)) if error.status().code == 404 => match stored_name(call.name()) {
            // Whoever finds nothing under that name either is told of the name they gave.
            Some(name) => collection
                .delete(&Key::new(call.namespace(), &name), &options)
                .await
                .map_err(|other| if other.status().code == 404 { error } else { other }),
            None => Err(error),
        },
        (deleted, _) => deleted,
    };
    let Deleted { document, gone } = deleted?;
    if kind.grace.is_some() || !gone && kind.holds_deletion.is_none() {
        return Ok(Answer::Object {
            code: StatusCode::OK,
            document: Document::Tree(document),
            warnings: Vec::new(),
        });
    }
    let uid = metadata::text(&document, "uid");
    let status = if kind.gvk.group == "project.openshift.io" {
        // Clients that are told no uid wait by name until the project is out of sight (platform 11.13).
        Status::success()
    } else {
        Status::deleted(kind.plural, kind.gvk.group, call.name(), uid)
    };
    Ok(Answer::status(status))
}

/// `DELETE …/<resource>`: everything in the namespace (or the cluster) that matches.
pub(super) async fn collection(call: &Call, head: &Head, body: &[u8]) -> Result<Answer, ApiError> {
    let list_options = ListOptions::parse(&call.query, false)?;
    let options = options(call, head, body)?;
    let selector = list::selector(call, &list_options)?;
    let collection = Collection::of(call)?;
    let page = collection.list(call.path.namespace.as_deref(), &selector, &list_options).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for (key, document) in page.items {
        match collection.delete(&key, &options).await {
            Ok(_) => items.push(document),
            // Somebody else deleted it first, which is what was wanted.
            Err(error) if error.status().code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Answer::List(ListAnswer { items, revision: page.revision, continue_token: page.continue_token }))
}

/// The options of the body (any of JSON, YAML and protobuf, or none) and of the query.
fn options(call: &Call, head: &Head, body: &[u8]) -> Result<DeleteOptions, ApiError> {
    let mut options = if body.is_empty() {
        DeleteOptions::default()
    } else {
        let parsed = body::parse(body::media_type(&head.headers), body)?;
        serde_json::from_value(parsed.value)
            .map_err(|error| Status::bad_request(format!("the delete options cannot be read: {error}")))?
    };
    let from_query = WriteOptions::parse(&call.query, "DeleteOptions")?;
    if from_query.dry_run == DryRun::All {
        options.dry_run = vec!["All".to_owned()];
    }
    if let Some(seconds) = call.query.get("gracePeriodSeconds") {
        let seconds = seconds
            .parse()
            .map_err(|error| Status::bad_request(format!("gracePeriodSeconds cannot be read: {error}")))?;
        options.grace_period_seconds = Some(seconds);
    }
    if let Some(policy) = call.query.get("propagationPolicy") {
        options.propagation_policy = Some(policy.to_owned());
    }
    let silent = options.propagation_policy.is_none() && options.orphan_dependents.is_none();
    if silent && call.resource.kind.old_delete_orphans && call.path.prefix == Prefix::Legacy {
        options.propagation_policy = Some("Orphan".to_owned());
    }
    if let Some(wrong) = options.dry_run.iter().find(|value| *value != "All") {
        let mut errors = pierhead_api::field::FieldErrors::new();
        errors.not_supported("dryRun", wrong.as_str(), &["All"]);
        return Err(Status::invalid("DeleteOptions", "meta.k8s.io", "", &errors).into());
    }
    Ok(options)
}
