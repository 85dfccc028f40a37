//! What roles of the system hold: image pushers and pullers, the registry, the router, deployers, builders.

use pierhead_api::rbac::PolicyRule;

use super::rules::{
    APPS, AUTHORIZATION, BUILD, IMAGE, KUBE_AUTHENTICATION, KUBE_AUTHORIZATION, OAUTH, READ, ROUTE, can,
    can_in, can_named,
};
use crate::Era;

pub(super) fn image_puller() -> Vec<PolicyRule> {
    vec![can(&["get"], IMAGE, &["imagestreams/layers"])]
}

pub(super) fn image_pusher() -> Vec<PolicyRule> {
    vec![can(&["get", "update"], IMAGE, &["imagestreams/layers"])]
}

/// In era 3.2 only cluster administrators hold `update builds/details`, so only they may grant this role.
pub(super) fn image_builder(era: Era) -> Vec<PolicyRule> {
    let mut rules = image_pusher();
    rules.push(can(&["create"], IMAGE, &["imagestreams"]));
    rules.push(can(&["update"], BUILD, &["builds/details"]));
    if era == Era::V4 {
        rules.push(can(&["get"], BUILD, &["builds"]));
    }
    rules
}

pub(super) fn image_pruner(era: Era) -> Vec<PolicyRule> {
    let mut rules = vec![
        can(&["get", "list"], "", &["pods", "replicationcontrollers"]),
        can(&["list"], "", &["limitranges"]),
        can(&["get", "list"], BUILD, &["buildconfigs", "builds"]),
        can(&["get", "list"], APPS, &["deploymentconfigs"]),
        can(&["delete"], IMAGE, &["images"]),
        can(&["get", "list"], IMAGE, &["images", "imagestreams"]),
        can(&["update"], IMAGE, &["imagestreams/status"]),
    ];
    if era == Era::V4 {
        rules.extend([
            can(&["get", "list"], "batch", &["jobs", "cronjobs"]),
            can(&["get", "list"], "apps", &["daemonsets", "deployments", "replicasets", "statefulsets"]),
            can(&["watch"], IMAGE, &["images", "imagestreams"]),
        ]);
    }
    rules
}

pub(super) fn image_signer() -> Vec<PolicyRule> {
    vec![
        can(&["get"], IMAGE, &["images", "imagestreams/layers"]),
        can(&["create", "delete"], IMAGE, &["imagesignatures"]),
    ]
}

pub(super) fn image_auditor() -> Vec<PolicyRule> {
    vec![can(&["get", "list", "watch", "patch", "update"], IMAGE, &["images"])]
}

pub(super) fn registry(era: Era) -> Vec<PolicyRule> {
    let mut rules = vec![
        can(&["list"], "", &["limitranges", "resourcequotas"]),
        can(&["get", "delete"], IMAGE, &["images", "imagestreamtags"]),
        can(&["get"], IMAGE, &["imagestreamimages", "imagestreams/secrets"]),
        can(&["get", "update"], IMAGE, &["imagestreams"]),
        can(&["create"], IMAGE, &["imagestreammappings"]),
    ];
    if era == Era::V4 {
        rules.extend([
            can(&["get"], IMAGE, &["imagestreams/layers"]),
            can(&["update", "create"], IMAGE, &["images"]),
            can(
                &["list"],
                "config.openshift.io",
                &["imagecontentpolicies", "imagedigestmirrorsets", "imagetagmirrorsets"],
            ),
            can(&["list"], "operator.openshift.io", &["imagecontentsourcepolicies"]),
            can(&["create"], KUBE_AUTHORIZATION, &["subjectaccessreviews"]),
        ]);
    }
    rules
}

/// What a deployment's own service account needs; the later, wider form in both eras.
pub(super) fn deployer() -> Vec<PolicyRule> {
    vec![
        can(&["get", "list", "watch", "patch", "update"], "", &["replicationcontrollers"]),
        can(&["get", "update"], "", &["replicationcontrollers/scale"]),
        can(&["get", "list", "watch", "create"], "", &["pods"]),
        can(&["get"], "", &["pods/log"]),
        can(&["create", "list"], "", &["events"]),
        can(&["create", "update"], IMAGE, &["imagestreamtags", "imagetags"]),
    ]
}

pub(super) fn router(era: Era) -> Vec<PolicyRule> {
    let mut rules = vec![
        can(&["list", "watch"], "", &["endpoints", "services"]),
        can(&["list", "watch"], "discovery.k8s.io", &["endpointslices"]),
        can(&["list", "watch"], ROUTE, &["routes"]),
        can(&["update"], ROUTE, &["routes/status"]),
    ];
    if era == Era::V4 {
        rules.push(can(&["create"], KUBE_AUTHENTICATION, &["tokenreviews"]));
        rules.push(can(&["create"], KUBE_AUTHORIZATION, &["subjectaccessreviews"]));
    }
    rules
}

pub(super) fn sudoer(era: Era) -> Vec<PolicyRule> {
    let mut rules = vec![PolicyRule {
        resources: vec!["systemusers".to_owned(), "users".to_owned()],
        ..can_named(&["impersonate"], "user.openshift.io", "users", &["system:admin"])
    }];
    if era == Era::V4 {
        let groups = PolicyRule {
            resources: vec!["systemgroups".to_owned(), "groups".to_owned()],
            ..can_named(&["impersonate"], "user.openshift.io", "groups", &["system:masters"])
        };
        rules.push(groups);
    }
    rules
}

pub(super) fn scope_impersonation() -> Vec<PolicyRule> {
    let key = "userextras/scopes.authorization.openshift.io";
    vec![can_in(&["impersonate"], &["", KUBE_AUTHENTICATION], &[key])]
}

pub(super) fn oauth_token_deleter() -> Vec<PolicyRule> {
    vec![can(&["delete"], OAUTH, &["oauthaccesstokens", "oauthauthorizetokens"])]
}

pub(super) fn webhook() -> Vec<PolicyRule> {
    vec![can(&["get", "create"], BUILD, &["buildconfigs/webhooks"])]
}

pub(super) fn build_strategy(resource: &str) -> Vec<PolicyRule> {
    vec![can(&["create"], BUILD, &[resource])]
}

pub(super) fn self_access_reviewer() -> Vec<PolicyRule> {
    vec![
        can(&["create"], AUTHORIZATION, &["selfsubjectrulesreviews"]),
        can(&["create"], KUBE_AUTHORIZATION, &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
    ]
}

/// Roles, bindings and what else says who may do what, to read.
pub(super) fn policy_reader() -> Vec<PolicyRule> {
    let kinds = ["roles", "rolebindings", "clusterroles", "clusterrolebindings"];
    vec![
        can(READ, "rbac.authorization.k8s.io", &kinds),
        can(READ, AUTHORIZATION, &kinds),
        can(
            READ,
            AUTHORIZATION,
            &[
                "policies",
                "policybindings",
                "clusterpolicies",
                "clusterpolicybindings",
                "rolebindingrestrictions",
            ],
        ),
    ]
}
