//! The table of demands is about tests that exist, and has a section for each script.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::advisories::document::{functions_below, named_tests};

/// The scripts that the table must have a section for.
const SCRIPTS: [&str; 16] = [
    "login",
    "whoami",
    "authentication",
    "projects",
    "status",
    "policy",
    "secrets",
    "images",
    "registry",
    "routes",
    "basicresources",
    "get",
    "patch",
    "apply",
    "explain",
    "admin",
];

#[test]
fn every_demand_names_tests_that_exist() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the package is in the workspace")?;
    let mut functions = BTreeSet::new();
    for folder in ["crates", "e2e"] {
        functions_below(&root.join(folder), &mut functions)?;
    }
    let document = std::fs::read_to_string(root.join("docs/guides/demands.md"))?;
    let named = named_tests(&document);
    let missing: Vec<_> = named.iter().filter(|(_, test)| !functions.contains(test)).collect();
    ensure!(missing.is_empty(), "no such tests: {missing:?}");
    for script in SCRIPTS {
        ensure!(document.contains(&format!("\n## {script}\n")), "no section for {script}");
    }
    // And the other way round: a test of demands that no row names shows nothing to a reader.
    let mut ours = BTreeSet::new();
    functions_below(&root.join("e2e/tests/demands"), &mut ours)?;
    let rows: BTreeSet<&str> = named.iter().map(|(_, test)| test.as_str()).collect();
    let is_demand =
        |name: &&String| name.contains('_') && !name.starts_with("demands_of") && !name.starts_with("every_");
    let unnamed: Vec<_> =
        ours.iter().filter(is_demand).filter(|name| !rows.contains(name.as_str())).collect();
    ensure!(unnamed.is_empty(), "in no row: {unnamed:?}");
    Ok(())
}
