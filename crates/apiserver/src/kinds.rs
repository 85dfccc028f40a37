//! The list of all kinds. Discovery, OpenAPI, the paths and the tests read it, so a kind cannot be forgotten in one of
//! them.
//!
//! Owns the order, which is the order of discovery: kube's groups first, so that unqualified names mean kube's kinds
//! (platform 11.36). What is special about a kind is in its own file.

use pierhead_auth::Auth;
use pierhead_images::Images;

use crate::kind::Kind;

mod absent_workloads;
mod access_reviews;
mod authentication_reviews;
mod cluster_config;
mod config_maps;
mod deployment_configs;
mod endpoints;
mod events;
mod federated_identities;
mod grants;
mod groups;
mod identities;
mod image_stream_imports;
mod image_streams;
mod image_tags;
mod images;
mod namespaces;
mod nodes;
mod oauth_client_authorizations;
mod oauth_clients;
mod oauth_tokens;
mod openshift_reviews;
mod openshift_roles;
mod pod_accounts;
mod pod_bindings;
mod pod_images;
mod pod_limits;
mod pod_output;
mod pods;
mod policies;
pub(crate) mod project_requests;
mod projects;
mod quotas;
mod rbac_bindings;
mod rbac_roles;
mod replication_controllers;
mod role_binding_restrictions;
mod routes;
mod secrets;
mod service_accounts;
pub(crate) mod services;
mod token_requests;
mod user_identity_mappings;
mod user_oauth_access_tokens;
mod users;

pub(crate) use events::core_form as event_core_form;

/// Every kind this server has. Kinds of images keep their objects in `images`.
pub(crate) fn all(images: &Images, auth: &Auth) -> Vec<Kind> {
    // Kube's kinds.
    let mut kinds = vec![pod_bindings::kind(), config_maps::kind(), namespaces::kind(), nodes::kind()];
    kinds.extend([pods::kind(), replication_controllers::kind(), service_accounts::kind()]);
    kinds.extend(quotas::of_kube());
    kinds.extend([endpoints::kind(), events::kind(), secrets::kind(), services::kind()]);
    kinds.extend([rbac_roles::roles(), rbac_roles::cluster_roles()]);
    kinds.extend([rbac_bindings::role_bindings(), rbac_bindings::cluster_role_bindings()]);
    kinds.extend(authentication_reviews::kinds());
    kinds.extend(access_reviews::kinds());
    kinds.push(events::renamed());
    kinds.extend(absent_workloads::kinds());
    // OpenShift's kinds.
    kinds.extend(deployment_configs::kinds());
    kinds.extend(openshift_reviews::kinds());
    kinds.extend(openshift_roles::kinds());
    kinds.extend(policies::kinds());
    kinds.push(role_binding_restrictions::kind());
    kinds.push(image_streams::kind(images, auth));
    kinds.extend(image_streams::lookups());
    kinds.push(image_stream_imports::kind());
    kinds.extend(image_tags::kinds(images, auth));
    kinds.extend(images::kinds(images));
    kinds.extend([project_requests::kind(), projects::kind()]);
    kinds.extend(quotas::of_openshift());
    kinds.push(routes::kind());
    kinds.extend([oauth_clients::kind(), oauth_client_authorizations::kind()]);
    kinds.extend([oauth_tokens::access_tokens(), oauth_tokens::authorize_tokens()]);
    kinds.push(user_oauth_access_tokens::kind());
    kinds.push(federated_identities::kind());
    kinds.extend([users::kind(), groups::kind(), identities::kind(), user_identity_mappings::kind()]);
    // Last, so that `images` means those of image streams.
    kinds.extend(cluster_config::kinds());
    kinds
}
