//! Which group an OpenShift resource belongs to, for questions and rules from the time before groups.

/// OpenShift resources that once lived in the group `""`, with the group they have now (platform 5.3).
const OPENSHIFT: [(&str, &[&str]); 10] = [
    ("apps.openshift.io", &["deploymentconfigs", "deploymentconfigrollbacks", "generatedeploymentconfigs"]),
    (
        "authorization.openshift.io",
        &[
            "clusterrolebindings",
            "clusterroles",
            "clusterpolicies",
            "clusterpolicybindings",
            "localresourceaccessreviews",
            "localsubjectaccessreviews",
            "policies",
            "policybindings",
            "resourceaccessreviews",
            "rolebindingrestrictions",
            "rolebindings",
            "roles",
            "selfsubjectrulesreviews",
            "subjectaccessreviews",
            "subjectrulesreviews",
        ],
    ),
    ("build.openshift.io", &["buildconfigs", "buildlogs", "builds"]),
    (
        "image.openshift.io",
        &[
            "images",
            "imagesignatures",
            "imagestreamimages",
            "imagestreamimports",
            "imagestreammappings",
            "imagestreams",
            "imagestreamtags",
            "imagetags",
        ],
    ),
    (
        "oauth.openshift.io",
        &["oauthaccesstokens", "oauthauthorizetokens", "oauthclientauthorizations", "oauthclients"],
    ),
    ("project.openshift.io", &["projectrequests", "projects"]),
    ("quota.openshift.io", &["appliedclusterresourcequotas", "clusterresourcequotas"]),
    ("route.openshift.io", &["routes"]),
    ("template.openshift.io", &["processedtemplates", "templateconfigs", "templates"]),
    ("user.openshift.io", &["groups", "identities", "useridentitymappings", "users"]),
];

/// The OpenShift group of a resource (without sub-resource); `None` where it is none of OpenShift's.
pub(crate) fn group_of(resource: &str) -> Option<&'static str> {
    OPENSHIFT.iter().find(|(_, resources)| resources.contains(&resource)).map(|(group, _)| *group)
}
