//! Answers that the router gives itself, without a backend.
//!
//! Owns their exact form (`openshift-platform.md` 7.4). Nothing that a client sent appears in them unescaped.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, LOCATION, PRAGMA};
use http::{HeaderName, HeaderValue, Response, StatusCode, Version};
use http_body_util::Full;

const UNAVAILABLE: &str = "<html>
  <head>
    <meta charset=\"utf-8\">
    <title>Application is not available</title>
    <style>body { font-family: sans-serif; max-width: 40em; margin: 4em auto; color: #333; }</style>
  </head>
  <body>
    <h1>Application is not available</h1>
    <p>The application is currently not serving requests at this address. It may not have been started, or it is
    still starting.</p>
    <p>If you expected something here:</p>
    <ul>
      <li><strong>The host does not exist.</strong> Check that the host name was typed right and that a route for it
      exists.</li>
      <li><strong>The host exists, but has no matching path.</strong> Check the path in the address.</li>
      <li><strong>Route and path match, but all pods are down.</strong> Check that what the route leads to has at
      least one pod that is ready.</li>
      <li><strong>The route speaks the other protocol.</strong> Try http instead of https, or the reverse.</li>
    </ul>
  </body>
</html>
";

/// No route, no endpoint, or a route that does not serve this protocol: `HTTP/1.0 503`.
pub(crate) fn unavailable() -> Response<Full<Bytes>> {
    closing(StatusCode::SERVICE_UNAVAILABLE, "text/html", Bytes::from_static(UNAVAILABLE.as_bytes()))
}

/// The backend broke off before a complete answer.
pub(crate) fn bad_gateway() -> Response<Full<Bytes>> {
    closing(StatusCode::BAD_GATEWAY, "text/plain", Bytes::from_static(b"the backend gave no valid answer\n"))
}

/// Neither side sent anything for longer than the route allows.
pub(crate) fn gateway_timeout() -> Response<Full<Bytes>> {
    closing(
        StatusCode::GATEWAY_TIMEOUT,
        "text/plain",
        Bytes::from_static(b"the backend did not answer in time\n"),
    )
}

/// The request names no host, several, or one that is not a host.
pub(crate) fn bad_host() -> Response<Full<Bytes>> {
    closing(
        StatusCode::BAD_REQUEST,
        "text/plain",
        Bytes::from_static(b"the request needs exactly one valid host\n"),
    )
}

/// The request names different hosts in different places: `reliability-and-security.md` 7-J J3.
pub(crate) fn misdirected() -> Response<Full<Bytes>> {
    let text = b"the hosts of connection and request differ\n";
    closing(StatusCode::MISDIRECTED_REQUEST, "text/plain", Bytes::from_static(text))
}

/// Sends the client to the same place over TLS. `port` is left out when it is the usual one.
pub(crate) fn redirect(host: &str, port: u16, path_and_query: &str) -> Response<Full<Bytes>> {
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let Ok(location) = HeaderValue::try_from(format!("https://{host}{port}{path_and_query}")) else {
        return bad_host();
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(LOCATION, location);
    response
}

fn closing(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.version_mut() = Version::HTTP_10;
    let fixed: [(HeaderName, &'static str); 4] = [
        (PRAGMA, "no-cache"),
        (CACHE_CONTROL, "private, max-age=0, no-cache, no-store"),
        (CONNECTION, "close"),
        (CONTENT_TYPE, content_type),
    ];
    response.headers_mut().extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}
