//! The files in which docker and podman keep credentials of registries: where they are, what they say, and changing them.
//!
//! Owns their order. What an entry means is `client::keyring`'s; credential helpers are `credential_program`'s.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use pierhead_client::keyring::Keyring;
use serde_json::{Map, Value, json};

use super::credential_program::{self, HelperAnswer};
use crate::{environment::Environment, object};

/// Docker's name for its own registry.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// The files that were found, in the order in which they count.
#[derive(Clone, Debug)]
pub(crate) struct AuthFiles {
    files: Vec<AuthFile>,
    /// Where helper programs are looked for.
    search: Option<std::ffi::OsString>,
}

#[derive(Clone, Debug)]
struct AuthFile {
    path: PathBuf,
    content: Value,
}

impl AuthFiles {
    /// Reads the file that the user names, or those that there are. A file that is named must be there.
    pub(crate) fn read(named: Option<&PathBuf>, environment: &Environment) -> anyhow::Result<Self> {
        let search = environment.search().map(std::ffi::OsStr::to_owned);
        if let Some(path) = named {
            let path = environment.cwd.join(path);
            let content = read_document(&path)?
                .with_context(|| format!("the file {} with credentials does not exist", path.display()))?;
            return Ok(Self { files: vec![AuthFile { path, content }], search });
        }
        let mut files = Vec::new();
        for path in places(environment) {
            if let Some(content) = read_document(&path)? {
                files.push(AuthFile { path, content });
            }
        }
        Ok(Self { files, search })
    }

    /// The credentials for a host: those of the first file that has some.
    pub(crate) async fn keyring(&self, host: &str) -> anyhow::Result<Keyring> {
        for file in &self.files {
            let keyring = file.keyring(host, self.search.as_deref()).await?;
            if !keyring.is_empty() {
                return Ok(keyring);
            }
        }
        Ok(Keyring::empty())
    }
}

impl AuthFile {
    async fn keyring(&self, host: &str, search: Option<&std::ffi::OsStr>) -> anyhow::Result<Keyring> {
        let source = self.path.display().to_string();
        if let Some((program, key)) = helper_for(&self.content, host) {
            match credential_program::get(&program, &key, search).await? {
                HelperAnswer::Credential { username, password } => {
                    return Ok(credential_program::keyring(host, username, password, &program));
                }
                HelperAnswer::None => {}
            }
        }
        let keyring = Keyring::from_docker_config(self.content.to_string().as_bytes(), &source)
            .map_err(|problem| anyhow::anyhow!("{}: {}", problem.secret, problem.message))?;
        // Of another host's entries only those with a path or pattern could matter; what does not fit is no credential.
        let fits = entries(&self.content).into_iter().any(|key| may_fit(key, host));
        Ok(if fits { keyring } else { Keyring::empty() })
    }
}

/// Whether a key of a file could be for a host: one with patterns always could.
fn may_fit(key: &str, host: &str) -> bool {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let name = bare.split('/').next().unwrap_or_default();
    name.contains(['*', '?']) || name.eq_ignore_ascii_case(host) || (is_hub(name) && is_hub(host))
}

fn is_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

fn entries(content: &Value) -> Vec<&str> {
    let auths = content.get("auths").unwrap_or(content);
    // Where a helper keeps them, docker leaves an entry with nothing in it.
    let holds =
        |entry: &Value| ["auth", "username"].iter().any(|field| !object::text(entry, field).is_empty());
    let held = auths.as_object().into_iter().flatten().filter(|(_, entry)| holds(entry));
    held.map(|(key, _)| key.as_str()).collect()
}

/// The program that keeps the credentials of a host, and the name it knows the host by.
fn helper_for(content: &Value, host: &str) -> Option<(String, String)> {
    let of_host = content.get("credHelpers").and_then(Value::as_object).and_then(|helpers| {
        let names: &[&str] =
            if is_hub(host) { &["docker.io", "index.docker.io", DOCKER_HUB_KEY] } else { &[host] };
        names.iter().find_map(|name| helpers.get(*name)?.as_str())
    });
    let store = || content.get("credsStore").and_then(Value::as_str);
    let program = of_host.or_else(store).filter(|program| !program.is_empty())?;
    Some((program.to_owned(), key_of(host).to_owned()))
}

