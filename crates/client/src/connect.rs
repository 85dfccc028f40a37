//! How to reach a server and who to be there.
//!
//! Values only; reading them from files and flags is the caller's and `kubeconfig`'s business.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Uri, header};
use pierhead_runtime::Secret;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::{ClientError, Proxies};

/// What TLS trusts and presents.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// PEM of the authorities to trust instead of the system's.
    pub certificate_authority: Option<Vec<u8>>,
    /// Accept any certificate.
    pub insecure_skip_tls_verify: bool,
    /// Name to expect in the certificate instead of the host of the URL.
    pub tls_server_name: Option<String>,
    /// Client certificate.
    pub identity: Option<Identity>,
}

/// A client certificate with its key, both PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Certificate chain.
    pub certificate: Vec<u8>,
    /// Private key.
    pub key: Secret<Vec<u8>>,
}

/// What the requests carry to say who asks.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// Nothing; the client certificate, if any, decides.
    #[default]
    None,
    /// `Authorization: Bearer`.
    Token(Secret<String>),
    /// `Authorization: Basic`.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret<String>,
    },
}

/// Act as somebody else, if the server permits.
#[derive(Clone, Debug, Default)]
pub struct Impersonation {
    /// `Impersonate-User`.
    pub user: String,
    /// `Impersonate-Group`, one header each.
    pub groups: Vec<String>,
    /// `Impersonate-Uid`.
    pub uid: Option<String>,
}

/// Everything needed to talk to a remote API server.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// URL of the server, perhaps with a path prefix.
    pub server: String,
    /// TLS.
    pub trust: Trust,
    /// What is between.
    pub proxies: Proxies,
    /// Who asks.
    pub credentials: Credentials,
    /// On whose behalf.
    pub impersonate: Option<Impersonation>,
    /// Longest wait for the head of an answer; none means forever. Watches only wait for their head.
    pub request_timeout: Option<Duration>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
}

impl Trust {
    /// The same in kube's terms; `cluster_url` only matters to code that kube builds for itself.
    pub(crate) fn to_kube(&self, cluster_url: Uri) -> Result<kube::Config, ClientError> {
        // A second call finds the provider of the first: that is all the process needs.
        if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
            tracing::trace!("A TLS provider is installed already");
        }
        let mut config = kube::Config::new(cluster_url);
        config.connect_timeout = Some(Duration::from_secs(30));
        config.accept_invalid_certs = self.insecure_skip_tls_verify;
        config.tls_server_name.clone_from(&self.tls_server_name);
        if let Some(pem) = &self.certificate_authority {
            let mut authorities = Vec::new();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| ClientError::Tls {
                    what: "the certificate authority is not PEM",
                    source: Box::new(error),
                })?;
                authorities.push(certificate.to_vec());
            }
            config.root_cert = Some(authorities);
        }
        if let Some(identity) = &self.identity {
            let auth = serde_json::json!({
                "client-certificate-data": STANDARD.encode(&identity.certificate),
                "client-key-data": STANDARD.encode(identity.key.expose()),
            });
            config.auth_info = serde_json::from_value(auth).map_err(ClientError::Encode)?;
        }
        Ok(config)
    }
}

impl ConnectOptions {
    /// The headers that every request carries.
    pub(crate) fn headers(&self) -> Result<HeaderMap, ClientError> {
        let mut headers = HeaderMap::new();
        let authorization = match &self.credentials {
            Credentials::None => None,
            Credentials::Token(token) => Some(format!("Bearer {}", token.expose())),
            Credentials::Basic { username, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.expose()))))
            }
        };
        if let Some(authorization) = authorization {
            let mut value = HeaderValue::try_from(authorization).map_err(http::Error::from)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        if let Some(impersonate) = &self.impersonate {
            let user = HeaderValue::try_from(&impersonate.user).map_err(http::Error::from)?;
            headers.insert("impersonate-user", user);
            for group in &impersonate.groups {
                let group = HeaderValue::try_from(group).map_err(http::Error::from)?;
                headers.append("impersonate-group", group);
            }
            if let Some(uid) = &impersonate.uid {
                headers.insert("impersonate-uid", HeaderValue::try_from(uid).map_err(http::Error::from)?);
            }
        }
        let agent = self.user_agent.as_deref().unwrap_or("pierhead");
        headers.insert(header::USER_AGENT, HeaderValue::try_from(agent).map_err(http::Error::from)?);
        Ok(headers)
    }

    /// Scheme and authority of the server, and the path prefix without a trailing slash.
    pub(crate) fn base(&self) -> Result<Uri, ClientError> {
        let bad = || ClientError::Url { url: self.server.clone() };
        let uri: Uri = self.server.parse().map_err(http::Error::from)?;
        match uri.scheme_str() {
            Some("http" | "https") if uri.host().is_some() => Ok(uri),
            _ => Err(bad()),
        }
    }
}
