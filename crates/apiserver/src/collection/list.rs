//! Lists, in one piece or in chunks.
//!
//! Owns the loop that fills a chunk through a selector, and that all chunks of one list show the revision of the first.
//! Continue tokens are made and read in `continue_token`.

use std::time::Duration;

use pierhead_api::meta::Status;
use pierhead_store::Revision;

use super::{Collection, Selector};
use crate::call::Onward;
use crate::continue_token::{self, ContinueToken, Scope};
use crate::error::ApiError;
use crate::query::{ListOptions, VersionMatch};
use crate::storage::{Document, Key, Scan};

/// Objects read from a storage at once.
const STRIDE: usize = 500;
/// How long a read waits for a revision that is not there yet.
const FUTURE_WAIT: Duration = Duration::from_secs(3);

/// One chunk of a list.
#[derive(Debug)]
pub(crate) struct Page {
    /// The objects.
    pub(crate) items: Vec<(Key, Document)>,
    /// The revision all chunks of this list name.
    pub(crate) revision: Revision,
    /// How to ask for the next chunk.
    pub(crate) continue_token: Option<Onward>,
}

impl Collection<'_> {
    /// The objects of `namespace` (all namespaces without one) that match.
    pub(crate) async fn list(
        &self,
        namespace: Option<&str>,
        selector: &Selector,
        options: &ListOptions,
    ) -> Result<Page, ApiError> {
        let qualified = self.kind.qualified();
        let scope = Scope {
            resource: &qualified,
            namespace: namespace.unwrap_or_default(),
            labels: &options.label_selector,
            fields: &options.field_selector,
        };
        if options.continue_token.is_some()
            && options.resource_version.is_some_and(|revision| revision > Revision::ZERO)
        {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            )
            .into());
        }
        let key = &self.call.server.token_key;
        let resumed = options
            .continue_token
            .as_deref()
            .map(|token| ContinueToken::open(key, token, &scope))
            .transpose()?;
        // Who goes on with a list is told so when it cannot go on, and how it can all the same.
        let anew = resumed.as_ref().map(|token| {
            ContinueToken { revision: Revision::ZERO, after: token.after.clone(), left: None }
                .seal(key, &scope)
        });
        let expired = || anew.clone().map_or_else(continue_token::too_old, continue_token::expired_with);
        let mut left = resumed.as_ref().and_then(|token| token.left);
        let is_first = resumed.is_none();
        let (mut after, mut at) = match resumed {
            Some(token) => (Some(token.after), Some(token.revision).filter(|at| *at > Revision::ZERO)),
            None => (None, self.read_revision(options).await?),
        };
        let limit = options.limit.unwrap_or(usize::MAX);
        let filtered = !selector.is_everything() || self.kind.visible.is_some();
        let mut items = Vec::new();
        loop {
            let stride = if filtered { STRIDE } else { limit.saturating_sub(items.len()) };
            let scan = Scan { namespace, after: after.as_ref(), limit: stride, at };
            let found = self.storage.list(scan).map_err(|error| match error.status().code {
                410 => expired(),
                _ => error,
            })?;
            let revision = *at.get_or_insert(found.revision);
            let more = found.more;
            let mut rest = found.items.into_iter();
            while items.len() < limit {
                let Some((key, document)) = rest.next() else { break };
                after = Some(key.clone());
                if let Some(document) = self.select(selector, &key, document)? {
                    items.push((key, document));
                }
            }
            let more = more || rest.next().is_some();
            if !more || items.len() >= limit {
                if is_first && more && !filtered {
                    left = self.storage.count(namespace)?;
                }
                let left = left.map(|left| left.saturating_sub(items.len() as u64));
                let last = after.filter(|_| more);
                let continue_token = last.map(|after| Onward {
                    token: ContinueToken { revision, after, left }.seal(key, &scope),
                    remaining: left,
                });
                return Ok(Page { items, revision, continue_token });
            }
        }
    }

    /// The document if the selector and the subject's rights let it through.
    fn select(
        &self,
        selector: &Selector,
        key: &Key,
        document: Document,
    ) -> Result<Option<Document>, ApiError> {
        let seen = self
            .kind
            .visible
            .is_none_or(|visible| visible(&self.call.server.auth, &self.call.subject, &key.name));
        if !seen {
            return Ok(None);
        }
        if selector.is_everything() {
            return Ok(Some(document));
        }
        let tree = document.into_tree()?;
        Ok(selector.matches(&tree).then_some(Document::Tree(tree)))
    }

    async fn read_revision(&self, options: &ListOptions) -> Result<Option<Revision>, ApiError> {
        let Some(asked) = options.resource_version.filter(|revision| *revision > Revision::ZERO) else {
            return Ok(None);
        };
        wait_for(&self.call.server.store, asked).await?;
        Ok((options.version_match == VersionMatch::Exact).then_some(asked))
    }
}

/// Waits until the store has reached `revision`; 504 when that takes too long (platform 1.7).
pub(crate) async fn wait_for(store: &pierhead_store::Store, revision: Revision) -> Result<(), ApiError> {
    let mut revisions = store.subscribe();
    let reached = tokio::time::timeout(FUTURE_WAIT, revisions.wait_for(|current| *current >= revision)).await;
    match reached {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => {
            let current = store.revision().number();
            Err(Status::too_large_resource_version(revision.number(), current).into())
        }
    }
}
