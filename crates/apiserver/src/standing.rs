//! Whether a caller may go on with what was allowed when it began: for answers that take as long as the client likes.

use std::sync::Arc;

use pierhead_auth::{Attributes, Auth, Credentials, Subject};
use pierhead_runtime::Secret;

/// Who was allowed what.
pub(crate) struct Standing {
    /// Who decides.
    pub(crate) auth: Auth,
    /// Who asked.
    pub(crate) subject: Arc<Subject>,
    /// The token they sent.
    pub(crate) bearer: Option<Secret<String>>,
    /// What they asked for.
    pub(crate) attributes: Attributes,
}

impl Standing {
    /// Whether the token is still good and the rules still allow it.
    pub(crate) fn holds(&self) -> bool {
        let known = match &self.bearer {
            Some(token) => self.auth.authenticate(Credentials::Bearer(token.expose())).is_ok(),
            None => true,
        };
        known && self.auth.allowed(&self.subject, &self.attributes).allowed
    }
}
