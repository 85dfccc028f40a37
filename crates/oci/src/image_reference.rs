//! Pull specs as people and image streams write them: `[registry/][namespace/]name[:tag][@id]`.
//!
//! Owns OpenShift's rules for reading them, shared by API, client and registry. They differ from those of
//! `RepositoryName`: a reference may leave out its registry and namespace, and point anywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::repository_name::RepositoryName;
use crate::tag::Tag;

/// The registry that a pull spec without one means.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Names under which that registry is known.
const DEFAULT_REGISTRY_NAMES: [&str; 3] = [DEFAULT_REGISTRY, "index.docker.io", "registry-1.docker.io"];

/// A pull spec, taken apart. Display gives it back as it was written; so does [`ImageReference::exact`].
///
/// ```
/// use pierhead_oci::ImageReference;
///
/// let reference: ImageReference = "registry.example.com:5000/shop/frontend:v1".parse()?;
/// assert_eq!(reference.registry.as_deref(), Some("registry.example.com:5000"));
/// assert_eq!((reference.namespace.as_deref(), &*reference.name), (Some("shop"), "frontend"));
///
/// let short: ImageReference = "busybox".parse()?;
/// assert_eq!(short.docker_client_defaults().exact(), "docker.io/library/busybox:latest");
/// # Ok::<(), pierhead_oci::ImageReferenceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    /// Host and port.
    pub registry: Option<String>,
    /// The component before the name.
    pub namespace: Option<String>,
    /// The repository within the namespace. Holds slashes where more than three segments were given.
    pub name: String,
    /// What followed the last colon.
    pub tag: Option<String>,
    /// What followed the `@`: a digest, or the beginning of one where an image stream is meant.
    pub id: Option<String>,
}

impl ImageReference {
    /// The reference as it was written; nothing is filled in.
    pub fn exact(&self) -> String {
        self.to_string()
    }

    /// Fills in what the docker client would: registry `docker.io`, there namespace `library`, and the tag
    /// `latest` where neither tag nor id is named.
    #[must_use]
    pub fn docker_client_defaults(mut self) -> Self {
        let registry = self.registry.get_or_insert_with(|| DEFAULT_REGISTRY.into());
        if DEFAULT_REGISTRY_NAMES.contains(&registry.as_str()) {
            self.namespace.get_or_insert_with(|| "library".into());
        }
        if self.id.is_none() {
            self.tag.get_or_insert_with(|| "latest".into());
        }
        self
    }

    /// The one spelling of all that mean this image: with the docker client's defaults, the registry `docker.io` under
    /// that name, and no tag beside an id.
    #[must_use]
    pub fn normalized(self) -> Self {
        let mut reference = self.docker_client_defaults();
        if reference.registry.as_deref().is_some_and(|registry| DEFAULT_REGISTRY_NAMES.contains(&registry)) {
            reference.registry = Some(DEFAULT_REGISTRY.into());
        }
        if reference.id.is_some() {
            reference.tag = None;
        }
        reference
    }

    /// The reference without tag and id: where the image is, whichever version of it.
    #[must_use]
    pub fn repository(&self) -> Self {
        Self { tag: None, id: None, ..self.clone() }
    }

    /// The path of the repository at its registry: namespace and name.
    pub fn repository_path(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(id) = &self.id {
            write!(f, "@{id}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageReference {
    type Err = ImageReferenceError;

    fn from_str(text: &str) -> Result<Self, ImageReferenceError> {
        let error = |reason| ImageReferenceError { text: text.into(), reason };
        let (rest, id) = split_suffix(text.split_once('@'), text);
        if id.is_some_and(|id| !is_id(id)) {
            return Err(error(Reason::Id));
        }
        let last_slash = rest.rfind('/').map_or(0, |position| position + 1);
        let (_, last) = rest.split_at(last_slash);
        let tag = last.rsplit_once(':').map(|(_, tag)| tag);
        if tag.is_some_and(|tag| tag.parse::<Tag>().is_err()) {
            return Err(error(Reason::Tag));
        }
        let path = tag.and_then(|tag| rest.strip_suffix(tag)?.strip_suffix(':')).unwrap_or(rest);
        let (registry, path) = split_registry(path);
        if registry.is_some_and(|registry| !is_registry(registry)) {
            return Err(error(Reason::Registry));
        }
        if path.parse::<RepositoryName>().is_err() {
            return Err(error(Reason::Name));
        }
        let (namespace, name) = match path.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, path),
        };
        Ok(Self {
            registry: registry.map(Into::into),
            namespace: namespace.map(Into::into),
            name: name.into(),
            tag: tag.map(Into::into),
            id: id.map(Into::into),
        })
    }
}

fn split_suffix<'a>(split: Option<(&'a str, &'a str)>, whole: &'a str) -> (&'a str, Option<&'a str>) {
    match split {
        Some((before, suffix)) => (before, Some(suffix)),
        None => (whole, None),
    }
}

