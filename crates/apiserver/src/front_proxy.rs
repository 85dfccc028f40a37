//! A proxy in front of this server that says who somebody is.

/// Proof that a request came through a proxy that may say who its user is: the listener verified the proxy's client
/// certificate against the authority of one identity provider of the kind request header, and puts this into the
/// request's extensions. Such a certificate is no login of its own: the listener takes it out of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontProxy {
    /// The provider whose authority issued the certificate.
    pub provider: String,
    /// The certificate's common name.
    pub common_name: String,
}

impl FrontProxy {
    /// Of a certificate, in DER, that the authority of this provider issued; `None` where it has no common name.
    pub fn of(provider: &str, certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let common_name = certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
        Some(Self { provider: provider.to_owned(), common_name })
    }
}
