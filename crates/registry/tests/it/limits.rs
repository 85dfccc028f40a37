//! What a push is told that goes beyond a quota or a limit of its project.

use http::{Method, StatusCode};
use pierhead_oci::Digest;
use serde_json::json;

use crate::site::{OCI_MANIFEST, Site, image_manifest};

const REPOSITORY: &str = "shop/front";

#[tokio::test]
async fn the_client_learns_which_limit_it_was() {
    let site = Site::start().await;
    let config = site.push_blob("developer", REPOSITORY, b"{}").await;
    let layer = site.push_blob("developer", REPOSITORY, &[7; 5000]).await;
    let limits = json!([{"type": "openshift.io/Image", "max": {"storage": "4k"}}]);
    site.put_object("limitranges", "LimitRange", "shop", json!({"limits": limits})).await;
    let said = |bytes: usize| {
        format!("requested usage of storage exceeds the maximum limit per openshift.io/Image ({bytes} > 4k)")
    };

    let path = format!("/v2/{REPOSITORY}/manifests/latest");
    let manifest = image_manifest(&config, &layer, 5000);
    let answer =
        site.put("developer", &path).header("content-type", OCI_MANIFEST).body(manifest).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "DENIED"));
    assert_eq!(answer.json()["errors"][0]["message"], said(5002));

    let large = vec![1; 4001];
    let path = format!("/v2/{REPOSITORY}/blobs/uploads/?digest={}", Digest::sha256(&large));
    let answer = site.post("developer", &path).body(large.clone()).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "DENIED"));
    assert_eq!(answer.json()["errors"][0]["message"], said(4001));
    let path = format!("/v2/{REPOSITORY}/blobs/{}", Digest::sha256(&large));
    assert_eq!(site.get("developer", &path).send().await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_refused_upload_keeps_neither_bytes_nor_place() {
    let site = Site::start().await;
    let limits = json!([{"type": "openshift.io/Image", "max": {"storage": "4k"}}]);
    site.put_object("limitranges", "LimitRange", "shop", json!({"limits": limits})).await;
    let uploads = format!("/v2/{REPOSITORY}/blobs/uploads/");
    // More of them than one principal may have open.
    for count in 0..66 {
        let started = site.post("developer", &uploads).send().await;
        assert_eq!(started.status, StatusCode::ACCEPTED, "{count}: {}", started.text());
        let location = started.location();
        let chunk = |method: Method, path: &str, bytes: usize| {
            site.request("developer", method, path).body(vec![7; bytes]).send()
        };
        assert_eq!(chunk(Method::PATCH, &location, 3000).await.status, StatusCode::ACCEPTED);
        let refused = match count % 2 {
            0 => chunk(Method::PATCH, &location, 2000).await,
            _ => {
                let end = format!("{location}?digest={}", Digest::sha256(&[7; 5000]));
                chunk(Method::PUT, &end, 2000).await
            }
        };
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "DENIED"));
        let gone = site.get("developer", &location).send().await;
        assert_eq!((gone.status, gone.code().as_str()), (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"));
    }
}

#[tokio::test]
async fn a_stream_over_the_quota_is_refused_before_its_bytes() {
    let site = Site::start().await;
    let hard = json!({"openshift.io/imagestreams": "0"});
    site.put_object("resourcequotas", "ResourceQuota", "shop", json!({"hard": hard})).await;
    let answer = site.post("developer", &format!("/v2/{REPOSITORY}/blobs/uploads/")).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "DENIED"));
    assert_eq!(
        answer.json()["errors"][0]["message"],
        "exceeded quota: only, requested: openshift.io/imagestreams=1, used: openshift.io/imagestreams=0, \
         limited: openshift.io/imagestreams=0"
    );
}
