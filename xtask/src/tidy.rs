//! The rules of the code base that no compiler checks: sizes, names, headers, and phrases that mean "not done".

use crate::run::workspace;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The longest a file's production part may be, in lines.
const LONGEST: usize = 800;

/// File names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] =
    ["util.rs", "utils.rs", "helper.rs", "helpers.rs", "common.rs", "misc.rs", "types.rs", "mod.rs"];

/// Fails with every place that breaks a rule.
pub(crate) fn check() -> Result<()> {
    let mut files = Vec::new();
    for folder in ["crates", "testkit", "e2e", "xtask"] {
        rust_files(&workspace().join(folder), &mut files)?;
    }
    files.sort();
    let mut wrong = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let shown = file.strip_prefix(workspace()).unwrap_or(file);
        check_file(shown, &text, &mut wrong);
    }
    if wrong.is_empty() { Ok(()) } else { bail!("tidy:\n  {}", wrong.join("\n  ")) }
}

fn check_file(file: &Path, text: &str, wrong: &mut Vec<String>) {
    let shown = file.display();
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if EMPTY_NAMES.contains(&name.as_ref()) {
        wrong.push(format!("{shown}: a file is named after what is in it"));
    }
    if !text.trim_start().starts_with("//!") {
        wrong.push(format!("{shown}: starts with a `//!` header that says what the file owns"));
    }
    let production = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text).lines().count();
    if production > LONGEST {
        wrong.push(format!("{shown}: {production} lines, more than {LONGEST}"));
    }
    if file.starts_with("xtask") {
        return; // names the phrases below itself
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(rule) = broken_rule(line) {
            wrong.push(format!("{shown}:{}: {rule}", number + 1));
        }
    }
}

fn broken_rule(line: &str) -> Option<&'static str> {
    let lower = line.to_lowercase();
    let comment = line.trim_start().starts_with("//");
    if line.contains("map_err(|_|") {
        Some("an error's cause is kept, with #[from] or #[source]")
    } else if ["in a real implementation", "not implemented yet", "for now, we", "simplified version"]
        .iter()
        .any(|phrase| lower.contains(phrase))
    {
        Some("nothing here is provisional")
    } else if comment && (lower.contains("// step ") || line.contains("=====") || line.contains("-----  ")) {
        Some("comments say why; they are not banners or steps")
    } else if line.contains("assert!(") && line.contains(".is_ok())") {
        Some("a test shows the value or the error: use expect, or compare")
    } else if line.contains("#[ignore]") {
        Some("an ignored test says why: #[ignore = \"…\"]")
    } else {
        None
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                rust_files(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}
