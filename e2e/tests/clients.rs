//! Clients of others, unmodified: each does a day's work and finds nothing odd.

mod fabric8;
mod fuzz;
mod kube_rs;
mod kubectl;
mod python;

use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// A tool that `cargo xtask test` installed and named.
fn tool(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable);
    Ok(path.with_context(|| format!("{variable} is set by cargo xtask test"))?.into())
}

/// A file of `e2e/clients`.
fn program(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/clients")).join(path)
}