/// The first segment is a registry if it looks like a host, or if two more follow it.
fn split_registry(path: &str) -> (Option<&str>, &str) {
    match path.split_once('/') {
        Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) || rest.contains('/') => {
            (Some(first), rest)
        }
        _ => (None, path),
    }
}

/// A host name or address with an optional port. Whether it exists is not for a parser to know.
fn is_registry(text: &str) -> bool {
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let (host, port) = split_suffix(text.rsplit_once(':').filter(|(_, port)| !port.contains(']')), text);
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_host_byte),
    };
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// A digest or a part of one: streams accept any unambiguous beginning.
fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 140
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':')
}

impl TryFrom<String> for ImageReference {
    type Error = ImageReferenceError;

    fn try_from(text: String) -> Result<Self, ImageReferenceError> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.exact()
    }
}

/// A text is not a pull spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {reason}")]
pub struct ImageReferenceError {
    text: String,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("the registry is not a host with an optional port")]
    Registry,
    #[error("the name is not made of lower-case components joined by `/`")]
    Name,
    #[error("what follows the colon is not a tag")]
    Tag,
    #[error("what follows the `@` is not a digest")]
    Id,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::ImageReference;

    /// Registry, namespace, name, tag and id, with `-` for what is absent.
    fn check(text: &str, expected: Result<[&str; 5], &str>) {
        let actual = text.parse::<ImageReference>().map_err(|error| error.reason.to_string());
        let actual = actual.map(|reference| {
            let ImageReference { registry, namespace, name, tag, id } = reference;
            [registry, namespace, Some(name), tag, id].map(|part| part.unwrap_or_else(|| "-".into()))
        });
        assert_eq!(actual, expected.map(|parts| parts.map(String::from)).map_err(String::from), "{text}");
    }

    #[test]
    fn reads_what_openshift_reads() {
        check("busybox", Ok(["-", "-", "busybox", "-", "-"]));
        check("busybox:1.36", Ok(["-", "-", "busybox", "1.36", "-"]));
        check("shop/frontend", Ok(["-", "shop", "frontend", "-", "-"]));
        check("localhost/frontend", Ok(["localhost", "-", "frontend", "-", "-"]));
        check("localhost:5000/frontend:v1", Ok(["localhost:5000", "-", "frontend", "v1", "-"]));
        check("quay.io/shop/frontend", Ok(["quay.io", "shop", "frontend", "-", "-"]));
        check("registry/shop/frontend", Ok(["registry", "shop", "frontend", "-", "-"]));
        check("quay.io/a/b/c/d:x", Ok(["quay.io", "a", "b/c/d", "x", "-"]));
        check("172.30.1.1:5000/p/s@sha256:ab", Ok(["172.30.1.1:5000", "p", "s", "-", "sha256:ab"]));
        check("s:v1@sha256:ab", Ok(["-", "-", "s", "v1", "sha256:ab"]));
        check("[::1]:5000/p/s", Ok(["[::1]:5000", "p", "s", "-", "-"]));
    }

    #[test]
    fn says_which_part_is_wrong() {
        check("", Err("the name is not made of lower-case components joined by `/`"));
        check("Shop/frontend", Err("the name is not made of lower-case components joined by `/`"));
        check("quay.io/shop/", Err("the name is not made of lower-case components joined by `/`"));
        check("shop/frontend:", Err("what follows the colon is not a tag"));
        check("shop/frontend:a:b", Err("the name is not made of lower-case components joined by `/`"));
        check("quay.io:x/shop/frontend", Err("the registry is not a host with an optional port"));
        check("a b.c/shop/frontend", Err("the registry is not a host with an optional port"));
        check("s@", Err("what follows the `@` is not a digest"));
        check("s@../..", Err("what follows the `@` is not a digest"));
    }

    #[test]
    fn defaults_are_dockers() {
        let defaults = |text: &str| text.parse::<ImageReference>().unwrap().docker_client_defaults().exact();
        assert_eq!(defaults("busybox"), "docker.io/library/busybox:latest");
        assert_eq!(defaults("shop/frontend:v1"), "docker.io/shop/frontend:v1");
        assert_eq!(defaults("docker.io/busybox"), "docker.io/library/busybox:latest");
        assert_eq!(defaults("quay.io/busybox"), "quay.io/busybox:latest");
        assert_eq!(defaults("s@sha256:ab"), "docker.io/library/s@sha256:ab");
    }

    proptest! {
        #[test]
        fn what_parses_is_what_was_written(text in any::<String>()) {
            if let Ok(reference) = text.parse::<ImageReference>() {
                prop_assert_eq!(reference.exact(), text);
            }
        }

        #[test]
        fn references_come_back(
            text in "([a-z]{1,5}\\.[a-z]{1,3}(:[1-9][0-9]{0,3})?/)?([a-z]{1,5}/){0,3}[a-z]{1,5}(:[a-z0-9]{1,5})?(@sha256:[0-9a-f]{4})?"
        ) {
            prop_assert_eq!(text.parse::<ImageReference>().unwrap().exact(), text);
        }
    }
}
