//! A request on its way in, up to where nothing more is expected of its sender: who asks for what, whether they may, the
//! body, and a turn.
//!
//! Owns the order of these steps. The turn comes last: whoever sends slowly holds up nobody. What a body takes up while
//! it arrives and waits is counted by the gate.

use std::sync::Arc;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::request::Parts as Head;
use http::{Method, Response};
use http_body::Body as _;
use pierhead_api::Object as _;
use pierhead_api::meta::Status;
use pierhead_api::project::ProjectRequest;
use pierhead_auth::subject::MASTERS;
use pierhead_auth::{Attributes, Denied, network};
use pierhead_runtime::listen::ConnectionInfo;

use super::respond::{Encoder, Style};
use super::{Exchange, about, body, denied, dispatch};
use crate::audit::Note;
use crate::authenticate::{self, Caller};
use crate::call::Call;
use crate::error::ApiError;
use crate::kind::{Kind, Verb};
use crate::ownership::manager_of;
use crate::path::{self, ResourcePath, Target};
use crate::priority::{Held, Turn, TurnSlot};
use crate::query::Query;
use crate::server::Parts;
use crate::{RequestBody, ResponseBody, oauth};

/// A request of which only the head is known to be there.
pub(super) struct Incoming {
    pub(super) head: Head,
    pub(super) body: RequestBody,
    pub(super) query: Query,
}

/// A request that is there and whose turn it is.
pub(super) enum Work {
    /// Of the OAuth flow, whose caller is not known yet.
    OAuth { head: Head, form: Bytes, _held: Held, _turn: Turn },
    /// On a resource, and allowed.
    Resource(Box<(Call, Exchange, Option<Held>)>),
    /// On what the server says of itself.
    About { target: Target, caller: Caller, head: Head, query: Query, _turn: Option<Turn> },
}

impl Work {
    /// Whether it is to be done although nobody is there to hear of it.
    pub(super) fn outlives_sender(&self, note: &Note) -> bool {
        // Of OAuth, what is asked for by GET gives tokens out too.
        matches!(self, Self::OAuth { .. }) || note.writes()
    }

    /// Does it.
    pub(super) async fn run(self, server: &Arc<Parts>) -> Result<Response<ResponseBody>, ApiError> {
        match self {
            Self::OAuth { head, form, .. } => Ok(oauth::serve(server, head, form).await),
            Self::Resource(work) => {
                let (call, exchange, _held) = *work;
                // A watch keeps its call; with its head it has had its turn.
                let turn = call.turn.clone();
                let answered = dispatch(call, exchange).await;
                turn.give_back();
                let (answer, encoder) = answered?;
                encoder.respond(answer)
            }
            Self::About { target, caller, head, query, .. } => {
                about::answer(server, &caller, &target, &head, &query)
            }
        }
    }
}

/// Awaits a request. The record gets to know as much as is known when that fails.
pub(super) async fn receive(
    server: &Arc<Parts>,
    incoming: Incoming,
    note: &mut Note,
) -> Result<Work, ApiError> {
    let target = path::parse(incoming.head.uri.path());
    if target == Target::OAuth {
        let Incoming { head, body, .. } = incoming;
        let payer = stranger(&head);
        let mut held = server.gate.hold(&payer)?;
        let form = body::collect(body, oauth::MAX_FORM, Some(&mut held)).await?;
        let turn = server.gate.enter(&payer).await?;
        return Ok(Work::OAuth { head, form, _held: held, _turn: turn });
    }
    if let Target::Resource(path) = &target {
        // Before anybody is refused: the record says what they wanted.
        note_target(server, note, path, &incoming);
    }
    let caller = authenticate::caller(&server.auth, &incoming.head, note)?;
    let payer = payer(&caller, note, &incoming.head);
    match target {
        Target::Resource(path) => resource(server, (caller, payer), path, incoming).await,
        target => {
            let turn = match (&target, payer.as_str()) {
                (Target::Health, _) | (_, "") => None,
                (_, payer) => Some(server.gate.enter(payer).await?),
            };
            let Incoming { head, query, .. } = incoming;
            Ok(Work::About { target, caller, head, query, _turn: turn })
        }
    }
}

/// Who is charged for a request: whoever sent it, under whatever name they act. Nobody for administrators and parts of
/// this server, who need not wait.
fn payer(caller: &Caller, note: &Note, head: &Head) -> String {
    let sender = note.caller.as_ref().unwrap_or(&caller.subject);
    if sender.is_in(MASTERS) {
        String::new()
    } else if sender.is_anonymous() {
        stranger(head)
    } else {
        sender.username.clone()
    }
}

/// Where a request of nobody in particular comes from.
fn stranger(head: &Head) -> String {
    let connection = head.extensions.get::<ConnectionInfo>();
    connection
        .map_or_else(|| "anonymous".to_owned(), |connection| format!("at {}", network(connection.peer.ip())))
}

fn note_target(server: &Parts, note: &mut Note, path: &ResourcePath, incoming: &Incoming) {
    let found = server.catalog.find(&path.prefix, &path.resource);
    if let Ok(verb) = verb_of(&incoming.head.method, path, &incoming.query) {
        let attributes = attributes(found.map(|resource| &resource.kind), verb, path, &incoming.query);
        note.about(verb.as_str(), &attributes.group, path);
    }
}

