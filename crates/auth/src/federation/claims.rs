//! Whether the claims of an outside token are what a trust rule asks for.
//!
//! Owns the comparison alone: pure, and for every doubt a refusal. Who signed the claims is checked elsewhere.

use jiff::{SignedDuration, Timestamp};
use pierhead_api::federation::{ClaimRule, FederatedIdentitySpec};
use serde_json::{Map, Value};

/// How far the issuer's clock may differ from ours (reliability R10).
pub(super) const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// What of the claims a rule does not accept. For the log: whoever presents the token learns nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsRefused {
    /// `iss` is not the rule's.
    #[error("the issuer is another")]
    Issuer,
    /// A claim that every token must have is missing or of another type.
    #[error("the claim {0} is missing or cannot be read")]
    Missing(&'static str),
    /// Its time is over, or has not begun.
    #[error("it is not valid at this time")]
    Time,
    /// `aud` names none of the rule's audiences.
    #[error("it is for another audience")]
    Audience,
    /// `azp` is not one of the rule's, and must be.
    #[error("it was given to another party")]
    AuthorizedParty,
    /// A claim has not one of the rule's values.
    #[error("the claim {0} has another value than the rule asks for")]
    Claim(String),
}

/// Checks claims, whoever signed them, and says until when they hold.
pub(super) fn check(
    rule: &FederatedIdentitySpec,
    claims: &Map<String, Value>,
    now: Timestamp,
) -> Result<Timestamp, ClaimsRefused> {
    if rule.issuer.is_empty() || claims.get("iss").and_then(Value::as_str) != Some(&rule.issuer) {
        return Err(ClaimsRefused::Issuer);
    }
    let expires_at = check_time(claims, now)?;
    check_audience(rule, claims)?;
    // A rule that asks for nothing would trust everybody the issuer knows; admission lets none through.
    if rule.claims.is_empty() {
        return Err(ClaimsRefused::Claim(String::new()));
    }
    match rule.claims.iter().find(|asked| !holds(asked, claims)) {
        Some(asked) => Err(ClaimsRefused::Claim(asked.name.clone())),
        None => Ok(expires_at),
    }
}

fn check_time(claims: &Map<String, Value>, now: Timestamp) -> Result<Timestamp, ClaimsRefused> {
    let time = |name: &'static str| {
        let Some(value) = claims.get(name) else { return Ok(None) };
        time(value).map(Some).ok_or(ClaimsRefused::Missing(name))
    };
    let expires_at = time("exp")?.ok_or(ClaimsRefused::Missing("exp"))?;
    let issued_at = time("iat")?.ok_or(ClaimsRefused::Missing("iat"))?;
    let begins = time("nbf")?.unwrap_or(issued_at).max(issued_at);
    let late = now.duration_since(expires_at) >= LEEWAY;
    let early = begins.duration_since(now) > LEEWAY;
    if late || early { Err(ClaimsRefused::Time) } else { Ok(expires_at) }
}

/// A time as claims have it: seconds, which may have fractions (RFC 7519, 2).
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "what is beyond the range saturates, and is refused")]
    let second = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64));
    second.and_then(|second| Timestamp::from_second(second).ok())
}

fn check_audience(rule: &FederatedIdentitySpec, claims: &Map<String, Value>) -> Result<(), ClaimsRefused> {
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(audience)) => vec![audience],
        Some(Value::Array(all)) => {
            let all: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
            all.ok_or(ClaimsRefused::Missing("aud"))?
        }
        _ => return Err(ClaimsRefused::Missing("aud")),
    };
    let is_ours = |audience: &&str| rule.audiences.iter().any(|ours| ours == audience);
    if !audiences.iter().any(is_ours) {
        return Err(ClaimsRefused::Audience);
    }
    let party = claims.get("azp").map(|party| party.as_str().ok_or(ClaimsRefused::Missing("azp")));
    let party = party.transpose()?;
    let is_allowed = |party: &str| rule.authorized_parties.iter().any(|allowed| allowed == party);
    // A token that is for others as well is one they can pass on to us: then it must say who it was given to.
    let shared = !audiences.iter().all(is_ours);
    let needed = shared || !rule.authorized_parties.is_empty();
    match party {
        Some(party) if !needed || is_allowed(party) => Ok(()),
        None if !needed => Ok(()),
        Some(_) | None => Err(ClaimsRefused::AuthorizedParty),
    }
}

