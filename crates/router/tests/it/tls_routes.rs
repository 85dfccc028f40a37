//! Edge, reencrypt and passthrough routes, and what plain HTTP gets on them.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use pierhead_runtime::tls;
use serde_json::{Value, json};

use crate::fixture::{Fixture, issue, text};

const HOST: &str = "shop.example.com";

fn get(host: &str, path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", host).body(Full::default()).unwrap()
}

fn names_in(certificate: &[u8], name: &str) -> bool {
    certificate.windows(name.len()).any(|window| window == name.as_bytes())
}

fn edge(policy: &str) -> Value {
    let tls = json!({"termination": "edge", "insecureEdgeTerminationPolicy": policy});
    json!({"host": HOST, "to": {"name": "plain"}, "tls": tls})
}

#[tokio::test]
async fn edge_shows_the_routes_own_certificate_or_the_default_one() {
    let fixture = Fixture::start();
    fixture.publish(&[edge("None")]);
    let (response, shown) = fixture.over_tls(HOST, get(HOST, "/headers")).await;
    let headers = text(response).await;
    assert!(headers.contains("x-forwarded-proto: https"), "{headers}");
    assert!(names_in(&shown, "router.default"));
    let pair = issue(&fixture.authority, HOST);
    let mut own = edge("None");
    own["tls"]["certificate"] = json!(pair.certificate);
    own["tls"]["key"] = json!(pair.key.expose());
    fixture.publish(&[own]);
    let (response, shown) = fixture.over_tls(HOST, get(HOST, "/x")).await;
    assert_eq!(text(response).await, "backend /x");
    let expected = tls::certificates("test", pair.certificate.as_bytes()).unwrap();
    assert_eq!(shown, expected[0].to_vec());
    fixture.stop().await;
}

#[tokio::test]
async fn cookies_that_http2_sends_apart_arrive_together() {
    let fixture = Fixture::start();
    fixture.publish(&[edge("None")]);
    let request =
        Request::get(format!("https://{HOST}/headers")).header("cookie", "a=1").header("cookie", "b=2");
    let response = fixture.over_http2(HOST, request.body(Full::default()).unwrap()).await;
    let headers = text(response).await;
    assert!(headers.starts_with("cookie: a=1; b=2\nforwarded: "), "{headers}");
    fixture.stop().await;
}

#[tokio::test]
async fn plain_http_gets_what_the_route_says() {
    let fixture = Fixture::start();
    let ask = async |path: &str| {
        fixture.raw(&format!("GET {path} HTTP/1.1\r\nHost: {HOST}:80\r\nConnection: close\r\n\r\n")).await
    };
    fixture.publish(&[edge("None")]);
    assert!(ask("/").await.starts_with("HTTP/1.0 503 "));
    fixture.publish(&[edge("Allow")]);
    assert!(ask("/x").await.ends_with("backend /x"));
    fixture.publish(&[edge("Redirect")]);
    let redirected = ask("/x?y=z").await;
    assert!(redirected.starts_with("HTTP/1.1 302 Found\r\n"), "{redirected}");
    let port = fixture.proxy.https_addr().port();
    assert!(redirected.contains(&format!("location: https://{HOST}:{port}/x?y=z\r\n")), "{redirected}");
    fixture.stop().await;
}

#[tokio::test]
async fn tls_for_a_plain_or_unknown_host_is_unavailable_and_another_host_is_misdirected() {
    let fixture = Fixture::start();
    fixture.publish(&[json!({"host": HOST, "to": {"name": "plain"}})]);
    let (response, _) = fixture.over_tls(HOST, get(HOST, "/")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (response, _) = fixture.over_tls("unknown.example.com", get("unknown.example.com", "/")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    fixture.publish(&[edge("None")]);
    let (response, _) = fixture.over_tls("other.example.com", get(HOST, "/")).await;
    assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
    fixture.stop().await;
}

#[tokio::test]
async fn passthrough_leaves_tls_to_the_backend() {
    let fixture = Fixture::start();
    let tls = json!({"termination": "passthrough", "insecureEdgeTerminationPolicy": "Redirect"});
    fixture.publish(&[json!({"host": HOST, "to": {"name": "secure"}, "tls": tls})]);
    let (response, shown) = fixture.over_tls(HOST, get(HOST, "/headers")).await;
    assert!(names_in(&shown, "backend.internal"));
    assert_eq!(text(response).await, format!("host: {HOST}"));
    let received = fixture.raw(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")).await;
    assert!(received.starts_with("HTTP/1.1 302 "), "{received}");
    fixture.stop().await;
}

#[tokio::test]
async fn reencrypt_trusts_only_the_authority_the_route_names() {
    let fixture = Fixture::start();
    let stranger = pierhead_runtime::tls::Authority::create("stranger", jiff::Timestamp::now()).unwrap();
    let route = |authority: &str| {
        let tls = json!({"termination": "reencrypt", "destinationCACertificate": authority});
        json!({"host": HOST, "to": {"name": "secure"}, "tls": tls})
    };
    fixture.publish(&[route(fixture.authority.certificate())]);
    let (response, shown) = fixture.over_tls(HOST, get(HOST, "/x")).await;
    assert_eq!(text(response).await, "backend /x");
    assert!(names_in(&shown, "router.default"));
    fixture.publish(&[route(stranger.certificate())]);
    let (response, _) = fixture.over_tls(HOST, get(HOST, "/x")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    fixture.stop().await;
}
