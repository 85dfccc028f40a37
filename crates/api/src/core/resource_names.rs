//! Names of what can be counted or limited, as limit ranges and quotas spell them.

use crate::field::FieldErrors;
use crate::name;

/// What containers use.
const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// What quotas count, beyond `count/…` and resources of others.
const OF_QUOTAS: [&str; 17] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
];
const OF_SERVICES: [&str; 2] = ["services.nodeports", "services.loadbalancers"];

/// What can only be whole.
const WHOLE: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];

/// What quotas with scopes, which are about pods, may count.
const OF_SCOPED_QUOTAS: [&str; 9] = [
    "pods",
    "cpu",
    "memory",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
    "ephemeral-storage",
    "requests.ephemeral-storage",
];

/// Whether containers have requests and limits of it.
pub(super) fn is_container_resource(name: &str) -> bool {
    OF_CONTAINERS.contains(&name) || name.starts_with("hugepages-")
}

fn is_quota_resource(name: &str) -> bool {
    OF_QUOTAS.contains(&name)
        || OF_SERVICES.contains(&name)
        || name.starts_with("hugepages-")
        || name.starts_with("requests.hugepages-")
}

/// Whether an amount of it must be a whole number.
pub(super) fn is_whole(name: &str) -> bool {
    WHOLE.contains(&name) || name.starts_with("count/") || name.starts_with("openshift.io/")
}

/// Whether a quota with a scope may name it; only pods fit into a scope.
pub(super) fn fits_scope(name: &str, scope: &str) -> bool {
    if scope == "BestEffort" { name == "pods" } else { OF_SCOPED_QUOTAS.contains(&name) }
}

/// A name that is qualified, or one of those that every cluster knows.
pub(super) fn validate(resource: &str, field: &str, errors: &mut FieldErrors) {
    let before = errors.len();
    for problem in name::qualified_name(resource) {
        errors.invalid(field, resource, problem);
    }
    let known = resource.contains('/') || resource == "storage" || is_quota_resource(resource);
    if errors.len() == before && !known {
        errors.invalid(field, resource, "must be a standard resource type or fully qualified");
    }
}

/// A name that quotas know.
pub(super) fn validate_of_quota(resource: &str, field: &str, errors: &mut FieldErrors) {
    validate(resource, field, errors);
    if !resource.contains('/') && !is_quota_resource(resource) {
        errors.invalid(field, resource, "must be a standard resource for quota");
    }
}
