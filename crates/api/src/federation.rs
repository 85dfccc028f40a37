//! `FederatedIdentity`: whose tokens of an outside issuer stand for a service account of this namespace.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name;

/// Trust in tokens that an OpenID Connect issuer gives to pipelines: whoever has one with the right claims may have a
/// short-lived token of the service account. Only who may create tokens of that account may create or change it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct FederatedIdentity {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Which tokens, and for which account.
    pub spec: FederatedIdentitySpec,
}

object!(FederatedIdentity: "identity.pierhead.io" "v1", "federatedidentities" "federatedidentity", Namespaced, short ["fedid"]);

/// Which outside tokens are exchanged, and for what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct FederatedIdentitySpec {
    /// Name of the service account, of the same namespace, whose tokens are given.
    pub service_account_name: String,
    /// The `iss` of the outside tokens, an https URL, exactly as it is in them. Its keys are found by OpenID Connect
    /// discovery below this URL, unless `jwks` has them.
    pub issuer: String,
    /// What the `aud` of the outside tokens may be: one of these must be in it.
    pub audiences: Vec<String>,
    /// What the claims of the outside tokens must be: all of these.
    pub claims: Vec<ClaimRule>,
    /// What the `azp` of the outside tokens may be. If it is given, or if a token is also for audiences that are not
    /// listed, the token must have one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorized_parties: Vec<String>,
    /// Life of the tokens that are given, in seconds, from 600 to 43200. Defaults to 3600.
    pub token_expiration_seconds: Option<i64>,
    /// Whether an outside token is taken once only. It is then good for the token endpoint alone, not as the password of
    /// a registry client, which presents it again and again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub single_use: bool,
    /// The issuer's public keys (RFC 7517), for issuers that cannot be reached from here. Nothing is fetched then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// Certificate authorities (PEM) of the issuer's server, besides those that are trusted anyway.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate_authority: String,
}

/// What one claim must be. Any of the values and patterns will do; of a claim that is a list, any of its members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimRule {
    /// Name of the claim, such as `repository`. One that begins with a slash is a JSON pointer into nested claims, such
    /// as `/kubernetes.io/namespace`.
    pub name: String,
    /// What it may be exactly. Numbers and truth values as JSON writes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// What it may look like: `*` stands for any characters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
}

/// Entries of any list.
const MOST: usize = 64;
/// Bytes of any text, keys and certificates excepted.
const LONGEST: usize = 1_024;
/// Bytes of keys, and of certificates.
const LONGEST_KEYS: usize = 64 << 10;
/// Bytes of all audiences, parties and claims together: rules are read for whoever presents a token.
const LONGEST_TEXTS: usize = 32 << 10;
/// Claims that every token of an issuer has alike, or that rules have fields for: they tell nobody from others.
const NOT_TELLING: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

impl FederatedIdentity {
    /// Shortest life of a token that is given, in seconds.
    pub const MIN_SECONDS: i64 = 600;
    /// Longest life of a token that is given, in seconds.
    pub const MAX_SECONDS: i64 = 43_200;

    /// An hour unless asked otherwise.
    pub fn set_defaults(&mut self) {
        self.spec.token_expiration_seconds.get_or_insert(3_600);
    }

