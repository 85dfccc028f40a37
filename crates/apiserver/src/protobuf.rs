//! Reads the protobuf bodies that kubectl and oc from 1.32 on send for typed objects (platform 1.5).
//!
//! Owns the envelope, the wire format and the conversion to a document, with the same limits as for other bodies; which
//! numbers mean which fields is in `messages`. Nothing is ever written as protobuf: clients take JSON answers. Unknown
//! fields are skipped, as Go does.

use std::cell::Cell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use pierhead_api::MAX_DEPTH;
use serde_json::{Map, Value};

use crate::document::MAX_NODES;

mod messages;

const MAGIC: &[u8] = b"k8s\0";

/// A message: number, JSON name and type of every field.
type Message = &'static [(u64, &'static str, Field)];

/// The type of a field.
#[derive(Clone, Copy)]
enum Field {
    Text,
    Int,
    Bool,
    Time,
    MicroTime,
    IntOrString,
    Message(&'static Message),
    /// A message whose fields stand among those of the one that holds it.
    Inline(&'static Message),
    Texts,
    Ints,
    Messages(&'static Message),
    /// A message that is written as one text.
    Quantity,
    QuantityMap,
    TextMap,
    BytesMap,
    ListMap,
}

/// Why a body is not one we read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ProtobufError {
    /// It does not start with the envelope's magic bytes.
    #[error("the protobuf body does not start with the expected prefix")]
    NoMagic,
    /// It ends in the middle of something.
    #[error("the protobuf body ends unexpectedly")]
    Truncated,
    /// A number, tag or length that cannot be.
    #[error("the protobuf body has an invalid {0}")]
    Malformed(&'static str),
    /// A kind that is not read as protobuf.
    #[error("{api_version} {kind} is not read as protobuf")]
    UnknownKind {
        /// Its apiVersion.
        api_version: String,
        /// The kind.
        kind: String,
    },
}

/// Reads an enveloped object into a document with `apiVersion` and `kind`.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let mut envelope = Reader { rest: bytes.strip_prefix(MAGIC).ok_or(ProtobufError::NoMagic)? };
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    while let Some((number, wire)) = envelope.next()? {
        match (number, wire) {
            (1, Wire::Bytes(meta)) => {
                let mut meta = Reader { rest: meta };
                while let Some((number, wire)) = meta.next()? {
                    match (number, wire) {
                        (1, Wire::Bytes(text)) => api_version = string(text)?,
                        (2, Wire::Bytes(text)) => kind = string(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(object)) => raw = object,
            _ => {}
        }
    }
    let Some(message) = messages::message_of(&api_version, &kind) else {
        return Err(ProtobufError::UnknownKind { api_version, kind });
    };
    let mut document = Map::new();
    document.insert("apiVersion".to_owned(), api_version.into());
    document.insert("kind".to_owned(), kind.into());
    let nodes = Cell::new(0);
    Place { nodes: &nodes, depth: 1 }.read_into(&mut document, raw, message)?;
    Ok(Value::Object(document))
}

/// Where in the document a message stands, and what was read before it.
#[derive(Clone, Copy)]
struct Place<'a> {
    nodes: &'a Cell<usize>,
    depth: usize,
}

impl Place<'_> {
    fn deeper(self) -> Result<Self, ProtobufError> {
        if self.depth == MAX_DEPTH {
            return Err(ProtobufError::Malformed("depth"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    /// Counts one value more.
    fn count(self) -> Result<(), ProtobufError> {
        let seen = self.nodes.get() + 1;
        self.nodes.set(seen);
        if seen > MAX_NODES { Err(ProtobufError::Malformed("number of values")) } else { Ok(()) }
    }

    fn object(self, bytes: &[u8], message: Message) -> Result<Value, ProtobufError> {
        let mut map = Map::new();
        self.deeper()?.read_into(&mut map, bytes, message)?;
        Ok(Value::Object(map))
    }

    fn read_into(
        self,
        map: &mut Map<String, Value>,
        bytes: &[u8],
        message: Message,
    ) -> Result<(), ProtobufError> {
        let mut reader = Reader { rest: bytes };
        while let Some((number, wire)) = reader.next()? {
            let Some((_, name, field)) = message.iter().find(|(known, _, _)| *known == number) else {
                continue;
            };
            self.count()?;
            match (field, wire) {
                (Field::Text, Wire::Bytes([])) => {}
                (Field::Text, Wire::Bytes(bytes)) => set(map, name, string(bytes)?.into()),
                (Field::Int, Wire::Number(number)) => set(map, name, signed(number).into()),
                (Field::Bool, Wire::Number(number)) => set(map, name, (number != 0).into()),
                (Field::Time | Field::MicroTime, Wire::Bytes(bytes)) => {
                    if let Some(time) = time(bytes)? {
                        set(map, name, time);
                    }
                }
                (Field::IntOrString, Wire::Bytes(bytes)) => set(map, name, int_or_string(bytes)?),
                (Field::Message(message), Wire::Bytes(bytes)) => {
                    set(map, name, self.object(bytes, message)?);
                }
                (Field::Inline(message), Wire::Bytes(bytes)) => {
                    self.deeper()?.read_into(map, bytes, message)?;
                }
                (Field::Texts, Wire::Bytes(bytes)) => push(map, name, string(bytes)?.into()),
                (Field::Ints, Wire::Number(number)) => push(map, name, signed(number).into()),
                (Field::Quantity, Wire::Bytes(bytes)) => set(map, name, quantity(bytes)?),
                (Field::QuantityMap, Wire::Bytes(bytes)) => {
                    let (key, value) = entry(bytes)?;
                    insert(map, name, key, quantity(value)?);
                }
                (Field::Messages(message), Wire::Bytes(bytes)) => {
                    push(map, name, self.object(bytes, message)?)
                }
                (Field::TextMap, Wire::Bytes(bytes)) => {
                    let (key, value) = entry(bytes)?;
                    insert(map, name, key, string(value)?.into());
                }
                (Field::BytesMap, Wire::Bytes(bytes)) => {
                    let (key, value) = entry(bytes)?;
                    insert(map, name, key, STANDARD.encode(value).into());
                }
                (Field::ListMap, Wire::Bytes(bytes)) => {
                    let (key, value) = entry(bytes)?;
                    insert(map, name, key, self.texts(value)?);
                }
                _ => return Err(ProtobufError::Malformed("field type")),
            }
        }
        Ok(())
    }

    fn texts(self, bytes: &[u8]) -> Result<Value, ProtobufError> {
        let mut reader = Reader { rest: bytes };
        let mut list = Vec::new();
        while let Some((number, wire)) = reader.next()? {
            if let (1, Wire::Bytes(bytes)) = (number, wire) {
                self.count()?;
                list.push(Value::String(string(bytes)?));
            }
        }
        Ok(list.into())
    }
}

fn set(map: &mut Map<String, Value>, name: &str, value: Value) {
    map.insert(name.to_owned(), value);
}

fn push(map: &mut Map<String, Value>, name: &str, value: Value) {
    if let Some(list) = map.entry(name).or_insert_with(|| Value::Array(Vec::new())).as_array_mut() {
        list.push(value);
    }
}

fn insert(map: &mut Map<String, Value>, name: &str, key: String, value: Value) {
    if let Some(entries) = map.entry(name).or_insert_with(|| Value::Object(Map::new())).as_object_mut() {
        entries.insert(key, value);
    }
}

fn string(bytes: &[u8]) -> Result<String, ProtobufError> {
    std::str::from_utf8(bytes).map(str::to_owned).or(Err(ProtobufError::Malformed("text")))
}

/// Go writes negative numbers as their 64-bit two's complement.
const fn signed(number: u64) -> i64 {
    number.cast_signed()
}

fn entry(bytes: &[u8]) -> Result<(String, &[u8]), ProtobufError> {
    let mut reader = Reader { rest: bytes };
    let (mut key, mut value) = (String::new(), &[][..]);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => key = string(bytes)?,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Field 1 is the text of a quantity.
fn quantity(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let mut reader = Reader { rest: bytes };
    let mut text = String::new();
    while let Some((number, wire)) = reader.next()? {
        if let (1, Wire::Bytes(bytes)) = (number, wire) {
            text = string(bytes)?;
        }
    }
    Ok(if text.is_empty() { "0".into() } else { text.into() })
}

/// Seconds and nanoseconds; an empty message is no time at all.
fn time(bytes: &[u8]) -> Result<Option<Value>, ProtobufError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut reader = Reader { rest: bytes };
    let (mut seconds, mut nanos) = (0, 0);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Number(number)) => seconds = signed(number),
            (2, Wire::Number(number)) => nanos = signed(number),
            _ => {}
        }
    }
    let nanos = i32::try_from(nanos).or(Err(ProtobufError::Malformed("time")))?;
    let time = Timestamp::new(seconds, nanos).or(Err(ProtobufError::Malformed("time")))?;
    Ok(Some(time.to_string().into()))
}

/// Field 1 says which of the two it is: 0 a number (field 2), 1 a text (field 3).
fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let mut reader = Reader { rest: bytes };
    let (mut is_text, mut int, mut text) = (false, 0, String::new());
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Number(number)) => is_text = number == 1,
            (2, Wire::Number(number)) => int = signed(number),
            (3, Wire::Bytes(bytes)) => text = string(bytes)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { int.into() })
}

enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Skipped,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next field: its number and what it holds.
    fn next(&mut self) -> Result<Option<(u64, Wire<'a>)>, ProtobufError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => self.take(8).map(|_| Wire::Skipped)?,
            2 => {
                let length = usize::try_from(self.varint()?).or(Err(ProtobufError::Malformed("length")))?;
                Wire::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Wire::Skipped)?,
            _ => return Err(ProtobufError::Malformed("wire type")),
        };
        Ok(Some((tag >> 3, wire)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(ProtobufError::Truncated)?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(ProtobufError::Malformed("number"))
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_NODES, ProtobufError, decode};
    use serde_json::json;

    fn field(number: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, u8::try_from(body.len()).unwrap()];
        bytes.extend_from_slice(body);
        bytes
    }

