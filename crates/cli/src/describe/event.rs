//! Events: a line each below what they are about, and by themselves.

use jiff::Timestamp;
use serde_json::Value;

use crate::{globals::Era, object, print::age};

/// When it happened last.
pub(crate) fn last_seen(event: &Value) -> &str {
    ["series.lastObservedTime", "lastTimestamp", "eventTime", "firstTimestamp", "metadata.creationTimestamp"]
        .into_iter()
        .map(|path| object::text(event, path))
        .find(|time| !time.is_empty())
        .unwrap_or_default()
}

/// When it happened first.
pub(crate) fn first_seen(event: &Value) -> &str {
    match object::text(event, "firstTimestamp") {
        "" => last_seen(event),
        first => first,
    }
}

/// How often it happened.
pub(crate) fn count(event: &Value) -> u64 {
    let count = object::at(event, "series.count").or(event.get("count")).and_then(Value::as_u64);
    count.unwrap_or(1).max(1)
}

/// Who saw it: `component, host`.
pub(crate) fn source(event: &Value) -> String {
    let component = match object::text(event, "source.component") {
        "" => object::text(event, "reportingComponent"),
        component => component,
    };
    match object::text(event, "source.host") {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    }
}

/// The head of the lines.
pub(super) fn head(era: Era) -> &'static str {
    match era {
        Era::V3_2 => {
            "  FirstSeen\tLastSeen\tCount\tFrom\tSubobjectPath\tType\tReason\tMessage\n  \
             ---------\t--------\t-----\t----\t-------------\t--------\t------\t-------\n"
        }
        Era::V4 => "  Type\tReason\tAge\tFrom\tMessage\n  ----\t------\t----\t----\t-------\n",
    }
}

/// One line.
pub(super) fn line(event: &Value, now: Timestamp, era: Era) -> String {
    let ago = |time: &str| age::short(Some(time).filter(|time| !time.is_empty()), now);
    let (last, first) = (ago(last_seen(event)), ago(first_seen(event)));
    let count = count(event);
    let (kind, reason) = (object::text(event, "type"), object::text(event, "reason"));
    let message = object::text(event, "message").trim();
    match era {
        Era::V3_2 => format!(
            "  {first}\t{last}\t{count}\t{{{}}}\t{}\t{kind}\t{reason}\t{message}\n",
            source(event).replace(", ", " "),
            object::text(event, "involvedObject.fieldPath"),
        ),
        Era::V4 => {
            let since = if count > 1 { format!("{last} (x{count} over {first})") } else { last };
            format!("  {kind}\t{reason}\t{since}\t{}\t{message}\n", source(event))
        }
    }
}

/// An event by itself.
pub(super) fn describe(event: &Value, now: Timestamp) -> String {
    let ago = |time: &str| age::short(Some(time).filter(|time| !time.is_empty()), now);
    let involved = |field: &str| object::text(event, &format!("involvedObject.{field}")).to_owned();
    format!(
        "{}Object:\t{}/{}\nType:\t{}\nReason:\t{}\nMessage:\t{}\nSource:\t{}\nFirst Seen:\t{}\nLast Seen:\t{}\nCount:\t{}\n",
        super::head(event),
        involved("kind").to_lowercase(),
        involved("name"),
        object::text(event, "type"),
        object::text(event, "reason"),
        object::text(event, "message").trim(),
        source(event),
        ago(first_seen(event)),
        ago(last_seen(event)),
        count(event),
    )
}
