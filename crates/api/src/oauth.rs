//! OAuth clients, tokens, codes and grants (platform 2.6).

use serde::{Deserialize, Serialize};

use crate::field::FieldErrors;
use crate::meta::{ObjectMeta, is_zero};
use crate::name;
use crate::user;

/// A program that may ask users for tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct OAuthClient {
    /// Metadata; the name is the client id.
    pub metadata: ObjectMeta,
    /// Secret the client proves itself with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret: String,
    /// Further secrets, for changing over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_secrets: Vec<String>,
    /// Whether the server answers 401 with a challenge instead of a login page.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub respond_with_challenges: bool,
    /// Where answers may be sent.
    #[serde(rename = "redirectURIs", skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// `auto`, `prompt` or `deny`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub grant_method: String,
    /// What scopes the client may ask for; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scope_restrictions: Vec<ScopeRestriction>,
    /// Life of its tokens, in seconds; zero means for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_max_age_seconds: Option<i32>,
    /// After how many idle seconds its tokens end; zero means never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_inactivity_timeout_seconds: Option<i32>,
}

object!(OAuthClient: "oauth.openshift.io" "v1", "oauthclients" "oauthclient", Cluster);

/// A limit on scopes: exactly these, or those of certain cluster roles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeRestriction {
    /// Exactly these scopes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub literals: Vec<String>,
    /// Scopes `role:ROLE:NAMESPACE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_role: Option<ClusterRoleScopeRestriction>,
}

/// Which `role:` scopes are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterRoleScopeRestriction {
    /// Names of roles, `*` for all.
    pub role_names: Vec<String>,
    /// Namespaces, `*` for all.
    pub namespaces: Vec<String>,
    /// Whether scopes with `!` are allowed.
    pub allow_escalation: bool,
}

/// A token; the name is its hash (or the token itself, before 4.6).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct OAuthAccessToken {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Client it was given to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_name: String,
    /// Life in seconds after creation; zero means for ever.
    #[serde(skip_serializing_if = "is_zero")]
    pub expires_in: i64,
    /// What it may be used for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Where it was sent.
    #[serde(rename = "redirectURI", skip_serializing_if = "String::is_empty")]
    pub redirect_uri: String,
    /// Whose it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_name: String,
    /// UID of that user; a namesake does not inherit tokens.
    #[serde(rename = "userUID", skip_serializing_if = "String::is_empty")]
    pub user_uid: String,
    /// Name of the code it came from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub authorize_token: String,
    /// Unused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refresh_token: String,
    /// Seconds of idleness after which it ends.
    #[serde(skip_serializing_if = "is_no_timeout")]
    pub inactivity_timeout_seconds: i32,
}

object!(OAuthAccessToken: "oauth.openshift.io" "v1", "oauthaccesstokens" "oauthaccesstoken", Cluster);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_no_timeout(seconds: &i32) -> bool {
    *seconds == 0
}

/// A token as its owner sees it: the same object under another kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct UserOAuthAccessToken(pub OAuthAccessToken);

impl crate::Object for UserOAuthAccessToken {
    const GROUP: &'static str = "oauth.openshift.io";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "UserOAuthAccessToken";
    const PLURAL: &'static str = "useroauthaccesstokens";
    const SINGULAR: &'static str = "useroauthaccesstoken";
    const NAMESPACED: bool = false;
    const SHORT_NAMES: &'static [&'static str] = &[];
    const CATEGORIES: &'static [&'static str] = &[];

    fn metadata(&self) -> &ObjectMeta {
        &self.0.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0.metadata
    }
}

/// A code that is exchanged for a token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct OAuthAuthorizeToken {
    /// Metadata; the name is the hash of the code.
    pub metadata: ObjectMeta,
    /// Client it was given to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_name: String,
    /// Life in seconds after creation.
    #[serde(skip_serializing_if = "is_zero")]
    pub expires_in: i64,
    /// What the token may be used for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Where it was sent.
    #[serde(rename = "redirectURI", skip_serializing_if = "String::is_empty")]
    pub redirect_uri: String,
    /// What the client wants back.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// Whose it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_name: String,
    /// UID of that user.
    #[serde(rename = "userUID", skip_serializing_if = "String::is_empty")]
    pub user_uid: String,
    /// PKCE challenge.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code_challenge: String,
    /// `plain` or `S256`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code_challenge_method: String,
}

