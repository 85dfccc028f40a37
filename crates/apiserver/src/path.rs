//! Reads the path of a request, once, into what it addresses.
//!
//! Owns every rule about prefixes (`/api/v1`, `/apis/<group>/<version>`, `/oapi/v1`, the old `/watch/`), namespaces,
//! names and subresources (platform 1.7, 11.16). Nothing is normalised: a path is understood exactly as sent or it is
//! not found, so that authorization and execution can never read it differently. Does not know which kinds exist.

use percent_encoding::percent_decode_str;
use pierhead_api::name;

/// What a request path addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/`
    Root,
    /// `/healthz`, `/livez`, `/readyz` and below.
    Health,
    /// `/version`
    Version,
    /// `/version/openshift`
    OpenShiftVersion,
    /// `/api`
    CoreVersions,
    /// `/oapi`
    LegacyVersions,
    /// `/apis`
    Groups,
    /// `/apis/<group>`
    Group(String),
    /// `/api/v1`, `/oapi/v1` or `/apis/<group>/<version>`: the list of its resources.
    Resources(Prefix),
    /// `/openapi/v2` and its older name.
    OpenApiV2,
    /// `/openapi/v3`
    OpenApiV3Index,
    /// `/openapi/v3/<api/v1 or apis/group/version>`
    OpenApiV3(Prefix),
    /// `/swaggerapi`: the documents of clients of 2016, one for each prefix.
    SwaggerListing,
    /// `/swaggerapi/<api/v1, oapi/v1 or apis/group/version>`
    Swagger(Prefix),
    /// `/openid/v1/jwks`
    ServiceAccountKeys,
    /// `/.well-known/openid-configuration`
    ServiceAccountIssuer,
    /// `/oauth/…`, `/login`, `/oauth2callback/…`, `/.well-known/oauth-authorization-server`: the OAuth server decides.
    OAuth,
    /// Objects.
    Resource(ResourcePath),
    /// Nothing we serve.
    Unknown,
}

/// Which of the three families of paths a resource was asked under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Prefix {
    /// `/api/v1`
    Core,
    /// `/oapi/v1`: OpenShift's kinds with `apiVersion: v1`.
    Legacy,
    /// `/apis/<group>/<version>`
    Group {
        /// The API group.
        group: String,
        /// The version in it.
        version: String,
    },
}

impl Prefix {
    /// The `apiVersion` objects carry under this prefix.
    pub(crate) fn api_version(&self) -> String {
        match self {
            Self::Core | Self::Legacy => "v1".to_owned(),
            Self::Group { group, version } => format!("{group}/{version}"),
        }
    }
}

/// A path to objects of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    /// The family of the path.
    pub(crate) prefix: Prefix,
    /// True for the old `/watch/` form.
    pub(crate) watch: bool,
    /// The namespace of the path, decoded.
    pub(crate) namespace: Option<String>,
    /// The plural of the kind.
    pub(crate) resource: String,
    /// The name of one object, decoded.
    pub(crate) name: Option<String>,
    /// What comes after the name, decoded.
    pub(crate) subresource: Option<String>,
}

/// Understands `path`, the raw path of a request line without its query.
pub(crate) fn parse(path: &str) -> Target {
    if path == "/" {
        return Target::Root;
    }
    let Some(rest) = path.strip_prefix('/') else { return Target::Unknown };
    let mut segments = Vec::new();
    let trailing = rest.ends_with('/');
    for raw in rest.strip_suffix('/').unwrap_or(rest).split('/') {
        match segment(raw) {
            Some(decoded) => segments.push(decoded),
            None => return Target::Unknown,
        }
    }
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    match read(&parts) {
        // Generated clients ask discovery with a slash at the end; an object's path has one spelling.
        Target::Resource(_) if trailing => Target::Unknown,
        target => target,
    }
}

/// Decodes one segment; refuses what could be read in two ways, which no object can be called either.
fn segment(raw: &str) -> Option<String> {
    let decoded = percent_decode_str(raw).decode_utf8().ok()?;
    let is_name = !decoded.is_empty() && name::path_segment(&decoded).is_empty();
    is_name.then(|| decoded.into_owned())
}

fn read(parts: &[&str]) -> Target {
    match parts {
        ["healthz" | "livez" | "readyz", ..] if parts.len() <= 2 => Target::Health,
        ["version"] => Target::Version,
        ["version", "openshift"] => Target::OpenShiftVersion,
        ["api"] => Target::CoreVersions,
        ["oapi"] => Target::LegacyVersions,
        ["apis"] => Target::Groups,
        ["apis", group] => Target::Group((*group).to_owned()),
        ["openapi", "v2"] | ["swagger-2.0.0.pb-v1"] => Target::OpenApiV2,
        ["openapi", "v3"] => Target::OpenApiV3Index,
        ["openapi", "v3", rest @ ..] => match split_prefix(rest) {
            Some((prefix, [])) => Target::OpenApiV3(prefix),
            _ => Target::Unknown,
        },
        ["swaggerapi"] => Target::SwaggerListing,
        ["swaggerapi", rest @ ..] => match split_prefix(rest) {
            Some((prefix, [])) => Target::Swagger(prefix),
            _ => Target::Unknown,
        },
        ["openid", "v1", "jwks"] => Target::ServiceAccountKeys,
        [".well-known", "openid-configuration"] => Target::ServiceAccountIssuer,
        ["oauth" | "login" | "logout" | "oauth2callback", ..]
        | [".well-known", "oauth-authorization-server"] => Target::OAuth,
        _ => match split_prefix(parts) {
            Some((prefix, [])) => Target::Resources(prefix),
            Some((prefix, rest)) => resource(prefix, rest).map_or(Target::Unknown, Target::Resource),
            None => Target::Unknown,
        },
    }
}

