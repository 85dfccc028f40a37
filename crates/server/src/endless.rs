//! Answers of the API that go on for as long as the client likes, watches and followed logs: they end when the server is
//! to stop, at the end of what was written, as they do when their time is over. Others are finished.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use pierhead_runtime::CancellationToken;
use pierhead_runtime::listen::BoxError;

type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Whether a request asks for an answer without an end.
pub(crate) fn is_endless<B>(request: &Request<B>) -> bool {
    let asked = request.uri().query().unwrap_or_default().split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        matches!(name, "watch" | "follow") && !matches!(value, "0" | "false")
    });
    asked || request.uri().path().split('/').any(|part| part == "watch")
}

/// The same answer, until `stop` fires.
pub(crate) fn until(answer: Response<Body>, stop: CancellationToken) -> Response<Body> {
    let stopped = Box::pin(stop.cancelled_owned());
    answer.map(|body| StreamBody::new(BodyStream::new(body).take_until(stopped)).boxed_unsync())
}

#[cfg(test)]
mod tests {
    use super::{is_endless, until};
    use bytes::Bytes;
    use futures_util::{StreamExt as _, stream};
    use http::{Request, Response};
    use http_body_util::{BodyExt as _, StreamBody};
    use hyper::body::Frame;
    use pierhead_runtime::CancellationToken;
    use pierhead_runtime::listen::BoxError;

    #[test]
    fn watches_and_followed_logs_have_no_end() {
        let check = |uri: &str, expected: bool| {
            let request = Request::get(uri).body(()).unwrap();
            assert_eq!(is_endless(&request), expected, "{uri}");
        };
        check("/api/v1/pods", false);
        check("/api/v1/pods?watch=true&resourceVersion=1", true);
        check("/api/v1/pods?resourceVersion=1&watch=1", true);
        check("/api/v1/pods?watch=false", false);
        check("/api/v1/watch/namespaces/shop/pods", true);
        check("/api/v1/namespaces/shop/pods/web/log?follow=true", true);
        check("/api/v1/namespaces/shop/pods/web/log", false);
        check("/api/v1/pods?labelSelector=watch", false);
    }

    #[tokio::test]
    async fn an_answer_ends_with_the_server_after_what_was_written() {
        let first = stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"line\n")))]);
        let body = StreamBody::new(first.chain(stream::pending())).boxed_unsync();
        let stop = CancellationToken::new();
        let mut body = until(Response::new(body), stop.clone()).into_body();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "line\n");
        stop.cancel();
        assert!(body.frame().await.is_none());
    }
}
