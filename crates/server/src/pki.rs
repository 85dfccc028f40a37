//! The keys and certificates of one installation: made at the first start, kept in `DIR/pki`, loaded afterwards.
//!
//! Owns the authority, the certificates of our own listeners, the administrator's certificate and the key that signs
//! service account tokens. Certificates of routes are API objects and none of this module's business.

use crate::signing_keys;
use anyhow::{Context, Result};
use pierhead_auth::service_account::TokenSigner;
use pierhead_runtime::tls::{self, Authority, Leaf, PemPair, Purpose};
use pierhead_runtime::{Clock, Secret};
use rustls::sign::CertifiedKey;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Certificates of listeners are issued anew at each start.
const LISTENER_VALID_FOR: Duration = Duration::from_secs(825 * 24 * 3600);
/// The administrator's kubeconfig is copied to other machines and shall go on working there.
const ADMINISTRATOR_VALID_FOR: Duration = Duration::from_secs(3650 * 24 * 3600);

/// The keys of an installation.
pub(crate) struct Pki {
    authority: Authority,
    /// Signs the tokens of service accounts.
    pub(crate) service_accounts: TokenSigner,
}

impl Pki {
    /// Loads the keys in `folder`, or makes them.
    pub(crate) fn open(folder: &Path, clock: &dyn Clock) -> Result<Self> {
        private_folder(folder)?;
        let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
        let authority = if key.exists() {
            Authority::load(&read(&certificate)?, &Secret::new(read(&key)?))
                .with_context(|| format!("loading {} and {}", certificate.display(), key.display()))?
        } else {
            let authority = Authority::create("pierhead", clock.now())?;
            // The key is last: without it the next start makes both again.
            write(&certificate, authority.certificate().as_bytes(), 0o644)?;
            write(&key, authority.key().expose().as_bytes(), 0o600)?;
            authority
        };
        let service_accounts = signing_keys::open(folder)?;
        Ok(Self { authority, service_accounts })
    }

    /// The authority's certificate as PEM: what clients are told to trust.
    pub(crate) fn authority(&self) -> &str {
        self.authority.certificate()
    }

    /// A certificate for a listener that is reached by these names and addresses.
    pub(crate) fn listener(&self, names: Vec<String>, clock: &dyn Clock) -> Result<Arc<CertifiedKey>> {
        let common_name = names.first().cloned().context("a listener has a name")?;
        let leaf = Leaf {
            common_name,
            organizations: Vec::new(),
            names,
            purpose: Purpose::Server,
            valid_for: LISTENER_VALID_FOR,
        };
        let pair = self.authority.issue(&leaf, clock.now())?;
        Ok(tls::certified_key(pair.certificate.as_bytes(), pair.key.expose().as_bytes())?)
    }

    /// A certificate that says `system:admin`, of the group that may do everything.
    pub(crate) fn administrator(&self, clock: &dyn Clock) -> Result<PemPair> {
        let leaf = Leaf {
            common_name: "system:admin".to_owned(),
            organizations: vec!["system:cluster-admins".to_owned(), "system:masters".to_owned()],
            names: Vec::new(),
            purpose: Purpose::Client,
            valid_for: ADMINISTRATOR_VALID_FOR,
        };
        Ok(self.authority.issue(&leaf, clock.now())?)
    }
}

/// Makes a folder that only we may look into, and the folders above it, so that they outlive a power cut.
pub(crate) fn private_folder(folder: &Path) -> Result<()> {
    let absolute = std::path::absolute(folder).with_context(|| format!("finding {}", folder.display()))?;
    let missing: Vec<&Path> = absolute.ancestors().take_while(|folder| !folder.exists()).collect();
    let make = || -> std::io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&absolute)?;
        missing
            .iter()
            .filter_map(|made| made.parent())
            .try_for_each(|above| fs::File::open(above)?.sync_all())
    };
    make().with_context(|| format!("making the folder {}", folder.display()))
}

/// Writes a file as a whole or not at all, synced, with these permissions.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let written = || -> std::io::Result<()> {
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(mode).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        match path.parent() {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    written().with_context(|| format!("writing {}", path.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::Pki;
    use pierhead_runtime::SystemClock;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_made_once_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = Pki::open(&folder.path().join("pki"), &SystemClock).unwrap();
        let again = Pki::open(&folder.path().join("pki"), &SystemClock).unwrap();
        assert_eq!(first.authority(), again.authority());
        assert_eq!(first.service_accounts.key_id(), again.service_accounts.key_id());
        for key in ["ca.key", "service-account.key"] {
            let mode = folder.path().join("pki").join(key).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }
}
