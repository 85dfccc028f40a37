//! A push without a container engine: a small image made here, sent as any client sends it.
//!
//! Monolithic uploads of the config and of one layer, then the manifest (OCI distribution specification 1.1,
//! "Pushing blobs", "Pushing manifests"). Only for the story; real clients do this better.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method};
use pierhead_client::{HttpAnswer, HttpClient, Trust};
use pierhead_oci::Digest;
use serde_json::json;
use std::net::SocketAddr;

/// Where to push, and as whom.
pub(super) struct Target<'a> {
    /// Where the route is served.
    pub(super) router: SocketAddr,
    /// The route's host.
    pub(super) host: &'a str,
    /// `project/stream`.
    pub(super) repository: &'a str,
    /// Tag to push.
    pub(super) tag: &'a str,
    /// A token that may push.
    pub(super) token: &'a str,
}

/// Pushes an image whose only layer is an empty archive and whose config holds `message`; gives its digest.
pub(super) fn push(target: &Target<'_>, message: &str) -> Result<Digest> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(push_image(target, message))
}

async fn push_image(target: &Target<'_>, message: &str) -> Result<Digest> {
    let client = HttpClient::new(&Trust::default())?;
    // Two blocks of zeros: an archive with nothing in it.
    let layer = Bytes::from_static(&[0; 1024]);
    let layer_digest = Digest::sha256(&layer);
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Labels": { "message": message } },
        "rootfs": { "type": "layers", "diff_ids": [layer_digest.to_string()] },
    });
    let config = Bytes::from(serde_json::to_vec(&config)?);
    let config_digest = Digest::sha256(&config);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config_digest, config.len()),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer_digest, layer.len())],
    });
    for (digest, content) in [(&layer_digest, layer), (&config_digest, config)] {
        push_blob(&client, target, digest, content).await?;
    }
    let manifest = Bytes::from(serde_json::to_vec(&manifest)?);
    let digest = Digest::sha256(&manifest);
    let path = format!("/v2/{}/manifests/{}", target.repository, target.tag);
    let answer = send(&client, target, Method::PUT, &path, MANIFEST, manifest).await?;
    ensure!(answer.status == http::StatusCode::CREATED, "the registry answered {}", answer.status);
    Ok(digest)
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn descriptor(media_type: &str, digest: &Digest, size: usize) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size })
}

async fn push_blob(client: &HttpClient, target: &Target<'_>, digest: &Digest, content: Bytes) -> Result<()> {
    let path = format!("/v2/{}/blobs/uploads/", target.repository);
    let started = send(client, target, Method::POST, &path, OCTETS, Bytes::new()).await?;
    ensure!(started.status == http::StatusCode::ACCEPTED, "the registry answered {}", started.status);
    let location = started.headers.get(LOCATION).context("the upload has no location")?.to_str()?;
    let location = match location.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => location,
    };
    let separator = if location.contains('?') { '&' } else { '?' };
    let path = format!("{location}{separator}digest={digest}");
    let done = send(client, target, Method::PUT, &path, OCTETS, content).await?;
    ensure!(done.status == http::StatusCode::CREATED, "the registry answered {}", done.status);
    Ok(())
}

const OCTETS: &str = "application/octet-stream";

async fn send(
    client: &HttpClient,
    target: &Target<'_>,
    method: Method,
    path: &str,
    content_type: &'static str,
    body: Bytes,
) -> Result<HttpAnswer> {
    let credentials = BASE64_STANDARD.encode(format!("demo:{}", target.token));
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Basic {credentials}"))?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(http::header::HOST, HeaderValue::from_str(target.host)?);
    let url = format!("http://{}{path}", target.router);
    Ok(client.fetch(method, &url, headers, body).await?)
}
