//! What project roles hold: `admin`, `edit`, `view` and their registry-only relatives.
//!
//! `admin` holds all of `edit`, and `edit` all of `view`, so that each may grant those below it.

use pierhead_api::rbac::PolicyRule;

use super::rules::{
    APPS, AUTHORIZATION, BUILD, IDENTITY, IMAGE, KUBE_AUTHORIZATION, PROJECT, QUOTA, RBAC, READ, ROUTE, RW,
    SECURITY, TEMPLATE, can, can_in,
};
use crate::Era;

const IMAGE_CONTENT: &[&str] =
    &["imagestreamimages", "imagestreammappings", "imagestreams", "imagestreamtags", "imagetags"];

/// Everything in a project, its roles and bindings included.
pub(super) fn admin(era: Era) -> Vec<PolicyRule> {
    let mut rules = edit(era);
    rules.extend([
        can(RW, AUTHORIZATION, &["roles", "rolebindings"]),
        can(RW, RBAC, &["roles", "rolebindings"]),
        can(
            &["create"],
            AUTHORIZATION,
            &[
                "localresourceaccessreviews",
                "localsubjectaccessreviews",
                "resourceaccessreviews",
                "subjectaccessreviews",
                "subjectrulesreviews",
            ],
        ),
        can(&["create"], KUBE_AUTHORIZATION, &["localsubjectaccessreviews"]),
        can(READ, AUTHORIZATION, &["policies", "policybindings", "rolebindingrestrictions"]),
        can(&["patch", "update", "delete"], PROJECT, &["projects"]),
        can(&["update"], ROUTE, &["routes/status"]),
    ]);
    if era == Era::V4 {
        let reviews = [
            "podsecuritypolicyreviews",
            "podsecuritypolicyselfsubjectreviews",
            "podsecuritypolicysubjectreviews",
        ];
        rules.push(can(&["create"], SECURITY, &reviews));
    }
    rules
}

/// Everything in a project but its roles and bindings.
pub(super) fn edit(era: Era) -> Vec<PolicyRule> {
    // Before 2017 hosts of routes were free; later they are chosen once, at creation (platform 7.3).
    let custom_host: &[&str] = if era == Era::V3_2 { &["create", "update"] } else { &["create"] };
    let mut rules = view(era);
    rules.extend(edit_kubernetes());
    rules.extend([
        can(RW, BUILD, &["builds", "buildconfigs", "buildconfigs/webhooks"]),
        can(
            &["create"],
            BUILD,
            &["buildconfigs/instantiate", "buildconfigs/instantiatebinary", "builds/clone"],
        ),
        can(
            RW,
            APPS,
            &[
                "deploymentconfigs",
                "deploymentconfigs/rollback",
                "deploymentconfigs/scale",
                "deploymentconfigrollbacks",
                "generatedeploymentconfigs",
            ],
        ),
        can(&["create"], APPS, &["deploymentconfigs/instantiate"]),
        can(RW, IMAGE, IMAGE_CONTENT),
        can(RW, IMAGE, &["imagestreams/secrets"]),
        can(&["get", "update"], IMAGE, &["imagestreams/layers"]),
        can(&["create"], IMAGE, &["imagestreamimports"]),
        can(RW, ROUTE, &["routes"]),
        can(custom_host, ROUTE, &["routes/custom-host"]),
        // Ours: who may create tokens of an account may say for which outside ones they are given.
        can(RW, IDENTITY, &["federatedidentities"]),
        can(RW, TEMPLATE, &["templates", "processedtemplates", "templateconfigs", "templateinstances"]),
    ]);
    if era == Era::V4 {
        // What `system:image-builder` holds besides: with it a project's admin may grant that role.
        rules.push(can(&["update"], BUILD, &["builds/details"]));
    }
    rules
}

fn edit_kubernetes() -> Vec<PolicyRule> {
    vec![
        can(
            RW,
            "",
            &[
                "pods",
                "pods/attach",
                "pods/exec",
                "pods/portforward",
                "pods/proxy",
                "replicationcontrollers",
                "replicationcontrollers/scale",
                "serviceaccounts",
                "services",
                "services/proxy",
                "endpoints",
                "persistentvolumeclaims",
                "configmaps",
                "secrets",
            ],
        ),
        can(&["create"], "", &["pods/eviction", "serviceaccounts/token"]),
        can(&["impersonate"], "", &["serviceaccounts"]),
        can_in(RW, &["autoscaling", "extensions"], &["horizontalpodautoscalers"]),
        can_in(RW, &["batch", "extensions"], &["jobs", "cronjobs", "scheduledjobs"]),
        can_in(RW, &["apps", "extensions"], WORKLOADS),
        can(RW, "extensions", &["replicationcontrollers/scale"]),
        can_in(RW, &["networking.k8s.io", "extensions"], &["ingresses", "networkpolicies"]),
        can(RW, "policy", &["poddisruptionbudgets"]),
    ]
}

