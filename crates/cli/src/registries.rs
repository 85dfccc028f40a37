//! Registries as the image verbs meet them: flags, credentials, and repositories elsewhere or in a folder.
//!
//! Owns what all of those verbs have in common. What is asked of a repository is theirs.

pub(crate) mod auth_files;
mod credential_program;
mod folder;
pub(crate) mod platform;
pub(crate) mod repository;
pub(crate) mod size;
pub(crate) mod source;

use std::{cell::RefCell, collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use pierhead_client::{
    distribution::{RemoteName, RemoteRepository},
    egress::{AddressPolicy, Authorities, Egress, EgressConfig},
    keyring::Keyring,
};

use crate::session::Session;
use auth_files::AuthFiles;
use folder::Folder;
use repository::Repository;
use source::Place;

/// How to reach registries.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RegistryOptions {
    /// File with the credentials of registries, instead of those of podman and docker
    #[arg(short = 'a', long, visible_alias = "authfile", value_name = "FILE")]
    pub(crate) registry_config: Option<PathBuf>,
    /// Allow plain HTTP and unverified certificates
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub(crate) insecure: bool,
    /// Accepted for old scripts: content is always verified
    #[arg(long, hide = true)]
    pub(crate) skip_verification: bool,
}

/// Everything that leads to a repository.
pub(crate) struct Registries {
    egress: Egress,
    auth: AuthFiles,
    insecure: bool,
    /// Where `file://` repositories are.
    pub(crate) folder: PathBuf,
    keyrings: RefCell<BTreeMap<String, Keyring>>,
}

impl Registries {
    /// Reads the files with credentials; asks nobody yet. `folder` is that of `file://` images.
    pub(crate) fn open(
        options: &RegistryOptions,
        folder: Option<&PathBuf>,
        session: &mut Session,
    ) -> anyhow::Result<Self> {
        let auth = AuthFiles::read(options.registry_config.as_ref(), &session.environment)?;
        let mut authorities = Authorities::system();
        if let Some(path) = &session.globals.certificate_authority {
            let path = session.environment.cwd.join(path);
            let pem = std::fs::read(&path).with_context(|| format!("unable to read {}", path.display()))?;
            authorities = authorities.with_extra(&pem)?;
        }
        let mut config = EgressConfig::new(with_host_folders(authorities, session)?);
        // Whoever sits here may connect to whatever their machine may.
        let everywhere = ["0.0.0.0/0", "::/0"].iter().map(|network| network.parse());
        config.addresses = AddressPolicy { allow: everywhere.collect::<Result<_, _>>()?, deny: Vec::new() };
        config.proxies = session.environment.proxies();
        // Each verb counts its own requests; a copy within a registry takes two turns at once.
        (config.blobs_per_host, config.small_per_host) = (256, 256);
        let folder = folder.map_or_else(|| session.environment.cwd.clone(), |folder| session.path(folder));
        Ok(Self {
            egress: Egress::new(config),
            auth,
            insecure: options.insecure,
            folder,
            keyrings: RefCell::default(),
        })
    }

    /// The same registries, with another folder.
    pub(crate) fn in_folder(&self, folder: PathBuf) -> Self {
        Self {
            egress: self.egress.clone(),
            auth: self.auth.clone(),
            insecure: self.insecure,
            folder,
            keyrings: RefCell::default(),
        }
    }

    /// A repository to read.
    pub(crate) async fn reader(&self, place: &Place) -> anyhow::Result<Repository> {
        match place {
            Place::Folder { path } => Ok(Repository::Folder(Folder::new(&self.folder, path)?)),
            Place::Registry { host, path } => {
                let keyring = self.keyring(host).await?;
                let remote = RemoteRepository::new(&self.egress, self.name(host, path), keyring);
                Ok(Repository::Remote(remote))
            }
        }
    }

    /// A repository to write to; blobs of `sources`, others at the same place, may be mounted.
    pub(crate) async fn writer(&self, place: &Place, sources: &[String]) -> anyhow::Result<Repository> {
        match place {
            Place::Folder { path } => Ok(Repository::Folder(Folder::new(&self.folder, path)?)),
            Place::Registry { host, path } => {
                let keyring = self.keyring(host).await?;
                let remote = RemoteRepository::to_push(&self.egress, self.name(host, path), keyring, sources);
                Ok(Repository::Remote(remote))
            }
        }
    }

    fn name(&self, host: &str, path: &str) -> RemoteName {
        RemoteName { host: host.to_owned(), repository: path.to_owned(), insecure: self.insecure }
    }

    /// The credentials for a host; helpers are asked once.
    async fn keyring(&self, host: &str) -> anyhow::Result<Keyring> {
        if let Some(known) = self.keyrings.borrow().get(host) {
            return Ok(known.clone());
        }
        let keyring = self.auth.keyring(host).await?;
        self.keyrings.borrow_mut().insert(host.to_owned(), keyring.clone());
        Ok(keyring)
    }
}

/// Adds the authorities that docker and podman are told of in a folder for each host.
fn with_host_folders(mut authorities: Authorities, session: &Session) -> anyhow::Result<Authorities> {
    let mut folders = vec![PathBuf::from("/etc/docker/certs.d"), PathBuf::from("/etc/containers/certs.d")];
    folders.extend(session.environment.home.iter().map(|home| home.join(".config/containers/certs.d")));
    for folder in folders {
        let Ok(hosts) = std::fs::read_dir(&folder) else { continue };
        for host in hosts.flatten() {
            let Some(name) = host.file_name().to_str().map(str::to_owned) else { continue };
            let Ok(files) = std::fs::read_dir(host.path()) else { continue };
            for file in files.flatten().map(|file| file.path()) {
                if file.extension().is_none_or(|extension| extension != "crt") {
                    continue;
                }
                let Ok(pem) = std::fs::read(&file) else { continue };
                match authorities.clone().with_host(&name, &pem) {
                    Ok(more) => authorities = more,
                    Err(error) => bail!("{}: {error}", file.display()),
                }
            }
        }
    }
    Ok(authorities)
}
