//! Verbs that are programs of their own: `pierhead-NAME`, `oc-NAME`, `kubectl-NAME` on the path.
//!
//! Owns which program a command line means. The verbs of this crate always come first; among plugins the one with the
//! longest name wins, as `oc adm-top-x` would for `oc adm-top x`.

use std::{
    ffi::{OsStr, OsString},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process,
};

use clap::Command;

use crate::environment::{Environment, ExitStatus};

const PREFIXES: [&str; 3] = ["pierhead-", "oc-", "kubectl-"];

/// A program whose name says that it is a verb.
pub(crate) struct Plugin {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) is_executable: bool,
}

/// All plugins in the order of the path.
pub(crate) fn all(environment: &Environment) -> Vec<Plugin> {
    let mut found = Vec::new();
    for folder in folders(environment) {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let mut here: Vec<Plugin> = entries.flatten().filter_map(|entry| of_file(entry.path())).collect();
        here.sort_by(|one, other| one.name.cmp(&other.name));
        found.extend(here);
    }
    found
}

fn folders(environment: &Environment) -> Vec<PathBuf> {
    let path = environment.vars.get("PATH").map(OsString::as_os_str).unwrap_or_default();
    std::env::split_paths(path).filter(|folder| !folder.as_os_str().is_empty()).collect()
}

fn of_file(path: PathBuf) -> Option<Plugin> {
    let name = path.file_name()?.to_str()?.to_owned();
    let is_plugin =
        PREFIXES.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
    if !is_plugin || path.is_dir() {
        return None;
    }
    let is_executable = is_executable(&path);
    Some(Plugin { name, path, is_executable })
}

fn is_executable(path: &std::path::Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The verb of ours that a plugin would have to replace.
pub(crate) fn built_in(plugin: &Plugin, command: &Command) -> Option<String> {
    let rest = PREFIXES.iter().find_map(|prefix| plugin.name.strip_prefix(prefix))?;
    // A dash separates words, unless it was typed as one and stands as an underscore.
    let first = rest.split('-').next()?.replace('_', "-");
    let whole = rest.replace('_', "-");
    [whole, first].into_iter().find(|verb| command.find_subcommand(verb).is_some())
}

/// Runs the plugin that the words (the first is the program's name) mean; none where there is none, or where they
/// name a verb of ours.
#[must_use]
pub fn run_plugin(
    command: &Command,
    arguments: &[OsString],
    environment: &mut Environment,
) -> Option<ExitStatus> {
    let words: Vec<&str> = arguments
        .iter()
        .skip(1)
        .map_while(|word| word.to_str())
        .take_while(|word| !word.starts_with('-') && !word.is_empty() && !word.contains('/'))
        .collect();
    let first = words.first()?;
    if command.find_subcommand(first).is_some() || *first == "help" {
        return None;
    }
    let folders = folders(environment);
    for length in (1..=words.len()).rev() {
        let parts: Vec<String> = words.iter().take(length).map(|word| word.replace('-', "_")).collect();
        let dashed: Vec<String> = words.iter().take(length).map(|word| (*word).to_owned()).collect();
        for prefix in PREFIXES {
            for parts in [&parts, &dashed] {
                let name = format!("{prefix}{}", parts.join("-"));
                let path = folders.iter().map(|folder| folder.join(&name)).find(|path| is_executable(path));
                if let Some(path) = path {
                    let rest: Vec<&OsStr> =
                        arguments.iter().skip(1 + length).map(OsString::as_os_str).collect();
                    return Some(run(&path, &rest, environment));
                }
            }
        }
    }
    None
}

fn run(path: &std::path::Path, arguments: &[&OsStr], environment: &mut Environment) -> ExitStatus {
    let status = process::Command::new(path).args(arguments).current_dir(&environment.cwd).status();
    match status {
        Ok(status) => ExitStatus(
            status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(ExitStatus::FAILURE.0),
        ),
        Err(error) => {
            let written = writeln!(environment.stderr, "error: unable to run {}: {error}", path.display());
            if written.is_ok() { ExitStatus::FAILURE } else { ExitStatus::USAGE }
        }
    }
}
