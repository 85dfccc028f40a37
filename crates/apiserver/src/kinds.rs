//! The list of all kinds. Discovery, OpenAPI, the paths and the tests read it, so a kind cannot be forgotten in one of
//! them.
//!
//! Owns the order, which is the order of discovery: kube's groups first, so that unqualified names mean kube's kinds
//! (platform 11.36). What is special about a kind is in its own file.

use pierhead_auth::Auth;
use pierhead_images::Images;

use crate::kind::Kind;

mod access_reviews;
mod authentication_reviews;
mod config_maps;
mod image_streams;
mod image_tags;
mod images;
mod namespaces;
mod openshift_reviews;
pub(crate) mod project_requests;
mod projects;
mod service_accounts;
mod token_requests;
mod users;

/// Every kind this server has. Kinds of images keep their objects in `images`.
pub(crate) fn all(images: &Images, auth: &Auth) -> Vec<Kind> {
    // Kube's kinds.
    let mut kinds = vec![config_maps::kind(), namespaces::kind(), service_accounts::kind()];
    kinds.extend(authentication_reviews::kinds());
    kinds.extend(access_reviews::kinds());
    // OpenShift's kinds.
    kinds.extend(openshift_reviews::kinds());
    kinds.push(image_streams::kind(images, auth));
    kinds.extend(image_streams::lookups());
    kinds.extend(image_tags::kinds(images, auth));
    kinds.extend(images::kinds(images));
    kinds.extend([project_requests::kind(), projects::kind()]);
    kinds.push(users::kind());
    kinds
}
