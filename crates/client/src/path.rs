//! Paths of API resources.
//!
//! `/api/v1` for the core group, `/apis/GROUP/VERSION` for the rest. Names are escaped: they may hold `:`, `@`, `~`.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use pierhead_api::Object;

/// What RFC 3986 does not allow in a path segment; `:` and `@` stay as they are.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Escapes one path segment.
#[must_use]
pub fn escape(segment: &str) -> String {
    utf8_percent_encode(segment, SEGMENT).to_string()
}

/// The resource that a path is about: its plural name, with the subresource behind a slash; none if the path is that of no
/// resource, or of what the server leads on to (`proxy`), where a path means whatever that says.
pub(crate) fn resource_in(path: &str) -> Option<String> {
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let after_group = match path.strip_prefix("/apis/") {
        Some(rest) => rest.split_once('/')?.1,
        None => path.strip_prefix("/api/")?,
    };
    let (_, resource) = after_group.split_once('/')?;
    let segments: Vec<&str> = resource.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        ["namespaces", _, _, _, "proxy", ..] => None,
        [plural, _, "proxy", ..] if *plural != "namespaces" => None,
        ["namespaces", _, plural, _, subresource] | [plural, _, subresource] if *plural != "namespaces" => {
            Some(format!("{plural}/{subresource}"))
        }
        ["namespaces", _, plural, ..] | [plural, ..] => Some((*plural).to_owned()),
        [] => None,
    }
}

/// Which collection of a server is meant: group, version, plural, and whether it lives in namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Group, empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// Plural name, as in paths.
    pub plural: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// The collection of a typed kind.
    #[must_use]
    pub fn of<K: Object>() -> Self {
        Self {
            group: K::GROUP.to_owned(),
            version: K::VERSION.to_owned(),
            plural: K::PLURAL.to_owned(),
            namespaced: K::NAMESPACED,
        }
    }

    /// Path of the collection; across all namespaces when none is given.
    #[must_use]
    pub fn collection(&self, namespace: Option<&str>) -> String {
        let base = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace {
            Some(namespace) if self.namespaced => {
                format!("{base}/namespaces/{}/{}", escape(namespace), self.plural)
            }
            _ => format!("{base}/{}", self.plural),
        }
    }

    /// Path of one object, or of a subresource of it.
    #[must_use]
    pub fn item(&self, namespace: Option<&str>, name: &str, subresource: Option<&str>) -> String {
        let item = format!("{}/{}", self.collection(namespace), escape(name));
        match subresource {
            Some(subresource) => format!("{item}/{subresource}"),
            None => item,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Resource, resource_in};

    #[track_caller]
    fn check(group: &str, namespaced: bool, namespace: Option<&str>, name: &str, expected: &str) {
        let resource =
            Resource { group: group.into(), version: "v1".into(), plural: "things".into(), namespaced };
        assert_eq!(resource.item(namespace, name, None), expected);
    }

    #[test]
    fn paths() {
        check("", true, Some("p"), "a", "/api/v1/namespaces/p/things/a");
        check("", true, None, "a", "/api/v1/things/a");
        check("x.io", false, Some("ignored"), "~", "/apis/x.io/v1/things/~");
        check("x.io", true, Some("p"), "is:tag", "/apis/x.io/v1/namespaces/p/things/is:tag");
        check("x.io", true, Some("p"), "../a b", "/apis/x.io/v1/namespaces/p/things/..%2Fa%20b");
    }

    #[test]
    fn resources_of_paths() {
        let rows = [
            ("/apis/x.io/v1/namespaces/p/things/a?watch=1", Some("things")),
            ("/apis/x.io/v1/things", Some("things")),
            ("/apis/x.io/v1/namespaces/p/things/a/scale", Some("things/scale")),
            ("/api/v1/nodes/a/status", Some("nodes/status")),
            ("/api/v1/namespaces/p", Some("namespaces")),
            ("/api/v1/namespaces/p/services/web:80/proxy/x/y", None),
            ("/api/v1/namespaces/p/pods/web/proxy", None),
            ("/api/v1/nodes/a/proxy/metrics", None),
            ("/api/v1/namespaces/p/services/proxy", Some("services")),
            ("/api/v1/namespaces/p/services/proxy/status", Some("services/status")),
            ("/apis/x.io/v1/namespaces/proxy/things/a", Some("things")),
            ("/api/v1", None),
            ("/apis/x.io/v1", None),
            ("/version", None),
        ];
        for (path, expected) in rows {
            assert_eq!(resource_in(path).as_deref(), expected, "{path}");
        }
    }
}
