//! The router over real sockets, with tables built by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod endpoints;
mod fixture;
mod forwarding;
mod tls_routes;
