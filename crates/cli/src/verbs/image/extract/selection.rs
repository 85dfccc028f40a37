//! Which layers and which files are wanted.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use anyhow::bail;
use pierhead_oci::Descriptor;

/// `IMAGE[LAYERS]`, taken apart.
pub(super) fn split(typed: &str) -> anyhow::Result<(&str, Option<&str>)> {
    let Some((image, rest)) = typed.split_once('[') else { return Ok((typed, None)) };
    match rest.strip_suffix(']') {
        Some(selector) if !image.is_empty() && !selector.is_empty() && !selector.contains([']', '[']) => {
            Ok((image, Some(selector)))
        }
        _ => bail!(
            "layer selectors must be of the form IMAGE[FROM:TO], IMAGE[INDEX] or IMAGE[~DIGEST]: {typed}"
        ),
    }
}

/// Some of the layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layers {
    Index(i64),
    Range(Option<i64>, Option<i64>),
    Digest(String),
}

impl Layers {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(prefix) = text.strip_prefix('~') {
            return Ok(Self::Digest(prefix.to_owned()));
        }
        let number = |text: &str| match text.trim() {
            "" => Ok(None),
            text => match text.parse::<i64>() {
                Ok(number) => Ok(Some(number)),
                Err(error) => bail!("{text:?} is not the index of a layer: {error}"),
            },
        };
        match text.split_once([':', ',']) {
            Some((from, to)) => Ok(Self::Range(number(from)?, number(to)?)),
            None => match number(text)? {
                Some(index) => Ok(Self::Index(index)),
                None => bail!("{text:?} selects no layer"),
            },
        }
    }

    /// Those layers with their places.
    pub(super) fn choose(&self, layers: &[Descriptor]) -> anyhow::Result<Vec<(usize, Descriptor)>> {
        let count = i64::try_from(layers.len())?;
        let from_start = |index: i64| if index < 0 { index + count } else { index };
        let within = |index: i64| usize::try_from(index.clamp(0, count));
        let all = || layers.iter().cloned().enumerate();
        match self {
            Self::Index(index) => {
                let place = from_start(*index);
                if !(0..count).contains(&place) {
                    bail!("tried to select layer {index}, but the image has {count} layers");
                }
                let place = within(place)?;
                Ok(all().filter(|(index, _)| *index == place).collect())
            }
            Self::Range(from, to) => {
                let (from, to) = (from_start(from.unwrap_or(0)), to.map_or(count, from_start));
                if from < 0 || to < from || to > count {
                    bail!("tried to select layers {from}:{to}, but the image has {count} layers");
                }
                let (from, to) = (within(from)?, within(to)?);
                Ok(all().filter(|(index, _)| (from..to).contains(index)).collect())
            }
            Self::Digest(prefix) => {
                let fits = |layer: &Descriptor| {
                    layer.digest.to_string().starts_with(prefix) || layer.digest.hex().starts_with(prefix)
                };
                let found: Vec<_> = all().filter(|(_, layer)| fits(layer)).collect();
                match found.len() {
                    1 => Ok(found),
                    0 => bail!("no layers match {prefix:?}"),
                    several => bail!("{several} layers match {prefix:?}"),
                }
            }
        }
    }
}

/// Which files: all below a folder, or those of it whose names fit a pattern, with what is below them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    folder: PathBuf,
    pattern: Option<String>,
}

impl Wanted {
    pub(super) fn parse(typed: &str) -> anyhow::Result<Self> {
        let Some(clean) = clean(Path::new(typed)) else {
            bail!("{typed:?} leads out of the image");
        };
        if typed.is_empty() || typed.ends_with('/') || clean.as_os_str().is_empty() {
            return Ok(Self { folder: clean, pattern: None });
        }
        let pattern = clean.file_name().map(|name| name.to_string_lossy().into_owned());
        let folder = clean.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { folder, pattern })
    }

    pub(super) fn is_everything(&self) -> bool {
        self.folder.as_os_str().is_empty() && self.pattern.is_none()
    }

    /// Where something of the image goes, from the folder that everything goes to. None if it is not wanted.
    pub(super) fn place(&self, path: &Path) -> Option<PathBuf> {
        let rest = path.strip_prefix(&self.folder).ok()?;
        match &self.pattern {
            None => Some(rest.to_owned()),
            Some(pattern) => {
                let first = rest.components().next()?.as_os_str().to_string_lossy();
                fits(pattern, &first).then(|| rest.to_owned())
            }
        }
    }

    /// Whether something of the image is the folder that is wanted, or lies above it.
    pub(super) fn is_within(&self, path: &Path) -> bool {
        self.folder.starts_with(path)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.folder.display())?;
        if self.folder.as_os_str().is_empty() {
            return f.write_str(self.pattern.as_deref().unwrap_or_default());
        }
        write!(f, "/{}", self.pattern.as_deref().unwrap_or_default())
    }
}

