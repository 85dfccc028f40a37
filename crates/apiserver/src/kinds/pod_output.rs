//! `pods/<name>/log`: the output of a container as text (platform 8.6).
//!
//! Owns the options of the query, the choice of the container, the limit of bytes, and that output that is followed ends
//! with the right to it. The output itself comes from whoever implements [`crate::PodLogs`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use pierhead_api::core::{Container, DEFAULT_SCHEDULER, Pod};
use pierhead_api::field::FieldErrors;
use pierhead_api::from_value;
use pierhead_api::meta::Status;
use pierhead_store::{Revision, Store};
use serde_json::Value;
use tokio::time::Instant;

use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, GroupVersionKind, SubBehaviour, Subresource, Verb};
use crate::pod_logs::{LogBody, LogError, LogOptions};
use crate::priority::StreamTurn;
use crate::query::Query;
use crate::standing::{Standing, until_stopped};
use crate::{BoxError, ResponseBody};

/// The container meant by an annotation when none is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// How long output is followed before the caller's right to it is looked at again, where nothing changes.
const STANDING_TICK: Duration = Duration::from_secs(30);

/// The subresource.
pub(crate) fn subresource() -> Subresource {
    Subresource {
        name: "log",
        kind: GroupVersionKind { group: "", version: "v1", kind: "Pod" },
        verbs: &[Verb::Get],
        behaviour: SubBehaviour::Connect(Arc::new(Output)),
    }
}

struct Output;

impl Connect for Output {
    fn call<'a>(&'a self, call: &'a Call, _: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        async move { show(call, call.name(), &call.query).await }.boxed()
    }
}

/// The output of a container of the pod `name`, as `query` asks for it.
pub(crate) async fn show(call: &Call, name: &str, query: &Query) -> Result<Answer, ApiError> {
    let document = call
        .server
        .object("pods", call.namespace(), name)?
        .ok_or_else(|| Status::not_found("pods", "", name))?;
    let pod: Pod = from_value(&document).map_err(|error| ApiError::internal(&error))?;
    let mut options = read_options(name, query)?;
    options.container = container_of(&pod, &options.container)?;
    let scheduler = pod.spec.scheduler_name.as_str();
    if pod.spec.node_name.is_empty() && ["", DEFAULT_SCHEDULER].contains(&scheduler) {
        return Ok(text(stream::empty().boxed()));
    }
    let Some(logs) = &call.server.config.pod_logs else {
        return Err(Status::service_unavailable("nobody keeps the output of containers here").into());
    };
    let (limit, follows) = (options.limit_bytes, options.follow);
    let turn = if follows { call.go_on_apart()? } else { None };
    match logs.log(pod, options).await {
        Ok(body) => {
            let stop = call.server.config.tasks.stop_token();
            let body = match follows {
                true => until_stopped(Followed::start(body, call, turn), stop).boxed(),
                false => body,
            };
            Ok(text(match limit {
                None => body,
                Some(limit) => cut(body, limit),
            }))
        }
        Err(LogError::NotFound { message }) => {
            Err(Status { message, ..Status::not_found("pods/log", "", name) }.into())
        }
        Err(LogError::BadRequest { message }) => Err(Status::bad_request(message).into()),
        Err(LogError::Unavailable { message }) => Err(Status::service_unavailable(message).into()),
    }
}

/// The options of a query; what is wrong with them as field errors.
fn read_options(name: &str, query: &Query) -> Result<LogOptions, ApiError> {
    let mut errors = FieldErrors::new();
    let mut number = |field: &str, least: i64| -> Option<i64> {
        let text = query.get(field)?;
        match text.parse() {
            Ok(number) if number >= least => Some(number),
            Ok(number) => {
                let number: i64 = number;
                errors.invalid(field, number, format!("must be greater than or equal to {least}"));
                None
            }
            Err(_) => {
                errors.invalid(field, text, "must be a number");
                None
            }
        }
    };
    let (since_seconds, tail_lines, limit_bytes) =
        (number("sinceSeconds", 1), number("tailLines", 0), number("limitBytes", 1));
    let since_time = match query.get("sinceTime").map(str::parse::<jiff::Timestamp>) {
        Some(Ok(time)) => Some(time),
        Some(Err(error)) => {
            errors.invalid("sinceTime", query.get("sinceTime").unwrap_or_default(), error.to_string());
            None
        }
        None => None,
    };
    if since_seconds.is_some() && since_time.is_some() {
        errors.forbidden("sinceSeconds", "at most one of `sinceTime` or `sinceSeconds` may be specified");
    }
    if !errors.is_empty() {
        return Err(Status::invalid("PodLogOptions", "", name, &errors).into());
    }
    Ok(LogOptions {
        container: query.get("container").unwrap_or_default().to_owned(),
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        since_seconds,
        since_time,
        timestamps: query.flag("timestamps"),
        tail_lines: tail_lines.and_then(|lines| lines.try_into().ok()),
        limit_bytes: limit_bytes.and_then(|bytes| bytes.try_into().ok()),
    })
}

