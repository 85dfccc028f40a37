//! Pulling: conditions, ranges, formats.

use http::{Method, StatusCode};
use pierhead_oci::Digest;
use serde_json::json;

use crate::site::Site;

const REPOSITORY: &str = "shop/front";

#[tokio::test]
async fn heads_are_gets_without_a_body() {
    let site = Site::start().await;
    let manifest = site.push_image("developer", REPOSITORY, "v1", b"layer").await;
    let layer = Digest::sha256(b"layer");
    for (path, length) in [("manifests/v1".to_owned(), manifest.len()), (format!("blobs/{layer}"), 5)] {
        let path = format!("/v2/{REPOSITORY}/{path}");
        let head = site.request("puller", Method::HEAD, &path).send().await;
        let get = site.get("puller", &path).send().await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{path}");
        assert_eq!(head.header("content-length"), length.to_string(), "{path}");
        assert_eq!(get.body.len(), length, "{path}");
        for name in ["content-type", "docker-content-digest", "etag"] {
            assert_eq!(head.headers.get(name), get.headers.get(name), "{path} {name}");
        }
        let known = site.get("puller", &path).header("if-none-match", get.header("etag")).send().await;
        assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
        let unknown = site.get("puller", &path).header("if-none-match", "\"x\"").send().await;
        assert_eq!(unknown.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn blobs_can_be_read_in_part() {
    let site = Site::start().await;
    site.push_image("developer", REPOSITORY, "v1", b"0123456789").await;
    let path = format!("/v2/{REPOSITORY}/blobs/{}", Digest::sha256(b"0123456789"));
    let check = async |range: &str, status: StatusCode, body: &str, content_range: &str| {
        let answer = site.get("puller", &path).header("range", range).send().await;
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.header("content-range"), content_range, "{range}");
        if status.is_success() {
            assert_eq!(answer.text(), body, "{range}");
        }
    };
    check("bytes=2-4", StatusCode::PARTIAL_CONTENT, "234", "bytes 2-4/10").await;
    check("bytes=7-", StatusCode::PARTIAL_CONTENT, "789", "bytes 7-9/10").await;
    check("bytes=-2", StatusCode::PARTIAL_CONTENT, "89", "bytes 8-9/10").await;
    check("bytes=10-", StatusCode::RANGE_NOT_SATISFIABLE, "", "bytes */10").await;
    check("lines=1-2", StatusCode::OK, "0123456789", "").await;

    let stale =
        site.get("puller", &path).header("range", "bytes=2-4").header("if-range", "\"x\"").send().await;
    assert_eq!((stale.status, stale.text()), (StatusCode::OK, "0123456789"));
}

#[tokio::test]
async fn formats_are_for_those_who_read_them() {
    const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    let site = Site::start().await;
    site.push_image("developer", REPOSITORY, "oci", b"layer").await;
    let config = Digest::sha256(b"{}");
    let image = json!({
        "schemaVersion": 2, "mediaType": DOCKER,
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "digest": config, "size": 2 },
        "layers": [],
    });
    let image = image.to_string();
    let child = Digest::sha256(image.as_bytes());
    let list = json!({
        "schemaVersion": 2, "mediaType": LIST,
        "manifests": [{
            "mediaType": DOCKER, "digest": child, "size": image.len(),
            "platform": { "architecture": "amd64", "os": "linux" },
        }],
    });
    for (reference, media_type, body) in
        [(child.to_string(), DOCKER, image), ("list".into(), LIST, list.to_string())]
    {
        let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
        let answer = site.put("developer", &path).header("content-type", media_type).body(body).send().await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    }
    let check = async |reference: &str, accept: &str, status: StatusCode, media_type: &str| {
        let call = site.get("puller", &format!("/v2/{REPOSITORY}/manifests/{reference}"));
        let call = if accept.is_empty() { call } else { call.header("accept", accept) };
        let answer = call.send().await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, media_type),
            "{reference} as {accept}"
        );
    };
    let oci = "application/vnd.oci.image.manifest.v1+json";
    check("oci", "", StatusCode::OK, oci).await;
    check("oci", DOCKER, StatusCode::NOT_FOUND, "application/json").await;
    check("oci", &format!("{DOCKER}, {oci}"), StatusCode::OK, oci).await;
    check("list", LIST, StatusCode::OK, LIST).await;
    check("list", DOCKER, StatusCode::OK, DOCKER).await;
    check(&Digest::sha256(list.to_string().as_bytes()).to_string(), DOCKER, StatusCode::OK, LIST).await;
}
