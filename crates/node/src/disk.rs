//! Work on files away from the threads that answer requests.

use std::io;

/// Runs something that blocks.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => Err(io::Error::other(panic)),
    }
}
