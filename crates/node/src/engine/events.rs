//! The engine's own news: which pods had a container start, end or vanish.

use std::collections::HashMap;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt as _};

use super::{Engine, EngineError};
use crate::labels::{self, PodIdentity};

impl Engine {
    /// Uids of pods whose containers change, from now on. Ends when the engine does.
    pub(crate) async fn pod_events(
        &self,
        cluster: &str,
    ) -> Result<impl Stream<Item = Result<String, EngineError>> + Send + use<>, EngineError> {
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("label", vec![labels::of_cluster(cluster)]),
        ]);
        let options = EventsOptionsBuilder::new().filters(&filters).build();
        let events = self.docker().await?.events(Some(options));
        Ok(events.filter_map(async |event| match event {
            Ok(event) => pod_of(event).map(Ok),
            Err(error) => Some(Err(error.into())),
        }))
    }
}

/// News of commands run within a container are none.
fn pod_of(event: EventMessage) -> Option<String> {
    if event.action.is_some_and(|action| action.starts_with("exec_")) {
        return None;
    }
    let attributes = event.actor?.attributes?;
    PodIdentity::read(&attributes).map(|pod| pod.uid)
}
