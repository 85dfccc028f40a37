//! Events: what a reconciler did to an object, for people who look at it with `describe`.
//!
//! The name of an event is made from what it says, so that saying the same thing again finds the event of before:
//! a step that runs twice because its process died says it once, and a failure that goes on is counted.

use pierhead_api::core::{Event, EventSource, ObjectReference};
use pierhead_api::meta::{ObjectMeta, Time};
use pierhead_api::{Object, core};
use pierhead_client::{Client, ClientError};
use pierhead_runtime::SharedClock;
use sha2::{Digest as _, Sha256};
use tracing::debug;

/// How many characters of the object's name the event's name begins with.
const KEPT_OF_NAME: usize = 230;

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Normal,
    Warning,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Something that happened, before it is known to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) severity: Severity,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Happening {
    pub(crate) fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Normal, reason, message: message.into() }
    }

    pub(crate) fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, reason, message: message.into() }
    }
}

/// Writes events in the name of one reconciler.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) client: Client,
    pub(crate) clock: SharedClock,
    /// `source.component` of the events.
    pub(crate) component: &'static str,
}

/// What an event says it is about.
pub(crate) fn reference<K: Object>(object: &K) -> ObjectReference {
    let ObjectMeta { namespace, name, uid, resource_version, .. } = object.metadata().clone();
    ObjectReference {
        kind: K::KIND.into(),
        api_version: K::api_version(),
        namespace,
        name,
        uid,
        resource_version,
        ..ObjectReference::default()
    }
}

impl Events {
    /// Tells of something that happens once in the life of an object; told again, nothing changes.
    pub(crate) async fn once(&self, about: &ObjectReference, what: &Happening) -> Result<(), ClientError> {
        match self.client.create(Some(&about.namespace), &self.event(about, what)).await {
            Ok(_) => Ok(()),
            // The namespace is going, and its events with it.
            Err(error) if error.is_already_exists() || error.is_forbidden() || error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tells of something that may happen often; the event counts. A count that is lost does no harm.
    pub(crate) async fn tell(&self, about: &ObjectReference, what: &Happening) {
        if let Err(error) = self.count(about, what).await {
            debug!(object = %about.name, reason = what.reason, %error, "An event was lost: {error}");
        }
    }

    async fn count(&self, about: &ObjectReference, what: &Happening) -> Result<(), ClientError> {
        let event = self.event(about, what);
        let namespace = Some(about.namespace.as_str());
        match self.client.create(namespace, &event).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(error),
        }
        let mut told: Event = self.client.get(namespace, &event.metadata.name).await?;
        told.count += 1;
        told.last_timestamp = event.last_timestamp;
        told.involved_object = event.involved_object;
        self.client.replace(namespace, &told).await.map(drop)
    }

    fn event(&self, about: &ObjectReference, what: &Happening) -> core::Event {
        let now = Some(Time(self.clock.now()));
        Event {
            metadata: ObjectMeta::in_namespace(&about.namespace, self.name(about, what)),
            involved_object: about.clone(),
            reason: what.reason.into(),
            message: what.message.clone(),
            source: EventSource { component: self.component.into(), host: String::new() },
            first_timestamp: now,
            last_timestamp: now,
            count: 1,
            event_type: what.severity.as_str().into(),
            ..Event::default()
        }
    }

    fn name(&self, about: &ObjectReference, what: &Happening) -> String {
        let mut hasher = Sha256::new();
        for part in [self.component, &about.uid, what.severity.as_str(), what.reason, &what.message] {
            hasher.update(part.len().to_be_bytes());
            hasher.update(part);
        }
        let hash: String = hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let kept: String = about.name.chars().take(KEPT_OF_NAME).collect();
        format!("{}.{hash}", kept.trim_end_matches(['.', '-']))
    }
}
