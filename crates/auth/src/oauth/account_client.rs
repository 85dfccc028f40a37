//! Service accounts as OAuth clients (platform 2.3).
//!
//! Owns how annotations of an account become redirect URIs: named by hand, taken from a route, or both. What such a
//! client may ask for is fixed: who the user is, what they may do, and roles in its own project. Its secrets are the
//! account's tokens, which `Auth` checks as it checks all tokens.

use std::collections::{BTreeMap, BTreeSet};

use pierhead_store::{ReadTx, StoreError};
use serde::Deserialize;

use crate::stored::{self, Meta, resource};
use crate::subject::SERVICE_ACCOUNT_PREFIX;

use super::client::{Client, GrantMethod, Proof, Restriction, RoleRestriction};

const REDIRECT_URI: &str = "serviceaccounts.openshift.io/oauth-redirecturi.";
const REDIRECT_REFERENCE: &str = "serviceaccounts.openshift.io/oauth-redirectreference.";
const WANTS_CHALLENGES: &str = "serviceaccounts.openshift.io/oauth-want-challenges";
/// Redirect URIs of one account at most.
const MOST_URIS: usize = 100;

#[derive(Deserialize)]
struct Account {
    metadata: Meta,
}

#[derive(Deserialize)]
struct RedirectReference {
    reference: Reference,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    group: String,
    kind: String,
    name: String,
}

#[derive(Deserialize)]
struct Route {
    #[serde(default)]
    spec: RouteSpec,
    #[serde(default)]
    status: RouteStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RouteSpec {
    host: String,
    path: String,
    tls: Option<RouteTls>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RouteTls {
    termination: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RouteStatus {
    ingress: Vec<RouteIngress>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RouteIngress {
    host: String,
}

/// The client that a service account is; `None` where `name` is no account's, or there is no such account.
pub(super) fn find(tx: &ReadTx<'_>, name: &str) -> Result<Option<Client>, StoreError> {
    let account = name.strip_prefix(SERVICE_ACCOUNT_PREFIX).and_then(|rest| rest.split_once(':'));
    let Some((namespace, account)) = account else { return Ok(None) };
    let found: Option<Account> = stored::find(tx, resource::SERVICE_ACCOUNTS, namespace, account)?;
    let Some(Account { metadata }) = found.filter(|of| !of.metadata.is_being_deleted()) else {
        return Ok(None);
    };
    let annotations = metadata.annotations.unwrap_or_default();
    let literals = ["user:info", "user:check-access"].map(str::to_owned).to_vec();
    let own_roles = RoleRestriction {
        role_names: vec!["*".to_owned()],
        namespaces: vec![namespace.to_owned()],
        allow_escalation: true,
    };
    Ok(Some(Client {
        name: name.to_owned(),
        responds_with_challenges: annotations.get(WANTS_CHALLENGES).is_some_and(|value| value == "true"),
        redirect_uris: redirect_uris(tx, namespace, &annotations)?,
        grant_method: GrantMethod::Prompt,
        proof: Proof::AccountToken,
        restrictions: vec![
            Restriction { literals: Some(literals), cluster_role: None },
            Restriction { literals: None, cluster_role: Some(own_roles) },
        ],
        token_life: None,
        token_idle: None,
    }))
}

fn redirect_uris(
    tx: &ReadTx<'_>,
    namespace: &str,
    annotations: &BTreeMap<String, String>,
) -> Result<Vec<String>, StoreError> {
    let after = |prefix: &'static str| annotations.keys().filter_map(move |key| key.strip_prefix(prefix));
    let keys: BTreeSet<&str> = after(REDIRECT_URI).chain(after(REDIRECT_REFERENCE)).collect();
    let mut uris = Vec::new();
    for key in keys {
        let uri = annotations.get(&format!("{REDIRECT_URI}{key}")).map(|uri| uri.trim());
        let reference = annotations.get(&format!("{REDIRECT_REFERENCE}{key}"));
        match reference.and_then(|reference| route_of(reference)) {
            Some(name) => {
                let route: Option<Route> = stored::find(tx, "routes.route.openshift.io", namespace, &name)?;
                uris.extend(route.iter().flat_map(|route| places(route, uri)));
            }
            None => uris.extend(uri.filter(|uri| uri.contains("://")).map(str::to_owned)),
        }
    }
    uris.truncate(MOST_URIS);
    Ok(uris)
}

/// The route that a redirect reference names; routes alone can be referred to.
fn route_of(reference: &str) -> Option<String> {
    let RedirectReference { reference: Reference { group, kind, name } } =
        serde_json::from_str(reference).ok()?;
    (kind == "Route" && matches!(group.as_str(), "" | "route.openshift.io")).then_some(name)
}

/// Where a route leads from outside, with the path of `uri` where it has one.
fn places(route: &Route, uri: Option<&str>) -> Vec<String> {
    let Route { spec, status } = route;
    let is_encrypted = spec.tls.as_ref().is_some_and(|tls| !tls.termination.is_empty());
    let scheme = if is_encrypted { "https" } else { "http" };
    if let Some(uri) = uri.filter(|uri| uri.contains("://")) {
        return vec![uri.to_owned()];
    }
    let path = match uri.filter(|uri| !uri.is_empty()) {
        Some(path) => format!("/{}", path.trim_start_matches('/')),
        None => spec.path.clone(),
    };
    let mut hosts: Vec<&str> = status.ingress.iter().map(|ingress| ingress.host.as_str()).collect();
    hosts.push(&spec.host);
    hosts.retain(|host| !host.is_empty());
    hosts.sort_unstable();
    hosts.dedup();
    hosts.into_iter().map(|host| format!("{scheme}://{host}{path}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Route, places, route_of};

    #[test]
    fn a_route_says_where_answers_go() {
        let check = |route: Value, uri: Option<&str>, expected: &[&str]| {
            let route: Route = serde_json::from_value(route).unwrap();
            assert_eq!(places(&route, uri), expected);
        };
        let plain = json!({"spec": {"host": "ci.example.com"}});
        check(plain.clone(), None, &["http://ci.example.com"]);
        check(plain.clone(), Some("callback"), &["http://ci.example.com/callback"]);
        check(plain, Some("https://other.example.com/x"), &["https://other.example.com/x"]);
        let tls = json!({
            "spec": {"host": "ci.example.com", "path": "/ci", "tls": {"termination": "edge"}},
            "status": {"ingress": [{"host": "ci.example.com"}, {"host": "alt.example.com"}]},
        });
        check(tls, None, &["https://alt.example.com/ci", "https://ci.example.com/ci"]);
        check(json!({"spec": {}}), None, &[]);
    }

    #[test]
    fn references_are_to_routes() {
        let reference = |kind: &str| {
            json!({"kind": "OAuthRedirectReference", "reference": {"kind": kind, "name": "ci"}}).to_string()
        };
        assert_eq!(route_of(&reference("Route")).as_deref(), Some("ci"));
        assert_eq!(route_of(&reference("Service")), None);
        assert_eq!(route_of("{"), None);
    }
}
