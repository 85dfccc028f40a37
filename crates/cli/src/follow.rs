//! One object over time: what it is now, then each of its changes.

use std::time::Duration;

use pierhead_client::{ApiRequest, Client, ClientError, WatchEventKind, WatchStream};
use serde_json::Value;

use crate::{discovery::ApiKind, object};

/// How long to wait before a watch is opened anew.
const PAUSE: Duration = Duration::from_millis(200);

/// An object that is being followed. The watch is opened anew whenever the server ends it.
pub(crate) struct Followed {
    client: Client,
    collection: String,
    selector: String,
    watch: Option<WatchStream>,
    has_begun: bool,
}

impl Followed {
    pub(crate) fn new(client: &Client, kind: &ApiKind, namespace: &str, name: &str) -> Self {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("fieldSelector", &format!("metadata.name={name}"));
        Self {
            client: client.clone(),
            collection: kind.resource().collection(kind.scope(namespace)),
            selector: query.finish(),
            watch: None,
            has_begun: false,
        }
    }

    /// The object as it is, at first, then after each change. None where it does not exist or has been deleted.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, ClientError> {
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
        if std::mem::replace(&mut self.has_begun, true) {
            // Whoever ends watches at once must not be asked without a pause.
            tokio::time::sleep(PAUSE).await;
        }
        let path = format!("{}?{}", self.collection, self.selector);
        let list = self.client.request(http::Method::GET, &path, None, None).await?;
        let version = object::text(&list, "metadata.resourceVersion");
        let path = format!("{path}&watch=true&resourceVersion={version}");
        self.watch = Some(self.client.watch(ApiRequest::get(path)).await?);
        Ok(object::list(&list, "items").first().cloned())
    }
}
