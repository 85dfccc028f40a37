//! `ImageStream`: tags that point at images, and their history (images 2.1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::ObjectReference;
use crate::meta::{ObjectMeta, Time};

/// A named set of tags.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStream {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What tags are wanted.
    pub spec: ImageStreamSpec,
    /// What tags there are.
    pub status: ImageStreamStatus,
}

object!(ImageStream: "image.openshift.io" "v1", "imagestreams" "imagestream", Namespaced, short ["is"], categories ["all"]);

/// What a stream wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStreamSpec {
    /// Whether workloads may name the stream like an image. Always written.
    pub lookup_policy: ImageLookupPolicy,
    /// Repository all tags are imported from; deprecated and honoured.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_image_repository: String,
    /// Wanted tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagReference>,
}

/// Whether workloads may name the stream like an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageLookupPolicy {
    /// Whether they may. Always written.
    pub local: bool,
}

/// A wanted tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TagReference {
    /// Name of the tag.
    pub name: String,
    /// Notes.
    pub annotations: Option<BTreeMap<String, String>>,
    /// What it follows: an `ImageStreamTag`, an `ImageStreamImage` or a `DockerImage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<ObjectReference>,
    /// Whether it is only remembered and never imported.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reference: bool,
    /// Generation of the stream when this tag last changed; null asks for an import.
    pub generation: Option<i64>,
    /// How it is imported. Always written.
    pub import_policy: TagImportPolicy,
    /// How workloads see its images. Always written.
    pub reference_policy: TagReferencePolicy,
}

impl TagReference {
    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

/// How a tag is imported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TagImportPolicy {
    /// Whether http and unverified TLS are allowed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// Whether it is imported again from time to time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub scheduled: bool,
    /// `Legacy` (one platform of a list) or `PreserveOriginal`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub import_mode: String,
}

/// How workloads see the images of a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TagReferencePolicy {
    /// `Source` (where it came from) or `Local` (through our registry).
    #[serde(rename = "type")]
    pub policy_type: String,
}

/// What tags a stream has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStreamStatus {
    /// Pull spec inside the cluster. Always written.
    pub docker_image_repository: String,
    /// Pull spec outside.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub public_docker_image_repository: String,
    /// Tags with their history.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<NamedTagEventList>,
}

/// History of a tag, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NamedTagEventList {
    /// Name of the tag.
    pub tag: String,
    /// What it pointed at; null when it never pointed anywhere.
    #[serde(with = "null_when_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<TagEvent>>"))]
    pub items: Vec<TagEvent>,
    /// How the last import went.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<TagEventCondition>,
}

/// What a tag pointed at from some time on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TagEvent {
    /// Since when.
    pub created: Option<Time>,
    /// Pull spec.
    pub docker_image_reference: String,
    /// Digest; empty for tags that are references only.
    pub image: String,
    /// Generation of the spec tag that led to this.
    pub generation: i64,
}

/// How the last import of a tag went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TagEventCondition {
    /// `ImportSuccess`.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Last change of `status`.
    pub last_transition_time: Option<Time>,
    /// Why, for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Generation of the spec tag this is about.
    pub generation: i64,
}

impl ImageStream {
    /// The wanted tag of a name.
    pub fn spec_tag(&self, name: &str) -> Option<&TagReference> {
        self.spec.tags.iter().find(|tag| tag.name == name)
    }

    /// The history of a tag.
    pub fn status_tag(&self, name: &str) -> Option<&NamedTagEventList> {
        self.status.tags.iter().find(|tag| tag.tag == name)
    }

    /// What a tag points at now.
    pub fn newest(&self, name: &str) -> Option<&TagEvent> {
        self.status_tag(name)?.items.first()
    }

    /// Tags follow their source unless told otherwise, and import one platform.
    pub fn set_defaults(&mut self) {
        self.spec.tags.iter_mut().for_each(TagReference::set_defaults);
    }

    /// Tags sorted by name, as they are written.
    pub fn sort_tags(&mut self) {
        self.spec.tags.sort_by(|a, b| a.name.cmp(&b.name));
        self.status.tags.sort_by(|a, b| a.tag.cmp(&b.tag));
    }
}

impl TagReference {
    /// Reference policy `Source`, import mode `Legacy` (images 3.1).
    pub fn set_defaults(&mut self) {
        self.reference_policy.set_defaults();
        self.import_policy.set_defaults();
    }
}

impl TagReferencePolicy {
    /// `Source` unless given.
    pub fn set_defaults(&mut self) {
        if self.policy_type.is_empty() {
            self.policy_type = "Source".into();
        }
    }
}

impl TagImportPolicy {
    /// `Legacy` unless given.
    pub fn set_defaults(&mut self) {
        if self.import_mode.is_empty() {
            self.import_mode = "Legacy".into();
        }
    }
}

/// An empty list is written as `null`, as the original server does for `items`.
mod null_when_empty {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        items: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if items.is_empty() { serializer.serialize_none() } else { items.serialize(serializer) }
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        Option::deserialize(deserializer).map(Option::unwrap_or_default)
    }
}
