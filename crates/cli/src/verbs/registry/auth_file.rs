//! The file in which docker, podman and skopeo look for credentials.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{environment::Environment, object};

/// `$REGISTRY_AUTH_FILE`, or docker's file, in which podman and skopeo look as well; podman's own of the session, in
/// which docker does not, for those who prefer it (`$REGISTRY_AUTH_PREFERENCE`).
pub(super) fn default_path(environment: &Environment) -> anyhow::Result<PathBuf> {
    if let Some(path) = environment.var("REGISTRY_AUTH_FILE") {
        return Ok(environment.cwd.join(path));
    }
    let prefers_podman = environment.var("REGISTRY_AUTH_PREFERENCE") == Some("podman");
    if let Some(folder) = environment.var("XDG_RUNTIME_DIR").filter(|_| prefers_podman) {
        return Ok(environment.cwd.join(folder).join("containers").join("auth.json"));
    }
    if let Some(folder) = environment.var("DOCKER_CONFIG") {
        return Ok(environment.cwd.join(folder).join("config.json"));
    }
    let home = environment.home.as_ref().context("no home directory is set: pass --to")?;
    Ok(home.join(".docker").join("config.json"))
}

/// Adds the credentials of a host; what else is in the file stays.
pub(super) fn save(path: &Path, host: &str, user: &str, password: &str) -> anyhow::Result<()> {
    let mut content: Value = match fs::read(path) {
        Ok(bytes) if !bytes.is_empty() => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", path.display()))?
        }
        Ok(_) => json!({}),
        Err(error) if error.kind() == io::ErrorKind::NotFound => json!({}),
        Err(error) => return Err(error).with_context(|| format!("unable to read {}", path.display())),
    };
    let entry = json!({"auth": STANDARD.encode(format!("{user}:{password}"))});
    object::object_mut(&mut content, "auths").insert(host.to_owned(), entry);
    let write = || -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(".auth-")
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        file.write_all(serde_json::to_string_pretty(&content)?.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("unable to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::save;

    #[test]
    fn other_credentials_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x/config.json");
        save(&path, "a:5000", "user", "t").unwrap();
        save(&path, "b", "user", "u").unwrap();
        let content: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(content["auths"]["a:5000"]["auth"], "dXNlcjp0");
        assert_eq!(content["auths"]["b"]["auth"], "dXNlcjp1");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
