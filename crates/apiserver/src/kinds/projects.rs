//! Projects: namespaces as their members see them (platform 3.2).
//!
//! Owns the view of namespaces, that lists and watches show only what a user may see, and what may change through it:
//! the two annotations for people. Making one for a user is `project_requests`.

use std::sync::Arc;

use pierhead_api::core::Namespace;
use pierhead_api::field::FieldErrors;
use pierhead_api::project::Project;
use pierhead_auth::{Attributes, Auth, Subject};
use serde_json::Value;

use super::namespaces::{keep_built_in, wait_for_finalizers};
use crate::kind::{Kind, Verb, View};
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Projects)
        .verbs(&[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch])
        .view_of::<Namespace>(NamespaceView)
        .visible(is_member)
        .fields(&[("status.phase", "/status/phase")])
        .holds_deletion(wait_for_finalizers)
        .admit(keep_built_in)
        .openshift()
}

/// Lists show the projects whose namespace a user may get.
fn is_member(auth: &Auth, subject: &Arc<Subject>, name: &str) -> bool {
    let attributes = Attributes::new("get", "", "namespaces").namespace(name).name(name);
    auth.allowed(subject, &attributes).allowed
}

/// A project has the fields of a namespace under another name.
struct NamespaceView;

impl View for NamespaceView {
    fn shown(&self, mut stored: Value) -> Value {
        stored["apiVersion"] = "project.openshift.io/v1".into();
        stored["kind"] = "Project".into();
        stored
    }

    fn stored(&self, mut shown: Value) -> Value {
        shown["apiVersion"] = "v1".into();
        shown["kind"] = "Namespace".into();
        shown
    }
}

struct Projects;

impl Strategy for Projects {
    type Object = Project;

    fn prepare_create(&self, project: &mut Project, _: &Change<'_>) {
        let mut namespace = Namespace { metadata: project.metadata.clone(), ..Namespace::default() };
        namespace.set_defaults();
        *project = Project::from(&namespace);
    }

    fn prepare_update(&self, project: &mut Project, old: &Project, _: &Change<'_>) {
        project.spec.clone_from(&old.spec);
        project.status.clone_from(&old.status);
    }

    fn validate(&self, project: &Project, _: &Change<'_>) -> FieldErrors {
        project.validate()
    }

    fn validate_update(&self, project: &Project, old: &Project, _: &Change<'_>) -> FieldErrors {
        project.validate_update(old)
    }
}
