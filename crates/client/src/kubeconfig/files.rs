//! The files behind the merged view.
//!
//! Owns that nobody's change is lost: a file is locked, read again and replaced as a whole.
//! For every name the first file that has it counts. A change goes to the file that the entry came from, a new
//! entry to the first file that exists (or the last one named, or `~/.kube/config`).

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use super::model::Config;
use crate::yaml;

/// How often, and how long apart, a file is tried that somebody else is writing: two seconds in all.
const LOCK_TRIES: u32 = 100;
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// Where kubeconfig files may be; values, so that tests and servers can set them.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--kubeconfig`: this file and no other.
    pub explicit: Option<PathBuf>,
    /// `$KUBECONFIG`: a list of files separated by `:`.
    pub variable: Option<OsString>,
    /// The home directory, for `~/.kube/config`.
    pub home: Option<PathBuf>,
}

/// Why a kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else is changing a file, or was stopped while doing so.
    #[error("{lock} exists, so another program is changing the kubeconfig; remove it if none is", lock = lock.display())]
    Locked {
        /// The file that says so.
        lock: PathBuf,
    },
    /// A file is not YAML.
    #[error("error loading config file {path:?}: {source}", path = path.display().to_string())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Why.
        source: yaml::YamlError,
    },
    /// A file is not a kubeconfig.
    #[error("error loading config file {path:?}: {source}", path = path.display().to_string())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// `--kubeconfig`, `$KUBECONFIG` and the home directory are all missing.
    #[error(
        "there is no place for a kubeconfig: neither --kubeconfig, $KUBECONFIG nor a home directory is set"
    )]
    NoPlace,
    /// A context is named that does not exist.
    #[error("context {name:?} does not exist")]
    NoContext {
        /// The name.
        name: String,
    },
    /// A cluster is named that does not exist.
    #[error("cluster {name:?} does not exist")]
    NoCluster {
        /// The name.
        name: String,
    },
    /// A user is named that does not exist.
    #[error("auth info {name:?} does not exist")]
    NoUser {
        /// The name.
        name: String,
    },
    /// Base64 data of an entry cannot be decoded.
    #[error("{field} of {name:?} is not base64: {source}")]
    Base64 {
        /// The field.
        field: &'static str,
        /// The entry.
        name: String,
        /// Why.
        source: base64::DecodeError,
    },
    /// The user entry wants credentials from somewhere that this client does not know.
    #[error(
        "user {name:?} uses {mechanism:?}, which this client does not know; log in to get a token, or use an exec plugin"
    )]
    Unsupported {
        /// The entry.
        name: String,
        /// `auth-provider`.
        mechanism: &'static str,
    },
}

/// The merged view and the files it came from.
#[derive(Clone, Debug)]
pub struct Kubeconfig {
    /// The merged view; change it, then `save`.
    pub config: Config,
    original: Config,
    files: Vec<(PathBuf, Config)>,
    default_file: Option<PathBuf>,
}

impl Sources {
    fn paths(&self) -> Vec<PathBuf> {
        if let Some(explicit) = &self.explicit {
            return vec![explicit.clone()];
        }
        if let Some(variable) = self.variable.as_ref().filter(|variable| !variable.is_empty()) {
            return std::env::split_paths(variable).filter(|path| !path.as_os_str().is_empty()).collect();
        }
        self.home.iter().map(|home| home.join(".kube").join("config")).collect()
    }
}

impl Kubeconfig {
    /// Reads and merges the files; those that do not exist count as empty.
    pub fn load(sources: &Sources) -> Result<Self, KubeconfigError> {
        let paths = sources.paths();
        let existing = paths.iter().find(|path| path.exists());
        let default_file = existing.or(paths.last()).cloned();
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let config = read(&path)?;
            files.push((path, config));
        }
        let mut merged = Config::default();
        for (path, file) in &files {
            merge(&mut merged, file, path);
        }
        Ok(Self { original: merged.clone(), config: merged, files, default_file })
    }

    /// The file that new entries go to.
    #[must_use]
    pub fn default_file(&self) -> Option<&Path> {
        self.default_file.as_deref()
    }

    /// Whether no file had anything.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.original == Config::default()
    }

    /// Writes what changed since `load` or the last `save`, each to its file, into what the files say by now: what
    /// others wrote in the meantime stays. Waits for a moment where somebody else is writing.
    ///
    /// # Errors
    /// When a file cannot be read, locked or written.
    pub fn save(&mut self) -> Result<(), KubeconfigError> {
        if self.config == self.original {
            return Ok(());
        }
        let mut locks = BTreeMap::new();
        loop {
            let before = self.read_again()?;
            let after = self.changed(before.clone())?;
            let changes = || after.iter().zip(&before).filter(|(after, before)| after != before);
            // What a file says holds only if it was read after it was locked.
            let open = changes().map(|((path, _), _)| path).find(|path| !locks.contains_key(*path));
            if let Some(path) = open {
                locks.insert(path.clone(), FileLock::take(path)?);
                continue;
            }
            for ((path, file), _) in changes() {
                write(path, file)?;
            }
            self.files = after;
            self.original = self.config.clone();
            return Ok(());
        }
    }

    fn read_again(&self) -> Result<Vec<(PathBuf, Config)>, KubeconfigError> {
        self.files.iter().map(|(path, _)| Ok((path.clone(), read(path)?))).collect()
    }

    /// The files with what changed in the merged view.
    fn changed(&self, mut files: Vec<(PathBuf, Config)>) -> Result<Vec<(PathBuf, Config)>, KubeconfigError> {
        let Self { config, original, default_file, .. } = self;
        let default_file = default_file.as_ref().ok_or(KubeconfigError::NoPlace)?;
        let home = files.iter().position(|(path, _)| path == default_file).unwrap_or(0);
        spread(&config.clusters, &original.clusters, &mut files, home, |file| &mut file.clusters);
        spread(&config.users, &original.users, &mut files, home, |file| &mut file.users);
        spread(&config.contexts, &original.contexts, &mut files, home, |file| &mut file.contexts);
        if config.current_context != original.current_context {
            if config.current_context.is_empty() {
                for (_, file) in &mut files {
                    file.current_context.clear();
                }
            } else {
                files[home].1.current_context.clone_from(&config.current_context);
                // An earlier file would hide the new value.
                for (_, file) in files.iter_mut().take(home) {
                    file.current_context.clear();
                }
            }
        }
        Ok(files)
    }
}

