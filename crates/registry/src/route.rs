//! Paths of the registry, read once.
//!
//! A path is read from its end, since names of repositories hold slashes. What leaves here is parsed: no other file
//! looks at a path, so nothing can be authorized under one name and served under another.

use std::borrow::Cow;
use std::fmt;

use pierhead_blobs::{UploadId, UploadIdError};
use pierhead_oci::{Digest, DigestError, Reference, ReferenceError, RepositoryName, RepositoryNameError};

/// One resource of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/` and `/healthz`: whether the process answers.
    Health,
    /// `/v2/`: whether the caller's credentials are good.
    Base,
    /// `/openshift/token`: where credentials become a token.
    Token,
    /// `/v2/_catalog`: names of repositories.
    Catalog,
    /// `/v2/<name>/tags/list`.
    Tags(Repository),
    /// `/v2/<name>/manifests/<reference>`.
    Manifest(Repository, Reference),
    /// `/v2/<name>/blobs/<digest>`.
    Blob(Repository, Digest),
    /// `/v2/<name>/blobs/uploads/`.
    Uploads(Repository),
    /// `/v2/<name>/blobs/uploads/<id>`.
    Upload(Repository, UploadId),
    /// `/v2/<name>/referrers/<digest>`.
    Referrers(Repository, Digest),
    /// `/extensions/v2/<name>/signatures/<digest>`.
    Signatures(Repository, Digest),
    /// `/admin/blobs/<digest>`: a blob wherever it is, for pruners.
    AdminBlob(Digest),
}

impl Route {
    /// Reads the path of a request, without its query.
    ///
    /// A colon may be written as `%3A`; nothing else may be escaped, since no valid name needs it.
    pub fn parse(path: &str) -> Result<Self, RouteError> {
        match path {
            "/" | "/healthz" => return Ok(Self::Health),
            "/v2/" | "/v2" => return Ok(Self::Base),
            "/openshift/token" => return Ok(Self::Token),
            "/v2/_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        if let Some(path) = path.strip_prefix("/extensions/v2/") {
            let (name, digest) = path.rsplit_once("/signatures/").ok_or(RouteError::NotFound)?;
            return Ok(Self::Signatures(Repository::parse(name)?, unescape_colons(digest).parse()?));
        }
        if let Some(digest) = path.strip_prefix("/admin/blobs/") {
            return Ok(Self::AdminBlob(unescape_colons(digest).parse()?));
        }
        let path = path.strip_prefix("/v2/").ok_or(RouteError::NotFound)?;
        let (parent, last) = path.rsplit_once('/').ok_or(RouteError::NotFound)?;
        let last = unescape_colons(last);
        let (parent, kind) = parent.rsplit_once('/').ok_or(RouteError::NotFound)?;
        match (kind, &*last) {
            ("uploads", id) => {
                let name = parent.strip_suffix("/blobs").ok_or(RouteError::NotFound)?;
                Self::parse_upload(name, id)
            }
            ("blobs", "uploads") => Self::parse_upload(parent, ""),
            ("blobs", digest) => Ok(Self::Blob(Repository::parse(parent)?, digest.parse()?)),
            ("manifests", reference) => Ok(Self::Manifest(Repository::parse(parent)?, reference.parse()?)),
            ("referrers", digest) => Ok(Self::Referrers(Repository::parse(parent)?, digest.parse()?)),
            ("tags", "list") => Ok(Self::Tags(Repository::parse(parent)?)),
            _ => Err(RouteError::NotFound),
        }
    }

    fn parse_upload(name: &str, id: &str) -> Result<Self, RouteError> {
        let repository = Repository::parse(name)?;
        Ok(match id {
            "" => Self::Uploads(repository),
            id => Self::Upload(repository, id.parse()?),
        })
    }

