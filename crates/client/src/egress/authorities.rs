//! Whose certificates are trusted, for all hosts and for some.
//!
//! Owns the TLS configurations. The one that verifies nothing is for registries that somebody called insecure, and
//! `egress` gives it to no other host.

use std::collections::HashMap;
use std::sync::Arc;

use pierhead_runtime::tls::{self, Alpn, TlsError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// The authorities that other hosts' certificates are checked against.
#[derive(Clone, Debug)]
pub struct Authorities {
    all: Arc<RootCertStore>,
    /// By `host` or `host:port`: in addition to those for all.
    hosts: HashMap<String, Arc<RootCertStore>>,
}

impl Authorities {
    /// Those that the system trusts. What cannot be read of them is left out.
    #[must_use]
    pub fn system() -> Self {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::debug!(%error, "Some of the system's certificate authorities cannot be read");
        }
        let (_, ignored) = roots.add_parsable_certificates(found.certs);
        if ignored > 0 {
            tracing::debug!(ignored, "{ignored} of the system's certificate authorities cannot be used");
        }
        Self { all: Arc::new(roots), hosts: HashMap::new() }
    }

    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self { all: Arc::new(RootCertStore::empty()), hosts: HashMap::new() }
    }

    /// Those for hosts of which nothing else is said.
    pub fn usual(&self) -> &RootCertStore {
        &self.all
    }

    /// Verifies with those for all, for protocols other than HTTP.
    #[must_use]
    pub fn tls_config(&self) -> Arc<ClientConfig> {
        let config = tls::client_config(RootCertStore::clone(&self.all), Alpn::Http1)
            .expect("our provider speaks the versions that rustls holds for safe");
        let mut config = ClientConfig::clone(&config);
        config.alpn_protocols.clear();
        Arc::new(config)
    }

    /// Trusts the authorities in `pem` as well, whatever the host.
    ///
    /// # Errors
    /// Broken PEM, none in it, or one that is no certificate.
    pub fn with_extra(mut self, pem: &[u8]) -> Result<Self, TlsError> {
        let extra = tls::roots(pem)?;
        for roots in std::iter::once(&mut self.all).chain(self.hosts.values_mut()) {
            Arc::make_mut(roots).extend(extra.roots.iter().cloned());
        }
        Ok(self)
    }

    /// Trusts the authorities in `pem` as well where the host is `host` (`name` or `name:port`).
    ///
    /// # Errors
    /// As [`Authorities::with_extra`].
    pub fn with_host(mut self, host: &str, pem: &[u8]) -> Result<Self, TlsError> {
        let extra = tls::roots(pem)?;
        let roots = self.hosts.entry(host.to_ascii_lowercase()).or_insert_with(|| Arc::clone(&self.all));
        Arc::make_mut(roots).extend(extra.roots.iter().cloned());
        Ok(self)
    }
}

/// The TLS configurations made of authorities.
pub(super) struct TlsConfigs {
    all: Arc<ClientConfig>,
    hosts: HashMap<String, Arc<ClientConfig>>,
    unverified: Arc<ClientConfig>,
}

impl TlsConfigs {
    pub(super) fn new(authorities: &Authorities) -> Self {
        let config = |roots: &Arc<RootCertStore>| {
            tls::client_config(RootCertStore::clone(roots), Alpn::Http1)
                .expect("our provider speaks the versions that rustls holds for safe")
        };
        let hosts = authorities.hosts.iter().map(|(host, roots)| (host.clone(), config(roots))).collect();
        Self { all: config(&authorities.all), hosts, unverified: unverified() }
    }

    /// For a host that is verified.
    pub(super) fn verified(&self, host: &str, port: u16) -> Arc<ClientConfig> {
        let with_port = format!("{host}:{port}");
        let own = self.hosts.get(&with_port).or_else(|| self.hosts.get(host).filter(|_| port == 443));
        Arc::clone(own.unwrap_or(&self.all))
    }

    /// For a registry that somebody called insecure.
    pub(super) fn unverified(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.unverified)
    }
}

fn unverified() -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .expect("our provider speaks the versions that rustls holds for safe")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Believes every certificate, as `insecure` says.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}
