//! Certificates, keys and TLS configurations.
//!
//! Owns the one crypto provider, reading PEM, the authority that issues our certificates ([`Authority`]) and choosing a
//! certificate by host name ([`CertResolver`]). Does not listen. TLS 1.2 (AEAD suites) and 1.3 only:
//! `reliability-and-security.md` 7-J J5.

mod authority;
mod resolver;

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

pub use authority::{Authority, Leaf, PemPair, Purpose};
pub use resolver::CertResolver;

/// A certificate, key or TLS configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM itself is broken.
    #[error("{what} is not valid PEM")]
    Pem {
        /// Which of the inputs.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// The PEM holds no certificate.
    #[error("no certificate found in {what}")]
    NoCertificate {
        /// Which of the inputs.
        what: &'static str,
    },
    /// A certificate is malformed, or the key does not belong to it.
    #[error("certificate or key refused")]
    Refused(#[from] rustls::Error),
    /// A certificate could not be made or an authority not be read.
    #[error("issuing a certificate failed")]
    Issue(#[from] rcgen::Error),
    /// The authorities for client certificates are not usable.
    #[error("authorities for client certificates refused")]
    ClientAuthorities(#[from] VerifierBuilderError),
}

/// Makes our crypto provider the default of the process. Harmless when called again.
pub fn install_provider() {
    if aws_lc_rs::default_provider().install_default().is_err() {
        tracing::trace!("the crypto provider was installed before");
    }
}

/// The crypto provider that every TLS configuration of ours uses.
pub fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

/// All certificates in `pem`, in their order.
///
/// # Errors
/// Broken PEM, or none in it.
pub fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::NoCertificate { what }),
        Ok(certificates) => Ok(certificates),
        Err(source) => Err(TlsError::Pem { what, source }),
    }
}

/// A certificate chain (leaf first) and its key, checked to belong together.
///
/// # Errors
/// Broken PEM, no certificate, an unknown kind of key, or a key of another certificate.
pub fn certified_key(chain_pem: &[u8], key_pem: &[u8]) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates("certificate", chain_pem)?;
    let key =
        PrivateKeyDer::from_pem_slice(key_pem).map_err(|source| TlsError::Pem { what: "key", source })?;
    let certified = CertifiedKey::from_der(chain, key, &provider())?;
    Ok(Arc::new(certified))
}

/// Authorities to trust.
///
/// # Errors
/// Broken PEM, none in it, or one that is not a certificate.
pub fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("authority", pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// What a server does about certificates of its clients.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// Does not ask for them.
    Ignored,
    /// Asks; a client without one is welcome, one that these authorities did not issue is refused.
    Verified(Arc<RootCertStore>),
}

/// Protocols offered in the handshake, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/2 and HTTP/1.1.
    Http2AndHttp1,
    /// HTTP/1.1 only.
    Http1,
}

impl Alpn {
    fn names(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http2AndHttp1 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Self::Http1 => vec![b"http/1.1".to_vec()],
        }
    }
}

/// A server configuration that asks `certificates` for the certificate of each connection.
///
/// # Errors
/// Authorities for client certificates that are not usable.
pub fn server_config(
    certificates: Arc<dyn ResolvesServerCert>,
    clients: &ClientCertificates,
    alpn: Alpn,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match clients {
        ClientCertificates::Ignored => builder.with_no_client_auth(),
        ClientCertificates::Verified(roots) => builder.with_client_cert_verifier(client_verifier(roots)?),
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols = alpn.names();
    Ok(Arc::new(config))
}

fn client_verifier(roots: &Arc<RootCertStore>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider());
    Ok(builder.allow_unauthenticated().build()?)
}

/// One of several authorities of client certificates, to find out which of them issued one.
#[derive(Clone, Debug)]
pub struct ClientAuthority(Arc<dyn ClientCertVerifier>);

impl ClientAuthority {
    /// The authorities in `roots`, taken together.
    ///
    /// # Errors
    /// Authorities that are not usable.
    pub fn new(roots: Arc<RootCertStore>) -> Result<Self, TlsError> {
        Ok(Self(client_verifier(&roots)?))
    }

    /// Whether it issued this certificate, with the help of those that came with it, and it is valid at `now`.
    pub fn issued(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: jiff::Timestamp,
    ) -> bool {
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        self.0.verify_client_cert(certificate, intermediates, now).is_ok()
    }
}

/// A client configuration that trusts `roots` and nothing else, and shows no certificate of its own.
///
/// # Errors
/// None of the protocol versions we speak is offered by the provider.
pub fn client_config(roots: RootCertStore, alpn: Alpn) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.names();
    Ok(Arc::new(config))
}
