//! The comparison with other registries: same machine, same work, one after the other; what counts is the server's own
//! processor time, read from the kernel's accounting, because it holds on a noisy machine.
//!
//! Owns starting the servers, the work and the table. Judges nothing: a missed target is printed as missed.

pub mod deploy;
pub mod process;
pub mod proxies;
pub mod pull_through;
pub mod report;
pub mod servers;
pub mod work;
