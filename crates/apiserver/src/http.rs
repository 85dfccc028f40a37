//! From a request to a response: parse, authenticate, authorize, one call, encode.
//!
//! Owns the order of these steps and what is answered when one fails. The verbs are in files of their own below; what
//! they do to objects is the collection's.

use std::sync::Arc;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::request::Parts as Head;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use pierhead_api::meta::Status;
use pierhead_auth::subject::MASTERS;
use pierhead_auth::{Attributes, Denied};
use pierhead_runtime::listen::ConnectionInfo;

use crate::audit::Note;
use crate::authenticate::{self, Caller};
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Backing, Kind, Verb};
use crate::ownership::manager_of;
use crate::path::{self, ResourcePath, Target};
use crate::query::Query;
use crate::server::Parts;
use crate::{RequestBody, ResponseBody, oauth};

mod about;
mod apply;
pub(crate) mod body;
mod create;
mod delete;
mod description;
mod get;
mod list;
pub(crate) mod negotiate;
mod patch;
pub(crate) mod respond;
mod subresource;
mod update;
mod watch;

use respond::{Encoder, Style};

/// Answers one request.
pub(crate) async fn handle(parts: &Arc<Parts>, request: Request<RequestBody>) -> Response<ResponseBody> {
    let (mut head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    if is_head {
        head.method = Method::GET;
    }
    let query = Query::parse(head.uri.query());
    let style = Style::plain(&head.headers, &query);
    let mut note = Note::begin(&head, parts.clock.now());
    let mut response = match answer(parts, Incoming { head, body, query }, &mut note).await {
        Ok(response) => response,
        // Why a Status could not be written was logged when its error was made.
        Err(error) => respond::respond_status(&style, error.status()).unwrap_or_else(|_| {
            respond::respond_bytes(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new(), "text/plain")
        }),
    };
    note.finish(parts, &response);
    if let Ok(value) = note.id().to_string().parse() {
        response.headers_mut().insert("audit-id", value);
    }
    if is_head {
        return response.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync());
    }
    response
}

