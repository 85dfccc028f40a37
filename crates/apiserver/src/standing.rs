//! Answers that take as long as the client likes, watches and followed logs: whether the caller may go on with what was
//! allowed when it began, and that they end when the server is to stop, after what was written.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use pierhead_auth::{Attributes, Auth, Credentials, Subject};
use pierhead_runtime::{CancellationToken, Secret};

/// Who was allowed what.
pub(crate) struct Standing {
    /// Who decides.
    pub(crate) auth: Auth,
    /// Who asked.
    pub(crate) subject: Arc<Subject>,
    /// The token they sent.
    pub(crate) bearer: Option<Secret<String>>,
    /// What they asked for.
    pub(crate) attributes: Attributes,
    /// Fires when the server is to stop.
    pub(crate) stop: CancellationToken,
}

impl Standing {
    /// Whether the token is still good and the rules still allow it.
    pub(crate) fn holds(&self) -> bool {
        let known = match &self.bearer {
            Some(token) => self.auth.authenticate(Credentials::Bearer(token.expose())).is_ok(),
            None => true,
        };
        known && self.auth.allowed(&self.subject, &self.attributes).allowed
    }
}

/// The same pieces, until `stop` fires.
pub(crate) fn until_stopped<E>(
    pieces: impl Stream<Item = Result<Bytes, E>>,
    stop: CancellationToken,
) -> impl Stream<Item = Result<Bytes, E>> {
    pieces.take_until(stop.cancelled_owned())
}

#[cfg(test)]
mod tests {
    use super::until_stopped;
    use bytes::Bytes;
    use futures_util::{StreamExt as _, stream};
    use pierhead_runtime::CancellationToken;

    #[tokio::test]
    async fn an_answer_ends_with_the_server_after_what_was_written() {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"line\n"))]);
        let stop = CancellationToken::new();
        let mut pieces = Box::pin(until_stopped(first.chain(stream::pending()), stop.clone()));
        assert_eq!(pieces.next().await.unwrap().unwrap(), "line\n");
        stop.cancel();
        assert!(pieces.next().await.is_none());
    }
}
