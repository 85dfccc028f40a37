//! Why a request to another host gave no answer, in texts that people can search for.
//!
//! Nothing of what the other side sent is ever part of a text: users choose the hosts, and must not read through us
//! what they cannot reach themselves (reliability 7-B B3).

use std::error::Error;
use std::time::Duration;

use super::address::ForbiddenAddress;
use super::connector::ConnectError;
use super::target::Target;
use crate::transport::{TransportError, TransportFailure};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// Every address of the host is one that the policy forbids.
    #[error("{url}: {forbidden}")]
    Forbidden {
        /// What was asked.
        url: String,
        /// The address and what it is.
        #[source]
        forbidden: ForbiddenAddress,
    },
    /// The answer points to somewhere that is not followed.
    #[error("{url}: the redirect {reason}")]
    Redirect {
        /// What was asked.
        url: String,
        /// Why it is not followed.
        reason: &'static str,
    },
    /// What may only be asked by TLS has another address.
    #[error("{url:?} is not an https URL")]
    NotHttps {
        /// What was to be asked.
        url: String,
    },
    /// TLS was tried where plain HTTP is spoken.
    #[error("{url}: http: server gave HTTP response to HTTPS client")]
    PlainHttp {
        /// What was asked.
        url: String,
    },
    /// No connection, or it broke.
    #[error("{url}: {message}")]
    Transport {
        /// What was asked.
        url: String,
        /// The innermost cause, in the words of the tools that people know.
        message: String,
        /// The error below.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The other side is too slow, or as many requests as are allowed are waiting for it.
    #[error("{url}: no answer within {limit:?}")]
    Timeout {
        /// What was asked.
        url: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The answer has more bytes than are taken.
    #[error("{url}: the answer has more than {limit} bytes")]
    TooLarge {
        /// What was asked.
        url: String,
        /// How many are taken.
        limit: usize,
    },
}

impl EgressError {
    pub(super) fn classify(target: &Target, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        let url = shown(target);
        let mut current: Option<&(dyn Error + 'static)> = Some(source.as_ref());
        while let Some(error) = current {
            match error.downcast_ref::<ConnectError>() {
                Some(ConnectError::Forbidden(forbidden)) => {
                    return Self::Forbidden { url, forbidden: forbidden.clone() };
                }
                Some(ConnectError::TooSlow { limit, .. }) => return Self::Timeout { url, limit: *limit },
                Some(found @ (ConnectError::NoSuchHost { .. } | ConnectError::NoHost)) => {
                    return Self::Transport { url, message: format!("dial tcp: {found}"), source };
                }
                Some(ConnectError::Proxy(proxy)) => {
                    return Self::Transport { url, message: proxy.in_one(), source };
                }
                Some(
                    ConnectError::LookUp { .. } | ConnectError::Dial { .. } | ConnectError::Handshake { .. },
                )
                | None => {}
            }
            current = error.source();
        }
        let uri = target.to_string().parse::<http::Uri>().unwrap_or_default();
        let TransportError { failure, source } = TransportError::classify(&uri, source);
        if failure == TransportFailure::PlainHttp {
            return Self::PlainHttp { url };
        }
        Self::Transport { url, message: message(failure), source }
    }

    pub(super) fn redirect(target: &Target, reason: &'static str) -> Self {
        Self::Redirect { url: shown(target), reason }
    }

    pub(super) fn timeout(target: &Target, limit: Duration) -> Self {
        Self::Timeout { url: shown(target), limit }
    }

    pub(super) fn too_large(target: &Target, limit: usize) -> Self {
        Self::TooLarge { url: shown(target), limit }
    }
}

/// The URL without its query, which may be a signature that opens something.
fn shown(target: &Target) -> String {
    let (path, _) = target.path.split_once('?').unwrap_or((&target.path, ""));
    format!("Get \"{}{path}\"", target.origin)
}

fn message(failure: TransportFailure) -> String {
    let x509 = |rest: &str| format!("tls: failed to verify certificate: x509: {rest}");
    match failure {
        TransportFailure::Refused { server } => format!("dial tcp {server}: connect: connection refused"),
        TransportFailure::NoSuchHost { host } => format!("dial tcp: lookup {host}: no such host"),
        TransportFailure::UnknownAuthority => x509("certificate signed by unknown authority"),
        TransportFailure::WrongName { host } => x509(&format!("certificate is not valid for {host}")),
        TransportFailure::Expired => x509("certificate has expired or is not yet valid"),
        TransportFailure::PlainHttp => "http: server gave HTTP response to HTTPS client".to_owned(),
        TransportFailure::Tls { message } => format!("tls: {message}"),
        TransportFailure::Timeout { server } => format!("dial tcp {server}: i/o timeout"),
        TransportFailure::Broken { message } => message,
    }
}
