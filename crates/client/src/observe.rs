//! What a client tells whoever watches it: each request with its answer, and each whole body.
//!
//! For command lines that show requests, and warnings of servers. The credentials of a client are not in it: they are
//! added below.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, StatusCode};

use crate::{ApiRequest, ClientError};

/// Is called for everything that happens on the wire, while the request waits.
pub type Observer = Arc<dyn Fn(&Exchange<'_>) + Send + Sync>;

/// One thing that happened.
#[derive(Debug)]
pub enum Exchange<'e> {
    /// A request is about to be sent.
    Sending {
        /// The request.
        request: &'e ApiRequest,
    },
    /// The head of the answer is there.
    Answered {
        /// Method of the request.
        method: &'e Method,
        /// Path and query of the request.
        path: &'e str,
        /// Status of the answer.
        status: StatusCode,
        /// Headers of the answer.
        headers: &'e HeaderMap,
        /// From sending to the head of the answer.
        took: Duration,
    },
    /// There will be no answer.
    Failed {
        /// Method of the request.
        method: &'e Method,
        /// Path and query of the request.
        path: &'e str,
        /// Why.
        error: &'e ClientError,
    },
    /// The whole body of an answer; those of streams are not told.
    Body {
        /// Path and query of the request.
        path: &'e str,
        /// The body.
        body: &'e [u8],
    },
}
