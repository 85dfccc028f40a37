//! Names of images as the image verbs take them: `HOST/REPOSITORY:TAG`, `…@DIGEST`, `file://NAME:TAG`, and tags with `*`.

use std::fmt;

use anyhow::bail;
use pierhead_oci::{Digest, ImageReference, Reference, RepositoryName, Tag};

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// At a registry.
    Registry { host: String, path: String },
    /// In a folder on this machine.
    Folder { path: String },
}

impl Place {
    /// The registry, as plans name it.
    pub(crate) fn registry(&self) -> &str {
        match self {
            Self::Registry { host, .. } => host,
            Self::Folder { .. } => "file:/",
        }
    }

    /// The repository within it.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Registry { path, .. } | Self::Folder { path } => path,
        }
    }
}

/// Whether what is at one place is at another. Folders of one name are the same only under one root.
pub(crate) fn is_same(one: &Place, other: &Place, has_other_root: bool) -> bool {
    one == other && !(has_other_root && matches!(one, Place::Folder { .. }))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry { host, path } => write!(f, "{host}/{path}"),
            Self::Folder { path } => write!(f, "file://{path}"),
        }
    }
}

/// An image, several of them, or a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageSource {
    pub(crate) place: Place,
    pub(crate) which: Which,
    /// As it was typed.
    pub(crate) text: String,
}

/// What of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Nothing was said.
    Unsaid,
    Tag(Tag),
    Digest(Digest),
    /// All tags that fit a pattern with `*`.
    Pattern(String),
}

impl Which {
    /// The one image that is meant.
    pub(crate) fn reference(&self) -> Option<Reference> {
        match self {
            Self::Tag(tag) => Some(Reference::Tag(tag.clone())),
            Self::Digest(digest) => Some(Reference::Digest(digest.clone())),
            Self::Unsaid | Self::Pattern(_) => None,
        }
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        match &self.which {
            Which::Unsaid => Ok(()),
            Which::Tag(tag) => write!(f, ":{tag}"),
            Which::Digest(digest) => write!(f, "@{digest}"),
            Which::Pattern(pattern) => write!(f, ":{pattern}"),
        }
    }
}

impl ImageSource {
    /// Reads what was typed.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        if text.starts_with("s3://") {
            bail!("{text:?}: images in S3 are not supported; use a registry or file://");
        }
        if let Some(name) = text.strip_prefix("file://") {
            return Self::parse_folder(name, text);
        }
        let plain = text.strip_prefix("docker://").unwrap_or(text);
        let (bare, pattern) = split_pattern(plain);
        let reference: ImageReference = match bare.parse() {
            Ok(reference) => reference,
            Err(error) => bail!("{text:?} is not a valid image reference: {error}"),
        };
        let which = match (&reference.tag, &reference.id, pattern) {
            (_, _, Some(pattern)) => Which::Pattern(pattern.to_owned()),
            (_, Some(id), None) => match id.parse() {
                Ok(digest) => Which::Digest(digest),
                Err(error) => bail!("{text:?} is not a valid image reference: {error}"),
            },
            (Some(tag), None, None) => Which::Tag(tag.parse()?),
            (None, None, None) => Which::Unsaid,
        };
        let full = reference.docker_client_defaults();
        let path = full.repository_path();
        let host = full.registry.unwrap_or_default();
        Ok(Self { place: Place::Registry { host, path }, which, text: text.to_owned() })
    }

    fn parse_folder(name: &str, text: &str) -> anyhow::Result<Self> {
        let (bare, pattern) = split_pattern(name);
        let (path, which) = if let Some((path, digest)) = bare.split_once('@') {
            (path.split_once(':').map_or(path, |(path, _)| path), Which::Digest(digest.parse()?))
        } else if let Some(pattern) = pattern {
            (bare, Which::Pattern(pattern.to_owned()))
        } else if let Some((path, tag)) = bare.rsplit_once(':') {
            (path, Which::Tag(tag.parse()?))
        } else {
            (bare, Which::Unsaid)
        };
        let path = path.trim_matches('/');
        if let Err(error) = path.parse::<RepositoryName>() {
            bail!("{text:?} is not a valid image reference: {error}");
        }
        Ok(Self { place: Place::Folder { path: path.to_owned() }, which, text: text.to_owned() })
    }

    /// The one image that is meant, or what is wrong with naming none.
    pub(crate) fn reference(&self) -> anyhow::Result<Reference> {
        match self.which.reference() {
            Some(reference) => Ok(reference),
            None => bail!("{} must point to an image ID or image tag", self.text),
        }
    }

    /// The same repository with this tag.
    pub(crate) fn with_tag(&self, tag: Tag) -> Self {
        let mut with_tag = Self { which: Which::Tag(tag), ..self.clone() };
        with_tag.text = with_tag.to_string();
        with_tag
    }
}

/// What is before the last colon, and the tag behind it if that is a pattern.
fn split_pattern(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((before, tag)) if tag.contains('*') && !tag.contains('/') => (before, Some(tag)),
        _ => (text, None),
    }
}

/// Whether a name, of a tag for example, fits a pattern in which `*` stands for anything.
pub(crate) fn matches(pattern: &str, tag: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| tag.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::{ImageSource, matches};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match ImageSource::parse(text) {
            Ok(source) => format!("{source} at {} {}", source.place.registry(), source.place.path()),
            Err(_) => "refused".to_owned(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn names_of_images() {
        check("busybox:1", "docker.io/library/busybox:1 at docker.io library/busybox");
        check("r.io:5000/a/b/c", "r.io:5000/a/b/c at r.io:5000 a/b/c");
        check("docker://r.io/a/b:1", "r.io/a/b:1 at r.io a/b");
        check("r.io/a/b:4.*", "r.io/a/b:4.* at r.io a/b");
        check("r.io/a/b:*", "r.io/a/b:* at r.io a/b");
        check("file://a/b:1", "file://a/b:1 at file:/ a/b");
        check("file://b", "file://b at file:/ b");
        check("file://a/../../etc:1", "refused");
        check("file:///", "refused");
        check("s3://a/b", "refused");
        check("R.io/A", "refused");
        check("r.io/a@sha256:1", "refused");
    }

    #[test]
    fn patterns_of_tags() {
        let rows = [
            ("*", "a", true),
            ("4.*", "4.1", true),
            ("4.*", "5.4.1", false),
            ("*-x", "4-x", true),
            ("*-x", "4-y", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("web", "we", false),
        ];
        for (pattern, tag, expected) in rows {
            assert_eq!(matches(pattern, tag), expected, "{pattern} {tag}");
        }
    }
}
