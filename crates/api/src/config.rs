//! Kinds of `config.openshift.io`: what clients read of how the cluster is set up. One object of each, which the server
//! makes from its own settings; none can be written.

use serde::{Deserialize, Serialize};

use crate::meta::{ObjectMeta, Time};

/// Name of the API group.
pub const GROUP: &str = "config.openshift.io";
/// Name of the only [`ClusterVersion`].
pub const VERSION_NAME: &str = "version";
/// Name of the only object of every other kind.
pub const CLUSTER_NAME: &str = "cluster";

/// Which version the server is. The only object is called `version`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterVersion {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Which cluster it is.
    pub spec: ClusterVersionSpec,
    /// Which version it is.
    pub status: ClusterVersionStatus,
}

object!(ClusterVersion: "config.openshift.io" "v1", "clusterversions" "clusterversion", Cluster);

/// Which cluster it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterVersionSpec {
    /// UUID of the cluster, which it keeps for ever.
    #[serde(rename = "clusterID")]
    pub cluster_id: String,
}

/// Which version a cluster is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterVersionStatus {
    /// The version.
    pub desired: Release,
    /// Versions it has had, the newest first.
    pub history: Vec<UpdateHistory>,
    /// Generation of the spec that this is about.
    pub observed_generation: i64,
    /// Tells versions apart.
    pub version_hash: String,
    /// What can be said of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ClusterVersionCondition>,
    /// Versions it could be updated to; null, as none are known.
    pub available_updates: Option<Vec<Release>>,
}

/// A version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Release {
    /// The version, such as `4.19.0`.
    pub version: String,
    /// The image it would be installed from; empty, as there is none.
    pub image: String,
}

/// A version a cluster has had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateHistory {
    /// `Completed` or `Partial`.
    pub state: String,
    /// When its installation began.
    pub started_time: Option<Time>,
    /// When it was installed.
    pub completion_time: Option<Time>,
    /// The version.
    pub version: String,
    /// The image it was installed from; empty, as there is none.
    pub image: String,
    /// Whether the image was verified before.
    pub verified: bool,
}

/// Something that is true of a cluster's version or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterVersionCondition {
    /// What it is about: `Available`, `Failing`, `Progressing`.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Last change of `status`.
    pub last_transition_time: Option<Time>,
    /// Why, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How images are handled. The only object is called `cluster`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// How they are imported.
    pub spec: ImageSpec,
    /// Where the registry is.
    pub status: ImageStatus,
}

object!(Image: "config.openshift.io" "v1", "images" "image", Cluster);

/// How images are imported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageSpec {
    /// Registries that users may import from; all when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_registries_for_import: Vec<RegistryLocation>,
}

/// A registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RegistryLocation {
    /// Its domain, perhaps with a port; `*` stands for any word.
    pub domain_name: String,
    /// Whether http and unverified TLS will do.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
}

/// Where the integrated registry is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStatus {
    /// Host and port inside the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub internal_registry_hostname: String,
    /// Hosts outside, the first of which is shown as the place to pull from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external_registry_hostnames: Vec<String>,
}

/// How routes are named. The only object is called `cluster`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Ingress {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Under which domain.
    pub spec: IngressSpec,
}

object!(Ingress: "config.openshift.io" "v1", "ingresses" "ingress", Cluster);

/// Under which domain routes are named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    /// The domain.
    pub domain: String,
}

/// How projects are asked for. The only object is called `cluster`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Project {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is said of requests.
    pub spec: ProjectSpec,
}

object!(Project: "config.openshift.io" "v1", "projects" "project", Cluster);

/// What is said of requests for projects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ProjectSpec {
    /// What those are told who may not ask for a project; empty for the usual text.
    pub project_request_message: String,
}

/// How users log in, and how long their tokens live. The only object is called `cluster`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct OAuth {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What holds.
    pub spec: OAuthSpec,
}

object!(OAuth: "config.openshift.io" "v1", "oauths" "oauth", Cluster);

/// How users log in, and how long their tokens live.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct OAuthSpec {
    /// Who knows the users, in the order in which they are asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity_providers: Vec<IdentityProvider>,
    /// How long tokens live.
    pub token_config: TokenConfig,
}

/// Who knows users. How it is reached is not shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct IdentityProvider {
    /// Its name, with which the names of its identities begin.
    pub name: String,
    /// What a first login does: `claim`, `lookup`, `generate` or `add`.
    pub mapping_method: String,
    /// Such as `HTPasswd`, `LDAP` or `OpenID`.
    #[serde(rename = "type")]
    pub provider_type: String,
}

/// How long access tokens live whose client says nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TokenConfig {
    /// Seconds from the beginning.
    pub access_token_max_age_seconds: i32,
    /// How long without use, such as `5m0s`; empty for ever.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access_token_inactivity_timeout: String,
}
