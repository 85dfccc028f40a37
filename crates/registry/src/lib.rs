//! The registry: the distribution specification 1.1 and OpenShift's own flows over it.
//!
//! Owns HTTP: paths, headers, challenges, ranges, pages, status codes. What an image is and who may touch it is
//! decided by `images` and `auth`; nothing here holds state, so any number of replicas may run. What a repository names
//! and does not have is fetched from elsewhere by `pull_through`.
//!
//! A request is parsed once into a [`Route`]; one file per resource answers it; `error` alone knows status codes
//! of failures.

mod accept;
mod access;
mod base;
mod blobs;
mod body;
mod call;
mod catalog;
mod contents;
mod error;
mod manifests;
mod metrics;
mod origin;
mod page;
mod pull_through;
mod query;
mod ranges;
mod referrers;
mod registry;
mod response;
mod route;
mod signatures;
mod tags;
mod token;
mod uploads;

pub use body::ResponseBody;
pub use pull_through::{Credentials, PullThrough};
pub use registry::{Config, Registry};
pub use route::{Repository, Route, RouteError};
