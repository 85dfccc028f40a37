//! The server, home and documents that the cases of all verbs share.

use serde_json::json;

use crate::api::Api;

/// A project with one of everything.
pub(super) fn world() -> Api {
    Api::default()
}

/// A command line and what came of it.
pub(super) async fn played(line: &str, input: &str) -> String {
    let outcome = world().run_with(line, input).await;
    let mut text = format!("$ oc {line}\n{}", outcome.stdout);
    for said in outcome.stderr.lines() {
        text.push_str(&format!("! {said}\n"));
    }
    if outcome.code != 0 {
        text.push_str(&format!("[{}]\n", outcome.code));
    }
    text.push('\n');
    let _ = json!(null);
    text
}