/// The container that is meant: the one named, or the only one there is.
fn container_of(pod: &Pod, wanted: &str) -> Result<String, ApiError> {
    let name = &pod.metadata.name;
    if !wanted.is_empty() {
        return match pod.spec.container(wanted) {
            Some(container) => Ok(container.name.clone()),
            None => {
                Err(Status::bad_request(format!("container {wanted} is not valid for pod {name}")).into())
            }
        };
    }
    if let Some(marked) = pod.metadata.annotation(DEFAULT_CONTAINER)
        && pod.spec.container(marked).is_some()
    {
        return Ok(marked.to_owned());
    }
    let names = |containers: &[Container]| {
        containers.iter().map(|container| container.name.as_str()).collect::<Vec<_>>().join(" ")
    };
    match pod.spec.containers.as_slice() {
        [only] => Ok(only.name.clone()),
        several => {
            let mut message = format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                names(several)
            );
            if !pod.spec.init_containers.is_empty() {
                let init = names(&pod.spec.init_containers);
                message.push_str(&format!(" or one of the init containers: [{init}]"));
            }
            Err(Status::bad_request(message).into())
        }
    }
}

/// Output that is followed, as long as the caller may have it.
struct Followed {
    body: LogBody,
    standing: Standing,
    store: Store,
    /// The state in which the caller last had the right.
    asked_at: Revision,
    /// When they are asked for again though nothing happened: tokens also end by themselves.
    tick: Instant,
    _turn: Option<StreamTurn>,
}

impl Followed {
    fn start(body: LogBody, call: &Call, turn: Option<StreamTurn>) -> LogBody {
        let store = call.server.store.clone();
        let (asked_at, tick) = (store.revision(), Instant::now() + STANDING_TICK);
        let followed = Self { body, standing: call.standing(), store, asked_at, tick, _turn: turn };
        stream::unfold(followed, |mut followed| async move {
            let piece = followed.next().await?;
            Some((piece, followed))
        })
        .boxed()
    }

    /// The next piece; `None` when there is none, or when it is not the caller's any more.
    async fn next(&mut self) -> Option<Result<Bytes, BoxError>> {
        loop {
            let piece = tokio::time::timeout_at(self.tick, self.body.next()).await;
            let revision = self.store.revision();
            if revision != self.asked_at || Instant::now() >= self.tick {
                if !self.standing.holds() {
                    return None;
                }
                (self.asked_at, self.tick) = (revision, Instant::now() + STANDING_TICK);
            }
            if let Ok(piece) = piece {
                return piece;
            }
        }
    }
}

/// The first `limit` bytes of a body.
fn cut(body: LogBody, limit: u64) -> LogBody {
    stream::unfold((body, limit), |(mut body, left)| async move {
        if left == 0 {
            return None;
        }
        let piece = match body.next().await? {
            Ok(piece) => piece,
            Err(error) => return Some((Err(error), (body, 0))),
        };
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let piece: Bytes = piece.slice(..take);
        let left = left - piece.len() as u64;
        Some((Ok(piece), (body, left)))
    })
    .boxed()
}

/// 200 with text as it comes.
pub(crate) fn text(body: LogBody) -> Answer {
    let frames = body.map(|piece| piece.map(Frame::data));
    let mut response: Response<ResponseBody> = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    Answer::Response(Box::new(response))
}

#[cfg(test)]
mod tests {
    use pierhead_api::core::Pod;
    use pierhead_api::from_value;
    use serde_json::json;

    use super::{container_of, read_options};
    use crate::query::Query;

    #[test]
    fn the_container_is_named_or_the_only_one() {
        let pod = |containers: &[&str], annotation: Option<&str>| -> Pod {
            let containers: Vec<_> = containers.iter().map(|name| json!({"name": name})).collect();
            let mut metadata = json!({"name": "p"});
            if let Some(name) = annotation {
                metadata["annotations"] = json!({super::DEFAULT_CONTAINER: name});
            }
            let init = [json!({"name": "i"})];
            from_value(
                &json!({"metadata": metadata, "spec": {"containers": containers, "initContainers": init}}),
            )
            .unwrap()
        };
        let check = |pod: Pod, wanted: &str, expected: Result<&str, &str>| {
            let found = container_of(&pod, wanted).map_err(|error| error.status().message.clone());
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        };
        check(pod(&["a"], None), "", Ok("a"));
        check(pod(&["a", "b"], None), "b", Ok("b"));
        check(pod(&["a", "b"], Some("b")), "", Ok("b"));
        check(pod(&["a"], None), "i", Ok("i"));
        check(pod(&["a"], None), "z", Err("container z is not valid for pod p"));
        check(
            pod(&["a", "b"], None),
            "",
            Err(
                "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]",
            ),
        );
    }

    #[test]
    fn options_are_checked() {
        let read = |query: &str| {
            read_options("p", &Query::parse(Some(query))).map_err(|error| error.status().message.clone())
        };
        let options = read("follow=true&tailLines=0&sinceSeconds=5&timestamps=1").unwrap();
        assert!(options.follow && options.timestamps && !options.previous);
        assert_eq!((options.tail_lines, options.since_seconds), (Some(0), Some(5)));
        let check = |query: &str, text: &str| {
            let message = read(query).unwrap_err();
            assert_eq!(message, format!("PodLogOptions \"p\" is invalid: {text}"));
        };
        check("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0");
        check("limitBytes=x", "limitBytes: Invalid value: \"x\": must be a number");
        check(
            "sinceSeconds=1&sinceTime=2016-05-01T12:00:00Z",
            "sinceSeconds: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        );
    }
}
