//! Project requests: how a user without rights on namespaces gets one of their own (platform 3.1).
//!
//! Owns the template of a new project (namespace, the requester's binding, the bindings and service accounts every
//! project has), written in one transaction, and the wait until its service accounts have their secrets, which the
//! controllers make: the next command of a user needs them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use pierhead_api::core::{Namespace, ServiceAccount};
use pierhead_api::meta::{ObjectMeta, Status, Time};
use pierhead_api::project::{DESCRIPTION, DISPLAY_NAME, Project, ProjectRequest, REQUESTER};
use pierhead_api::rbac::{RoleBinding, RoleRef, Subject as BindingSubject};
use pierhead_api::{Object, from_value, to_value};
use pierhead_auth::subject::service_account_of;
use pierhead_auth::{Attributes, Era, Subject};
use pierhead_store::KeyRange;
use pierhead_store::objects::{OBJECTS, ObjectKey};
use serde_json::Value;
use tracing::warn;
use uuid::Uuid;

use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb};
use crate::metadata;
use crate::query::{DryRun, WriteOptions};
use crate::server::Parts;
use crate::storage::objects::put;

const GROUP: &str = "project.openshift.io";
/// The service accounts of every project.
pub(crate) const ACCOUNTS: [&str; 3] = ["default", "builder", "deployer"];

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::calls::<ProjectRequest>(&[Verb::Create, Verb::List], ProjectRequests).openshift()
}

struct ProjectRequests;

impl Connect for ProjectRequests {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        async move {
            match body {
                None => may_request(call),
                Some(document) => create(call, &document).await,
            }
        }
        .boxed()
    }
}

/// `GET projectrequests`: whether the caller may make one, as a Status.
fn may_request(call: &Call) -> Result<Answer, ApiError> {
    let attributes = Attributes::new("create", GROUP, "projectrequests");
    if call.server.auth.allowed(&call.subject, &attributes).allowed {
        return Ok(Answer::status(Status { code: 200, ..Status::success() }));
    }
    Err(call.server.config.project_requests.refusal().into())
}

async fn create(call: &Call, document: &Value) -> Result<Answer, ApiError> {
    let request: ProjectRequest =
        from_value(document).map_err(|error| Status::bad_request(error.to_string()))?;
    let errors = request.validate();
    let name = request.metadata.name.clone();
    if !errors.is_empty() {
        return Err(Status::invalid("ProjectRequest", GROUP, &name, &errors).into());
    }
    if call.server.settings.era == Era::V4
        && let Some(why) = request.reserved()
    {
        return Err(Status::forbidden("project", GROUP, &name, why).into());
    }
    let is_dry = WriteOptions::parse(&call.query, "CreateOptions")?.dry_run == DryRun::All;
    // Whoever is refused here costs no other writer anything.
    let limits = &call.server.config.project_requests.limits;
    call.server
        .store
        .read(|tx| {
            let scan = |range: &KeyRange| tx.scan(&OBJECTS, range, usize::MAX);
            limits.check(&call.subject.username, |key| tx.get(&OBJECTS, key), scan)
        })?
        .map_err(|why| over_limit(&name, &why))?;
    if is_dry {
        // Whose the existing one is, and what it is like, is not the caller's to know.
        if call.server.object("namespaces", "", &name)?.is_some() {
            return Err(already_exists(&name, call.server.settings.era));
        }
        let project = Project::from(&namespace(&request, &call.subject, call.now));
        return Ok(Answer::created(to_value(&project)));
    }
    store(call, &name, template(&request, &call.subject, call.now)).await?;
    wait_for_secrets(&call.server, &name).await?;
    let project = match call.server.object("namespaces", "", &name)? {
        Some(stored) => {
            Project::from(&from_value::<Namespace>(&stored).map_err(|error| ApiError::internal(&error))?)
        }
        None => Project::from(&namespace(&request, &call.subject, call.now)),
    };
    Ok(Answer::created(to_value(&project)))
}

/// Writes all objects of a new project, or none. Whether its requester may have it is seen in the same transaction, so
/// that no two requests take the last place.
async fn store(call: &Call, name: &str, objects: Vec<(ObjectKey, Value)>) -> Result<(), ApiError> {
    let era = call.server.settings.era;
    let (server, requester) = (Arc::clone(&call.server), Arc::clone(&call.subject));
    let name = name.to_owned();
    call.server
        .store
        .write(move |tx| -> Result<(), ApiError> {
            let limits = &server.config.project_requests.limits;
            let scan = |range: &KeyRange| tx.scan(&OBJECTS, range, usize::MAX);
            limits
                .check(&requester.username, |key| tx.get(&OBJECTS, key), scan)?
                .map_err(|why| over_limit(&name, &why))?;
            if tx.get(&OBJECTS, &ObjectKey::new("namespaces", "", name.as_str()))?.is_some() {
                return Err(already_exists(&name, era));
            }
            for (key, object) in &objects {
                put(tx, key, object.clone())?;
            }
            Ok(())
        })
        .await
}

