//! OAuth access tokens and the codes they are exchanged for, by the hash of their secret (platform 2.6).
//!
//! Owns the hooks of both. `auth` makes them; deleting one ends the login at once. Clients of 3.x log out by the token
//! itself, which is not the name of the object (platform 11.21).

use pierhead_api::field::FieldErrors;
use pierhead_api::oauth::{OAuthAccessToken, OAuthAuthorizeToken};
use pierhead_auth::oauth_object_name;

use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// Access tokens.
pub(crate) fn access_tokens() -> Kind {
    Kind::stored(AccessTokens).unrecorded().openshift().deleted_as(oauth_object_name).fields(&[
        ("clientName", "/clientName"),
        ("userName", "/userName"),
        ("userUID", "/userUID"),
        ("authorizeToken", "/authorizeToken"),
    ])
}

/// Codes.
pub(crate) fn authorize_tokens() -> Kind {
    Kind::stored(AuthorizeTokens).unrecorded().openshift().fields(&[
        ("clientName", "/clientName"),
        ("userName", "/userName"),
        ("userUID", "/userUID"),
    ])
}

struct AccessTokens;

impl Strategy for AccessTokens {
    type Object = OAuthAccessToken;

    fn validate(&self, token: &OAuthAccessToken, _: &Change<'_>) -> FieldErrors {
        token.validate()
    }

    fn validate_update(
        &self,
        token: &OAuthAccessToken,
        old: &OAuthAccessToken,
        _: &Change<'_>,
    ) -> FieldErrors {
        token.validate_update(old)
    }
}

struct AuthorizeTokens;

impl Strategy for AuthorizeTokens {
    type Object = OAuthAuthorizeToken;

    fn validate(&self, code: &OAuthAuthorizeToken, _: &Change<'_>) -> FieldErrors {
        code.validate()
    }

    fn validate_update(
        &self,
        code: &OAuthAuthorizeToken,
        old: &OAuthAuthorizeToken,
        _: &Change<'_>,
    ) -> FieldErrors {
        code.validate_update(old)
    }
}
