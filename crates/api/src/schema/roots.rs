//! Which types are described, in the order of groups that gives shared types their names.

use serde_json::{Value, json};

use super::{GROUP_VERSION_KIND, Group};
use crate::{
    apps, authn, authorization, authz, config, core, events, federation, image, meta, oauth, project, quota,
    rbac, route, user,
};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Adds kinds to a group: first those that are listed, then those that are only sent and answered.
macro_rules! group {
    ($prefix:expr; $($listed:ty),* ; $($called:ty),*) => {{
        let mut group = Group::new($prefix);
        $(group.kind::<$listed>(true);)*
        $(group.kind::<$called>(false);)*
        group
    }};
}

/// All groups. Shared types are called by the first that has them.
pub(super) fn groups() -> Vec<Group> {
    let mut groups = vec![meta_types()];
    groups.extend(kube());
    groups.extend(openshift());
    groups
}

fn meta_types() -> Group {
    let mut group = Group::new(META);
    group.document::<meta::ObjectMeta>();
    group.document::<meta::ListMeta>();
    group.document::<meta::LabelSelector>();
    group.message::<meta::Status>("Status");
    group.message::<meta::DeleteOptions>("DeleteOptions");
    group.document::<meta::MicroTime>();
    group.message::<meta::APIGroup>("APIGroup");
    group.message::<meta::APIGroupList>("APIGroupList");
    group.message::<meta::APIResourceList>("APIResourceList");
    group.message::<meta::APIVersions>("APIVersions");
    group
}

fn kube() -> Vec<Group> {
    vec![
        group!("io.k8s.api.core.v1";
            core::ConfigMap, core::Endpoints, core::Event, core::LimitRange, core::Namespace, core::Node, core::Pod,
            core::ReplicationController, core::ResourceQuota, core::Secret, core::Service, core::ServiceAccount;
            core::Binding),
        group!("io.k8s.api.policy.v1"; ; core::Eviction),
        group!("io.k8s.api.autoscaling.v1"; ; core::Scale),
        group!("io.k8s.api.extensions.v1beta1"; ; core::ExtensionsScale),
        group!("io.k8s.api.rbac.v1"; rbac::Role, rbac::ClusterRole, rbac::RoleBinding, rbac::ClusterRoleBinding; ),
        group!("io.k8s.api.authentication.v1"; ; authn::SelfSubjectReview, authn::TokenRequest, authn::TokenReview),
        group!("io.k8s.api.authorization.v1"; ;
            authz::LocalSubjectAccessReview, authz::SelfSubjectAccessReview, authz::SelfSubjectRulesReview,
            authz::SubjectAccessReview),
        group!("io.k8s.api.events.v1"; events::Event; ),
    ]
}

fn openshift() -> Vec<Group> {
    vec![
        group!("com.github.openshift.api.apps.v1"; apps::DeploymentConfig;
            apps::DeploymentConfigRollback, apps::DeploymentRequest),
        group!("com.github.openshift.api.authorization.v1";
            authorization::Role, authorization::ClusterRole, authorization::RoleBinding,
            authorization::ClusterRoleBinding, authorization::Policy, authorization::PolicyBinding,
            authorization::ClusterPolicy, authorization::ClusterPolicyBinding,
            authorization::RoleBindingRestriction;
            authorization::LocalResourceAccessReview, authorization::LocalSubjectAccessReview,
            authorization::ResourceAccessReview, authorization::ResourceAccessReviewResponse,
            authorization::SelfSubjectRulesReview, authorization::SubjectAccessReview,
            authorization::SubjectAccessReviewResponse, authorization::SubjectRulesReview),
        group!("com.github.openshift.api.config.v1";
            config::ClusterVersion, config::Image, config::Ingress, config::OAuth, config::Project; ),
        group!("com.github.openshift.api.image.v1";
            image::Image, image::ImageStream, image::ImageStreamTag, image::ImageTag;
            image::ImageSignature, image::ImageStreamImage, image::ImageStreamImport, image::ImageStreamLayers,
            image::ImageStreamMapping),
        group!("com.github.openshift.api.oauth.v1";
            oauth::OAuthAccessToken, oauth::OAuthAuthorizeToken, oauth::OAuthClient,
            oauth::OAuthClientAuthorization, oauth::UserOAuthAccessToken; ),
        group!("com.github.openshift.api.project.v1"; project::Project, project::ProjectRequest; ),
        group!("com.github.openshift.api.quota.v1"; quota::AppliedClusterResourceQuota, quota::ClusterResourceQuota; ),
        group!("com.github.openshift.api.route.v1"; route::Route; ),
        group!("com.github.openshift.api.user.v1"; user::Group, user::Identity, user::User; user::UserIdentityMapping),
        group!("io.pierhead.identity.v1"; federation::FederatedIdentity; ),
    ]
}

/// Documents that are no types of ours.
pub(super) fn hand_written() -> [(&'static str, Value); 2] {
    [
        (
            "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
            json!({
                "description": "A change of an object, in the form that the content type of the request names.",
                "type": "object",
            }),
        ),
        (
            "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent",
            json!({
                "description": "What happened to an object that is watched.",
                "type": "object",
                "properties": {
                    "type": {
                        "description": "`ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.", "type": "string",
                    },
                    "object": {
                        "description": "The object after the change, or before it when it was deleted. For `ERROR` a \
                                        Status.",
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    },
                },
                "required": ["type", "object"],
                (GROUP_VERSION_KIND): [{"group": "", "version": "v1", "kind": "WatchEvent"}],
            }),
        ),
    ]
}
