//! Tells of what happens to pods as `Event` objects. The same news again raises the count of the first; so does news that
//! differs from much before it in its words only, which are a container's to choose.
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
/// Longest message in bytes, as everywhere.
const LONGEST_MESSAGE: usize = 1024;
/// Messages of one kind about one thing; further ones share an event.
const MOST_MESSAGES: usize = 10;

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
        let mut writer = Writer { client, node, known: HashMap::new(), messages: HashMap::new() };
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
        let message = message.get(..message.floor_char_boundary(LONGEST_MESSAGE)).unwrap_or_default();
        let subject = Subject { about, kind, reason: reason.to_owned(), message: message.to_owned() };
        if self.sender.try_send(News { subject, at: self.clock.now() }).is_err() {
            warn!(pod = metadata.name, reason, "Too many events wait; one is lost: {message}");
        }
    }
}

struct Writer {
    client: Client,
    node: String,
    /// Name and count by what was told.
    known: HashMap<Subject, (String, i64)>,
    /// Different messages by what was told but for its message.
    messages: HashMap<Subject, usize>,
}

impl Writer {
    async fn write(&mut self, news: News) -> Result<(), ClientError> {
        let News { mut subject, at } = news;
        let message = self.combined(&mut subject);
        let namespace = subject.about.namespace.clone();
        if let Some((name, count)) = self.known.get_mut(&subject) {
            *count += 1;
            let change = json!({"count": count, "lastTimestamp": Time(at), "message": message});
            match self.client.patch::<Event>(Some(&namespace), name, &Patch::Merge(change), None).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let event = self.event(&subject, &message, at);
        let made = self.client.create::<Event>(Some(&namespace), &event).await?;
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
            self.messages.clear();
        }
        self.known.insert(subject, (made.metadata.name, 1));
        Ok(())
    }

    /// The message to tell. Where there were many others, it is taken out of the subject: they share an event.
    fn combined(&mut self, subject: &mut Subject) -> String {
        if self.known.contains_key(subject) {
            return subject.message.clone();
        }
        let message = std::mem::take(&mut subject.message);
        let count = self.messages.entry(subject.clone()).or_default();
        if *count >= MOST_MESSAGES {
            return format!("(combined from similar events): {message}");
        }
        *count += 1;
        subject.message.clone_from(&message);
        message
    }

    fn event(&self, subject: &Subject, message: &str, at: Timestamp) -> Event {
        let about = subject.about.clone();
        let name = format!("{}.{:016x}", about.name, rand::random::<u64>());
        Event {
            metadata: ObjectMeta::in_namespace(&about.namespace, name),
            involved_object: about,
            reason: subject.reason.clone(),
            message: message.to_owned(),
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::convert::Infallible;
    use std::sync::Arc;

    use bytes::Bytes;
    use http::{Method, Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use jiff::Timestamp;
    use parking_lot::Mutex;
    use pierhead_api::core::ObjectReference;
    use pierhead_client::Client;
    use serde_json::Value;

    use super::{Kind, MOST_MESSAGES, News, Subject, Writer};

    /// Events by their names: how often, and the message.
    type Told = Arc<Mutex<BTreeMap<String, (i64, String)>>>;

    fn events_api(told: &Told) -> Client {
        let told = Arc::clone(told);
        Client::in_process(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let told = Arc::clone(&told);
            async move {
                let patched = (request.method() == Method::PATCH).then(|| request.uri().path().to_owned());
                let body = request.into_body().collect().await?.to_bytes();
                let mut event: Value = serde_json::from_slice(&body).unwrap();
                if let Some(path) = patched {
                    event["metadata"]["name"] = path.rsplit('/').next().unwrap().into();
                    event["kind"] = "Event".into();
                    event["apiVersion"] = "v1".into();
                }
                let name = event["metadata"]["name"].as_str().unwrap().to_owned();
                let message = event["message"].as_str().unwrap().to_owned();
                told.lock().insert(name, (event["count"].as_i64().unwrap(), message));
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(event.to_string()))))
            }
        }))
    }

    #[tokio::test]
    async fn news_in_ever_other_words_share_an_event() {
        let told = Told::default();
        let client = events_api(&told);
        let mut writer = Writer { client, node: "n".into(), known: HashMap::new(), messages: HashMap::new() };
        let about =
            ObjectReference { name: "web".into(), namespace: "shop".into(), ..ObjectReference::default() };
        let mut tell = async |message: String| {
            let subject =
                Subject { about: about.clone(), kind: Kind::Warning, reason: "Unhealthy".into(), message };
            writer.write(News { subject, at: Timestamp::UNIX_EPOCH }).await.unwrap();
        };
        for number in 0..MOST_MESSAGES + 5 {
            tell(format!("probe failed at {number}")).await;
        }
        tell("probe failed at 0".into()).await;
        let told = told.lock();
        assert_eq!(told.len(), MOST_MESSAGES + 1);
        let mut told: Vec<_> = told.values().cloned().collect();
        told.sort();
        let last = (5, "(combined from similar events): probe failed at 14".to_owned());
        assert_eq!(told.last(), Some(&last));
        assert!(told.contains(&(2, "probe failed at 0".to_owned())));
    }
}
