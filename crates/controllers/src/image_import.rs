//! Imports what image streams want and do not have yet, also for clients of 2016, who only wish and wait (images 5.7,
//! 3.10).
//!
//! Owns which tags are to be imported. The import itself is a request to the API like anybody's, which also writes the
//! results; a failed one counts as an answer and is left to `image_schedule`.

use std::collections::BTreeMap;

use pierhead_api::core::{LocalObjectReference, ObjectReference};
use pierhead_api::image::{
    ImageImportSpec, ImageStream, ImageStreamImport, RepositoryImportSpec, TagImportPolicy, TagReference,
    annotation, is_insecure,
};
use pierhead_client::{Client, ClientError, Patch, Reflected};
use pierhead_runtime::SharedClock;
use serde_json::json;
use tokio::sync::watch;
use tracing::debug;

use crate::import_queue::{IN_ALL, ImportKey, ImportQueue};
use crate::runner::{Outcome, Reconciler};

/// Type of the condition that tells how the last import of a tag went.
pub(crate) const IMPORT_SUCCESS: &str = "ImportSuccess";

pub(crate) struct ImageImport {
    pub(crate) client: Client,
    pub(crate) clock: SharedClock,
    pub(crate) streams: Reflected<ImageStream>,
    pub(crate) queue: ImportQueue,
    /// Whether streams that import nothing are marked as looked at, as in 2016.
    pub(crate) marks_checked_streams: bool,
}

/// What is to be imported of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Names of tags.
    pub(crate) tags: Vec<String>,
    /// Whether all of the stream's repository is.
    pub(crate) repository: bool,
}

/// What a stream wants of which host. Names of tags and hosts only: the stream is read again before anything is done.
fn wishes(stream: &ImageStream) -> BTreeMap<String, Wish> {
    let importable = || stream.spec.tags.iter().filter(|tag| is_importable(tag));
    let repository = &stream.spec.docker_image_repository;
    let needed: Vec<&TagReference> = importable().filter(|tag| needs_import(stream, tag)).collect();
    let mut wishes: BTreeMap<String, Wish> = BTreeMap::new();
    if !is_marked(stream) && (needed.is_empty() || !repository.is_empty()) {
        // Somebody took the mark away, or there never was one: everything at once, since the first answer brings it
        // back.
        let tags: Vec<String> = importable().map(|tag| tag.name.clone()).collect();
        let wish = Wish { tags, repository: !repository.is_empty() };
        if wish != Wish::default() {
            let first = importable().next().and_then(|tag| tag.from.as_ref()).map(|from| &from.name);
            wishes.insert(host_of(first.unwrap_or(repository)), wish);
        }
        return wishes;
    }
    for tag in needed {
        let host = tag.from.as_ref().map(|from| host_of(&from.name)).unwrap_or_default();
        wishes.entry(host).or_default().tags.push(tag.name.clone());
    }
    wishes
}

fn is_marked(stream: &ImageStream) -> bool {
    stream.metadata.annotation(annotation::REPOSITORY_CHECK).is_some_and(|mark| !mark.is_empty())
}

/// Whether a tag comes from another registry.
pub(crate) fn is_importable(tag: &TagReference) -> bool {
    !tag.reference
        && tag.from.as_ref().is_some_and(|from| from.kind == "DockerImage" && !from.name.is_empty())
}

/// Whether a tag was written since the last answer about it, be it an image or a failure.
pub(crate) fn needs_import(stream: &ImageStream, tag: &TagReference) -> bool {
    let Some(wanted) = tag.generation else { return true };
    let status = stream.status_tag(&tag.name);
    let answered = status.and_then(|status| {
        let item = status.items.first().map(|item| item.generation);
        let failed = status.conditions.iter().filter(|condition| condition.condition_type == IMPORT_SUCCESS);
        failed.map(|condition| condition.generation).chain(item).max()
    });
    answered.is_none_or(|answered| wanted > answered)
}

/// The registry of a pull spec, for queues.
pub(crate) fn host_of(name: &str) -> String {
    match name.split_once('/') {
        Some((host, rest)) if host == "localhost" || host.contains(['.', ':']) || rest.contains('/') => {
            host.to_owned()
        }
        _ => "docker.io".to_owned(),
    }
}