fn spread<T: Clone + PartialEq>(
    now: &BTreeMap<String, T>,
    before: &BTreeMap<String, T>,
    files: &mut [(PathBuf, Config)],
    home: usize,
    section: impl Fn(&mut Config) -> &mut BTreeMap<String, T>,
) {
    for (name, entry) in now {
        if before.get(name) == Some(entry) {
            continue;
        }
        let origin = files.iter_mut().position(|(_, file)| section(file).contains_key(name)).unwrap_or(home);
        section(&mut files[origin].1).insert(name.clone(), entry.clone());
    }
    for name in before.keys().filter(|name| !now.contains_key(*name)) {
        for (_, file) in files.iter_mut() {
            section(file).remove(name);
        }
    }
}

fn read(path: &Path) -> Result<Config, KubeconfigError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Config::default()),
        Err(source) => return Err(KubeconfigError::Io { path: path.to_owned(), source }),
    };
    let documents = yaml::parse_documents(&text)
        .map_err(|source| KubeconfigError::Yaml { path: path.to_owned(), source })?;
    match documents.into_iter().next() {
        None => Ok(Config::default()),
        Some(document) => Config::from_value(document)
            .map_err(|source| KubeconfigError::Shape { path: path.to_owned(), source }),
    }
}

/// Adds what `file` has and `merged` lacks; file names within it are made absolute.
fn merge(merged: &mut Config, file: &Config, path: &Path) {
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let absolute = |name: &mut Option<String>| {
        if let Some(name) = name
            && !name.is_empty()
            && Path::new(name.as_str()).is_relative()
        {
            *name = folder.join(name.as_str()).display().to_string();
        }
    };
    for (name, cluster) in &file.clusters {
        merged.clusters.entry(name.clone()).or_insert_with(|| {
            let mut cluster = cluster.clone();
            absolute(&mut cluster.certificate_authority);
            cluster
        });
    }
    for (name, user) in &file.users {
        merged.users.entry(name.clone()).or_insert_with(|| {
            let mut user = user.clone();
            absolute(&mut user.client_certificate);
            absolute(&mut user.client_key);
            absolute(&mut user.token_file);
            let command = user.extra.get_mut("exec").and_then(|exec| exec.get_mut("command"));
            if let Some(serde_json::Value::String(command)) = command {
                // A bare name is looked for on the path.
                if command.contains('/') && Path::new(command.as_str()).is_relative() {
                    *command = folder.join(command.as_str()).display().to_string();
                }
            }
            user
        });
    }
    for (name, context) in &file.contexts {
        merged.contexts.entry(name.clone()).or_insert_with(|| context.clone());
    }
    if merged.current_context.is_empty() {
        merged.current_context.clone_from(&file.current_context);
    }
    for (key, value) in &file.extra {
        if !merged.extra.contains_key(key) {
            merged.extra.insert(key.clone(), value.clone());
        }
    }
}

/// `<file>.lock`, by which kubectl, too, keeps others from writing at the same time.
struct FileLock(PathBuf);

impl FileLock {
    fn take(path: &Path) -> Result<Self, KubeconfigError> {
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let failed = |source| KubeconfigError::Io { path: lock.clone(), source };
        create_folder(path).map_err(failed)?;
        for _ in 0..LOCK_TRIES {
            match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&lock) {
                Ok(_) => return Ok(Self(lock)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    std::thread::sleep(LOCK_WAIT);
                }
                Err(source) => return Err(failed(source)),
            }
        }
        Err(KubeconfigError::Locked { lock })
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "A lock of a kubeconfig cannot be removed");
        }
    }
}

/// The folder of a file, made if it is missing.
fn create_folder(path: &Path) -> io::Result<&Path> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(folder)
}

/// Replaces the file at once: a reader sees the old or the new one.
fn write(path: &Path, config: &Config) -> Result<(), KubeconfigError> {
    let attempt = || -> io::Result<()> {
        // Following a link keeps the link: people keep their config in a repository of dot files.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = create_folder(&path)?;
        let mut file = tempfile::Builder::new()
            .prefix(".config-")
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        file.write_all(yaml::to_string(&config.to_value()).as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    attempt().map_err(|source| KubeconfigError::Io { path: path.to_owned(), source })
}
