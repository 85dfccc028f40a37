//! One authorized call on one resource, and what it is answered with.
//!
//! Owns nothing but the two types that the HTTP layer, the collection and the virtual kinds share.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use pierhead_api::meta::Status;
use pierhead_auth::{Api, Permit, Subject};
use pierhead_runtime::Secret;
use pierhead_store::Revision;
use serde_json::Value;

use crate::ResponseBody;
use crate::catalog::Resource;
use crate::collection::Selector;
use crate::error::ApiError;
use crate::kind::Verb;
use crate::ownership::Writer;
use crate::path::{Prefix, ResourcePath};
use crate::priority::{StreamTurn, TurnSlot};
use crate::query::Query;
use crate::server::Parts;
use crate::standing::Standing;
use crate::storage::{Document, Key};
use crate::strategy::Change;

/// A call that was understood and allowed.
pub(crate) struct Call {
    /// The server's parts.
    pub(crate) server: Arc<Parts>,
    /// The kind and its storage.
    pub(crate) resource: Arc<Resource>,
    /// What is done.
    pub(crate) verb: Verb,
    /// To what, exactly as it was authorized.
    pub(crate) path: ResourcePath,
    /// The query.
    pub(crate) query: Query,
    /// Who.
    pub(crate) subject: Arc<Subject>,
    /// The token they sent.
    pub(crate) bearer: Option<Secret<String>>,
    /// That it is allowed.
    pub(crate) permit: Permit<Api>,
    /// When it arrived.
    pub(crate) now: Timestamp,
    /// Whose what it writes will be.
    pub(crate) manager: String,
    /// Who is charged for it; nobody where it is empty.
    pub(crate) payer: String,
    /// Its turn. To be given back before others are waited for.
    pub(crate) turn: TurnSlot,
}

/// Subjects of this process, which write what they are there to write.
const OWN_PARTS: &str = "system:pierhead:";

impl Call {
    /// What the records of ownership are told of a write of this call, in the version `api_version` of the kind.
    pub(crate) fn writer<'a>(&'a self, api_version: &'a str) -> Writer<'a> {
        Writer {
            manager: &self.manager,
            subresource: self.path.subresource.as_deref().unwrap_or_default(),
            api_version,
            schema: &self.resource.kind.patch,
            now: self.now,
        }
    }

    /// Whether a part of this server calls.
    pub(crate) fn is_own_part(&self) -> bool {
        is_own_part(&self.subject)
    }

    /// The namespace of the path; empty without one.
    pub(crate) fn namespace(&self) -> &str {
        self.path.namespace.as_deref().unwrap_or_default()
    }

    /// The name of the path; empty without one.
    pub(crate) fn name(&self) -> &str {
        self.path.name.as_deref().unwrap_or_default()
    }

    /// The key of the object the path names.
    pub(crate) fn key(&self) -> Key {
        Key::new(self.namespace(), self.name())
    }

    /// Counts what goes on after the turn for as long as the answer is kept; 429 when the caller has too much of that.
    pub(crate) fn go_on_apart(&self) -> Result<Option<StreamTurn>, ApiError> {
        let counted = !self.payer.is_empty();
        counted.then(|| self.server.gate.stream(&self.payer)).transpose()
    }

    /// What the caller was allowed, to ask again later.
    pub(crate) fn standing(&self) -> Standing {
        Standing {
            auth: self.server.auth.clone(),
            subject: Arc::clone(&self.subject),
            bearer: self.bearer.clone(),
            attributes: self.permit.attributes().clone(),
            stop: self.server.config.tasks.stop_token(),
        }
    }

    /// What hooks are told about this call.
    pub(crate) fn change<'a>(&'a self, namespace: &'a str) -> Change<'a> {
        Change {
            subject: &self.subject,
            namespace,
            settings: &self.server.settings,
            legacy: self.path.prefix == Prefix::Legacy,
            auth: &self.server.auth,
        }
    }

    /// The selectors of the query, with the field labels of the kind and the prefix.
    pub(crate) fn selector(&self) -> Result<Selector, ApiError> {
        let text = |parameter: &str| self.query.get(parameter).unwrap_or_default();
        let old = self.path.prefix == Prefix::Legacy;
        Selector::parse(&self.resource.kind, old, text("labelSelector"), text("fieldSelector"))
    }

    /// 405 for a verb the kind lacks.
    pub(crate) fn wrong_verb(&self) -> Status {
        let kind = &self.resource.kind;
        Status::method_not_allowed(kind.plural, kind.gvk.group, self.verb.as_str())
    }

    /// 404 for an object of this kind.
    pub(crate) fn not_found(&self, name: &str) -> Status {
        let kind = &self.resource.kind;
        Status::not_found(kind.plural, kind.gvk.group, name)
    }

    /// 403 for an object of this kind, for a reason of its own.
    pub(crate) fn forbidden(&self, name: &str, why: &str) -> Status {
        let kind = &self.resource.kind;
        Status::forbidden(kind.plural, kind.gvk.group, name, why)
    }
}

/// Whether `subject` is a part of this server.
pub(crate) fn is_own_part(subject: &Subject) -> bool {
    subject.username.starts_with(OWN_PARTS)
}

/// What a call is answered with, before it is encoded.
pub(crate) enum Answer {
    /// One object.
    Object {
        /// 200 or 201.
        code: StatusCode,
        /// The object.
        document: Document,
        /// Sentences for `Warning` headers.
        warnings: Vec<String>,
    },
    /// A list.
    List(ListAnswer),
    /// A Status, of success or failure.
    Status(Box<Status>),
    /// Something already encoded.
    Response(Box<http::Response<ResponseBody>>),
}

/// A list before it is encoded.
pub(crate) struct ListAnswer {
    /// The items.
    pub(crate) items: Vec<Document>,
    /// The revision it shows.
    pub(crate) revision: Revision,
    /// How to go on.
    pub(crate) continue_token: Option<Onward>,
}

/// How a list goes on.
#[derive(Debug)]
pub(crate) struct Onward {
    /// What to ask with.
    pub(crate) token: String,
    /// How many objects are left, as far as that was counted.
    pub(crate) remaining: Option<u64>,
}

impl Answer {
    /// 200 with an object.
    pub(crate) fn ok(document: Value) -> Self {
        Self::Object { code: StatusCode::OK, document: Document::Tree(document), warnings: Vec::new() }
    }

    /// 201 with an object.
    pub(crate) fn created(document: Value) -> Self {
        Self::Object { code: StatusCode::CREATED, document: Document::Tree(document), warnings: Vec::new() }
    }

    /// A Status.
    pub(crate) fn status(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}
