//! Permission as a value: what only this crate can make, and every function that reaches content demands.
//!
//! Owns the permit and the kinds of permission. Does not decide; `Auth` does.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::{Attributes, Subject};

/// Marker: read manifests, blobs, tags of one repository.
#[derive(Debug)]
pub enum Pull {}
/// Marker: write manifests, blobs, tags of one repository; includes reading them.
#[derive(Debug)]
pub enum Push {}
/// Marker: delete manifests, tags and blobs of one repository.
#[derive(Debug)]
pub enum Delete {}
/// Marker: list the repositories of all namespaces.
#[derive(Debug)]
pub enum Catalog {}
/// Marker: create image streams in one namespace.
#[derive(Debug)]
pub enum CreateStream {}
/// Marker: one call of the API, as its attributes say.
#[derive(Debug)]
pub enum Api {}

/// Proof that `subject` was allowed what `A` says, on the named repository or object, at the time of asking.
///
/// Holding one is the only way into functions that reach content (design 3.7). A permit is for one request: it is
/// not revoked, so it must not be kept for the next one.
#[derive(Debug)]
pub struct Permit<A> {
    subject: Arc<Subject>,
    attributes: Arc<Attributes>,
    action: PhantomData<fn() -> A>,
}

impl<A> Permit<A> {
    pub(crate) const fn new(subject: Arc<Subject>, attributes: Arc<Attributes>) -> Self {
        Self { subject, attributes, action: PhantomData }
    }

    /// Who was allowed.
    pub const fn subject(&self) -> &Arc<Subject> {
        &self.subject
    }

    /// The namespace it was allowed in; empty for the cluster.
    pub fn namespace(&self) -> &str {
        &self.attributes.namespace
    }

    /// The stream or object it was allowed on; empty where the permission is not about one.
    pub fn name(&self) -> &str {
        &self.attributes.name
    }

    /// The question that was answered, in normal form.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }
}

impl Permit<Push> {
    /// The right to read that every right to write includes (images 6.3: a push is checked for both).
    pub fn pull(&self) -> Permit<Pull> {
        Permit::new(Arc::clone(&self.subject), Arc::clone(&self.attributes))
    }
}
