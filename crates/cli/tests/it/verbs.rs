//! Every verb as its user sees it: help with examples, what it shows, how it fails; a snapshot for each.
//!
//! A verb without examples or without a row below fails: `cases` holds the rows. Verbs whose success needs more than
//! the server here (a registry, a login) name the test that shows it.

mod cases;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use clap::Command;

use cases::{Shows, cases};

/// The visible verbs with no verbs below them, as `policy add-role-to-user`.
fn leaves(command: &Command, path: &str, found: &mut BTreeSet<String>) {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        let path =
            if path.is_empty() { verb.get_name().to_owned() } else { format!("{path} {}", verb.get_name()) };
        // `create` and `apply` do something by themselves, too.
        let is_verb = !verb.is_subcommand_required_set();
        if !verb.has_subcommands() || is_verb {
            found.insert(path.clone());
        }
        leaves(verb, &path, found);
    }
}

fn all() -> BTreeSet<String> {
    let mut command = pierhead_cli::command("oc");
    command.build();
    let mut found = BTreeSet::new();
    leaves(&command, "", &mut found);
    found
}

#[test]
fn every_verb_has_a_case() {
    let rows = cases();
    let cases: BTreeSet<String> = rows.iter().map(|case| case.verb.clone()).collect();
    let verbs = all();
    let missing: Vec<_> = verbs.difference(&cases).collect();
    let stale: Vec<_> = cases.difference(&verbs).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "without a case: {missing:#?}, without a verb: {stale:#?}"
    );
    assert_eq!(cases.len(), rows.len(), "a verb has two cases");
}

#[tokio::test]
async fn help_has_examples() {
    let mut without = Vec::new();
    for verb in all() {
        let help = world::run(&format!("{verb} --help"), "").await.ok();
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_default();
        if !examples.lines().next().is_some_and(|line| line.starts_with("  ")) {
            without.push(verb);
        }
    }
    assert!(without.is_empty(), "without examples: {without:#?}");
}

#[tokio::test]
async fn snapshots_of_help_success_and_failure() {
    let mut pages: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in cases() {
        let top = case.verb.split(' ').next().unwrap_or_default().to_owned();
        let help = world::run(&format!("{} --help", case.verb), "").await.ok();
        // What every verb takes is in the page of `options`.
        let (own, _) = help.split_once("Global options:").unwrap_or((&help, ""));
        let page = pages.entry(top).or_default();
        page.push_str(&format!("$ oc {} --help\n{}\n\n", case.verb, own.trim_end()));
        match case.shows {
            Shows::Line(line) => {
                let outcome = world::run(&line, "").await;
                if outcome.code != 0 {
                    wrong.push(format!("{line}: {} {} {}", outcome.code, outcome.stdout, outcome.stderr));
                }
                page.push_str(&world::played(&line, &outcome));
            }
            Shows::Elsewhere(test) => page.push_str(&format!("(what it shows: {test})\n\n")),
        }
        let (line, code) = case.fails;
        let outcome = world::run(&line, "").await;
        if outcome.code != code || outcome.stderr.is_empty() {
            wrong.push(format!(
                "{line} should end with {code}: {} {} {}",
                outcome.code, outcome.stdout, outcome.stderr
            ));
        }
        page.push_str(&world::played(&line, &outcome));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (verb, page) in pages {
        insta::assert_snapshot!(verb, page);
    }
    let help = world::run("--help", "").await.ok();
    insta::assert_snapshot!("all", help);
}

#[test]
fn tests_elsewhere_exist() {
    let tests = ["tests/it", "../../e2e/tests"]
        .map(|folder| sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)));
    for case in cases() {
        if let Shows::Elsewhere(test) = case.shows {
            assert!(
                tests.iter().any(|text| text.contains(&format!("fn {test}("))),
                "{}: there is no test {test}",
                case.verb
            );
        }
    }
}

/// All Rust below a folder.
fn sources(folder: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    text
}
