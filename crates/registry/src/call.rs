//! One request in the hands of a handler: its head, and what its caller may do.
//!
//! Credentials are read here and nowhere else. A handler asks for a permit; what it gets is either that or the
//! refusal to answer with.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use pierhead_auth::{
    Api, Attributes, Auth, Catalog, CreateStream, Credentials, Delete, Denied, Permit, Pull, Push, Subject,
};

use crate::access::Access;
use crate::error::RegistryError;
use crate::query::Query;
use crate::route::Repository;

/// A request without its body.
pub(crate) struct Call<'a> {
    auth: &'a Auth,
    head: &'a Parts,
    subject: OnceLock<Arc<Subject>>,
}

impl<'a> Call<'a> {
    /// Nothing is checked yet.
    pub(crate) const fn new(auth: &'a Auth, head: &'a Parts) -> Self {
        Self { auth, head, subject: OnceLock::new() }
    }

    /// The request's headers.
    pub(crate) const fn headers(&self) -> &'a HeaderMap {
        &self.head.headers
    }

    /// The request's query.
    pub(crate) fn query(&self) -> Query<'a> {
        Query::of(&self.head.uri)
    }

    /// Whether only the head of the answer is wanted.
    pub(crate) fn is_head(&self) -> bool {
        self.head.method == http::Method::HEAD
    }

    /// Who was found to be calling; `None` before anything was checked.
    pub(crate) fn known_subject(&self) -> Option<Arc<Subject>> {
        self.subject.get().cloned()
    }

    /// Who calls. Callers without credentials are told how to get some, and for what; those who chose to be nobody
    /// are nobody.
    pub(crate) fn subject(&self, access: &dyn Fn() -> Vec<Access>) -> Result<Arc<Subject>, RegistryError> {
        let presented = Presented::read(self.headers())?;
        let credentials = match &presented {
            Presented::Nothing => return Err(RegistryError::anonymous(&access())),
            Presented::Token(token) => Credentials::Bearer(token),
            Presented::Password { user, password } => Credentials::Basic { user, password },
        };
        let subject = self
            .auth
            .authenticate(credentials)
            .map_err(|error| RegistryError::unauthenticated(&error, &access()))?;
        Ok(Arc::clone(self.subject.get_or_init(|| subject)))
    }

    /// The right to read `repository`.
    pub(crate) fn permit_pull(&self, repository: &Repository) -> Result<Permit<Pull>, RegistryError> {
        self.permit(repository, &["pull"], Auth::permit_pull)
    }

    /// The right to write to `repository`.
    pub(crate) fn permit_push(&self, repository: &Repository) -> Result<Permit<Push>, RegistryError> {
        self.permit(repository, &["pull", "push"], Auth::permit_push)
    }

    /// The right to delete from `repository`.
    pub(crate) fn permit_delete(&self, repository: &Repository) -> Result<Permit<Delete>, RegistryError> {
        self.permit(repository, &["delete"], Auth::permit_delete)
    }

    fn permit<A>(
        &self,
        repository: &Repository,
        actions: &[&'static str],
        ask: impl FnOnce(&Auth, &Arc<Subject>, &str, &str) -> Result<Permit<A>, Denied>,
    ) -> Result<Permit<A>, RegistryError> {
        let access =
            || actions.iter().map(|action| Access::repository(repository.as_str(), action)).collect();
        let subject = self.subject(&access)?;
        ask(self.auth, &subject, repository.project(), repository.stream())
            .map_err(|denied| RegistryError::denied(&denied, &access()))
    }

    /// The right to list all repositories.
    pub(crate) fn permit_catalog(&self) -> Result<Permit<Catalog>, RegistryError> {
        let access = || vec![Access::catalog()];
        let subject = self.subject(&access)?;
        self.auth.permit_catalog(&subject).map_err(|denied| RegistryError::denied(&denied, &access()))
    }

    /// The right to remove blobs wherever they are: that to delete images (images 6.3).
    pub(crate) fn permit_prune(&self) -> Result<Permit<Api>, RegistryError> {
        let access = || vec![Access::prune()];
        let subject = self.subject(&access)?;
        let attributes = Attributes::new("delete", "image.openshift.io", "images");
        self.auth.authorize(&subject, &attributes).map_err(|denied| RegistryError::denied(&denied, &access()))
    }

    /// The right to sign images, which is no right of a repository.
    pub(crate) fn permit_sign(&self, repository: &Repository) -> Result<Permit<Api>, RegistryError> {
        let access = || vec![Access::signature(repository.as_str(), "put")];
        let subject = self.subject(&access)?;
        let attributes = Attributes::new("create", "image.openshift.io", "imagesignatures");
        self.auth.authorize(&subject, &attributes).map_err(|denied| RegistryError::denied(&denied, &access()))
    }

    /// The right to read the repository that a blob is mounted from. Lacking it is no error: the blob is not mounted.
    pub(crate) fn permit_source(&self, subject: &Arc<Subject>, source: &Repository) -> Option<Permit<Pull>> {
        self.auth.permit_pull(subject, source.project(), source.stream()).ok()
    }

    /// Whether `subject` may read a repository, for searching where a blob could be mounted from.
    pub(crate) fn may_pull(&self, subject: &Arc<Subject>, project: &str, stream: &str) -> bool {
        self.auth.permit_pull(subject, project, stream).is_ok()
    }

    /// The right to create the stream that is pushed to, should it not exist. Lacking it matters only then.
    pub(crate) fn permit_create_stream(&self, push: &Permit<Push>) -> Option<Permit<CreateStream>> {
        self.auth.permit_create_stream(push.subject(), push.namespace()).ok()
    }
}

