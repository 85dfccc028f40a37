//! Which images and tags workloads use, read from whatever has containers (openshift-images 7.1).
//!
//! Owns where each kind has its containers, and what a pull spec refers to: the host does not matter, since one registry
//! has many names. Pods that ended long ago use nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pierhead_client::Client;
use pierhead_oci::ImageReference;
use serde_json::Value;

use crate::{
    discovery::{ApiKind, Discovery},
    object,
    session::Session,
    verbs::get,
};

/// Kinds with containers: group, plural, and where the spec of the pod is.
const WORKLOADS: [(&str, &str, &str); 9] = [
    ("", "pods", "spec"),
    ("", "replicationcontrollers", "spec.template.spec"),
    ("apps", "daemonsets", "spec.template.spec"),
    ("apps", "deployments", "spec.template.spec"),
    ("apps.openshift.io", "deploymentconfigs", "spec.template.spec"),
    ("apps", "replicasets", "spec.template.spec"),
    ("apps", "statefulsets", "spec.template.spec"),
    ("batch", "jobs", "spec.template.spec"),
    ("batch", "cronjobs", "spec.jobTemplate.spec.template.spec"),
];
/// Workloads of 3.6 to 3.8, where the group `apps` has none of them.
const OLD_WORKLOADS: [&str; 3] = ["daemonsets", "deployments", "replicasets"];
/// Kinds that build images from others.
const BUILDS: [(&str, &str); 2] = [("build.openshift.io", "buildconfigs"), ("build.openshift.io", "builds")];

/// A stream: namespace and name.
pub(super) type Stream = (String, String);

/// What is used, and by whom.
#[derive(Debug, Default)]
pub(super) struct InUse {
    /// Images by the stream they are pulled through, with the users of each.
    pub(super) images: BTreeMap<(Stream, String), BTreeSet<String>>,
    /// Tags of streams, with the users of each.
    pub(super) tags: BTreeMap<(Stream, String), BTreeSet<String>>,
    /// Pull specs that cannot be read, each with where it is.
    pub(super) unreadable: Vec<String>,
}

impl InUse {
    /// Reads everything that has containers. Kinds that the server does not have use nothing. `young` is the time
    /// since when a pod counts even if it ended.
    pub(super) async fn read(
        session: &mut Session,
        discovery: &Discovery,
        namespace: Option<&str>,
        young: Option<Timestamp>,
    ) -> anyhow::Result<Self> {
        let client = session.client()?;
        let mut used = Self::default();
        for (group, plural, path) in WORKLOADS {
            let kind = kind_of(discovery, group, plural);
            for workload in list(&client, &kind, namespace).await? {
                if plural != "pods" || counts(&workload, young) {
                    used.add_workload(&kind.kind, &workload, path);
                }
            }
        }
        for plural in OLD_WORKLOADS {
            let Ok(kind) = discovery.known("extensions", plural) else { continue };
            for workload in list(&client, kind, namespace).await? {
                used.add_workload(&kind.kind, &workload, "spec.template.spec");
            }
        }
        for (group, plural) in BUILDS {
            let kind = kind_of(discovery, group, plural);
            for build in list(&client, &kind, namespace).await? {
                used.add_build(&kind.kind, &build);
            }
        }
        Ok(used)
    }

    /// The images that are pulled through a stream.
    pub(super) fn of_stream(&self, stream: &Stream) -> impl Iterator<Item = &str> {
        let first = (stream.clone(), String::new());
        let from_there = self.images.range(first..).map(|((at, image), _)| (at, image.as_str()));
        from_there.take_while(move |(at, _)| *at == stream).map(|(_, image)| image)
    }

    /// The containers of one object, whose spec of a pod is at `path`.
    pub(super) fn add_workload(&mut self, kind: &str, workload: &Value, path: &str) {
        let user = user_of(kind, workload);
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            for container in object::list(workload, &format!("{path}.{list}")) {
                let image = object::text(container, "image");
                let at = || {
                    let name = object::text(container, "name");
                    format!("{}, container {name}", place(kind, workload))
                };
                self.add_pull_spec(image, &user, at);
            }
        }
    }

    /// What a build starts from.
    fn add_build(&mut self, kind: &str, build: &Value) {
        let strategy = object::at(build, "spec.strategy").and_then(Value::as_object);
        for strategy in strategy.into_iter().flat_map(|fields| fields.values()) {
            let name = object::text(strategy, "from.name");
            let own = object::namespace(build).unwrap_or_default();
            let namespace = Some(object::text(strategy, "from.namespace")).filter(|given| !given.is_empty());
            let stream = |name: &str| (namespace.unwrap_or(own).to_owned(), name.to_owned());
            let user = user_of(kind, build);
            match object::text(strategy, "from.kind") {
                "ImageStreamTag" => {
                    let (name, tag) = name.split_once(':').unwrap_or((name, "latest"));
                    self.tags.entry((stream(name), tag.to_owned())).or_default().insert(user);
                }
                "ImageStreamImage" => {
                    if let Some((name, id)) = name.split_once('@') {
                        self.images.entry((stream(name), id.to_owned())).or_default().insert(user);
                    }
                }
                "DockerImage" => self.add_pull_spec(name, &user, || place(kind, build)),
                _ => {}
            }
        }
    }

    fn add_pull_spec(&mut self, image: &str, user: &str, at: impl Fn() -> String) {
        if image.is_empty() {
            return;
        }
        let reference: ImageReference = match image.parse() {
            Ok(reference) => reference,
            Err(error) => {
                self.unreadable.push(format!("{}: invalid image reference {image:?}: {error}", at()));
                return;
            }
        };
        let Some(namespace) = reference.namespace else { return };
        let stream = (namespace, reference.name);
        let users = match reference.id {
            Some(id) => self.images.entry((stream, id)).or_default(),
            None => {
                let tag = reference.tag.unwrap_or_else(|| "latest".to_owned());
                self.tags.entry((stream, tag)).or_default()
            }
        };
        users.insert(user.to_owned());
    }
}

