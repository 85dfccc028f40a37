//! Failures below HTTP, and their texts.
//!
//! Users search for these sentences; they are the ones that kubectl and oc print for the same cause.

use std::{error::Error, io};

use crate::ProxyError;

/// A connection that could not be made or broke.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct TransportError {
    /// What happened.
    pub failure: TransportFailure,
    /// The error below.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// The causes that have a text of their own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportFailure {
    /// Nobody listens there.
    #[error("The connection to the server {server} was refused - did you specify the right host or port?")]
    Refused {
        /// `host:port`.
        server: String,
    },
    /// The name does not resolve.
    #[error("Unable to connect to the server: dial tcp: lookup {host}: no such host")]
    NoSuchHost {
        /// The name.
        host: String,
    },
    /// The certificate is signed by an authority that is not trusted.
    #[error(
        "Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by unknown authority"
    )]
    UnknownAuthority,
    /// The certificate is for other names.
    #[error(
        "Unable to connect to the server: tls: failed to verify certificate: x509: certificate is not valid for {host}"
    )]
    WrongName {
        /// The name that was asked for.
        host: String,
    },
    /// The certificate is too old or too young.
    #[error(
        "Unable to connect to the server: tls: failed to verify certificate: x509: certificate has expired or is not yet valid"
    )]
    Expired,
    /// TLS was tried where plain HTTP is spoken.
    #[error("Unable to connect to the server: http: server gave HTTP response to HTTPS client")]
    PlainHttp,
    /// Any other failure of TLS.
    #[error("Unable to connect to the server: {message}")]
    Tls {
        /// What TLS says.
        message: String,
    },
    /// No answer to the connection attempt.
    #[error("Unable to connect to the server: dial tcp {server}: i/o timeout")]
    Timeout {
        /// `host:port`.
        server: String,
    },
    /// Anything else.
    #[error("Unable to connect to the server: {message}")]
    Broken {
        /// The innermost cause.
        message: String,
    },
}

impl TransportError {
    /// Finds the known cause in a chain of errors about `uri`.
    pub(crate) fn classify(uri: &http::Uri, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        let host = uri.host().unwrap_or_default().to_owned();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let failure = find_failure(source.as_ref(), &host, port);
        Self { failure, source }
    }

    /// The server's certificate is signed by nobody that the client trusts.
    #[must_use]
    pub fn is_unknown_authority(&self) -> bool {
        self.failure == TransportFailure::UnknownAuthority
    }
}

fn find_failure(error: &(dyn Error + 'static), host: &str, port: u16) -> TransportFailure {
    let server = format!("{host}:{port}");
    let mut message = error.to_string();
    let mut current = Some(error);
    while let Some(error) = current {
        message = error.to_string();
        if let Some(proxy) = error.downcast_ref::<ProxyError>() {
            return TransportFailure::Broken { message: proxy.in_one() };
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return tls_failure(tls, host);
        }
        let io = error.downcast_ref::<io::Error>();
        match io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => return TransportFailure::Refused { server },
            Some(io::ErrorKind::TimedOut) => return TransportFailure::Timeout { server },
            _ => {}
        }
        if message.contains("dns error") || message.contains("failed to lookup address") {
            return TransportFailure::NoSuchHost { host: host.to_owned() };
        }
        // The source of an I/O error is the source of what it wraps, which would be passed over.
        let wrapped = io.and_then(io::Error::get_ref).map(|inner| inner as &(dyn Error + 'static));
        current = wrapped.or_else(|| error.source());
    }
    TransportFailure::Broken { message }
}

fn tls_failure(error: &rustls::Error, host: &str) -> TransportFailure {
    use rustls::CertificateError as Bad;
    if matches!(error, rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) {
        return TransportFailure::PlainHttp;
    }
    let rustls::Error::InvalidCertificate(bad) = error else {
        return TransportFailure::Tls { message: error.to_string() };
    };
    match bad {
        Bad::UnknownIssuer | Bad::BadSignature => TransportFailure::UnknownAuthority,
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            TransportFailure::WrongName { host: host.to_owned() }
        }
        Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            TransportFailure::Expired
        }
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => TransportFailure::UnknownAuthority,
        _ => TransportFailure::Tls { message: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::{TransportError, TransportFailure};

    #[track_caller]
    fn check(source: impl Into<Box<dyn std::error::Error + Send + Sync>>, expected: &str) {
        let uri = http::Uri::from_static("https://master.example.com:8443/api");
        assert_eq!(TransportError::classify(&uri, source).to_string(), expected);
    }

    #[test]
    fn causes_have_the_texts_that_users_search_for() {
        let io = |kind| std::io::Error::from(kind);
        check(
            io(std::io::ErrorKind::ConnectionRefused),
            "The connection to the server master.example.com:8443 was refused - did you specify the right host or port?",
        );
        check(
            std::io::Error::other(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)),
            "Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by unknown authority",
        );
        check(
            std::io::Error::other("failed to lookup address information: Name or service not known"),
            "Unable to connect to the server: dial tcp: lookup master.example.com: no such host",
        );
        check(
            std::io::Error::other(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)),
            "Unable to connect to the server: http: server gave HTTP response to HTTPS client",
        );
        check(
            io(std::io::ErrorKind::TimedOut),
            "Unable to connect to the server: dial tcp master.example.com:8443: i/o timeout",
        );
    }

    #[test]
    fn unknown_authority_is_recognised_however_deep() {
        let uri = http::Uri::from_static("https://h/");
        let error = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = std::io::Error::other(std::io::Error::other(error));
        let error = TransportError::classify(&uri, error);
        assert_eq!(error.failure, TransportFailure::UnknownAuthority);
    }
}
