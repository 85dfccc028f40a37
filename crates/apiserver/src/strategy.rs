//! What a kind is, as code: pure hooks around the verbs, typed by the kind's object.
//!
//! Owns the [`Strategy`] trait that every stored kind implements, what a hook is told about the write ([`Change`]), and
//! the adapter that lets the untyped collection call typed hooks without downcasts. Hooks read no clock and ask nothing
//! but what else the caller may do: other look-ups belong to admission.

use std::sync::Arc;

use pierhead_api::field::FieldErrors;
use pierhead_api::{DecodeError, Object, from_value, from_value_strict, to_value};
use pierhead_auth::{Attributes, Auth, Era, Subject};
use serde_json::Value;

/// The settings hooks may depend on.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The suffix of generated route hosts, such as `apps.example.com`.
    pub(crate) route_domain: String,
    /// Which OpenShift we imitate where the two differ.
    pub(crate) era: Era,
}

/// Who changes an object, and what else they may do.
pub(crate) struct Change<'a> {
    /// Who asks.
    pub(crate) subject: &'a Arc<Subject>,
    /// The namespace of the object; empty for cluster-scoped kinds.
    pub(crate) namespace: &'a str,
    /// The server's settings.
    pub(crate) settings: &'a Settings,
    /// Whether the path is one of 2016, under `/oapi/v1`.
    pub(crate) legacy: bool,
    pub(crate) auth: &'a Auth,
}

impl Change<'_> {
    /// True when the subject may also do `verb` on `resource` (`routes/custom-host`) of `group` in this namespace.
    pub(crate) fn may(&self, verb: &str, group: &str, resource: &str) -> bool {
        let attributes = Attributes::new(verb, group, resource).namespace(self.namespace);
        self.auth.allowed(self.subject, &attributes).allowed
    }
}

/// The hooks of a stored kind. Each default does nothing.
///
/// Order on create: `prepare_create`, `validate`, `warnings`, store. On update: the main resource first gets the old
/// status back where the kind has a status subresource, then `prepare_update`, `validate_update`, `warnings`, store.
/// Metadata (uid, times, generation, resourceVersion, finalizers) is the collection's business, not a hook's.
pub(crate) trait Strategy: Send + Sync + 'static {
    /// The object of the kind.
    type Object: Object;

    /// Fills defaults and clears what clients may not set, before an object is created.
    fn prepare_create(&self, _object: &mut Self::Object, _change: &Change<'_>) {}

    /// Fills defaults and restores what may not change, before an object is replaced.
    fn prepare_update(&self, _object: &mut Self::Object, _old: &Self::Object, _change: &Change<'_>) {}

    /// The same for the status subresource: `object` is `old` with the new status.
    fn prepare_status(&self, _object: &mut Self::Object, _old: &Self::Object, _change: &Change<'_>) {}

    /// What is wrong with a new object, metadata included: the `validate` of the `api` type says it.
    fn validate(&self, _object: &Self::Object, _change: &Change<'_>) -> FieldErrors {
        FieldErrors::default()
    }

    /// What is wrong with a changed object.
    fn validate_update(
        &self,
        object: &Self::Object,
        _old: &Self::Object,
        change: &Change<'_>,
    ) -> FieldErrors {
        self.validate(object, change)
    }

    /// What is wrong with a new status.
    fn validate_status(
        &self,
        _object: &Self::Object,
        _old: &Self::Object,
        _change: &Change<'_>,
    ) -> FieldErrors {
        FieldErrors::default()
    }

    /// Sentences for `Warning` headers.
    fn warnings(&self, _object: &Self::Object) -> Vec<String> {
        Vec::new()
    }
}

/// What came of a hook run.
#[derive(Debug)]
pub(crate) struct Hooked {
    /// The object after the hooks.
    pub(crate) document: Value,
    /// What is wrong with it.
    pub(crate) errors: FieldErrors,
    /// What to warn of.
    pub(crate) warnings: Vec<String>,
}

/// Which part of an object a write replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything but the status.
    Main,
    /// The status.
    Status,
    /// The finalizers of a namespace's spec, which end its life.
    Finalize,
    /// Both, computed by a call of ours from what was stored; never a document of a client.
    Computed,
    /// The node of a pod, by a binding: rules of updates do not hold for it.
    Placed,
}

/// A [`Strategy`] that can be called with untyped documents.
pub(crate) trait Hooks: Send + Sync + 'static {
    /// Reads a document into the kind's type and writes it again. Also names the fields that got lost.
    fn canonical(&self, document: &Value) -> Result<(Value, Vec<String>), DecodeError>;
    /// Runs the hooks of a create.
    fn create(&self, document: &Value, change: &Change<'_>) -> Result<Hooked, DecodeError>;
    /// Runs the hooks of an update.
    fn update(
        &self,
        document: &Value,
        old: &Value,
        part: Part,
        change: &Change<'_>,
    ) -> Result<Hooked, DecodeError>;
}

/// The one adapter between the two.
pub(crate) struct Typed<S>(pub(crate) S);

impl<S: Strategy> Hooks for Typed<S> {
    fn canonical(&self, document: &Value) -> Result<(Value, Vec<String>), DecodeError> {
        let (object, unknown) = from_value_strict::<S::Object>(document)?;
        Ok((to_value(&object), unknown))
    }

    fn create(&self, document: &Value, change: &Change<'_>) -> Result<Hooked, DecodeError> {
        let mut object: S::Object = from_value(document)?;
        self.0.prepare_create(&mut object, change);
        let errors = self.0.validate(&object, change);
        Ok(Hooked { document: to_value(&object), errors, warnings: self.0.warnings(&object) })
    }

    fn update(
        &self,
        document: &Value,
        old: &Value,
        part: Part,
        change: &Change<'_>,
    ) -> Result<Hooked, DecodeError> {
        let mut object: S::Object = from_value(document)?;
        let old: S::Object = from_value(old)?;
        let errors = match part {
            Part::Main | Part::Computed => {
                self.0.prepare_update(&mut object, &old, change);
                self.0.validate_update(&object, &old, change)
            }
            Part::Status => {
                self.0.prepare_status(&mut object, &old, change);
                self.0.validate_status(&object, &old, change)
            }
            Part::Finalize | Part::Placed => FieldErrors::default(),
        };
        Ok(Hooked { document: to_value(&object), errors, warnings: self.0.warnings(&object) })
    }
}
