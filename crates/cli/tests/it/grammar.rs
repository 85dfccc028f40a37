//! The grammar itself, and how commands end.

use crate::api::{Api, status};

const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/pushed/imagestreams";

#[test]
fn every_verb_is_well_formed() {
    pierhead_cli::command("oc").debug_assert();
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_2() {
    let text = Api::default().run("frobnicate").await.ended_with(2);
    assert!(text.contains("unrecognized subcommand 'frobnicate'"), "{text}");
    Api::default().run("get --no-such-flag").await.ended_with(2);
    Api::default().run("whoami -t -c").await.ended_with(2);
}

#[tokio::test]
async fn the_exit_code_says_how_it_went() {
    let api = Api::default();
    let (code, refusal) = status(401, "Unauthorized", "Unauthorized");
    api.answer(&format!("GET {STREAMS}/locked"), code, refusal);
    for name in ["a", "b"] {
        let stream = serde_json::json!({"kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": name}});
        api.put(&format!("{STREAMS}/{name}"), stream);
    }
    let config_map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}\n---\n";
    let twice = format!("{config_map}{config_map}");
    for (line, input, code) in [
        ("get is/a", "", 0),
        ("get is/none", "", 1),
        ("get is/none is/nowhere", "", 1),
        ("get is/a is/none", "", 3),
        ("describe is/a is/none", "", 3),
        ("delete is/a is/none", "", 3),
        ("create -f -", twice.as_str(), 3),
        ("get is/locked", "", 4),
        ("get is/locked is/locked", "", 4),
        ("wait is/b --for=condition=Ready --timeout=0", "", 124),
        ("delete is --all --wait=false", "", 0),
    ] {
        let outcome = api.run_with(line, input).await;
        assert_eq!(outcome.code, code, "{line}: {} {}", outcome.stdout, outcome.stderr);
    }
}

#[tokio::test]
async fn warnings_of_the_server_are_shown_once_and_can_count() {
    let api = Api::default();
    api.warns("old \"words\" are used");
    let outcome = api.run("get is,svc").await;
    assert_eq!(outcome.code, 0);
    assert_eq!(outcome.stderr.matches("Warning: old \"words\" are used\n").count(), 1, "{}", outcome.stderr);
    let error = api.run("get is --warnings-as-errors").await.failed();
    assert!(error.ends_with("error: 1 warning received\n"), "{error}");
}

#[tokio::test]
async fn requests_are_shown_without_what_is_secret() {
    let api = Api::default();
    let secret =
        serde_json::json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "c2VjcmV0"}});
    api.put("/api/v1/namespaces/pushed/secrets/s", secret);
    let shown = api.run("get secret s -o name -v 9").await.stderr;
    assert!(shown.contains("GET /api/v1/namespaces/pushed/secrets/s 200 OK in "), "{shown}");
    assert!(shown.contains("Response Headers:\n    content-type: application/json\n"), "{shown}");
    assert!(shown.contains("bytes are not shown]") && !shown.contains("c2VjcmV0"), "{shown}");
    assert_eq!(api.run("get secret s -o name -v 5").await.stderr, "");
}

#[tokio::test]
async fn colours_are_for_terminals() {
    type Vars = [(&'static str, &'static str)];
    let home = tempfile::tempdir().unwrap();
    let rows: &[(&Vars, &str, bool)] = &[
        (&[], "", false),
        (&[("CLICOLOR_FORCE", "1")], "", true),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], "", false),
        (&[("NO_COLOR", "1")], "--color=always", true),
        (&[("CLICOLOR_FORCE", "1")], "--color=never", false),
    ];
    for (vars, flag, coloured) in rows {
        let error = Api::default()
            .run_among(vars, home.path(), &format!("get nonsense -n p {flag}"), "")
            .await
            .failed();
        assert_eq!(
            error.starts_with("\u{1b}[31merror:\u{1b}[0m the server"),
            *coloured,
            "{vars:?} {flag}: {error:?}"
        );
        assert_eq!(error.contains('\u{1b}'), *coloured, "{error:?}");
    }
}

#[tokio::test]
async fn versions_can_be_made_to_match() {
    let api = Api::default();
    let own = serde_json::json!({"gitVersion": format!("v1.32.0+pierhead-{}", env!("CARGO_PKG_VERSION"))});
    api.answer("GET /version", 200, own);
    api.run("get is -o name --match-server-version").await.ok();
    api.answer("GET /version", 200, serde_json::json!({"gitVersion": "v1.32.0"}));
    let error = api.run("get is --match-server-version").await.failed();
    assert!(
        error.starts_with("error: server version (v1.32.0) differs from client version (pierhead-"),
        "{error}"
    );
}
