//! OpenShift kinds that documents of 3.x name as `apiVersion: v1`, and the groups they live in now.

/// The group of a kind that once had none.
pub(crate) fn group_of_legacy_kind(kind: &str) -> Option<&'static str> {
    let kind = kind.strip_suffix("List").unwrap_or(kind);
    let (group, _) = KINDS.iter().find(|(_, kinds)| kinds.contains(&kind))?;
    Some(group)
}

const KINDS: [(&str, &[&str]); 10] = [
    (
        "apps.openshift.io",
        &["DeploymentConfig", "DeploymentConfigRollback", "DeploymentLog", "DeploymentRequest"],
    ),
    (
        "authorization.openshift.io",
        &[
            "ClusterRole",
            "ClusterRoleBinding",
            "LocalResourceAccessReview",
            "LocalSubjectAccessReview",
            "ResourceAccessReview",
            "Role",
            "RoleBinding",
            "RoleBindingRestriction",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
            "SubjectRulesReview",
        ],
    ),
    ("build.openshift.io", &["Build", "BuildConfig", "BuildLog", "BuildRequest"]),
    (
        "image.openshift.io",
        &[
            "Image",
            "ImageSignature",
            "ImageStream",
            "ImageStreamImage",
            "ImageStreamImport",
            "ImageStreamMapping",
            "ImageStreamTag",
            "ImageTag",
        ],
    ),
    (
        "oauth.openshift.io",
        &["OAuthAccessToken", "OAuthAuthorizeToken", "OAuthClient", "OAuthClientAuthorization"],
    ),
    ("project.openshift.io", &["Project", "ProjectRequest"]),
    ("quota.openshift.io", &["AppliedClusterResourceQuota", "ClusterResourceQuota"]),
    ("route.openshift.io", &["Route"]),
    ("template.openshift.io", &["BrokerTemplateInstance", "Template", "TemplateInstance"]),
    ("user.openshift.io", &["Group", "Identity", "User", "UserIdentityMapping"]),
];

#[cfg(test)]
mod tests {
    use super::group_of_legacy_kind;

    #[test]
    fn kinds_of_2016_have_a_group() {
        assert_eq!(group_of_legacy_kind("ImageStream"), Some("image.openshift.io"));
        assert_eq!(group_of_legacy_kind("RouteList"), Some("route.openshift.io"));
        assert_eq!(group_of_legacy_kind("ServiceAccount"), None);
    }
}
