//! Blobs of a few kilobytes, as rows: a file of their own would cost two more waits for the disk than the row that says
//! who may read them, and most configs and signatures are that small.
//!
//! Owns the choice between row and file. Everything else asks here how long a blob is and for its bytes.

use bytes::Bytes;
use pierhead_blobs::BlobError;
use pierhead_oci::Digest;
use pierhead_store::{KeyRange, StoreError};

use crate::Images;
use crate::links::is_linked_anywhere;
use crate::rows::Rows;
use crate::tables::SMALL_BLOBS;

/// Blobs up to this many bytes are rows.
pub(crate) const SMALL_BYTES: u64 = 4_096;

/// Rows looked at in one step of collection.
const PAGE: usize = 500;

impl Images {
    /// The bytes of a blob, if it is a row.
    pub(crate) fn small_blob(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        Ok(self.store().read(|tx| tx.row(&SMALL_BLOBS, &digest.to_key()))?.map(|record| record.0))
    }

    /// How long the stored blob is, row or file; `None` when there is none.
    pub(crate) async fn stored_size(
        &self,
        digest: &Digest,
        small: Option<&Bytes>,
    ) -> Result<Option<u64>, BlobError> {
        match small {
            Some(content) => Ok(Some(content.len() as u64)),
            None => self.blobs().stat(digest).await,
        }
    }

    /// Removes the rows that no repository has a link to. Row and link are written together, so nothing is in between.
    pub(crate) async fn collect_small_blobs(&self) -> Result<u64, StoreError> {
        let (mut removed, mut after) = (0, None);
        loop {
            let mut range = KeyRange::all();
            if let Some(after) = &after {
                range = range.after(after);
            }
            let page = self.store().read(|tx| tx.rows(&SMALL_BLOBS, &range, PAGE))?;
            let Some((last, _)) = page.last() else { return Ok(removed) };
            after = Some(last.clone());
            let digests: Vec<Digest> =
                page.iter().filter_map(|(key, _)| Digest::from_key(key).ok()).collect();
            let unlinked = self.store().read(|tx| {
                let mut unlinked = Vec::new();
                for digest in digests {
                    if !is_linked_anywhere(tx, &digest)? {
                        unlinked.push(digest);
                    }
                }
                Ok::<_, StoreError>(unlinked)
            })?;
            if unlinked.is_empty() {
                continue;
            }
            removed += self
                .write(move |tx| {
                    let mut removed = 0;
                    for digest in &unlinked {
                        let needed = is_linked_anywhere(tx, digest)?;
                        removed += u64::from(!needed && tx.delete(&SMALL_BLOBS, &digest.to_key())?);
                    }
                    Ok::<_, StoreError>(removed)
                })
                .await?;
        }
    }
}
