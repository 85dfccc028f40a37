//! Tells of what happens to pods as `Event` objects. The same news again raises the count of the first.
//!
//! Telling never waits and never fails for the one who tells: events are for people, and lost ones cost nothing.

use std::collections::HashMap;

use jiff::Timestamp;
use pierhead_api::core::{Event, EventSource, ObjectReference, Pod};
use pierhead_api::meta::{ObjectMeta, Time};
use pierhead_client::{Client, ClientError, Patch};
use pierhead_runtime::{SharedClock, Tasks};
use serde_json::json;
use tokio::sync::mpsc;
use tracing::warn;

/// News that wait to be written.
const MOST_WAITING: usize = 1000;
/// News whose repetition is noticed.
const MOST_KNOWN: usize = 4096;

/// Whether somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Normal,
    Warning,
}

/// Tells events. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder {
    sender: mpsc::Sender<News>,
    clock: SharedClock,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Subject {
    about: ObjectReference,
    kind: Kind,
    reason: String,
    message: String,
}

struct News {
    subject: Subject,
    at: Timestamp,
}

impl Recorder {
    /// Writes events through `client` until `tasks` stops.
    pub(crate) fn start(client: Client, node: String, clock: SharedClock, tasks: &Tasks) -> Self {
        let (sender, mut news) = mpsc::channel(MOST_WAITING);
        let mut writer = Writer { client, node, known: HashMap::new() };
        tasks.spawn("node events", |stop| async move {
            loop {
                let told = tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    told = news.recv() => told,
                };
                let Some(told) = told else { return };
                if let Err(error) = writer.write(told).await {
                    // The namespace may be going; nobody would read it.
                    if !error.is_forbidden() && !error.is_not_found() {
                        warn!(%error, "An event was not written: {error}");
                    }
                }
            }
        });
        Self { sender, clock }
    }

    /// Something happened to a pod, or to one of its containers.
    pub(crate) fn tell(&self, pod: &Pod, container: Option<&str>, kind: Kind, reason: &str, message: &str) {
        let metadata = &pod.metadata;
        let is_init = |name: &str| pod.spec.init_containers.iter().any(|init| init.name == name);
        let field_path = container.map(|name| {
            let list = if is_init(name) { "initContainers" } else { "containers" };
            format!("spec.{list}{{{name}}}")
        });
        let about = ObjectReference {
            kind: "Pod".to_owned(),
            api_version: "v1".to_owned(),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            field_path: field_path.unwrap_or_default(),
            ..ObjectReference::default()
        };
        let subject = Subject { about, kind, reason: reason.to_owned(), message: message.to_owned() };
        if self.sender.try_send(News { subject, at: self.clock.now() }).is_err() {
            warn!(pod = metadata.name, reason, "Too many events wait; one is lost: {message}");
        }
    }
}

struct Writer {
    client: Client,
    node: String,
    known: HashMap<Subject, (String, i64)>,
}

impl Writer {
    async fn write(&mut self, news: News) -> Result<(), ClientError> {
        let News { subject, at } = news;
        let namespace = subject.about.namespace.clone();
        if let Some((name, count)) = self.known.get_mut(&subject) {
            *count += 1;
            let change = json!({"count": count, "lastTimestamp": Time(at)});
            match self.client.patch::<Event>(Some(&namespace), name, &Patch::Merge(change), None).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let event = self.event(&subject, at);
        let made = self.client.create::<Event>(Some(&namespace), &event).await?;
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert(subject, (made.metadata.name, 1));
        Ok(())
    }

    fn event(&self, subject: &Subject, at: Timestamp) -> Event {
        let about = subject.about.clone();
        let name = format!("{}.{:016x}", about.name, rand::random::<u64>());
        Event {
            metadata: ObjectMeta::in_namespace(&about.namespace, name),
            involved_object: about,
            reason: subject.reason.clone(),
            message: subject.message.clone(),
            source: EventSource { component: "kubelet".to_owned(), host: self.node.clone() },
            first_timestamp: Some(Time(at)),
            last_timestamp: Some(Time(at)),
            count: 1,
            event_type: match subject.kind {
                Kind::Normal => "Normal".to_owned(),
                Kind::Warning => "Warning".to_owned(),
            },
            reporting_component: "kubelet".to_owned(),
            reporting_instance: self.node.clone(),
            ..Event::default()
        }
    }
}
