//! Authorization codes: made once, redeemed once, with proof of who asked for them.
//!
//! A redeemed code stays until it would have ended, marked with the token it became: whoever presents it again ends
//! that token, because one of the two is a thief.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use pierhead_runtime::Secret;
use pierhead_store::objects::{OBJECTS, ObjectKey};
use pierhead_store::{StoreError, WriteTx};
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use crate::auth::Auth;
use crate::identity::StoredAccessToken;
use crate::service_account::sha256;
use crate::stored::resource;

use super::{AccessToken, Client, Grant, StoredUser, User, create, find, new_token, update};

/// Annotation of a redeemed code: the name of the token it became.
const REDEEMED_AS: &str = "oauth.openshift.io/redeemed-as";

/// The proof key of a code (RFC 7636).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pkce {
    /// The challenge is the base64url of the verifier's SHA-256.
    S256(String),
    /// The challenge is the verifier.
    Plain(String),
}

impl Pkce {
    /// The challenge of an authorize request. `None` if the method is unknown or the challenge has not the form
    /// of one (43 to 128 unreserved characters).
    pub fn parse(challenge: &str, method: &str) -> Option<Self> {
        let challenge = is_verifier(challenge).then(|| challenge.to_owned())?;
        match method {
            "S256" => Some(Self::S256(challenge)),
            "" | "plain" => Some(Self::Plain(challenge)),
            _ => None,
        }
    }

    fn accepts(&self, verifier: &str) -> bool {
        let (challenge, answer) = match self {
            Self::S256(challenge) => (challenge, BASE64_URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()))),
            Self::Plain(challenge) => (challenge, verifier.to_owned()),
        };
        is_verifier(verifier) && bool::from(challenge.as_bytes().ct_eq(answer.as_bytes()))
    }

    const fn method(&self) -> &'static str {
        match self {
            Self::S256(_) => "S256",
            Self::Plain(_) => "plain",
        }
    }

    fn challenge(&self) -> &str {
        match self {
            Self::S256(challenge) | Self::Plain(challenge) => challenge,
        }
    }
}

fn is_verifier(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

/// What a code is made for.
#[derive(Clone, Debug)]
pub struct CodeRequest {
    /// What the token will be allowed.
    pub scopes: Vec<String>,
    /// Where the code goes; the redemption must name the same.
    pub redirect_uri: String,
    /// The client's own value, kept for the record.
    pub state: String,
    /// Proof that who redeems the code is who asked for it. Public clients must have one.
    pub pkce: Option<Pkce>,
}

/// A code as it comes back.
#[derive(Clone, Copy, Debug)]
pub struct Redemption<'a> {
    /// The code.
    pub code: &'a str,
    /// The redirect URI of the authorize request.
    pub redirect_uri: &'a str,
    /// The proof key's verifier; empty for none.
    pub verifier: &'a str,
}

