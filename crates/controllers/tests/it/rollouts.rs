//! Deployment configurations as their users see them, from the first rollout to the last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use pierhead_api::apps::{DeploymentConfig, DeploymentConfigStatus};
use pierhead_api::core::{Event, Namespace, Pod, ReplicationController, Service};
use pierhead_api::meta::ObjectMeta;
use pierhead_api::{Object, from_value};
use pierhead_client::Client;
use pierhead_controllers::{Config, DeployerLogs, LogQuery};
use pierhead_runtime::{Clock, Secret, SharedClock, Tasks};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fake_api::{Death, FakeApi};
use crate::fake_node;

/// The time of day by the time that tokio's tests make pass.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.0.elapsed()).unwrap();
        "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + passed
    }
}

struct Cluster {
    api: FakeApi,
    client: Client,
    clock: SharedClock,
    logs: DeployerLogs,
    node: Tasks,
    /// The controllers; replaced when they die.
    tasks: Tasks,
    /// How often the controllers were started again.
    revivals: u64,
    /// What the deployer of the second version had said when it was last looked at.
    said: String,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let api = FakeApi::default();
        let client = api.client();
        let folder = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(TestClock(Instant::now()));
        let logs = DeployerLogs::open(folder.path(), Arc::clone(&clock)).unwrap();
        let (node, tasks) = (Tasks::new(), Tasks::new());
        fake_node::start(client.clone(), Arc::clone(&clock), &node).await;
        let cluster =
            Self { api, client, clock, logs, node, tasks, revivals: 0, said: String::new(), _folder: folder };
        let mut namespace = Namespace { metadata: ObjectMeta::named("shop"), ..Namespace::default() };
        namespace.spec.finalizers = vec!["kubernetes".into()];
        namespace.status.phase = "Active".into();
        cluster.client.create(None, &namespace).await.unwrap();
        cluster.start_controllers();
        // Accounts and their tokens are not what is counted here.
        cluster
            .until("the project", |cluster| {
                let names = cluster.api.names_in("shop");
                (names.iter().filter(|name| name.starts_with("secrets/")).count() == 9).then_some(())
            })
            .await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        cluster
    }

    fn start_controllers(&self) {
        let config = Config {
            sign: Arc::new(|request| Ok(Secret::new(request.secret_name.clone()))),
            signing_keys: pierhead_controllers::SigningKeys::steady(),
            cluster_ca: "CA".into(),
            service_ca: None,
            registry_hosts: vec!["127.0.0.1:5000".into()],
            route_ports: Vec::new(),
            clock: Arc::clone(&self.clock),
            deployer_logs: self.logs.clone(),
            imports: None,
        };
        pierhead_controllers::start(self.api.mortal_client(), config, &self.tasks);
    }

    /// Starts the controllers again if they died.
    async fn revive(&mut self) {
        if self.api.deaths() == self.revivals {
            return;
        }
        self.revivals += 1;
        self.tasks.shutdown(Duration::from_secs(60)).await.unwrap();
        self.tasks = Tasks::new();
        self.start_controllers();
    }

    async fn stop(self) {
        self.tasks.shutdown(Duration::from_secs(60)).await.unwrap();
        self.node.shutdown(Duration::from_secs(60)).await.unwrap();
    }

    async fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let limit = Instant::now() + Duration::from_secs(1500);
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(Instant::now() < limit, "still waiting: {what}: {:?}", self.api.names_in("shop"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// An object as the server has it.
    fn object<K: Object>(&self, name: &str) -> Option<K> {
        self.api.object(K::PLURAL, "shop", name).map(|object| from_value(&object).unwrap())
    }

    async fn create(&self, spec: &Value) {
        let config: DeploymentConfig = from_value(&config(spec)).unwrap();
        self.client.create(Some("shop"), &config).await.unwrap();
    }

    /// Changes the configuration, however often somebody else is faster.
    async fn change(&self, change: impl Fn(&mut DeploymentConfig)) {
        loop {
            let mut config: DeploymentConfig = self.object("web").unwrap();
            change(&mut config);
            match self.client.replace(Some("shop"), &config).await {
                Err(error) if error.is_conflict() => {}
                changed => return drop(changed.unwrap()),
            }
        }
    }

    async fn change_image(&self, image: &str) {
        self.change(|config| config.spec.template.as_mut().unwrap().spec.containers[0].image = image.into())
            .await;
    }

    async fn annotate(&self, deployment: &str, notes: &[(&str, &str)]) {
        loop {
            let mut found: ReplicationController = self.object(deployment).unwrap();
            let notes = notes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            found.metadata.annotations.extend(notes);
            match self.client.replace(Some("shop"), &found).await {
                Err(error) if error.is_conflict() => {}
                changed => return drop(changed.unwrap()),
            }
        }
    }

    fn phase(&self, deployment: &str) -> Option<String> {
        let found = self.object::<ReplicationController>(deployment)?;
        found.metadata.annotation("openshift.io/deployment.phase").map(str::to_owned)
    }

    /// Waits until a version is in a phase and its configuration says so.
    async fn rolled(&self, deployment: &str, phase: &str, reason: &str) -> DeploymentConfigStatus {
        self.until(&format!("{deployment} to be {phase}"), |cluster| {
            let status = cluster.object::<DeploymentConfig>("web")?.status;
            let progress = status.condition("Progressing")?;
            let said = progress.reason == reason && progress.message.contains(deployment);
            (said && cluster.phase(deployment)? == phase).then_some(status)
        })
        .await
    }

    async fn complete(&self, deployment: &str) -> DeploymentConfigStatus {
        self.rolled(deployment, "Complete", "NewReplicationControllerAvailable").await
    }

    /// Until nothing has moved for a while.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }

    /// How many pods each image has; deployers and hooks do not count.
    fn images(&self) -> BTreeMap<String, usize> {
        let mut images = BTreeMap::new();
        for name in self.api.names_in("shop") {
            let Some(name) = name.strip_prefix("pods/") else { continue };
            let pod: Pod = self.object(name).unwrap();
            if !pod.metadata.labels.contains_key("openshift.io/deployer-pod-for.name") {
                *images.entry(pod.spec.containers[0].image.clone()).or_default() += 1;
            }
        }
        images
    }

    /// `reason` and message of all events about the configuration, by name of the reason.
    fn events(&self) -> Vec<String> {
        let names = self.api.names_in("shop");
        let events = names.iter().filter_map(|name| name.strip_prefix("events/"));
        let events = events.map(|name| self.object::<Event>(name).unwrap());
        let mut said: Vec<String> = events
            .filter(|event| event.involved_object.kind == "DeploymentConfig")
            .map(|event| format!("{} x{}: {}", event.reason, event.count, event.message))
            .collect();
        said.sort();
        said
    }

    async fn log(&self, deployer: &str) -> String {
        self.log_so_far(deployer).await.unwrap()
    }

    /// None when there is no deployer, or it said nothing yet.
    async fn log_so_far(&self, deployer: &str) -> Option<String> {
        let pod: Pod = self.object(deployer)?;
        let log = self.logs.read(&pod.metadata.uid, LogQuery::default()).unwrap()?;
        let pieces: Vec<_> = log.collect().await;
        Some(pieces.into_iter().map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap()).collect())
    }

    /// Follows the log of a deployer as soon as it is there, to its end.
    async fn followed_log(&self, deployer: &str) -> String {
        let log = self
            .until("a log", |cluster| {
                let pod: Pod = cluster.object(deployer)?;
                let follow = LogQuery { follow: true, ..LogQuery::default() };
                cluster.logs.read(&pod.metadata.uid, follow).unwrap()
            })
            .await;
        let pieces: Vec<_> = log.collect().await;
        pieces.into_iter().map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_of_another_project_counts_only_where_it_may_be_pulled() {
    let cluster = Cluster::start().await;
    let items =
        json!([{"image": "sha256:1", "dockerImageReference": "r/other/app@sha256:1", "generation": 1}]);
    let stream = json!({"status": {"tags": [{"tag": "latest", "items": items}]}});
    cluster.api.let_in("other", false);
    cluster.api.put_with("imagestreams", "other", "app", stream);
    let from = json!({"kind": "ImageStreamTag", "namespace": "other", "name": "app:latest"});
    let params = json!({"automatic": true, "containerNames": ["web"], "from": from});
    cluster.create(&json!({"triggers": [{"type": "ImageChange", "imageChangeParams": params}]})).await;
    let image = |cluster: &Cluster| {
        let config: DeploymentConfig = cluster.object("web").unwrap();
        config.spec.template.unwrap().spec.containers[0].image.clone()
    };
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(image(&cluster), "r/web:1");
    cluster.api.let_in("other", true);
    cluster.until("the image", |cluster| (image(cluster) == "r/other/app@sha256:1").then_some(())).await;
    cluster.stop().await;
}

/// A configuration of two pods that rolls; `spec` is merged in.
fn config(spec: &Value) -> Value {
    let rolling = json!({
        "updatePeriodSeconds": 1, "intervalSeconds": 1, "timeoutSeconds": 600,
        "maxUnavailable": "25%", "maxSurge": "25%",
    });
    let mut document = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2, "selector": {"app": "web"}, "triggers": [{"type": "ConfigChange"}],
            "strategy": {"type": "Rolling", "rollingParams": rolling, "activeDeadlineSeconds": 21600},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "r/web:1"}]},
            },
        },
    });
    for (field, value) in spec.as_object().unwrap() {
        document["spec"][field] = value.clone();
    }
    document
}