object!(OAuthAuthorizeToken: "oauth.openshift.io" "v1", "oauthauthorizetokens" "oauthauthorizetoken", Cluster);

/// A user's consent to a client; the name is `user:client`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct OAuthClientAuthorization {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The client.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_name: String,
    /// The user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_name: String,
    /// UID of the user.
    #[serde(rename = "userUID", skip_serializing_if = "String::is_empty")]
    pub user_uid: String,
    /// What was consented to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

object!(OAuthClientAuthorization: "oauth.openshift.io" "v1", "oauthclientauthorizations" "oauthclientauthorization", Cluster);

/// Shortest inactivity timeout a client may have, in seconds.
const MIN_INACTIVITY_SECONDS: i32 = 300;

/// Rule for names of clients: a path segment without `:`.
pub fn client_name(text: &str) -> Vec<String> {
    let problems = name::path_segment(text);
    if problems.is_empty() && text.contains(':') { vec!["may not contain \":\"".into()] } else { problems }
}

/// Rule for names of tokens and codes: not guessable, hence long.
fn token_name(text: &str) -> Vec<String> {
    let problems = name::path_segment(text);
    let secret = text.strip_prefix("sha256~").unwrap_or(text);
    if problems.is_empty() && secret.len() < 32 {
        return vec!["must be at least 32 characters long".into()];
    }
    problems
}

fn validate_redirect(uri: &str, field: &str, errors: &mut FieldErrors) {
    if uri.contains('#') {
        errors.invalid(field, uri, "may not contain a fragment");
    } else if !uri.contains(':') && !uri.starts_with('/') {
        errors.invalid(field, uri, "must be a URI");
    } else if uri.split('/').any(|segment| segment == "." || segment == "..") {
        errors.invalid(field, uri, "may not contain relative path segments");
    }
}

fn validate_scopes(scopes: &[String], errors: &mut FieldErrors) {
    for (index, scope) in scopes.iter().enumerate() {
        let field = format!("scopes[{index}]");
        let known = match scope.split_once(':') {
            Some(("user", rest)) => {
                ["full", "info", "check-access", "list-scoped-projects", "list-projects"].contains(&rest)
            }
            Some(("role", rest)) => {
                let rest = rest.strip_suffix(":!").unwrap_or(rest);
                rest.rsplit_once(':')
                    .is_some_and(|(role, namespace)| !role.is_empty() && !namespace.is_empty())
            }
            _ => scope == "email" || scope == "profile" || scope == "openid",
        };
        if !known {
            errors.invalid(field, scope.as_str(), "no scope handler found");
        }
    }
}

impl OAuthClient {
    /// Name, redirect addresses, grant method.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, client_name);
        for (index, uri) in self.redirect_uris.iter().enumerate() {
            validate_redirect(uri, &format!("redirectURIs[{index}]"), &mut errors);
        }
        if !matches!(self.grant_method.as_str(), "" | "auto" | "prompt" | "deny") {
            errors.not_supported("grantMethod", self.grant_method.as_str(), &["auto", "prompt", "deny"]);
        }
        if let Some(seconds) = self.access_token_max_age_seconds
            && seconds < 0
        {
            errors.invalid("accessTokenMaxAgeSeconds", seconds, "must be 0 or greater");
        }
        if let Some(seconds) = self.access_token_inactivity_timeout_seconds
            && seconds != 0
            && seconds < MIN_INACTIVITY_SECONDS
        {
            let detail =
                format!("The minimum acceptable token timeout value is {MIN_INACTIVITY_SECONDS} seconds");
            errors.invalid("accessTokenInactivityTimeoutSeconds", seconds, detail);
        }
        errors
    }

    /// Metadata rules of an update and those of [`OAuthClient::validate`].
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }
}

/// What access tokens, codes and grants have in common.
struct Grant<'a> {
    client_name: &'a str,
    user_name: &'a str,
    user_uid: &'a str,
    scopes: &'a [String],
}