/// The import of some tags of a stream, as it is now.
pub(crate) fn import_of(stream: &ImageStream, wish: &Wish) -> ImageStreamImport {
    let mut import = ImageStreamImport::default();
    import.metadata.name.clone_from(&stream.metadata.name);
    import.metadata.namespace.clone_from(&stream.metadata.namespace);
    import.metadata.uid.clone_from(&stream.metadata.uid);
    import.metadata.resource_version.clone_from(&stream.metadata.resource_version);
    import.spec.import = true;
    let tags = stream.spec.tags.iter().filter(|tag| is_importable(tag) && wish.tags.contains(&tag.name));
    import.spec.images = tags
        .map(|tag| ImageImportSpec {
            from: tag.from.clone().unwrap_or_default(),
            to: Some(LocalObjectReference::named(tag.name.clone())),
            import_policy: tag.import_policy.clone(),
            reference_policy: tag.reference_policy.clone(),
            include_manifest: false,
        })
        .collect();
    let repository = &stream.spec.docker_image_repository;
    if wish.repository && !repository.is_empty() {
        let insecure = is_insecure(&stream.metadata);
        let name = repository.clone();
        import.spec.repository = Some(RepositoryImportSpec {
            from: ObjectReference { kind: "DockerImage".to_owned(), name, ..ObjectReference::default() },
            import_policy: TagImportPolicy { insecure, ..TagImportPolicy::default() },
            ..RepositoryImportSpec::default()
        });
    }
    import
}

/// Asks for an import; answers how it went.
pub(crate) async fn run(
    client: &Client,
    import: &ImageStreamImport,
) -> Result<ImageStreamImport, ClientError> {
    client.create(Some(&import.metadata.namespace), import).await
}

impl ImageImport {
    /// Whether a stream waits for a mark and for nothing else.
    fn lacks_mark(&self, stream: &ImageStream) -> bool {
        self.marks_checked_streams && !is_marked(stream) && wishes(stream).is_empty()
    }

    async fn mark(&self, stream: &ImageStream) -> Result<(), ClientError> {
        let now = self.clock.now();
        let time = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
        let patch = json!({
            "metadata": {
                "resourceVersion": stream.metadata.resource_version,
                "annotations": {annotation::REPOSITORY_CHECK: time},
            },
        });
        let namespace = Some(stream.metadata.namespace.as_str());
        self.client
            .patch::<ImageStream>(namespace, &stream.metadata.name, &Patch::Merge(patch), None)
            .await
            .map(drop)
    }
}

impl Reconciler for ImageImport {
    type Key = ImportKey;
    type Error = ClientError;

    const NAME: &'static str = "image-import";
    const AT_ONCE: usize = IN_ALL;

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.streams.changed(), self.queue.changed()]
    }

    async fn synced(&self) {
        self.streams.synced().await;
    }

    fn due(&self) -> Vec<ImportKey> {
        let mut due = Vec::new();
        for stream in self.streams.list() {
            if stream.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let key = |host| ImportKey::new(&stream, host);
            if self.lacks_mark(&stream) {
                due.push(key(String::new()));
            }
            due.extend(wishes(&stream).into_keys().map(key));
        }
        due
    }

    fn startable(&self, ready: Vec<ImportKey>) -> Vec<ImportKey> {
        self.queue.offered(ready)
    }

    async fn reconcile(&self, key: &ImportKey) -> Result<Outcome, ClientError> {
        let _turn = self.queue.start(key);
        let Some(stream) = self.client.find::<ImageStream>(Some(&key.namespace), &key.name).await? else {
            return Ok(Outcome::Nothing);
        };
        if stream.metadata.deletion_timestamp.is_some() {
            return Ok(Outcome::Nothing);
        }
        if self.lacks_mark(&stream) {
            self.mark(&stream).await?;
            return Ok(Outcome::Changed);
        }
        let Some(wish) = wishes(&stream).remove(&key.host) else { return Ok(Outcome::Nothing) };
        let import = run(&self.client, &import_of(&stream, &wish)).await?;
        for image in import.status.images.iter().filter(|image| !image.status.is_success()) {
            debug!(%key, tag = %image.tag, "An import failed: {}", image.status.message);
        }
        let answered = import.status.import.is_some_and(|stream| !wishes(&stream).contains_key(&key.host));
        Ok(if answered { Outcome::Changed } else { Outcome::Nothing })
    }
}

