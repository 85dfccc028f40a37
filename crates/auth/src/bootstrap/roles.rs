//! The list of cluster roles by name.

use pierhead_api::rbac::PolicyRule;

use super::ClusterRole;
use super::project_roles::{admin, edit, registry_admin, registry_editor, registry_viewer, view};
use super::rules::{
    AUTHORIZATION, IMAGE, KUBE_AUTHORIZATION, OAUTH, PROJECT, QUOTA, RBAC, READ, SECURITY, TEMPLATE, USER,
    can, can_named, visit,
};
use super::system_roles::{
    build_strategy, deployer, image_auditor, image_builder, image_pruner, image_puller, image_pusher,
    image_signer, oauth_token_deleter, policy_reader, registry, router, scope_impersonation,
    self_access_reviewer, sudoer, webhook,
};
use crate::Era;

const TO_ADMIN: &str = "aggregate-to-admin";
const TO_EDIT: &str = "aggregate-to-edit";
const TO_VIEW: &str = "aggregate-to-view";
const TO_CLUSTER_READER: &str = "aggregate-to-cluster-reader";

pub(super) fn cluster_roles(era: Era) -> Vec<ClusterRole> {
    let labelled = |name, rules, labels| ClusterRole { name, rules, aggregates: None, labels };
    let plain = |name, rules| labelled(name, rules, &[]);
    let aggregated =
        |name, rules, label, labels| ClusterRole { name, rules, aggregates: Some(label), labels };
    // What is a part of what in era 4; before, these stood alone.
    let part = |labels: &'static [&'static str]| if era == Era::V4 { labels } else { &[] };
    vec![
        plain("cluster-admin", crate::everything()),
        labelled("system:openshift:aggregate-to-admin", admin(era), &[TO_ADMIN]),
        labelled("system:openshift:aggregate-to-edit", edit(era), &[TO_EDIT]),
        labelled("system:openshift:aggregate-to-view", view(era), &[TO_VIEW]),
        labelled("system:openshift:aggregate-to-cluster-reader", cluster_reader(era), &[TO_CLUSTER_READER]),
        aggregated("admin", admin(era), TO_ADMIN, &[]),
        aggregated("edit", edit(era), TO_EDIT, &[TO_ADMIN]),
        aggregated("view", view(era), TO_VIEW, &[TO_EDIT, TO_CLUSTER_READER]),
        aggregated("cluster-reader", cluster_reader(era), TO_CLUSTER_READER, &[]),
        labelled("registry-admin", registry_admin(era), part(&[TO_ADMIN])),
        labelled("registry-editor", registry_editor(era), part(&[TO_EDIT])),
        labelled("registry-viewer", registry_viewer(), part(&[TO_VIEW])),
        plain("basic-user", basic_user()),
        plain("self-access-reviewer", self_access_reviewer()),
        plain("self-provisioner", vec![can(&["create"], PROJECT, &["projectrequests"])]),
        plain("cluster-status", vec![visit(STATUS_PATHS), visit(DISCOVERY_PATHS)]),
        plain("sudoer", sudoer(era)),
        plain("system:image-puller", image_puller()),
        plain("system:image-pusher", image_pusher()),
        labelled("system:image-builder", image_builder(era), part(&[TO_ADMIN, TO_EDIT])),
        plain("system:image-pruner", image_pruner(era)),
        plain("system:image-signer", image_signer()),
        plain("system:image-auditor", image_auditor()),
        plain("system:registry", registry(era)),
        plain("system:deployer", deployer()),
        plain("system:router", router(era)),
        plain("system:scope-impersonation", scope_impersonation()),
        plain("system:oauth-token-deleter", oauth_token_deleter()),
        plain("system:webhook", webhook()),
        plain("system:discovery", vec![visit(DISCOVERY_PATHS)]),
        plain("system:openshift:discovery", vec![visit(DISCOVERY_PATHS)]),
        plain("system:public-info-viewer", vec![visit(PUBLIC_PATHS)]),
        plain("system:service-account-issuer-discovery", vec![visit(ISSUER_PATHS)]),
        plain("system:build-strategy-docker", build_strategy("builds/docker")),
        plain("system:build-strategy-custom", build_strategy("builds/custom")),
        plain("system:build-strategy-source", build_strategy("builds/source")),
        plain("system:build-strategy-jenkinspipeline", build_strategy("builds/jenkinspipeline")),
    ]
}

