//! The section `[audit]` of the configuration file: where requests that write, and refusals, are recorded. Only the file
//! has it.

use std::path::{Path, PathBuf};

use pierhead_runtime::audit::AuditFile;
use serde::Deserialize;

use super::ConfigError;

/// A file of a busy week; clients of one are few enough to read it.
const MAX_MIB: u64 = 100;
const KEEP: usize = 5;
const MAX_KEEP: usize = 1000;

/// `[audit]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct AuditSection {
    enabled: Option<bool>,
    file: Option<PathBuf>,
    max_size_mib: Option<u64>,
    keep: Option<usize>,
}

impl AuditSection {
    /// None where nothing is recorded; the file is in the folder `data` where nothing else is said.
    pub(super) fn checked(self, data: &Path) -> Result<Option<AuditFile>, ConfigError> {
        let Self { enabled, file, max_size_mib, keep } = self;
        let path = file.unwrap_or_else(|| data.join("audit/audit.log"));
        if path.file_name().is_none() {
            let why = format!("`{}` is no file", path.display());
            return Err(ConfigError::Value { key: "audit.file", why });
        }
        let mib = max_size_mib.unwrap_or(MAX_MIB);
        let Some(max_bytes) = mib.checked_mul(1 << 20).filter(|bytes| *bytes > 0) else {
            let why = format!("`{mib}` is no size of a file in MiB");
            return Err(ConfigError::Value { key: "audit.max-size-mib", why });
        };
        let keep = keep.unwrap_or(KEEP);
        if keep > MAX_KEEP {
            let why = format!("`{keep}` is more than {MAX_KEEP} older files");
            return Err(ConfigError::Value { key: "audit.keep", why });
        }
        Ok(enabled.unwrap_or(true).then_some(AuditFile { path, max_bytes, keep }))
    }
}
