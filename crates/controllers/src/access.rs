//! Asks what a project's service account may do, where something is done for it by us, who may do everything.

use pierhead_api::authz::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use pierhead_client::{Client, ClientError};

/// A service account, by whose rights something is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

impl Account<'_> {
    /// Its name as a user.
    pub(crate) fn user(self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    /// Whether it may do that.
    pub(crate) async fn may(self, client: &Client, action: ResourceAttributes) -> Result<bool, ClientError> {
        let own = format!("system:serviceaccounts:{}", self.namespace);
        let groups = ["system:serviceaccounts", &own, "system:authenticated"].map(str::to_owned);
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                resource_attributes: Some(action),
                user: self.user(),
                groups: groups.to_vec(),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        Ok(client.create(None, &review).await?.status.allowed)
    }
}
