//! What a caller presents, and why it was refused.

/// Credentials of one request, as the transport found them.
#[derive(Clone, Copy)]
pub enum Credentials<'a> {
    /// None were presented: the caller is anonymous.
    None,
    /// `Authorization: Bearer …`: an OAuth access token, a service account token, or `anonymous`.
    Bearer(&'a str),
    /// `Authorization: Basic …`: the password is a token, the user name does not count (images 6.2). Passwords of
    /// identity providers are checked by `Auth::login` alone.
    Basic {
        /// The user name, which is not looked at.
        user: &'a str,
        /// The token.
        password: &'a str,
    },
    /// A client certificate that the TLS layer verified against our CA.
    ClientCertificate {
        /// Its common name: the user name.
        common_name: &'a str,
        /// Its organizations: the groups.
        organizations: &'a [String],
    },
}

/// Credentials were presented and are not valid. The text does not say what is wrong with them to the caller.
#[derive(Debug, thiserror::Error)]
pub enum Unauthenticated {
    /// Unknown, expired, revoked or malformed.
    #[error("the credentials are not valid: {0}")]
    Invalid(#[from] InvalidCredentials),
    /// What is needed to check them cannot be read now.
    #[error("reading what is needed to check the credentials")]
    Store(#[from] pierhead_store::StoreError),
}

/// What is wrong with credentials: for the log, never for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredentials {
    /// A user name or password is empty.
    #[error("a name or password is empty")]
    Blank,
    /// Longer than any credential of ours.
    #[error("{0} bytes are more than a token may have")]
    TooLong(usize),
    /// Neither an OAuth token nor a JSON web token.
    #[error("it is no token of a known form")]
    UnknownForm,
    /// The header, the claims or the signature of a JSON web token.
    #[error("the token's {0} is not acceptable")]
    Jwt(&'static str),
    /// The token, or something it depends on, does not exist (any more).
    #[error("the {0} does not exist or is not the one the token was made for")]
    Gone(&'static str),
    /// Its time is over, or has not begun.
    #[error("the token is not valid at this time")]
    Time,
    /// No identity provider knows this user with this password.
    #[error("no identity provider accepts this name and password")]
    Password,
}
