//! The listeners and the table they serve from.
//!
//! Owns binding, the TLS configuration and publishing a new table to all of them at once. Does not know where tables
//! come from: `router` builds them from API objects, tests by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pierhead_runtime::Tasks;
use pierhead_runtime::listen::{self, BindError, Limits};
use pierhead_runtime::tls::{self, Alpn, CertResolver, ClientCertificates, TlsError};
use rustls::sign::CertifiedKey;
use tokio::sync::Notify;

use crate::exchange::Exchange;
use crate::listeners;
use crate::table::Table;
use crate::upstream::Upstreams;

/// Where to listen and what to show.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Address for plain HTTP; port 0 lets the system choose.
    pub http: SocketAddr,
    /// Address for TLS; port 0 lets the system choose.
    pub https: SocketAddr,
    /// The port that redirects to HTTPS name, where it is not the one bound.
    pub public_https_port: Option<u16>,
    /// The certificate for hosts whose route brings none.
    pub default_certificate: Arc<CertifiedKey>,
    /// How long both sides of an exchange may be silent, where the route says nothing.
    pub idle: Duration,
    /// Limits of client connections.
    pub limits: Limits,
}

/// The proxy could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is in use or not permitted.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The TLS configuration is not usable.
    #[error("TLS of the router")]
    Tls(#[from] TlsError),
}

/// Listeners that serve whatever table was published last. Clones are the same proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    http: SocketAddr,
    https: SocketAddr,
    table: Arc<ArcSwap<Table>>,
    published: Arc<Notify>,
    upstreams: Upstreams,
    certificates: Arc<CertResolver>,
}

impl Proxy {
    /// Binds both addresses and serves 503 until a table is published. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// An address that cannot be bound.
    pub fn start(config: &ProxyConfig, tasks: &Tasks) -> Result<Self, StartError> {
        let certificates = Arc::new(CertResolver::new(Some(Arc::clone(&config.default_certificate))));
        let resolver: Arc<CertResolver> = Arc::clone(&certificates);
        let tls = tls::server_config(resolver, &ClientCertificates::Ignored, Alpn::Http2AndHttp1)?;
        let http = listen::bind(config.http)?;
        let https = listen::bind(config.https)?;
        let table = Arc::new(ArcSwap::from_pointee(Table::default()));
        let (published, upstreams) = (Arc::new(Notify::new()), Upstreams::start(tasks));
        let proxy = Self {
            published: Arc::clone(&published),
            upstreams: upstreams.clone(),
            http: http.local_addr(),
            https: https.local_addr(),
            table: Arc::clone(&table),
            certificates,
        };
        let exchange = Exchange {
            table,
            published,
            upstreams,
            idle: config.idle,
            https_port: config.public_https_port.unwrap_or(https.local_addr().port()),
            tasks: tasks.clone(),
        };
        listeners::serve_http(http, &exchange, tasks, config.limits.clone());
        listeners::serve_https(https, &exchange, tls, tasks, config.limits.clone());
        Ok(proxy)
    }

    /// Serves from `table` from the next request on.
    pub fn publish(&self, table: Arc<Table>) {
        self.certificates.replace_names(table.certificates());
        let addresses = table.addresses();
        self.table.store(table);
        self.published.notify_waiters();
        self.upstreams.keep_only(addresses);
    }

    /// The address bound for plain HTTP.
    pub const fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// The address bound for TLS.
    pub const fn https_addr(&self) -> SocketAddr {
        self.https
    }
}