    /// The name of the resource in metrics: a closed set.
    pub const fn handler(&self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Base => "base",
            Self::Token => "token",
            Self::Catalog => "catalog",
            Self::Tags(_) => "tags",
            Self::Manifest(..) => "manifest",
            Self::Blob(..) => "blob",
            Self::Uploads(_) => "blob_upload",
            Self::Upload(..) => "blob_upload_chunk",
            Self::Referrers(..) => "referrers",
            Self::AdminBlob(_) => "admin_blob",
            Self::Signatures(..) => "signatures",
        }
    }
}

fn unescape_colons(text: &str) -> Cow<'_, str> {
    if text.contains('%') { text.replace("%3A", ":").replace("%3a", ":").into() } else { text.into() }
}

/// A repository that this registry can hold: exactly a project and an image stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository(RepositoryName);

impl Repository {
    /// Reads a name; one component, or three and more, name nothing here.
    pub fn parse(name: &str) -> Result<Self, RouteError> {
        let name: RepositoryName = name.parse()?;
        match name.project_and_stream() {
            Some(_) => Ok(Self(name)),
            None => Err(RouteError::NotProjectAndStream(name)),
        }
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The project it belongs to, which is a namespace of the API.
    pub fn project(&self) -> &str {
        self.parts().0
    }

    /// The image stream it is.
    pub fn stream(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.project_and_stream().expect("parse admits only names of two components")
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a path names nothing.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The registry has no such kind of path.
    #[error("there is nothing at this path")]
    NotFound,
    /// What should be the name of a repository is none.
    #[error(transparent)]
    Name(#[from] RepositoryNameError),
    /// The name is good, but not for a registry whose repositories are image streams.
    #[error("repository name `{0}` must be of the form <project>/<image stream>")]
    NotProjectAndStream(RepositoryName),
    /// What should be a digest is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// What should be a tag or digest is neither.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// What should be the name of an upload is none.
    #[error(transparent)]
    Upload(#[from] UploadIdError),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::Route;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const UPLOAD: &str = "b7e23ec2-9e9a-4d3c-8f1d-5a1d3d7b2c11";

    /// The resource in a word and its parts, or the words of the refusal.
    fn check(path: &str, expected: Result<&str, &str>) {
        let actual = match Route::parse(path) {
            Ok(Route::Tags(name)) => Ok(format!("tags {name}")),
            Ok(Route::Manifest(name, reference)) => Ok(format!("manifest {name} {reference}")),
            Ok(Route::Blob(name, digest)) => Ok(format!("blob {name} {digest}")),
            Ok(Route::Uploads(name)) => Ok(format!("uploads {name}")),
            Ok(Route::Upload(name, id)) => Ok(format!("upload {name} {id}")),
            Ok(Route::Referrers(name, digest)) => Ok(format!("referrers {name} {digest}")),
            Ok(Route::Signatures(name, digest)) => Ok(format!("signatures {name} {digest}")),
            Ok(Route::AdminBlob(digest)) => Ok(format!("admin {digest}")),
            Ok(route @ (Route::Health | Route::Base | Route::Token | Route::Catalog)) => {
                Ok(route.handler().to_owned())
            }
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(actual, expected.map(String::from).map_err(String::from), "{path}");
    }

    #[test]
    fn reads_every_resource() {
        check("/", Ok("health"));
        check("/healthz", Ok("health"));
        check("/v2/", Ok("base"));
        check("/v2", Ok("base"));
        check("/openshift/token", Ok("token"));
        check("/v2/_catalog", Ok("catalog"));
        check("/v2/shop/front/tags/list", Ok("tags shop/front"));
        check("/v2/shop/front/manifests/latest", Ok("manifest shop/front latest"));
        check(&format!("/v2/shop/front/manifests/{DIGEST}"), Ok(&format!("manifest shop/front {DIGEST}")));
        check(&format!("/v2/shop/front/blobs/{DIGEST}"), Ok(&format!("blob shop/front {DIGEST}")));
        check("/v2/shop/front/blobs/uploads/", Ok("uploads shop/front"));
        check("/v2/shop/front/blobs/uploads", Ok("uploads shop/front"));
        let upload = format!("upload shop/front {UPLOAD}");
        check(&format!("/v2/shop/front/blobs/uploads/{UPLOAD}"), Ok(&upload));
        check(&format!("/v2/shop/front/referrers/{DIGEST}"), Ok(&format!("referrers shop/front {DIGEST}")));
    }

    #[test]
    fn reads_extensions() {
        let signatures = format!("signatures shop/front {DIGEST}");
        check(&format!("/extensions/v2/shop/front/signatures/{DIGEST}"), Ok(&signatures));
        check("/extensions/v2/shop/front/signatures/v1", Err("digest `v1` has no `:`"));
        check(&format!("/admin/blobs/{DIGEST}"), Ok(&format!("admin {DIGEST}")));
        check("/admin/blobs/x", Err("digest `x` has no `:`"));
        check("/extensions/v2/metrics", Err("there is nothing at this path"));
    }

    #[test]
    fn names_may_look_like_paths() {
        check("/v2/blobs/uploads/tags/list", Ok("tags blobs/uploads"));
        check("/v2/manifests/blobs/manifests/list", Ok("manifest manifests/blobs list"));
        check("/v2/tags/list/blobs/uploads/", Ok("uploads tags/list"));
    }

    #[test]
    fn only_colons_may_be_escaped() {
        let escaped = DIGEST.replace(':', "%3A");
        check(&format!("/v2/shop/front/blobs/{escaped}"), Ok(&format!("blob shop/front {DIGEST}")));
        let bad = |name: &str| {
            format!("repository name `{name}` is not made of lower-case components joined by `/`")
        };
        check("/v2/shop%2ffront/manifests/v1", Err(&bad("shop%2ffront")));
        check("/v2/shop/fron%74/manifests/v1", Err(&bad("shop/fron%74")));
        let tag = "tag `v%31` is not of the form [A-Za-z0-9_][A-Za-z0-9._-]*";
        check("/v2/shop/front/manifests/v%31", Err(tag));
    }

    #[test]
    fn other_spellings_name_nothing() {
        let nothing = Err("there is nothing at this path");
        for path in [
            "",
            "//",
            "/v1/",
            "/V2/",
            "/v2/_catalog/x",
            "/v2/x",
            "/healthz/",
            "/healthz;x",
            "/v2/shop/front/tags/",
            "/v2/shop/front/tags/LIST",
            "/v2/shop/front/Manifests/v1",
            "/openshift/token/",
            "/openshift//token",
            "/v2/shop/front/tags/list/",
            "/v2/shop/front/layers/v1",
            "/v2/uploads/x",
            "*",
            "v2/",
        ] {
            check(path, nothing);
        }
        check("/v2//_catalog", nothing);
        let bad = |name: &str| {
            format!("repository name `{name}` is not made of lower-case components joined by `/`")
        };
        check("/v2/shop/../front/manifests/v1", Err(&bad("shop/../front")));
        check("/v2//shop/front/manifests/v1", Err(&bad("/shop/front")));
        check("/v2/shop/front;x/manifests/v1", Err(&bad("shop/front;x")));
    }

    #[test]
    fn says_what_is_wrong_with_a_part() {
        let form =
            |name: &str| format!("repository name `{name}` must be of the form <project>/<image stream>");
        check("/v2/front/manifests/v1", Err(&form("front")));
        check("/v2/shop/front/web/tags/list", Err(&form("shop/front/web")));
        check("/v2/shop/front/blobs/x", Err("digest `x` has no `:`"));
        check("/v2/shop/front/referrers/v1", Err("digest `v1` has no `:`"));
        check("/v2/shop/front/manifests/", Err("a tag may not be empty"));
        check("/v2/shop/front/blobs/uploads/x", Err("`x` is not an upload id"));
        check(
            &format!("/v2/{}/tags/list", "a".repeat(256)),
            Err("a repository name has at most 255 characters, got 256"),
        );
    }

    proptest! {
        #[test]
        fn no_path_makes_the_parser_panic(path in any::<String>(), tail in "(/v2/)?([a-z%:]{0,9}/){0,6}[a-z%:]{0,9}") {
            drop((Route::parse(&path), Route::parse(&tail)));
        }
    }
}