const DISCOVERY_PATHS: &[&str] = &[
    "/",
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/oapi",
    "/oapi/*",
    "/osapi",
    "/osapi/*",
    "/openapi",
    "/openapi/*",
    "/swagger.json",
    "/swaggerapi",
    "/swaggerapi/*",
    "/version",
    "/version/*",
];
const STATUS_PATHS: &[&str] = &["/healthz", "/healthz/*", "/livez", "/livez/*", "/readyz", "/readyz/*"];
const PUBLIC_PATHS: &[&str] =
    &["/healthz", "/livez", "/readyz", "/version", "/version/", "/version/openshift", "/.well-known/*"];
const ISSUER_PATHS: &[&str] = &["/.well-known/openid-configuration", "/openid/v1/jwks"];

pub(super) fn shared_resource_viewer() -> Vec<PolicyRule> {
    vec![
        can(READ, TEMPLATE, &["templates"]),
        can(READ, IMAGE, &["imagestreams", "imagestreamtags", "imagestreamimages", "imagetags"]),
        can(&["get"], IMAGE, &["imagestreams/layers"]),
    ]
}

/// What every user may do: know oneself, one's projects and one's rights.
fn basic_user() -> Vec<PolicyRule> {
    let mut rules = vec![
        can_named(&["get"], USER, "users", &["~"]),
        can(&["list"], PROJECT, &["projectrequests"]),
        can(&["list", "watch"], PROJECT, &["projects"]),
        can(&["get", "list"], AUTHORIZATION, &["clusterroles"]),
        can(READ, RBAC, &["clusterroles"]),
        can(READ, "storage.k8s.io", &["storageclasses"]),
        can(&["get", "list", "watch", "delete"], OAUTH, &["useroauthaccesstokens"]),
    ];
    // Who am I: not for callers who are nobody, whom `whoami` must refuse.
    rules.push(can(&["create"], "authentication.k8s.io", &["selfsubjectreviews"]));
    rules.extend(self_access_reviewer());
    rules
}

/// Reading the whole cluster but secrets and tokens.
fn cluster_reader(era: Era) -> Vec<PolicyRule> {
    let mut rules = view(era);
    rules.extend(policy_reader());
    rules.extend([
        can(READ, "", &["nodes", "nodes/status", "persistentvolumes", "componentstatuses", "podtemplates"]),
        can(READ, IMAGE, &["images", "imagesignatures"]),
        can(&["get"], IMAGE, &["imagestreams/layers"]),
        can(READ, PROJECT, &["projects", "projectrequests"]),
        can(READ, QUOTA, &["clusterresourcequotas"]),
        can(READ, USER, &["groups", "identities", "users", "useridentitymappings"]),
        can(READ, OAUTH, &["oauthclientauthorizations"]),
        can(READ, SECURITY, &["securitycontextconstraints"]),
        can(READ, "storage.k8s.io", &["storageclasses", "volumeattachments"]),
        can(READ, "apiextensions.k8s.io", &["customresourcedefinitions"]),
        can(READ, "apiregistration.k8s.io", &["apiservices"]),
        can(
            &["create"],
            AUTHORIZATION,
            &[
                "localresourceaccessreviews",
                "localsubjectaccessreviews",
                "resourceaccessreviews",
                "selfsubjectrulesreviews",
                "subjectaccessreviews",
                "subjectrulesreviews",
            ],
        ),
        can(
            &["create"],
            KUBE_AUTHORIZATION,
            &["localsubjectaccessreviews", "selfsubjectaccessreviews", "subjectaccessreviews"],
        ),
        visit(&["*"]),
    ]);
    rules
}
