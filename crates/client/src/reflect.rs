//! A collection of the server held in memory and kept up to date.
//!
//! kube's watcher lists, watches, relists and backs off; this module turns what it reports into a map of typed
//! objects that can be read without waiting. Between relists the map is never empty when the server's is not:
//! a relist replaces it at once.

use std::{borrow::Cow, collections::BTreeMap, fmt, ops::Bound, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future, stream::BoxStream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api,
    core::DynamicResourceScope,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use parking_lot::RwLock;
use pierhead_api::{Object, from_value};
use pierhead_runtime::Tasks;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use tokio::{sync::watch, time::Instant};

use crate::Client;

/// Reflecting takes at most one part in this many of the time,
const SHARE_OF_TIME: u32 = 20;
/// or in this many, where nobody waits for the last change of all.
const SMALL_SHARE_OF_TIME: u32 = 200;
const LONGEST_REST: Duration = Duration::from_secs(1);

type Key = (String, String);
type Objects<K> = BTreeMap<Key, Arc<K>>;

/// The objects of one kind, as the server last told. Cheap to clone.
pub struct Reflected<K> {
    objects: Arc<RwLock<Objects<K>>>,
    changes: watch::Receiver<u64>,
    synced: watch::Receiver<bool>,
}

impl<K> Clone for Reflected<K> {
    fn clone(&self) -> Self {
        Self {
            objects: Arc::clone(&self.objects),
            changes: self.changes.clone(),
            synced: self.synced.clone(),
        }
    }
}

impl<K: Object> Reflected<K> {
    /// One object; cluster-scoped objects have no namespace.
    #[must_use]
    pub fn get(&self, namespace: Option<&str>, name: &str) -> Option<Arc<K>> {
        let key = (namespace.unwrap_or_default().to_owned(), name.to_owned());
        self.objects.read().get(&key).map(Arc::clone)
    }

    /// All objects, ordered by namespace and name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<K>> {
        self.objects.read().values().map(Arc::clone).collect()
    }

    /// The objects of one namespace, ordered by name.
    #[must_use]
    pub fn list_in(&self, namespace: &str) -> Vec<Arc<K>> {
        let objects = self.objects.read();
        let first = (namespace.to_owned(), String::new());
        let range = objects.range::<Key, _>((Bound::Included(&first), Bound::Unbounded));
        range.take_while(|(key, _)| key.0 == namespace).map(|(_, object)| Arc::clone(object)).collect()
    }

    /// A counter that moves with every change; wait on it with `changed()`.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Whether the first list is complete.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Waits until the first list is complete; returns at once ever after. Also returns when the reflecting
    /// task was stopped, so that shutdown does not hang.
    pub async fn synced(&self) {
        // An error means that the sender is gone, which is the shutdown case above.
        if self.synced.clone().wait_for(|synced| *synced).await.is_err() {
            tracing::trace!(kind = K::KIND, "Stopped reflecting before the first list was complete");
        }
    }
}

impl Client {
    /// Holds a collection in memory and keeps it up to date until the tasks are shut down.
    ///
    /// Errors are logged and retried with backoff; meanwhile readers see the last known state.
    #[must_use]
    pub fn reflect<K: Object>(&self, namespace: Option<&str>, tasks: &Tasks) -> Reflected<K> {
        self.reflect_for(namespace, SHARE_OF_TIME, tasks)
    }

    /// As [`Client::reflect`], for objects that are large and change all the time: what is seen may be a second old, and
    /// seeing it costs next to nothing.
    #[must_use]
    pub fn reflect_sparingly<K: Object>(&self, namespace: Option<&str>, tasks: &Tasks) -> Reflected<K> {
        self.reflect_for(namespace, SMALL_SHARE_OF_TIME, tasks)
    }

    fn reflect_for<K: Object>(&self, namespace: Option<&str>, share: u32, tasks: &Tasks) -> Reflected<K> {
        let names = Names { group: K::GROUP, version: K::VERSION, kind: K::KIND, plural: K::PLURAL };
        let events = events(self.kube(), names, namespace);
        let objects = Arc::new(RwLock::new(Objects::new()));
        let (changes, changes_seen) = watch::channel(0);
        let (synced, synced_seen) = watch::channel(false);
        let reflector =
            Reflector { objects: Arc::clone(&objects), arriving: Objects::new(), changes, synced, share };
        tasks.spawn(K::PLURAL, |stop| async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = reflector.run(events) => {}
            }
        });
        Reflected { objects, changes: changes_seen, synced: synced_seen }
    }
}

