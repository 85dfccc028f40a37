//! Reads request bodies into documents, within limits.
//!
//! Owns the depth and size of what is accepted (reliability 7-A A5): JSON no deeper than 64 levels and no more than a
//! million nodes, YAML without aliases. Duplicate keys are reported, not refused: `fieldValidation` decides. Does not
//! know what a document means.

use std::cell::{Cell, RefCell};
use std::fmt;

use pierhead_api::{MAX_DEPTH, excerpt};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Values (scalars, lists and maps) a document may have.
pub(crate) const MAX_NODES: usize = 1_000_000;
/// Duplicate keys that are named.
const MAX_DUPLICATES: usize = 32;
/// Bytes of the path of a duplicate key that are shown.
const MAX_PATH: usize = 256;

/// A document as it was sent.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The document.
    pub(crate) value: Value,
    /// Paths of the first keys that were given more than once, cut where they are long; the last value counts.
    pub(crate) duplicates: Vec<String>,
}

/// Why a body is not a document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// It is not JSON, or nested too deeply.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is not YAML, or uses more of YAML than we allow.
    #[error("error converting YAML to JSON: {0}")]
    Yaml(#[from] serde_saphyr::Error),
    /// It is not text.
    #[error("the body is not UTF-8: {0}")]
    Text(#[from] std::str::Utf8Error),
}

/// Reads JSON.
pub(crate) fn read_json(bytes: &[u8]) -> Result<Parsed, DocumentError> {
    let limits = Limits { nodes: Cell::new(0), duplicates: RefCell::default(), path: RefCell::default() };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Node { limits: &limits, depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Parsed { value, duplicates: limits.duplicates.into_inner() })
}

/// Reads one YAML document. Its duplicate keys are an error.
pub(crate) fn read_yaml(bytes: &[u8]) -> Result<Parsed, DocumentError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES, max_aliases: 0, max_documents: 1 },
    };
    let value = serde_saphyr::from_str_with_options(std::str::from_utf8(bytes)?, options)?;
    Ok(Parsed { value, duplicates: Vec::new() })
}

struct Limits {
    nodes: Cell<usize>,
    duplicates: RefCell<Vec<String>>,
    path: RefCell<Vec<String>>,
}

impl Limits {
    /// Notes the path as one that came twice. Nothing is built for those too many to be named.
    fn name_duplicate(&self) {
        let mut duplicates = self.duplicates.borrow_mut();
        if duplicates.len() < MAX_DUPLICATES {
            duplicates.push(excerpt(&self.path.borrow().join("."), MAX_PATH).into_owned());
        }
    }
}

/// One value at `depth`; the seed and the visitor of it.
#[derive(Clone, Copy)]
struct Node<'a> {
    limits: &'a Limits,
    depth: usize,
}

impl<'a> Node<'a> {
    fn deeper<E: serde::de::Error>(self) -> Result<Node<'a>, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format!("exceeded max depth {MAX_DEPTH}")));
        }
        Ok(Node { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let seen = self.limits.nodes.get() + 1;
        if seen > MAX_NODES {
            return Err(D::Error::custom(format!("more than {MAX_NODES} values")));
        }
        self.limits.nodes.set(seen);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let node = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(node)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let node = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.limits.path.borrow_mut().push(key.clone());
            let value = entries.next_value_seed(node)?;
            if map.insert(key, value).is_some() {
                self.limits.name_duplicate();
            }
            self.limits.path.borrow_mut().pop();
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, MAX_DUPLICATES, MAX_PATH, read_json, read_yaml};

    #[test]
    fn refuses_depth_beyond_the_limit() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read_json(nested(MAX_DEPTH).as_bytes()).unwrap().value.is_array());
        let error = read_json(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("exceeded max depth 64"), "{error}");
        read_json(nested(100_000).as_bytes()).unwrap_err();
    }

    #[test]
    fn names_duplicate_keys() {
        let parsed = read_json(br#"{"spec":{"a":1,"a":2},"b":[]}"#).unwrap();
        assert_eq!(parsed.duplicates, ["spec.a"]);
        assert_eq!(parsed.value["spec"]["a"], 2);
    }

    #[test]
    fn duplicate_keys_below_a_long_one_cost_no_more_than_they_send() {
        let key = "k".repeat(1_500_000);
        let same = vec![r#""a":1"#; 200_000].join(",");
        let parsed = read_json(format!("{{\"{key}\":{{{same}}}}}").as_bytes()).unwrap();
        assert_eq!(parsed.duplicates.len(), MAX_DUPLICATES);
        assert!(parsed.duplicates.iter().all(|path| path.len() <= MAX_PATH + 3));
    }

    #[test]
    fn refuses_yaml_aliases_and_trailing_json() {
        let bomb = "a: &a [x, x]\nb: [*a, *a]\n";
        read_yaml(bomb.as_bytes()).unwrap_err();
        assert_eq!(read_yaml(b"kind: Secret\nmetadata: {name: a}\n").unwrap().value["metadata"]["name"], "a");
        read_json(b"{} {}").unwrap_err();
    }
}
