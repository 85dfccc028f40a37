//! What lies below an object: its status, a facet such as `scale`, or a call of its own.

use http::StatusCode;
use http::request::Parts as Head;
use pierhead_api::meta::Status;
use serde_json::Value;

use super::patch::{self, Patch};
use super::respond::Encoder;
use super::{body, get, subresource_of, update};
use crate::call::{Answer, Call};
use crate::collection::Collection;
use crate::error::ApiError;
use crate::kind::{Facet, GroupVersionKind, SubBehaviour, Subresource, Verb};
use crate::metadata;
use crate::query::{FieldValidation, WriteOptions};
use crate::storage::Document;
use crate::strategy::Part;

/// Any verb on `…/<resource>/<name>/<subresource>`.
pub(super) async fn answer(
    call: &Call,
    head: &Head,
    body: &[u8],
    encoder: Encoder,
) -> Result<(Answer, Encoder), ApiError> {
    let sub = subresource_of(call)?;
    let answer = match &sub.behaviour {
        SubBehaviour::Status => part(call, head, body, Part::Status).await?,
        SubBehaviour::Finalize => part(call, head, body, Part::Finalize).await?,
        SubBehaviour::Facet(facet) => {
            let answer = change_facet(call, sub, facet.as_ref(), head, body).await?;
            return Ok((answer, encoder.foreign()));
        }
        SubBehaviour::Connect(connect) => {
            let document = connect_body(call, &sub.kind, head, body)?;
            let own = sub.kind.group == call.resource.kind.gvk.group;
            let encoder = if own { encoder } else { encoder.foreign() };
            return Ok((connect.call(call, document).await?, encoder));
        }
    };
    Ok((answer, encoder))
}

async fn part(call: &Call, head: &Head, body: &[u8], part: Part) -> Result<Answer, ApiError> {
    match call.verb {
        Verb::Get => get::answer(call),
        Verb::Patch => patch::apply(call, head, body, part).await,
        _ => update::replace(call, head, body, part).await,
    }
}

/// The body of a call that is not about a stored object; only writes have one.
pub(super) fn connect_body(
    call: &Call,
    gvk: &GroupVersionKind,
    head: &Head,
    body: &[u8],
) -> Result<Option<Value>, ApiError> {
    if !matches!(call.verb, Verb::Create | Verb::Update | Verb::Patch) {
        return Ok(None);
    }
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    // Sessions are asked for by a POST without a body; where something should be in it, its absence is told there.
    if body.is_empty() && call.path.subresource.is_some() {
        return Ok(None);
    }
    let parsed = body::parse(body::media_type(&head.headers), body)?;
    let (document, _) = body::object(call, gvk, parsed, options.field_validation)?;
    Ok(Some(document))
}

async fn change_facet(
    call: &Call,
    sub: &Subresource,
    facet: &dyn Facet,
    head: &Head,
    body: &[u8],
) -> Result<Answer, ApiError> {
    let collection = Collection::of(call)?;
    if call.verb == Verb::Get {
        let object = collection.get(&call.key())?.into_tree()?;
        return Ok(Answer::ok(facet.show(&object)));
    }
    let options = WriteOptions::parse(&call.query, "UpdateOptions")?;
    let sent = if call.verb == Verb::Patch {
        Sent::Patch(Patch::read(head, body)?)
    } else {
        let parsed = body::parse(body::media_type(&head.headers), body)?;
        Sent::Whole(body::object(call, &sub.kind, parsed, FieldValidation::Ignore)?.0)
    };
    let written = collection
        .update(&call.key(), Part::Main, &options, |old| {
            let changed = match &sent {
                Sent::Whole(document) => document.clone(),
                Sent::Patch(patch) => patch.apply(&facet.show(old), call)?,
            };
            write_facet(facet, &sub.kind, old, &changed)
        })
        .await?;
    Ok(Answer::Object {
        code: StatusCode::OK,
        document: Document::Tree(facet.show(&written.document)),
        warnings: Vec::new(),
    })
}

enum Sent {
    Whole(Value),
    Patch(Patch),
}

fn write_facet(
    facet: &dyn Facet,
    kind: &GroupVersionKind,
    old: &Value,
    changed: &Value,
) -> Result<Value, ApiError> {
    let mut object = old.clone();
    let errors = facet.write(&mut object, changed);
    if !errors.is_empty() {
        return Err(Status::invalid(kind.kind, kind.group, metadata::text(old, "name"), &errors).into());
    }
    let version = metadata::text(changed, "resourceVersion").to_owned();
    metadata::of_mut(&mut object).insert("resourceVersion".to_owned(), version.into());
    Ok(object)
}
