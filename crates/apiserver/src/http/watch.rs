//! Watches: a cursor in the change log and a filter, pulled by the connection (platform 1.8).
//!
//! Owns the order of events, selector transitions, bookmarks and the end of a watch: lines of a body, or messages of a
//! WebSocket. Nothing is buffered for a client:
//! each one reads the log at its own pace, and one that falls behind what the log keeps is told 410 and cut off, so a
//! client that never reads costs one connection (reliability 6-W W5). A long watch asks again whether it is allowed.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::request::Parts as Head;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use pierhead_api::meta::Status;
use pierhead_store::objects::OBJECTS;
use pierhead_store::{Change, Revision, Subscription};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::list;
use super::negotiate::Encoding;
use super::respond::Encoder;
use crate::call::{Answer, Call};
use crate::collection::Selector;
use crate::error::ApiError;
use crate::kind::Visible;
use crate::priority::StreamTurn;
use crate::query::ListOptions;
use crate::standing::Standing;
use crate::storage::objects::set_resource_version;
use crate::storage::{Document, Event, Key, Scan, Storage};
use crate::websocket::{self, Handshake};
use crate::{BoxError, ResponseBody};

/// Changes read from the log at once.
const STRIDE: usize = 256;
/// Objects of the initial list read at once.
const LIST_STRIDE: usize = 500;
/// How often a watch sends a bookmark (when asked to) and checks that it is still allowed.
const TICK: Duration = Duration::from_secs(30);
/// How long a watch lasts when the client does not say: at least this, at most twice.
const DEFAULT_LIFE: Duration = Duration::from_secs(30 * 60);

/// `GET …/<resource>?watch=true`.
pub(super) fn answer(call: Call, head: &Head, encoder: Encoder) -> Result<Answer, ApiError> {
    let mut options = ListOptions::parse(&call.query, true)?;
    if let Some(name) = &call.path.name {
        options.field_selector = format!("metadata.name={name}");
    }
    if encoder.encoding() == Encoding::Yaml {
        return Err(Status::not_acceptable(&["application/json", "application/json;stream=watch"]).into());
    }
    let mut selector = list::selector(&call, &options)?;
    if let Some(watched) = &call.resource.kind.watched {
        selector = selector.and((watched.own)(&call.subject));
    }
    let Some(storage) = call.resource.storage.clone() else {
        return Err(call.wrong_verb().into());
    };
    let is_websocket = websocket::is_asked(&head.headers);
    let handshake = is_websocket.then(|| Handshake::read(head, call.bearer.is_some())).transpose()?;
    let (turn, tasks) = (call.go_on_apart()?, call.server.config.tasks.clone());
    let mut watcher = Watcher::start(call, storage, encoder, selector, &options)?;
    watcher.turn = turn;
    let lines = stream::unfold(watcher, |mut watcher| async move { Some((watcher.next().await?, watcher)) });
    if let Some(handshake) = handshake {
        return Ok(Answer::Response(Box::new(handshake.accept(&tasks, lines.boxed()))));
    }
    let body = StreamBody::new(lines.map(|line| Ok::<_, BoxError>(Frame::data(line))));
    let mut response: Response<ResponseBody> = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    Ok(Answer::Response(Box::new(response)))
}

/// Where a watch is.
enum Phase {
    /// It sends what there was at `cursor`, from `after` on; then a bookmark if `bookmark`.
    Listing { after: Option<Key>, bookmark: bool },
    /// It follows the log.
    Following,
    /// It has said its last word.
    Ended,
}

struct Watcher {
    call: Call,
    standing: Standing,
    storage: Arc<dyn Storage>,
    encoder: Encoder,
    selector: Selector,
    bookmarks: bool,
    cursor: Revision,
    news: Subscription,
    /// It is time for a bookmark, and for asking again whether it is allowed.
    is_due: bool,
    phase: Phase,
    ready: VecDeque<Bytes>,
    first_row: bool,
    seen: Option<BTreeSet<String>>,
    ends: Instant,
    tick: Instant,
    /// That it is counted.
    turn: Option<StreamTurn>,
}

