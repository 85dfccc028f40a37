//! From a kubeconfig and command-line overrides to a server to connect to.
//!
//! Also the names that `oc` gives to the entries it writes: cluster `host-with-dashes:port`, user
//! `name/cluster`, context `project/cluster/name`.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pierhead_runtime::Secret;

use super::{
    files::KubeconfigError,
    model::{Cluster, Config, Context, User},
};
use crate::{ConnectOptions, Credentials, Identity, Proxies, Trust};

/// What the command line says instead of the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--context`.
    pub context: Option<String>,
    /// `--cluster`.
    pub cluster: Option<String>,
    /// `--user`.
    pub user: Option<String>,
}

impl Config {
    /// The context that the overrides choose, or the current one; none if there is no current one.
    pub fn chosen_context(&self, overrides: &Overrides) -> Result<Option<(&str, &Context)>, KubeconfigError> {
        let name = match &overrides.context {
            Some(name) => name.as_str(),
            None if self.current_context.is_empty() => return Ok(None),
            None => self.current_context.as_str(),
        };
        match self.contexts.get_key_value(name) {
            Some((name, context)) => Ok(Some((name, context))),
            None => Err(KubeconfigError::NoContext { name: name.to_owned() }),
        }
    }

    /// The user that the overrides or the chosen context name.
    pub fn chosen_user(&self, overrides: &Overrides) -> Result<Option<(&str, &User)>, KubeconfigError> {
        let context = self.chosen_context(overrides)?.map(|(_, context)| context);
        let name = overrides.user.as_deref().or(context.map(|context| context.user.as_str()));
        Ok(name.and_then(|name| self.users.get_key_value(name)).map(|(name, user)| (name.as_str(), user)))
    }

    /// The cluster that the overrides or the chosen context name; none if they name none.
    pub fn chosen_cluster(&self, overrides: &Overrides) -> Result<Option<(&str, &Cluster)>, KubeconfigError> {
        let context = self.chosen_context(overrides)?.map(|(_, context)| context);
        let name = overrides.cluster.as_deref().or(context.map(|context| context.cluster.as_str()));
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
        match self.clusters.get_key_value(name) {
            Some((name, cluster)) => Ok(Some((name, cluster))),
            None => Err(KubeconfigError::NoCluster { name: name.to_owned() }),
        }
    }

    /// Server, TLS and credentials of the chosen context; none if the config chooses no cluster.
    pub fn connect_options(&self, overrides: &Overrides) -> Result<Option<ConnectOptions>, KubeconfigError> {
        let Some((cluster_name, cluster)) = self.chosen_cluster(overrides)? else { return Ok(None) };
        let context = self.chosen_context(overrides)?.map(|(_, context)| context);
        let user_name = overrides.user.as_deref().or(context.map(|context| context.user.as_str()));
        let mut options = ConnectOptions {
            server: cluster.server.clone(),
            trust: cluster.trust(cluster_name)?,
            proxies: cluster.proxies(),
            ..ConnectOptions::default()
        };
        if let Some(user_name) = user_name.filter(|name| !name.is_empty()) {
            let user = self
                .users
                .get(user_name)
                .ok_or_else(|| KubeconfigError::NoUser { name: user_name.to_owned() })?;
            options.trust.identity = user.identity(user_name)?;
            options.credentials = user.credentials(user_name)?;
        }
        Ok(Some(options))
    }
}

impl Cluster {
    /// The proxy of the cluster; none if it has none of its own.
    #[must_use]
    pub fn proxies(&self) -> Proxies {
        let url = self.proxy_url.as_deref().filter(|url| !url.is_empty());
        url.map(Proxies::always).unwrap_or_default()
    }

    /// The TLS settings of the cluster.
    pub fn trust(&self, name: &str) -> Result<Trust, KubeconfigError> {
        Ok(Trust {
            certificate_authority: data_or_file(
                self.certificate_authority_data.as_deref(),
                self.certificate_authority.as_deref(),
                "certificate-authority-data",
                name,
            )?,
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            tls_server_name: self.tls_server_name.clone(),
            identity: None,
        })
    }
}

