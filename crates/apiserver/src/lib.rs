//! The API server: Kubernetes' generic REST machinery with OpenShift's kinds, over the metadata store.
//!
//! Owns paths, verbs, discovery, watches, Statuses and the kinds' strategies. Whether somebody may do something is
//! `auth`'s decision, what an image stream is is `images`'; this crate turns both into the API that `oc` and `kubectl`
//! speak. A handler reads: parse, authorize, one call to the collection, encode.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

mod admission;
mod audit;
mod authenticate;
mod bootstrap;
mod call;
mod catalog;
mod collection;
mod continue_token;
mod discovery;
mod document;
mod error;
mod front_proxy;
mod gc;
mod http;
mod kind;
mod kinds;
mod metadata;
mod oauth;
mod openapi;
mod ownership;
mod path;
mod pod_logs;
mod priority;
mod project_requests;
mod protobuf;
mod query;
mod server;
mod standing;
mod storage;
mod strategy;
mod tables;
mod websocket;

pub use crate::bootstrap::{Addresses, BootstrapError};
pub use crate::front_proxy::FrontProxy;
pub use crate::pod_logs::{LogBody, LogError, LogOptions, PodLogs};
pub use crate::priority::RequestLimits;
pub use crate::project_requests::{ProjectLimit, ProjectLimits, ProjectRequests};
pub use crate::server::{ApiServer, Config};
pub use crate::storage::references::tables;
pub use crate::storage::sealed::sealed;

/// The error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The body of an answer: bytes at hand, or the endless stream of a watch.
pub type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;
type RequestBody = UnsyncBoxBody<Bytes, BodyError>;

/// Why a request body could not be read, as the transport said it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BodyError(#[source] BoxError);
