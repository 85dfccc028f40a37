//! `logout`: give the token back and forget it (platform 2.8).

use anyhow::bail;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use clap::Args;
use http::Method;
use pierhead_client::ApiRequest;
use sha2::{Digest as _, Sha256};

use super::whoami;
use crate::{environment::ExitStatus, session::Session};

/// End the session: the token is deleted on the server and in the kubeconfig
#[derive(Args, Debug)]
pub(crate) struct LogoutArgs {}

pub(crate) async fn run(_args: LogoutArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let config = session.kubeconfig()?.config.clone();
    let entry = config.current().map(|context| context.user.clone()).unwrap_or_default();
    let token = config.users.get(&entry).and_then(|user| user.token.clone());
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        bail!("You must have a token in order to logout.");
    };
    let client = session.client()?;
    // A token that the server knows no longer is to be forgotten all the same.
    let user = match whoami::user_name(&client).await {
        Err(error) if error.is_unauthorized() => {
            entry.split_once('/').map_or(entry.as_str(), |(user, _)| user).to_owned()
        }
        answered => answered?,
    };
    let path = format!("/apis/oauth.openshift.io/v1/oauthaccesstokens/{}", object_name(&token));
    match client.send(ApiRequest::new(Method::DELETE, path, Bytes::new())).await {
        Ok(_) => {}
        // The token is one of a service account, or gone already.
        Err(error) if matches!(error.code(), Some(401 | 403 | 404)) => {
            tracing::debug!(%error, "The server did not delete the token");
        }
        // It is still good: who forgot it here could not take it back any more.
        Err(error) => return Err(error.into()),
    }
    let server = session.server()?;
    let kubeconfig = session.kubeconfig()?;
    if let Some(user) = kubeconfig.config.users.get_mut(&entry) {
        user.token = None;
    }
    kubeconfig.save()?;
    session.say(&format!("Logged {user:?} out on {server:?}"))?;
    Ok(ExitStatus::SUCCESS)
}

/// Under which name the server keeps a token.
fn object_name(token: &str) -> String {
    match token.strip_prefix("sha256~") {
        Some(secret) => format!("sha256~{}", URL_SAFE_NO_PAD.encode(Sha256::digest(secret.as_bytes()))),
        None => pierhead_client::escape(token),
    }
}

#[cfg(test)]
mod tests {
    use super::object_name;

    #[test]
    fn tokens_are_kept_under_their_hash() {
        assert_eq!(object_name("sha256~abc"), "sha256~ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(object_name("old/token"), "old%2Ftoken");
    }
}
