//! OAuth clients: the built-in ones, and what a client may do.
//!
//! Owns the comparison of redirect URIs, which is all that stands between a token and a stranger's page.

use std::time::Duration;

use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{KeyRange, StoreError, WriteTx};
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use crate::auth::Auth;
use crate::credentials::{Credentials, Unauthenticated};
use crate::scope::Scope;
use crate::stored::{self, Meta, resource};
use crate::subject::SERVICE_ACCOUNT_PREFIX;

use super::{account_client, create, find, random_text, update};

/// The client of pages that show a token.
pub const BROWSER_CLIENT: &str = "openshift-browser-client";
/// The client of `oc login -u`.
pub const CHALLENGING_CLIENT: &str = "openshift-challenging-client";
/// The client of `oc login --web`.
pub const CLI_CLIENT: &str = "openshift-cli-client";

/// Clients that are looked at where all of them are.
const MOST_CLIENTS: usize = 1_000;

/// How a client's wish for a token is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantMethod {
    /// With a token.
    Auto,
    /// By asking the user.
    Prompt,
    /// With a refusal.
    Deny,
}

/// An OAuthClient object, read.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name: the client id.
    pub name: String,
    /// Whether it is asked for a password by a 401 instead of a page.
    pub responds_with_challenges: bool,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// How its wishes are answered.
    pub grant_method: GrantMethod,
    pub(super) proof: Proof,
    pub(super) restrictions: Vec<Restriction>,
    pub(super) token_life: Option<i64>,
    pub(super) token_idle: Option<i64>,
}