/// What an `Authorization` header holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    /// There is none, or one of a scheme that nobody here knows.
    Nothing,
    /// `Bearer`.
    Token(&'a str),
    /// `Basic`.
    Password {
        /// Not looked at by the registry: the password is a token.
        user: String,
        /// Never empty.
        password: String,
    },
}

impl<'a> Presented<'a> {
    /// Reads the header. Schemes are matched without regard to case (RFC 9110, 11.1).
    pub(crate) fn read(headers: &'a HeaderMap) -> Result<Self, RegistryError> {
        let Some(header) = headers.get(AUTHORIZATION).map(HeaderValue::to_str) else {
            return Ok(Self::Nothing);
        };
        let Ok(header) = header else { return Err(RegistryError::undecodable_credentials()) };
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
            Ok(Self::Token(rest))
        } else if scheme.eq_ignore_ascii_case("basic") {
            let password = decode_basic(rest).filter(|(_, password)| !password.is_empty());
            let (user, password) = password.ok_or_else(RegistryError::undecodable_credentials)?;
            Ok(Self::Password { user, password })
        } else {
            Ok(Self::Nothing)
        }
    }
}

fn decode_basic(encoded: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.into(), password.into()))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::AUTHORIZATION;

    use super::Presented;

    fn check(header: &str, expected: Option<&Presented<'_>>) {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().unwrap());
        assert_eq!(Presented::read(&headers).ok().as_ref(), expected, "{header}");
    }

    #[test]
    fn reads_credentials() {
        let token = Presented::Token("abc");
        check("Bearer abc", Some(&token));
        check("bearer  abc", Some(&token));
        // dW5kZXI6dGFrZXI= is `under:taker`, YTpiOmM= is `a:b:c`.
        let password =
            |user: &str, password: &str| Presented::Password { user: user.into(), password: password.into() };
        check("Basic dW5kZXI6dGFrZXI=", Some(&password("under", "taker")));
        check("basic YTpiOmM=", Some(&password("a", "b:c")));
        check("Bearer ", Some(&Presented::Nothing));
        check("Digest x", Some(&Presented::Nothing));
        assert_eq!(Presented::read(&HeaderMap::new()).unwrap(), Presented::Nothing);
    }

    #[test]
    fn refuses_what_cannot_be_read() {
        check("Basic", None);
        check("Basic %%%", None);
        check("Basic dW5kZXI=", None); // no colon
        check("Basic dW5kZXI6", None); // no password
        check("Basic /////w==", None); // no text
    }
}
