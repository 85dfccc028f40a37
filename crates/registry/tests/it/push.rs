//! Pushing images: what is stored, what is refused, and with which words.

use http::{Method, StatusCode};
use pierhead_oci::{Algorithm, Digest};
use serde_json::json;

use crate::site::{OCI_MANIFEST, Site, image_manifest};

const REPOSITORY: &str = "shop/front";

#[tokio::test]
async fn the_first_push_creates_the_stream() {
    let site = Site::start().await;
    let path = format!("/v2/{REPOSITORY}/tags/list");
    let answer = site.get("developer", &path).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::NOT_FOUND, "NAME_UNKNOWN"));

    let manifest = site.push_image("developer", REPOSITORY, "v1", b"layer").await;
    let digest = Digest::sha256(&manifest);
    let answer = site.get("developer", &path).send().await;
    assert_eq!(answer.json(), json!({ "name": REPOSITORY, "tags": ["v1"] }));

    let answer = site.get("puller", &format!("/v2/{REPOSITORY}/manifests/v1")).send().await;
    assert_eq!((answer.status, answer.body.as_ref()), (StatusCode::OK, manifest.as_slice()));
    assert_eq!(answer.header("content-type"), OCI_MANIFEST);
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
}

#[tokio::test]
async fn a_push_says_where_it_went_and_to_what_it_refers() {
    let site = Site::start().await;
    let config = site.push_blob("developer", REPOSITORY, b"{}").await;
    let subject = Digest::sha256(b"not there yet");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/vnd.example.sbom",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 },
        "layers": [{ "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 }],
        "subject": { "mediaType": OCI_MANIFEST, "digest": subject, "size": 13 },
    });
    let manifest = manifest.to_string();
    let digest = Digest::sha256(manifest.as_bytes());
    let path = format!("/v2/{REPOSITORY}/manifests/{digest}?tag=a&tag=b");
    let answer =
        site.put("developer", &path).header("content-type", OCI_MANIFEST).body(manifest).send().await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    assert_eq!(answer.location(), format!("/v2/{REPOSITORY}/manifests/{digest}"));
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    assert_eq!(answer.header("oci-subject"), subject.to_string());
    let tags: Vec<_> = answer.headers.get_all("oci-tag").iter().collect();
    assert_eq!(tags, ["a", "b"]);

    let referrers = site.get("puller", &format!("/v2/{REPOSITORY}/referrers/{subject}")).send().await;
    assert_eq!(referrers.header("content-type"), "application/vnd.oci.image.index.v1+json");
    let listed = referrers.json();
    assert_eq!(listed.pointer("/manifests/0/digest"), Some(&json!(digest)));
    assert_eq!(listed.pointer("/manifests/0/artifactType"), Some(&json!("application/vnd.example.sbom")));
    let filtered = format!("/v2/{REPOSITORY}/referrers/{subject}?artifactType=a/b");
    let filtered = site.get("puller", &filtered).send().await;
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert_eq!(filtered.json().get("manifests"), Some(&json!([])));
}

/// Pushes `manifest` and expects the status and code of a refusal.
async fn check(site: &Site, reference: &str, manifest: &[u8], expected: (StatusCode, &str)) {
    let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
    let call = site.put("developer", &path).header("content-type", OCI_MANIFEST).body(manifest.to_vec());
    let answer = call.send().await;
    assert_eq!((answer.status, answer.code().as_str()), expected, "{}", answer.text());
}

