//! Certificates and authorities that routes carry.
//!
//! Owns parsing them once: what was parsed for one table is kept for the next, as long as a route still carries it, so
//! that a change to one route costs neither the parsing of all nor the connections to their backends.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pierhead_api::route::{Route, TLSConfig};
use pierhead_runtime::tls::{self, Alpn, TlsError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// What is wrong with what a route carries.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum CertificateProblem {
    /// One without the other.
    #[error("spec.tls: certificate and key must be given together")]
    Incomplete,
    /// Not PEM, not a certificate, or the key of another one.
    #[error("spec.tls.certificate: Invalid value: \"redacted certificate data\": {0}")]
    Certificate(String),
    /// The authority for the backend is not usable.
    #[error(
        "spec.tls.destinationCACertificate: Invalid value: \"redacted destination ca certificate data\": {0}"
    )]
    Destination(String),
    /// There is no authority to check the backend against.
    #[error("spec.tls.destinationCACertificate: Required value: no service authority is configured")]
    NoDestination,
    /// Certificates by reference are not read by this router.
    #[error("spec.tls.externalCertificate: Forbidden: this router reads certificates from the route only")]
    External,
}

/// How a backend is spoken to over TLS.
#[derive(Debug)]
pub(crate) struct UpstreamTls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) server_name: ServerName<'static>,
    /// Tells connections made with different settings apart.
    pub(crate) id: u64,
}

/// PEM texts and what they were parsed into.
#[derive(Debug, Default)]
pub struct PemCache {
    certificates: Generations<CertificateText, Result<Arc<CertifiedKey>, CertificateProblem>>,
    upstreams: Generations<UpstreamText, Result<Arc<UpstreamTls>, CertificateProblem>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CertificateText {
    chain: String,
    key: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct UpstreamText {
    authority: String,
    name: String,
    check: NameCheck,
}

/// Whether the backend's certificate must be for the name we ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum NameCheck {
    /// The service authority vouches for many: the name says which.
    Required,
    /// The route names the authority itself: whoever it vouches for is right.
    Skipped,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl PemCache {
    pub(super) fn begin(&mut self) {
        self.certificates.begin();
        self.upstreams.begin();
    }

    pub(super) fn end(&mut self) {
        self.certificates.end();
        self.upstreams.end();
    }

    /// The certificate to show for a route; none means the router's own.
    pub(super) fn certificate(
        &mut self,
        tls: &TLSConfig,
    ) -> Result<Option<Arc<CertifiedKey>>, CertificateProblem> {
        if tls.external_certificate.is_some() {
            return Err(CertificateProblem::External);
        }
        match (tls.certificate.is_empty(), tls.key.is_empty()) {
            (true, true) => return Ok(None),
            (false, false) => {}
            _ => return Err(CertificateProblem::Incomplete),
        }
        let chain = format!("{}\n{}", tls.certificate, tls.ca_certificate);
        let text = CertificateText { chain, key: tls.key.clone() };
        let parsed = self.certificates.get(text, |text| {
            let parsed = tls::certified_key(text.chain.as_bytes(), text.key.as_bytes());
            parsed.map_err(|error| CertificateProblem::Certificate(describe(&error)))
        });
        parsed.map(Some)
    }

    /// How to speak to the backends of a reencrypt route.
    pub(super) fn upstream(
        &mut self,
        route: &Route,
        tls: &TLSConfig,
        service_authority: Option<&str>,
    ) -> Result<Arc<UpstreamTls>, CertificateProblem> {
        let text = if tls.destination_ca_certificate.is_empty() {
            let authority = service_authority.ok_or(CertificateProblem::NoDestination)?.to_owned();
            let name = format!("{}.{}.svc", route.spec.to.name, route.metadata.namespace);
            UpstreamText { authority, name, check: NameCheck::Required }
        } else {
            let authority = tls.destination_ca_certificate.clone();
            UpstreamText { authority, name: route.spec.host.to_ascii_lowercase(), check: NameCheck::Skipped }
        };
        self.upstreams.get(text, |text| {
            connect_config(text).map_err(|error| CertificateProblem::Destination(describe(&error)))
        })
    }
}

/// The error with its causes, in one line.
fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn connect_config(text: &UpstreamText) -> Result<Arc<UpstreamTls>, TlsError> {
    let roots = tls::roots(text.authority.as_bytes())?;
    let config = match text.check {
        NameCheck::Required => tls::client_config(roots, Alpn::Http1)?,
        NameCheck::Skipped => {
            let mut config = ClientConfig::clone(&*tls::client_config(RootCertStore::empty(), Alpn::Http1)?);
            config.dangerous().set_certificate_verifier(Arc::new(AnyName { roots }));
            Arc::new(config)
        }
    };
    let server_name = ServerName::try_from(text.name.clone())
        .map_err(|error| rustls::Error::General(format!("{}: {error}", text.name)))?;
    Ok(Arc::new(UpstreamTls { config, server_name, id: NEXT_ID.fetch_add(1, Ordering::Relaxed) }))
}

/// Accepts every certificate that its authorities vouch for, whatever name it is for.
#[derive(Debug)]
struct AnyName {
    roots: RootCertStore,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = tls::provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &tls::provider().signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &tls::provider().signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A map that forgets, with each generation, what the last one did not ask for.
#[derive(Debug)]
struct Generations<K, V> {
    current: HashMap<K, V>,
    last: HashMap<K, V>,
}

impl<K, V> Default for Generations<K, V> {
    fn default() -> Self {
        Self { current: HashMap::new(), last: HashMap::new() }
    }
}

impl<K: Eq + Hash, V: Clone> Generations<K, V> {
    fn begin(&mut self) {
        self.last = std::mem::take(&mut self.current);
    }

    fn end(&mut self) {
        self.last.clear();
    }

    fn get(&mut self, key: K, make: impl FnOnce(&K) -> V) -> V {
        if let Some(value) = self.current.get(&key) {
            return value.clone();
        }
        let value = self.last.remove(&key).unwrap_or_else(|| make(&key));
        self.current.insert(key, value.clone());
        value
    }
}
