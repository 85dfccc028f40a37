//! A user's own access tokens: `useroauthaccesstokens` (platform 2.6).
//!
//! Owns that everybody sees and ends only his own: those whose user name and UID are the caller's, and whose name is a
//! hash, so that nothing shown can be used as a token.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::meta::Status;
use pierhead_api::oauth::{OAuthAccessToken, UserOAuthAccessToken};
use pierhead_api::{Object as _, from_slice, to_value};
use pierhead_auth::{OAUTH_PREFIX, Subject};
use pierhead_store::KeyRange;
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use serde_json::Value;

use crate::call::{Answer, Call, ListAnswer};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb, View};
use crate::storage::Document;
use crate::storage::objects::erase;

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::calls::<UserOAuthAccessToken>(&[Verb::Delete, Verb::Get, Verb::List], OwnTokens)
        .fields(&[("clientName", "/clientName")])
        .watched_in::<OAuthAccessToken>(AsOwn, own_fields)
}

struct OwnTokens;

/// Tokens as their owners see them, for watches.
struct AsOwn;

impl View for AsOwn {
    fn shown(&self, mut stored: Value) -> Value {
        let is_hashed =
            stored["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(OAUTH_PREFIX));
        stored["kind"] = UserOAuthAccessToken::KIND.into();
        if !is_hashed {
            // A name that is the token itself is nobody's to see.
            stored["userName"] = Value::Null;
        }
        stored
    }

    fn stored(&self, mut shown: Value) -> Value {
        shown["kind"] = OAuthAccessToken::KIND.into();
        shown
    }
}

/// Without a UID nobody has tokens.
fn own_fields(subject: &Subject) -> Vec<(&'static str, String)> {
    let uid = if subject.uid.is_empty() { "none".to_owned() } else { subject.uid.clone() };
    vec![("/userName", subject.username.clone()), ("/userUID", uid)]
}

impl Connect for OwnTokens {
    fn call<'a>(&'a self, call: &'a Call, _: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        async move {
            match call.verb {
                Verb::Get => {
                    let key = key(call.name());
                    let record = call.server.store.read(|tx| tx.get(&OBJECTS, &key))?;
                    let own = record.as_ref().map(|record| own(record, &call.subject)).transpose()?.flatten();
                    Ok(Answer::ok(own.ok_or_else(|| call.not_found(call.name()))?))
                }
                Verb::List => list(call),
                Verb::Delete => delete(call).await,
                Verb::Create | Verb::DeleteCollection | Verb::Patch | Verb::Update | Verb::Watch => {
                    Err(call.wrong_verb().into())
                }
            }
        }
        .boxed()
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(OAuthAccessToken::qualified_resource(), "", name)
}

/// The token as its owner sees it; `None` when it is somebody else's.
fn own(record: &ObjectRecord, subject: &Subject) -> Result<Option<Value>, ApiError> {
    let token: OAuthAccessToken = from_slice(&record.0).map_err(|error| ApiError::internal(&error))?;
    let hashed = token.metadata.name.starts_with(OAUTH_PREFIX);
    let same_user =
        token.user_name == subject.username && token.user_uid == subject.uid && !subject.uid.is_empty();
    Ok((hashed && same_user).then(|| to_value(&UserOAuthAccessToken(token))))
}

fn list(call: &Call) -> Result<Answer, ApiError> {
    let selector = call.selector()?;
    let resource = OAuthAccessToken::qualified_resource();
    let range = KeyRange::prefix(&(resource.as_str(),));
    let (rows, revision) = call
        .server
        .store
        .read(|tx| tx.scan(&OBJECTS, &range, usize::MAX).map(|rows| (rows, tx.revision())))?;
    let mut items = Vec::new();
    for (_, record) in rows {
        if let Some(token) = own(&record, &call.subject)?
            && selector.matches(&token)
        {
            items.push(Document::Tree(token));
        }
    }
    Ok(Answer::List(ListAnswer { items, revision, continue_token: None }))
}

async fn delete(call: &Call) -> Result<Answer, ApiError> {
    let key = key(call.name());
    let subject = (*call.subject).clone();
    let ended = call
        .server
        .store
        .write(move |tx| -> Result<bool, ApiError> {
            let Some(record) = tx.get(&OBJECTS, &key)? else { return Ok(false) };
            if own(&record, &subject)?.is_none() {
                return Ok(false);
            }
            erase(tx, &key)?;
            Ok(true)
        })
        .await?;
    if !ended {
        return Err(call.not_found(call.name()).into());
    }
    let kind = &call.resource.kind;
    Ok(Answer::status(Status::deleted(kind.plural, kind.gvk.group, call.name(), "")))
}

#[cfg(test)]
mod tests {
    use pierhead_auth::Subject;
    use pierhead_store::objects::ObjectRecord;
    use serde_json::json;

    use super::own;

    #[track_caller]
    fn check(name: &str, user: &str, uid: &str, expected: bool) {
        let token = json!({"metadata": {"name": name}, "userName": user, "userUID": uid, "clientName": "c"});
        let record = ObjectRecord(serde_json::to_vec(&token).unwrap().into());
        let ann = Subject {
            username: "ann".into(),
            uid: "u1".into(),
            groups: Vec::new(),
            extra: Default::default(),
        };
        let shown = own(&record, &ann).unwrap();
        assert_eq!(shown.is_some(), expected);
        if let Some(shown) = shown {
            assert_eq!(shown["kind"], "UserOAuthAccessToken");
        }
    }

    #[test]
    fn everybody_sees_only_his_own() {
        check("sha256~x", "ann", "u1", true);
        check("sha256~x", "ann", "an-earlier-ann", false);
        check("sha256~x", "bob", "u1", false);
        check("a-token-that-works", "ann", "u1", false);
    }
}
