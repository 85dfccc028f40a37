//! PATCH: an object changed by a description of the change.
//!
//! Owns the media types of patches and what an error in one means (platform 1.7). How a patch is applied is `api`'s;
//! that it is applied again when somebody else was faster is the collection's.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts as Head;
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::{Status, StatusReason};
use pierhead_api::patch::{self, PatchError};
use serde_json::Value;

use super::{apply, body, update};
use crate::call::{Answer, Call};
use crate::collection::Collection;
use crate::document;
use crate::error::ApiError;
use crate::metadata;
use crate::query::WriteOptions;
use crate::strategy::Part;

const PATCH_TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    apply::MEDIA_TYPE,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Merge,
    Strategic,
}

/// A patch, read.
pub(super) struct Patch {
    form: Form,
    document: Value,
}

impl Patch {
    /// Reads the patch of a request; 415 for a media type that is none.
    pub(super) fn read(head: &Head, bytes: &[u8]) -> Result<Self, ApiError> {
        let form = form_of(&head.headers)?;
        let document = document::read_json(bytes)
            .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?
            .value;
        Ok(Self { form, document })
    }

    /// What `old` becomes. Its resourceVersion is left out unless the patch itself names one, so that only a patch
    /// that insists on a version conflicts.
    pub(super) fn apply(&self, old: &Value, call: &Call) -> Result<Value, ApiError> {
        let patched = match self.form {
            Form::Json => patch::json_patch(old, &self.document),
            Form::Merge => Ok(patch::merge_patch(old, &self.document)),
            Form::Strategic => patch::strategic_merge_patch(old, &self.document, &call.resource.kind.patch),
        };
        let mut patched = patched.map_err(|error| refused(call, &error))?;
        if !self.names_version() {
            metadata::of_mut(&mut patched).shift_remove("resourceVersion");
        }
        Ok(patched)
    }

    fn names_version(&self) -> bool {
        match &self.document {
            Value::Array(operations) => operations.iter().any(|operation| {
                let path = operation["path"].as_str().unwrap_or_default();
                matches!(path, "" | "/metadata" | "/metadata/resourceVersion")
            }),
            document => document.pointer("/metadata/resourceVersion").is_some_and(|value| !value.is_null()),
        }
    }
}

fn form_of(headers: &HeaderMap) -> Result<Form, ApiError> {
    let header = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match header.split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => Ok(Form::Json),
        "application/merge-patch+json" => Ok(Form::Merge),
        "application/strategic-merge-patch+json" => Ok(Form::Strategic),
        _ => Err(Status::unsupported_media_type(&PATCH_TYPES).into()),
    }
}

fn refused(call: &Call, error: &PatchError) -> ApiError {
    let kind = &call.resource.kind;
    match error {
        PatchError::Malformed { .. } | PatchError::TooDeep { .. } => {
            Status::bad_request(error.to_string()).into()
        }
        PatchError::TooManyOperations { .. } | PatchError::TooLarge { .. } => {
            Status::failure(413, StatusReason::RequestEntityTooLarge, error.to_string()).into()
        }
        PatchError::NotApplicable(_) => {
            let mut errors = FieldErrors::new();
            errors.invalid("patch", Value::Null, error.to_string());
            Status::invalid(kind.gvk.kind, kind.gvk.group, call.name(), &errors).into()
        }
    }
}

/// `PATCH …/<resource>/<name>`.
pub(super) async fn answer(call: &Call, head: &Head, body: &[u8]) -> Result<Answer, ApiError> {
    apply(call, head, body, Part::Main).await
}

/// Patches a part of the object.
pub(super) async fn apply(call: &Call, head: &Head, body: &[u8], part: Part) -> Result<Answer, ApiError> {
    if body::media_type(&head.headers) == apply::MEDIA_TYPE {
        return apply::answer(call, body, part).await;
    }
    let options = WriteOptions::parse(&call.query, "PatchOptions")?;
    if call.query.get("force").is_some() {
        let mut errors = FieldErrors::new();
        errors.forbidden("force", "may not be specified for non-apply patch");
        return Err(Status::invalid("PatchOptions", "meta.k8s.io", "", &errors).into());
    }
    let patch = Patch::read(head, body)?;
    let written =
        Collection::of(call)?.update(&call.key(), part, &options, |old| patch.apply(old, call)).await?;
    let warnings = written.warnings.clone();
    Ok(update::changed(written, warnings))
}
