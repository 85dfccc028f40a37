//! How long ago something was, in the two spellings clients know: `3d2h` of kubectl and `About a minute` of docker.

use jiff::{SignedDuration, Timestamp};

use crate::meta::Time;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// Age of something in kubectl's form; `<unknown>` when its time is not known.
pub fn short_since(time: Option<Time>, now: Timestamp) -> String {
    time.map_or_else(|| "<unknown>".into(), |time| short(now.duration_since(time.0)))
}

/// Age of something in docker's form with `ago`; empty when its time is not known.
pub fn long_since(time: Option<Time>, now: Timestamp) -> String {
    time.map_or_else(String::new, |time| format!("{} ago", long(now.duration_since(time.0))))
}

/// kubectl's form: two units while the first is small (`5m30s`, `3d2h`), then one. A clock that is a little behind
/// counts as now.
pub fn short(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let two = |large: i64, unit: char, rest: i64, small: char| {
        if rest == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{rest}{small}") }
    };
    match seconds {
        ..=-2 => "<invalid>".into(),
        -1..0 => "0s".into(),
        _ if seconds < 2 * MINUTE => format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => two(seconds / MINUTE, 'm', seconds % MINUTE, 's'),
        _ if seconds < 3 * HOUR => format!("{}m", seconds / MINUTE),
        _ if seconds < 8 * HOUR => two(seconds / HOUR, 'h', seconds / MINUTE % 60, 'm'),
        _ if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => two(seconds / DAY, 'd', seconds / HOUR % 24, 'h'),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => two(seconds / YEAR, 'y', seconds / DAY % 365, 'd'),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// docker's form: `Less than a second`, `About a minute`, `3 weeks` (images 3.11).
pub fn long(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    // docker rounds hours, and nothing else.
    let hours = (seconds + HOUR / 2) / HOUR;
    match seconds {
        ..1 => "Less than a second".into(),
        1 => "1 second".into(),
        _ if seconds < MINUTE => format!("{seconds} seconds"),
        _ if seconds < 2 * MINUTE => "About a minute".into(),
        _ if seconds < HOUR => format!("{} minutes", seconds / MINUTE),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 14 => format!("{} days", hours / 24),
        _ if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::{long, short};

    #[track_caller]
    fn check(seconds: i64, expected_short: &str, expected_long: &str) {
        let duration = SignedDuration::from_secs(seconds);
        assert_eq!((short(duration).as_str(), long(duration).as_str()), (expected_short, expected_long));
    }

    #[test]
    fn speaks_both_forms() {
        const H: i64 = 3600;
        const D: i64 = 24 * H;
        check(-5, "<invalid>", "Less than a second");
        check(-1, "0s", "Less than a second");
        check(0, "0s", "Less than a second");
        check(1, "1s", "1 second");
        check(59, "59s", "59 seconds");
        check(60, "60s", "About a minute");
        check(119, "119s", "About a minute");
        check(120, "2m", "2 minutes");
        check(330, "5m30s", "5 minutes");
        check(600, "10m", "10 minutes");
        check(H - 1, "59m", "59 minutes");
        check(H, "60m", "About an hour");
        check(H + H / 2, "90m", "2 hours");
        check(3 * H, "3h", "3 hours");
        check(3 * H + 120, "3h2m", "3 hours");
        check(8 * H + 60, "8h", "8 hours");
        check(47 * H, "47h", "47 hours");
        check(2 * D, "2d", "2 days");
        check(3 * D + 2 * H, "3d2h", "3 days");
        check(8 * D, "8d", "8 days");
        check(14 * D, "14d", "2 weeks");
        check(59 * D, "59d", "8 weeks");
        check(60 * D, "60d", "2 months");
        check(729 * D, "729d", "24 months");
        check(730 * D, "2y", "2 years");
        check(731 * D, "2y1d", "2 years");
        check(10 * 365 * D, "10y", "10 years");
    }
}
