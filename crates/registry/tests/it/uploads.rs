//! Uploads in chunks: order, interruption, ownership.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use pierhead_oci::Digest;

use crate::site::{Site, token};

const UPLOADS: &str = "/v2/shop/front/blobs/uploads/";

async fn patch(site: &Site, location: &str, range: &str, chunk: &'static str) -> crate::site::Answer {
    let call = site.request("developer", Method::PATCH, location).body(chunk);
    let call = if range.is_empty() { call } else { call.header("content-range", range) };
    call.send().await
}

#[tokio::test]
async fn chunks_arrive_in_order_or_not_at_all() {
    let site = Site::start().await;
    let started = site.post("developer", UPLOADS).send().await;
    assert_eq!((started.status, started.header("range")), (StatusCode::ACCEPTED, "0-0"));
    let location = started.location();
    assert!(
        location.starts_with(UPLOADS) && location.ends_with(started.header("docker-upload-uuid")),
        "{location}"
    );

    let first = patch(&site, &location, "0-4", "01234").await;
    assert_eq!((first.status, first.header("range")), (StatusCode::ACCEPTED, "0-4"));
    for range in ["0-4", "6-10", "4-8"] {
        let refused = patch(&site, &location, range, "56789").await;
        assert_eq!(refused.status, StatusCode::RANGE_NOT_SATISFIABLE, "{range}");
        assert_eq!((refused.header("range"), refused.location()), ("0-4", location.clone()), "{range}");
    }
    for range in ["5-10", "5-8", "5", "x"] {
        assert_eq!(patch(&site, &location, range, "56789").await.status, StatusCode::BAD_REQUEST, "{range}");
    }
    let status = site.get("developer", &location).send().await;
    assert_eq!((status.status, status.header("range")), (StatusCode::NO_CONTENT, "0-4"));

    let digest = Digest::sha256(b"0123456789");
    let end = format!("{location}?digest={digest}");
    let ended = site.put("developer", &end).header("content-range", "5-9").body("56789").send().await;
    assert_eq!(ended.status, StatusCode::CREATED, "{}", ended.text());
    assert_eq!(ended.location(), format!("/v2/shop/front/blobs/{digest}"));
    assert_eq!(site.get("developer", &location).send().await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("developer", &ended.location()).send().await.text(), "0123456789");
}

#[tokio::test]
async fn what_came_before_a_connection_broke_is_kept() {
    let site = Site::start().await;
    let location = site.post("developer", UPLOADS).send().await.location();
    let frames = [Ok(Frame::data(Bytes::from("01234"))), Err(std::io::Error::other("cut"))];
    let request = Request::builder()
        .method(Method::PATCH)
        .uri(&location)
        .header(AUTHORIZATION, format!("Bearer {}", token("developer")))
        .body(StreamBody::new(futures_util::stream::iter(frames)))
        .unwrap();
    assert_eq!(site.registry.handle(request).await.status(), StatusCode::BAD_REQUEST);

    let status = site.get("developer", &location).send().await;
    assert_eq!((status.status, status.header("range")), (StatusCode::NO_CONTENT, "0-4"));
    assert_eq!(patch(&site, &location, "5-9", "56789").await.status, StatusCode::ACCEPTED);
    let end = format!("{location}?digest={}", Digest::sha256(b"0123456789"));
    assert_eq!(site.put("developer", &end).send().await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn wrong_digests_store_nothing() {
    let site = Site::start().await;
    let wrong = Digest::sha256(b"something else");
    let refused = site.post("developer", &format!("{UPLOADS}?digest={wrong}")).body("01234").send().await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::BAD_REQUEST, "DIGEST_INVALID"));
    for digest in [wrong, Digest::sha256(b"01234")] {
        let path = format!("/v2/shop/front/blobs/{digest}");
        assert_eq!(site.get("developer", &path).send().await.status, StatusCode::NOT_FOUND);
    }
    let location = site.post("developer", UPLOADS).send().await.location();
    let missing = site.put("developer", &location).send().await;
    assert_eq!((missing.status, missing.code().as_str()), (StatusCode::BAD_REQUEST, "DIGEST_INVALID"));
    let cancelled = site.request("developer", Method::DELETE, &location).send().await;
    assert_eq!(cancelled.status, StatusCode::NO_CONTENT);
    assert_eq!(patch(&site, &location, "", "x").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_upload_is_for_its_caller_in_its_repository() {
    let site = Site::start().await;
    let location = site.post("developer", UPLOADS).send().await.location();
    let elsewhere = location.replace("shop/front", "shop/back");
    let digest = Digest::sha256(b"");
    for (user, location) in [("admin", &location), ("developer", &elsewhere)] {
        for method in [Method::GET, Method::HEAD, Method::PATCH, Method::PUT, Method::DELETE] {
            let path = format!("{location}?digest={digest}");
            let answer = site.request(user, method.clone(), &path).send().await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{user} {method} {location}");
        }
    }
    assert_eq!(site.get("developer", &location).send().await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_number_of_open_uploads_is_bounded() {
    let site = Site::start().await;
    for _ in 0..64 {
        assert_eq!(site.post("developer", UPLOADS).send().await.status, StatusCode::ACCEPTED);
    }
    let refused = site.post("developer", UPLOADS).send().await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(site.post("admin", UPLOADS).send().await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_chunk_that_is_sent_often_arrives_once() {
    let site = Site::start().await;
    let location = site.post("developer", UPLOADS).send().await.location();
    for (range, chunk) in [("0-4", "01234"), ("5-9", "56789")] {
        let replay = || patch(&site, &location, range, chunk);
        let (a, b, c, d) = tokio::join!(replay(), replay(), replay(), replay());
        let answers = [a, b, c, d];
        let accepted = answers.iter().filter(|answer| answer.status == StatusCode::ACCEPTED).count();
        let refused = answers.iter().filter(|answer| answer.status == StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!((accepted, refused.count()), (1, 3), "{answers:?}");
    }
    let end = format!("{location}?digest={}", Digest::sha256(b"0123456789"));
    assert_eq!(site.put("developer", &end).send().await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn uploads_outlive_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let location = {
        let site = Site::start_below(directory.path()).await;
        let location = site.post("developer", UPLOADS).send().await.location();
        assert_eq!(patch(&site, &location, "0-4", "01234").await.status, StatusCode::ACCEPTED);
        site.stop();
        location
    };
    let site = Site::start_below(directory.path()).await;
    let status = site.get("developer", &location).send().await;
    assert_eq!((status.status, status.header("range")), (StatusCode::NO_CONTENT, "0-4"));
    assert_eq!(site.get("admin", &location).send().await.status, StatusCode::NOT_FOUND);
    let end = format!("{location}?digest={}", Digest::sha256(b"0123456789"));
    let ended = site.put("developer", &end).header("content-range", "5-9").body("56789").send().await;
    assert_eq!(ended.status, StatusCode::CREATED, "{}", ended.text());
}
