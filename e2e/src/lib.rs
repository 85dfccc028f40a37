//! What the end-to-end tests and the benches share: a raw client of the distribution API, images to push, and the
//! ledger of what a server acknowledged.
//!
//! The stories themselves are in `tests/`, the comparison in `src/bin/`. Starting servers and clients is `testkit`'s.

pub mod bench;
pub mod crash;
pub mod ledger;
pub mod sample;
pub mod watch;
pub mod wire;
