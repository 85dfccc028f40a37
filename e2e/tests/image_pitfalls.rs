//! The table of image pitfalls is whole, and about tests that exist.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::advisories::document::{functions_below, named_tests};

/// The document has the rows from 1 to this, and but for so many of them tests that exist.
pub(crate) fn is_whole(document: &str, last: usize, without_tests: usize) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the package is in the workspace")?;
    let mut functions = BTreeSet::new();
    for folder in ["crates", "e2e", "testkit"] {
        functions_below(&root.join(folder), &mut functions)?;
    }
    let document = std::fs::read_to_string(root.join(document))?;
    let named = named_tests(&document);
    let missing: Vec<_> = named.iter().filter(|(_, test)| !functions.contains(test)).collect();
    ensure!(missing.is_empty(), "no such tests: {missing:?}");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()?.parse().ok());
    let rows: BTreeSet<usize> = rows.collect();
    ensure!(rows == (1..=last).collect(), "there are other rows than 1 to {last}: {rows:?}");
    let with_tests: BTreeSet<&str> = named.iter().map(|(row, _)| row.as_str()).collect();
    ensure!(with_tests.len() + without_tests >= last, "only {} rows have tests", with_tests.len());
    Ok(())
}

#[test]
fn the_table_of_image_pitfalls_names_tests_that_exist() -> Result<()> {
    is_whole("docs/guides/pitfalls-images.md", 60, 2)
}
