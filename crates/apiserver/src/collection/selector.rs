//! Which objects a list, a watch or a deletecollection is about.
//!
//! Owns field labels: which a kind has and where they are in a document. Label selectors and the syntax of both are
//! `api`'s.

use std::collections::BTreeMap;

use pierhead_api::meta::Status;
use pierhead_api::selector::{FieldOperator, FieldSelector, LabelSelector};
use serde_json::Value;

use crate::error::ApiError;
use crate::kind::Kind;
use crate::metadata;

/// A label selector and a field selector, ready to be matched.
#[derive(Debug)]
pub(crate) struct Selector {
    labels: LabelSelector,
    fields: Vec<Term>,
}

#[derive(Debug)]
struct Term {
    pointer: String,
    equal: bool,
    value: String,
}

impl Selector {
    /// Reads both selectors; `old_names` is true under `/oapi/v1`, where `name` means `metadata.name`.
    pub(crate) fn parse(kind: &Kind, old_names: bool, labels: &str, fields: &str) -> Result<Self, ApiError> {
        let labels: LabelSelector = labels
            .parse()
            .map_err(|error| Status::bad_request(format!("unable to parse requirement: {error}")))?;
        let parsed: FieldSelector =
            fields.parse().map_err(|error| Status::bad_request(format!("invalid selector: {error}")))?;
        let mut terms = Vec::new();
        for requirement in parsed.requirements() {
            let equal = requirement.operator == FieldOperator::Equals;
            let pointer = pointer_of(kind, old_names, &requirement.field)?;
            terms.push(Term { pointer, equal, value: requirement.value.clone() });
        }
        Ok(Self { labels, fields: terms })
    }

    /// Only objects that have these values as well, at these pointers.
    pub(crate) fn and(mut self, values: Vec<(&'static str, String)>) -> Self {
        let term = |(pointer, value): (&'static str, String)| Term {
            pointer: pointer.to_owned(),
            equal: true,
            value,
        };
        self.fields.extend(values.into_iter().map(term));
        self
    }

    /// Whether every object matches.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object matches.
    pub(crate) fn matches(&self, document: &Value) -> bool {
        let fields =
            self.fields.iter().all(|term| (field(document, &term.pointer) == term.value) == term.equal);
        fields && (self.labels.is_empty() || self.labels.matches(&labels_of(document)))
    }
}

fn labels_of(document: &Value) -> BTreeMap<String, String> {
    let labels = metadata::of(document).get("labels").and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    labels.into_iter().flatten().filter_map(text).collect()
}

fn pointer_of(kind: &Kind, old_names: bool, label: &str) -> Result<String, ApiError> {
    match label {
        "metadata.name" => Ok("/metadata/name".to_owned()),
        "name" if old_names => Ok("/metadata/name".to_owned()),
        "metadata.namespace" if kind.namespaced => Ok("/metadata/namespace".to_owned()),
        other => kind
            .fields
            .iter()
            .find(|(known, _)| *known == other)
            .map(|(_, pointer)| (*pointer).to_owned())
            .ok_or_else(|| Status::bad_request(format!("field label not supported: {other}")).into()),
    }
}

/// A field as selectors compare it: text as it is, nothing as the empty text.
fn field(document: &Value, pointer: &str) -> String {
    match document.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