/// A kind that may not be there: discovery also leaves out groups that do not answer, only a list can say that there is none.
fn kind_of(discovery: &Discovery, group: &str, plural: &str) -> ApiKind {
    discovery.known(group, plural).cloned().unwrap_or_else(|_| ApiKind {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: plural.to_owned(),
        plural: plural.to_owned(),
        singular: plural.to_owned(),
        namespaced: true,
        verbs: Vec::new(),
        short_names: Vec::new(),
        categories: Vec::new(),
    })
}

/// All objects of a kind; none if the server does not know it.
async fn list(client: &Client, kind: &ApiKind, namespace: Option<&str>) -> anyhow::Result<Vec<Value>> {
    match get::read_all(client, kind, namespace, &[]).await {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        found => Ok(found?),
    }
}

/// Whether a pod still uses what it names.
fn counts(pod: &Value, young: Option<Timestamp>) -> bool {
    let ended = !matches!(object::text(pod, "status.phase"), "Running" | "Pending");
    !ended || is_younger(object::text(pod, "metadata.creationTimestamp"), young)
}

/// Whether something is from after a time; without one nothing is.
pub(super) fn is_younger(created: &str, young: Option<Timestamp>) -> bool {
    let created: Option<Timestamp> = created.parse().ok();
    created.zip(young).is_some_and(|(created, young)| created > young)
}

fn place(kind: &str, object: &Value) -> String {
    format!("{kind} {}/{}", object::namespace(object).unwrap_or_default(), object::name(object))
}

/// Who is said to use an image: the deployment behind a pod or its controller, where there is one.
fn user_of(kind: &str, workload: &Value) -> String {
    let namespace = object::namespace(workload).unwrap_or_default();
    let annotations = object::at(workload, "metadata.annotations");
    let annotation = |key: &str| annotations.and_then(|all| all.get(key)).and_then(Value::as_str);
    let named = [
        ("Build", "openshift.io/build.name"),
        ("Deployment", "openshift.io/deployment.name"),
        ("Deployer", "openshift.io/deployer-pod-for.name"),
    ];
    for (what, key) in named {
        if let Some(name) = annotation(key) {
            return format!("{what}: {namespace}/{name}");
        }
    }
    format!("{kind}: {namespace}/{}", object::name(workload))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{InUse, counts};

    fn pod(image: &str) -> Value {
        json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"containers": [{"name": "c", "image": image}]}})
    }

    #[track_caller]
    fn check(image: &str, tag: Option<&str>, id: Option<&str>, unreadable: usize) {
        let mut used = InUse::default();
        used.add_workload("Pod", &pod(image), "spec");
        let stream = ("shop".to_owned(), "web".to_owned());
        let has = |map: &std::collections::BTreeMap<_, _>, what: Option<&str>| {
            what.map_or(map.is_empty(), |what| map.contains_key(&(stream.clone(), what.to_owned())))
        };
        assert!(has(&used.tags, tag) && has(&used.images, id), "{image}: {used:?}");
        assert_eq!(used.unreadable.len(), unreadable, "{image}");
    }

    #[test]
    fn the_host_of_a_pull_spec_does_not_matter() {
        let id = format!("sha256:{}", "a".repeat(64));
        check(&format!("172.30.1.1:5000/shop/web@{id}"), None, Some(&id), 0);
        check(&format!("registry.example.com/shop/web@{id}"), None, Some(&id), 0);
        check("shop/web:v1", Some("v1"), None, 0);
        check("host:80/shop/web", Some("latest"), None, 0);
        check("busybox", None, None, 0);
        check(" shop/web:v1", None, None, 1);
        check("", None, None, 0);
    }

    #[test]
    fn pods_that_ended_long_ago_use_nothing() {
        let young = "2016-03-30T11:00:00Z".parse().ok();
        let of = |phase: &str, created: &str| json!({"metadata": {"creationTimestamp": created}, "status": {"phase": phase}});
        assert!(counts(&of("Running", "2016-01-01T00:00:00Z"), young));
        assert!(!counts(&of("Succeeded", "2016-03-30T10:59:00Z"), young));
        assert!(counts(&of("Failed", "2016-03-30T11:01:00Z"), young));
    }
}
