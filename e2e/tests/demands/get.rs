//! `get` in all its forms.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pierhead_testkit::{Actor, Site};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{does, fails, feeds, run, says};

const OBJECTS: &str = "
{apiVersion: v1, kind: Service, metadata: {name: web, labels: {app: web}}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {app: web}}, data: {size: '9'}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {size: '10'}}
---
{apiVersion: image.openshift.io/v1, kind: ImageStream, metadata: {name: app}}
";

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_get() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    does(&ed, "new-project shown").await;
    feeds(&ed, "create -f -", OBJECTS).await;
    several_kinds_are_told_apart(&ed).await?;
    objects_are_chosen_by_labels_fields_and_names(&ed).await?;
    every_form_of_output_works(&ed).await?;
    changes_are_watched(&site, &ed).await?;
    what_is_not_there_is_said(&ed).await?;
    site.stop()
}

async fn several_kinds_are_told_apart(ed: &Actor) -> Result<()> {
    let all = does(ed, "get all").await;
    assert!(all.contains("service/web ") && all.contains("imagestream.image.openshift.io/app "), "{all}");
    let both = does(ed, "get svc,is").await;
    assert!(both.contains("service/web ") && both.contains("\n\n"), "{both}");
    says(ed, "get svc,configmap -o jsonpath={.kind}", "List").await;
    let named = does(ed, "get svc/web is/app -o name").await;
    assert_eq!(named, "service/web\nimagestream.image.openshift.io/app\n");
    let everywhere = does(ed, "get projects --no-headers").await;
    assert!(everywhere.starts_with("shown "), "{everywhere}");
    Ok(())
}

async fn objects_are_chosen_by_labels_fields_and_names(ed: &Actor) -> Result<()> {
    assert_eq!(does(ed, "get cm -l app=web -o name").await, "configmap/a\n");
    assert_eq!(does(ed, "get cm -l '!app' --field-selector=metadata.name=b -o name").await, "configmap/b\n");
    let sorted = does(ed, "get cm a b --sort-by={.metadata.name} -o name --chunk-size=1").await;
    assert_eq!(sorted, "configmap/a\nconfigmap/b\n");
    says(ed, "get cm a --show-labels", "app=web").await;
    says(ed, "get cm a -L app", "APP").await;
    says(ed, "get cm a --show-kind", "configmap/a").await;
    fails(ed, "get cm -A", 1, "cannot list").await;
    Ok(())
}

async fn every_form_of_output_works(ed: &Actor) -> Result<()> {
    std::fs::write(ed.home().join("columns"), "NAME SIZE\n.metadata.name .data.size\n")?;
    std::fs::write(ed.home().join("template"), "{{.data.size}}")?;
    std::fs::write(ed.home().join("path"), "{.data.size}")?;
    for (form, said) in [
        ("json", "\"size\": \"9\""),
        ("yaml", "size: \"9\""),
        ("name", "configmap/a"),
        ("wide", "NAME"),
        ("jsonpath={.data.size}", "9"),
        ("jsonpath-as-json={.data.size}", "[\n    \"9\"\n]"),
        ("jsonpath-file=path", "9"),
        ("go-template={{.data.size}}", "9"),
        ("go-template-file=template", "9"),
        ("custom-columns=SIZE:.data.size", "SIZE\n9\n"),
        ("custom-columns-file=columns", "NAME   SIZE\na      9\n"),
    ] {
        says(ed, &format!("get cm a -o {form}"), said).await;
    }
    fails(ed, "get cm a -o fancy", 1, "unable to match a printer").await;
    says(ed, "get --raw /api/v1/namespaces/shown/configmaps/a", "\"size\":\"9\"").await;
    Ok(())
}

async fn changes_are_watched(site: &Site, ed: &Actor) -> Result<()> {
    let mut watch = tokio::process::Command::new(site.binary())
        .args(["get", "configmap", "--watch", "--output-watch-events", "--no-headers", "--chunk-size=1"])
        .env_clear()
        .env("KUBECONFIG", ed.kubeconfig())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(watch.stdout.take().context("it is piped")?).lines();
    let mut next = async || -> Result<String> {
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await??;
        line.context("the watch ended")
    };
    let mut first = vec![next().await?, next().await?];
    first.sort();
    assert!(first.iter().all(|line| line.starts_with("ADDED ")), "{first:?}");
    does(ed, "create configmap c").await;
    let line = next().await?;
    assert!(line.starts_with("ADDED ") && line.contains(" c "), "{line}");
    does(ed, "label configmap c x=y").await;
    let line = next().await?;
    assert!(line.starts_with("MODIFIED "), "{line}");
    does(ed, "delete configmap c").await;
    let line = next().await?;
    assert!(line.starts_with("DELETED "), "{line}");
    Ok(())
}

async fn what_is_not_there_is_said(ed: &Actor) -> Result<()> {
    let outcome = run(ed, "get pods").await;
    assert_eq!(
        (outcome.code, outcome.stderr.as_str()),
        (Some(0), "No resources found in shown namespace.\n")
    );
    fails(ed, "get pod none", 1, "Error from server (NotFound): pods \"none\" not found").await;
    does(ed, "get pod none --ignore-not-found").await;
    fails(ed, "get gadgets", 1, "the server doesn't have a resource type \"gadgets\"").await;
    fails(ed, "get cm a none", 3, "\"none\" not found").await;
    says(ed, "get projectrequests -o yaml", "status: Success").await;
    Ok(())
}
