//! What several reconcilers ask about namespaces.

use pierhead_api::core::Namespace;
use pierhead_client::{Client, ClientError, Reflected};

/// The names of the namespaces in which things may be created.
pub(crate) fn active(namespaces: &Reflected<Namespace>) -> impl Iterator<Item = String> {
    let all = namespaces.list().into_iter();
    all.filter(|namespace| !namespace.is_terminating()).map(|namespace| namespace.metadata.name.clone())
}

/// Whether things may be created in a namespace right now.
pub(crate) async fn is_active(client: &Client, name: &str) -> Result<bool, ClientError> {
    let namespace = client.find::<Namespace>(None, name).await?;
    Ok(namespace.is_some_and(|namespace| !namespace.is_terminating()))
}
