//! Plain HTTP through the router.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixture::{Fixture, PIECE, pieces, text, whole};

const HOST: &str = "shop.example.com";

fn shop() -> serde_json::Value {
    json!({"host": HOST, "to": {"name": "plain"}})
}

#[tokio::test]
async fn the_backend_sees_who_asked_and_nothing_made_up() {
    let fixture = Fixture::start();
    fixture.publish(&[shop()]);
    let request = Request::get("/headers")
        .header("host", "Shop.example.com:8080")
        .header("x-forwarded-for", "10.0.0.1")
        .header("connection", "x-private")
        .header("x-private", "1")
        .header("authorization", "Bearer token")
        .body(whole(""))
        .unwrap();
    let port = fixture.proxy.http_addr().port();
    let expected = format!(
        "authorization: Bearer token\n\
         forwarded: for=127.0.0.1;host=\"Shop.example.com:8080\";proto=http\n\
         host: Shop.example.com:8080\n\
         x-forwarded-for: 127.0.0.1\n\
         x-forwarded-host: Shop.example.com:8080\n\
         x-forwarded-port: {port}\n\
         x-forwarded-proto: http"
    );
    assert_eq!(text(fixture.over_http(request).await).await, expected);
    fixture.stop().await;
}

#[tokio::test]
async fn nothing_there_is_the_unavailable_page() {
    let fixture = Fixture::start();
    fixture.publish(&[shop(), json!({"host": "empty.example.com", "to": {"name": "none"}})]);
    for host in ["unknown.example.com", "empty.example.com"] {
        let received = fixture.raw(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        let (head, page) = received.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("http/1.0 503 service unavailable\r\n"), "{head}");
        for line in [
            "pragma: no-cache",
            "cache-control: private, max-age=0, no-cache, no-store",
            "connection: close",
            "content-type: text/html",
        ] {
            assert_eq!(head.lines().filter(|found| *found == line).count(), 1, "{line} in {head}");
        }
        assert!(page.contains("Application is not available"), "{page}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn requests_without_one_clear_host_are_refused() {
    let fixture = Fixture::start();
    fixture.publish(&[shop()]);
    let check = async |head: &str, expected: &str| {
        let received = fixture.raw(&format!("{head}\r\nConnection: close\r\n\r\n")).await;
        assert!(received.contains(expected), "{head:?} got {received}");
    };
    check("GET / HTTP/1.1", " 400 ").await;
    check("GET / HTTP/1.1\r\nHost: shop.example.com\r\nHost: shop.example.com", " 400 ").await;
    check("GET http://shop.example.com/ HTTP/1.1\r\nHost: other.example.com", " 421 ").await;
    check("GET http://shop.example.com/x HTTP/1.1\r\nHost: shop.example.com", "backend /x").await;
    check("POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 1\r\nContent-Length: 2", " 400 ")
        .await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_big_answer_is_streamed_and_never_held() {
    let fixture = Fixture::start();
    fixture.publish(&[shop()]);
    let request = Request::get("/big").header("host", HOST).body(whole("")).unwrap();
    let response = fixture.over_http(request).await;
    let mut ahead = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = fixture.seen.produced.load(Ordering::Relaxed);
        if now > 0 && now == ahead {
            break;
        }
        ahead = now;
    }
    assert!(ahead < 24 * 1024 * 1024, "the router took {ahead} bytes of an answer that nobody reads");
    let mut body = response.into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().data_ref().map_or(0, bytes::Bytes::len);
    }
    assert_eq!(received, 1024 * PIECE);
    fixture.stop().await;
}

#[tokio::test]
async fn a_big_request_arrives_whole_over_a_kept_connection() {
    let fixture = Fixture::start();
    fixture.publish(&[shop()]);
    for _ in 0..3 {
        let body = pieces(1024, std::sync::Arc::default());
        let request = Request::put("/count").header("host", HOST).body(body).unwrap();
        assert_eq!(text(fixture.over_http(request).await).await, (1024 * PIECE).to_string());
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_body_is_asked_for_only_when_the_backend_wants_it() {
    let fixture = Fixture::start();
    fixture.publish(&[shop()]);
    for (path, expected) in [("/count", "HTTP/1.1 100 Continue"), ("/refuse", "HTTP/1.1 401 Unauthorized")] {
        let mut stream = TcpStream::connect(fixture.proxy.http_addr()).await.unwrap();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).await.unwrap();
        let first = String::from_utf8_lossy(&buffer[..count]).into_owned();
        assert!(first.starts_with(expected), "{path} began with {first}");
        if path == "/count" {
            stream.write_all(b"12345").await.unwrap();
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(String::from_utf8_lossy(&buffer[..count]).ends_with('5'));
        }
    }
    fixture.stop().await;
}

#[tokio::test]
async fn an_upgraded_connection_is_passed_through() {
    let fixture = Fixture::start();
    fixture.publish(&[shop()]);
    let sent =
        format!("GET /upgrade HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello");
    let received = fixture.raw(&sent).await;
    assert!(received.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{received}");
    assert!(received.ends_with("olleh"), "{received}");
    fixture.stop().await;
}

#[tokio::test]
async fn a_silent_backend_is_given_up() {
    let fixture = Fixture::with_idle(Duration::from_millis(300));
    fixture.publish(&[shop()]);
    let received = fixture.raw(&format!("GET /hang HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    assert!(received.contains(" 504 "), "{received}");
    drop(fixture);
}