fn validate_grant(grant: &Grant<'_>, errors: &mut FieldErrors) {
    if grant.client_name.is_empty() {
        errors.required("clientName", "");
    } else {
        for problem in client_name(grant.client_name) {
            errors.invalid("clientName", grant.client_name, problem);
        }
    }
    if grant.user_name.is_empty() {
        errors.required("userName", "");
    } else {
        for problem in user::user_name(grant.user_name) {
            errors.invalid("userName", grant.user_name, problem);
        }
    }
    if grant.user_uid.is_empty() {
        errors.required("userUID", "");
    }
    validate_scopes(grant.scopes, errors);
}

impl OAuthAccessToken {
    /// Whose, for whom, for what.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, token_name);
        let Self { client_name, user_name, user_uid, scopes, .. } = self;
        validate_grant(&Grant { client_name, user_name, user_uid, scopes }, &mut errors);
        if !self.redirect_uri.is_empty() {
            validate_redirect(&self.redirect_uri, "redirectURI", &mut errors);
        }
        errors
    }

    /// Only metadata (and the inactivity timeout) change.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        let frozen = Self {
            metadata: self.metadata.clone(),
            inactivity_timeout_seconds: self.inactivity_timeout_seconds,
            ..old.clone()
        };
        if *self != frozen {
            errors.invalid("", self.metadata.name.as_str(), name::IMMUTABLE);
        }
        errors.append(self.validate());
        errors
    }
}

impl OAuthAuthorizeToken {
    /// Whose, for whom, for what.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, token_name);
        let Self { client_name, user_name, user_uid, scopes, .. } = self;
        validate_grant(&Grant { client_name, user_name, user_uid, scopes }, &mut errors);
        if !self.redirect_uri.is_empty() {
            validate_redirect(&self.redirect_uri, "redirectURI", &mut errors);
        }
        errors
    }

    /// Only metadata changes.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        if *self != (Self { metadata: self.metadata.clone(), ..old.clone() }) {
            errors.invalid("", self.metadata.name.as_str(), name::IMMUTABLE);
        }
        errors.append(self.validate());
        errors
    }
}

impl OAuthClientAuthorization {
    /// Who consented to what; the name says both.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, name::path_segment);
        let Self { client_name, user_name, user_uid, scopes, .. } = self;
        let expected = format!("{user_name}:{client_name}");
        if self.metadata.name != expected {
            errors.invalid(
                "metadata.name",
                self.metadata.name.as_str(),
                format!("must be in the format <userName>:<clientName>: {expected}"),
            );
        }
        validate_grant(&Grant { client_name, user_name, user_uid, scopes }, &mut errors);
        errors
    }

    /// Only scopes change.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        let pairs = [
            ("clientName", &self.client_name, &old.client_name),
            ("userName", &self.user_name, &old.user_name),
            ("userUID", &self.user_uid, &old.user_uid),
        ];
        for (field, new, old) in pairs {
            if new != old {
                errors.invalid(field, new.as_str(), name::IMMUTABLE);
            }
        }
        errors.append(self.validate());
        errors
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{OAuthAccessToken, OAuthClient};
    use crate::from_value;

    #[track_caller]
    fn check(fields: Value, expected: &str) {
        let mut client: OAuthClient = from_value(&fields).unwrap();
        client.metadata.name = "console".into();
        let errors = client.validate();
        assert_eq!(if errors.is_empty() { String::new() } else { errors.to_string() }, expected);
    }

    #[test]
    fn checks_clients() {
        check(json!({"redirectURIs": ["https://console.example.com/cb"], "grantMethod": "auto"}), "");
        check(
            json!({"redirectURIs": ["https://x/#a"]}),
            "redirectURIs[0]: Invalid value: \"https://x/#a\": may not contain a fragment",
        );
        check(
            json!({"grantMethod": "maybe"}),
            "grantMethod: Unsupported value: \"maybe\": supported values: \"auto\", \"prompt\", \"deny\"",
        );
    }

    #[test]
    fn tokens_keep_their_owner() {
        let token = |user: &str| -> OAuthAccessToken {
            let name = format!("sha256~{}", "x".repeat(43));
            let document = json!({
                "metadata": {"name": name}, "clientName": "c", "userName": user, "userUID": "u",
                "scopes": ["user:full", "role:edit:shop:!"],
            });
            from_value(&document).unwrap()
        };
        assert!(token("ann").validate().is_empty(), "{}", token("ann").validate());
        assert!(!token("bob").validate_update(&token("ann")).is_empty());
    }
}
