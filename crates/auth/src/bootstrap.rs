//! The roles and bindings every cluster starts with (platform 5.4), as API objects.
//!
//! Owns the objects' form and the bindings; `roles` has the tables. Does not write them: the server creates what is
//! missing at start and restores what carries the autoupdate annotation.

use pierhead_api::rbac::{PROJECT_BINDINGS, PolicyRule};
use pierhead_api::to_value;
use serde_json::{Value, json};

use crate::Era;
use crate::subject::{
    AUTHENTICATED, AUTHENTICATED_OAUTH, CLUSTER_ADMINS, MASTERS, SERVICE_ACCOUNTS, UNAUTHENTICATED,
};

mod project_roles;
mod roles;
mod rules;
mod system_roles;

/// Annotation of objects that are restored at every start.
pub const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const GROUP_VERSION: &str = "rbac.authorization.k8s.io/v1";
const GROUP: &str = "rbac.authorization.k8s.io";
/// The namespace with what all projects share.
const SHARED_NAMESPACE: &str = "openshift";

/// A cluster role as the tables have it.
struct ClusterRole {
    name: &'static str,
    rules: Vec<PolicyRule>,
    /// `aggregate-to-…`: label of the roles that this one is made of.
    aggregates: Option<&'static str>,
    /// `aggregate-to-…`: what this one is a part of.
    labels: &'static [&'static str],
}

/// Whom a bootstrapped binding names.
enum To {
    User(&'static str),
    Group(&'static str),
    ServiceAccount(&'static str, &'static str),
}

/// Every object, roles before bindings, for `openshift` the namespaced ones last.
pub fn objects(era: Era) -> Vec<Value> {
    let roles = roles::cluster_roles(era).into_iter().map(|role| cluster_role(&role));
    let bindings = cluster_bindings(era).into_iter().map(|(name, role, to)| {
        let to: Vec<Value> = to.iter().map(subject).collect();
        json!({
            "apiVersion": GROUP_VERSION,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name, "annotations": {AUTOUPDATE: "true"}},
            "subjects": to,
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        })
    });
    roles.chain(bindings).chain(shared_objects()).collect()
}

/// The bindings a new project gets besides its administrator's, as objects.
pub fn project_bindings(namespace: &str) -> Vec<Value> {
    PROJECT_BINDINGS.iter().map(|binding| to_value(&binding.object(namespace))).collect()
}

fn cluster_role(role: &ClusterRole) -> Value {
    let mut object = json!({
        "apiVersion": GROUP_VERSION,
        "kind": "ClusterRole",
        "metadata": {"name": role.name, "annotations": {AUTOUPDATE: "true"}},
        "rules": role.rules,
    });
    let label = |label: &str| format!("rbac.authorization.k8s.io/{label}");
    for part_of in role.labels {
        object["metadata"]["labels"][label(part_of)] = json!("true");
    }
    if let Some(part) = role.aggregates {
        let label = label(part);
        object["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    }
    object
}

fn role_binding(namespace: &str, name: &str, (kind, role): (&str, &str), to: &Value) -> Value {
    json!({
        "apiVersion": GROUP_VERSION,
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "subjects": [to],
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
    })
}

fn shared_objects() -> [Value; 2] {
    let name = "shared-resource-viewer";
    let role = json!({
        "apiVersion": GROUP_VERSION,
        "kind": "Role",
        "metadata": {"name": name, "namespace": SHARED_NAMESPACE, "annotations": {AUTOUPDATE: "true"}},
        "rules": roles::shared_resource_viewer(),
    });
    let everyone = subject(&To::Group(AUTHENTICATED));
    let mut binding = role_binding(SHARED_NAMESPACE, "shared-resource-viewers", ("Role", name), &everyone);
    binding["metadata"]["annotations"] = json!({AUTOUPDATE: "true"});
    [role, binding]
}

fn subject(to: &To) -> Value {
    match to {
        To::User(name) => json!({"kind": "User", "apiGroup": GROUP, "name": name}),
        To::Group(name) => json!({"kind": "Group", "apiGroup": GROUP, "name": name}),
        To::ServiceAccount(namespace, name) => {
            json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
        }
    }
}

/// Name, role, subjects.
fn cluster_bindings(era: Era) -> Vec<(&'static str, &'static str, Vec<To>)> {
    let authenticated = || vec![To::Group(AUTHENTICATED)];
    let everybody = || vec![To::Group(AUTHENTICATED), To::Group(UNAUTHENTICATED)];
    // In 2016 whoever reached the server could discover it and use web hooks; later a login was needed.
    let era_public = || if era == Era::V3_2 { everybody() } else { authenticated() };
    let registries = match era {
        Era::V3_2 => vec![To::Group("system:registries")],
        Era::V4 => vec![To::ServiceAccount("openshift-image-registry", "registry")],
    };
    let mut bindings = vec![
        ("cluster-admin", "cluster-admin", vec![To::Group(MASTERS)]),
        ("cluster-admins", "cluster-admin", vec![To::Group(CLUSTER_ADMINS), To::User("system:admin")]),
        ("cluster-readers", "cluster-reader", vec![To::Group("system:cluster-readers")]),
        ("basic-users", "basic-user", authenticated()),
        ("self-access-reviewers", "self-access-reviewer", era_public()),
        ("self-provisioners", "self-provisioner", vec![To::Group(AUTHENTICATED_OAUTH)]),
        ("system:oauth-token-deleters", "system:oauth-token-deleter", era_public()),
        ("cluster-status-binding", "cluster-status", era_public()),
        ("system:webhooks", "system:webhook", era_public()),
        ("system:discovery-binding", "system:discovery", era_public()),
        ("system:openshift:discovery", "system:openshift:discovery", era_public()),
        ("system:public-info-viewer", "system:public-info-viewer", everybody()),
        (
            "system:service-account-issuer-discovery",
            "system:service-account-issuer-discovery",
            vec![To::Group(SERVICE_ACCOUNTS), To::Group(AUTHENTICATED)],
        ),
        ("system:registrys", "system:registry", registries),
        ("system:routers", "system:router", vec![To::Group("system:routers")]),
        ("system:build-strategy-docker-binding", "system:build-strategy-docker", authenticated()),
        ("system:build-strategy-source-binding", "system:build-strategy-source", authenticated()),
        (
            "system:build-strategy-jenkinspipeline-binding",
            "system:build-strategy-jenkinspipeline",
            authenticated(),
        ),
    ];
    if era == Era::V3_2 {
        bindings.push((
            "system:build-strategy-custom-binding",
            "system:build-strategy-custom",
            authenticated(),
        ));
    }
    bindings
}
