//! `Status`, the answer to everything that went wrong, with the texts clients match (platform 1.9).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ListMeta;
use crate::field::FieldErrors;
use crate::object::{envelope, fields_of};

/// Outcome of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Always empty.
    pub metadata: ListMeta,
    /// `Success` or `Failure`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// What happened, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What happened, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<StatusReason>,
    /// To which object, and in which fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
    /// HTTP status code; zero when not known.
    #[serde(skip_serializing_if = "is_no_code")]
    pub code: u16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_no_code(code: &u16) -> bool {
    *code == 0
}

/// What happened, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the names are those of platform 1.9")]
pub enum StatusReason {
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    StoreReadError,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
    ImportFailed,
    NotV2Registry,
    #[serde(other)]
    Unknown,
}

/// The object and the fields a `Status` is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct StatusDetails {
    /// Name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Group of the resource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The resource (plural); the kind when the reason is `Invalid`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// UID of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Single causes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// When to try again, in seconds; zero when there is no point.
    #[serde(skip_serializing_if = "is_no_delay")]
    pub retry_after_seconds: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_no_delay(seconds: &u32) -> bool {
    *seconds == 0
}

/// One cause of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct StatusCause {
    /// Such as `FieldValueRequired`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What is wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// `routes.route.openshift.io`, or `pods` for the core group.
fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

fn details(resource: &str, group: &str, name: &str) -> StatusDetails {
    StatusDetails {
        name: name.into(),
        group: group.into(),
        kind: resource.into(),
        ..StatusDetails::default()
    }
}

impl Status {
    /// A failure without details.
    pub fn failure(code: u16, reason: StatusReason, message: impl Into<String>) -> Self {
        Self {
            metadata: ListMeta::default(),
            status: "Failure".into(),
            message: message.into(),
            reason: Some(reason),
            details: None,
            code,
        }
    }

    /// Success, as deletions answer it.
    pub fn success() -> Self {
        Self { status: "Success".into(), ..Self::default() }
    }

    /// Success of a deletion, naming what was deleted.
    pub fn deleted(resource: &str, group: &str, name: &str, uid: &str) -> Self {
        let details = StatusDetails { uid: uid.into(), ..details(resource, group, name) };
        Self { details: Some(details), ..Self::success() }
    }

    fn about(mut self, details: StatusDetails) -> Self {
        self.details = Some(details);
        self
    }

