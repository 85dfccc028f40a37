//! API objects as they lie in the store, read for the few fields that decide who somebody is and what they may do.
//!
//! Reading is tolerant of what does not concern us, and strict where a doubt could grant something: an object that
//! cannot be read grants nothing and is logged.

use std::collections::BTreeMap;
use std::sync::Arc;

use pierhead_api::rbac::PolicyRule;
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{ReadTx, StoreError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::rbac::policy::{Binding, Bound, ClusterRole, LabelExpression, LabelMatch, RoleName};
use crate::subject::SERVICE_ACCOUNT_PREFIX;

/// Resource keys of the objects this crate reads.
pub(crate) mod resource {
    pub(crate) const NAMESPACES: &str = "namespaces";
    pub(crate) const SECRETS: &str = "secrets";
    pub(crate) const SERVICE_ACCOUNTS: &str = "serviceaccounts";
    pub(crate) const PODS: &str = "pods";
    pub(crate) const NODES: &str = "nodes";
    pub(crate) const FEDERATED_IDENTITIES: &str = "federatedidentities.identity.pierhead.io";
    pub(crate) const ROLES: &str = "roles.rbac.authorization.k8s.io";
    pub(crate) const ROLE_BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
    pub(crate) const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
    pub(crate) const CLUSTER_ROLE_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";
    pub(crate) const USERS: &str = "users.user.openshift.io";
    pub(crate) const IDENTITIES: &str = "identities.user.openshift.io";
    pub(crate) const GROUPS: &str = "groups.user.openshift.io";
    pub(crate) const OAUTH_CLIENTS: &str = "oauthclients.oauth.openshift.io";
    pub(crate) const ACCESS_TOKENS: &str = "oauthaccesstokens.oauth.openshift.io";
    pub(crate) const AUTHORIZE_TOKENS: &str = "oauthauthorizetokens.oauth.openshift.io";
    pub(crate) const CLIENT_AUTHORIZATIONS: &str = "oauthclientauthorizations.oauth.openshift.io";
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) creation_timestamp: Option<jiff::Timestamp>,
    pub(crate) deletion_timestamp: Option<String>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

impl Meta {
    pub(crate) const fn is_being_deleted(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

/// Any object, for its metadata alone.
#[derive(Deserialize)]
pub(crate) struct Bare {
    pub(crate) metadata: Meta,
}

#[derive(Deserialize)]
struct StoredNamespace {
    metadata: Meta,
    #[serde(default)]
    status: Option<StoredNamespaceStatus>,
}

#[derive(Deserialize)]
struct StoredNamespaceStatus {
    #[serde(default)]
    phase: Option<String>,
}

/// Whether things may be done in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamespacePhase {
    Active,
    Terminating,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredRole {
    metadata: Meta,
    #[serde(default)]
    rules: Option<Vec<StoredRule>>,
    #[serde(default)]
    aggregation_rule: Option<StoredAggregation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredRule {
    #[serde(default)]
    verbs: Option<Vec<String>>,
    #[serde(default)]
    api_groups: Option<Vec<String>>,
    #[serde(default)]
    resources: Option<Vec<String>>,
    #[serde(default)]
    resource_names: Option<Vec<String>>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredAggregation {
    #[serde(default)]
    cluster_role_selectors: Option<Vec<StoredSelector>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredSelector {
    #[serde(default)]
    match_labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    match_expressions: Option<Vec<StoredExpression>>,
}

#[derive(Deserialize)]
struct StoredExpression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredBinding {
    #[serde(default)]
    subjects: Option<Vec<StoredSubject>>,
    role_ref: StoredRoleRef,
}

#[derive(Deserialize)]
struct StoredSubject {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct StoredRoleRef {
    #[serde(default)]
    kind: String,
    name: String,
}

/// The users of a Group object.
#[derive(Deserialize)]
pub(crate) struct StoredGroup {
    #[serde(default)]
    pub(crate) users: Option<Vec<String>>,
}

impl From<StoredRule> for PolicyRule {
    fn from(rule: StoredRule) -> Self {
        Self {
            verbs: rule.verbs.unwrap_or_default(),
            api_groups: rule.api_groups.unwrap_or_default(),
            resources: rule.resources.unwrap_or_default(),
            resource_names: rule.resource_names.unwrap_or_default(),
            non_resource_urls: rule.non_resource_urls.unwrap_or_default(),
        }
    }
}

impl From<StoredSelector> for LabelMatch {
    fn from(selector: StoredSelector) -> Self {
        let expression = |of: StoredExpression| LabelExpression {
            key: of.key,
            operator: of.operator,
            values: of.values.unwrap_or_default(),
        };
        Self {
            equal: selector.match_labels.unwrap_or_default(),
            expressions: selector.match_expressions.unwrap_or_default().into_iter().map(expression).collect(),
        }
    }
}

pub(crate) fn namespace_phase(json: &[u8]) -> Result<NamespacePhase, serde_json::Error> {
    let namespace: StoredNamespace = serde_json::from_slice(json)?;
    let phase = namespace.status.and_then(|status| status.phase);
    let terminating = namespace.metadata.is_being_deleted() || phase.as_deref() == Some("Terminating");
    Ok(if terminating { NamespacePhase::Terminating } else { NamespacePhase::Active })
}

pub(crate) fn role(json: &[u8]) -> Result<Arc<[PolicyRule]>, serde_json::Error> {
    let role: StoredRole = serde_json::from_slice(json)?;
    Ok(role.rules.unwrap_or_default().into_iter().map(PolicyRule::from).collect())
}

pub(crate) fn cluster_role(json: &[u8]) -> Result<ClusterRole, serde_json::Error> {
    let role: StoredRole = serde_json::from_slice(json)?;
    let selectors = role.aggregation_rule.and_then(|rule| rule.cluster_role_selectors).unwrap_or_default();
    Ok(ClusterRole {
        rules: role.rules.unwrap_or_default().into_iter().map(PolicyRule::from).collect(),
        labels: role.metadata.labels.unwrap_or_default(),
        aggregates: selectors.into_iter().map(LabelMatch::from).collect(),
    })
}

/// Reads a binding; `namespace` is empty for a cluster role binding, whose role is always a cluster role.
pub(crate) fn binding(json: &[u8], namespace: &str) -> Result<Binding, serde_json::Error> {
    let stored: StoredBinding = serde_json::from_slice(json)?;
    let role = if stored.role_ref.kind == "Role" && !namespace.is_empty() {
        RoleName::Namespaced(stored.role_ref.name)
    } else {
        RoleName::Cluster(stored.role_ref.name)
    };
    let subjects = stored.subjects.unwrap_or_default();
    Ok(Binding {
        role,
        subjects: subjects.into_iter().filter_map(|subject| bound(subject, namespace)).collect(),
    })
}

fn bound(subject: StoredSubject, binding_namespace: &str) -> Option<Bound> {
    let StoredSubject { kind, name, namespace } = subject;
    match kind.as_str() {
        "User" | "SystemUser" => Some(Bound::User(name)),
        "Group" | "SystemGroup" => Some(Bound::Group(name)),
        "ServiceAccount" => {
            let namespace = namespace.filter(|namespace| !namespace.is_empty());
            let namespace = namespace.unwrap_or_else(|| binding_namespace.to_owned());
            let username = format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}");
            (!namespace.is_empty()).then_some(Bound::ServiceAccount { username, namespace, name })
        }
        _ => None,
    }
}

/// One object by key, read as `T`; `None` if it is not there, or cannot be read as one (which is logged).
pub(crate) fn find<T: DeserializeOwned>(
    tx: &ReadTx<'_>,
    resource: &str,
    namespace: &str,
    name: &str,
) -> Result<Option<T>, StoreError> {
    let record: Option<ObjectRecord> = tx.get(&OBJECTS, &ObjectKey::new(resource, namespace, name))?;
    Ok(record.and_then(|ObjectRecord(json)| parse(&json, resource, namespace, name)))
}

/// Reads stored JSON as `T`, or logs why that is not possible.
pub(crate) fn parse<T: DeserializeOwned>(
    json: &[u8],
    resource: &str,
    namespace: &str,
    name: &str,
) -> Option<T> {
    serde_json::from_slice(json)
        .inspect_err(|error| {
            tracing::error!(%error, resource, namespace, name, "A stored object cannot be read; it grants nothing");
        })
        .ok()
}
