//! A day with Rust: `kube` with its own client, watcher, reflector and apply, and kinds it knows nothing of.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::Discovery;
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Client, Config, ResourceExt as _};
use pierhead_testkit::{Actor, Site};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(30);

async fn client(actor: &Actor) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(actor.kubeconfig())?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn config_map(name: &str, colour: &str) -> Result<ConfigMap> {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"day": "yes"}},
        "data": {"colour": colour}});
    Ok(serde_json::from_value(object)?)
}

fn code_of<T: std::fmt::Debug>(answer: kube::Result<T>) -> Result<(u16, String)> {
    match answer {
        Err(kube::Error::Api(status)) => Ok((status.code, status.reason.clone())),
        other => anyhow::bail!("no refusal: {other:?}"),
    }
}

async fn looks_around(client: &Client) -> Result<()> {
    let version = client.apiserver_version().await?;
    ensure!(version.major == "1", "{version:?}");
    for discovery in
        [Discovery::new(client.clone()).run().await?, Discovery::new(client.clone()).run_aggregated().await?]
    {
        let groups: Vec<&str> = discovery.groups().map(|group| group.name()).collect();
        ensure!(
            groups.contains(&"image.openshift.io") && groups.contains(&"rbac.authorization.k8s.io"),
            "{groups:?}"
        );
    }
    let attributes = ResourceAttributes {
        namespace: Some("day".to_owned()),
        verb: Some("create".to_owned()),
        resource: Some("secrets".to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    ensure!(answer.status.is_some_and(|status| status.allowed), "who made the project may make secrets");
    let foreign: Api<Secret> = Api::namespaced(client.clone(), "kube-system");
    let refused = code_of(foreign.list(&ListParams::default()).await)?;
    ensure!(refused == (403, "Forbidden".to_owned()), "{refused:?}");
    Ok(())
}

async fn writes_and_watches(client: &Client) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "day");
    let first = maps.create(&PostParams::default(), &config_map("first", "blue")?).await?;
    let (reader, writer) = reflector::store();
    // Both ways of beginning: a list, and a watch that begins with what there is.
    let listing = watcher::Config::default().labels("day=yes");
    let streaming = listing.clone().streaming_lists();
    let listed = watcher(maps.clone(), listing).reflect(writer).applied_objects();
    let streamed = watcher(maps.clone(), streaming).applied_objects();
    let (mut listed, mut streamed) = (Box::pin(listed), Box::pin(streamed));
    let changes = async {
        maps.create(&PostParams::default(), &config_map("second", "green")?).await?;
        let patch = json!({"data": {"colour": "red"}});
        maps.patch("second", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        anyhow::Ok(())
    };
    let mut seen = Vec::new();
    for stream in [&mut listed as &mut (dyn futures_util::Stream<Item = _> + Unpin + Send), &mut streamed] {
        let map: ConfigMap =
            tokio::time::timeout(LIMIT, stream.try_next()).await??.context("a first event")?;
        seen.push(map.name_any());
    }
    ensure!(seen == ["first", "first"], "{seen:?}");
    changes.await?;
    for stream in [&mut listed as &mut (dyn futures_util::Stream<Item = _> + Unpin + Send), &mut streamed] {
        for colour in ["green", "red"] {
            let map: ConfigMap = tokio::time::timeout(LIMIT, stream.next()).await?.context("an event")??;
            let is = map.data.as_ref().and_then(|data| data.get("colour")).map(String::as_str);
            ensure!(map.name_any() == "second" && is == Some(colour), "{map:?}");
        }
    }
    ensure!(reader.state().len() == 2, "{:?}", reader.state());
    let stale = maps.replace("first", &PostParams::default(), &first).await?;
    maps.patch("first", &PatchParams::default(), &Patch::Merge(json!({"data": {"more": "1"}}))).await?;
    let refused = code_of(maps.replace("first", &PostParams::default(), &stale).await)?;
    ensure!(refused == (409, "Conflict".to_owned()), "{refused:?}");
    let refused = code_of(maps.create(&PostParams::default(), &config_map("first", "x")?).await)?;
    ensure!(refused == (409, "AlreadyExists".to_owned()), "{refused:?}");
    let page = maps.list(&ListParams::default().labels("day=yes").limit(1)).await?;
    let token = page.metadata.continue_.clone().context("a second page")?;
    let rest = maps.list(&ListParams::default().labels("day=yes").limit(1).continue_token(&token)).await?;
    ensure!(page.items.len() == 1 && rest.items.len() == 1, "two pages of one");
    Ok(())
}

async fn applies(client: &Client) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "day");
    let by = |manager: &str| PatchParams::apply(manager);
    let applied = maps.patch("applied", &by("day"), &Patch::Apply(config_map("applied", "blue")?)).await?;
    ensure!(
        applied.managed_fields().iter().any(|record| record.manager.as_deref() == Some("day")),
        "{applied:?}"
    );
    let refused = maps.patch("applied", &by("other"), &Patch::Apply(config_map("applied", "red")?)).await;
    ensure!(code_of(refused)? == (409, "Conflict".to_owned()));
    let forced =
        maps.patch("applied", &by("other").force(), &Patch::Apply(config_map("applied", "red")?)).await?;
    ensure!(forced.data.is_some_and(|data| data.get("colour").is_some_and(|colour| colour == "red")));
    Ok(())
}

async fn works_with_unknown_kinds(client: &Client) -> Result<()> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let group = discovery.get("image.openshift.io").context("a group")?;
    let (resource, _) = group.recommended_kind("ImageStream").context("image streams")?;
    let streams: Api<DynamicObject> = Api::namespaced_with(client.clone(), "day", &resource);
    let stream =
        DynamicObject::new("web", &resource).data(json!({"spec": {"lookupPolicy": {"local": true}}}));
    let made = streams.create(&PostParams::default(), &stream).await?;
    ensure!(
        made.data["status"]["dockerImageRepository"].as_str().is_some_and(|name| name.ends_with("/day/web"))
    );
    let uid = made.uid().context("a uid")?;
    let gone = await_condition(streams.clone(), "web", conditions::is_deleted(&uid));
    streams.delete("web", &DeleteParams::default()).await?;
    tokio::time::timeout(LIMIT, gone).await??;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "day");
    maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("day=yes")).await?;
    let left = maps.list(&ListParams::default().labels("day=yes")).await?;
    ensure!(left.items.is_empty(), "{left:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_kube_rs() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    ed.oc(["new-project", "day"]).await.succeeds();
    let client = client(&ed).await?;
    looks_around(&client).await.context("looking around")?;
    writes_and_watches(&client).await.context("writing and watching")?;
    applies(&client).await.context("applying")?;
    works_with_unknown_kinds(&client).await.context("unknown kinds")?;
    site.stop()
}
