//! Waiting for a condition with a limit; never for a time.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(30);
const BETWEEN: Duration = Duration::from_millis(100);

/// Asks again and again, for 30 seconds at most; the error says what was waited for.
///
/// # Errors
/// The time is up.
pub async fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    eventually_within(LIMIT, what, ask).await
}

/// [`eventually`] with another limit.
///
/// # Errors
/// The time is up.
pub async fn eventually_within<T>(
    limit: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if begun.elapsed() > limit {
            bail!("{what}: not within {limit:?}");
        }
        tokio::time::sleep(BETWEEN).await;
    }
}