    /// What is wrong with the object, metadata included.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain);
        let spec = &self.spec;
        if spec.service_account_name.is_empty() {
            errors.required("spec.serviceAccountName", "");
        }
        for problem in name::dns1123_subdomain(&spec.service_account_name) {
            if !spec.service_account_name.is_empty() {
                errors.invalid("spec.serviceAccountName", spec.service_account_name.as_str(), problem);
            }
        }
        validate_issuer(&spec.issuer, &mut errors);
        validate_texts("spec.audiences", &spec.audiences, &mut errors);
        if spec.audiences.is_empty() {
            errors.required("spec.audiences", "at least one audience is needed");
        }
        validate_texts("spec.authorizedParties", &spec.authorized_parties, &mut errors);
        validate_claims(&spec.claims, &mut errors);
        let seconds = spec.token_expiration_seconds.unwrap_or(3_600);
        if !(Self::MIN_SECONDS..=Self::MAX_SECONDS).contains(&seconds) {
            errors.invalid(
                "spec.tokenExpirationSeconds",
                seconds,
                "must be between 600 and 43200 seconds, inclusive",
            );
        }
        if let Some(jwks) = &spec.jwks {
            validate_keys(jwks, &mut errors);
        }
        if spec.certificate_authority.len() > LONGEST_KEYS {
            errors.too_long("spec.certificateAuthority", LONGEST_KEYS);
        }
        if spec.text_bytes() > LONGEST_TEXTS {
            errors.too_long("spec", LONGEST_TEXTS);
        }
        errors
    }
}

impl FederatedIdentitySpec {
    /// Bytes of what may be listed.
    fn text_bytes(&self) -> usize {
        let texts = |all: &[String]| all.iter().map(String::len).sum::<usize>();
        let claim = |claim: &ClaimRule| claim.name.len() + texts(&claim.values) + texts(&claim.patterns);
        let claims = self.claims.iter().map(claim).sum::<usize>();
        texts(&self.audiences) + texts(&self.authorized_parties) + claims
    }
}

fn validate_issuer(issuer: &str, errors: &mut FieldErrors) {
    const FIELD: &str = "spec.issuer";
    if issuer.is_empty() {
        errors.required(FIELD, "");
        return;
    }
    let host = issuer.strip_prefix("https://").map(|rest| rest.split('/').next().unwrap_or_default());
    let is_url = issuer.len() <= LONGEST && issuer.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_url || host.is_none_or(str::is_empty) || issuer.contains(['?', '#', '@', '\\']) {
        errors.invalid(FIELD, issuer, "must be an https URL without user, query and fragment");
    }
}

fn validate_texts(field: &str, texts: &[String], errors: &mut FieldErrors) {
    if texts.len() > MOST {
        errors.too_many(field, texts.len(), MOST);
    }
    for (position, text) in texts.iter().enumerate().take(MOST) {
        let field = format!("{field}[{position}]");
        if text.is_empty() {
            errors.required(field, "");
        } else if text.len() > LONGEST {
            errors.too_long(field, LONGEST);
        }
    }
}

fn validate_claims(claims: &[ClaimRule], errors: &mut FieldErrors) {
    if claims.len() > MOST {
        errors.too_many("spec.claims", claims.len(), MOST);
    }
    for (position, claim) in claims.iter().enumerate().take(MOST) {
        let field = format!("spec.claims[{position}]");
        if claim.name.is_empty() {
            errors.required(format!("{field}.name"), "");
        } else if NOT_TELLING.contains(&outermost(&claim.name).as_str()) {
            let why = "is checked for every token, and tells nobody from others";
            errors.invalid(format!("{field}.name"), claim.name.as_str(), why);
        } else if claim.name.len() > LONGEST {
            errors.too_long(format!("{field}.name"), LONGEST);
        }
        if claim.values.is_empty() && claim.patterns.is_empty() {
            errors.required(format!("{field}.values"), "at least one value or pattern is needed");
        }
        validate_texts(&format!("{field}.values"), &claim.values, errors);
        validate_texts(&format!("{field}.patterns"), &claim.patterns, errors);
    }
    // Issuers serve the whole world, and anybody can get a token from one.
    let is_telling = |claim: &ClaimRule| {
        let is_open = |pattern: &String| pattern.bytes().all(|byte| byte == b'*');
        !claim.patterns.iter().any(is_open)
    };
    if !claims.iter().any(is_telling) {
        let why = "at least one claim must be asked for that not every token of the issuer has";
        errors.required("spec.claims", why);
    }
}

