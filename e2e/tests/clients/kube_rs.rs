//! A day with Rust: `kube` with its own client, watcher, reflector, controller and apply, and kinds it knows nothing of.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::PartialObjectMeta;
use kube::discovery::Discovery;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::events::{Event as Happening, EventType, Recorder, Reporter};
use kube::runtime::finalizer::{self, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Client, Config, Resource as _, ResourceExt as _};
use pierhead_testkit::{Actor, Site, eventually};
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

/// Those who only want to know what there is ask for metadata alone.
async fn asks_for_metadata(client: &Client) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "day");
    let listed = maps.list_metadata(&ListParams::default().labels("day=yes")).await?;
    ensure!(listed.items.len() == 3 && listed.types.kind == "PartialObjectMetadataList", "{listed:?}");
    let parts: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(client.clone(), "day");
    let mut watched = Box::pin(watcher(parts, watcher::Config::default()).applied_objects());
    let first = tokio::time::timeout(LIMIT, watched.try_next()).await??.context("a first event")?;
    ensure!(first.metadata.uid.is_some(), "{first:?}");
    let patch = json!({"metadata": {"annotations": {"seen": "yes"}}});
    let patched = maps.patch_metadata("first", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    let annotated = patched.annotations().get("seen").is_some_and(|seen| seen == "yes");
    ensure!(annotated && patched.types.is_some_and(|types| types.kind == "PartialObjectMetadata"));
    ensure!(maps.get_opt("nothing").await?.is_none() && maps.get_metadata_opt("nothing").await?.is_none());
    let patch = json!({"data": {"colour": null, "size": "1"}});
    let patched = maps.patch("first", &PatchParams::default(), &Patch::Strategic(&patch)).await?;
    ensure!(patched.data.is_some_and(|data| !data.contains_key("colour") && data.contains_key("size")));
    let mut entry = maps.entry("entered").await?.or_insert(ConfigMap::default);
    entry.get_mut().data = Some([("a".to_owned(), "b".to_owned())].into());
    entry.commit(&PostParams::default()).await?;
    ensure!(maps.get("entered").await?.data.is_some_and(|data| data.len() == 1), "what was entered is there");
    Ok(())
}

async fn gives_access(site: &Site, client: &Client) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "day");
    let spec = TokenRequestSpec { expiration_seconds: Some(600), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let answer = accounts.create_token_request("default", &PostParams::default(), &request).await?;
    let token = answer.status.and_then(|status| status.token).context("a token")?;
    let authority = site.authority().display().to_string();
    let kubeconfig = json!({
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": site.api_url(), "certificate-authority": authority}}],
        "users": [{"name": "u", "user": {"token": token}}],
    });
    let kubeconfig: Kubeconfig = serde_json::from_value(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let maps: Api<ConfigMap> = Api::namespaced(Client::try_from(config)?, "day");
    let refused = code_of(maps.list(&ListParams::default()).await)?;
    ensure!(refused == (403, "Forbidden".to_owned()), "{refused:?}");
    Ok(())
}

/// A secret for a map, and an event about either end of the map's life.
async fn reconcile(
    map: Arc<ConfigMap>,
    context: Arc<(Client, Recorder)>,
) -> std::result::Result<Action, finalizer::Error<kube::Error>> {
    let (client, recorder) = &*context;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "day");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "day");
    let tell = async |reason: &str, map: &ConfigMap| {
        let (reason, action) = (reason.to_owned(), "Reconcile".to_owned());
        let happening = Happening { type_: EventType::Normal, reason, note: None, action, secondary: None };
        recorder.publish(&happening, &map.object_ref(&())).await
    };
    finalizer(&maps, "example.com/day", map, |event| async {
        match event {
            finalizer::Event::Apply(map) => {
                let mut secret = Secret::default();
                secret.metadata.name = map.metadata.name.clone();
                secret.metadata.owner_references = map.controller_owner_ref(&()).map(|owner| vec![owner]);
                secrets.patch(&map.name_any(), &PatchParams::apply("day"), &Patch::Apply(secret)).await?;
                tell("Made", &map).await?;
            }
            finalizer::Event::Cleanup(map) => tell("CleanedUp", &map).await?,
        }
        Ok(Action::await_change())
    })
    .await
}

/// A controller as one writes it with `kube`: a finalizer, a child that has an owner, events.
async fn controls(client: &Client) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "day");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "day");
    let reporter = Reporter { controller: "example.com/day".to_owned(), instance: Some("one".to_owned()) };
    let context = Arc::new((client.clone(), Recorder::new(client.clone(), reporter)));
    let controller = Controller::new(maps.clone(), watcher::Config::default().labels("controlled=yes"))
        .owns(secrets.clone(), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(1)), context)
        .for_each(async |done| println!("{done:?}"));
    let life = async {
        let mut map = config_map("controlled", "blue")?;
        map.labels_mut().insert("controlled".to_owned(), "yes".to_owned());
        maps.create(&PostParams::default(), &map).await?;
        let child = async || secrets.get_opt("controlled").await.ok()?;
        let child = eventually("the child is made", child).await?;
        ensure!(maps.get("controlled").await?.finalizers() == ["example.com/day"], "the map is held");
        // Made anew for its owner.
        secrets.delete("controlled", &DeleteParams::default()).await?;
        let again = async || secrets.get_opt("controlled").await.ok()?.filter(|new| new.uid() != child.uid());
        eventually("the child is made again", again).await?;
        maps.delete("controlled", &DeleteParams::foreground()).await?;
        let gone = async || maps.get_opt("controlled").await.ok()?.is_none().then_some(());
        eventually("the map is let go", gone).await?;
        ensure!(
            secrets.get_opt("controlled").await?.is_none(),
            "who deletes in the foreground deletes the child first"
        );
        let events: Api<Event> = Api::namespaced(client.clone(), "day");
        let about =
            ListParams::default().fields("involvedObject.kind=ConfigMap,involvedObject.name=controlled");
        let told = events.list(&about).await?;
        for reason in ["Made", "CleanedUp"] {
            ensure!(
                told.iter().any(|event| event.reason.as_deref() == Some(reason)),
                "no {reason}: {told:?}"
            );
        }
        Ok(())
    };
    tokio::select! {
        () = controller => anyhow::bail!("the controller ended"),
        done = life => done,
    }
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
    asks_for_metadata(&client).await.context("asking for metadata")?;
    gives_access(&site, &client).await.context("giving access")?;
    controls(&self::client(&site.admin()?).await?).await.context("controlling")?;
    works_with_unknown_kinds(&client).await.context("unknown kinds")?;
    site.stop()
}