impl Watcher {
    fn start(
        call: Call,
        storage: Arc<dyn Storage>,
        encoder: Encoder,
        selector: Selector,
        options: &ListOptions,
    ) -> Result<Self, ApiError> {
        let store = &call.server.store;
        let asked = options.resource_version.filter(|revision| *revision > Revision::ZERO);
        let (cursor, phase) = match (options.send_initial_events, asked) {
            (Some(true), _) => {
                (store.revision(), Phase::Listing { after: None, bookmark: options.allow_bookmarks })
            }
            (None, None) => (store.revision(), Phase::Listing { after: None, bookmark: false }),
            (Some(false), None) => (store.revision(), Phase::Following),
            (Some(false) | None, Some(revision)) => {
                // Whether the log still reaches back that far is said at once, as a Status with 410.
                store.changes(revision, 1)?;
                (revision, Phase::Following)
            }
        };
        let life = options.timeout.unwrap_or_else(|| DEFAULT_LIFE.mul_f64(1.0 + rand::random::<f64>()));
        let news = store.subscribe_to(&storage.tables());
        let now = Instant::now();
        let mut watcher = Self {
            standing: call.standing(),
            call,
            storage,
            encoder,
            selector,
            bookmarks: options.allow_bookmarks,
            cursor,
            news,
            is_due: false,
            phase,
            ready: VecDeque::new(),
            first_row: true,
            seen: None,
            ends: now + life,
            tick: now + TICK,
            turn: None,
        };
        if let Some(visible) = watcher.call.resource.kind.visible {
            watcher.seen = Some(watcher.visible_names(visible)?);
        }
        Ok(watcher)
    }

