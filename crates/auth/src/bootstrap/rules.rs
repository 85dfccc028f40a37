//! Short forms of rules, for the tables beside this file.

use pierhead_api::rbac::PolicyRule;

pub(super) const RW: &[&str] =
    &["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
pub(super) const READ: &[&str] = &["get", "list", "watch"];

pub(super) const APPS: &str = "apps.openshift.io";
pub(super) const AUTHORIZATION: &str = "authorization.openshift.io";
pub(super) const BUILD: &str = "build.openshift.io";
/// Our own kinds of identities.
pub(super) const IDENTITY: &str = "identity.pierhead.io";
pub(super) const IMAGE: &str = "image.openshift.io";
pub(super) const OAUTH: &str = "oauth.openshift.io";
pub(super) const PROJECT: &str = "project.openshift.io";
pub(super) const QUOTA: &str = "quota.openshift.io";
pub(super) const ROUTE: &str = "route.openshift.io";
pub(super) const SECURITY: &str = "security.openshift.io";
pub(super) const TEMPLATE: &str = "template.openshift.io";
pub(super) const USER: &str = "user.openshift.io";
pub(super) const RBAC: &str = "rbac.authorization.k8s.io";
pub(super) const KUBE_AUTHORIZATION: &str = "authorization.k8s.io";
pub(super) const KUBE_AUTHENTICATION: &str = "authentication.k8s.io";

/// Verbs on resources of one group. An OpenShift group brings the group `""` along, which it once was.
pub(super) fn can(verbs: &[&str], group: &str, resources: &[&str]) -> PolicyRule {
    let api_groups = if group.ends_with(".openshift.io") { owned(&["", group]) } else { owned(&[group]) };
    PolicyRule { verbs: owned(verbs), api_groups, resources: owned(resources), ..PolicyRule::default() }
}

/// Verbs on resources that are or were in several groups.
pub(super) fn can_in(verbs: &[&str], groups: &[&str], resources: &[&str]) -> PolicyRule {
    let api_groups = owned(groups);
    PolicyRule { verbs: owned(verbs), api_groups, resources: owned(resources), ..PolicyRule::default() }
}

/// Verbs on one object by name.
pub(super) fn can_named(verbs: &[&str], group: &str, resource: &str, names: &[&str]) -> PolicyRule {
    PolicyRule { resource_names: owned(names), ..can(verbs, group, &[resource]) }
}

/// GET on paths that are no resources.
pub(super) fn visit(paths: &[&str]) -> PolicyRule {
    PolicyRule { verbs: owned(&["get"]), non_resource_urls: owned(paths), ..PolicyRule::default() }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