const WORKLOADS: &[&str] = &[
    "daemonsets",
    "deployments",
    "deployments/rollback",
    "deployments/scale",
    "replicasets",
    "replicasets/scale",
    "statefulsets",
    "statefulsets/scale",
];

/// Reading a project, its secrets excepted. Pulling images came with era 4.
pub(super) fn view(era: Era) -> Vec<PolicyRule> {
    let mut rules = vec![
        can(
            READ,
            "",
            &[
                "bindings",
                "configmaps",
                "endpoints",
                "events",
                "limitranges",
                "namespaces",
                "namespaces/status",
                "persistentvolumeclaims",
                "persistentvolumeclaims/status",
                "pods",
                "pods/log",
                "pods/status",
                "replicationcontrollers",
                "replicationcontrollers/scale",
                "replicationcontrollers/status",
                "resourcequotas",
                "resourcequotas/status",
                "resourcequotas/usages",
                "serviceaccounts",
                "services",
                "services/status",
            ],
        ),
        can(READ, "events.k8s.io", &["events"]),
        can(READ, "discovery.k8s.io", &["endpointslices"]),
        can_in(READ, &["autoscaling", "extensions"], &["horizontalpodautoscalers"]),
        can_in(READ, &["batch", "extensions"], &["jobs", "cronjobs", "scheduledjobs"]),
        can_in(READ, &["apps", "extensions"], WORKLOADS),
        can(READ, "apps", &["controllerrevisions"]),
        can_in(READ, &["networking.k8s.io", "extensions"], &["ingresses", "networkpolicies"]),
        can(READ, "policy", &["poddisruptionbudgets"]),
        can(READ, BUILD, &["builds", "buildconfigs", "buildconfigs/webhooks", "builds/log"]),
        can(
            READ,
            APPS,
            &[
                "deploymentconfigs",
                "deploymentconfigs/log",
                "deploymentconfigs/scale",
                "deploymentconfigs/status",
            ],
        ),
        can(READ, IMAGE, IMAGE_CONTENT),
        can(READ, IMAGE, &["imagestreams/status"]),
        can(&["get"], PROJECT, &["projects"]),
        can(READ, QUOTA, &["appliedclusterresourcequotas"]),
        can(READ, ROUTE, &["routes", "routes/status"]),
        can(READ, TEMPLATE, &["templates", "processedtemplates", "templateconfigs", "templateinstances"]),
        can(READ, IDENTITY, &["federatedidentities"]),
    ];
    if era == Era::V4 {
        rules.push(can(&["get"], IMAGE, &["imagestreams/layers"]));
    }
    rules
}

/// Everything about a project's images, and who may do what with them.
pub(super) fn registry_admin(era: Era) -> Vec<PolicyRule> {
    let mut rules = registry_editor(era);
    rules.extend([
        can(RW, AUTHORIZATION, &["roles", "rolebindings"]),
        can(RW, RBAC, &["roles", "rolebindings"]),
        can(
            &["create"],
            AUTHORIZATION,
            &["localresourceaccessreviews", "localsubjectaccessreviews", "subjectrulesreviews"],
        ),
        can(&["create"], KUBE_AUTHORIZATION, &["localsubjectaccessreviews"]),
        can(&["delete"], PROJECT, &["projects"]),
    ]);
    rules
}

/// Everything about a project's images.
pub(super) fn registry_editor(era: Era) -> Vec<PolicyRule> {
    let mut rules = vec![
        can(RW, IMAGE, IMAGE_CONTENT),
        can(RW, IMAGE, &["imagestreams/secrets"]),
        can(&["create"], IMAGE, &["imagestreamimports"]),
        can(&["get", "update"], IMAGE, &["imagestreams/layers"]),
        can(&["get"], "", &["namespaces"]),
        can(&["get"], PROJECT, &["projects"]),
    ];
    if era == Era::V4 {
        rules.push(can(RW, "", &["serviceaccounts", "secrets"]));
    }
    rules
}

/// Reading and pulling a project's images.
pub(super) fn registry_viewer() -> Vec<PolicyRule> {
    vec![
        can(READ, IMAGE, IMAGE_CONTENT),
        can(&["get"], IMAGE, &["imagestreams/layers"]),
        can(&["get"], "", &["namespaces"]),
        can(&["get"], PROJECT, &["projects"]),
    ]
}