/// How a client proves that it is the one.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// By one of these; a client without any proves nothing.
    Secrets(Vec<String>),
    /// By a token of the service account that it is.
    AccountToken,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredClient {
    metadata: Meta,
    #[serde(default)]
    secret: Option<String>,
    #[serde(default)]
    additional_secrets: Option<Vec<String>>,
    #[serde(default)]
    respond_with_challenges: bool,
    #[serde(default, rename = "redirectURIs")]
    redirect_uris: Option<Vec<String>>,
    #[serde(default)]
    grant_method: Option<String>,
    #[serde(default)]
    scope_restrictions: Option<Vec<Restriction>>,
    #[serde(default)]
    access_token_max_age_seconds: Option<i64>,
    #[serde(default)]
    access_token_inactivity_timeout_seconds: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Restriction {
    #[serde(default)]
    pub(super) literals: Option<Vec<String>>,
    #[serde(default)]
    pub(super) cluster_role: Option<RoleRestriction>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoleRestriction {
    #[serde(default)]
    pub(super) role_names: Vec<String>,
    #[serde(default)]
    pub(super) namespaces: Vec<String>,
    #[serde(default)]
    pub(super) allow_escalation: bool,
}

impl Restriction {
    fn allows(&self, text: &str, scope: &Scope) -> bool {
        if self.literals.as_ref().is_some_and(|literals| literals.iter().any(|literal| literal == text)) {
            return true;
        }
        let (Some(of), Scope::Role { role, namespace, escalating }) = (&self.cluster_role, scope) else {
            return false;
        };
        let listed = |values: &[String], value: &String| values.iter().any(|of| of == "*" || of == value);
        listed(&of.role_names, role)
            && listed(&of.namespaces, namespace)
            && (of.allow_escalation || !escalating)
    }
}

impl Client {
    /// Whether the client has no secret to prove itself with, as programs on users' machines.
    pub fn is_public(&self) -> bool {
        matches!(&self.proof, Proof::Secrets(secrets) if secrets.is_empty())
    }

    /// Whether a code is given out only for a proof key (RFC 7636): to clients that cannot prove themselves. One that is
    /// challenged reads the code from the answer to its own request, where nobody else sees it, and some of these
    /// clients ask without a proof key.
    pub fn needs_proof_key(&self) -> bool {
        self.is_public() && !self.responds_with_challenges
    }

    /// Whether a token may be in the answer itself. Not in that to a program on somebody's machine, where whoever listens
    /// first has it: nothing proves there that it is the program which asked.
    pub fn may_get_token_at_once(&self) -> bool {
        let is_loopback = |uri: &String| PlainUri::parse(uri).is_some_and(|uri| uri.is_loopback());
        !self.needs_proof_key() || !self.redirect_uris.iter().all(is_loopback)
    }

    /// Whether it is a service account.
    pub const fn is_account(&self) -> bool {
        matches!(self.proof, Proof::AccountToken)
    }

    /// Whether `secret` is one of the client's. A public client proves nothing: its secret is the empty one. Service
    /// accounts have none: see [`Auth::proves_client`].
    pub fn accepts_secret(&self, secret: &str) -> bool {
        match &self.proof {
            Proof::Secrets(secrets) if secrets.is_empty() => secret.is_empty(),
            Proof::Secrets(secrets) => {
                let equal = |of: &String| bool::from(of.as_bytes().ct_eq(secret.as_bytes()));
                secrets.iter().fold(false, |found, of| equal(of) | found)
            }
            Proof::AccountToken => false,
        }
    }

    /// Where to send the answer: `asked` if it is registered, the only registered one if nothing is asked.
    pub fn redirect_uri<'a>(&'a self, asked: Option<&'a str>) -> Option<&'a str> {
        match asked {
            Some(asked) => self.redirect_uris.iter().any(|of| is_below(asked, of)).then_some(asked),
            None => self.redirect_uris.first().map(String::as_str),
        }
    }

    pub(crate) fn allows_scope(&self, text: &str, scope: &Scope) -> bool {
        self.restrictions.is_empty()
            || self.restrictions.iter().any(|restriction| restriction.allows(text, scope))
    }

    /// Life of its tokens in seconds; zero for tokens that do not end.
    pub(crate) fn token_life(&self, default: Duration) -> i64 {
        self.token_life.unwrap_or_else(|| i64::try_from(default.as_secs()).unwrap_or(i64::MAX))
    }

    /// After how many idle seconds its tokens end; zero for never.
    pub(crate) fn token_idle(&self, default: Duration) -> i64 {
        self.token_idle.unwrap_or_else(|| i64::try_from(default.as_secs()).unwrap_or(i64::MAX))
    }

    fn from_stored(stored: StoredClient) -> Self {
        let first = stored.secret.filter(|secret| !secret.is_empty());
        let more =
            stored.additional_secrets.unwrap_or_default().into_iter().filter(|secret| !secret.is_empty());
        Self {
            name: stored.metadata.name,
            responds_with_challenges: stored.respond_with_challenges,
            redirect_uris: stored.redirect_uris.unwrap_or_default(),
            grant_method: match stored.grant_method.as_deref() {
                Some("auto") => GrantMethod::Auto,
                None | Some("" | "prompt") => GrantMethod::Prompt,
                Some(_) => GrantMethod::Deny,
            },
            proof: Proof::Secrets(first.into_iter().chain(more).collect()),
            restrictions: stored.scope_restrictions.unwrap_or_default(),
            token_life: stored.access_token_max_age_seconds,
            token_idle: stored.access_token_inactivity_timeout_seconds,
        }
    }
}

/// The parts of a URI that is nothing but scheme, authority, path and query.
#[derive(PartialEq, Eq)]
struct PlainUri<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> PlainUri<'a> {
    /// `None` for anything with user info, a fragment, a backslash, blanks, dot segments or their escapes: forms
    /// that browsers and servers read differently.
    fn parse(text: &'a str) -> Option<Self> {
        let plain =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'@' | b'<' | b'>' | b'"');
        if !text.bytes().all(plain) {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        if !matches!(scheme, "http" | "https") {
            return None;
        }
        let (authority, path_and_query) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let lower = path.to_ascii_lowercase();
        let odd = ["%2e", "%2f", "%5c", "%00", "//"].iter().any(|odd| lower.contains(odd));
        if odd || path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return None;
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
            _ => (authority, None),
        };
        (!host.is_empty()).then_some(Self { scheme, host, port, path, query })
    }

    fn is_same_place(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.host.eq_ignore_ascii_case(other.host) && self.port == other.port
    }

    fn is_loopback(&self) -> bool {
        matches!(self.host, "127.0.0.1" | "[::1]")
    }
}

