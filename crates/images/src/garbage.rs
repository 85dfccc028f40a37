//! Collecting blobs that nothing needs, while clients push and pull.
//!
//! A link goes when no manifest of its repository refers to the blob and its lease is over; a file goes when no link
//! is left. Every answer that lets a client skip an upload renews a lease, so what a client relies on is never
//! collected under it. Manifests, tags and images go only when somebody deletes them. Any error ends the cycle with
//! less deleted, never with more.

use std::collections::HashSet;
use std::time::Duration;

use pierhead_auth::{Api, Permit};
use pierhead_blobs::BlobError;
use pierhead_oci::Digest;
use pierhead_store::{KeyRange, StoreError};
use tracing::info;

use crate::Images;
use crate::error::DeleteError;
use crate::links::{is_linked_anywhere, unlink};
use crate::manifest_record::ManifestRecord;
use crate::repository_end::{bury_forsaken, is_forsaken};
use crate::rows::Rows;
use crate::tables::{HELD, LINKS, MANIFESTS, REPOSITORY_NAMES, RepositoryId, SMALL_BLOBS};

/// Links looked at, and removed, in one step.
const PAGE: usize = 500;

/// How long damaged files are kept for a look: they are of no other use.
const QUARANTINED_FOR: Duration = Duration::from_hours(30 * 24);

/// What one cycle removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs taken from repositories.
    pub links: u64,
    /// Blobs removed from storage.
    pub blobs: u64,
}

/// What became of a blob that a pruner wanted to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrunedBlob {
    /// Its bytes are gone.
    Removed,
    /// Something needs it, and it is still there.
    Needed,
}

/// Why a cycle ended early. What it removed until then was garbage.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// Looking at files or removing one failed.
    #[error("collecting blobs")]
    Blob(#[from] BlobError),
    /// Looking at rows failed.
    #[error("collecting links")]
    Store(#[from] StoreError),
}

impl Images {
    /// Runs one cycle. Safe at any time, also several at once.
    pub async fn collect_garbage(&self) -> Result<Collected, CollectError> {
        self.purge_dead_repositories().await?;
        let mut collected = Collected::default();
        let mut after = None;
        loop {
            let mut range = KeyRange::all();
            if let Some(after) = &after {
                range = range.after(after);
            }
            let page = self.store().read(|tx| tx.rows(&REPOSITORY_NAMES, &range, PAGE))?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (repository, name) in page {
                collected.links += self.collect_links(repository).await?;
                if self.store().read(|tx| is_forsaken(tx, repository, &name))? {
                    self.write(move |tx| bury_forsaken(tx, repository, &name)).await?;
                }
                tokio::task::yield_now().await;
            }
        }
        collected.blobs = self.collect_files().await? + self.collect_small_blobs().await?;
        self.blobs().empty_quarantine(self.0.clock.now(), QUARANTINED_FOR).await?;
        if collected != Collected::default() {
            info!(
                links = collected.links,
                blobs = collected.blobs,
                "Collected blobs that nothing referred to"
            );
        }
        Ok(collected)
    }

    /// Removes a blob for somebody who may delete any image, if no repository serves it and it is no manifest that is
    /// kept: without the grace that collection gives, and not under a push that relies on it.
    pub async fn prune_blob(
        &self,
        _permit: &Permit<Api>,
        digest: &Digest,
    ) -> Result<PrunedBlob, DeleteError> {
        let _alone = self.stripe(digest).write().await;
        let key = digest.clone();
        let (needed, removed) = self
            .write(move |tx| {
                let row = key.to_key();
                let needed = is_linked_anywhere(tx, &key)? || tx.has_row(&MANIFESTS, &row)?;
                Ok::<_, StoreError>((needed, !needed && tx.delete(&SMALL_BLOBS, &row)?))
            })
            .await?;
        if needed {
            return Ok(PrunedBlob::Needed);
        }
        if removed || self.blobs().delete(digest).await? {
            return Ok(PrunedBlob::Removed);
        }
        Err(DeleteError::BlobUnknown { digest: digest.clone() })
    }

    async fn collect_links(&self, repository: RepositoryId) -> Result<u64, CollectError> {
        let grace = i64::try_from(self.config().blob_grace.as_secs()).unwrap_or(i64::MAX);
        let cutoff = self.now_s().saturating_sub(grace);
        let referenced = self.referenced(repository).await?;
        let (mut removed, mut after) = (0, None);
        loop {
            let mut range = KeyRange::prefix(&repository);
            if let Some(after) = &after {
                range = range.after(after);
            }
            let page = self.store().read(|tx| tx.rows(&LINKS, &range, PAGE))?;
            let Some((last, _)) = page.last() else { return Ok(removed) };
            after = Some(last.clone());
            let mut stale = Vec::new();
            for ((_, key), link) in page {
                if let Ok(digest) = Digest::from_key(&key)
                    && link.touched < cutoff
                    && !referenced.contains(&digest)
                {
                    stale.push(digest);
                }
            }
            if stale.is_empty() {
                continue;
            }
            removed += self
                .write(move |tx| {
                    let mut removed = 0;
                    for digest in &stale {
                        // A manifest that came since the look renewed the lease before it referred to the blob.
                        let still = tx.link(repository, digest)?.is_some_and(|link| link.touched < cutoff);
                        removed += u64::from(still && unlink(tx, repository, digest)?);
                    }
                    Ok::<_, StoreError>(removed)
                })
                .await?;
        }
    }

    /// Every blob that a manifest of the repository refers to. Reads page by page, so that neither a worker nor a state of
    /// the store is held for long; whoever adds a manifest meanwhile renews the leases of what it refers to.
    async fn referenced(&self, repository: RepositoryId) -> Result<HashSet<Digest>, StoreError> {
        let (mut referenced, mut after) = (HashSet::new(), None);
        loop {
            let mut range = KeyRange::prefix(&repository);
            if let Some(after) = &after {
                range = range.after(after);
            }
            after = self.store().read(|tx| {
                let page = tx.rows(&HELD, &range, PAGE)?;
                for ((_, key), _) in &page {
                    if let Some(ManifestRecord { header, .. }) = tx.row(&MANIFESTS, key)? {
                        referenced
                            .extend(header.config.into_iter().chain(header.layers).map(|part| part.digest));
                    }
                }
                Ok::<_, StoreError>(page.last().map(|(key, _)| key.clone()))
            })?;
            if after.is_none() {
                return Ok(referenced);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn collect_files(&self) -> Result<u64, CollectError> {
        let (now, grace) = (self.0.clock.now(), self.config().blob_grace);
        let mut removed = 0;
        for digest in self.blobs().each_older_than(now, grace).await? {
            // Whoever commits or mounts this blob right now holds the stripe; the next cycle looks again.
            let Ok(_alone) = self.stripe(&digest).try_write() else { continue };
            let needed = self.store().read(|tx| {
                Ok::<_, StoreError>(
                    is_linked_anywhere(tx, &digest)? || tx.row(&MANIFESTS, &digest.to_key())?.is_some(),
                )
            })?;
            removed += u64::from(!needed && self.blobs().delete(&digest).await?);
        }
        Ok(removed)
    }
}
