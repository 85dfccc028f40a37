//! The list of all kinds. Discovery, OpenAPI, the paths and the tests read it, so a kind cannot be forgotten in one of
//! them.
//!
//! Owns the order, which is the order of discovery: kube's groups first, so that unqualified names mean kube's kinds
//! (platform 11.36). What is special about a kind is in its own file.

use std::sync::Arc;

use crate::kind::Kind;
use crate::server::Parts;

mod config_maps;

/// Every kind this server has.
pub(crate) fn all(_parts: &Arc<Parts>) -> Vec<Kind> {
    vec![config_maps::kind()]
}
