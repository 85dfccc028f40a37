//! Names of images as engines and registries understand them.

/// A name that is no image's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("couldn't parse image name {name:?}: invalid reference format")]
pub(crate) struct ImageNameError {
    name: String,
}

/// Where an image is, in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageName {
    /// Host with port, `docker.io` where none is named.
    pub(crate) registry: String,
    /// Path on the host.
    pub(crate) repository: String,
    /// The whole name with a tag or a digest: what is pulled.
    pub(crate) full: String,
}

impl ImageName {
    /// Reads `[host[:port]/]path[:tag][@digest]`; the tag is `latest` where nothing else is said.
    pub(crate) fn parse(text: &str) -> Result<Self, ImageNameError> {
        Self::read(text).ok_or_else(|| ImageNameError { name: text.to_owned() })
    }

    fn read(text: &str) -> Option<Self> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path.to_owned()),
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        let is_path = !path.is_empty() && path.split('/').all(is_component);
        let is_host = registry.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        let is_named = tag.is_none_or(is_tag) && digest.is_none_or(is_digest);
        if !is_path || !is_host || !is_named {
            return None;
        }
        let full = match (digest, tag) {
            (Some(digest), _) => format!("{registry}/{path}@{digest}"),
            (None, tag) => format!("{registry}/{path}:{}", tag.unwrap_or("latest")),
        };
        Some(Self { registry: registry.to_owned(), repository: path, full })
    }

    /// The name without tag and digest.
    pub(crate) fn place(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Of the names with digests that an engine knows an image by, this repository's, else any.
    pub(crate) fn choose_digest<'a>(&self, digests: &'a [String]) -> Option<&'a String> {
        let own = |digest: &&String| {
            let known = digest.split_once('@').and_then(|(name, _)| Self::parse(name).ok());
            known.is_some_and(|known| known.registry == self.registry && known.repository == self.repository)
        };
        digests.iter().find(own).or_else(|| digests.first())
    }
}

fn is_component(part: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    edge(part.bytes().next())
        && edge(part.bytes().next_back())
        && part
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || b".-".contains(&byte))
}

fn is_digest(digest: &str) -> bool {
    let length = match digest.split_once(':') {
        Some(("sha256", hex)) => (hex, 64),
        Some(("sha512", hex)) => (hex, 128),
        _ => return false,
    };
    length.0.len() == length.1 && length.0.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::ImageName;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match ImageName::parse(text) {
            Ok(name) => format!("{} {} {}", name.registry, name.repository, name.full),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        check("busybox", "docker.io library/busybox docker.io/library/busybox:latest");
        check("ann/tool:1", "docker.io ann/tool docker.io/ann/tool:1");
        check("localhost/x", "localhost x localhost/x:latest");
        check(
            "registry-host:80/pushed/myimage:v1",
            "registry-host:80 pushed/myimage registry-host:80/pushed/myimage:v1",
        );
        check(&format!("r.example/p/i:1@{digest}"), &format!("r.example p/i r.example/p/i@{digest}"));
        for bad in ["", "Busybox", "a/../b", "x:", "x:a b", "r.example/p/i@sha256:zz", "http://x/y", "x/"] {
            check(bad, &format!("couldn't parse image name {bad:?}: invalid reference format"));
        }
    }

    #[test]
    fn the_digest_is_that_of_the_repository_asked_for() {
        let digests = ["r.example/a/b@sha256:1".to_owned(), "busybox@sha256:2".to_owned()];
        let chosen = |name: &str| ImageName::parse(name).unwrap().choose_digest(&digests).cloned();
        assert_eq!(chosen("busybox:1").as_deref(), Some("busybox@sha256:2"));
        assert_eq!(chosen("other").as_deref(), Some("r.example/a/b@sha256:1"));
    }
}