/// Why a code gives no token.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// Unknown, over, redeemed, another client's, for another place, or without its proof.
    #[error("the code is not valid: {0}")]
    Invalid(&'static str),
    /// The store cannot be read or written.
    #[error("redeeming the code")]
    Store(#[from] StoreError),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredCode {
    #[serde(flatten)]
    token: StoredAccessToken,
    #[serde(default, rename = "redirectURI")]
    redirect_uri: String,
    #[serde(default)]
    code_challenge: String,
    #[serde(default)]
    code_challenge_method: String,
}

impl Auth {
    /// Makes a code for `client` to redeem.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn grant_code(
        &self,
        client: &Client,
        user: &User,
        request: CodeRequest,
    ) -> Result<Secret<String>, StoreError> {
        let (code, name) = new_token();
        let mut object = json!({
            "kind": "OAuthAuthorizeToken",
            "apiVersion": "oauth.openshift.io/v1",
            "metadata": {"name": name},
            "clientName": client.name,
            "expiresIn": self.config().authorize_code_life.as_secs(),
            "scopes": request.scopes,
            "redirectURI": request.redirect_uri,
            "userName": user.name,
            "userUID": user.uid,
        });
        if !request.state.is_empty() {
            object["state"] = json!(request.state);
        }
        if let Some(pkce) = &request.pkce {
            object["codeChallenge"] = json!(pkce.challenge());
            object["codeChallengeMethod"] = json!(pkce.method());
        }
        let now = self.now();
        let written = self.inner.store.write(move |tx: &mut WriteTx<'_>| -> Result<(), StoreError> {
            create(tx, resource::AUTHORIZE_TOKENS, &name, object.clone(), now)
        });
        written.await?;
        Ok(code)
    }

    /// Turns a code into a token, once.
    ///
    /// # Errors
    /// [`RedeemError::Invalid`] for the log; to the client all reasons look the same.
    pub async fn redeem_code(
        &self,
        client: &Client,
        redemption: Redemption<'_>,
    ) -> Result<AccessToken, RedeemError> {
        let code_name = crate::oauth_object_name(redemption.code).ok_or(RedeemError::Invalid("its form"))?;
        let redirect_uri = redemption.redirect_uri.to_owned();
        let verifier = redemption.verifier.to_owned();
        let life = client.token_life(self.config().access_token_life);
        let idle = client.token_idle(self.config().access_token_idle);
        let client = client.clone();
        let now = self.now();
        let (token, name) = new_token();
        let redeemed = self.inner.store.write(move |tx| -> Result<Outcome, StoreError> {
            let presented = Presented { client: &client, redirect_uri: &redirect_uri, verifier: &verifier };
            let Some(object) = find::<Value>(tx, resource::AUTHORIZE_TOKENS, &code_name)? else {
                return Ok(Outcome::Refused("it does not exist"));
            };
            if let Some(token) = object["metadata"]["annotations"][REDEEMED_AS].as_str() {
                tx.delete(&OBJECTS, &ObjectKey::new(resource::ACCESS_TOKENS, "", token))?;
                return Ok(Outcome::Refused("it was redeemed before; its token is revoked"));
            }
            let stored: Option<StoredCode> = serde_json::from_value(object.clone()).ok();
            let user = stored.as_ref().map(|stored| current_user(tx, stored)).transpose()?.flatten();
            let problem = stored.as_ref().map_or(Some("its form"), |stored| presented.problem(stored, now));
            let (Some(stored), Some(user), None) = (stored, user, problem) else {
                // A code that was presented wrongly has been in wrong hands: it is over.
                tx.delete(&OBJECTS, &ObjectKey::new(resource::AUTHORIZE_TOKENS, "", &*code_name))?;
                return Ok(Outcome::Refused(problem.unwrap_or("its user is gone")));
            };
            let mut object = object;
            object["metadata"]["annotations"][REDEEMED_AS] = json!(name);
            update(tx, resource::AUTHORIZE_TOKENS, &code_name, object)?;
            let scopes = stored.token.scopes.unwrap_or_default();
            let grant = Grant {
                redirect_uri: redirect_uri.clone(),
                expires_in: life,
                idle,
                code_name: Some(code_name.clone()),
                ..Grant::new(&client, &user, scopes)
            };
            grant.store(tx, &name, now)?;
            Ok(Outcome::Granted(grant))
        });
        match redeemed.await? {
            Outcome::Granted(grant) => Ok(grant.answer(token)),
            Outcome::Refused(why) => Err(RedeemError::Invalid(why)),
        }
    }
}

/// The name of the access token that a stored code became, for whoever deletes the code: the token goes with it.
pub fn token_of_code(code: &[u8]) -> Option<String> {
    let object: Value = serde_json::from_slice(code).ok()?;
    object["metadata"]["annotations"][REDEEMED_AS].as_str().map(str::to_owned)
}

enum Outcome {
    Granted(Grant),
    Refused(&'static str),
}

/// What came with the code.
struct Presented<'a> {
    client: &'a Client,
    redirect_uri: &'a str,
    verifier: &'a str,
}

impl Presented<'_> {
    fn problem(&self, stored: &StoredCode, now: jiff::Timestamp) -> Option<&'static str> {
        if stored.token.client_name != self.client.name {
            return Some("it was made for another client");
        }
        if stored.token.expires_at().is_some_and(|end| end <= now) {
            return Some("its time is over");
        }
        if stored.redirect_uri != self.redirect_uri {
            return Some("the redirect URI is another");
        }
        let pkce = Pkce::parse(&stored.code_challenge, &stored.code_challenge_method);
        match pkce {
            Some(pkce) if !pkce.accepts(self.verifier) => Some("the code verifier is wrong"),
            None if !stored.code_challenge.is_empty() => Some("its challenge cannot be read"),
            None if self.client.needs_proof_key() => Some("the client must use a proof key"),
            // Somebody took the challenge out of the request (RFC 9700, 4.8.2).
            None if !self.verifier.is_empty() => Some("there is a code verifier and no challenge"),
            _ => None,
        }
    }
}

/// The code's user, if it is still the same one.
fn current_user(tx: &WriteTx<'_>, code: &StoredCode) -> Result<Option<User>, StoreError> {
    let user: Option<StoredUser> = find(tx, resource::USERS, &code.token.user_name)?;
    let same = user.filter(|user| user.is_still(&code.token.user_uid));
    Ok(same.map(|user| User { name: user.metadata.name, uid: user.metadata.uid }))
}

#[cfg(test)]
mod tests {
    use super::Pkce;

    #[test]
    fn proof_keys() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let check = |method: &str, challenge: &str, verifier: &str, expected: Option<bool>| {
            let accepted = Pkce::parse(challenge, method).map(|pkce| pkce.accepts(verifier));
            assert_eq!(accepted, expected, "{method} {challenge} {verifier}");
        };
        check("S256", challenge, verifier, Some(true));
        check("S256", challenge, challenge, Some(false));
        check("plain", verifier, verifier, Some(true));
        check("", verifier, verifier, Some(true));
        check("plain", challenge, verifier, Some(false));
        check("s256", challenge, verifier, None);
        check("S256", "short", verifier, None);
        check("S256", challenge, "", Some(false));
    }
}
