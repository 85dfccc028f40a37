//! Words of the process: what every long-running part of Pierhead needs and none should invent again.
//!
//! Owns background tasks and their shutdown ([`Tasks`]), time as a parameter ([`Clock`]), values that must not be
//! printed ([`Secret`]), listeners ([`listen`]), TLS ([`tls`]), waiting between retries ([`backoff`]), logs and metrics
//! ([`telemetry`]) and the file of the audit log ([`audit`]). Knows nothing of images, API objects or storage. This list
//! is closed.

pub mod audit;
pub mod backoff;
pub mod clock;
pub mod listen;
pub mod secret;
pub mod tasks;
pub mod telemetry;
pub mod tls;

pub use backoff::Backoff;
pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use secret::Secret;
pub use tasks::{Elapsed, Tasks};
/// The signal that every task of a [`Tasks`] watches.
pub use tokio_util::sync::CancellationToken;
