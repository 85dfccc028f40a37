//! `apply`, `diff` and what was applied last.

use anyhow::Result;
use pierhead_testkit::{Actor, Site};

use super::{does, fails, feeds, says};

const FIRST: &str = "
{apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: s}}, data: {a: '1', b: '2'}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: two, labels: {set: s}}}
";
const SECOND: &str =
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: s}}, data: {a: '9'}}";

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_apply() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    does(&ed, "new-project applied").await;
    differences_are_shown_before(&ed).await?;
    objects_become_as_documents_say(&ed).await?;
    what_is_in_the_documents_no_more_is_pruned(&ed).await?;
    what_was_applied_can_be_seen_and_set(&ed).await?;
    the_server_merges_and_tells_of_conflicts(&ed).await?;
    site.stop()
}

async fn differences_are_shown_before(ed: &Actor) -> Result<()> {
    let outcome = ed.oc_with_input(["diff", "-f", "-"], FIRST).await;
    assert!(outcome.code == Some(1) && outcome.said("+  a: \"1\""), "{outcome}");
    feeds(ed, "apply -f -", FIRST).await;
    let outcome = ed.oc_with_input(["diff", "-f", "-"], FIRST).await;
    assert!(outcome.code == Some(0) && outcome.stdout.is_empty(), "{outcome}");
    let outcome = ed.oc_with_input(["diff", "-f", "-"], SECOND).await;
    assert!(
        outcome.code == Some(1) && outcome.said("-  b: \"2\"") && outcome.said("+  a: \"9\""),
        "{outcome}"
    );
    let outcome =
        ed.oc_with_input(["diff", "-f", "-"], "{apiVersion: v1, kind: Gadget, metadata: {name: x}}").await;
    assert_eq!(outcome.code, Some(2), "{outcome}");
    Ok(())
}

async fn objects_become_as_documents_say(ed: &Actor) -> Result<()> {
    does(ed, "patch configmap one -p '{\"data\":{\"own\":\"kept\"}}'").await;
    assert!(feeds(ed, "apply -f -", FIRST).await.contains("unchanged"));
    assert!(feeds(ed, "apply -f - --dry-run=server", SECOND).await.contains("configured (server dry run)"));
    assert!(feeds(ed, "apply -f -", SECOND).await.contains("configured"));
    says(ed, "get configmap one -o jsonpath={.data}", "{\"a\":\"9\",\"own\":\"kept\"}").await;
    does(ed, "create configmap by-hand").await;
    let outcome = ed
        .oc_with_input(["apply", "-f", "-"], "{apiVersion: v1, kind: ConfigMap, metadata: {name: by-hand}}")
        .await;
    assert!(outcome.said("is missing the kubectl.kubernetes.io/last-applied-configuration"), "{outcome}");
    fails(ed, "apply", 1, "must specify -f").await;
    Ok(())
}

async fn what_is_in_the_documents_no_more_is_pruned(ed: &Actor) -> Result<()> {
    let outcome = ed.oc_with_input(["apply", "-f", "-", "--prune"], SECOND).await;
    outcome.fails_with("without explicitly passing --all");
    assert!(
        feeds(ed, "apply -f - --prune -l set=s --dry-run=client", SECOND).await.contains("pruned (dry run)")
    );
    does(ed, "get configmap two").await;
    let said = feeds(ed, "apply -f - --prune -l set=s", SECOND).await;
    assert!(said.contains("\"two\" pruned"), "{said}");
    fails(ed, "get configmap two", 1, "not found").await;
    does(ed, "get configmap by-hand").await;
    Ok(())
}

async fn what_was_applied_can_be_seen_and_set(ed: &Actor) -> Result<()> {
    says(ed, "apply view-last-applied configmap/one", "a: \"9\"").await;
    does(ed, "create configmap made").await;
    fails(ed, "apply view-last-applied configmap/made", 1, "no last-applied-configuration annotation found")
        .await;
    let document = "{apiVersion: v1, kind: ConfigMap, metadata: {name: made}, data: {x: '1'}}";
    ed.oc_with_input(["apply", "set-last-applied", "-f", "-"], document)
        .await
        .fails_with("--create-annotation");
    feeds(ed, "apply set-last-applied -f - --create-annotation", document).await;
    says(ed, "apply view-last-applied configmap/made -o json", "\"x\": \"1\"").await;
    assert_eq!(does(ed, "get configmap made -o jsonpath={.data.x}").await, "");
    Ok(())
}

async fn the_server_merges_and_tells_of_conflicts(ed: &Actor) -> Result<()> {
    let said = feeds(
        ed,
        "apply -f - --server-side --field-manager=one --compat=4",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: shared}, data: {a: '1'}}",
    )
    .await;
    assert_eq!(said, "configmap/shared serverside-applied\n");
    let other = "{apiVersion: v1, kind: ConfigMap, metadata: {name: shared}, data: {a: '2'}}";
    let outcome = ed.oc_with_input(["apply", "-f", "-", "--server-side", "--field-manager=two"], other).await;
    outcome.fails_with("conflict");
    feeds(ed, "apply -f - --server-side --field-manager=two --force-conflicts", other).await;
    says(ed, "get configmap shared -o jsonpath={.data.a}", "2").await;
    Ok(())
}