async fn answer(
    server: &Arc<Parts>,
    incoming: Incoming,
    note: &mut Note,
) -> Result<Response<ResponseBody>, ApiError> {
    let target = path::parse(incoming.head.uri.path());
    if target == Target::OAuth {
        // Whoever sends a form slowly does so without a turn: it is small, and others need the turn.
        let bytes = body::collect_up_to(incoming.body, oauth::MAX_FORM).await?;
        let _turn = server.gate.enter(&stranger(&incoming.head)).await?;
        return Ok(oauth::serve(server, incoming.head, bytes).await);
    }
    if let Target::Resource(path) = &target {
        // Before anybody is refused: the record says what they wanted.
        note_target(server, note, path, &incoming);
    }
    let caller = authenticate::caller(&server.auth, &incoming.head, note)?;
    let payer = payer(&caller, note, &incoming.head);
    let _turn = match (&target, payer.as_str()) {
        (Target::Health, _) | (_, "") => None,
        (_, payer) => Some(server.gate.enter(payer).await?),
    };
    match target {
        Target::Resource(path) => resource(server, (caller, payer), path, incoming).await,
        target => about::answer(server, &caller, &target, &incoming.head, &incoming.query),
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
    connection.map_or_else(|| "anonymous".to_owned(), |connection| format!("at {}", connection.peer.ip()))
}

fn note_target(server: &Parts, note: &mut Note, path: &ResourcePath, incoming: &Incoming) {
    let found = server.catalog.find(&path.prefix, &path.resource);
    if let Ok(verb) = verb_of(&incoming.head.method, path, &incoming.query) {
        let attributes = attributes(found.map(|resource| &resource.kind), verb, path, &incoming.query);
        note.about(verb.as_str(), &attributes.group, path);
    }
}

/// The rest of a request whose path and caller are known.
struct Incoming {
    head: Head,
    body: RequestBody,
    query: Query,
}

async fn resource(
    server: &Arc<Parts>,
    (caller, payer): (Caller, String),
    path: ResourcePath,
    incoming: Incoming,
) -> Result<Response<ResponseBody>, ApiError> {
    let style = Style::read(&incoming.head.headers, &incoming.query)?;
    let found = server.catalog.find(&path.prefix, &path.resource).cloned();
    let verb = verb_of(&incoming.head.method, &path, &incoming.query)?;
    let attributes = attributes(found.as_ref().map(|resource| &resource.kind), verb, &path, &incoming.query);
    let permit = server.auth.authorize(&caller.subject, &attributes).map_err(denied)?;
    let resource = found.ok_or_else(|| unknown_resource(&attributes))?;
    check_scope(&resource.kind, verb, &path)?;
    let encoder = Encoder::new(style, &resource.kind, &path.prefix, server.clock.now());
    let agent = incoming.head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let agent = agent.or_else(|| caller.subject.username.strip_prefix("system:")).unwrap_or_default();
    let manager = manager_of(incoming.query.get("fieldManager"), &agent.replace(':', "-")).into_owned();
    let call = Call {
        server: Arc::clone(server),
        resource,
        verb,
        path,
        query: incoming.query,
        subject: caller.subject,
        bearer: caller.bearer,
        permit,
        now: server.clock.now(),
        manager,
        payer,
    };
    let request = Exchange { head: incoming.head, body: incoming.body, encoder };
    let (answer, encoder) = dispatch(call, request).await?;
    encoder.respond(answer)
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

/// What the verbs need of a request besides the call.
struct Exchange {
    head: Head,
    body: RequestBody,
    encoder: Encoder,
}

async fn dispatch(call: Call, request: Exchange) -> Result<(Answer, Encoder), ApiError> {
    let Exchange { head, body, encoder } = request;
    let kind = &call.resource.kind;
    if call.path.subresource.is_some() {
        let (answer, encoder) = subresource::answer(&call, &head, body, encoder).await?;
        return Ok((answer, encoder));
    }
    if !kind.verbs.contains(&call.verb) {
        return Err(Status::method_not_allowed(kind.plural, kind.gvk.group, call.verb.as_str()).into());
    }
    let is_watch = call.verb == Verb::Watch && kind.watched.is_some();
    if let (Backing::Virtual(connect), false) = (&kind.backing, is_watch) {
        let document = subresource::connect_body(&call, &kind.gvk, &head, body).await?;
        return Ok((connect.call(&call, document).await?, encoder));
    }
    let answer = match call.verb {
        Verb::Get => get::answer(&call)?,
        Verb::List => list::answer(&call).await?,
        Verb::Watch => watch::answer(call, &head, encoder.clone())?,
        Verb::Create => create::answer(&call, &head, body).await?,
        Verb::Update => update::answer(&call, &head, body).await?,
        Verb::Patch => patch::answer(&call, &head, body).await?,
        Verb::Delete => delete::one(&call, &head, body).await?,
        Verb::DeleteCollection => delete::collection(&call, &head, body).await?,
    };
    Ok((answer, encoder))
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

/// A refusal of `auth` as a Status; the sentence is `auth`'s.
pub(crate) fn denied(denied: Denied) -> ApiError {
    let Attributes { resource, group, name, path, .. } = &*denied.attributes;
    let mut status = match path {
        Some(_) => Status::forbidden_message(""),
        None => Status::forbidden(resource, group, name, ""),
    };
    status.message = denied.to_string();
    status.into()
}

/// The subresource a call names; 404 where the kind has none of that name, 405 for a verb it lacks.
fn subresource_of(call: &Call) -> Result<&crate::kind::Subresource, ApiError> {
    let kind = &call.resource.kind;
    let name = call.path.subresource.as_deref().unwrap_or_default();
    let sub = kind.subresources.iter().find(|sub| sub.name == name).ok_or_else(Status::not_found_path)?;
    if sub.verbs.contains(&call.verb) {
        return Ok(sub);
    }
    let plural = format!("{}/{name}", kind.plural);
    Err(Status::method_not_allowed(&plural, kind.gvk.group, call.verb.as_str()).into())
}
