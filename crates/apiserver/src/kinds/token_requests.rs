//! Tokens of service accounts on request: `serviceaccounts/<name>/token` (platform 4.4).
//!
//! Owns the checks of a request and the claims of the token. The key that signs is `auth`'s.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::StatusCode;
use jiff::SignedDuration;
use pierhead_api::authn::{BoundObjectReference, TokenRequest, TokenRequestStatus};
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::{Status, Time};
use pierhead_api::to_value;
use pierhead_auth::service_account::{BoundClaims, BoundKind, BoundObject};
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

use super::access_reviews::read;
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, GroupVersionKind, SubBehaviour, Subresource, Verb};
use crate::metadata;
use crate::query::{DryRun, WriteOptions};
use crate::storage::Document;

/// The subresource of service accounts.
pub(crate) fn subresource() -> Subresource {
    Subresource {
        name: "token",
        kind: GroupVersionKind { group: "authentication.k8s.io", version: "v1", kind: "TokenRequest" },
        verbs: &[Verb::Create],
        behaviour: SubBehaviour::Connect(Arc::new(TokenRequests)),
    }
}

struct TokenRequests;

impl Connect for TokenRequests {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        let document = body.unwrap_or_default();
        std::future::ready(issue(call, &document)).boxed()
    }
}

/// What kubelets of all versions ask for: a token they renew after an hour. Programs of old do not read it again; theirs
/// lasts a year, and says from when on it should have been renewed.
const RENEWED_SECONDS: i64 = 3_607;
const EXTENDED: SignedDuration = SignedDuration::from_secs(365 * 24 * 3_600);

fn issue(call: &Call, document: &Value) -> Result<Answer, ApiError> {
    let mut request: TokenRequest = read(document)?;
    request.set_defaults();
    let account = call
        .server
        .object("serviceaccounts", call.namespace(), call.name())?
        .ok_or_else(|| Status::not_found("serviceaccounts", "", call.name()))?;
    let named = &request.metadata;
    for (given, asked, what) in
        [(&named.name, call.name(), "name"), (&named.namespace, call.namespace(), "namespace")]
    {
        if !given.is_empty() && given != asked {
            let why =
                format!("the {what} of the provided object does not match the {what} sent on the request");
            return Err(Status::bad_request(why).into());
        }
    }
    let errors = request.validate();
    if !errors.is_empty() {
        return Err(invalid(call, &errors));
    }
    let config = call.server.auth.config();
    let audiences = match request.spec.audiences.take() {
        Some(audiences) if !audiences.is_empty() => audiences,
        _ => config.token_audiences.clone(),
    };
    let Bound { object, node } = match &request.spec.bound_object_ref {
        Some(reference) => bound_object(call, reference)?,
        None => Bound::default(),
    };
    let asked = request.spec.expiration_seconds.unwrap_or(3600);
    let (seconds, warnings) = life(call, asked);
    request.spec.expiration_seconds = Some(seconds);
    let expires_at = call.now + SignedDuration::from_secs(seconds);
    let for_us = audiences.iter().all(|audience| config.token_audiences.contains(audience));
    let in_pod = object.as_ref().is_some_and(|object| object.kind == BoundKind::Pod);
    let renewed = in_pod && for_us && (asked, seconds) == (RENEWED_SECONDS, RENEWED_SECONDS);
    let claims = BoundClaims {
        issuer: config.token_issuer.clone(),
        audiences: audiences.clone(),
        namespace: call.namespace().to_owned(),
        service_account_name: call.name().to_owned(),
        service_account_uid: metadata::text(&account, "uid").to_owned(),
        bound_to: object,
        node,
        warn_after: renewed.then_some(expires_at),
        issued_at: call.now,
        expires_at: if renewed { call.now + EXTENDED } else { expires_at },
        id: Uuid::new_v4().to_string(),
    };
    request.spec.audiences = Some(audiences);
    call.name().clone_into(&mut request.metadata.name);
    call.namespace().clone_into(&mut request.metadata.namespace);
    request.metadata.creation_timestamp = Some(Time(call.now).to_second());
    let is_dry = WriteOptions::parse(&call.query, "CreateOptions")?.dry_run == DryRun::All;
    request.status = TokenRequestStatus {
        token: if is_dry {
            String::new()
        } else {
            call.server.auth.signer().sign_bound(&claims).into_exposed()
        },
        expiration_timestamp: Some(Time(expires_at).to_second()),
    };
    Ok(Answer::Object { code: StatusCode::CREATED, document: Document::Tree(to_value(&request)), warnings })
}

/// The seconds a token lives for which so many were asked, and what is to be said of it.
fn life(call: &Call, asked: i64) -> (i64, Vec<String>) {
    let longest = call.server.config.longest_token.map(|longest| longest.as_secs());
    match longest.and_then(|longest| i64::try_from(longest).ok()) {
        Some(longest) if asked > longest => {
            let said = format!("requested expiration of {asked} seconds shortened to {longest} seconds");
            (longest, vec![said])
        }
        _ => (asked, Vec::new()),
    }
}

fn invalid(call: &Call, errors: &FieldErrors) -> ApiError {
    Status::invalid("TokenRequest", "authentication.k8s.io", call.name(), errors).into()
}

/// What a token is bound to, and the node of a pod.
#[derive(Default)]
struct Bound {
    object: Option<BoundObject>,
    node: Option<(String, String)>,
}

/// The object the token is to end with; it must exist and be the one meant.
fn bound_object(call: &Call, reference: &BoundObjectReference) -> Result<Bound, ApiError> {
    let (kind, resource, namespace) = match (reference.kind.as_str(), reference.api_version.as_str()) {
        ("Secret", "v1" | "") => (BoundKind::Secret, "secrets", call.namespace()),
        ("Pod", "v1" | "") => (BoundKind::Pod, "pods", call.namespace()),
        ("Node", "v1" | "") => (BoundKind::Node, "nodes", ""),
        (kind, version) => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            let why = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
            return Err(Status::bad_request(why).into());
        }
    };
    let object = call
        .server
        .object(resource, namespace, &reference.name)?
        .ok_or_else(|| Status::not_found(resource, "", &reference.name))?;
    let uid = metadata::text(&object, "uid");
    if !reference.uid.is_empty() && reference.uid != uid {
        let given = &reference.uid;
        let why = format!(
            "the UID in the bound object reference ({given}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict(resource, "", &reference.name, why).into());
    }
    let mut node = None;
    if kind == BoundKind::Pod {
        let spec = |field: &str| object["spec"][field].as_str().unwrap_or_default();
        let account = Some(spec("serviceAccountName")).filter(|name| !name.is_empty()).unwrap_or("default");
        if account != call.name() {
            let why = format!(
                "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                call.name()
            );
            return Err(Status::bad_request(why).into());
        }
        let name = spec("nodeName");
        if let Some(found) = call.server.object("nodes", "", name)? {
            node = Some((name.to_owned(), metadata::text(&found, "uid").to_owned()));
        }
    }
    let object = BoundObject { kind, name: reference.name.clone(), uid: uid.to_owned() };
    Ok(Bound { object: Some(object), node })
}
