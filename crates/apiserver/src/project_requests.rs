//! Who may ask for how many projects, and what those are told who may not (platform 3.1).
//!
//! Owns the settings, which sort of user a limit is for, and which projects count. That nobody gets around a limit by
//! asking twice at once is the business of whoever writes the project: it counts in the same transaction.

use std::collections::BTreeMap;

use pierhead_api::meta::{Status, StatusDetails};
use pierhead_api::project::ProjectRequest;
use pierhead_api::user::{User, user_name};
use pierhead_api::{Object as _, from_slice};
use pierhead_auth::subject::service_account_of;
use pierhead_store::objects::{ObjectKey, ObjectRecord};
use pierhead_store::{KeyRange, StoreError};
use serde::Deserialize;

use crate::error::ApiError;
use crate::storage::Head;
use crate::storage::objects::NAMESPACES;

/// Projects that end and do not count. More of them would let their owner make them faster than they go.
const ENDING_UNCOUNTED: usize = 2;

/// What users are told who may not ask for a project, where nothing else is configured.
const NOT_ALLOWED: &str = "You may not request a new project via this API.";

/// How users get projects.
#[derive(Clone, Debug, Default)]
pub struct ProjectRequests {
    /// What those are told who may not ask for one; the text of OpenShift where there is none.
    pub message: Option<String>,
    /// How many somebody may have.
    pub limits: ProjectLimits,
}

/// How many projects one who asks for them may have. What is not limited is as many as they like.
#[derive(Clone, Debug, Default)]
pub struct ProjectLimits {
    /// For users: the first whose labels a user has.
    pub users: Vec<ProjectLimit>,
    /// For those who are no users, such as who comes with a certificate of a component.
    pub system_users: Option<u32>,
    /// For each service account.
    pub service_accounts: Option<u32>,
}

/// How many projects users with certain labels may have.
#[derive(Clone, Debug, Default)]
pub struct ProjectLimit {
    /// Labels, all of which the user has; none means everybody.
    pub selector: BTreeMap<String, String>,
    /// The most projects; `None`: as many as they like.
    pub most: Option<u32>,
}

/// What a store says when it is asked for one row.
type Row = Result<Option<ObjectRecord>, StoreError>;
/// What a store says when it is asked for many.
type Rows = Result<Vec<(ObjectKey, ObjectRecord)>, StoreError>;

impl ProjectRequests {
    /// 403 for who may not ask. A text that an administrator wrote is said to be about project requests.
    pub(crate) fn refusal(&self) -> Status {
        let Some(message) = &self.message else { return Status::forbidden_message(NOT_ALLOWED) };
        let mut status = Status::forbidden_message(message);
        let details = StatusDetails { kind: ProjectRequest::KIND.to_owned(), ..StatusDetails::default() };
        status.details = Some(details);
        status.with_cause("", message, "")
    }
}

impl ProjectLimits {
    /// Whether `username` may have one more project: 403 for `name` otherwise. `get` and `scan` read the objects.
    pub(crate) fn check(
        &self,
        username: &str,
        get: impl FnOnce(&ObjectKey) -> Row,
        scan: impl FnOnce(&KeyRange) -> Rows,
    ) -> Result<Result<(), String>, ApiError> {
        let Some(most) = self.most(username, get)? else { return Ok(Ok(())) };
        let mut own = Own::default();
        for (_, record) in &scan(&KeyRange::prefix(&(NAMESPACES,)))? {
            own.count(&record.0, username)?;
        }
        let is_full = own.counted() >= most as usize;
        Ok(if is_full {
            Err(format!("user {username} cannot create more than {most} project(s)."))
        } else {
            Ok(())
        })
    }

    /// The most projects of a user; `None` where nothing limits them.
    fn most(&self, username: &str, get: impl FnOnce(&ObjectKey) -> Row) -> Result<Option<u32>, ApiError> {
        if service_account_of(username).is_some() {
            return Ok(self.service_accounts);
        }
        if !user_name(username).is_empty() {
            return Ok(self.system_users);
        }
        if self.users.is_empty() {
            return Ok(None);
        }
        // Who has no User, and so no labels, is still somebody.
        let labels = match get(&ObjectKey::new(User::qualified_resource(), "", username))? {
            Some(record) => {
                from_slice::<User>(&record.0).map_err(|error| ApiError::internal(&error))?.metadata.labels
            }
            None => BTreeMap::new(),
        };
        let limit = self.users.iter().find(|limit| {
            limit.selector.iter().all(|(key, value)| labels.get(key).is_some_and(|label| label == value))
        });
        Ok(limit.and_then(|limit| limit.most))
    }
}

/// Of a namespace, what is to be known to count it: all are read for every request.
#[derive(Deserialize)]
struct Requested {
    metadata: RequestedMetadata,
}

#[derive(Deserialize)]
struct RequestedMetadata {
    #[serde(default)]
    annotations: Requester,
}

#[derive(Default, Deserialize)]
struct Requester {
    #[serde(rename = "openshift.io/requester")]
    name: Option<String>,
}

/// The projects somebody asked for.
#[derive(Default)]
struct Own {
    alive: usize,
    ending: usize,
}

impl Own {
    /// Looks at one namespace, as it is stored.
    fn count(&mut self, stored: &[u8], username: &str) -> Result<(), serde_json::Error> {
        let requested: Requested = serde_json::from_slice(stored)?;
        if requested.metadata.annotations.name.as_deref() == Some(username) {
            let is_ending = Head::read(stored)?.is_terminating();
            *(if is_ending { &mut self.ending } else { &mut self.alive }) += 1;
        }
        Ok(())
    }

    /// How many there are, but for the few that end.
    fn counted(&self) -> usize {
        self.alive + self.ending.saturating_sub(ENDING_UNCOUNTED)
    }
}
