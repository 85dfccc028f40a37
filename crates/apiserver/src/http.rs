//! From a request to a response: receive, one call, encode, record.
//!
//! Owns the order of these steps, what is answered when one fails, and that what is written does not depend on whether
//! its sender stays. What comes before the call is in `arrival`, the verbs are in files of their own below; what they do
//! to objects is the collection's.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::request::Parts as Head;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::upgrade::OnUpgrade;
use pierhead_api::meta::Status;
use pierhead_auth::{Attributes, Denied};
use tracing::error;

use crate::audit::Note;
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Backing, Verb};
use crate::query::Query;
use crate::server::Parts;
use crate::{RequestBody, ResponseBody};

mod about;
mod apply;
mod arrival;
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

use arrival::{Incoming, Work};
use respond::{Encoder, Style};

/// Answers one request.
pub(crate) async fn handle(parts: &Arc<Parts>, request: Request<RequestBody>) -> Response<ResponseBody> {
    let (mut head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    if is_head {
        head.method = Method::GET;
        // Only what has a body is upgraded.
        head.extensions.remove::<OnUpgrade>();
    }
    let query = Query::parse(head.uri.query());
    let style = Style::plain(&head.headers, &query);
    let mut note = Note::begin(&head, parts.clock.now());
    let received = arrival::receive(parts, Incoming { head, body, query }, &mut note).await;
    let ending = Ending { server: Arc::clone(parts), note, style, is_head };
    match received {
        Ok(work) if work.outlives_sender(&ending.note) => apart(work, ending).await,
        Ok(work) => {
            let answered = work.run(parts).await;
            ending.of(answered).await
        }
        Err(error) => ending.of(Err(error)).await,
    }
}

/// Does work that whoever goes away does not take along: what they asked for is written, and so it is to be recorded.
/// Work that panics is recorded too.
async fn apart(work: Work, ending: Ending) -> Response<ResponseBody> {
    let tasks = ending.server.config.tasks.clone();
    let work = async move {
        let work = AssertUnwindSafe(work.run(&ending.server)).catch_unwind();
        let answered = work.await.unwrap_or_else(|_| Err(ending.panicked()));
        ending.of(answered).await
    };
    let ended = tasks.see_through("API write", AssertUnwindSafe(work).catch_unwind()).await;
    ended.unwrap_or_else(|_| {
        respond::respond_bytes(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new(), "text/plain")
    })
}

/// What every answer ends with: a Status where there is none, the record, its name.
struct Ending {
    server: Arc<Parts>,
    note: Note,
    style: Style,
    is_head: bool,
}

impl Ending {
    async fn of(self, answered: Result<Response<ResponseBody>, ApiError>) -> Response<ResponseBody> {
        let mut response = answered.unwrap_or_else(|error| {
            // Why a Status could not be written was logged when its error was made.
            respond::respond_status(&self.style, error.status()).unwrap_or_else(|_| {
                respond::respond_bytes(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new(), "text/plain")
            })
        });
        if let Some((record, part)) = self.note.finished(&self.server, &response) {
            self.server.config.audit.record(record, part).await;
        }
        if let Ok(value) = self.note.id().to_string().parse() {
            response.headers_mut().insert("audit-id", value);
        }
        if self.is_head {
            return response.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync());
        }
        response
    }

    /// What is answered when the code for it gave up; where, was logged when it did.
    fn panicked(&self) -> ApiError {
        error!(request = %self.note.id(), "A write panicked, the audit log has it as {}", self.note.id());
        Status::internal("the server could not complete the request").into()
    }
}

/// What the verbs need of a request besides the call.
struct Exchange {
    head: Head,
    body: Bytes,
    encoder: Encoder,
}

async fn dispatch(call: Call, request: Exchange) -> Result<(Answer, Encoder), ApiError> {
    let Exchange { head, body, encoder } = request;
    let kind = &call.resource.kind;
    if call.path.subresource.is_some() {
        let (answer, encoder) = subresource::answer(&call, &head, &body, encoder).await?;
        return Ok((answer, encoder));
    }
    if !kind.verbs.contains(&call.verb) {
        return Err(call.wrong_verb().into());
    }
    let is_watch = call.verb == Verb::Watch && kind.watched.is_some();
    if let (Backing::Virtual(connect), false) = (&kind.backing, is_watch) {
        let document = subresource::connect_body(&call, &kind.gvk, &head, &body)?;
        return Ok((connect.call(&call, document).await?, encoder));
    }
    let answer = match call.verb {
        Verb::Get => get::answer(&call)?,
        Verb::List => list::answer(&call).await?,
        Verb::Watch => watch::answer(call, &head, encoder.clone())?,
        Verb::Create => create::answer(&call, &head, &body).await?,
        Verb::Update => update::answer(&call, &head, &body).await?,
        Verb::Patch => patch::answer(&call, &head, &body).await?,
        Verb::Delete => delete::one(&call, &head, &body).await?,
        Verb::DeleteCollection => delete::collection(&call, &head, &body).await?,
    };
    Ok((answer, encoder))
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
