//! Runs the pods that are bound to this node on a Docker Engine, or on Podman, which speaks the same API.

mod engine;
mod labels;
mod pause;
