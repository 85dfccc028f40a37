//! `events.k8s.io`: events in the form newer controllers write them. The same objects as [`crate::core::Event`], under
//! other names.

use serde::{Deserialize, Serialize};

use crate::core::{EventSeries, EventSource, ObjectReference};
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
    /// When it was seen.
    pub event_time: Option<MicroTime>,
    /// Repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<EventSeries>,
    /// Controller that tells.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reporting_controller: String,
    /// Its instance.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reporting_instance: String,
    /// What was done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// What happened, for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it happened to.
    pub regarding: ObjectReference,
    /// A second object it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<ObjectReference>,
    /// What happened, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// `Normal` or `Warning`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub event_type: String,
    /// `source` of the core form.
    pub deprecated_source: EventSource,
    /// `firstTimestamp` of the core form.
    pub deprecated_first_timestamp: Option<Time>,
    /// `lastTimestamp` of the core form.
    pub deprecated_last_timestamp: Option<Time>,
    /// `count` of the core form.
    #[serde(skip_serializing_if = "is_zero")]
    pub deprecated_count: i64,
}

object!(Event: "events.k8s.io" "v1", "events" "event", Namespaced, short ["ev"]);

/// Names of the fields that the two forms call differently: core, `events.k8s.io`.
pub const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

impl Event {
    /// What a new event must say: this form is stricter than the core one.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = self.validate_place();
        if self.event_time.is_none() {
            errors.required("eventTime", "");
        }
        for (field, value) in [
            ("reportingController", &self.reporting_controller),
            ("reportingInstance", &self.reporting_instance),
            ("action", &self.action),
            ("reason", &self.reason),
        ] {
            if value.is_empty() {
                errors.required(field, "");
            }
        }
        if !["Normal", "Warning"].contains(&self.event_type.as_str()) {
            errors.invalid("type", self.event_type.as_str(), "");
        }
        errors
    }

    /// Metadata rules of an update. What was written in the core form may lack what this form wants.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate_place());
        errors
    }

    fn validate_place(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain);
        let regarding = &self.regarding.namespace;
        let cluster_scoped = regarding.is_empty() && self.metadata.namespace == "default";
        if !cluster_scoped && *regarding != self.metadata.namespace {
            errors.invalid("regarding.namespace", regarding.as_str(), "does not match event.namespace");
        }
        errors
    }
}
