//! A repository, wherever it is: at a registry or in a folder.

use std::{io::Read as _, time::Duration};

use anyhow::bail;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use pierhead_client::distribution::{RemoteBlob, RemoteError, RemoteManifest, RemoteRepository, SourceError};
use pierhead_oci::{Descriptor, Digest, ManifestKind, Reference};

use super::{
    folder::{Folder, NoSuchFile},
    platform::{self, FilterOptions},
};

/// Longest configuration of an image that is read.
const MAX_CONFIG: usize = 8 << 20;
/// Most tags of a repository that are read.
const MAX_TAGS: usize = 100_000;
/// How often a blob is asked for or sent again when the connection breaks.
pub(crate) const TRIES: u32 = 3;
pub(crate) const WAIT: Duration = Duration::from_secs(2);
/// How much of a file is read at a time.
const PIECE: usize = 256 << 10;

/// A repository to read from, and to write to if it was opened for that.
#[derive(Clone)]
pub(crate) enum Repository {
    Remote(RemoteRepository),
    Folder(Folder),
}

/// A blob as it comes.
pub(crate) struct Blob {
    pub(crate) size: Option<u64>,
    source: Source,
}

enum Source {
    Remote(Box<Download>),
    File(std::fs::File),
}

/// A blob from a registry, which is gone on with where the connection broke.
struct Download {
    blob: RemoteBlob,
    repository: RemoteRepository,
    digest: Digest,
    received: u64,
    tries: u32,
}

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>, RemoteError> {
        let mut failure = match self.blob.next().await {
            Ok(piece) => {
                self.received += piece.as_ref().map_or(0, Bytes::len) as u64;
                return Ok(piece);
            }
            Err(failure) => failure,
        };
        while self.tries < TRIES && is_passing(&failure) {
            self.tries += 1;
            tracing::debug!(digest = %self.digest, received = self.received, error = %failure, "A blob is gone on with");
            tokio::time::sleep(WAIT * self.tries).await;
            failure = match Box::pin(self.repository.blob_from(&self.digest, self.received)).await {
                Ok(blob) => {
                    self.blob = blob;
                    return Box::pin(self.next()).await;
                }
                Err(failure) => failure,
            };
        }
        Err(failure)
    }
}

/// Whether the same may work a moment later.
pub(crate) fn is_passing(error: &RemoteError) -> bool {
    matches!(
        error,
        RemoteError::Transport { .. } | RemoteError::Timeout { .. } | RemoteError::Unavailable { .. }
    )
}

impl Blob {
    /// The next bytes, or none at the end.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        match &mut self.source {
            Source::Remote(download) => Ok(download.next().await?),
            Source::File(file) => {
                let mut piece = vec![0; PIECE];
                let length = file.read(&mut piece)?;
                piece.truncate(length);
                Ok((length > 0).then(|| piece.into()))
            }
        }
    }

    /// The same as a stream, with what is noted of each piece.
    fn into_stream(
        self,
        note: impl Fn(u64) + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes, SourceError>> + Send + 'static {
        stream::unfold((self, note, false), |(mut blob, note, ended)| async move {
            if ended {
                return None;
            }
            match blob.next().await {
                Ok(None) => None,
                Ok(Some(piece)) => {
                    note(piece.len() as u64);
                    Some((Ok(piece), (blob, note, false)))
                }
                Err(error) => Some((Err(error.into()), (blob, note, true))),
            }
        })
    }
}

/// Whether an error says that there is no such thing.
pub(crate) fn is_not_found(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<RemoteError>(), Some(RemoteError::NotFound)) || error.is::<NoSuchFile>()
}

/// Whether an error says that we may not see it.
pub(crate) fn is_forbidden(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<RemoteError>(),
        Some(RemoteError::Unauthorized { .. } | RemoteError::Rejected { status: 401 | 403, .. })
    )
}

impl Repository {
    pub(crate) async fn manifest(&self, reference: &Reference) -> anyhow::Result<RemoteManifest> {
        match self {
            Self::Remote(remote) => Ok(remote.manifest(reference).await?),
            Self::Folder(folder) => folder.manifest(reference),
        }
    }

    pub(crate) async fn config(&self, digest: &Digest) -> anyhow::Result<Bytes> {
        match self {
            Self::Remote(remote) => Ok(remote.small_blob(digest, MAX_CONFIG).await?),
            Self::Folder(folder) => folder.small_blob(digest, MAX_CONFIG),
        }
    }

    pub(crate) async fn blob(&self, digest: &Digest) -> anyhow::Result<Blob> {
        match self {
            Self::Remote(remote) => {
                let blob = Box::pin(remote.blob(digest)).await?;
                let (repository, digest) = (remote.clone(), digest.clone());
                let size = blob.size;
                let download = Download { blob, repository, digest, received: 0, tries: 0 };
                Ok(Blob { size, source: Source::Remote(Box::new(download)) })
            }
            Self::Folder(folder) => {
                let (size, file) = folder.open_blob(digest)?;
                Ok(Blob { size: Some(size), source: Source::File(file) })
            }
        }
    }

