//! Refuses JSON that two readers could understand differently.
//!
//! Parsers disagree on repeated keys, and Go's matches keys without regard to case where ours does not. A
//! manifest that says one thing to us and another to a client is an attack (CVE-2021-41190 and its relatives),
//! so both are errors here, before anything is read from the document. Also bounds depth.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::MAX_JSON_DEPTH;

/// Passes a manifest whose every reader sees the same document; else says where readers would part.
pub(super) fn check(bytes: &[u8]) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    Check { place: Place::Manifest, depth: 1 }.deserialize(&mut json)?;
    json.end()
}

/// What a value is for, since that decides which keys Go would find in it.
#[derive(Clone, Copy)]
enum Place {
    Manifest,
    Descriptor,
    Platform,
    /// Annotations, and whatever nobody looks into: keys are the author's own.
    Free,
}

impl Place {
    /// Keys that readers look up here.
    const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Manifest => &[
                "schemaVersion",
                "mediaType",
                "artifactType",
                "config",
                "layers",
                "manifests",
                "subject",
                "annotations",
                "fsLayers",
                "history",
                "signatures",
                "blobs",
                "name",
                "tag",
                "architecture",
            ],
            Self::Descriptor => {
                &["mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"]
            }
            Self::Platform => &["architecture", "os", "os.version", "os.features", "variant", "features"],
            Self::Free => &[],
        }
    }

    fn of_child(self, key: &str) -> Self {
        match (self, key) {
            (Self::Manifest, "config" | "layers" | "manifests" | "subject" | "blobs") => Self::Descriptor,
            (Self::Descriptor, "platform") => Self::Platform,
            _ => Self::Free,
        }
    }
}

struct Check {
    place: Place,
    depth: usize,
}

impl Check {
    const fn child(&self, place: Place) -> Self {
        Self { place, depth: self.depth + 1 }
    }

    fn check_depth<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth > MAX_JSON_DEPTH {
            return Err(E::custom(format_args!("JSON is nested deeper than {MAX_JSON_DEPTH} levels")));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.check_depth()?;
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if let Some(field) = variant_of(&key, self.place.fields()) {
                return Err(A::Error::custom(format_args!(
                    "key `{key}` differs from `{field}` in case only"
                )));
            }
            map.next_value_seed(self.child(self.place.of_child(&key)))?;
            if seen.contains(&key) {
                return Err(A::Error::custom(format_args!("key `{key}` is given twice")));
            }
            seen.insert(key);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        self.check_depth()?;
        // A list of descriptors is a place of descriptors; within it depth counts as within any list.
        while sequence.next_element_seed(self.child(self.place))?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The field that Go would take `key` for, if `key` is not spelled like it.
fn variant_of(key: &str, fields: &[&'static str]) -> Option<&'static str> {
    if fields.contains(&key) {
        return None;
    }
    let folded = fold(key);
    fields.iter().copied().find(|field| fold(field) == folded)
}

/// Folds case as Go's `encoding/json` does: also the Kelvin sign to `k` and the long s to `s`.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::{MAX_JSON_DEPTH, check as check_json};

    fn check(json: &str, expected: Result<(), &str>) {
        let actual = check_json(json.as_bytes()).map_err(|error| error.to_string());
        match (&actual, expected) {
            (Ok(()), Ok(())) => {}
            (Err(actual), Err(expected)) if actual.starts_with(expected) => {}
            _ => panic!("{actual:?} is not {expected:?} for {json:.200}"),
        }
    }

    #[test]
    fn refuses_what_readers_would_read_differently() {
        check(r#"{"layers":[],"layers":[]}"#, Err("key `layers` is given twice"));
        check(r#"{"layers":[],"\u006cayers":[]}"#, Err("key `layers` is given twice"));
        check(r#"{"x":{"a":1,"a":1}}"#, Err("key `a` is given twice"));
        check(r#"{"Layers":[]}"#, Err("key `Layers` differs from `layers` in case only"));
        check(r#"{"layerſ":[]}"#, Err("key `layerſ` differs from `layers` in case only"));
        check(r#"{"layers":[{"Digest":""}]}"#, Err("key `Digest` differs from `digest` in case only"));
        check(r#"{"manifests":[{"platform":{"OS":""}}]}"#, Err("key `OS` differs from `os` in case only"));
        check("{}{}", Err("trailing characters"));
        check("{", Err("EOF while parsing"));
    }

    #[test]
    fn passes_what_is_only_unusual() {
        check(r#"{"annotations":{"a":"","A":""},"x":{"Layers":1},"y":[null,true,-1,1.5,"é"]}"#, Ok(()));
        check(r#"{"config":{"size":1},"layers":null}"#, Ok(()));
    }

    #[test]
    fn depth_has_a_limit() {
        let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        check(&nested(MAX_JSON_DEPTH - 1), Ok(()));
        check(&nested(MAX_JSON_DEPTH), Err("JSON is nested deeper than 64 levels"));
        check(&nested(1_000_000), Err("JSON is nested deeper than 64 levels"));
    }
}
