//! The provider `BasicAuth`: another server is asked by `Authorization: Basic` who somebody is (platform 2.9).

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pierhead_runtime::Secret;
use serde::Deserialize;

use crate::password::{MAX_ID, ProviderUser, Said, is_user_name};
use crate::web::{self, ProviderError, Web, WebRequest};

/// Where passwords are checked.
#[derive(Clone, Debug)]
pub struct BasicAuth {
    /// An `https` URL; it answers 200 and who it is, or 401.
    pub url: String,
    /// Certificate authorities, PEM, to trust besides the usual ones.
    pub authority: Option<Arc<str>>,
}

#[derive(Deserialize)]
struct Answer {
    sub: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    preferred_username: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    error: String,
}

impl BasicAuth {
    /// Who this is; `None` where the server does not accept the password.
    pub(crate) async fn user(
        &self,
        web: Option<&Web>,
        provider: &str,
        (name, password): (&str, &str),
    ) -> Result<Option<ProviderUser>, ProviderError> {
        let credentials = BASE64_STANDARD.encode(format!("{name}:{password}"));
        let request = WebRequest {
            url: self.url.clone(),
            form: None,
            authorization: Some(Secret::new(format!("Basic {credentials}"))),
            authority: self.authority.clone(),
        };
        let answer = web::ask(web, request).await?;
        if answer.status == 401 {
            return Ok(None);
        }
        let Answer { sub, name, preferred_username, email, error } = web::read(&self.url, &answer)?;
        if sub.is_empty() || sub.len() > MAX_ID || !error.is_empty() {
            return Ok(None);
        }
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let said =
            Said { name: text(name), email: text(email), preferred_username: text(preferred_username) };
        let mut user = ProviderUser::known(provider, &sub, said);
        if !is_user_name(&user.name) {
            user.name = sub;
        }
        Ok(Some(user))
    }
}
