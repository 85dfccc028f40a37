//! Holds the crates' dependencies against `layers.toml`.

use crate::run::workspace;
use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;
use std::collections::BTreeMap;

/// Fails when a crate depends on one of ours that `layers.toml` does not allow it, or is not named there.
pub(crate) fn check() -> Result<()> {
    let text = std::fs::read_to_string(workspace().join("layers.toml")).context("reading layers.toml")?;
    let allowed: BTreeMap<String, Vec<String>> = toml::from_str(&text).context("parsing layers.toml")?;
    let metadata =
        MetadataCommand::new().current_dir(workspace()).no_deps().exec().context("cargo metadata")?;
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let name = folder_of(&package.name);
        let Some(allowed) = allowed.get(name) else {
            wrong.push(format!("{name} is not in layers.toml"));
            continue;
        };
        let ours = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
        for dependency in ours.map(|dependency| folder_of(&dependency.name)) {
            if !allowed.iter().any(|name| name == dependency) {
                wrong.push(format!("{name} must not depend on {dependency}"));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { bail!("layers.toml:\n  {}", wrong.join("\n  ")) }
}

fn folder_of(package: &str) -> &str {
    package.strip_prefix("pierhead-").unwrap_or(package)
}