/// A path of an archive from its root, without what means nothing. None if it leads out of it.
pub(super) fn clean(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

/// A name against a pattern of `*`, `?`, `[a-z]` and `\` before a character that stands for itself.
fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    fits_from(&pattern, &name)
}

fn fits_from(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|skipped| fits_from(rest, &name[skipped..])),
        ['?', rest @ ..] => name.split_first().is_some_and(|(_, after)| fits_from(rest, after)),
        ['[', rest @ ..] => {
            let Some(end) = rest.iter().position(|character| *character == ']') else {
                return pattern == name;
            };
            let Some((first, after)) = name.split_first() else { return false };
            in_class(&rest[..end], *first) && fits_from(&rest[end + 1..], after)
        }
        ['\\', escaped, rest @ ..] | [escaped, rest @ ..] => {
            name.split_first().is_some_and(|(first, after)| first == escaped && fits_from(rest, after))
        }
    }
}

fn in_class(class: &[char], character: char) -> bool {
    let (class, negated) = match class {
        ['^' | '!', rest @ ..] => (rest, true),
        class => (class, false),
    };
    let mut position = 0;
    let mut found = false;
    while position < class.len() {
        if let [from, '-', to, ..] = &class[position..] {
            found |= (*from..=*to).contains(&character);
            position += 3;
        } else {
            found |= class[position] == character;
            position += 1;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pierhead_oci::{Descriptor, Digest, MediaType};

    use super::{Layers, Wanted, fits, split};

    #[test]
    fn layers_are_chosen() {
        let layers: Vec<Descriptor> = ["a", "b", "c"]
            .iter()
            .map(|text| Descriptor::new(MediaType::OCI_LAYER, Digest::sha256(text.as_bytes()), 1))
            .collect();
        let digest = format!("~{}", layers[1].digest.hex().split_at(8).0);
        let rows: [(&str, &[usize]); 8] = [
            ("0", &[0]),
            ("-1", &[2]),
            (":2", &[0, 1]),
            ("-2:", &[1, 2]),
            ("1,2", &[1]),
            (":", &[0, 1, 2]),
            (":-1", &[0, 1]),
            (&digest, &[1]),
        ];
        for (text, expected) in rows {
            let chosen = Layers::parse(text).unwrap().choose(&layers).unwrap();
            let places: Vec<usize> = chosen.iter().map(|(index, _)| *index).collect();
            assert_eq!(places, expected, "{text}");
        }
        for bad in ["3", "-4", "2:1", ":4", "~0000"] {
            assert!(Layers::parse(bad).unwrap().choose(&layers).is_err(), "{bad}");
        }
        assert!(Layers::parse("x").is_err() && Layers::parse(" ").is_err());
        assert_eq!(split("a:1[-1]").unwrap(), ("a:1", Some("-1")));
        assert_eq!(split("a:1").unwrap(), ("a:1", None));
        assert!(split("a[]").is_err() && split("a[1]b").is_err() && split("[1]").is_err());
    }

    #[track_caller]
    fn check(wanted: &str, path: &str, expected: Option<&str>) {
        let place = Wanted::parse(wanted).unwrap().place(Path::new(path));
        assert_eq!(place.as_deref(), expected.map(Path::new), "{wanted} {path}");
    }

    #[test]
    fn files_are_chosen() {
        check("/", "etc/a", Some("etc/a"));
        check("/etc/", "etc/a/b", Some("a/b"));
        check("/etc/", "etcetera/a", None);
        check("/etc/a", "etc/a", Some("a"));
        check("/etc", "etc/a", Some("etc/a"));
        check("/etc/*.conf", "etc/a.conf", Some("a.conf"));
        check("/etc/*.conf", "etc/d/a.conf", None);
        check("/*.conf", "a.conf", Some("a.conf"));
        assert!(Wanted::parse("/etc/../..").is_err());
        for (pattern, name, expected) in [
            ("[a-c]?", "bx", true),
            ("[!a-c]?", "bx", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("a[", "a[", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