/// What docker calls a host, in files and to helpers.
fn key_of(host: &str) -> &str {
    if is_hub(host) { DOCKER_HUB_KEY } else { host }
}

/// Where credentials are looked for, first to last.
fn places(environment: &Environment) -> Vec<PathBuf> {
    let folder = |name: &str| environment.var(name).map(|folder| environment.cwd.join(folder));
    if let Some(file) = folder("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let home = environment.home.as_ref();
    let configuration = folder("XDG_CONFIG_HOME").or_else(|| home.map(|home| home.join(".config")));
    let docker = folder("DOCKER_CONFIG").or_else(|| home.map(|home| home.join(".docker")));
    let podman = [
        folder("XDG_RUNTIME_DIR").map(|folder| folder.join("containers").join("auth.json")),
        configuration.map(|folder| folder.join("containers").join("auth.json")),
    ];
    let docker = [docker.map(|folder| folder.join("config.json")), home.map(|home| home.join(".dockercfg"))];
    if environment.var("REGISTRY_AUTH_PREFERENCE") == Some("podman") {
        podman.into_iter().chain(docker).flatten().collect()
    } else {
        docker.into_iter().chain(podman).flatten().collect()
    }
}

/// Where new credentials go: `$REGISTRY_AUTH_FILE`, or docker's file, in which podman and skopeo look as well; podman's
/// own of the session, in which docker does not, for those who prefer it (`$REGISTRY_AUTH_PREFERENCE`).
pub(crate) fn default_path(environment: &Environment) -> anyhow::Result<PathBuf> {
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

/// What a file says; none if it is not there. An empty file says nothing.
fn read_document(path: &Path) -> anyhow::Result<Option<Value>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("unable to read {}", path.display())),
    };
    if bytes.trim_ascii().is_empty() {
        return Ok(Some(json!({})));
    }
    // Without the parser's own words: they quote what may be a password.
    let Ok(Value::Object(content)) = serde_json::from_slice(&bytes) else {
        bail!("{} is not a file of credentials: it is no JSON object", path.display());
    };
    Ok(Some(Value::Object(content)))
}

/// The credentials of some hosts, as they are to be saved: `user` and `password`.
pub(crate) type NewCredentials = BTreeMap<String, (String, String)>;

/// The document with those credentials, for whoever wants to see it instead of a file.
pub(crate) fn document(credentials: &NewCredentials) -> Value {
    let mut content = json!({"auths": {}});
    for (host, credential) in credentials {
        add(&mut content, host, credential);
    }
    content
}

fn add(content: &mut Value, host: &str, (user, password): &(String, String)) {
    let entry = json!({"auth": STANDARD.encode(format!("{user}:{password}"))});
    let entries = match content {
        Value::Object(entries) if is_old_form(entries) => entries,
        content => object::object_mut(content, "auths"),
    };
    entries.insert(key_of(host).to_owned(), entry);
}

/// Whether a file holds nothing but entries, as `~/.dockercfg` does: with `auths` beside them nobody would see them.
fn is_old_form(content: &Map<String, Value>) -> bool {
    !content.is_empty() && content.values().all(|entry| entry.get("auth").is_some_and(Value::is_string))
}

/// Adds credentials to a file; what else is in it stays. Where the file says that a program keeps the credentials of a
/// host, that program is given them.
pub(crate) async fn save(
    path: &Path,
    credentials: &NewCredentials,
    environment: &Environment,
) -> anyhow::Result<()> {
    let mut content = read_document(path)?.unwrap_or_else(|| json!({}));
    for (host, credential) in credentials {
        let Some((program, key)) = helper_for(&content, host) else {
            add(&mut content, host, credential);
            continue;
        };
        let (user, password) = credential;
        credential_program::store(&program, &key, (user, password), environment.search()).await?;
        // Docker notes that there is something, and nothing of it.
        object::object_mut(&mut content, "auths").insert(key, json!({}));
    }
    let write = || -> io::Result<()> {
        // Following a link keeps the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(".auth-")
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        file.write_all(serde_json::to_string_pretty(&content)?.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    write().with_context(|| format!("unable to write {}", path.display()))
}
