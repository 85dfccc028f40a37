//! The keys with which secrets are sealed in the database, as files: the first seals, all unseal.
//!
//! Without files named in the configuration there is one, `keys/seal.key` in the server's folder, made at the first
//! start. A file that is gone is never made anew where something may be sealed: that would be lost without a word.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use pierhead_store::{SealKey, Sealing};

use crate::config::Config;
use crate::pki;

/// Reads the keys, or makes the first one.
pub(crate) fn open(config: &Config) -> Result<Sealing> {
    let Some((first, others)) = config.seal_keys.split_first() else {
        return Ok(Sealing::new(own(&config.data)?, Vec::new()));
    };
    let others = others.iter().map(|file| read(file)).collect::<Result<_>>()?;
    Ok(Sealing::new(read(first)?, others))
}

/// The key of the server's own folder.
fn own(data: &Path) -> Result<SealKey> {
    let folder = data.join("keys");
    let file = folder.join("seal.key");
    if file.exists() {
        return read(&file);
    }
    // A first start that ended in between has left an empty folder, and nothing that is sealed.
    if folder.exists() && data.join("metadata").exists() {
        bail!(
            "{} is gone, without which secrets cannot be read; put it back, or name the file that has the key \
             in encryption.key-files",
            file.display()
        );
    }
    let key = SealKey::generate()?;
    pki::private_folder(&folder)?;
    pki::write(&file, key.to_text().expose().as_bytes(), 0o600)?;
    Ok(key)
}

fn read(file: &Path) -> Result<SealKey> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    SealKey::parse(&text).with_context(|| format!("the key in {} cannot be used", file.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::own;

    #[test]
    fn a_key_is_made_once() {
        let data = tempfile::tempdir().unwrap();
        let first = own(data.path()).unwrap().name();
        let file = data.path().join("keys/seal.key");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(own(data.path()).unwrap().name(), first);
        std::fs::write(&file, "short").unwrap();
        let refused = own(data.path()).unwrap_err();
        assert!(
            format!("{refused:#}").ends_with("cannot be used: it is not the base64 of 32 bytes on one line")
        );
        std::fs::remove_file(&file).unwrap();
        assert_ne!(own(data.path()).unwrap().name(), first, "nothing is sealed yet");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(data.path().join("metadata")).unwrap();
        assert!(own(data.path()).unwrap_err().to_string().contains("is gone"));
    }
}
