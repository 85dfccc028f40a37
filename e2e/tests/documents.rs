//! The tables of `docs/guides` that say which test shows what: whole, and about tests that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// What OpenShift's scripts are called that the table of demands must have a section for.
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

fn workspace() -> Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().map(Path::to_path_buf).context("the package is in the workspace")
}

/// The names of all functions in Rust files below `folder`.
fn functions_below(folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
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

/// A document of `docs/guides` with a table whose second column names tests.
struct Document {
    text: String,
    /// First column of a row, and a test that it names.
    named: Vec<(String, String)>,
}

impl Document {
    /// Reads it; every test that it names exists.
    fn read(name: &str) -> Result<Self> {
        let root = workspace()?;
        let text = std::fs::read_to_string(root.join("docs/guides").join(name))?;
        let mut named = Vec::new();
        for line in text.lines().filter(|line| line.starts_with("| ")) {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let (Some(row), Some(tests)) = (cells.next(), cells.next()) else { continue };
            let quoted = tests.split('`').skip(1).step_by(2);
            named.extend(quoted.map(|test| (row.to_owned(), test.to_owned())));
        }
        let mut functions = BTreeSet::new();
        for folder in ["crates", "e2e", "testkit"] {
            functions_below(&root.join(folder), &mut functions)?;
        }
        let missing: Vec<_> = named.iter().filter(|(_, test)| !functions.contains(test)).collect();
        ensure!(missing.is_empty(), "no such tests: {missing:?}");
        Ok(Self { text, named })
    }

    /// The rows that name a test.
    fn rows(&self) -> BTreeSet<&str> {
        self.named.iter().map(|(row, _)| row.as_str()).collect()
    }

    /// It has the rows from 1 to this, and but for so many of them tests.
    fn is_whole(&self, last: usize, without_tests: usize) -> Result<()> {
        let first = |line: &str| line.strip_prefix("| ")?.split(" |").next()?.parse().ok();
        let rows: BTreeSet<usize> = self.text.lines().filter_map(first).collect();
        ensure!(rows == (1..=last).collect(), "there are other rows than 1 to {last}: {rows:?}");
        let with_tests = self.rows().len();
        ensure!(with_tests + without_tests >= last, "only {with_tests} rows have tests");
        Ok(())
    }
}

#[test]
fn the_table_of_advisories_names_tests_that_exist() -> Result<()> {
    let document = Document::read("advisories.md")?;
    let rows = document.rows();
    ensure!(rows.len() >= 25, "only {} rows have tests: {rows:?}", rows.len());
    Ok(())
}

#[test]
fn the_table_of_image_pitfalls_names_tests_that_exist() -> Result<()> {
    Document::read("pitfalls-images.md")?.is_whole(60, 2)
}

#[test]
fn the_table_of_platform_pitfalls_names_tests_that_exist() -> Result<()> {
    Document::read("pitfalls-platform.md")?.is_whole(53, 0)
}

#[test]
fn the_table_of_demands_names_tests_that_exist() -> Result<()> {
    let document = Document::read("demands.md")?;
    for script in SCRIPTS {
        ensure!(document.text.contains(&format!("\n## {script}\n")), "no section for {script}");
    }
    // And the other way round: a test of demands that no row names shows nothing to a reader.
    let mut ours = BTreeSet::new();
    functions_below(&workspace()?.join("e2e/tests/demands"), &mut ours)?;
    let named: BTreeSet<&str> = document.named.iter().map(|(_, test)| test.as_str()).collect();
    let is_demand = |name: &&String| name.contains('_') && !name.starts_with("demands_of");
    let unnamed: Vec<_> =
        ours.iter().filter(is_demand).filter(|name| !named.contains(name.as_str())).collect();
    ensure!(unnamed.is_empty(), "in no row: {unnamed:?}");
    Ok(())
}