struct Reflector<K> {
    objects: Arc<RwLock<Objects<K>>>,
    /// What a list in progress has given so far.
    arriving: Objects<K>,
    changes: watch::Sender<u64>,
    synced: watch::Sender<bool>,
    /// It takes at most one part in this many of the time.
    share: u32,
}

impl<K: Object> Reflector<K> {
    async fn run(mut self, mut events: Events) {
        loop {
            // A server in this process makes the event while we ask for it, so asking counts, and waiting does not.
            let mut asking = Duration::ZERO;
            let next = future::poll_fn(|context| {
                let began = Instant::now();
                let polled = events.poll_next_unpin(context);
                asking += began.elapsed();
                polled
            });
            let Some(event) = next.await else { return };
            let (woken, is_first_list) = (Instant::now(), !*self.synced.borrow());
            self.take(event);
            // All that is there already, and then a rest: what changes all the time costs a share of the time, since a
            // server tells a watcher who comes late of the newest state only.
            while let Some(Some(event)) = events.next().now_or_never() {
                self.take(event);
            }
            if !is_first_list {
                let spent = asking + woken.elapsed();
                tokio::time::sleep((spent * (self.share - 1)).min(LONGEST_REST)).await;
            }
        }
    }

    fn take(&mut self, event: watcher::Result<Event<Watched>>) {
        match event {
            Ok(event) => self.apply(event),
            Err(error) => {
                tracing::warn!(kind = K::KIND, error = %error, "Watching failed, will try again: {error}");
            }
        }
    }

    fn apply(&mut self, event: Event<Watched>) {
        match event {
            Event::Init => self.arriving.clear(),
            Event::InitApply(watched) => {
                if let Some(object) = object_of(&watched) {
                    self.arriving.insert(key(&watched.metadata), object);
                }
            }
            Event::InitDone => {
                *self.objects.write() = std::mem::take(&mut self.arriving);
                self.synced.send_replace(true);
                self.notify();
            }
            Event::Apply(watched) => {
                let key = key(&watched.metadata);
                match object_of(&watched) {
                    Some(object) => self.objects.write().insert(key, object),
                    None => self.objects.write().remove(&key),
                };
                self.notify();
            }
            Event::Delete(watched) => {
                self.objects.write().remove(&key(&watched.metadata));
                self.notify();
            }
        }
    }

    fn notify(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

fn key(metadata: &ObjectMeta) -> Key {
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// The typed object; none if the server sent something that is not a `K`: logged, and treated as absent, because
/// stopping the whole collection for it would be worse.
fn object_of<K: Object>(watched: &Watched) -> Option<Arc<K>> {
    match from_value::<K>(&watched.object) {
        Ok(object) => Some(Arc::new(object)),
        Err(error) => {
            let (namespace, name) = key(&watched.metadata);
            tracing::warn!(kind = K::KIND, %namespace, %name, %error, "Ignoring an unreadable object");
            None
        }
    }
}

type Events = BoxStream<'static, watcher::Result<Event<Watched>>>;

/// What kube's watcher tells of one kind. It is the same code for all kinds, compiled once: they become typed after it.
fn events(client: kube::Client, names: Names, namespace: Option<&str>) -> Events {
    let api: Api<Watched> = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &names),
        None => Api::all_with(client, &names),
    };
    watcher::watcher(api, watcher::Config::default()).default_backoff().boxed()
}

/// What an object of some kind is called.
#[derive(Clone, Copy)]
struct Names {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
}

/// What kube's watcher sees of our kinds: its own metadata for bookkeeping, and the object as it came.
#[derive(Clone)]
struct Watched {
    metadata: ObjectMeta,
    object: Value,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

/// The part of the metadata that kube's watcher looks at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bookkeeping {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    resource_version: Option<String>,
    #[serde(default)]
    uid: Option<String>,
}

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Value::deserialize(deserializer)?;
        let metadata = object.get("metadata").ok_or_else(|| D::Error::missing_field("metadata"))?;
        let known = Bookkeeping::deserialize(metadata).map_err(D::Error::custom)?;
        let metadata = ObjectMeta {
            name: known.name,
            namespace: known.namespace,
            resource_version: known.resource_version,
            uid: known.uid,
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, object })
    }
}

impl kube::Resource for Watched {
    type DynamicType = Names;
    type Scope = DynamicResourceScope;

    fn kind(names: &Names) -> Cow<'_, str> {
        Cow::Borrowed(names.kind)
    }

    fn group(names: &Names) -> Cow<'_, str> {
        Cow::Borrowed(names.group)
    }

    fn version(names: &Names) -> Cow<'_, str> {
        Cow::Borrowed(names.version)
    }

    fn plural(names: &Names) -> Cow<'_, str> {
        Cow::Borrowed(names.plural)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
