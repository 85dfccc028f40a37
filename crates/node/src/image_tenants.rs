//! Which projects pulled an image: an image on this machine is nobody's to use who could not have pulled it.
//!
//! Without this, a private image that one project pulled would be another's by `IfNotPresent` (CVE-2015-7561). Kept in a
//! file, by the engine's id of the image and the uids of namespaces. Images that nobody pulled through us were put there
//! by whoever owns the machine, for everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk;

type Tenants = BTreeMap<String, BTreeSet<String>>;

/// The projects that pulled each image. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ImageTenants {
    file: Arc<PathBuf>,
    known: Arc<Mutex<Tenants>>,
}

impl ImageTenants {
    /// Reads what was kept. Blocking.
    pub(crate) fn open(file: PathBuf) -> io::Result<Self> {
        let known = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Tenants::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { file: Arc::new(file), known: Arc::new(Mutex::new(known)) })
    }

    /// Whether a namespace may use an image without being let in by its registry again.
    pub(crate) fn may_use(&self, image_id: &str, namespace_uid: &str) -> bool {
        self.known.lock().get(image_id).is_none_or(|tenants| tenants.contains(namespace_uid))
    }

    /// The registry let a namespace have an image.
    pub(crate) async fn let_in(&self, image_id: &str, namespace_uid: &str) -> io::Result<()> {
        let bytes = {
            let mut known = self.known.lock();
            if !known.entry(image_id.to_owned()).or_default().insert(namespace_uid.to_owned()) {
                return Ok(());
            }
            serde_json::to_vec(&*known)?
        };
        let file = Arc::clone(&self.file);
        disk::run(move || write(&file, &bytes)).await
    }
}

/// All or nothing.
fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = file.with_extension("new");
    fs::write(&new, bytes)?;
    fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::ImageTenants;

    #[tokio::test]
    async fn a_pulled_image_is_for_those_who_pulled_it_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node/images.json");
        let tenants = ImageTenants::open(file.clone()).unwrap();
        assert!(tenants.may_use("sha256:1", "shop"));
        tenants.let_in("sha256:1", "shop").await.unwrap();
        for tenants in [tenants, ImageTenants::open(file).unwrap()] {
            assert!(tenants.may_use("sha256:1", "shop"));
            assert!(!tenants.may_use("sha256:1", "other"));
            assert!(tenants.may_use("sha256:2", "other"));
        }
    }
}