    /// The same with a delay after which the client should try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_with(StatusDetails::default).retry_after_seconds = seconds;
        self
    }

    /// The same with one more cause.
    #[must_use]
    pub fn with_cause(mut self, reason: &str, message: impl Into<String>, field: &str) -> Self {
        let cause = StatusCause { reason: reason.into(), message: message.into(), field: field.into() };
        self.details.get_or_insert_with(StatusDetails::default).causes.push(cause);
        self
    }

    /// 400: the request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, StatusReason::BadRequest, message)
    }

    /// 401: the credentials are not valid.
    pub fn unauthorized() -> Self {
        Self::failure(401, StatusReason::Unauthorized, "Unauthorized")
    }

    /// 403 about an object; an empty name leaves the name part out.
    pub fn forbidden(resource: &str, group: &str, name: &str, why: impl fmt::Display) -> Self {
        let resource_text = qualified(resource, group);
        let message = if name.is_empty() {
            format!("{resource_text} is forbidden: {why}")
        } else {
            format!("{resource_text} \"{name}\" is forbidden: {why}")
        };
        Self::failure(403, StatusReason::Forbidden, message).about(details(resource, group, name))
    }

    /// 403 with a text of its own: non-resource paths, and what old servers said.
    pub fn forbidden_message(message: impl Into<String>) -> Self {
        Self::failure(403, StatusReason::Forbidden, message).about(StatusDetails::default())
    }

    /// 404 about an object.
    pub fn not_found(resource: &str, group: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", qualified(resource, group));
        Self::failure(404, StatusReason::NotFound, message).about(details(resource, group, name))
    }

    /// 404 about a path nothing is served at.
    pub fn not_found_path() -> Self {
        Self::failure(404, StatusReason::NotFound, "the server could not find the requested resource")
            .about(StatusDetails::default())
    }

    /// 405: the resource has no such verb.
    pub fn method_not_allowed(resource: &str, group: &str, verb: &str) -> Self {
        let message =
            format!("{verb} is not supported on resources of kind \"{}\"", qualified(resource, group));
        Self::failure(405, StatusReason::MethodNotAllowed, message).about(details(resource, group, ""))
    }

    /// 406: none of the wanted media types can be served.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::failure(406, StatusReason::NotAcceptable, message)
    }

    /// 409: the name is taken.
    pub fn already_exists(resource: &str, group: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", qualified(resource, group));
        Self::failure(409, StatusReason::AlreadyExists, message).about(details(resource, group, name))
    }

    /// 409: eight generated names were all taken.
    pub fn name_not_generated(resource: &str, group: &str, prefix: &str) -> Self {
        let message = format!(
            "{} \"{prefix}\" already exists, the server was not able to generate a unique name for the object",
            qualified(resource, group)
        );
        Self::failure(409, StatusReason::AlreadyExists, message).about(details(resource, group, prefix))
    }

    /// 409: the object changed meanwhile, or a precondition does not hold.
    pub fn conflict(resource: &str, group: &str, name: &str, why: impl fmt::Display) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(resource, group));
        Self::failure(409, StatusReason::Conflict, message).about(details(resource, group, name))
    }

    /// 409 of an update with an old `resourceVersion`.
    pub fn modified(resource: &str, group: &str, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, group, name, why)
    }

    /// 410: the revision asked for is no longer kept; list again.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, StatusReason::Expired, message)
    }

    /// 413: the body has more than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("Request entity is too large: limit is {limit}");
        Self::failure(413, StatusReason::RequestEntityTooLarge, message)
    }

    /// 415: the body has a media type nobody reads.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::failure(415, StatusReason::UnsupportedMediaType, message)
    }

    /// 422: fields of an object are wrong. `details.kind` is the kind here, not the resource.
    pub fn invalid(kind: &str, group: &str, name: &str, errors: &FieldErrors) -> Self {
        let message = format!("{} \"{name}\" is invalid: {errors}", qualified(kind, group));
        let details = StatusDetails { causes: errors.causes(), ..details(kind, group, name) };
        Self::failure(422, StatusReason::Invalid, message).about(details)
    }

    /// 429: come back later.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::failure(429, StatusReason::TooManyRequests, message).retry_after(retry_after_seconds)
    }

    /// 500: something of ours broke; `why` is shown to the client.
    pub fn internal(why: impl fmt::Display) -> Self {
        let why = why.to_string();
        Self::failure(500, StatusReason::InternalError, format!("Internal error occurred: {why}"))
            .with_cause("", why, "")
    }

    /// 500: it did not work now but may later.
    pub fn server_timeout(resource: &str, group: &str, operation: &str, retry_after_seconds: u32) -> Self {
        let message = format!(
            "The {operation} operation against {} could not be completed at this time, please try again.",
            qualified(resource, group)
        );
        Self::failure(500, StatusReason::ServerTimeout, message)
            .about(details(resource, group, ""))
            .retry_after(retry_after_seconds)
    }

    /// 503: a part that is needed is not there.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, StatusReason::ServiceUnavailable, message)
    }

    /// 504: it took too long.
    pub fn timeout(message: impl fmt::Display, retry_after_seconds: u32) -> Self {
        Self::failure(504, StatusReason::Timeout, format!("Timeout: {message}"))
            .retry_after(retry_after_seconds)
    }

    /// 504 of a read at a revision that does not exist yet.
    pub fn too_large_resource_version(asked: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        Self::timeout(&message, 1).with_cause("ResourceVersionTooLarge", "Too large resource version", "")
    }

    /// The document, `kind` first, as servers write it.
    pub fn to_value(&self) -> Value {
        let mut document = envelope("v1".into(), "Status".into());
        document.extend(fields_of(self));
        Value::Object(document)
    }

    /// Whether this tells of success.
    pub fn is_success(&self) -> bool {
        self.status == "Success"
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Status;
    use crate::field::FieldErrors;

    #[track_caller]
    fn check(status: &Status, code: u16, message: &str) {
        assert_eq!((status.code, status.message.as_str()), (code, message));
        let read: Status = serde_json::from_value(status.to_value()).unwrap();
        assert_eq!(read, *status);
    }

    #[test]
    fn speaks_the_texts_clients_match() {
        let route = "route.openshift.io";
        check(&Status::not_found("routes", route, "x"), 404, "routes.route.openshift.io \"x\" not found");
        check(&Status::not_found("pods", "", "x"), 404, "pods \"x\" not found");
        check(&Status::already_exists("secrets", "", "x"), 409, "secrets \"x\" already exists");
        check(&Status::forbidden("pods", "", "", "no"), 403, "pods is forbidden: no");
        check(&Status::forbidden("pods", "", "x", "no"), 403, "pods \"x\" is forbidden: no");
        check(
            &Status::modified("routes", route, "x"),
            409,
            "Operation cannot be fulfilled on routes.route.openshift.io \"x\": the object has been modified; \
             please apply your changes to the latest version and try again",
        );
        check(
            &Status::method_not_allowed("imagestreamtags", "image.openshift.io", "watch"),
            405,
            "watch is not supported on resources of kind \"imagestreamtags.image.openshift.io\"",
        );
        check(&Status::too_large(3_145_728), 413, "Request entity is too large: limit is 3145728");
        check(&Status::internal("boom"), 500, "Internal error occurred: boom");
    }

    #[test]
    fn invalid_names_the_kind_and_lists_causes() {
        let mut errors = FieldErrors::new();
        errors.required("spec.to.name", "");
        let status = Status::invalid("Route", "route.openshift.io", "x", &errors);
        let expected = json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "message": "Route.route.openshift.io \"x\" is invalid: spec.to.name: Required value",
            "reason": "Invalid",
            "details": {
                "name": "x", "group": "route.openshift.io", "kind": "Route",
                "causes": [{"reason": "FieldValueRequired", "message": "Required value", "field": "spec.to.name"}],
            },
            "code": 422,
        });
        assert_eq!(status.to_value(), expected);
    }

    #[test]
    fn reads_reasons_of_newer_servers() {
        let status: Status = serde_json::from_value(json!({"reason": "Novel", "code": 499})).unwrap();
        assert_eq!(status.reason, Some(super::StatusReason::Unknown));
    }
}
