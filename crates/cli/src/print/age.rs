//! Ages of the times in documents, in the two forms that users know.

use jiff::Timestamp;
use pierhead_api::age;

/// kubectl's: `5s`, `3m20s`, `5h`, `3d2h`.
pub(crate) fn short(since: Option<&str>, now: Timestamp) -> String {
    duration(since, now).map_or_else(|| "<unknown>".to_owned(), age::short)
}

/// oc's, in words: `About an hour`, `17 seconds` (openshift-images 3.11).
pub(crate) fn words(since: Option<&str>, now: Timestamp) -> String {
    duration(since, now).map_or_else(|| "<unknown>".to_owned(), age::long)
}

fn duration(since: Option<&str>, now: Timestamp) -> Option<jiff::SignedDuration> {
    let since: Timestamp = since?.parse().ok()?;
    Some(now.duration_since(since))
}