/// Whether the claims have what is asked of one of them.
fn holds(asked: &ClaimRule, claims: &Map<String, Value>) -> bool {
    let value = match asked.name.strip_prefix('/') {
        Some(_) => claims_pointer(claims, &asked.name),
        None => claims.get(&asked.name),
    };
    let is_asked_for = |text: &str| {
        asked.values.iter().any(|value| value == text)
            || asked.patterns.iter().any(|pattern| matches(pattern, text))
    };
    match value {
        Some(Value::String(text)) => is_asked_for(text),
        Some(Value::Bool(is)) => is_asked_for(if *is { "true" } else { "false" }),
        Some(Value::Number(number)) => is_asked_for(&number.to_string()),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(is_asked_for),
        Some(Value::Null | Value::Object(_)) | None => false,
    }
}

/// What a JSON pointer (RFC 6901) leads to.
fn claims_pointer<'c>(claims: &'c Map<String, Value>, pointer: &str) -> Option<&'c Value> {
    let mut parts = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
    let mut value = claims.get(&parts.next()?)?;
    for part in parts {
        value = value.as_object()?.get(&part)?;
    }
    Some(value)
}

/// Whether all of `text` is as `pattern` says, in which `*` stands for any characters, or none. Takes no longer than
/// both are long multiplied.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use pierhead_api::federation::FederatedIdentitySpec;
    use serde_json::{Value, json};

    use super::{check, matches};

    const NOW: i64 = 1_700_000_000;

    #[track_caller]
    fn row(rule: Value, claims: Value, expected: &str) {
        let mut full = json!({
            "issuer": "https://ci", "serviceAccountName": "pusher", "audiences": ["us"],
            "claims": [{"name": "repository", "values": ["acme/shop"]}],
        });
        merge(&mut full, rule);
        let mut all = json!({
            "iss": "https://ci", "aud": "us", "sub": "s", "iat": NOW, "exp": NOW + 300, "repository": "acme/shop",
        });
        merge(&mut all, claims.clone());
        let rule: FederatedIdentitySpec = serde_json::from_value(full).unwrap();
        let checked = check(&rule, all.as_object().unwrap(), Timestamp::from_second(NOW).unwrap());
        let said = checked.map_or_else(|refused| refused.to_string(), |_| "fine".to_owned());
        assert_eq!(said, expected, "{claims}");
    }

    fn merge(into: &mut Value, from: Value) {
        for (name, value) in from.as_object().unwrap() {
            if value.is_null() {
                into.as_object_mut().unwrap().remove(name);
            } else {
                into[name] = value.clone();
            }
        }
    }

    #[test]
    fn every_token_says_from_whom_for_whom_and_when() {
        let check = |claims: Value, expected: &str| row(json!({}), claims, expected);
        check(json!({}), "fine");
        check(json!({"iss": "https://ci/"}), "the issuer is another");
        check(json!({"iss": "HTTPS://CI"}), "the issuer is another");
        check(json!({"iss": ["https://ci"]}), "the issuer is another");
        check(json!({"iss": null}), "the issuer is another");
        check(json!({"exp": null}), "the claim exp is missing or cannot be read");
        check(json!({"exp": "never"}), "the claim exp is missing or cannot be read");
        check(json!({"exp": 1e300}), "the claim exp is missing or cannot be read");
        check(json!({"iat": null}), "the claim iat is missing or cannot be read");
        check(json!({"exp": NOW - 59}), "fine");
        check(json!({"exp": NOW - 60}), "it is not valid at this time");
        check(json!({"exp": 1_700_000_300.5}), "fine");
        check(json!({"iat": NOW + 60}), "fine");
        check(json!({"iat": NOW + 61}), "it is not valid at this time");
        check(json!({"nbf": NOW + 61}), "it is not valid at this time");
        check(json!({"nbf": "x"}), "the claim nbf is missing or cannot be read");
        check(json!({"aud": "them"}), "it is for another audience");
        check(json!({"aud": "us "}), "it is for another audience");
        check(json!({"aud": []}), "it is for another audience");
        check(json!({"aud": null}), "the claim aud is missing or cannot be read");
        check(json!({"aud": ["us", 5]}), "the claim aud is missing or cannot be read");
        check(json!({"aud": ["us"]}), "fine");
    }

    #[test]
    fn a_token_for_others_too_says_who_has_it() {
        let check = |rule: Value, claims: Value, expected: &str| row(rule, claims, expected);
        let another = "it was given to another party";
        check(json!({}), json!({"aud": ["us", "them"]}), another);
        check(json!({}), json!({"aud": ["us", "them"], "azp": "runner"}), another);
        check(
            json!({"authorizedParties": ["runner"]}),
            json!({"aud": ["us", "them"], "azp": "runner"}),
            "fine",
        );
        check(json!({"authorizedParties": ["runner"]}), json!({}), another);
        check(json!({"authorizedParties": ["runner"]}), json!({"azp": "other"}), another);
        check(json!({"audiences": ["us", "them"]}), json!({"aud": ["us", "them"]}), "fine");
        check(json!({}), json!({"azp": "anybody"}), "fine");
    }

    #[test]
    fn every_claim_asked_for_must_be_as_asked() {
        let check = |asked: Value, claims: Value, expected: bool| {
            let name = asked[0]["name"].as_str().unwrap_or_default().to_owned();
            let refused = format!("the claim {name} has another value than the rule asks for");
            row(json!({"claims": asked}), claims, if expected { "fine" } else { &refused });
        };
        let ref_is = |patterns: Value| json!([{"name": "ref", "patterns": patterns}]);
        check(ref_is(json!(["refs/heads/*"])), json!({"ref": "refs/heads/main"}), true);
        check(ref_is(json!(["refs/heads/*"])), json!({"ref": "refs/tags/v1"}), false);
        check(ref_is(json!(["refs/heads/*"])), json!({"ref": null}), false);
        check(ref_is(json!(["refs/heads/*"])), json!({"ref": {"refs/heads/main": true}}), false);
        check(json!([{"name": "protected", "values": ["true"]}]), json!({"protected": true}), true);
        check(json!([{"name": "project_id", "values": ["22"]}]), json!({"project_id": 22}), true);
        check(json!([{"name": "groups", "values": ["dev"]}]), json!({"groups": ["ops", "dev"]}), true);
        check(json!([{"name": "groups", "values": ["dev"]}]), json!({"groups": []}), false);
        let inner = json!([{"name": "/kubernetes.io/namespace", "values": ["ci"]}]);
        check(inner.clone(), json!({"kubernetes.io": {"namespace": "ci"}}), true);
        check(inner, json!({"kubernetes.io": {"namespace": "prod"}}), false);
        check(json!([{"name": "/https:~1~1x~1y", "values": ["1"]}]), json!({"https://x/y": "1"}), true);
        check(json!([]), json!({}), false);
    }

    #[test]
    fn a_pattern_is_about_the_whole_text() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        };
        check("a", "a", true);
        check("a", "ab", false);
        check("a*", "a", true);
        check("a*", "ab/c", true);
        check("*c", "ab/c", true);
        check("*c", "cb", false);
        check("a*b*c", "a-b-c", true);
        check("a*b*c", "acb", false);
        check("aba*aba", "aba", false);
        check("a**b", "ab", true);
        check("repo:acme/*:ref:refs/heads/main", "repo:acme/x:ref:refs/heads/main", true);
        check("repo:acme/*:ref:refs/heads/main", "repo:evil/x:ref:refs/heads/main", false);
        check("A", "a", false);
    }
}
