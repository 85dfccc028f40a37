//! The list of all kinds. Discovery, OpenAPI, the paths and the tests read it, so a kind cannot be forgotten in one of
//! them.
//!
//! Owns the order, which is the order of discovery: kube's groups first, so that unqualified names mean kube's kinds
//! (platform 11.36). What is special about a kind is in its own file.

use pierhead_images::Images;

use crate::kind::Kind;

mod access_reviews;
mod authentication_reviews;
mod config_maps;
mod namespaces;
mod openshift_reviews;
pub(crate) mod project_requests;
mod projects;
pub(crate) mod token_requests;

/// Every kind this server has. Kinds of images keep their objects in `images`.
pub(crate) fn all(_images: &Images) -> Vec<Kind> {
    // Kube's kinds.
    let mut kinds = vec![config_maps::kind(), namespaces::kind()];
    kinds.extend(authentication_reviews::kinds());
    kinds.extend(access_reviews::kinds());
    // OpenShift's kinds.
    kinds.extend(openshift_reviews::kinds());
    kinds.extend([project_requests::kind(), projects::kind()]);
    kinds
}
