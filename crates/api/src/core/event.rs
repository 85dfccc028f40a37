//! `Event`: something that happened to an object.

use serde::{Deserialize, Serialize};

use super::ObjectReference;
use crate::field::FieldErrors;
use crate::meta::{MicroTime, ObjectMeta, Time, is_zero};
use crate::name;

/// Something that happened to an object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What it happened to.
    pub involved_object: ObjectReference,
    /// What happened, for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What happened, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Who tells.
    pub source: EventSource,
    /// When it happened first.
    pub first_timestamp: Option<Time>,
    /// When it happened last.
    pub last_timestamp: Option<Time>,
    /// How often it happened.
    #[serde(skip_serializing_if = "is_zero")]
    pub count: i64,
    /// `Normal` or `Warning`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub event_type: String,
    /// When it was seen, in the newer form of events.
    pub event_time: Option<MicroTime>,
    /// Repetition, in the newer form of events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<EventSeries>,
    /// What was done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// A second object it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<ObjectReference>,
    /// Controller that tells, in the newer form; always written.
    pub reporting_component: String,
    /// Its instance; always written.
    pub reporting_instance: String,
}

object!(Event: "" "v1", "events" "event", Namespaced, short ["ev"]);

/// Who tells of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct EventSource {
    /// Program.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub component: String,
    /// Host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
}

/// Repetition of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct EventSeries {
    /// How often.
    #[serde(skip_serializing_if = "is_zero")]
    pub count: i64,
    /// When last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_observed_time: Option<MicroTime>,
}

impl Event {
    /// An event lives in the namespace of its object.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain);
        let involved = &self.involved_object.namespace;
        let cluster_scoped = involved.is_empty() && self.metadata.namespace == "default";
        if !cluster_scoped && *involved != self.metadata.namespace {
            errors.invalid("involvedObject.namespace", involved.as_str(), "does not match event.namespace");
        }
        errors
    }

    /// Metadata rules of an update and those of [`Event::validate`].
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }
}
