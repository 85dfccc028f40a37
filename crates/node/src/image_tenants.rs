//! Which projects pulled an image: an image on this machine is nobody's to use who could not have pulled it.
//!
//! Without this, a private image that one project pulled would be another's by `IfNotPresent` (CVE-2015-7561). Kept in a
//! file, by the engine's id of the image and the uids of namespaces. Images that nobody pulled through us were put there
//! by whoever owns the machine, for everybody. Between the beginning of a pull and the moment its image is noted nobody
//! knows which of the two an image is, so the repositories of such pulls are noted, too, with no namespace: what is found
//! in them and not noted by its id must be pulled. After a kill in between that stays so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk;

/// Uids of namespaces by ids of images; none by names of repositories, which have a slash where ids have none.
type Kept = BTreeMap<String, BTreeSet<String>>;

/// The projects that pulled each image. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ImageTenants {
    file: Arc<PathBuf>,
    known: Arc<Mutex<Known>>,
    /// Held while what is known is written: the newest comes last.
    writing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Known {
    tenants: BTreeMap<String, BTreeSet<String>>,
    /// Pulls whose images are not noted, by repository.
    pulls: BTreeMap<String, usize>,
}

impl Known {
    fn kept(&self) -> Kept {
        let pulls = self.pulls.keys().map(|repository| (repository.clone(), BTreeSet::new()));
        self.tenants.clone().into_iter().chain(pulls).collect()
    }

    fn end_pull(&mut self, repository: &str) {
        if let Some(count) = self.pulls.get_mut(repository) {
            *count -= 1;
            if *count == 0 {
                self.pulls.remove(repository);
            }
        }
    }
}

impl ImageTenants {
    /// Reads what was kept. Blocking.
    pub(crate) fn open(file: PathBuf) -> io::Result<Self> {
        let kept: Kept = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.display()))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::new(),
            Err(error) => return Err(error),
        };
        let mut known = Known::default();
        for (key, tenants) in kept {
            if key.contains('/') {
                known.pulls.insert(key, 1);
            } else {
                known.tenants.insert(key, tenants);
            }
        }
        Ok(Self { file: Arc::new(file), known: Arc::new(Mutex::new(known)), writing: Arc::default() })
    }

    /// Whether a namespace may use an image of a repository without being let in by its registry again.
    pub(crate) fn may_use(&self, image_id: &str, repository: &str, namespace_uid: &str) -> bool {
        let known = self.known.lock();
        match known.tenants.get(image_id) {
            Some(tenants) => tenants.contains(namespace_uid),
            None => !known.pulls.contains_key(repository),
        }
    }

    /// Something of a repository is pulled now.
    ///
    /// # Errors
    /// It could not be noted: then nothing may be pulled.
    pub(crate) async fn pull_begins(&self, repository: &str) -> io::Result<()> {
        *self.known.lock().pulls.entry(repository.to_owned()).or_default() += 1;
        let noted = self.save().await;
        if noted.is_err() {
            self.known.lock().end_pull(repository);
        }
        noted
    }

    /// The pull brought nothing.
    pub(crate) async fn pull_failed(&self, repository: &str) -> io::Result<()> {
        self.known.lock().end_pull(repository);
        self.save().await
    }

    /// The registry let a namespace have an image.
    pub(crate) async fn pulled(
        &self,
        repository: &str,
        image_id: &str,
        namespace_uid: &str,
    ) -> io::Result<()> {
        {
            let mut known = self.known.lock();
            known.tenants.entry(image_id.to_owned()).or_default().insert(namespace_uid.to_owned());
            known.end_pull(repository);
        }
        self.save().await
    }

    async fn save(&self) -> io::Result<()> {
        let _turn = self.writing.lock().await;
        let bytes = serde_json::to_vec(&self.known.lock().kept())?;
        let file = Arc::clone(&self.file);
        disk::run(move || write(&file, &bytes)).await
    }
}

/// All or nothing, for good.
fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = file.with_extension("new");
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut written = fs::File::create(&new)?;
    written.write_all(bytes)?;
    written.sync_all()?;
    fs::rename(new, file)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::ImageTenants;

    const WEB: &str = "r.example/shop/web";

    #[tokio::test]
    async fn a_pulled_image_is_for_those_who_pulled_it_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node/images.json");
        let tenants = ImageTenants::open(file.clone()).unwrap();
        assert!(tenants.may_use("sha256:1", WEB, "shop"));
        tenants.pull_begins(WEB).await.unwrap();
        tenants.pulled(WEB, "sha256:1", "shop").await.unwrap();
        for tenants in [tenants, ImageTenants::open(file).unwrap()] {
            assert!(tenants.may_use("sha256:1", WEB, "shop"));
            assert!(!tenants.may_use("sha256:1", WEB, "other"));
            assert!(!tenants.may_use("sha256:1", "r.example/copy", "other"));
            assert!(tenants.may_use("sha256:2", WEB, "other"));
        }
    }

    #[tokio::test]
    async fn what_comes_in_before_it_is_noted_is_nobodys_also_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("images.json");
        let tenants = ImageTenants::open(file.clone()).unwrap();
        tenants.pull_begins(WEB).await.unwrap();
        let killed = ImageTenants::open(file.clone()).unwrap();
        for tenants in [&tenants, &killed] {
            assert!(!tenants.may_use("sha256:1", WEB, "other"));
            assert!(tenants.may_use("sha256:1", "r.example/own", "other"));
        }
        // Who failed pulled nothing; what the killed one did is not known.
        tenants.pull_failed(WEB).await.unwrap();
        assert!(tenants.may_use("sha256:1", WEB, "other"));
        assert!(ImageTenants::open(file).unwrap().may_use("sha256:1", WEB, "other"));
        killed.pull_begins(WEB).await.unwrap();
        killed.pull_failed(WEB).await.unwrap();
        assert!(!killed.may_use("sha256:1", WEB, "other"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_pulls_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("images.json");
        let tenants = ImageTenants::open(file.clone()).unwrap();
        let pulls = (0..64).map(|number| {
            let (tenants, id, place) = (tenants.clone(), format!("sha256:{number}"), format!("r/{number}"));
            async move {
                tenants.pull_begins(&place).await?;
                tenants.pulled(&place, &id, "shop").await
            }
        });
        futures_util::future::try_join_all(pulls).await.unwrap();
        let kept = ImageTenants::open(file).unwrap();
        for number in 0..64 {
            assert!(!kept.may_use(&format!("sha256:{number}"), "r/x", "other"));
        }
    }
}
