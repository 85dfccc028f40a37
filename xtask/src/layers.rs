//! Holds the crates' dependencies against `layers.toml`, and the whole tree against the crates we do without.

use crate::run::{cargo, workspace};
use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;
use std::collections::BTreeMap;

/// Crates that must not come in by the back door, and what we have instead.
const BANNED: [(&str, &str); 6] = [
    ("ring", "aws-lc-rs is the one provider of cryptography; two make rustls panic at run time"),
    ("openssl-sys", "rustls is the one TLS stack"),
    ("native-tls", "rustls is the one TLS stack"),
    ("sqlx-sqlite", "rusqlite is the one binding of SQLite"),
    ("serde_yaml", "serde-saphyr reads YAML, with budgets against bombs"),
    ("async-std", "tokio is the one runtime"),
];

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
    wrong.extend(banned()?);
    if wrong.is_empty() { Ok(()) } else { bail!("layers.toml:\n  {}", wrong.join("\n  ")) }
}

/// The banned crates that are in fact built. Cargo's metadata names more than that: what a weak feature might add.
fn banned() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (name, why) in BANNED {
        let mut command = cargo();
        let tree = command.args(["tree", "--quiet", "--workspace", "--target", "all", "--invert", name]);
        // A crate that is not even in the lock file is an error to `cargo tree`, with nothing on its output.
        if !tree.output().context("starting cargo tree")?.stdout.is_empty() {
            found.push(format!("{name} is in the tree: {why}"));
        }
    }
    Ok(found)
}

fn folder_of(package: &str) -> &str {
    package.strip_prefix("pierhead-").unwrap_or(package)
}