/// Whether `asked` is the registered URI or a path below it. A program on the user's machine may listen on any port.
fn is_below(asked: &str, registered: &str) -> bool {
    let (Some(asked), Some(registered)) = (PlainUri::parse(asked), PlainUri::parse(registered)) else {
        return false;
    };
    let any_port = registered.is_loopback() && registered.port.is_none();
    let same_place = asked.scheme == registered.scheme
        && asked.host.eq_ignore_ascii_case(registered.host)
        && (any_port || asked.port == registered.port);
    let same_path = asked.path == registered.path
        || asked
            .path
            .strip_prefix(registered.path)
            .is_some_and(|rest| !any_port && (registered.path.ends_with('/') || rest.starts_with('/')));
    same_place && same_path && (asked.query.is_none() || asked.query == registered.query)
}

impl Auth {
    /// The client with this id: an OAuthClient, or a service account.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn oauth_client(&self, name: &str) -> Result<Option<Client>, StoreError> {
        if name.starts_with(SERVICE_ACCOUNT_PREFIX) {
            return self.inner.store.read(|tx| account_client::find(tx, name));
        }
        let stored: Option<StoredClient> =
            self.inner.store.read(|tx| stored::find(tx, resource::OAUTH_CLIENTS, "", name))?;
        let stored = stored.filter(|client| !client.metadata.is_being_deleted());
        Ok(stored.map(Client::from_stored))
    }

    /// Whether `address` is at the host of a registered client: of one elsewhere, not on people's own machines.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_at_client(&self, address: &str) -> Result<bool, StoreError> {
        let Some(asked) = PlainUri::parse(address) else { return Ok(false) };
        let range = KeyRange::prefix(resource::OAUTH_CLIENTS);
        let rows: Vec<(ObjectKey, ObjectRecord)> =
            self.inner.store.read(|tx| tx.scan(&OBJECTS, &range, MOST_CLIENTS))?;
        let mut clients = rows.iter().filter_map(|(ObjectKey { name, .. }, ObjectRecord(json))| {
            stored::parse::<StoredClient>(json, resource::OAUTH_CLIENTS, "", name)
        });
        Ok(clients.any(|client| {
            client.redirect_uris.iter().flatten().any(|uri| {
                PlainUri::parse(uri).is_some_and(|uri| !uri.is_loopback() && uri.is_same_place(&asked))
            })
        }))
    }

    /// Whether `secret` proves that somebody is this client: one of its secrets, or a token of the account that it is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn proves_client(&self, client: &Client, secret: &str) -> Result<bool, StoreError> {
        if !client.is_account() {
            return Ok(client.accepts_secret(secret));
        }
        match self.authenticate(Credentials::Bearer(secret)) {
            Ok(subject) => Ok(subject.username == client.name),
            Err(Unauthenticated::Invalid(_)) => Ok(false),
            Err(Unauthenticated::Store(error)) => Err(error),
        }
    }

    /// Creates the built-in clients, gives the browser's one a secret where it has none, and corrects where answers
    /// go when the server's address changed. Later calls on this `Auth` with any issuer do nothing.
    /// `issuer` is the server's public URL without a slash at the end.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn ensure_oauth_clients(&self, issuer: &str) -> Result<(), StoreError> {
        self.inner.clients_ensured.get_or_try_init(|| self.write_oauth_clients(issuer)).await.copied()
    }

    async fn write_oauth_clients(&self, issuer: &str) -> Result<(), StoreError> {
        let now = self.now();
        let clients = built_in_clients(issuer);
        self.inner
            .store
            .write(move |tx: &mut WriteTx<'_>| {
                for (name, wanted) in &clients {
                    match find::<Value>(tx, resource::OAUTH_CLIENTS, name)? {
                        None => create(tx, resource::OAUTH_CLIENTS, name, wanted.clone(), now)?,
                        Some(mut known) => {
                            let before = known.clone();
                            known["redirectURIs"] = wanted["redirectURIs"].clone();
                            let bare = known["secret"].as_str().is_none_or(str::is_empty);
                            if let (true, Some(secret)) = (bare, wanted.get("secret")) {
                                known["secret"] = secret.clone();
                            }
                            if known != before {
                                update(tx, resource::OAUTH_CLIENTS, name, known)?;
                            }
                        }
                    }
                }
                Ok(())
            })
            .await
    }
}

