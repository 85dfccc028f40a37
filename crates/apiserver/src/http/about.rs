//! What the server says of itself: paths, health, versions, discovery, OpenAPI and its keys.
//!
//! Owns which of these anybody may read (platform 1.1, 11.37) and how discovery may be cached. The documents are made in
//! `discovery`; those that describe the kinds are `description`'s.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::request::Parts as Head;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use pierhead_api::meta::Status;
use pierhead_auth::{Attributes, Era};
use serde_json::{Value, json};

use super::negotiate::{Accept, Encoding, Form};
use super::respond::{Style, respond_bytes};
use super::{denied, description};
use crate::ResponseBody;
use crate::authenticate::Caller;
use crate::discovery::{Discovery, Tagged};
use crate::error::ApiError;
use crate::path::{Prefix, Target};
use crate::query::Query;
use crate::server::Parts;

/// Answers a request for anything but objects.
pub(super) fn answer(
    server: &Arc<Parts>,
    caller: &Caller,
    target: &Target,
    head: &Head,
    query: &Query,
) -> Result<Response<ResponseBody>, ApiError> {
    let open = matches!(target, Target::Root | Target::Health | Target::Version | Target::OpenShiftVersion);
    if !open {
        let verb = head.method.as_str().to_lowercase();
        // The older name of a path needs no rule of its own.
        let path = if *target == Target::OpenApiV2 { "/openapi/v2" } else { head.uri.path() };
        let attributes = Attributes::path(&verb, path);
        server.auth.authorize(&caller.subject, &attributes).map_err(denied)?;
    }
    if *target == Target::Unknown {
        return Err(Status::not_found_path().into());
    }
    if head.method != Method::GET {
        return Err(Status::failure(
            405,
            pierhead_api::meta::StatusReason::MethodNotAllowed,
            "the server does not allow this method on the requested resource",
        )
        .into());
    }
    let style = Style::plain(&head.headers, query);
    let json = |value: &Value| {
        let (bytes, media_type) = style.write(value)?;
        Ok(respond_bytes(StatusCode::OK, bytes, media_type))
    };
    match target {
        Target::Root => json(&paths(&server.discovery)),
        Target::Health => Ok(health(server, head.uri.path(), query)),
        Target::Version => json(&kube_version(server)),
        Target::OpenShiftVersion => json(&openshift_version(server)),
        Target::CoreVersions | Target::Groups => groups(server, target, head, &style),
        Target::LegacyVersions => json(&Discovery::versions(address(&server.config.public_url))),
        Target::Group(group) => json(&server.discovery.group(group).ok_or_else(Status::not_found_path)?),
        Target::Resources(prefix) => {
            let list = server.discovery.resources(prefix).ok_or_else(Status::not_found_path)?;
            json(&list.value)
        }
        Target::OpenApiV2
        | Target::OpenApiV3Index
        | Target::OpenApiV3(_)
        | Target::SwaggerListing
        | Target::Swagger(_) => description::answer(target, head, query),
        Target::ServiceAccountKeys => {
            let (bytes, _) = style.write(&server.auth.signer().jwks())?;
            Ok(respond_bytes(StatusCode::OK, bytes, "application/jwk-set+json"))
        }
        Target::ServiceAccountIssuer => json(&issuer(server)),
        Target::OAuth | Target::Resource(_) | Target::Unknown => Err(Status::not_found_path().into()),
    }
}

/// Host and port of a URL.
fn address(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

fn paths(discovery: &Discovery) -> Value {
    let mut paths: Vec<String> = [
        "/api",
        "/apis",
        "/healthz",
        "/healthz/ready",
        "/livez",
        "/oapi",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/swaggerapi",
        "/version",
        "/version/openshift",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ]
    .map(str::to_owned)
    .to_vec();
    for prefix in discovery.prefixes() {
        match prefix {
            Prefix::Core => paths.push("/api/v1".to_owned()),
            Prefix::Legacy => paths.push("/oapi/v1".to_owned()),
            Prefix::Group { group, version } => {
                paths.push(format!("/apis/{group}"));
                paths.push(format!("/apis/{group}/{version}"));
            }
        }
    }
    paths.sort();
    json!({"paths": paths})
}

/// `ok` while the store can be read; `?verbose` names the checks.
fn health(server: &Parts, path: &str, query: &Query) -> Response<ResponseBody> {
    let readable = server.namespace_state("default");
    let (code, mark) = match &readable {
        Ok(_) => (StatusCode::OK, "[+]store ok"),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "[-]store failed"),
    };
    let check = path.split('/').find(|segment| !segment.is_empty()).unwrap_or("healthz");
    let text = match (code, query.flag("verbose")) {
        (StatusCode::OK, false) => "ok".to_owned(),
        (StatusCode::OK, true) => format!("[+]ping ok\n{mark}\n{check} check passed\n"),
        _ => format!("[+]ping ok\n{mark}\n{check} check failed\n"),
    };
    respond_bytes(code, text.into(), "text/plain; charset=utf-8")
}

fn version(major: &str, minor: &str, git_version: &str, commit: &str) -> Value {
    json!({
        "major": major, "minor": minor, "gitVersion": git_version, "gitCommit": commit, "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// The Kubernetes whose API is imitated closely enough for its clients not to warn of a skew.
fn kube_version(server: &Parts) -> Value {
    let text = format!("v1.32.0+pierhead-{}", server.config.version);
    version("1", "32", &text, &server.config.commit)
}

fn openshift_version(server: &Parts) -> Value {
    match server.config.era {
        Era::V3_2 => version("3", "2", "v3.2.0", &server.config.commit),
        Era::V4 => version("4", "19", "v4.19.0", &server.config.commit),
    }
}

fn groups(
    server: &Parts,
    target: &Target,
    head: &Head,
    style: &Style,
) -> Result<Response<ResponseBody>, ApiError> {
    let core = *target == Target::CoreVersions;
    let accept = Accept::read(&head.headers)?;
    if let (Form::Discovery(version), Encoding::Json) = (accept.form, accept.encoding) {
        let document = server.discovery.aggregated(core, version);
        let media_type = if version == "v2" {
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        } else {
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
        };
        return Ok(cached(document, head, media_type));
    }
    if core {
        let (bytes, media_type) = style.write(&Discovery::versions(address(&server.config.public_url)))?;
        return Ok(respond_bytes(StatusCode::OK, bytes, media_type));
    }
    let (bytes, media_type) = style.write(&server.discovery.groups().value)?;
    Ok(respond_bytes(StatusCode::OK, bytes, media_type))
}

/// A document clients keep by its ETag.
fn cached(document: &Tagged, head: &Head, media_type: &'static str) -> Response<ResponseBody> {
    let known = head.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if known == Some(document.etag.as_str()) {
        let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        respond_bytes(StatusCode::OK, document.bytes.clone(), media_type)
    };
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&document.etag) {
        headers.insert(ETAG, etag);
    }
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}

fn issuer(server: &Parts) -> Value {
    let issuer = &server.auth.config().token_issuer;
    let base = server.config.public_url.trim_end_matches('/');
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{base}/openid/v1/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}
