//! What OpenShift's own command tests demand of a command line (platform 10), of ours, in our words.
//!
//! A module for each of their scripts, which starts one server; the table of demands is `docs/guides/demands.md`.

mod accounts;
mod admin;
mod apply;
mod authentication;
mod basic_resources;
mod completion;
mod explain;
mod get;
mod images;
mod login;
mod patch;
mod policy;
mod projects;
mod registry;
mod routes;
mod secrets;
mod status;
mod whoami;

use pierhead_testkit::{Actor, Outcome};

/// The words of a line; what stands in single quotes belongs to one word.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut is_quoted = false;
    for character in line.chars() {
        match character {
            '\'' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            ' ' if !is_quoted => words.extend(word.take()),
            character => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

async fn run(actor: &Actor, line: &str) -> Outcome {
    actor.oc(words(line)).await
}

/// It works; gives what it printed.
async fn does(actor: &Actor, line: &str) -> String {
    run(actor, line).await.succeeds()
}

/// It works and says this; gives what it printed.
async fn says(actor: &Actor, line: &str, text: &str) -> String {
    let outcome = run(actor, line).await;
    assert!(outcome.code == Some(0) && outcome.said(text), "this should say {text:?}:\n{outcome}");
    outcome.stdout
}

/// It fails with this text and code.
async fn fails(actor: &Actor, line: &str, code: i32, text: &str) {
    let outcome = run(actor, line).await;
    assert!(
        outcome.code == Some(code) && outcome.said(text),
        "this should end with {code} and say {text:?}:\n{outcome}"
    );
}

/// A document goes in by standard input.
async fn feeds(actor: &Actor, line: &str, document: &str) -> String {
    actor.oc_with_input(words(line), document).await.succeeds()
}