    /// The next events as bytes; `None` when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            let step = match &self.phase {
                Phase::Ended => return None,
                _ if self.standing.stop.is_cancelled() => {
                    self.end();
                    Ok(())
                }
                Phase::Listing { after, bookmark } => {
                    let (after, bookmark) = (after.clone(), *bookmark);
                    self.list(after.as_ref(), bookmark)
                }
                Phase::Following => self.follow().await,
            };
            if self.ready.is_empty() {
                // Catching up with changes that concern nobody here is work without a wait: others get their turn.
                tokio::task::yield_now().await;
            }
            if let Err(error) = step {
                self.event("ERROR", &error.status().to_value());
                self.phase = Phase::Ended;
            }
        }
    }

    fn list(&mut self, after: Option<&Key>, bookmark: bool) -> Result<(), ApiError> {
        let namespace = self.call.path.namespace.as_deref();
        let found =
            self.storage.list(Scan { namespace, after, limit: LIST_STRIDE, at: Some(self.cursor) })?;
        // Storages that cannot look back answer with what is now, and the watch goes on from the older revision:
        // clients may then see a change twice, never miss one.
        let last = found.items.last().map(|(key, _)| key.clone());
        for (key, document) in found.items {
            if self.sees(&key) {
                let tree = document.into_tree()?;
                if self.selector.matches(&tree) {
                    self.send("ADDED", tree)?;
                }
            }
        }
        if found.more {
            self.phase = Phase::Listing { after: last, bookmark };
            return Ok(());
        }
        self.phase = Phase::Following;
        if bookmark {
            self.bookmark(&json!({
                "resourceVersion": self.cursor.to_string(),
                "annotations": {"k8s.io/initial-events-end": "true"},
            }));
        }
        Ok(())
    }

    async fn follow(&mut self) -> Result<(), ApiError> {
        // Marked as seen before the log is read: a change that comes in between wakes the wait below.
        self.news.mark_seen();
        self.cursor = self.news.skip(self.cursor);
        let changes = self.call.server.store.changes(self.cursor, STRIDE)?;
        if let Some(last) = changes.last() {
            for change in &changes {
                self.take(change)?;
            }
            self.cursor = last.revision;
            // Nothing leaves for who may not have it any more, and who lost the right learns so at once.
            let is_asked = !self.ready.is_empty() || changes.iter().any(|change| changes_rights(change));
            if is_asked && !self.standing.holds() {
                self.ready.clear();
                self.phase = Phase::Ended;
            }
            return Ok(());
        }
        if std::mem::take(&mut self.is_due) {
            if !self.standing.holds() {
                self.phase = Phase::Ended;
            } else if self.bookmarks {
                self.bookmark(&json!({"resourceVersion": self.cursor.to_string()}));
            }
            return Ok(());
        }
        tokio::select! {
            is_open = self.news.changed() => {
                if !is_open {
                    self.phase = Phase::Ended;
                }
            }
            () = tokio::time::sleep_until(self.ends) => self.end(),
            () = self.standing.stop.cancelled() => self.end(),
            () = tokio::time::sleep_until(self.tick) => {
                self.tick = Instant::now() + TICK;
                self.is_due = true;
            }
        }
        Ok(())
    }

    /// The end in time, after which the client goes on from where it was.
    fn end(&mut self) {
        if self.bookmarks && matches!(self.phase, Phase::Following) {
            self.bookmark(&json!({"resourceVersion": self.cursor.to_string()}));
        }
        self.phase = Phase::Ended;
    }

    fn take(&mut self, change: &Change) -> Result<(), ApiError> {
        if let Some(visible) = self.call.resource.kind.visible
            && changes_visibility(change)
        {
            return self.compare_visible(visible, change.revision);
        }
        match self.storage.event(change)? {
            Some(event) => self.tell(event),
            None => Ok(()),
        }
    }

    fn tell(&mut self, event: Event) -> Result<(), ApiError> {
        if self.call.path.namespace.as_ref().is_some_and(|namespace| *namespace != event.key.namespace) {
            return Ok(());
        }
        let before = event.before.map(Document::into_tree).transpose()?;
        let after = event.after.map(Document::into_tree).transpose()?;
        let saw = before.as_ref().is_some_and(|tree| self.selector.matches(tree)) && self.sees(&event.key);
        if let Some(visible) = self.call.resource.kind.visible {
            let now = after.is_some() && visible(&self.call.server.auth, &self.call.subject, &event.key.name);
            if let Some(seen) = &mut self.seen {
                if now {
                    seen.insert(event.key.name.clone());
                } else {
                    seen.remove(&event.key.name);
                }
            }
        }
        let sees = after.as_ref().is_some_and(|tree| self.selector.matches(tree)) && self.sees(&event.key);
        match (saw, sees, before, after) {
            (false, true, _, Some(after)) => self.send("ADDED", after),
            (true, true, _, Some(after)) => self.send("MODIFIED", after),
            (true, false, Some(mut before), _) => {
                set_resource_version(&mut before, event.revision);
                self.send("DELETED", before)
            }
            _ => Ok(()),
        }
    }

    fn sees(&self, key: &Key) -> bool {
        self.seen.as_ref().is_none_or(|seen| seen.contains(&key.name))
    }

    fn visible_names(&self, visible: Visible) -> Result<BTreeSet<String>, ApiError> {
        let scan = Scan { namespace: None, after: None, limit: usize::MAX, at: None };
        let all = self.storage.list(scan)?.items.into_iter().map(|(key, _)| key.name);
        Ok(all.filter(|name| visible(&self.call.server.auth, &self.call.subject, name)).collect())
    }

    /// Roles or groups changed: what came into sight is ADDED, what went out of it DELETED.
    fn compare_visible(&mut self, visible: Visible, revision: Revision) -> Result<(), ApiError> {
        let now = self.visible_names(visible)?;
        let before = self.seen.replace(now.clone()).unwrap_or_default();
        for name in before.symmetric_difference(&now) {
            let Some(document) = self.storage.get(&Key::new("", name.as_str()))? else { continue };
            let mut tree = document.into_tree()?;
            if !self.selector.matches(&tree) {
                continue;
            }
            if now.contains(name) {
                self.send("ADDED", tree)?;
            } else {
                set_resource_version(&mut tree, revision);
                self.send("DELETED", tree)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, kind: &str, tree: Value) -> Result<(), ApiError> {
        let now = self.call.server.clock.now();
        let object = self.encoder.event_object(Document::Tree(tree), self.first_row, now)?;
        self.first_row = false;
        self.event(kind, &object);
        Ok(())
    }

    fn bookmark(&mut self, metadata: &Value) {
        let object = self.encoder.bookmark(self.call.resource.kind.gvk.kind, metadata);
        self.event("BOOKMARK", &object);
    }

    fn event(&mut self, kind: &str, object: &Value) {
        let mut line = json!({"type": kind, "object": object}).to_string();
        line.push('\n');
        self.ready.push_back(line.into());
    }
}

/// Whether a change may alter what subjects see: roles, bindings and groups.
fn changes_visibility(change: &Change) -> bool {
    let roles = ["roles", "rolebindings", "clusterroles", "clusterrolebindings", "groups"];
    is_of(change, &roles)
}

/// Whether a change may end a watch: what subjects see, and who they are.
fn changes_rights(change: &Change) -> bool {
    let credentials = ["oauthaccesstokens", "users", "serviceaccounts", "secrets", "namespaces"];
    changes_visibility(change) || is_of(change, &credentials)
}

fn is_of(change: &Change, resources: &[&str]) -> bool {
    let Some(Ok(typed)) = OBJECTS.change(change) else { return false };
    resources.contains(&typed.key.resource.split('.').next().unwrap_or_default())
}