    /// Whether it has a blob.
    pub(crate) async fn has_blob(&self, digest: &Digest) -> anyhow::Result<bool> {
        let found = match self {
            Self::Remote(remote) => remote.blob_size(digest).await.map(|_| ()).map_err(anyhow::Error::from),
            Self::Folder(folder) => folder.blob_size(digest).map(|_| ()),
        };
        match found {
            Ok(()) => Ok(true),
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn tags(&self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Remote(remote) => Ok(remote.tags(MAX_TAGS).await?),
            Self::Folder(folder) => folder.tags(),
        }
    }

    /// Takes a blob of another repository of the same place; false if that cannot be done.
    pub(crate) async fn mount(&self, digest: &Digest, source: &str) -> anyhow::Result<bool> {
        match self {
            Self::Remote(remote) => Ok(remote.mount(digest, source).await?),
            Self::Folder(folder) => folder.mount(digest, source),
        }
    }

    /// Stores a blob as it comes from elsewhere; `note` hears of its bytes.
    pub(crate) async fn push_blob(
        &self,
        digest: &Digest,
        blob: Blob,
        note: impl Fn(u64) + Send + 'static,
    ) -> anyhow::Result<()> {
        let size = blob.size;
        let content = blob.into_stream(note);
        match self {
            Self::Remote(remote) => Ok(Box::pin(remote.push_stream(digest, size, content)).await?),
            Self::Folder(folder) => folder.push_stream(digest, Box::pin(content)).await,
        }
    }

    /// Stores a file as a blob.
    pub(crate) async fn push_file(
        &self,
        digest: &Digest,
        file: std::fs::File,
        note: impl Fn(u64) + Send + 'static,
    ) -> anyhow::Result<()> {
        let size = Some(file.metadata()?.len());
        self.push_blob(digest, Blob { size, source: Source::File(file) }, note).await
    }

    /// Stores a small blob.
    pub(crate) async fn push_bytes(&self, digest: &Digest, content: Bytes) -> anyhow::Result<()> {
        match self {
            Self::Remote(remote) => Ok(remote.push_bytes(digest, content).await?),
            Self::Folder(folder) => folder.push_stream(digest, stream::iter([Ok(content)]).boxed()).await,
        }
    }

    /// Stores a manifest under a tag or its digest.
    pub(crate) async fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        content: Bytes,
    ) -> anyhow::Result<()> {
        match self {
            Self::Remote(remote) => {
                let sent = Digest::sha256(&content);
                let stored = remote.push_manifest(reference, media_type, content).await?;
                if let Some(stored) = stored.filter(|stored| stored.algorithm() == sent.algorithm())
                    && stored != sent
                {
                    bail!("the registry stored the manifest {sent} as {stored}: it has changed it");
                }
            }
            Self::Folder(folder) => {
                folder.push_manifest(reference, &content)?;
            }
        }
        Ok(())
    }

    /// The one image that is meant: of a list the first that the filter includes.
    pub(crate) async fn image(
        &self,
        reference: &Reference,
        filter: &FilterOptions,
    ) -> anyhow::Result<RemoteManifest> {
        let found = self.manifest(reference).await?;
        let ManifestKind::Index { manifests } = found.manifest.kind() else {
            return Ok(found);
        };
        let chosen: Vec<&Descriptor> =
            manifests.iter().filter(|child| filter.includes(child, manifests.len())).collect();
        let Some(first) = chosen.first() else {
            return Err(NotInList { filter: filter.clone(), manifests: manifests.clone() }.into());
        };
        let manifest = self.manifest(&Reference::Digest(first.digest.clone())).await?;
        if matches!(manifest.manifest.kind(), ManifestKind::Index { .. }) {
            bail!("{} lists {}, which is a list again", found.digest, first.digest);
        }
        Ok(manifest)
    }
}

/// The configuration and layers of an image.
pub(crate) fn parts(manifest: &RemoteManifest) -> anyhow::Result<(&Descriptor, &[Descriptor])> {
    match manifest.manifest.kind() {
        ManifestKind::Image { config, layers } => Ok((config, layers)),
        ManifestKind::Index { .. } => bail!("{} is a manifest list", manifest.digest),
    }
}

/// No image of a list is for the platform that is wanted.
#[derive(Debug, thiserror::Error)]
#[error(
    "no image in the manifest list matched {}, choose one with --filter-by-os:\n\n{}",
    wanted(filter),
    rows(manifests)
)]
pub(crate) struct NotInList {
    filter: FilterOptions,
    manifests: Vec<Descriptor>,
}

fn wanted(filter: &FilterOptions) -> String {
    match &filter.filter_by_os {
        Some(filter) => format!("the filter {:?}", filter.as_str()),
        None => format!("this machine (linux/{})", platform::architecture()),
    }
}

/// The images of a list, a line each.
pub(crate) fn rows(manifests: &[Descriptor]) -> String {
    let name = |child: &Descriptor| platform::spec(child.platform.as_ref());
    let width = manifests.iter().map(|child| name(child).chars().count()).max().unwrap_or_default().max(2);
    let mut text = format!("  {:width$} DIGEST\n", "OS");
    for child in manifests {
        text.push_str(&format!("  {:width$} {}\n", name(child), child.digest));
    }
    text
}
