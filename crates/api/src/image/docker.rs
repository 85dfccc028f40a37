//! `DockerImage`: the raw document inside `dockerImageMetadata`, in docker's own spelling (images 4.1, 1.5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::meta::is_zero;
use crate::object::{envelope, fields_of};

/// `apiVersion` of the document in the group encoding.
pub const DOCKER_IMAGE_GROUP_VERSION: &str = "image.openshift.io/1.0";
/// `apiVersion` of the document in the legacy encoding; old clients cannot read the other.
pub const DOCKER_IMAGE_LEGACY_VERSION: &str = "1.0";

/// What is known about an image. Times are texts: a tool that wrote a strange one must not lose the rest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct DockerImage {
    /// Digest of the config, or the id of a schema 1 image.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Id of the parent, schema 1.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parent: String,
    /// Comment of the committer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// When it was built, RFC 3339; null when unknown. Always written.
    pub created: Option<String>,
    /// Container it was made from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// Configuration of that container. Always written.
    pub container_config: DockerConfig,
    /// Version of the tool that built it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_version: String,
    /// Author.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// How it is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<DockerConfig>,
    /// Architecture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// Bytes of config and layers. Always written.
    pub size: i64,
}

/// How an image is run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "docker's own names, which nothing here interprets")]
pub struct DockerConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domainname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub memory: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub memory_swap: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cpu_shares: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cpuset: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attach_stdin: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attach_stdout: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attach_stderr: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub port_specs: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tty: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub open_stdin: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stdin_once: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volumes_from: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub network_disabled: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl DockerImage {
    /// The document, in the group form of its `apiVersion`.
    pub fn to_value(&self) -> Value {
        let mut document = envelope(DOCKER_IMAGE_GROUP_VERSION.into(), "DockerImage".into());
        document.extend(fields_of(self));
        Value::Object(document)
    }

    /// Reads the document in either form; members that are null count as absent.
    pub fn from_value(document: &Value) -> Option<Self> {
        crate::decode::plain_from_value(document).ok()
    }
}
