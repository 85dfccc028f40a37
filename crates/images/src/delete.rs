//! Deleting tags, manifests and blob links. Bytes go later, when nothing refers to them (`garbage`).

use pierhead_auth::{Delete, Permit};
use pierhead_oci::{Digest, Tag};
use pierhead_store::{KeyRange, StoreError, WriteTx};

use crate::Images;
use crate::error::DeleteError;
use crate::links::{release, unlink};
use crate::rows::{ALL, Rows, stream_key};
use crate::stream_edit::{Authorship, StreamEdit};
use crate::tables::{DELETED_MANIFESTS, REMOTE_PARTS, TAG_IMAGES};

impl Images {
    /// Deletes a tag with its history, and what was wanted of it. Its manifests stay reachable by digest.
    pub async fn delete_tag(&self, permit: &Permit<Delete>, tag: &Tag) -> Result<(), DeleteError> {
        let at = Place::of(self, permit);
        let tag = tag.clone();
        self.write(move |tx| {
            let mut edit = at.open(tx)?;
            let wanted = edit.delete_spec_tag(tag.as_str())?;
            if wanted {
                edit.head.generation += 1;
            }
            if !edit.remove_tag(tag.as_str())? && !wanted {
                return Err(DeleteError::TagUnknown { tag: tag.clone() });
            }
            edit.finish_smaller()?;
            Ok(())
        })
        .await
    }

    /// Deletes a manifest from the repository, and the tags that point at it. It is not fetched again from where it once
    /// came, though histories or lists name it.
    pub async fn delete_manifest(&self, permit: &Permit<Delete>, digest: &Digest) -> Result<(), DeleteError> {
        let at = Place::of(self, permit);
        let digest = digest.clone();
        self.write(move |tx| {
            let mut edit = at.open(tx)?;
            if !release(edit.tx, edit.head.repository, &digest)? {
                return Err(DeleteError::ManifestUnknown { digest: digest.clone() });
            }
            let key = digest.to_key();
            let tags =
                edit.tx.rows(&TAG_IMAGES, &KeyRange::prefix(&(edit.head.repository, key.as_slice())), ALL)?;
            let name = digest.to_string();
            for ((_, _, tag), ()) in tags {
                let current = edit.tag(&tag)?.and_then(|record| record.item);
                if current.is_some_and(|item| item.image == name) {
                    edit.remove_tag(&tag)?;
                }
            }
            let repository = edit.head.repository;
            let range = KeyRange::prefix(&(repository, key.as_slice()));
            let is_named = !edit.tx.rows(&TAG_IMAGES, &range, 1)?.is_empty()
                || !edit.tx.rows(&REMOTE_PARTS, &range, 1)?.is_empty();
            if is_named {
                // Otherwise the next look for it would fetch it again.
                edit.tx.put(&DELETED_MANIFESTS, &(repository, key), &())?;
            }
            edit.mark();
            edit.finish_smaller()?;
            Ok(())
        })
        .await
    }

    /// Takes a blob from the repository.
    pub async fn delete_blob(&self, permit: &Permit<Delete>, digest: &Digest) -> Result<(), DeleteError> {
        let (namespace, name) = stream_key(permit.namespace(), permit.name());
        let digest = digest.clone();
        self.write(move |tx| {
            let repository = tx.repository(&namespace, &name)?;
            let removed = repository.map(|repository| unlink(tx, repository, &digest)).transpose()?;
            match removed {
                Some(true) => Ok(()),
                Some(false) | None => Err(DeleteError::BlobUnknown { digest: digest.clone() }),
            }
        })
        .await
    }
}

/// Which stream is changed, and by whom.
struct Place {
    namespace: String,
    name: String,
    by: Authorship,
}

impl Place {
    fn of(images: &Images, permit: &Permit<Delete>) -> Self {
        let (namespace, name) = stream_key(permit.namespace(), permit.name());
        Self { namespace, name, by: images.authorship(permit) }
    }

    fn open<'t, 'a>(&self, tx: &'t mut WriteTx<'a>) -> Result<StreamEdit<'t, 'a>, DeleteError> {
        let edit: Result<_, StoreError> = StreamEdit::open(tx, &self.namespace, &self.name, &self.by);
        edit?.ok_or_else(|| {
            let (namespace, name) = stream_key(&self.namespace, &self.name);
            DeleteError::RepositoryUnknown { namespace, name }
        })
    }
}