/// The claim of the token itself that a name or JSON pointer (RFC 6901) leads into.
fn outermost(name: &str) -> String {
    let Some(pointer) = name.strip_prefix('/') else { return name.to_owned() };
    pointer.split('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~")
}

fn validate_keys(jwks: &Value, errors: &mut FieldErrors) {
    let secret = |key: &Value| key.get("d").is_some() || key.get("k").is_some();
    match jwks.get("keys").and_then(Value::as_array) {
        Some(keys) if keys.iter().any(secret) => {
            errors.invalid("spec.jwks", "<contents redacted>", "must hold public keys alone");
        }
        Some(keys) if !keys.is_empty() => {
            if jwks.to_string().len() > LONGEST_KEYS {
                errors.too_long("spec.jwks", LONGEST_KEYS);
            }
        }
        _ => errors.required("spec.jwks.keys", "at least one key is needed"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::FederatedIdentity;
    use crate::from_value;

    #[track_caller]
    fn check(changes: Value, expected: &str) {
        let mut spec = json!({
            "serviceAccountName": "pusher", "issuer": "https://ci.example.com", "audiences": ["us"],
            "claims": [{"name": "repository", "values": ["acme/shop"]}],
        });
        for (name, value) in changes.as_object().unwrap() {
            spec[name] = value.clone();
        }
        let object = json!({"metadata": {"name": "ci", "namespace": "shop"}, "spec": spec});
        let rule: FederatedIdentity = from_value(&object).unwrap();
        let said = rule.validate().to_string();
        assert!(said.contains(expected) && (expected == "[]") == (said == "[]"), "{changes}: {said}");
    }

    #[test]
    fn a_rule_says_whom_it_trusts() {
        check(json!({}), "[]");
        check(json!({"serviceAccountName": ""}), "spec.serviceAccountName: Required value");
        check(json!({"serviceAccountName": "../x"}), "spec.serviceAccountName: Invalid value");
        for issuer in
            ["http://ci", "ci.example.com", "https://", "https://u@ci", "https://ci?x", "https://ci#x"]
        {
            check(json!({"issuer": issuer}), "must be an https URL");
        }
        check(json!({"audiences": []}), "spec.audiences: Required value");
        check(json!({"audiences": [""]}), "spec.audiences[0]: Required value");
        check(json!({"claims": []}), "spec.claims: Required value");
        check(json!({"claims": [{"name": "sub", "patterns": ["*"]}]}), "spec.claims: Required value");
        check(json!({"claims": [{"name": "sub", "patterns": ["**", "a"]}]}), "spec.claims: Required value");
        check(json!({"claims": [{"name": "aud", "values": ["us"]}]}), "spec.claims[0].name: Invalid value");
        for name in ["/iss", "/aud", "/aud/0"] {
            let claims = json!([{"name": name, "values": ["us"]}]);
            check(json!({"claims": claims}), "spec.claims[0].name: Invalid value");
        }
        check(json!({"claims": [{"name": "/ci/aud", "values": ["us"]}]}), "[]");
        check(json!({"claims": [{"name": "sub"}]}), "spec.claims[0].values: Required value");
        let values = vec!["x".repeat(1_024); 31];
        check(json!({"claims": [{"name": "sub", "values": values}]}), "[]");
        let claim = json!({"name": "sub", "values": values});
        check(json!({"claims": [claim, claim]}), "spec: Too long: may not be more than 32768 bytes");
        check(json!({"tokenExpirationSeconds": 599}), "must be between 600 and 43200");
        check(json!({"tokenExpirationSeconds": 43_201}), "must be between 600 and 43200");
        check(json!({"jwks": {"keys": []}}), "spec.jwks.keys: Required value");
        check(json!({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}), "must hold public keys alone");
        check(json!({"jwks": {"keys": [{"kty": "RSA", "n": "x", "e": "AQAB"}]}}), "[]");
    }
}
