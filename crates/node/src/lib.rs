//! Runs the pods that are bound to this node on a Docker Engine, or on Podman, which speaks the same API.
//!
//! Owns everything between a pod's specification and its status: images, volumes, the network a pod's containers share,
//! their starts and ends, probes, logs. Sees objects through `client` only. A pure plan (`plan`) says what to do next, and
//! `worker` does it; both begin anew from what is really there each time, so being killed at any point costs nothing but
//! time. It does not decide which pods run here: that is the scheduler's.

mod ask;
mod creation;
mod disk;
mod engine;
mod environment;
mod events;
mod fields;
mod image_name;
mod image_tenants;
mod labels;
mod logs;
mod machine;
mod memory;
mod node;
mod pause;
mod plan;
mod pods;
mod policy;
mod probes;
mod pull;
mod sources;
mod status;
mod steps;
mod volume_files;
mod worker;

pub use engine::EngineKind;
pub use logs::{LogBroken, LogError, LogOptions};
pub use machine::retire_others;
pub use node::{Config, Node, start};
pub use policy::Policy;