    fn envelope(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
        let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), field(1, &meta), field(2, object), field(3, b""), field(4, b"")].concat()
    }

    #[test]
    fn reads_a_secret_as_kubectl_sends_it() {
        let meta = [field(1, b"regcred"), field(3, b""), field(8, b""), vec![7 << 3, 0]].concat();
        let data = [field(1, b".dockerconfigjson"), field(2, b"{}")].concat();
        let secret = [field(1, &meta), field(2, &data), field(3, b"kubernetes.io/dockerconfigjson")].concat();
        assert_eq!(
            decode(&envelope("v1", "Secret", &secret)).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": "regcred", "generation": 0},
                "data": {".dockerconfigjson": "e30="},
                "type": "kubernetes.io/dockerconfigjson",
            })
        );
    }

    #[test]
    fn reads_a_pod_whose_parts_are_inlined() {
        let quantity = field(1, b"64Mi");
        let limit = [field(1, b"memory"), field(2, &quantity)].concat();
        let port = [vec![1 << 3, 0, 2 << 3, 80], field(3, b"")].concat();
        let handler = field(2, &[field(1, b"/live"), field(2, &port)].concat());
        let probe = [field(1, &handler), vec![3 << 3, 2]].concat();
        let container =
            [field(1, b"c"), field(2, b"i"), field(8, &field(1, &limit)), field(10, &probe)].concat();
        let secret = field(6, &field(1, b"s"));
        let volume = [field(1, b"v"), field(2, &secret)].concat();
        let groups = vec![4 << 3, 5, 4 << 3, 6];
        let spec = [field(1, &volume), field(2, &container), {
            let mut bytes = vec![14 << 3 | 2, u8::try_from(groups.len()).unwrap()];
            bytes.extend(groups);
            bytes
        }]
        .concat();
        let pod =
            decode(&envelope("v1", "Pod", &[field(1, &field(1, b"p")), field(2, &spec)].concat())).unwrap();
        assert_eq!(
            pod["spec"],
            json!({
                "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
                "containers": [{
                    "name": "c", "image": "i", "resources": {"limits": {"memory": "64Mi"}},
                    "livenessProbe": {"httpGet": {"path": "/live", "port": 80}, "timeoutSeconds": 2},
                }],
                "securityContext": {"supplementalGroups": [5, 6]},
            })
        );
    }

    #[test]
    fn values_are_counted() {
        let envelope = |items: usize| {
            let raw = [2 << 3 | 2, 0].repeat(items);
            let meta = [field(1, b"v1"), field(2, b"Endpoints")].concat();
            let mut length = Vec::new();
            let mut rest = raw.len();
            while rest >= 0x80 {
                length.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
                rest >>= 7;
            }
            length.push(u8::try_from(rest).unwrap());
            [b"k8s\0".to_vec(), field(1, &meta), vec![2 << 3 | 2], length, raw].concat()
        };
        let subsets =
            |items: usize| decode(&envelope(items)).map(|read| read["subsets"].as_array().unwrap().len());
        assert_eq!(subsets(MAX_NODES), Ok(MAX_NODES));
        assert_eq!(subsets(MAX_NODES + 1), Err(ProtobufError::Malformed("number of values")));
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        let check = |bytes: &[u8], expected: ProtobufError| assert_eq!(decode(bytes).unwrap_err(), expected);
        check(b"{}", ProtobufError::NoMagic);
        check(b"k8s\0\x0a", ProtobufError::Truncated);
        check(b"k8s\0\x0a\x7f", ProtobufError::Truncated);
        check(b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ProtobufError::Malformed("number"));
        check(
            &envelope("v1", "PodTemplate", b""),
            ProtobufError::UnknownKind { api_version: "v1".into(), kind: "PodTemplate".into() },
        );
    }
}