fn over_limit(name: &str, why: &str) -> ApiError {
    Status::forbidden("projectrequests", GROUP, name, why).into()
}

/// The singular, as clients of either era expect (platform 11.39).
fn already_exists(name: &str, era: Era) -> ApiError {
    let group = if era == Era::V4 { GROUP } else { "" };
    Status::already_exists("project", group, name).into()
}

fn namespace(request: &ProjectRequest, requester: &Subject, now: Timestamp) -> Namespace {
    let annotations = [
        (DESCRIPTION, request.description.as_str()),
        (DISPLAY_NAME, request.display_name.as_str()),
        (REQUESTER, requester.username.as_str()),
    ];
    let mut namespace = Namespace {
        metadata: ObjectMeta {
            labels: request.metadata.labels.clone(),
            annotations: annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..new_metadata("", &request.metadata.name, now)
        },
        ..Namespace::default()
    };
    namespace.set_defaults();
    namespace
}

fn new_metadata(namespace: &str, name: &str, now: Timestamp) -> ObjectMeta {
    ObjectMeta {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        uid: Uuid::new_v4().to_string(),
        creation_timestamp: Some(Time(now).to_second()),
        annotations: BTreeMap::new(),
        ..ObjectMeta::default()
    }
}

/// Every object of a new project with its key.
fn template(request: &ProjectRequest, requester: &Subject, now: Timestamp) -> Vec<(ObjectKey, Value)> {
    let project = request.metadata.name.as_str();
    let key = |object: &dyn Fn() -> (String, String)| {
        let (resource, name) = object();
        ObjectKey::new(resource, project, name)
    };
    let admin = RoleBinding {
        metadata: new_metadata(project, "admin", now),
        subjects: vec![binding_subject(&requester.username)],
        role_ref: RoleRef::cluster_role("admin"),
    };
    let mut objects = vec![
        (ObjectKey::new("namespaces", "", project), to_value(&namespace(request, requester, now))),
        (key(&|| (RoleBinding::qualified_resource(), "admin".to_owned())), to_value(&admin)),
    ];
    objects.extend(members(project, now));
    objects
}

fn binding_subject(username: &str) -> BindingSubject {
    match service_account_of(username) {
        Some((namespace, name)) => BindingSubject::service_account(namespace, name),
        None => BindingSubject::user(username),
    }
}

/// The bindings and service accounts every namespace has, with keys.
pub(crate) fn members(namespace: &str, now: Timestamp) -> Vec<(ObjectKey, Value)> {
    let mut objects = Vec::new();
    for mut binding in pierhead_auth::bootstrap::project_bindings(namespace) {
        let name = metadata::text(&binding, "name").to_owned();
        stamp(&mut binding, namespace, now);
        objects.push((ObjectKey::new(RoleBinding::qualified_resource(), namespace, name), binding));
    }
    for account in ACCOUNTS {
        let object =
            ServiceAccount { metadata: new_metadata(namespace, account, now), ..ServiceAccount::default() };
        objects.push((ObjectKey::new(ServiceAccount::PLURAL, namespace, account), to_value(&object)));
    }
    objects
}

/// Gives an object that the server makes itself its uid, time and namespace.
pub(crate) fn stamp(document: &mut Value, namespace: &str, now: Timestamp) {
    let metadata = metadata::of_mut(document);
    if !namespace.is_empty() {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    metadata.insert("uid".to_owned(), Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".to_owned(), Time(now).to_string().into());
}

/// Waits until each service account of the project has a secret with a token and one to pull with. The project is
/// there whatever happens: after the limit the answer is given without.
async fn wait_for_secrets(server: &Parts, project: &str) -> Result<(), ApiError> {
    let mut revisions = server.store.subscribe();
    let limit = tokio::time::sleep(server.config.project_wait);
    tokio::pin!(limit);
    loop {
        revisions.borrow_and_update();
        let mut complete = true;
        for account in ACCOUNTS {
            complete &= has_secrets(server, project, account)?;
        }
        if complete {
            return Ok(());
        }
        tokio::select! {
            changed = revisions.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
            () = &mut limit => {
                warn!(%project, "The service accounts of project {project} have no secrets yet; answering without");
                return Ok(());
            }
        }
    }
}

fn has_secrets(server: &Parts, project: &str, account: &str) -> Result<bool, ApiError> {
    let Some(document) = server.object(ServiceAccount::PLURAL, project, account)? else { return Ok(false) };
    let count = |field: &str| document[field].as_array().map_or(0, Vec::len);
    Ok(count("secrets") >= 2 && count("imagePullSecrets") >= 1)
}
