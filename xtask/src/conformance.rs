//! Runs the conformance suite of the OCI distribution specification against the binary.

use crate::run::say;
use crate::tests::{build_server, server};
use crate::tools;
use anyhow::Result;
use std::path::Path;

/// Builds the binary, then [`run`]s the suite.
pub(crate) fn run_on_a_fresh_build() -> Result<()> {
    build_server("dev")?;
    suite(&server("debug"))
}