fn split_prefix<'a, 'b>(parts: &'a [&'b str]) -> Option<(Prefix, &'a [&'b str])> {
    match parts {
        ["api", "v1", rest @ ..] => Some((Prefix::Core, rest)),
        ["oapi", "v1", rest @ ..] => Some((Prefix::Legacy, rest)),
        ["apis", group, version, rest @ ..] => {
            Some((Prefix::Group { group: (*group).to_owned(), version: (*version).to_owned() }, rest))
        }
        _ => None,
    }
}

fn resource(prefix: Prefix, parts: &[&str]) -> Option<ResourcePath> {
    let (watch, parts) = match parts {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        _ => (false, parts),
    };
    let (namespace, parts) = match parts {
        // `namespaces/x`, `namespaces/x/status` and `…/finalize` address the namespace itself.
        ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => (None, parts),
        ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
        _ => (None, parts),
    };
    let (resource, name, subresource) = match parts {
        [resource] => (resource, None, None),
        [resource, name] => (resource, Some(name), None),
        [resource, name, subresource] => (resource, Some(name), Some(subresource)),
        _ => return None,
    };
    Some(ResourcePath {
        prefix,
        watch,
        namespace,
        resource: (*resource).to_owned(),
        name: name.map(|name| (*name).to_owned()),
        subresource: subresource.map(|subresource| (*subresource).to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use pierhead_api::name::path_segment;

    use super::{Target, parse};

    fn check(path: &str, expected: &str) {
        let shown = match parse(path) {
            Target::Resource(path) => format!(
                "{}{} ns={} {} {} {}",
                path.prefix.api_version(),
                if path.watch { " watch" } else { "" },
                path.namespace.as_deref().unwrap_or("-"),
                path.resource,
                path.name.as_deref().unwrap_or("-"),
                path.subresource.as_deref().unwrap_or("-"),
            ),
            other => format!("{other:?}"),
        };
        assert_eq!(shown, expected, "{path}");
    }

    #[test]
    fn reads_resources() {
        check("/api/v1/namespaces", "v1 ns=- namespaces - -");
        check("/api/v1/namespaces/shop", "v1 ns=- namespaces shop -");
        check("/api/v1/namespaces/shop/finalize", "v1 ns=- namespaces shop finalize");
        check("/api/v1/namespaces/shop/secrets", "v1 ns=shop secrets - -");
        check("/api/v1/namespaces/shop/serviceaccounts/a/token", "v1 ns=shop serviceaccounts a token");
        check("/api/v1/watch/namespaces/shop/pods/x", "v1 watch ns=shop pods x -");
        check("/oapi/v1/watch/imagestreams", "v1 watch ns=- imagestreams - -");
        check("/apis/user.openshift.io/v1/users/%7E", "user.openshift.io/v1 ns=- users ~ -");
        check(
            "/apis/image.openshift.io/v1/namespaces/a/imagestreamtags/x%3Alatest",
            "image.openshift.io/v1 ns=a imagestreamtags x:latest -",
        );
        check(
            "/apis/image.openshift.io/v1/namespaces/a/imagestreamimages/x@sha256:00",
            "image.openshift.io/v1 ns=a imagestreamimages x@sha256:00 -",
        );
        check(
            "/apis/user.openshift.io/v1/users/CORP%5Cann;x",
            r"user.openshift.io/v1 ns=- users CORP\ann;x -",
        );
    }

    #[test]
    fn has_one_spelling_for_each_path() {
        for path in [
            "/api/v1//namespaces",
            "/api/v1/namespaces/",
            "/api/v1/namespaces/a/secrets/x/",
            "/api/v1/namespaces/a/secrets/%2e%2e",
            "/api/v1/namespaces/a/secrets/..",
            "/api/v1/namespaces/a%2fsecrets",
            "/api/v1/namespaces/a/secrets/x%252e",
            "/api/v1/namespaces/a/secrets/%00",
            "/api/v1/namespaces/a/secrets/%ff",
            "/API/v1/namespaces",
            "api/v1",
            "/api/v1/namespaces/a/b/c/d/e",
        ] {
            check(path, "Unknown");
        }
    }

    /// What may be a name can be asked for, and nothing else.
    #[test]
    fn every_name_has_an_address() {
        let check = |name: &str| {
            let path = format!("/api/v1/namespaces/{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
            let is_read =
                matches!(parse(&path), Target::Resource(found) if found.name.as_deref() == Some(name));
            assert_eq!(is_read, path_segment(name).is_empty(), "{name:?}");
        };
        for c in '\0'..'\u{300}' {
            check(&format!("a{c}b"));
        }
        for name in [".", "..", "..;", "...", "a b", "CORP\\ann", "\u{2028}"] {
            check(name);
        }
    }

    #[test]
    fn reads_what_is_not_a_resource() {
        check("/", "Root");
        check("/readyz/ping", "Health");
        check("/api/", "CoreVersions");
        check("/apis/apps", r#"Group("apps")"#);
        check("/apis/apps/v1/", r#"Resources(Group { group: "apps", version: "v1" })"#);
        check("/openapi/v3/api/v1", "OpenApiV3(Core)");
        check("/swaggerapi/", "SwaggerListing");
        check("/swaggerapi/oapi/v1", "Swagger(Legacy)");
        check("/oauth/token", "OAuth");
        check("/metrics", "Unknown");
    }
}
