//! The identity providers that the configuration names. Their htpasswd files are read again whenever they change.

use crate::config::{Config, KindSettings, LdapSettings, ProviderSettings};
use anyhow::{Context, Result};
use pierhead_auth::ldap::{self, Ldap};
use pierhead_auth::password::{Htpasswd, IdentityProvider, ProviderKind};
use pierhead_runtime::{CancellationToken, Tasks};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// How often the file is read.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The identity providers that the configuration names; follows the htpasswd file until `tasks` stops.
pub(crate) fn providers(config: &Config, tasks: &Tasks) -> Result<Vec<IdentityProvider>> {
    let mut providers = Vec::new();
    if let Some(path) = &config.htpasswd {
        providers.push(IdentityProvider::new("htpasswd", ProviderKind::Htpasswd(users(path, tasks)?)));
    }
    if config.allow_any_password {
        warn!("any user may log in with any password (--allow-any-password)");
        providers.push(IdentityProvider::new("anypassword", ProviderKind::AllowAny));
    }
    for ProviderSettings { name, challenge, login, mapping, kind } in &config.identity_providers {
        let kind = match kind {
            KindSettings::AllowAll => {
                warn!("any user may log in with any password (identity provider {name})");
                ProviderKind::AllowAny
            }
            KindSettings::DenyAll => ProviderKind::DenyAll,
            KindSettings::Htpasswd(path) => ProviderKind::Htpasswd(users(path, tasks)?),
            KindSettings::BasicAuth(remote) => ProviderKind::BasicAuth(Arc::clone(remote)),
            KindSettings::OpenId(openid) => ProviderKind::OpenId(Arc::clone(openid)),
            KindSettings::Ldap(settings) => {
                if settings.insecure {
                    warn!("passwords go in the clear to {} (identity provider {name})", settings.url);
                }
                ProviderKind::Ldap(Arc::new(directory(config, settings)?))
            }
            KindSettings::RequestHeader(header, _) => ProviderKind::RequestHeader(Arc::clone(header)),
        };
        let (name, challenge, login, mapping) = (name.clone(), *challenge, *login, *mapping);
        providers.push(IdentityProvider { name, challenge, login, mapping, kind });
    }
    Ok(providers)
}

/// A directory, trusted by the authorities of all that is outside and by its own.
fn directory(config: &Config, settings: &LdapSettings) -> Result<Ldap> {
    let LdapSettings { url, searcher, insecure, authority, attributes } = settings.clone();
    let tls = if insecure {
        None
    } else {
        let mut authorities = config.outside.authorities()?;
        if let Some(authority) = authority {
            authorities = authorities.with_extra(authority.as_bytes())?;
        }
        Some(ldap::verifying(authorities.usual().clone())?)
    };
    Ok(Ldap { url, searcher, tls, attributes })
}

/// The users of a file, which is followed until `tasks` stops.
fn users(path: &Path, tasks: &Tasks) -> Result<Htpasswd> {
    let content = read(path)?;
    let htpasswd = Htpasswd::parse(&content);
    if htpasswd.is_empty() {
        warn!(file = %path.display(), "{} names no user: nobody can log in with a password", path.display());
    }
    let (file, followed) = (path.to_path_buf(), htpasswd.clone());
    tasks.spawn("htpasswd", |stop| follow(file, followed, content, stop));
    Ok(htpasswd)
}

/// A file that cannot be read, perhaps because it is being replaced, leaves what was read before. Programs also write it
/// in place: what was read counts once it was read twice.
async fn follow(path: PathBuf, htpasswd: Htpasswd, mut known: String, stop: CancellationToken) {
    let mut before = known.clone();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let file = path.clone();
        // A panic or a stop of the process: in neither case was anything read.
        let Ok(content) = tokio::task::spawn_blocking(move || read(&file)).await else { continue };
        match content {
            Ok(content) if content != before => before = content,
            Ok(content) if content != known => {
                htpasswd.replace(&content);
                known = content;
                info!(file = %path.display(), users = htpasswd.len(), "Read {} again", path.display());
            }
            Ok(_) => {}
            Err(error) => warn!("{error:#}; the users read before stay"),
        }
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{LOOK_EVERY, follow};
    use pierhead_auth::password::Htpasswd;
    use pierhead_runtime::Tasks;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_file_counts_once_it_stands_still() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users");
        let ann = "ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n";
        std::fs::write(&file, ann).unwrap();
        let users = Htpasswd::parse(ann);
        let tasks = Tasks::new();
        let (path, followed) = (file.clone(), users.clone());
        tasks.spawn("htpasswd", |stop| follow(path, followed, ann.to_owned(), stop));
        let mut seen = Vec::new();
        let both = format!("{ann}{}", ann.replace("ann", "bob"));
        for content in [ann, "", &both, &both, &both] {
            std::fs::write(&file, content).unwrap();
            tokio::time::sleep(LOOK_EVERY + Duration::from_millis(1)).await;
            seen.push(users.len());
        }
        assert_eq!(seen[..3], [1, 1, 1], "half a file locks nobody out");
        assert_eq!(seen[4], 2);
        tasks.shutdown(Duration::from_secs(1)).await.unwrap();
    }
}
