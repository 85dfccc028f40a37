//! Users, and `users/~`: whoever asks (platform 2.8).
//!
//! Owns the answer for callers without a User object (service accounts, administrators by certificate), which is made
//! up from what is known of them.

use pierhead_api::field::FieldErrors;
use pierhead_api::meta::ObjectMeta;
use pierhead_api::to_value;
use pierhead_api::user::User;
use serde_json::Value;

use crate::call::Call;
use crate::error::ApiError;
use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The name that means the caller.
const SELF: &str = "~";

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Users).answers_get(current_user).openshift()
}

/// `GET users/~`; nothing for other names.
fn current_user(call: &Call) -> Result<Option<Value>, ApiError> {
    if call.name() != SELF {
        return Ok(None);
    }
    let subject = &call.subject;
    if let Some(mut user) = call.server.object("users.user.openshift.io", "", &subject.username)?
        && user["metadata"]["uid"] == subject.uid.as_str()
    {
        // The groups of this login, which the stored object does not keep.
        user["groups"] = subject.groups.iter().map(String::as_str).collect();
        return Ok(Some(user));
    }
    let user = User {
        metadata: ObjectMeta { uid: subject.uid.clone(), ..ObjectMeta::named(subject.username.as_str()) },
        groups: subject.groups.clone().into(),
        ..User::default()
    };
    Ok(Some(to_value(&user)))
}

struct Users;

impl Strategy for Users {
    type Object = User;

    fn validate(&self, user: &User, _: &Change<'_>) -> FieldErrors {
        user.validate()
    }

    fn validate_update(&self, user: &User, old: &User, _: &Change<'_>) -> FieldErrors {
        user.validate_update(old)
    }
}
