//! Drives the real binary with the real clients.
//!
//! Owns starting and stopping a site ([`Site`]), the people who use it ([`Actor`]), a Docker Engine of its own
//! ([`DockerEngine`]), names for route hosts ([`HostName`]), images made from nothing ([`layout`]) and a registry that
//! does as it is told ([`ScriptedRegistry`]). Knows no story: these are in `e2e`. A tool that is missing fails the test; nothing is ever skipped.
//!
//! Nothing here stops a process or removes a file that it did not start or make itself.

#![expect(
    clippy::print_stdout,
    reason = "the test runner shows what a failed test printed, and nothing else"
)]

mod actor;
mod docker;
mod hosts;
mod lan;
pub mod layout;
mod process;
mod scripted_registry;
mod site;
mod tar;
mod tool;
mod wait;

pub use actor::Actor;
pub use docker::{DockerEngine, EngineOptions};
pub use hosts::{HostName, OwnAddress};
pub use lan::{Lan, Machine};
pub use process::{Addresses, Process, log_tail, serve_anywhere};
pub use scripted_registry::{Asked, Script, ScriptedRegistry};
pub use site::{Site, SiteOptions};
pub use tool::{Outcome, Tool};
pub use wait::{eventually, eventually_within};