fn images(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(image, count)| ((*image).to_owned(), *count)).collect()
}

#[tokio::test(start_paused = true)]
async fn versions_replace_each_other_without_a_gap() {
    let cluster = Cluster::start().await;
    let ports = json!([{"port": 80, "targetPort": 8080}]);
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}});
    cluster.client.create(Some("shop"), &from_value::<Service>(&service).unwrap()).await.unwrap();
    cluster.create(&json!({})).await;
    let log = cluster.followed_log("web-1-deploy").await;
    assert_eq!(log, "--> Scaling web-1 to 2\n--> Success\n");
    let status = cluster.complete("web-1").await;
    assert_eq!((status.latest_version, status.details.unwrap().message.as_str()), (1, "config change"));
    cluster
        .until("endpoints", |cluster| {
            let endpoints: pierhead_api::core::Endpoints = cluster.object("web")?;
            (endpoints.subsets.first()?.addresses.len() == 2).then_some(())
        })
        .await;

    cluster.change_image("r/web:2").await;
    let log = cluster.followed_log("web-2-deploy").await;
    let expected = "--> Scaling up web-2 from 0 to 2, scaling down web-1 from 2 to 0 (keep 2 pods available, \
                    don't exceed 3 pods)\n    Scaling web-2 up to 1\n    Scaling web-1 down to 1\n    \
                    Scaling web-2 up to 2\n    Scaling web-1 down to 0\n--> Success\n";
    assert_eq!(log, expected);
    cluster.complete("web-2").await;
    cluster.settle().await;
    assert_eq!(cluster.images(), images(&[("r/web:2", 2)]));
    let status = cluster.object::<DeploymentConfig>("web").unwrap().status;
    let numbers = [
        status.replicas,
        status.updated_replicas,
        status.available_replicas,
        status.ready_replicas,
        status.unavailable_replicas,
    ];
    assert_eq!(numbers, [2, 2, 2, 2, 0]);
    assert!(cluster.object::<Pod>("web-2-deploy").is_none(), "the deployer goes when it is done");
    assert_eq!(
        cluster.events(),
        [
            "DeploymentCreated x1: Created new replication controller \"web-1\" for version 1",
            "DeploymentCreated x1: Created new replication controller \"web-2\" for version 2",
        ]
    );
    cluster.change(|config| config.spec.replicas = 3).await;
    cluster
        .until("three pods", |cluster| (cluster.images() == images(&[("r/web:2", 3)])).then_some(()))
        .await;
    cluster.settle().await;
    assert!(cluster.events().contains(
        &"ReplicationControllerScaled x1: Scaled replication controller \"web-2\" from 2 to 3".to_owned()
    ));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_version_that_does_not_work_fails_and_the_old_one_stays() {
    let cluster = Cluster::start().await;
    cluster.create(&json!({})).await;
    cluster.complete("web-1").await;
    cluster.change_image("r/broken:2").await;
    cluster.rolled("web-2", "Failed", "ProgressDeadlineExceeded").await;
    cluster.settle().await;
    assert_eq!(cluster.images(), images(&[("r/web:1", 2)]));
    let log = cluster.log("web-2-deploy").await;
    assert!(log.ends_with("error: timed out waiting for any update progress to be made\n"), "{log}");
    assert!(
        cluster.events().iter().any(|event| event.starts_with("RolloutTimeout")),
        "{:?}",
        cluster.events()
    );
    // Tried again, it fails again, but it was tried.
    let before = cluster.object::<Pod>("web-2-deploy").unwrap().metadata.uid;
    cluster.annotate("web-2", &[("openshift.io/deployment.phase", "New")]).await;
    cluster
        .until("another deployer", |cluster| {
            (cluster.object::<Pod>("web-2-deploy")?.metadata.uid != before).then_some(())
        })
        .await;
    cluster.rolled("web-2", "Failed", "ProgressDeadlineExceeded").await;
    // The next version works.
    cluster.change_image("r/web:3").await;
    cluster.complete("web-3").await;
    cluster.settle().await;
    assert_eq!(cluster.images(), images(&[("r/web:3", 2)]));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollout_is_cancelled_by_its_user_and_by_the_next_version() {
    let cluster = Cluster::start().await;
    cluster.create(&json!({})).await;
    cluster.complete("web-1").await;
    cluster.change_image("r/broken:2").await;
    cluster.until("web-2 to run", |cluster| (cluster.phase("web-2")? == "Running").then_some(())).await;
    let by_user = [
        ("openshift.io/deployment.cancelled", "true"),
        ("openshift.io/deployment.status-reason", "cancelled by the user"),
    ];
    cluster.annotate("web-2", &by_user).await;
    let status = cluster.rolled("web-2", "Failed", "RolloutCancelled").await;
    let progress = status.condition("Progressing").unwrap();
    assert_eq!(progress.message, "rollout of replication controller \"web-2\" was cancelled");
    cluster.settle().await;
    assert_eq!(cluster.images(), images(&[("r/web:1", 2)]));

    cluster.change_image("r/broken:3").await;
    cluster.until("web-3 to run", |cluster| (cluster.phase("web-3")? == "Running").then_some(())).await;
    cluster.change_image("r/web:4").await;
    cluster.complete("web-4").await;
    cluster.settle().await;
    assert_eq!(cluster.phase("web-3").unwrap(), "Failed");
    assert_eq!(cluster.images(), images(&[("r/web:4", 2)]));
    let events = cluster.events();
    for expected in [
        "DeploymentAwaitingCancellation x1: Deployment of version 4 awaiting cancellation of older running deployments",
        "DeploymentCancelled x1: Cancelled deployment \"web-3\" superceded by version 4",
        "RolloutCancelled x1: Rollout for \"shop/web-2\" cancelled",
        "RolloutCancelled x1: Rollout for \"shop/web-3\" cancelled",
    ] {
        assert!(events.iter().any(|event| event == expected), "{expected}\n{events:#?}");
    }
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn recreate_stops_the_old_version_first_and_hooks_have_their_turn() {
    let cluster = Cluster::start().await;
    let hook = |command: &str, policy: &str| json!({"failurePolicy": policy, "execNewPod": {"containerName": "web", "command": [command]}});
    let tag = json!({"failurePolicy": "Abort", "tagImages": [
        {"containerName": "web", "to": {"kind": "ImageStreamTag", "name": "web:live"}}]});
    cluster.api.put("imagestreamtags", "shop", "web:live");
    let params = json!({"timeoutSeconds": 600, "pre": hook("done", "Abort"), "mid": hook("fail", "Ignore"), "post": tag});
    cluster.create(&json!({"strategy": {"type": "Recreate", "recreateParams": params}})).await;
    cluster.complete("web-1").await;
    cluster.change_image("r/web:2").await;
    let log = cluster.followed_log("web-2-deploy").await;
    let expected = [
        "--> pre: Running hook pod ...",
        "web-2-hook-pre says hello",
        "--> pre: Success",
        "--> Scaling web-1 down to zero",
        "--> mid: Running hook pod ...",
        "web-2-hook-mid says hello",
        "--> mid: Failed",
        "--> the mid hook failed: it failed, ignoring this and continuing with shop/web-2",
        "--> Scaling web-2 to 1 before performing acceptance check",
        "--> Scaling web-2 to 2",
        "--> post: Successfully tagged r/web:2 into shop/web:live",
        "--> Success",
        "",
    ];
    assert_eq!(log.split('\n').collect::<Vec<_>>(), expected);
    cluster.complete("web-2").await;
    cluster.settle().await;
    assert_eq!(cluster.images(), images(&[("r/web:2", 2)]));
    assert!(cluster.object::<Pod>("web-2-hook-pre").is_none());

    let abort = hook("fail", "Abort");
    cluster
        .change(|config| {
            let params = config.spec.strategy.recreate_params.as_mut().unwrap();
            params.pre = Some(serde_json::from_value(abort.clone()).unwrap());
            config.spec.template.as_mut().unwrap().spec.containers[0].image = "r/web:3".into();
        })
        .await;
    cluster.rolled("web-3", "Failed", "ProgressDeadlineExceeded").await;
    cluster.settle().await;
    assert_eq!(cluster.images(), images(&[("r/web:2", 2)]));
    let log = cluster.log("web-3-deploy").await;
    let last = "error: the pre hook failed: it failed, aborting rollout of shop/web-3\n";
    assert!(log.ends_with(last), "{log}");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_wait_for_a_node_and_say_so() {
    let cluster = Cluster::start().await;
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"nodeSelector": {"zone": "north"}, "containers": [{"name": "web", "image": "r/web:1"}]},
    });
    cluster.create(&json!({"template": template, "replicas": 1})).await;
    let pod = cluster
        .until("a refused pod", |cluster| {
            let names = cluster.api.names_in("shop");
            let pods = names.iter().filter_map(|name| name.strip_prefix("pods/web-1-"));
            let mut pods = pods.filter_map(|name| cluster.object::<Pod>(&format!("web-1-{name}")));
            pods.find(|pod| pod.status.condition("PodScheduled").is_some_and(|said| said.status == "False"))
        })
        .await;
    let said = pod.status.condition("PodScheduled").unwrap();
    assert_eq!(said.reason, "Unschedulable");
    assert_eq!(said.message, "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_configuration_takes_everything_along() {
    let cluster = Cluster::start().await;
    cluster.create(&json!({})).await;
    cluster.complete("web-1").await;
    cluster.change_image("r/broken:2").await;
    cluster.until("web-2 to run", |cluster| (cluster.phase("web-2")? == "Running").then_some(())).await;
    // As clients of 2016 do: first the version, without its pods.
    let mut deployer: Pod = cluster.object("web-2-deploy").unwrap();
    deployer.metadata.owner_references.clear();
    cluster.client.replace(Some("shop"), &deployer).await.unwrap();
    let options = pierhead_api::meta::DeleteOptions::default();
    cluster.client.delete::<DeploymentConfig>(Some("shop"), "web", &options).await.unwrap();
    cluster
        .until("nothing of it to be left", |cluster| {
            let names = cluster.api.names_in("shop");
            let of_it = ["pods/", "replicationcontrollers/", "deploymentconfigs/"];
            (!names.iter().any(|name| of_it.iter().any(|kind| name.starts_with(kind)))).then_some(())
        })
        .await;
    cluster.stop().await;
}

/// What is there in the end, without what depends on chance.
fn outcome(cluster: &Cluster) -> (BTreeMap<String, usize>, Vec<String>, Vec<String>) {
    let mut names: Vec<String> = cluster.api.names_in("shop");
    names.retain(|name| {
        ["pods/", "replicationcontrollers/", "deploymentconfigs/"].iter().any(|kind| name.starts_with(kind))
    });
    for name in &mut names {
        if name.starts_with("pods/web-") && !name.ends_with("-deploy") {
            name.truncate("pods/web-1-".len());
        }
    }
    let states = ["web-1", "web-2"].map(|deployment| {
        let found: ReplicationController = cluster.object(deployment).unwrap();
        format!("{deployment} {} {:?}", cluster.phase(deployment).unwrap(), found.spec.replicas)
    });
    (cluster.images(), names, states.to_vec())
}

/// How often things were made that must be made once.
fn made_twice(cluster: &Cluster) -> Vec<String> {
    let mut counts = BTreeMap::<String, usize>::new();
    let mut of_version = BTreeMap::<String, usize>::new();
    for name in cluster.api.made() {
        if let Some(pod) =
            name.strip_prefix("pods/").filter(|pod| !pod.ends_with("-deploy") && !pod.contains("hook"))
        {
            *of_version.entry(pod.rsplit_once('-').unwrap().0.to_owned()).or_default() += 1;
        } else if !name.starts_with("events/") {
            *counts.entry(name).or_default() += 1;
        }
    }
    let twice = counts.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name);
    let too_many = of_version.into_iter().filter(|(_, count)| *count > 2);
    twice.chain(too_many.map(|(version, count)| format!("{count} pods of {version}"))).collect()
}

