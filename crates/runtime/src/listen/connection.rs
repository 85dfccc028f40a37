//! HTTP on one established connection.
//!
//! Owns the choice between HTTP/1.1 and HTTP/2, window and buffer sizes, and what happens when a handler panics or the
//! process stops. Does not know where the bytes come from.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::activity::{Activity, HeadTimer, Running};
use super::watched::Watched;
use super::{BoxError, ConnectionInfo, Limits, Stream};

/// Length of the HTTP/2 preface: until that much was read, the protocol may still be unknown.
const PREFACE_BYTES: u64 = 24;
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
const SEND_BUFFER: usize = 1024 * 1024;
const HTTP2_FRAME: u32 = 64 * 1024;
const HTTP2_STREAMS: u32 = 250;
const HTTP2_PING_EVERY: Duration = Duration::from_secs(30);

/// Speaks HTTP on `stream` until the client is done, a deadline passes, or `stop` fires and the running requests end.
///
/// Each request carries `info` in its extensions. Upgrades (101) are possible on HTTP/1.1.
pub fn serve_stream<S, H, F, B>(
    stream: S,
    info: ConnectionInfo,
    handler: H,
    limits: &Limits,
    stop: CancellationToken,
) -> BoxFuture<'static, ()>
where
    S: Stream,
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    converse(Box::new(stream), info, boxed(handler), limits.clone(), stop).boxed()
}

/// A handler of any type. Protocols take it in this form, so that they are compiled once and not for every handler.
pub(super) type Handler =
    Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<BoxedBody>> + Send + Sync>;

type BoxedBody = UnsyncBoxBody<Bytes, BoxError>;

pub(super) fn boxed<H, F, B>(handler: H) -> Handler
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Arc::new(move |request| {
        handler(request).map(|response| response.map(|body| body.map_err(Into::into).boxed_unsync())).boxed()
    })
}

/// As [`serve_stream`], for a stream and a handler of which only the behaviour is known.
pub(super) async fn converse(
    stream: Box<dyn Stream>,
    info: ConnectionInfo,
    handler: Handler,
    limits: Limits,
    stop: CancellationToken,
) {
    let activity = Arc::new(Activity::new());
    let peer = info.peer;
    let builder = builder(info.tls.as_ref().map(|tls| tls.http2), &limits, &activity);
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let service = service_fn({
        let activity = Arc::clone(&activity);
        move |mut request: Request<Incoming>| {
            let running = activity.request_began(&request);
            request.extensions_mut().insert(info.clone());
            answer(Arc::clone(&handler), request, running)
        }
    });
    let mut connection = pin!(builder.serve_connection_with_upgrades(stream, service));
    let mut look = pin!(tokio::time::sleep(limits.request_head));
    // HTTP/1 gives up by itself before that; HTTP/2 answers pings and would stay.
    let patience = limits.idle + limits.request_head;
    let (mut stopping, mut began) = (false, false);
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = look.as_mut(), if !stopping || !began => {
                if !began && activity.requests() == 0 && activity.bytes() < PREFACE_BYTES {
                    debug!(%peer, "Connection from {peer} sent no request in time");
                    return;
                }
                began = true;
                if stopping {
                    continue;
                }
                let rests_until = activity.rests_since().unwrap_or_else(Instant::now) + patience;
                if rests_until <= Instant::now() {
                    debug!(%peer, "Connection from {peer} asks nothing any more");
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                } else {
                    look.as_mut().reset(rests_until);
                }
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "Connection from {peer} ended early");
    }
}

fn builder(chosen: Option<bool>, limits: &Limits, activity: &Arc<Activity>) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(HeadTimer { activity: Arc::clone(activity), head: limits.request_head, idle: limits.idle })
        .header_read_timeout(limits.request_head)
        .max_buf_size(limits.head_bytes.max(8 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(HTTP2_FRAME)
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(HTTP2_PING_EVERY)
        .keep_alive_timeout(limits.request_head);
    match chosen {
        Some(true) => builder.http2_only(),
        Some(false) => builder.http1_only(),
        None => builder,
    }
}

/// Runs the handler; a panic becomes 500 for this request and leaves the connection usable.
async fn answer(
    handler: Handler,
    request: Request<Incoming>,
    running: Running,
) -> Result<Response<impl Body<Data = Bytes, Error = BoxError>>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match AssertUnwindSafe(async { handler(request).await }).catch_unwind().await {
        Ok(response) => {
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                running.is_upgraded();
            }
            // Errors are rare; the closure is there to be dropped with the body.
            let held = move |error| {
                let _held: &Running = &running;
                error
            };
            Ok(response.map(|body| Either::Left(body.map_err(held))))
        }
        Err(_) => {
            error!(%method, path, "Handler panicked on {method} {path}");
            let body = Either::Right(Full::new(Bytes::from_static(b"internal server error\n")));
            let mut response = Response::new(body);
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
            Ok(response)
        }
    }
}
