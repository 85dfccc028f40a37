//! The network that all pods of this engine share.

use std::collections::HashMap;

use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::InspectNetworkOptions;

use super::{Engine, EngineError};

/// A bridge of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Network {
    /// This machine's address in it.
    pub(crate) gateway: Option<String>,
    /// The addresses pods get.
    pub(crate) subnet: Option<String>,
}

impl Engine {
    /// Finds the network, and makes it if there is none.
    pub(crate) async fn ensure_network(&self, name: &str) -> Result<Network, EngineError> {
        if let Some(network) = self.find_network(name).await? {
            return Ok(network);
        }
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(HashMap::from([("io.pierhead.network".to_owned(), name.to_owned())])),
            ..NetworkCreateRequest::default()
        };
        let made = self.docker().await?.create_network(request).await;
        // Another Pierhead on the same engine may have been faster.
        match (self.find_network(name).await?, made) {
            (Some(network), _) => Ok(network),
            (None, Err(error)) => Err(error.into()),
            (None, Ok(_)) => Err(EngineError::NotFound { message: format!("network {name} vanished") }),
        }
    }

    async fn find_network(&self, name: &str) -> Result<Option<Network>, EngineError> {
        match self.docker().await?.inspect_network(name, None::<InspectNetworkOptions>).await {
            Ok(answer) => {
                let configs = answer.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
                let config = configs.into_iter().next().unwrap_or_default();
                Ok(Some(Network { gateway: config.gateway, subnet: config.subnet }))
            }
            Err(error) => match EngineError::from(error) {
                EngineError::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }
}