/// The clients of platform 2.3.
fn built_in_clients(issuer: &str) -> Vec<(&'static str, Value)> {
    let client = |name: &'static str, redirects: Vec<String>| {
        let object = json!({
            "kind": "OAuthClient",
            "apiVersion": "oauth.openshift.io/v1",
            "metadata": {"name": name},
            "redirectURIs": redirects,
            "grantMethod": "auto",
        });
        (name, object)
    };
    let mut browser = client(BROWSER_CLIENT, vec![format!("{issuer}/oauth/token/display")]);
    browser.1["secret"] = json!(random_text());
    let mut challenging = client(CHALLENGING_CLIENT, vec![format!("{issuer}/oauth/token/implicit")]);
    challenging.1["respondWithChallenges"] = json!(true);
    let loopback = ["http://127.0.0.1/callback", "http://[::1]/callback"].map(str::to_owned);
    vec![browser, challenging, client(CLI_CLIENT, loopback.into())]
}

#[cfg(test)]
mod tests {
    use super::is_below;

    #[test]
    fn answers_go_to_registered_places_only() {
        let check = |asked: &str, registered: &str, expected: bool| {
            assert_eq!(is_below(asked, registered), expected, "{asked} below {registered}");
        };
        let display = "https://ph.example:8443/oauth/token/display";
        check(display, display, true);
        check("https://PH.example:8443/oauth/token/display", display, true);
        check("https://ph.example:8443/oauth/token/display/more", display, true);
        for payload in [
            "http://ph.example:8443/oauth/token/display",
            "https://ph.example/oauth/token/display",
            "https://ph.example:8443/oauth/token/displayed",
            "https://ph.example:8443/oauth/token/display/../../x",
            "https://ph.example:8443/oauth/token/display/%2e%2e/x",
            "https://ph.example:8443/oauth/token/display//evil.example",
            "https://ph.example:8443/oauth/token/display?next=//evil.example",
            "https://ph.example:8443@evil.example/oauth/token/display",
            "https://evil.example#https://ph.example:8443/oauth/token/display",
            "https://ph.example:8443.evil.example/oauth/token/display",
            "https://ph.example:8443\\@evil.example/oauth/token/display",
            "//ph.example:8443/oauth/token/display",
            "/\\evil.example",
            "https:ph.example:8443/oauth/token/display",
            "javascript://ph.example:8443/oauth/token/display",
            "https://ph.example:8443/oauth/token/display\r\nx: y",
            " https://ph.example:8443/oauth/token/display",
            "https://ph.exаmple:8443/oauth/token/display",
            "",
        ] {
            check(payload, display, false);
        }
        check("http://127.0.0.1:40123/callback", "http://127.0.0.1/callback", true);
        check("http://[::1]:40123/callback", "http://[::1]/callback", true);
        check("http://127.0.0.1:40123/other", "http://127.0.0.1/callback", false);
        check("http://127.0.0.1:40123/callback/x", "http://127.0.0.1/callback", false);
        check("http://localhost:40123/callback", "http://127.0.0.1/callback", false);
        check("http://127.0.0.1.evil.example/callback", "http://127.0.0.1/callback", false);
        check("https://app.example/oauth/callback", "https://app.example", true);
        check("https://app.example/oauth/callback", "https://app.example/", true);
        check("https://app.example.evil/", "https://app.example", false);
    }
}
