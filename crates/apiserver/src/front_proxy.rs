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