async fn resource(
    server: &Arc<Parts>,
    (caller, payer): (Caller, String),
    path: ResourcePath,
    incoming: Incoming,
) -> Result<Work, ApiError> {
    let Incoming { head, body, query } = incoming;
    let style = Style::read(&head.headers, &query)?;
    let found = server.catalog.find(&path.prefix, &path.resource).cloned();
    let verb = verb_of(&head.method, &path, &query)?;
    let attributes = attributes(found.as_ref().map(|resource| &resource.kind), verb, &path, &query);
    let permit = server.auth.authorize(&caller.subject, &attributes);
    let permit = permit.map_err(|refused| refusal(server, refused))?;
    let resource = found.ok_or_else(|| unknown_resource(&attributes))?;
    check_scope(&resource.kind, verb, &path)?;
    let encoder = Encoder::new(style, &resource.kind, &path.prefix, server.clock.now());
    let agent = head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let agent = agent.or_else(|| caller.subject.username.strip_prefix("system:")).unwrap_or_default();
    let manager = manager_of(query.get("fieldManager"), &agent.replace(':', "-")).into_owned();
    let (body, held) = match verb {
        Verb::Get | Verb::List | Verb::Watch => (Bytes::new(), None),
        Verb::Create | Verb::Update | Verb::Patch | Verb::Delete | Verb::DeleteCollection => {
            let is_counted = !payer.is_empty() && !body.is_end_stream();
            let mut held = is_counted.then(|| server.gate.hold(&payer)).transpose()?;
            (body::collect(body, body::MAX_BODY, held.as_mut()).await?, held)
        }
    };
    let turn = match payer.as_str() {
        "" => TurnSlot::default(),
        payer => server.gate.enter(payer).await?.into(),
    };
    let call = Call {
        server: Arc::clone(server),
        resource,
        verb,
        path,
        query,
        subject: caller.subject,
        bearer: caller.bearer,
        permit,
        now: server.clock.now(),
        manager,
        payer,
        turn,
    };
    Ok(Work::Resource(Box::new((call, Exchange { head, body, encoder }, held))))
}

/// 403; in the administrator's words where they have some for who may not ask for projects.
fn refusal(server: &Parts, refused: Denied) -> ApiError {
    let Attributes { verb, resource, subresource, .. } = &*refused.attributes;
    let requests = &server.config.project_requests;
    let is_request = verb == "create" && resource == ProjectRequest::PLURAL && subresource.is_empty();
    if is_request && requests.message.is_some() { requests.refusal().into() } else { denied(refused) }
}

/// 404 for a resource there is none of. It names what was asked for: without that, clients of 2016 take a missing
/// `imagestreamimports` for an older server and wait for something that never comes (images 1.3).
fn unknown_resource(attributes: &Attributes) -> ApiError {
    let mut status = Status::not_found_path();
    let details = status.details.get_or_insert_default();
    details.kind.clone_from(&attributes.resource);
    details.group.clone_from(&attributes.group);
    status.into()
}

fn verb_of(method: &Method, path: &ResourcePath, query: &Query) -> Result<Verb, ApiError> {
    let one = path.name.is_some();
    Ok(match *method {
        Method::GET if path.subresource.is_none() && (path.watch || query.flag("watch")) => Verb::Watch,
        Method::GET if one => Verb::Get,
        Method::GET => Verb::List,
        Method::POST if !one || path.subresource.is_some() => Verb::Create,
        Method::PUT if one => Verb::Update,
        Method::PATCH if one => Verb::Patch,
        Method::DELETE if one => Verb::Delete,
        Method::DELETE => Verb::DeleteCollection,
        _ => {
            return Err(
                Status::method_not_allowed(&path.resource, "", &method.as_str().to_lowercase()).into()
            );
        }
    })
}

/// What is asked, in the words of rules: always the kind's own group and plural, whatever path led to it.
fn attributes(kind: Option<&Kind>, verb: Verb, path: &ResourcePath, query: &Query) -> Attributes {
    let group = match (&path.prefix, kind) {
        (_, Some(kind)) => kind.gvk.group,
        (path::Prefix::Group { group, .. }, None) => group,
        (path::Prefix::Core | path::Prefix::Legacy, None) => "",
    };
    let plural = kind.map_or(path.resource.as_str(), |kind| kind.plural);
    let pinned = match verb {
        Verb::List | Verb::Watch | Verb::DeleteCollection => query.get("fieldSelector").and_then(pinned_name),
        Verb::Create | Verb::Delete | Verb::Get | Verb::Patch | Verb::Update => None,
    };
    Attributes::new(verb.as_str(), group, plural)
        .subresource(path.subresource.as_deref().unwrap_or_default())
        .namespace(path.namespace.as_deref().unwrap_or_default())
        .name(path.name.as_deref().or(pinned).unwrap_or_default())
}

/// The name a field selector of exactly one requirement pins, as rules with resourceNames see it.
fn pinned_name(selector: &str) -> Option<&str> {
    let value = selector.strip_prefix("metadata.name=")?;
    let value = value.strip_prefix('=').unwrap_or(value);
    (!value.is_empty() && !value.contains([',', '=', '!', '\\'])).then_some(value)
}

/// A kind of namespaces is reached through one, a kind of the cluster through none (reliability 7-F F2).
fn check_scope(kind: &Kind, verb: Verb, path: &ResourcePath) -> Result<(), ApiError> {
    match (kind.namespaced, path.namespace.is_some()) {
        (true, true) | (false, false) => Ok(()),
        (false, true) => Err(Status::not_found_path().into()),
        (true, false) => match verb {
            Verb::List | Verb::Watch if path.name.is_none() => Ok(()),
            Verb::Create | Verb::DeleteCollection => {
                Err(Status::method_not_allowed(kind.plural, kind.gvk.group, verb.as_str()).into())
            }
            _ => Err(Status::not_found_path().into()),
        },
    }
}
