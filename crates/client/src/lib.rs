//! Clients: API objects (get, list, watch, patch) over any tower service, in process or over HTTPS; and registries.
//!
//! Owns the wire of a client: paths, TLS, errors, watches, kubeconfig files, the YAML that Kubernetes tools
//! write. It does not decide what to ask for, and prints nothing. The only crate that names kube.

mod bytes_stream;
mod connect;
pub mod distribution;
pub mod egress;
mod error;
mod http_client;
pub mod keyring;
pub mod kubeconfig;
mod observe;
mod path;
mod proxy;
mod reflect;
mod request;
mod transport;
mod typed;
mod watch;
pub mod yaml;

pub use pierhead_runtime::Secret;

pub use bytes_stream::BytesStream;
pub use connect::{ConnectOptions, Credentials, Identity, Impersonation, Trust};
pub use error::ClientError;
pub use http_client::{HttpAnswer, HttpClient};
pub use observe::{Exchange, Observer};
pub use path::{Resource, escape};
pub use proxy::{BadProxyUrl, Proxies, Proxy, ProxyError, ProxySettings, UnusableProxy, without_credentials};
pub use reflect::Reflected;
pub use request::{Answer, ApiRequest, Client};
pub use transport::{TransportError, TransportFailure};
pub use typed::{ListQuery, Patch};
pub use watch::{WatchEvent, WatchEventKind, WatchStream};
