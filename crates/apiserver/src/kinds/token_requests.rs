//! Tokens of service accounts on request: `serviceaccounts/<name>/token` (platform 4.4).
//!
//! Owns the checks of a request and the claims of the token. The key that signs is `auth`'s.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
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
        std::future::ready(issue(call, &document).map(Answer::created)).boxed()
    }
}

fn issue(call: &Call, document: &Value) -> Result<Value, ApiError> {
    let mut request: TokenRequest = read(document)?;
    request.set_defaults();
    let account = call
        .server
        .object("serviceaccounts", call.namespace(), call.name())?
        .ok_or_else(|| Status::not_found("serviceaccounts", "", call.name()))?;
    let errors = request.validate();
    if !errors.is_empty() {
        return Err(invalid(call, &errors));
    }
    let config = call.server.auth.config();
    let audiences = match request.spec.audiences.take() {
        Some(audiences) if !audiences.is_empty() => audiences,
        _ => config.token_audiences.clone(),
    };
    let bound_to =
        request.spec.bound_object_ref.as_ref().map(|reference| bound_object(call, reference)).transpose()?;
    let seconds = request.spec.expiration_seconds.unwrap_or(3600);
    let expires_at = call.now + SignedDuration::from_secs(seconds);
    let claims = BoundClaims {
        issuer: config.token_issuer.clone(),
        audiences: audiences.clone(),
        namespace: call.namespace().to_owned(),
        service_account_name: call.name().to_owned(),
        service_account_uid: metadata::text(&account, "uid").to_owned(),
        bound_to,
        issued_at: call.now,
        expires_at,
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
    Ok(to_value(&request))
}

fn invalid(call: &Call, errors: &FieldErrors) -> ApiError {
    Status::invalid("TokenRequest", "authentication.k8s.io", call.name(), errors).into()
}

/// The object the token is to end with; it must exist and be the one meant.
fn bound_object(call: &Call, reference: &BoundObjectReference) -> Result<BoundObject, ApiError> {
    let (kind, resource) = match reference.kind.as_str() {
        "Secret" => (BoundKind::Secret, "secrets"),
        "Pod" => (BoundKind::Pod, "pods"),
        other => {
            let mut errors = FieldErrors::new();
            errors.not_supported("spec.boundObjectRef.kind", other, &["Pod", "Secret"]);
            return Err(invalid(call, &errors));
        }
    };
    let object = call
        .server
        .object(resource, call.namespace(), &reference.name)?
        .ok_or_else(|| Status::not_found(resource, "", &reference.name))?;
    let uid = metadata::text(&object, "uid");
    if !reference.uid.is_empty() && reference.uid != uid {
        let given = &reference.uid;
        let why = format!(
            "the UID in the bound object reference ({given}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict(resource, "", &reference.name, why).into());
    }
    Ok(BoundObject { kind, name: reference.name.clone(), uid: uid.to_owned() })
}
