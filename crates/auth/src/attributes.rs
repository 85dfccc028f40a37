//! What is asked: verb and resource (or path) of one request, in the form authorization understands.
//!
//! Owns the one normal form of a question, so that what is authorized is what is executed. Does not parse URLs.

use crate::rbac::legacy;

/// The question of an authorization: may somebody do `verb` on this resource, or on this path?
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Attributes {
    /// `get`, `list`, `create` …; for paths the HTTP method in lower case.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural resource name; may be `imagestreams/layers`, which means the same as resource and sub-resource.
    pub resource: String,
    /// Sub-resource, empty for none.
    pub subresource: String,
    /// Namespace, empty for the cluster.
    pub namespace: String,
    /// Object name, empty for none.
    pub name: String,
    /// A path that is no resource, e.g. `/healthz`. Where it is set, the resource fields do not count.
    pub path: Option<String>,
}

impl Attributes {
    /// A question about a cluster-wide resource; add the rest with the methods below.
    pub fn new(verb: &str, group: &str, resource: &str) -> Self {
        Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            ..Self::default()
        }
    }

    /// A question about a path that is no resource.
    pub fn path(verb: &str, path: &str) -> Self {
        Self { verb: verb.to_owned(), path: Some(path.to_owned()), ..Self::default() }
    }

    /// The same question about a sub-resource.
    #[must_use]
    pub fn subresource(mut self, subresource: &str) -> Self {
        subresource.clone_into(&mut self.subresource);
        self
    }

    /// The same question in a namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// The same question about one object.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Resource and sub-resource as rules write them: `imagestreams/layers`.
    pub fn qualified_resource(&self) -> String {
        self.asked().qualified_resource()
    }

    /// How long its texts are together.
    pub(crate) fn text_bytes(&self) -> usize {
        let Self { verb, group, resource, subresource, namespace, name, path } = self;
        let texts = [verb, group, resource, subresource, namespace, name];
        texts.into_iter().chain(path).map(String::len).sum()
    }

    /// Whether this is the question, when it was made of a normal form.
    pub(crate) fn is(&self, asked: &Asked<'_>) -> bool {
        self.verb == asked.verb
            && self.resource == asked.resource
            && self.subresource == asked.subresource
            && self.group == asked.group
            && self.namespace == asked.namespace
            && self.name == asked.name
            && self.path.as_deref() == asked.path
    }

    /// The question in its normal form.
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked::new(self)
    }
}

/// A question in normal form: sub-resource split off, legacy group resolved, namespaces and projects asked in
/// the namespace of their own name (platform 5.3). Cheap to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) path: Option<&'a str>,
    /// The resource is OpenShift's, in its own group: rules with the group `""` may mean it.
    pub(crate) legacy: bool,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(attributes: &'a Attributes) -> Self {
        let (resource, subresource) = match attributes.resource.split_once('/') {
            Some((resource, subresource)) if attributes.subresource.is_empty() => (resource, subresource),
            _ => (attributes.resource.as_str(), attributes.subresource.as_str()),
        };
        // Impersonation knows no groups of users: `users` means the name, not the kind of an API object.
        let openshift = if attributes.verb == "impersonate" { None } else { legacy::group_of(resource) };
        let group = match attributes.group.as_str() {
            "" => openshift.unwrap_or(""),
            group => group,
        };
        let mut namespace = attributes.namespace.as_str();
        let own_namespace =
            matches!((group, resource), ("", "namespaces") | ("project.openshift.io", "projects"));
        if own_namespace && namespace.is_empty() {
            namespace = &attributes.name;
        }
        let path = attributes.path.as_deref();
        let legacy = openshift == Some(group);
        Self {
            verb: &attributes.verb,
            group,
            resource,
            subresource,
            namespace,
            name: &attributes.name,
            path,
            legacy,
        }
    }

    /// A question about an image resource, as the registry asks it.
    pub(crate) const fn image(
        verb: &'a str,
        (resource, subresource): (&'a str, &'a str),
        namespace: &'a str,
        name: &'a str,
    ) -> Self {
        let group = "image.openshift.io";
        Self { verb, group, resource, subresource, namespace, name, path: None, legacy: true }
    }

    pub(crate) fn qualified_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    pub(crate) fn to_owned(self) -> Attributes {
        Attributes {
            verb: self.verb.to_owned(),
            group: self.group.to_owned(),
            resource: self.resource.to_owned(),
            subresource: self.subresource.to_owned(),
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            path: self.path.map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Attributes;

    #[test]
    fn both_spellings_of_a_subresource_are_one_question() {
        let one =
            Attributes::new("get", "image.openshift.io", "imagestreams/layers").namespace("shop").name("web");
        let two = Attributes::new("get", "image.openshift.io", "imagestreams").subresource("layers");
        let two = two.namespace("shop").name("web");
        let legacy = Attributes::new("get", "", "imagestreams/layers").namespace("shop").name("web");
        assert_eq!(one.asked(), two.asked());
        assert_eq!(one.asked(), legacy.asked());
        assert_eq!(one.qualified_resource(), "imagestreams/layers");
    }

    #[test]
    fn projects_are_asked_in_their_own_namespace() {
        let check = |group: &str, resource: &str, expected: &str| {
            let attributes = Attributes::new("get", group, resource).name("shop");
            assert_eq!(attributes.asked().namespace, expected, "{resource}");
        };
        check("", "namespaces", "shop");
        check("project.openshift.io", "projects", "shop");
        check("", "projects", "shop");
        check("", "nodes", "");
        check("example.com", "projects", "");
    }
}