impl User {
    /// The client certificate, if there is one.
    pub fn identity(&self, name: &str) -> Result<Option<Identity>, KubeconfigError> {
        let certificate = data_or_file(
            self.client_certificate_data.as_deref(),
            self.client_certificate.as_deref(),
            "client-certificate-data",
            name,
        )?;
        let key = data_or_file(
            self.client_key_data.as_deref(),
            self.client_key.as_deref(),
            "client-key-data",
            name,
        )?;
        Ok(certificate.zip(key).map(|(certificate, key)| Identity { certificate, key: Secret::new(key) }))
    }

    /// What goes into `Authorization`.
    pub fn credentials(&self, name: &str) -> Result<Credentials, KubeconfigError> {
        if let Some(token) = self.token.as_ref().filter(|token| !token.is_empty()) {
            return Ok(Credentials::Token(Secret::new(token.clone())));
        }
        if let Some(path) = self.token_file.as_ref().filter(|path| !path.is_empty()) {
            let token = fs::read_to_string(path)
                .map_err(|source| KubeconfigError::Io { path: path.into(), source })?;
            return Ok(Credentials::Token(Secret::new(token.trim().to_owned())));
        }
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            let password = Secret::new(password.clone());
            return Ok(Credentials::Basic { username: username.clone(), password });
        }
        if self.extra.contains_key("auth-provider") && self.exec().is_none() {
            return Err(KubeconfigError::Unsupported { name: name.to_owned(), mechanism: "auth-provider" });
        }
        Ok(Credentials::None)
    }

    /// The program that gives credentials, as the file describes it. Whoever may run programs asks it, if
    /// [`User::credentials`] and [`User::identity`] give nothing.
    #[must_use]
    pub fn exec(&self) -> Option<&serde_json::Value> {
        self.extra.get("exec").filter(|exec| exec.is_object())
    }
}

fn data_or_file(
    data: Option<&str>,
    file: Option<&str>,
    field: &'static str,
    name: &str,
) -> Result<Option<Vec<u8>>, KubeconfigError> {
    if let Some(data) = data.filter(|data| !data.is_empty()) {
        return match STANDARD.decode(data.trim()) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(source) => Err(KubeconfigError::Base64 { field, name: name.to_owned(), source }),
        };
    }
    match file.filter(|file| !file.is_empty()) {
        Some(path) => match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(source) => Err(KubeconfigError::Io { path: path.into(), source }),
        },
        None => Ok(None),
    }
}

/// The name that `oc` gives to a server: `https://master.example.com:8443` is `master-example-com:8443`.
#[must_use]
pub fn cluster_name(server: &str) -> String {
    let uri: Option<http::Uri> = server.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or(server);
    let is_plain = uri.as_ref().and_then(http::Uri::scheme_str) == Some("http");
    let port = uri.as_ref().and_then(http::Uri::port_u16).unwrap_or(if is_plain { 80 } else { 443 });
    format!("{}:{port}", host.trim_matches(['[', ']']).replace('.', "-"))
}

/// The name that `oc` gives to a user at a server.
#[must_use]
pub fn user_name(user: &str, cluster: &str) -> String {
    format!("{user}/{cluster}")
}

/// The name that `oc` gives to a project, server and user.
#[must_use]
pub fn context_name(project: &str, cluster: &str, user: &str) -> String {
    format!("{project}/{cluster}/{user}")
}

/// The project, cluster and user in a context's name, if `oc` gave it.
#[must_use]
pub fn split_context_name(name: &str) -> Option<(&str, &str, &str)> {
    let (project, rest) = name.split_once('/')?;
    let (cluster, user) = rest.split_once('/')?;
    Some((project, cluster, user))
}
