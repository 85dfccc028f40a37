//! The token a client sends to get the next chunk of a list.
//!
//! Owns its form: the revision of the list and the last key, sealed with a key of this process together with what was
//! listed. A token of another list, another tenant's namespace or another selector does not open (reliability 7-D D7s);
//! one from before a restart has expired, which clients answer by listing anew.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pierhead_api::meta::Status;
use pierhead_store::Revision;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::storage::Key;

const BLOCK: usize = 64;
const TAG: usize = 32;

/// The key tokens are sealed with.
#[derive(Clone)]
pub(crate) struct TokenKey([u8; BLOCK]);

impl TokenKey {
    /// A new key, known to nobody.
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    /// HMAC-SHA256 (RFC 2104) over the parts, each with its length in front.
    fn tag(&self, parts: &[&[u8]]) -> [u8; TAG] {
        let pad = |with: u8| self.0.map(|byte| byte ^ with);
        let mut inner = Sha256::new_with_prefix(pad(0x36));
        for part in parts {
            inner.update((part.len() as u64).to_be_bytes());
            inner.update(part);
        }
        let outer = Sha256::new_with_prefix(pad(0x5c)).chain_update(inner.finalize());
        outer.finalize().into()
    }
}

/// What is listed; a token is good for nothing else.
pub(crate) struct Scope<'a> {
    /// `plural.group`.
    pub(crate) resource: &'a str,
    /// The namespace; empty for all.
    pub(crate) namespace: &'a str,
    /// The label selector as sent.
    pub(crate) labels: &'a str,
    /// The field selector as sent.
    pub(crate) fields: &'a str,
}

/// Where a list goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ContinueToken {
    /// The revision of the list; zero for one that goes on with what there is now.
    pub(crate) revision: Revision,
    /// The last object the client has.
    pub(crate) after: Key,
    /// How many objects followed it then, where that was counted.
    pub(crate) left: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    r: u64,
    #[serde(borrow)]
    ns: Cow<'a, str>,
    #[serde(borrow)]
    n: Cow<'a, str>,
    l: Option<u64>,
}

impl ContinueToken {
    /// The token as text.
    pub(crate) fn seal(&self, key: &TokenKey, scope: &Scope<'_>) -> String {
        let wire = Wire {
            r: self.revision.number(),
            ns: (&self.after.namespace).into(),
            n: (&self.after.name).into(),
            l: self.left,
        };
        let body = serde_json::to_vec(&wire).expect("a number and two strings are always JSON");
        let mut bytes = tag_of(key, scope, &body).to_vec();
        bytes.extend_from_slice(&body);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token; 410 for one that was not made here for this list.
    pub(crate) fn open(key: &TokenKey, text: &str, scope: &Scope<'_>) -> Result<Self, ApiError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|error| Status::bad_request(format!("continue key is not valid: {error}")))?;
        let (tag, body) = bytes.split_at_checked(TAG).ok_or_else(expired)?;
        if !equal(tag, &tag_of(key, scope, body)) {
            return Err(expired());
        }
        let wire: Wire<'_> = serde_json::from_slice(body)?;
        let (revision, after) = (Revision::new(wire.r), Key::new(wire.ns, wire.n));
        Ok(Self { revision, after, left: wire.l })
    }
}

/// 410 for a list of a revision that nobody knows any more.
pub(crate) fn too_old() -> ApiError {
    Status::expired("The resourceVersion for the provided list is too old.").into()
}

/// 410 for a list whose revision is forgotten, with a token that goes on with what there is now.
pub(crate) fn expired_with(token: String) -> ApiError {
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    status.metadata.continue_token = token;
    status.into()
}

/// 410 for a list that cannot go on as it began.
pub(crate) fn expired() -> ApiError {
    Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
    )
    .into()
}

fn tag_of(key: &TokenKey, scope: &Scope<'_>, body: &[u8]) -> [u8; TAG] {
    let Scope { resource, namespace, labels, fields } = scope;
    key.tag(&[resource.as_bytes(), namespace.as_bytes(), labels.as_bytes(), fields.as_bytes(), body])
}

/// Compares without telling by its duration where two tags differ.
fn equal(one: &[u8], two: &[u8]) -> bool {
    one.len() == two.len() && one.iter().zip(two).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::{ContinueToken, Scope, TokenKey};
    use crate::storage::Key;
    use pierhead_store::Revision;

    const SCOPE: Scope<'_> = Scope { resource: "secrets", namespace: "shop", labels: "", fields: "" };

    #[test]
    fn a_token_opens_only_what_it_was_made_for() {
        let key = TokenKey::random();
        let token =
            ContinueToken { revision: Revision::new(7), after: Key::new("shop", "web\"x"), left: Some(3) };
        let text = token.seal(&key, &SCOPE);
        assert_eq!(ContinueToken::open(&key, &text, &SCOPE).unwrap(), token);
        let refused = |key: &TokenKey, text: &str, scope: &Scope<'_>| {
            ContinueToken::open(key, text, scope).unwrap_err().status().code
        };
        assert_eq!(refused(&key, &text, &Scope { namespace: "other", ..SCOPE }), 410);
        assert_eq!(refused(&key, &text, &Scope { labels: "a=b", ..SCOPE }), 410);
        assert_eq!(refused(&TokenKey::random(), &text, &SCOPE), 410);
        assert_eq!(refused(&key, "AAAA", &SCOPE), 410);
        assert_eq!(refused(&key, "!", &SCOPE), 400);
    }
}
