//! The section `[encryption]` of the configuration file: which keys seal secrets in the database. Only the file has it.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;

/// `[encryption]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct EncryptionSection {
    key_files: Option<Vec<PathBuf>>,
}

impl EncryptionSection {
    /// The files of keys, the one that seals first; none for the one in the server's own folder.
    pub(super) fn checked(self) -> Result<Vec<PathBuf>, ConfigError> {
        let Some(files) = self.key_files else { return Ok(Vec::new()) };
        let wrong = |why: String| ConfigError::Value { key: "encryption.key-files", why };
        if files.is_empty() {
            return Err(wrong(
                "at least one file is needed; leave the key out for the server's own".to_owned(),
            ));
        }
        match files.iter().find(|file| !file.is_file()) {
            Some(missing) => Err(wrong(format!("there is no file {}", missing.display()))),
            None => Ok(files),
        }
    }
}
