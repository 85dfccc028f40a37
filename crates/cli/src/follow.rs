//! One object over time: what it is now, then each of its changes.

use std::time::Duration;

use pierhead_client::{ApiRequest, Client, ClientError, Resource, WatchEventKind, WatchStream};
use serde_json::Value;

use crate::object;

/// How long to wait before a watch is opened anew.
const PAUSE: Duration = Duration::from_millis(200);

/// How often in a row a server that does not answer is asked anew, and how far the pauses grow meanwhile: together
/// most of a minute, in which a server starts again.
const TRIES: u32 = 12;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// An object that is being followed. The watch is opened anew whenever it ends: because the server ended it, or the
/// connection broke, or the server is away for a while.
pub(crate) struct Followed {
    client: Client,
    collection: String,
    selector: String,
    watch: Option<WatchStream>,
    has_begun: bool,
}

impl Followed {
    /// Follows an object of a collection; `scope` is its namespace, if it has one.
    pub(crate) fn new(client: &Client, resource: &Resource, scope: Option<&str>, name: &str) -> Self {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("fieldSelector", &format!("metadata.name={name}"));
        Self {
            client: client.clone(),
            collection: resource.collection(scope),
            selector: query.finish(),
            watch: None,
            has_begun: false,
        }
    }

    /// The object as it is, at first, then after each change. None where it does not exist or has been deleted.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, ClientError> {
        let mut lost = 0;
        loop {
            match self.advance().await {
                Err(error) if self.has_begun && lost < TRIES && is_passing(&error) => {
                    tracing::debug!(%error, "The watch is opened anew");
                    self.watch = None;
                    tokio::time::sleep((PAUSE * 2_u32.pow(lost)).min(LONGEST_PAUSE)).await;
                    lost += 1;
                }
                answered => return answered,
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Value>, ClientError> {
        loop {
            let Some(watch) = &mut self.watch else { return self.begin().await };
            match watch.next().await? {
                Some(event) => match event.kind {
                    WatchEventKind::Added | WatchEventKind::Modified => return Ok(Some(event.object)),
                    WatchEventKind::Deleted => return Ok(None),
                    WatchEventKind::Bookmark => {}
                    // The version asked for is too old by now: read the present state instead.
                    WatchEventKind::Error => self.watch = None,
                },
                None => self.watch = None,
            }
        }
    }

    async fn begin(&mut self) -> Result<Option<Value>, ClientError> {
        if self.has_begun {
            // Whoever ends watches at once must not be asked without a pause.
            tokio::time::sleep(PAUSE).await;
        }
        let path = format!("{}?{}", self.collection, self.selector);
        let list = self.client.request(http::Method::GET, &path, None, None).await?;
        self.has_begun = true;
        let version = object::text(&list, "metadata.resourceVersion");
        let path = format!("{path}&watch=true&resourceVersion={version}");
        self.watch = Some(self.client.watch(ApiRequest::get(path)).await?);
        Ok(object::list(&list, "items").first().cloned())
    }
}

/// Whether the same request may succeed in a while: nobody answered, or somebody in the server's place, or the version
/// asked for is too old by now.
fn is_passing(error: &ClientError) -> bool {
    matches!(error, ClientError::Transport(_) | ClientError::Service(_))
        || matches!(error.code(), Some(410 | 429 | 500 | 502..=504))
}
