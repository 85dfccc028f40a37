//! The table of advisories is about tests that exist.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// The names of all functions in Rust files below `folder`.
pub(crate) fn functions_below(folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            functions_below(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for line in std::fs::read_to_string(&path)?.lines() {
                let name = line.split_once("fn ").and_then(|(_, rest)| rest.split(['(', '<']).next());
                found.extend(name.map(str::to_owned));
            }
        }
    }
    Ok(())
}

/// The names in the second column of the document's tables, each with its row.
pub(crate) fn named_tests(document: &str) -> Vec<(String, String)> {
    let mut named = Vec::new();
    for line in document.lines().filter(|line| line.starts_with("| ")) {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let (Some(row), Some(tests)) = (cells.next(), cells.next()) else { continue };
        let quoted = tests.split('`').skip(1).step_by(2);
        named.extend(quoted.map(|test| (row.to_owned(), test.to_owned())));
    }
    named
}

#[test]
fn every_row_names_tests_that_exist() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the package is in the workspace")?;
    let mut functions = BTreeSet::new();
    for folder in ["crates", "e2e", "testkit"] {
        functions_below(&root.join(folder), &mut functions)?;
    }
    let document = std::fs::read_to_string(root.join("docs/guides/advisories.md"))?;
    let named = named_tests(&document);
    let missing: Vec<_> = named.iter().filter(|(_, test)| !functions.contains(test)).collect();
    ensure!(missing.is_empty(), "no such tests: {missing:?}");
    let rows: BTreeSet<&str> = named.iter().map(|(row, _)| row.as_str()).collect();
    ensure!(rows.len() >= 25, "only {} rows have tests: {rows:?}", rows.len());
    Ok(())
}
