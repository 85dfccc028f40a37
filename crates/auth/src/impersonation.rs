//! Acting as somebody else, where one is allowed to (platform 1.11).
//!
//! Owns the questions and the resulting subject. Reading the `Impersonate-*` headers is the API server's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::subject::{ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNTS, UNAUTHENTICATED, service_account_of};
use crate::{Attributes, Auth, Denied, Subject};

/// Whom a caller wants to act as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impersonation {
    /// `Impersonate-User`.
    pub user: String,
    /// `Impersonate-Group`, each.
    pub groups: Vec<String>,
    /// `Impersonate-Uid`; empty for none.
    pub uid: String,
    /// `Impersonate-Extra-<key>`: values by key in lower case.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Why one may not act as somebody else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImpersonationDenied {
    /// Groups, a uid or extra values were given without a user.
    #[error("requested groups, uid or extra values without impersonating a user")]
    NoUser,
    /// The caller has not the right.
    #[error(transparent)]
    Denied(#[from] Denied),
}

const AUTHENTICATION: &str = "authentication.k8s.io";

impl Auth {
    /// The subject `wanted` describes, if `subject` may impersonate every part of it.
    ///
    /// # Errors
    /// [`ImpersonationDenied`] for the first part that is not allowed.
    pub fn impersonate(
        &self,
        subject: &Arc<Subject>,
        wanted: &Impersonation,
    ) -> Result<Arc<Subject>, ImpersonationDenied> {
        let Impersonation { user, groups, uid, extra } = wanted;
        if user.is_empty() {
            return Err(ImpersonationDenied::NoUser);
        }
        match service_account_of(user) {
            Some((namespace, name)) => {
                let account =
                    Attributes::new("impersonate", "", "serviceaccounts").namespace(namespace).name(name);
                self.authorize(subject, &account)?;
            }
            None => self.may_impersonate(subject, "users", "systemusers", user)?,
        }
        for group in groups {
            self.may_impersonate(subject, "groups", "systemgroups", group)?;
        }
        if !uid.is_empty() {
            self.authorize(subject, &Attributes::new("impersonate", AUTHENTICATION, "uids").name(uid))?;
        }
        for (key, values) in extra {
            let question = Attributes::new("impersonate", AUTHENTICATION, "userextras").subresource(key);
            for value in values {
                self.authorize(subject, &question.clone().name(value))?;
            }
        }
        let groups = groups_of(user, groups);
        Ok(Arc::new(Subject { username: user.clone(), uid: uid.clone(), groups, extra: extra.clone() }))
    }

    /// Names starting with `system:` had resources of their own in OpenShift 3; either right will do.
    fn may_impersonate(
        &self,
        subject: &Arc<Subject>,
        resource: &str,
        system_resource: &str,
        name: &str,
    ) -> Result<(), Denied> {
        let question = Attributes::new("impersonate", "", resource).name(name);
        let Err(denied) = self.authorize(subject, &question) else { return Ok(()) };
        let system = Attributes::new("impersonate", "", system_resource).name(name);
        if name.starts_with("system:") && self.allowed(subject, &system).allowed {
            Ok(())
        } else {
            Err(denied)
        }
    }
}

/// The groups asked for, or those a service account has; and that of all who are, or are not, logged in.
fn groups_of(user: &str, wanted: &[String]) -> Vec<String> {
    let mut groups = wanted.to_vec();
    if let (true, Some((namespace, _))) = (wanted.is_empty(), service_account_of(user)) {
        groups.push(SERVICE_ACCOUNTS.to_owned());
        groups.push(format!("{SERVICE_ACCOUNTS}:{namespace}"));
    }
    let everyone = if user == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    if !groups.iter().any(|group| group == everyone) {
        groups.push(everyone.to_owned());
    }
    groups
}
