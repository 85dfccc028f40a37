//! What several reconcilers ask about pods: are they counted, chosen, ready, available, and whose they are.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pierhead_api::Object;
use pierhead_api::core::Pod;
use pierhead_api::meta::OwnerReference;

/// Whether a pod counts: it is neither finished nor going.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !pod.is_finished() && pod.metadata.deletion_timestamp.is_none()
}

/// Whether labels have all members of a selector. An empty selector chooses nothing.
pub(crate) fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// How long until a pod is available: zero when it is, none when it is not ready.
pub(crate) fn available_in(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> Option<Duration> {
    let ready = pod.status.condition("Ready").filter(|condition| condition.status == "True")?;
    let needed = Duration::from_secs(u64::try_from(min_ready_seconds).unwrap_or_default());
    if needed.is_zero() {
        return Some(Duration::ZERO);
    }
    let since = ready.last_transition_time?.0;
    let lasted = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    Some(needed.saturating_sub(lasted))
}

/// Whether a pod has been ready for long enough.
pub(crate) fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    available_in(pod, min_ready_seconds, now).is_some_and(|wait| wait.is_zero())
}

/// A reference to the owner that manages an object.
pub(crate) fn controlled_by<K: Object>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(),
        kind: K::KIND.into(),
        name: owner.metadata().name.clone(),
        uid: owner.metadata().uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// A reference to an owner that an object goes with, and that does not count it among its own.
pub(crate) fn owned_by<K: Object>(owner: &K) -> OwnerReference {
    OwnerReference { controller: None, block_owner_deletion: None, ..controlled_by(owner) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pierhead_api::core::Pod;
    use pierhead_api::from_value;
    use serde_json::json;

    use super::{available_in, selects};

    #[track_caller]
    fn check(ready: &str, since: &str, min_ready_seconds: i32, expected: Option<u64>) {
        let condition = json!({"type": "Ready", "status": ready, "lastTransitionTime": since});
        let pod: Pod = from_value(&json!({"status": {"conditions": [condition]}})).unwrap();
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        assert_eq!(available_in(&pod, min_ready_seconds, now), expected.map(Duration::from_secs));
    }

    #[test]
    fn a_pod_is_available_once_it_was_ready_for_long_enough() {
        check("True", "2026-01-01T00:01:00Z", 0, Some(0));
        check("True", "2026-01-01T00:00:30Z", 30, Some(0));
        check("True", "2026-01-01T00:00:31Z", 30, Some(1));
        // A clock that was set back must not make pods available at once.
        check("True", "2026-01-01T00:02:00Z", 30, Some(30));
        check("False", "2026-01-01T00:00:00Z", 0, None);
        check("Unknown", "2026-01-01T00:00:00Z", 0, None);
    }

    #[test]
    fn an_empty_selector_chooses_nothing() {
        let labels = [("app".to_owned(), "web".to_owned())].into();
        assert!(selects(&labels, &labels));
        assert!(!selects(&[].into(), &labels));
        assert!(!selects(&labels, &[].into()));
    }
}
