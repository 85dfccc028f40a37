//! Removes events an hour after they were told last, as Kubernetes does: they are news, and would fill the store.
//!
//! Whoever told them, and in whichever of the two forms. Nothing is remembered between sweeps.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use pierhead_api::core::Event;
use pierhead_api::from_value;
use pierhead_api::meta::{DeleteOptions, ObjectMeta, Preconditions};
use pierhead_client::{Client, ClientError, Resource, escape};
use pierhead_runtime::{SharedClock, Tasks};
use serde_json::Value;
use tracing::{info, warn};

/// How long an event stays after it was told last.
const KEPT: SignedDuration = SignedDuration::from_hours(1);
/// Soon after the start, for servers that are started often.
const FIRST_SWEEP: Duration = Duration::from_secs(60);
const SWEEP_EVERY: Duration = Duration::from_secs(600);
const PAGE: usize = 500;
/// Deletions at a time, which the store writes together.
const AT_ONCE: usize = 16;

/// Sweeps now and then, until the tasks are shut down.
pub(crate) fn start(client: Client, clock: SharedClock, tasks: &Tasks) {
    tasks.spawn("event-expiry", |stop| async move {
        let mut wait = FIRST_SWEEP;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = SWEEP_EVERY;
            let swept = tokio::select! {
                () = stop.cancelled() => return,
                swept = sweep(&client, clock.now()) => swept,
            };
            match swept {
                Ok(0) => {}
                Ok(events) => info!(events, "Removed events that are old"),
                Err(error) => warn!(%error, "Removing old events failed, trying again later: {error}"),
            }
        }
    });
}

/// Removes what is old, page by page; answers how many.
async fn sweep(client: &Client, now: Timestamp) -> Result<usize, ClientError> {
    let path = Resource::of::<Event>().collection(None);
    let (mut removed, mut token) = (0, String::new());
    loop {
        let page = format!("{path}?limit={PAGE}&continue={}", escape(&token));
        let list = client.request(Method::GET, &page, None, None).await?;
        let items = list.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        // One that cannot be read is nobody's news; it must not keep the others.
        let events = items.iter().filter_map(|item| from_value::<Event>(item).ok());
        let old = events.filter(|event| is_old(event, now)).map(|event| event.metadata);
        let deletions: Vec<_> = old.map(|metadata| delete(client, metadata)).collect();
        let mut deletions = stream::iter(deletions).buffer_unordered(AT_ONCE);
        while let Some(deleted) = deletions.next().await {
            removed += usize::from(deleted?);
        }
        list.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().clone_into(&mut token);
        if token.is_empty() {
            return Ok(removed);
        }
    }
}

/// Whether an event was not told for long. One that says no time is as old as its object.
fn is_old(event: &Event, now: Timestamp) -> bool {
    let times = [
        event.last_timestamp.map(|time| time.0),
        event.event_time.map(|time| time.0),
        event.series.as_ref().and_then(|series| series.last_observed_time).map(|time| time.0),
        event.metadata.creation_timestamp.map(|time| time.0),
    ];
    times.into_iter().flatten().max().is_some_and(|told| now.duration_since(told) > KEPT)
}

/// False where it is gone, or was told again meanwhile.
async fn delete(client: &Client, metadata: ObjectMeta) -> Result<bool, ClientError> {
    let preconditions = Preconditions { uid: None, resource_version: Some(metadata.resource_version) };
    let options = DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() };
    match client.delete::<Event>(Some(&metadata.namespace), &metadata.name, &options).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use pierhead_api::core::Event;
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use super::is_old;

    #[track_caller]
    fn check(event: Value, expected: bool) {
        let found: Event = from_value(&event).unwrap();
        assert_eq!(is_old(&found, "2026-01-01T12:00:00Z".parse().unwrap()), expected, "{event}");
    }

    #[test]
    fn an_event_is_old_an_hour_after_it_was_told_last() {
        let made = json!({"creationTimestamp": "2026-01-01T03:00:00Z"});
        check(json!({"metadata": made}), true);
        check(json!({"metadata": made, "lastTimestamp": "2026-01-01T10:59:59Z"}), true);
        check(json!({"metadata": made, "lastTimestamp": "2026-01-01T11:00:00Z"}), false);
        let new_form = |last: &str| json!({"metadata": made, "eventTime": "2026-01-01T03:00:00.000000Z", "series": {"count": 2, "lastObservedTime": last}});
        check(new_form("2026-01-01T10:00:00.000000Z"), true);
        check(new_form("2026-01-01T11:30:00.000000Z"), false);
        check(json!({}), false);
    }
}