#[tokio::test]
async fn manifests_are_refused_for_a_reason() {
    let site = Site::start().await;
    let config = site.push_blob("developer", REPOSITORY, b"{}").await;
    let missing = Digest::sha256(b"missing");
    let incomplete = image_manifest(&config, &missing, 7);
    check(&site, "v1", &incomplete, (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN")).await;
    let complete = image_manifest(&config, &config, 2);
    let other = Digest::sha256(b"other").to_string();
    check(&site, &other, &complete, (StatusCode::BAD_REQUEST, "DIGEST_INVALID")).await;
    check(&site, "sha256:bad", &complete, (StatusCode::BAD_REQUEST, "DIGEST_INVALID")).await;
    check(&site, ".bad", &complete, (StatusCode::BAD_REQUEST, "TAG_INVALID")).await;
    check(&site, "v1?tag=.bad", &complete, (StatusCode::BAD_REQUEST, "TAG_INVALID")).await;
    check(&site, "v1", b"{}", (StatusCode::BAD_REQUEST, "MANIFEST_INVALID")).await;
    let twice = [&complete[..complete.len() - 1], b",\"layers\":[]}"].concat();
    check(&site, "v1", &twice, (StatusCode::BAD_REQUEST, "MANIFEST_INVALID")).await;
    let large = vec![b' '; (4 << 20) + 1];
    check(&site, "v1", &large, (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID")).await;
    let tags: String = (0..65).map(|number| format!("tag=t{number}&")).collect();
    check(&site, &format!("v1?{tags}"), &complete, (StatusCode::URI_TOO_LONG, "TAG_INVALID")).await;
}

#[tokio::test]
async fn wide_digests_name_the_same_bytes() {
    let site = Site::start().await;
    let manifest = site.push_image("developer", REPOSITORY, "v1", b"layer").await;
    let digest = Digest::of(Algorithm::Sha512, &manifest);
    let path = format!("/v2/{REPOSITORY}/manifests/{digest}");
    let call = site.put("developer", &path).header("content-type", OCI_MANIFEST).body(manifest.clone());
    let answer = call.send().await;
    assert_eq!((answer.status, answer.location()), (StatusCode::CREATED, path.clone()), "{}", answer.text());
    let answer = site.get("puller", &path).send().await;
    assert_eq!((answer.status, answer.body.as_ref()), (StatusCode::OK, manifest.as_slice()));
}

#[tokio::test]
async fn what_is_deleted_is_gone_at_once() {
    let site = Site::start().await;
    let manifest = site.push_image("developer", REPOSITORY, "v1", b"layer").await;
    let delete = |path: String| site.request("admin", Method::DELETE, &path).send();
    let tag = format!("/v2/{REPOSITORY}/manifests/v1");
    let by_digest = format!("/v2/{REPOSITORY}/manifests/{}", Digest::sha256(&manifest));
    let blob = format!("/v2/{REPOSITORY}/blobs/{}", Digest::sha256(b"layer"));
    for path in [tag, by_digest, blob] {
        assert_eq!(delete(path.clone()).await.status, StatusCode::ACCEPTED, "{path}");
        assert_eq!(site.get("developer", &path).send().await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(delete(path.clone()).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn signatures_are_kept_with_their_image() {
    let site = Site::start().await;
    let manifest = site.push_image("developer", REPOSITORY, "v1", b"layer").await;
    let digest = Digest::sha256(&manifest);
    let path = format!("/extensions/v2/{REPOSITORY}/signatures/{digest}");
    let none = site.get("puller", &path).send().await;
    assert_eq!((none.status, none.json()), (StatusCode::OK, json!({ "signatures": [] })), "{}", none.text());

    let name = format!("{digest}@{}", "0".repeat(32));
    let signature = json!({ "schemaVersion": 2, "name": name, "type": "atomic", "content": "c2lnbmVk" });
    let put = async |user: &str, signature: &serde_json::Value| {
        let answer = site.put(user, &path).body(signature.to_string()).send().await;
        (answer.status, if answer.body.is_empty() { String::new() } else { answer.code() })
    };
    assert_eq!(put("developer", &signature).await, (StatusCode::UNAUTHORIZED, "UNAUTHORIZED".into()));
    let mut foreign = signature.clone();
    foreign["name"] = json!(format!("{}@x", Digest::sha256(b"other")));
    assert_eq!(put("admin", &foreign).await, (StatusCode::BAD_REQUEST, "SIGNATURE_INVALID".into()));
    assert_eq!(put("admin", &signature).await, (StatusCode::CREATED, String::new()));
    assert_eq!(put("admin", &signature).await, (StatusCode::CONFLICT, "SIGNATURE_EXISTS".into()));
    let listed = site.get("puller", &path).send().await;
    assert_eq!(listed.json(), json!({ "signatures": [signature] }));
    let missing = format!("/extensions/v2/{REPOSITORY}/signatures/{}", Digest::sha256(b"missing"));
    assert_eq!(site.get("puller", &missing).send().await.code(), "MANIFEST_UNKNOWN");
}
