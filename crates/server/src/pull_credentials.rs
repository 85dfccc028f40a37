//! The credentials with which a project's images are fetched from where they were imported from: all of its docker
//! secrets, whoever pulls (images 5.5).

use std::sync::Arc;

use pierhead_api::core::Secret;
use pierhead_client::Client;
use pierhead_client::keyring::Keyring;
use pierhead_registry::Credentials;
use tracing::info;

/// Reads the secrets of a namespace whenever it is asked: what was deleted counts no more.
pub(crate) fn pull_credentials(client: Client) -> Credentials {
    Arc::new(move |namespace| {
        let (client, namespace) = (client.clone(), namespace.to_owned());
        Box::pin(async move {
            let secrets = client.list::<Secret>(Some(&namespace)).await?;
            let keyring = Keyring::from_secrets(&secrets);
            for problem in keyring.problems() {
                let (secret, message) = (&problem.secret, &problem.message);
                info!(namespace, secret, "Secret {namespace}/{secret} gives no credentials: {message}");
            }
            Ok(keyring)
        })
    })
}
