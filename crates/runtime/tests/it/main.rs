//! Listeners and TLS over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod listen;
