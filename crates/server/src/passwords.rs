//! The htpasswd file, read at start and again whenever it changes.

use crate::config::Config;
use anyhow::{Context, Result};
use pierhead_auth::password::{Htpasswd, IdentityProvider, ProviderKind};
use pierhead_runtime::{CancellationToken, Tasks};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::{info, warn};

/// How often the file's time is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The identity providers that the configuration names; follows the htpasswd file until `tasks` stops.
pub(crate) fn providers(config: &Config, tasks: &Tasks) -> Result<Vec<IdentityProvider>> {
    let mut providers = Vec::new();
    if let Some(path) = &config.htpasswd {
        let content = read(path)?;
        let htpasswd = Htpasswd::parse(&content);
        if htpasswd.is_empty() {
            warn!(file = %path.display(), "{} names no user: nobody can log in with a password", path.display());
        }
        let (file, followed) = (path.clone(), htpasswd.clone());
        tasks.spawn("htpasswd", |stop| follow(file, followed, content, stop));
        providers
            .push(IdentityProvider { name: "htpasswd".to_owned(), kind: ProviderKind::Htpasswd(htpasswd) });
    }
    if config.allow_any_password {
        warn!("any user may log in with any password (--allow-any-password)");
        providers.push(IdentityProvider { name: "anypassword".to_owned(), kind: ProviderKind::AllowAny });
    }
    Ok(providers)
}

/// A file that cannot be read, perhaps because it is being replaced, leaves what was read before.
async fn follow(path: PathBuf, htpasswd: Htpasswd, mut known: String, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        match read(&path) {
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
