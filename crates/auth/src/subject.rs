//! Who asks: the checked identity of a caller.
//!
//! Owns the names of built-in users and groups. Does not check credentials; [`crate::Auth::authenticate`] does.

use std::collections::BTreeMap;
use std::sync::Arc;

/// User name of callers without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// Group of callers without credentials.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Group of every caller whose credentials were accepted.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Group of callers with an OAuth access token.
pub const AUTHENTICATED_OAUTH: &str = "system:authenticated:oauth";
/// Members may do everything, whatever roles and bindings say.
pub const MASTERS: &str = "system:masters";
/// Members are cluster administrators by a bootstrapped binding.
pub const CLUSTER_ADMINS: &str = "system:cluster-admins";
/// Group of all service accounts; with `:<namespace>` appended, those of one namespace.
pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
/// What user names of service accounts start with, before `<namespace>:<name>`.
pub const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";
/// Key of [`Subject::extra`] that holds the scopes of an OAuth token.
pub const SCOPES_KEY: &str = "scopes.authorization.openshift.io";
/// Key of [`Subject::extra`] that holds the id of the credential a service account used.
pub const CREDENTIAL_ID_KEY: &str = "authentication.kubernetes.io/credential-id";

/// A caller: name, uid, groups and extra values, as `selfsubjectreviews` shows them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Subject {
    /// Unique name, e.g. `developer` or `system:serviceaccount:shop:pusher`.
    pub username: String,
    /// Uid of the User or ServiceAccount object; empty where there is none.
    pub uid: String,
    /// Groups, each once, in the order in which they were found.
    pub groups: Vec<String>,
    /// Further values, e.g. the scopes of an OAuth token under [`SCOPES_KEY`].
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Subject {
    /// The caller without credentials.
    pub fn anonymous() -> Arc<Self> {
        Self::system(ANONYMOUS, &[UNAUTHENTICATED])
    }

    /// A caller by name and groups alone. No group is added: pass [`AUTHENTICATED`] where it applies.
    pub fn system(username: &str, groups: &[&str]) -> Arc<Self> {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Arc::new(Self { username: username.to_owned(), groups, ..Self::default() })
    }

    /// The caller a service account's token stands for (platform 4.4).
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            username: format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"),
            uid: uid.to_owned(),
            groups: vec![
                SERVICE_ACCOUNTS.to_owned(),
                format!("{SERVICE_ACCOUNTS}:{namespace}"),
                AUTHENTICATED.to_owned(),
            ],
            extra: BTreeMap::new(),
        }
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let Self { username, uid, groups, extra } = self;
        let extra = extra.iter().flat_map(|(key, values)| values.iter().chain([key]));
        let texts = groups.iter().chain([username, uid]).chain(extra);
        texts.map(|text| text.len() + size_of::<String>()).sum()
    }

    /// Whether the caller presented no credentials.
    pub fn is_anonymous(&self) -> bool {
        self.username == ANONYMOUS
    }

    /// Whether the caller is in `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|of| of == group)
    }

    /// Scopes that limit the caller's token; `None` where nothing limits it.
    pub fn scopes(&self) -> Option<&[String]> {
        self.extra.get(SCOPES_KEY).map(Vec::as_slice).filter(|scopes| !scopes.is_empty())
    }
}

/// Namespace and name of a service account, where `username` is one's.
pub fn service_account_of(username: &str) -> Option<(&str, &str)> {
    let (namespace, name) = username.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

#[cfg(test)]
mod tests {
    use super::service_account_of;

    #[test]
    fn service_account_names_have_exactly_two_parts() {
        let check = |name: &str, expected: Option<(&str, &str)>| {
            assert_eq!(service_account_of(name), expected, "{name}")
        };
        check("system:serviceaccount:shop:pusher", Some(("shop", "pusher")));
        check("system:serviceaccount:shop:", None);
        check("system:serviceaccount::pusher", None);
        check("system:serviceaccount:shop", None);
        check("system:serviceaccount:shop:a:b", None);
        check("system:serviceaccounts:shop:a", None);
        check("developer", None);
    }
}
