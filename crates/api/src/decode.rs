//! From a JSON document to a typed object, the way API servers read: `null` means absent, unknown fields are
//! kept apart and reported on request, errors name the path.
//!
//! Owns only reading. Which unknown fields are fatal (`fieldValidation`) is the server's decision.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

use crate::excerpt::excerpt;
use crate::object::Object;

/// Levels of nesting a document may have. Readers of stored documents allow more, so that whatever was written can be
/// read.
pub const MAX_DEPTH: usize = 64;
/// Unknown fields that are named; further ones are dropped all the same.
const MAX_UNKNOWN: usize = 100;
/// Bytes of the path of an unknown field that are shown.
const MAX_PATH: usize = 256;

/// Why a document is not an object of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{message}", path, if path.is_empty() { "" } else { ": " })]
pub struct DecodeError {
    /// Where in the document, such as `spec.tags[0].from`; empty when the document is not JSON.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: String::new(), message: message.to_string() }
    }
}

impl DecodeError {
    fn at(mut self, path: &Path<'_>) -> Self {
        if self.path.is_empty() {
            self.path = path.to_string();
        }
        self
    }
}

/// Reads an object from a document. `apiVersion` and `kind` are not looked at; unknown fields are ignored.
pub fn from_value<T: Object>(document: &Value) -> Result<T, DecodeError> {
    read(document).map(|(object, _)| object)
}

/// Reads an object from the bytes of a JSON document, as [`from_value`] does.
pub fn from_slice<T: Object>(bytes: &[u8]) -> Result<T, DecodeError> {
    from_value(&serde_json::from_slice::<Value>(bytes).map_err(DecodeError::custom)?)
}

/// Whether no value lies deeper than `levels` lists and objects.
pub(crate) fn fits(document: &Value, levels: usize) -> bool {
    match document {
        Value::Array(items) => levels > 0 && items.iter().all(|item| fits(item, levels - 1)),
        Value::Object(members) => levels > 0 && members.values().all(|member| fits(member, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// Reads an object that is to be stored: one deeper than [`MAX_DEPTH`] is refused. Also lists the paths of fields its
/// kind does not have (`spec.foo`), for field validation.
pub fn from_value_strict<T: Object>(document: &Value) -> Result<(T, Vec<String>), DecodeError> {
    if !fits(document, MAX_DEPTH) {
        return Err(DecodeError::custom(format!("exceeded max depth {MAX_DEPTH}")));
    }
    read(document)
}

fn read<T: Object>(document: &Value) -> Result<(T, Vec<String>), DecodeError> {
    let unknown = RefCell::new(Vec::new());
    if !document.is_object() {
        return Err(DecodeError::custom("the document is not a JSON object"));
    }
    let object = T::deserialize(Decoder { value: document, path: &Path::Root, unknown: &unknown })?;
    let mut unknown = unknown.into_inner();
    unknown.retain(|path| path != "apiVersion" && path != "kind");
    Ok((object, unknown))
}

/// Reads a type that is not an API object, such as a document inside a field, the same way.
pub(crate) fn plain_from_value<T: serde::de::DeserializeOwned>(document: &Value) -> Result<T, DecodeError> {
    let unknown = RefCell::new(Vec::new());
    T::deserialize(Decoder { value: document, path: &Path::Root, unknown: &unknown })
}

enum Path<'p> {
    Root,
    Field(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

#[derive(Clone, Copy)]
struct Decoder<'de, 'p> {
    value: &'de Value,
    path: &'p Path<'p>,
    unknown: &'p RefCell<Vec<String>>,
}

/// Whether `null` members are handed to the visitor (raw documents) or count as absent (structs).
#[derive(Clone, Copy, PartialEq)]
enum Nulls {
    Keep,
    Skip,
}

impl<'de> Decoder<'de, '_> {
    fn visit_members<V: Visitor<'de>>(self, visitor: V, nulls: Nulls) -> Result<V::Value, DecodeError> {
        let members = match self.value {
            Value::Object(members) => Some(members.iter()),
            Value::Null => None,
            other => return Err(DecodeError::invalid_type(unexpected(other), &"an object").at(self.path)),
        };
        visitor.visit_map(Members { members, next: None, decoder: self, nulls })
    }
}

fn unexpected(value: &Value) -> de::Unexpected<'_> {
    match value {
        Value::Null => de::Unexpected::Unit,
        Value::Bool(flag) => de::Unexpected::Bool(*flag),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| de::Unexpected::Other("number"), de::Unexpected::Signed)
        }
        Value::String(text) => de::Unexpected::Str(text),
        Value::Array(_) => de::Unexpected::Seq,
        Value::Object(_) => de::Unexpected::Map,
    }
}

impl<'de> Deserializer<'de> for Decoder<'de, '_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let visited = match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => {
                if let Some(number) = number.as_u64() {
                    visitor.visit_u64(number)
                } else if let Some(number) = number.as_i64() {
                    visitor.visit_i64(number)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter(), index: 0, decoder: self }),
            Value::Object(_) => return self.visit_members(visitor, Nulls::Keep),
        };
        visited.map_err(|error| error.at(self.path))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.visit_members(visitor, Nulls::Skip)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.value.is_null() {
            return visitor.visit_seq(Items { items: [].iter(), index: 0, decoder: self });
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_members(visitor, Nulls::Keep)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let Value::String(variant) = self.value else {
            return Err(DecodeError::invalid_type(unexpected(self.value), &"a string").at(self.path));
        };
        let variant: StringDeserializer<DecodeError> = variant.clone().into_deserializer();
        variant.deserialize_enum(name, variants, visitor).map_err(|error| error.at(self.path))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let mut unknown = self.unknown.borrow_mut();
        if unknown.len() < MAX_UNKNOWN {
            unknown.push(excerpt(&self.path.to_string(), MAX_PATH).into_owned());
        }
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple tuple_struct identifier
    }
}

struct Members<'de, 'p> {
    members: Option<serde_json::map::Iter<'de>>,
    next: Option<(&'de String, &'de Value)>,
    decoder: Decoder<'de, 'p>,
    nulls: Nulls,
}

impl<'de> MapAccess<'de> for Members<'de, '_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let skip = self.nulls == Nulls::Skip;
        self.next =
            self.members.as_mut().and_then(|members| members.find(|(_, value)| !(skip && value.is_null())));
        let Some((key, _)) = self.next else { return Ok(None) };
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let (key, value) = self.next.take().expect("serde asks for a value only after a key");
        let path = Path::Field(self.decoder.path, key);
        let decoder = Decoder { value, path: &path, unknown: self.decoder.unknown };
        seed.deserialize(decoder).map_err(|error| error.at(&path))
    }
}

struct Items<'de, 'p> {
    items: std::slice::Iter<'de, Value>,
    index: usize,
    decoder: Decoder<'de, 'p>,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(value) = self.items.next() else { return Ok(None) };
        let path = Path::Index(self.decoder.path, self.index);
        self.index += 1;
        let decoder = Decoder { value, path: &path, unknown: self.decoder.unknown };
        seed.deserialize(decoder).map(Some).map_err(|error| error.at(&path))
    }
}
