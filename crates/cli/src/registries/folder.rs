//! Repositories in a folder, `v2/NAME/{blobs,manifests}` below it, as `oc image mirror` writes them.
//!
//! Owns that a file is there whole or not at all, and that its content is what its name says.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use pierhead_client::distribution::{RemoteManifest, SourceError};
use pierhead_oci::{Algorithm, Digest, Hasher, MAX_MANIFEST_BYTES, Manifest, Reference, Tag};

/// One repository.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// `v2` and its parents.
    root: PathBuf,
    repository: PathBuf,
}

/// There is no such manifest or blob.
#[derive(Debug, thiserror::Error)]
#[error("{path} does not exist", path = .0.display())]
pub(crate) struct NoSuchFile(PathBuf);

impl Folder {
    /// The repository `name` below `folder`; the part `v2` of the folder's own path may be left out or not.
    pub(super) fn new(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let root = if folder.ends_with("v2") { folder.to_owned() } else { folder.join("v2") };
        let repository = root.join(name);
        Ok(Self { root, repository })
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.repository.join("blobs").join(digest.to_string())
    }

    fn manifest_path(&self, reference: &Reference) -> PathBuf {
        self.repository.join("manifests").join(reference.to_string())
    }

    pub(super) fn manifest(&self, reference: &Reference) -> anyhow::Result<RemoteManifest> {
        let bytes = self.read(&self.manifest_path(reference), MAX_MANIFEST_BYTES as u64)?;
        let algorithm = match reference {
            Reference::Digest(digest) => digest.algorithm(),
            Reference::Tag(_) => Algorithm::Sha256,
        };
        let digest = Digest::of(algorithm, &bytes);
        if let Reference::Digest(wanted) = reference
            && *wanted != digest
        {
            bail!("the file of manifest {wanted} has other content: {digest}");
        }
        let manifest = Manifest::parse("", &bytes[..])?;
        let media_type = manifest.media_type().as_str().to_owned();
        Ok(RemoteManifest { media_type, digest, bytes, manifest })
    }

    pub(super) fn small_blob(&self, digest: &Digest, limit: usize) -> anyhow::Result<Bytes> {
        let bytes = self.read(&self.blob_path(digest), limit as u64)?;
        if Digest::of(digest.algorithm(), &bytes) != *digest {
            bail!("the file of blob {digest} has other content");
        }
        Ok(bytes)
    }

    pub(super) fn blob_size(&self, digest: &Digest) -> anyhow::Result<u64> {
        let path = self.blob_path(digest);
        Ok(found(&path, fs::metadata(&path))?.len())
    }

    pub(super) fn open_blob(&self, digest: &Digest) -> anyhow::Result<(u64, fs::File)> {
        let path = self.blob_path(digest);
        let file = found(&path, fs::File::open(&path))?;
        Ok((file.metadata()?.len(), file))
    }

    pub(super) fn tags(&self) -> anyhow::Result<Vec<String>> {
        let folder = self.repository.join("manifests");
        let mut tags = Vec::new();
        for entry in found(&folder, fs::read_dir(&folder))? {
            let name = entry?.file_name();
            let tag = name.to_str().filter(|name| name.parse::<Tag>().is_ok());
            tags.extend(tag.map(str::to_owned));
        }
        tags.sort();
        Ok(tags)
    }

    /// Takes a blob of another repository of the same folder: the same file under another name.
    pub(super) fn mount(&self, digest: &Digest, source: &str) -> anyhow::Result<bool> {
        let from = self.root.join(source).join("blobs").join(digest.to_string());
        let to = self.blob_path(digest);
        if to.exists() {
            return Ok(true);
        }
        fs::create_dir_all(self.repository.join("blobs"))?;
        Ok(fs::hard_link(from, to).is_ok())
    }

    pub(super) async fn push_stream<S>(&self, digest: &Digest, mut content: S) -> anyhow::Result<()>
    where
        S: Stream<Item = Result<Bytes, SourceError>> + Unpin,
    {
        let folder = self.repository.join("blobs");
        let mut file = new_file(&folder)?;
        let mut hasher = Hasher::new(digest.algorithm());
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(anyhow::Error::from_boxed)?;
            hasher.update(&piece);
            file.write_all(&piece)?;
        }
        let actual = hasher.finish();
        if actual != *digest {
            bail!("the content of blob {digest} is {actual}");
        }
        place(file, &self.blob_path(digest))
    }

    pub(super) fn push_manifest(&self, reference: &Reference, content: &[u8]) -> anyhow::Result<Digest> {
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(_) => Digest::sha256(content),
        };
        let folder = self.repository.join("manifests");
        let mut file = new_file(&folder)?;
        file.write_all(content)?;
        place(file, &folder.join(digest.to_string()))?;
        if let Reference::Tag(tag) = reference {
            // A link is not changed but replaced.
            let fresh = tempfile::Builder::new().prefix(".link-").tempdir_in(&folder)?;
            let link = fresh.path().join(tag.as_str());
            symlink(digest.to_string(), &link)?;
            fs::rename(&link, folder.join(tag.as_str()))?;
        }
        Ok(digest)
    }

    fn read(&self, path: &Path, limit: u64) -> anyhow::Result<Bytes> {
        let size = found(path, fs::metadata(path))?.len();
        if size > limit {
            bail!("{} has more than {limit} bytes", path.display());
        }
        Ok(found(path, fs::read(path))?.into())
    }
}

fn found<T>(path: &Path, outcome: io::Result<T>) -> anyhow::Result<T> {
    match outcome {
        Ok(found) => Ok(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(NoSuchFile(path.to_owned()).into()),
        Err(error) => Err(error).with_context(|| format!("unable to read {}", path.display())),
    }
}

fn new_file(folder: &Path) -> anyhow::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let make = || {
        fs::create_dir_all(folder)?;
        let mode = fs::Permissions::from_mode(0o644);
        tempfile::Builder::new().prefix(".part-").permissions(mode).tempfile_in(folder)
    };
    make().with_context(|| format!("unable to write into {}", folder.display()))
}

fn place(file: tempfile::NamedTempFile, path: &Path) -> anyhow::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("unable to write {}", path.display()))?;
    Ok(())
}
