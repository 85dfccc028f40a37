//! Waiting for what takes a moment: looked at again and again, up to a limit.

use anyhow::{Context as _, Result, bail};
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What `look` finds; ends early when it fails, and fails when it found nothing for `limit`.
pub(super) fn until<T>(limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..looks(limit) {
        if let Some(found) = look()? {
            return Ok(found);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    bail!("not within {} seconds", limit.as_secs());
}

/// The first success of `attempt`, or its last failure after `limit`.
pub(super) fn eventually<T>(limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..looks(limit) {
        if let Ok(value) = attempt() {
            return Ok(value);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    attempt().with_context(|| format!("not within {} seconds", limit.as_secs()))
}

fn looks(limit: Duration) -> u128 {
    limit.as_millis() / LOOK_EVERY.as_millis()
}

#[cfg(test)]
mod tests {
    use super::{eventually, until};
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(200);

    #[test]
    fn it_looks_until_it_finds() {
        let mut left = 2;
        let found = until(SHORT, || {
            left -= 1;
            Ok((left == 0).then_some("found"))
        });
        assert_eq!(found.unwrap(), "found");
        let error = until(SHORT, || Ok(None::<()>)).unwrap_err();
        assert_eq!(error.to_string(), "not within 0 seconds");
    }

    #[test]
    fn the_last_failure_is_told() {
        let error = eventually(SHORT, || -> anyhow::Result<()> { anyhow::bail!("no route") }).unwrap_err();
        assert_eq!(format!("{error:#}"), "not within 0 seconds: no route");
    }
}