/// One rollout after another, with a death on the way; the configuration says when both are done.
async fn roll_with(death: Option<Death>) -> Cluster {
    let mut cluster = Cluster::start().await;
    cluster.api.let_die(death);
    let hook = json!({"failurePolicy": "Abort", "execNewPod": {"containerName": "web", "command": ["done"]}});
    let mut strategy = config(&json!({}))["spec"]["strategy"].take();
    strategy["rollingParams"]["pre"] = hook;
    cluster.create(&json!({"strategy": strategy})).await;
    let limit = Instant::now() + Duration::from_secs(1500);
    let mut changed = false;
    loop {
        assert!(
            Instant::now() < limit,
            "{death:?}: {:?} {:?}",
            cluster.api.names_in("shop"),
            cluster.events()
        );
        cluster.revive().await;
        if let Some(said) = cluster.log_so_far("web-2-deploy").await {
            cluster.said = said;
        }
        if !changed && cluster.phase("web-1").as_deref() == Some("Complete") {
            cluster.change_image("r/web:2").await;
            changed = true;
        }
        let status =
            cluster.object::<DeploymentConfig>("web").map(|config| config.status).unwrap_or_default();
        let progress = status.condition("Progressing");
        let done = progress.is_some_and(|said| {
            said.reason == "NewReplicationControllerAvailable" && said.message.contains("web-2")
        });
        if done {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.settle().await;
    // The last writes come after the configuration says that all is done.
    cluster.revive().await;
    cluster.settle().await;
    cluster
}

/// Controllers that are killed at any write come to the same end, and make nothing twice (reliability W7).
#[tokio::test(start_paused = true)]
async fn a_death_at_any_write_changes_nothing() {
    let undisturbed = roll_with(None).await;
    let (writes, expected) = (undisturbed.api.writes(), outcome(&undisturbed));
    let events = undisturbed.events();
    assert_eq!(made_twice(&undisturbed), Vec::<String>::new());
    assert_eq!(expected.0, images(&[("r/web:2", 2)]));
    undisturbed.stop().await;
    assert!(writes > 30, "{writes} writes");
    let mut told_twice = Vec::new();
    for write in 1..=writes {
        for death in [Death::Before(write), Death::After(write)] {
            let cluster = roll_with(Some(death)).await;
            assert_eq!(outcome(&cluster), expected, "{death:?}");
            assert_eq!(cluster.events(), events, "{death:?}");
            assert_eq!(made_twice(&cluster), Vec::<String>::new(), "{death:?}");
            if cluster.said.matches("web-2-hook-pre says hello").count() != 1 {
                told_twice.push(death);
            }
            cluster.stop().await;
        }
    }
    // Only at the note that it was told, or at what others write in the same moment.
    assert!(told_twice.len() <= 3, "what the hook said was told again: {told_twice:?}");
}
