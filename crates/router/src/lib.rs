//! The router: the only way in from outside. Serves routes by host name, on plain HTTP and on TLS.
//!
//! Owns the table of routes, both listeners, TLS by host name, passing requests on, and what routes are told about
//! themselves. Reads and writes API objects only through `client`. Knows nothing of images: the registry is a backend
//! like any other.

mod attempts;
mod body;
mod cookie;
mod exchange;
mod headers;
mod hello;
mod listeners;
mod page;
mod proxy;
mod router;
mod status;
pub mod table;
mod tunnel;
mod upstream;

pub use proxy::{Proxy, ProxyConfig, StartError};
pub use router::{Config, Router};
pub use status::RouterName;
