//! The files that a running server leaves for people and scripts: `admin.kubeconfig` and `addresses.json`.
//!
//! What the server itself keeps is in the store, the blobs and `pki`.

use crate::pki;
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pierhead_client::kubeconfig::{Cluster, Config, Context, User, cluster_name, context_name, user_name};
use pierhead_runtime::tls::PemPair;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::Path;
use tracing::warn;

/// The addresses that were in fact bound.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Addresses {
    pub(crate) api: SocketAddr,
    pub(crate) registry: SocketAddr,
    pub(crate) router_http: SocketAddr,
    pub(crate) router_https: SocketAddr,
    pub(crate) metrics: SocketAddr,
}

impl Addresses {
    /// Writes them for whoever started us with port 0: whole, but not for the next power cut, after which they are not true.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let new = file.with_extension("new");
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, file));
        written.with_context(|| format!("writing {}", file.display()))
    }
}

/// Removes what an earlier start wrote, or this one: it says where a server is that runs no longer.
pub(crate) fn forget_addresses(file: &Path) {
    if let Err(error) = std::fs::remove_file(file)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        warn!(%error, "{} could not be removed; what it says is not true", file.display());
    }
}

/// Writes the administrator's kubeconfig: `system:admin` by certificate, in project `default`.
pub(crate) fn write_admin_kubeconfig(
    file: &Path,
    server: &str,
    authority: &str,
    admin: &PemPair,
) -> Result<()> {
    let encoded = |text: &str| Some(BASE64_STANDARD.encode(text));
    let mut config = Config::default();
    let cluster = cluster_name(server);
    let user = user_name("system:admin", &cluster);
    let context = context_name("default", &cluster, "system:admin");
    config.clusters.insert(
        cluster.clone(),
        Cluster {
            server: server.to_owned(),
            certificate_authority_data: encoded(authority),
            ..Cluster::default()
        },
    );
    config.users.insert(
        user.clone(),
        User {
            client_certificate_data: encoded(&admin.certificate),
            client_key_data: encoded(admin.key.expose()),
            ..User::default()
        },
    );
    let namespace = Some("default".to_owned());
    config.contexts.insert(context.clone(), Context { cluster, user, namespace, ..Context::default() });
    config.current_context = context;
    let mut text = serde_json::to_string_pretty(&config.to_value())?;
    text.push('\n');
    pki::write(file, text.as_bytes(), 0o600)
}
