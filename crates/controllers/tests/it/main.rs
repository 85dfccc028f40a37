//! All reconcilers together, over a small API server in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod fake_api;
mod fake_node;
mod rollouts;
mod story;