#[cfg(test)]
mod tests {
    use pierhead_api::from_value;
    use pierhead_api::image::ImageStream;
    use serde_json::{Value, json};

    use super::{import_of, wishes};

    fn stream(mark: Option<&str>, spec: &Value, status: &Value) -> ImageStream {
        let annotations = mark.map(|mark| json!({"openshift.io/image.dockerRepositoryCheck": mark}));
        let document = json!({
            "metadata": {"name": "web", "namespace": "shop", "annotations": annotations},
            "spec": spec, "status": {"tags": status},
        });
        from_value(&document).unwrap()
    }

    #[track_caller]
    fn check(mark: Option<&str>, spec: Value, status: Value, expected: &[&str]) {
        let stream = stream(mark, &spec, &status);
        let found: Vec<String> = wishes(&stream)
            .into_iter()
            .map(|(host, wish)| {
                let all = if wish.repository { " and all" } else { "" };
                format!("{host}: {}{all}", wish.tags.join(" "))
            })
            .collect();
        assert_eq!(found, expected);
    }

    fn tag(name: &str, from: &str, generation: u64) -> Value {
        json!({"name": name, "from": {"kind": "DockerImage", "name": from}, "generation": generation})
    }

    #[test]
    fn wants_what_was_not_answered_yet() {
        let seen = Some("2026-11-23T10:00:00Z");
        let (nothing, none) = (json!([]), json!({"tags": []}));
        check(seen, none.clone(), nothing.clone(), &[]);
        check(None, none, nothing.clone(), &[]);
        let two = json!({"tags": [tag("a", "quay.io/a/b:1", 2), tag("b", "busybox", 1)]});
        check(seen, two.clone(), nothing.clone(), &["docker.io: b", "quay.io: a"]);
        check(None, two.clone(), nothing.clone(), &["docker.io: b", "quay.io: a"]);
        let item = |generation: u64| json!([{"generation": generation, "image": "sha256:1"}]);
        let old = json!([{"tag": "a", "items": item(1)}, {"tag": "b", "items": item(1)}]);
        check(seen, two.clone(), old, &["quay.io: a"]);
        let failed = json!([
            {"tag": "a", "items": item(1), "conditions": [{"type": "ImportSuccess", "status": "False", "generation": 2}]},
            {"tag": "b", "items": item(1)},
        ]);
        check(seen, two.clone(), failed.clone(), &[]);
        // The old way to ask for everything once more: to take the mark away.
        check(None, two, failed, &["quay.io: a b"]);
        let references = json!({"tags": [
            {"name": "a", "reference": true, "generation": 1, "from": {"kind": "DockerImage", "name": "busybox"}},
            {"name": "b", "generation": 1, "from": {"kind": "ImageStreamTag", "name": "a"}},
        ]});
        check(None, references, nothing.clone(), &[]);
        let repository = json!({"dockerImageRepository": "quay.io/a/b"});
        check(None, repository.clone(), nothing.clone(), &["quay.io:  and all"]);
        check(seen, repository, nothing, &[]);
    }

    #[test]
    fn asks_with_each_tags_own_policies() {
        let spec = json!({"dockerImageRepository": "quay.io/a/b", "tags": [
            {"name": "a", "generation": 1, "from": {"kind": "DockerImage", "name": "quay.io/a/b:1"},
             "importPolicy": {"insecure": true}, "referencePolicy": {"type": "Local"}},
        ]});
        let stream = stream(None, &spec, &json!([]));
        let wish = wishes(&stream).remove("quay.io").unwrap();
        let import = import_of(&stream, &wish);
        let image = &import.spec.images[0];
        assert_eq!(
            (image.from.name.as_str(), image.to.as_ref().unwrap().name.as_str()),
            ("quay.io/a/b:1", "a")
        );
        assert!(image.import_policy.insecure && image.reference_policy.policy_type == "Local");
        assert_eq!(import.spec.repository.unwrap().from.name, "quay.io/a/b");
        assert!(import.spec.import);
    }
}
