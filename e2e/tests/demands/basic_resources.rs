//! What everybody does with objects of any kind.

use anyhow::Result;
use pierhead_testkit::{Actor, Site};

use super::{does, fails, feeds, run, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_basic_resources() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    does(&ed, "new-project basics").await;
    versions_match_and_kinds_are_listed(&ed).await?;
    objects_are_labelled_and_annotated(&ed).await?;
    some_of_several_may_fail(&ed).await?;
    lists_that_are_empty_stay_empty(&site.admin()?).await?;
    objects_are_waited_for(&ed).await?;
    requests_have_a_time(&ed).await?;
    site.stop()
}

async fn versions_match_and_kinds_are_listed(ed: &Actor) -> Result<()> {
    does(ed, "get pods --match-server-version").await;
    says(ed, "version", "Kubernetes Version: v1.").await;
    says(ed, "api-versions", "image.openshift.io/v1").await;
    says(ed, "api-resources --api-group=image.openshift.io -o name", "imagestreams.image.openshift.io").await;
    says(ed, "cluster-info", "Kubernetes control plane is running at https://").await;
    says(ed, "options", "--namespace=PROJECT").await;
    says(ed, "types", "imagestream").await;
    Ok(())
}

async fn objects_are_labelled_and_annotated(ed: &Actor) -> Result<()> {
    does(ed, "create configmap one --from-literal=a=1").await;
    does(ed, "label configmap/one tier=front").await;
    fails(
        ed,
        "label configmap/one tier=back",
        1,
        "'tier' already has a value (front), and --overwrite is false",
    )
    .await;
    says(ed, "label configmap/one tier=back --overwrite --dry-run=server", "(server dry run)").await;
    says(ed, "label configmap/one --list", "tier=front").await;
    does(ed, "label configmap --all tier-").await;
    does(ed, "annotate configmap/one note='two words'").await;
    says(ed, "annotate configmap/one --list", "note=two words").await;
    fails(ed, "annotate configmap/one note=x --overwrite --resource-version=1", 1, "Conflict").await;
    let local =
        feeds(ed, "label -f - --local a=b -o yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}")
            .await;
    assert!(local.contains("a: b"), "{local}");
    Ok(())
}

async fn some_of_several_may_fail(ed: &Actor) -> Result<()> {
    let documents = "
{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: two}}
";
    let outcome = ed.oc_with_input(["create", "-f", "-"], documents).await;
    assert!(outcome.code == Some(3) && outcome.said("already exists"), "{outcome}");
    does(ed, "get configmap two").await;
    fails(ed, "delete configmap two three", 3, "\"three\" not found").await;
    fails(ed, "delete configmap two three", 1, "not found").await;
    does(ed, "delete configmap two --ignore-not-found").await;
    fails(ed, "frobnicate", 2, "unrecognized subcommand").await;
    feeds(
        ed,
        "replace --force -f -",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {b: '2'}}",
    )
    .await;
    says(ed, "get configmap one -o jsonpath={.data}", "{\"b\":\"2\"}").await;
    Ok(())
}

async fn lists_that_are_empty_stay_empty(admin: &Actor) -> Result<()> {
    feeds(admin, "create -f -", "{apiVersion: user.openshift.io/v1, kind: Group, metadata: {name: empty}}")
        .await;
    says(admin, "get group empty -o yaml", "users: null").await;
    does(admin, "patch group empty -p '{\"users\":[]}'").await;
    says(admin, "get group empty -o yaml", "users: []").await;
    Ok(())
}

async fn objects_are_waited_for(ed: &Actor) -> Result<()> {
    fails(ed, "wait configmap/one --for=jsonpath={.data.c}=3 --timeout=1s", 124, "timed out waiting").await;
    does(ed, "wait configmap/one --for=jsonpath={.data.b}=2").await;
    fails(ed, "wait configmap/none --for=condition=Ready --timeout=5s", 1, "not found").await;
    does(ed, "delete configmap one").await;
    does(ed, "wait configmap/one --for=delete").await;
    Ok(())
}

async fn requests_have_a_time(ed: &Actor) -> Result<()> {
    does(ed, "get pods --request-timeout=10s").await;
    fails(ed, "get pods --request-timeout=soon", 1, "invalid duration").await;
    let outcome = run(ed, "get pods -v=6").await;
    assert!(outcome.stderr.contains("/api/v1/namespaces/basics/pods?limit=500 200 OK in "), "{outcome}");
    Ok(())
}
