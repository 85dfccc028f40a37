//! Keys whose encoded bytes sort exactly as the keys themselves do, and ranges over them.
//!
//! Text and byte strings are escaped (`00` becomes `00 FF`) and end with `00 01`, so that no component can
//! run into the next one and a shorter string sorts before a longer one that starts with it. Numbers are
//! big-endian. A tuple is its components one after the other, so a shorter tuple is a prefix of a longer one.

use std::cmp;

const ESCAPE: u8 = 0x00;
const ESCAPED_ZERO: u8 = 0xFF;
const END: u8 = 0x01;

/// Bytes in a key column that no key of the table's type encodes to.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CorruptKey {
    /// The bytes end in the middle of a component.
    #[error("the key ends in the middle of {component}")]
    Truncated {
        /// What was being read.
        component: &'static str,
    },
    /// An escape byte is followed by something that is neither a zero nor an end.
    #[error("the key has the unknown escape {byte:#04x}")]
    UnknownEscape {
        /// The byte after the escape.
        byte: u8,
    },
    /// A text component is not UTF-8.
    #[error("a text component of the key is not UTF-8")]
    NotText(#[from] std::string::FromUtf8Error),
    /// Something follows the last component.
    #[error("{extra} bytes follow the last component of the key")]
    TrailingBytes {
        /// How many.
        extra: usize,
    },
    /// The components are there, but the owner of the type does not accept their values.
    #[error("the key is not a {expected}")]
    NotOfType {
        /// What the table holds.
        expected: &'static str,
    },
}

/// The key of a table: its encoding sorts as it does.
///
/// Implement this for a type of your own by encoding and decoding a tuple of its fields.
pub trait Key: Sized {
    /// Appends the encoded key.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads a whole key back.
    fn decode(bytes: &[u8]) -> Result<Self, CorruptKey>;
}

/// Something the keys of a range may start with: the first components of a tuple key, borrowed or owned.
pub trait KeyPrefix {
    /// Appends the encoded components.
    fn encode_prefix(&self, out: &mut Vec<u8>);
}

/// A component that can stand anywhere in a tuple, because it knows where it ends.
pub trait KeyPart: KeyPrefix + Sized {
    /// Reads the component from the front of `input` and leaves the rest there.
    fn decode_part(input: &mut &[u8]) -> Result<Self, CorruptKey>;
}

impl<P: KeyPart> Key for P {
    fn encode(&self, out: &mut Vec<u8>) {
        self.encode_prefix(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CorruptKey> {
        let mut rest = bytes;
        let key = P::decode_part(&mut rest)?;
        if rest.is_empty() { Ok(key) } else { Err(CorruptKey::TrailingBytes { extra: rest.len() }) }
    }
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    for &byte in bytes {
        out.push(byte);
        if byte == ESCAPE {
            out.push(ESCAPED_ZERO);
        }
    }
    out.extend_from_slice(&[ESCAPE, END]);
}

fn decode_bytes(input: &mut &[u8]) -> Result<Vec<u8>, CorruptKey> {
    const TRUNCATED: CorruptKey = CorruptKey::Truncated { component: "a string" };
    let mut bytes = Vec::with_capacity(input.len());
    loop {
        let (&byte, rest) = input.split_first().ok_or(TRUNCATED)?;
        *input = rest;
        if byte != ESCAPE {
            bytes.push(byte);
            continue;
        }
        let (&kind, rest) = input.split_first().ok_or(TRUNCATED)?;
        *input = rest;
        match kind {
            END => return Ok(bytes),
            ESCAPED_ZERO => bytes.push(ESCAPE),
            byte => return Err(CorruptKey::UnknownEscape { byte }),
        }
    }
}

impl KeyPrefix for str {
    fn encode_prefix(&self, out: &mut Vec<u8>) {
        encode_bytes(self.as_bytes(), out);
    }
}

impl KeyPrefix for [u8] {
    fn encode_prefix(&self, out: &mut Vec<u8>) {
        encode_bytes(self, out);
    }
}

impl<P: KeyPrefix + ?Sized> KeyPrefix for &P {
    fn encode_prefix(&self, out: &mut Vec<u8>) {
        (**self).encode_prefix(out);
    }
}

impl KeyPrefix for String {
    fn encode_prefix(&self, out: &mut Vec<u8>) {
        self.as_str().encode_prefix(out);
    }
}

impl KeyPart for String {
    fn decode_part(input: &mut &[u8]) -> Result<Self, CorruptKey> {
        Ok(Self::from_utf8(decode_bytes(input)?)?)
    }
}

impl KeyPrefix for Vec<u8> {
    fn encode_prefix(&self, out: &mut Vec<u8>) {
        self.as_slice().encode_prefix(out);
    }
}

impl KeyPart for Vec<u8> {
    fn decode_part(input: &mut &[u8]) -> Result<Self, CorruptKey> {
        decode_bytes(input)
    }
}

macro_rules! number_parts {
    ($($number:ty),*) => {$(
        impl KeyPrefix for $number {
            fn encode_prefix(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
        }

        impl KeyPart for $number {
            fn decode_part(input: &mut &[u8]) -> Result<Self, CorruptKey> {
                let (bytes, rest) =
                    input.split_first_chunk().ok_or(CorruptKey::Truncated { component: "a number" })?;
                *input = rest;
                Ok(Self::from_be_bytes(*bytes))
            }
        }
    )*};
}

number_parts!(u8, u32, u64);

macro_rules! tuple_parts {
    ($($part:ident . $index:tt),*) => {
        impl<$($part: KeyPrefix),*> KeyPrefix for ($($part,)*) {
            fn encode_prefix(&self, out: &mut Vec<u8>) {
                $(self.$index.encode_prefix(out);)*
            }
        }

        impl<$($part: KeyPart),*> KeyPart for ($($part,)*) {
            fn decode_part(input: &mut &[u8]) -> Result<Self, CorruptKey> {
                Ok(($($part::decode_part(input)?,)*))
            }
        }
    };
}

tuple_parts!(A.0);
tuple_parts!(A.0, B.1);
tuple_parts!(A.0, B.1, C.2);
tuple_parts!(A.0, B.1, C.2, D.3);

/// A stretch of keys of one table, in encoded form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    start: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub const fn all() -> Self {
        Self { start: Vec::new(), end: None }
    }

    /// The keys whose first components are `prefix`.
    pub fn prefix(prefix: &(impl KeyPrefix + ?Sized)) -> Self {
        let mut start = Vec::new();
        prefix.encode_prefix(&mut start);
        let end = first_beyond(&start);
        Self { start, end }
    }

    /// The keys whose encoding begins with these bytes.
    pub(crate) fn of_prefix(start: Vec<u8>) -> Self {
        let end = first_beyond(&start);
        Self { start, end }
    }

    /// The part of this range that comes after `key`: how a listing goes on from its last row.
    #[must_use]
    pub fn after(self, key: &impl Key) -> Self {
        let mut bytes = Vec::new();
        key.encode(&mut bytes);
        bytes.push(0x00);
        Self { start: cmp::max(self.start, bytes), ..self }
    }

    /// The part of this range from `key` on, `key` included.
    #[must_use]
    pub fn from(self, key: &impl Key) -> Self {
        let mut bytes = Vec::new();
        key.encode(&mut bytes);
        Self { start: cmp::max(self.start, bytes), ..self }
    }

    /// The part of this range that comes before `key`: how a reverse listing goes on from its last row.
    #[must_use]
    pub fn before(self, key: &impl Key) -> Self {
        let mut bytes = Vec::new();
        key.encode(&mut bytes);
        let end = match self.end {
            Some(end) => cmp::min(end, bytes),
            None => bytes,
        };
        Self { start: self.start, end: Some(end) }
    }

    pub(crate) fn start(&self) -> &[u8] {
        &self.start
    }

    pub(crate) fn end(&self) -> Option<&[u8]> {
        self.end.as_deref()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

/// The smallest byte string greater than everything that starts with `prefix`; none if that is everything.
fn first_beyond(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xFF)?;
    let mut beyond: Vec<u8> = prefix.iter().take(last + 1).copied().collect();
    beyond[last] += 1;
    Some(beyond)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{CorruptKey, Key, KeyRange};

    fn encoded(key: &impl Key) -> Vec<u8> {
        let mut bytes = Vec::new();
        key.encode(&mut bytes);
        bytes
    }

    fn check(bytes: &[u8], expected: &CorruptKey) {
        assert_eq!(
            <(String, u64)>::decode(bytes).unwrap_err().to_string(),
            expected.to_string(),
            "{bytes:?}"
        );
    }

    #[test]
    fn refuses_what_no_key_encodes_to() {
        check(b"ab", &CorruptKey::Truncated { component: "a string" });
        check(b"ab\0", &CorruptKey::Truncated { component: "a string" });
        check(b"ab\0\x02", &CorruptKey::UnknownEscape { byte: 2 });
        check(b"ab\0\x01\0\0", &CorruptKey::Truncated { component: "a number" });
        check(b"ab\0\x01\0\0\0\0\0\0\0\x07!", &CorruptKey::TrailingBytes { extra: 1 });
        assert!(matches!(String::decode(b"\xc3\0\x01"), Err(CorruptKey::NotText(_))));
    }

    #[test]
    fn a_prefix_of_all_ones_has_no_end() {
        assert_eq!(KeyRange::prefix(&u8::MAX).end(), None);
        assert_eq!(KeyRange::prefix(&7_u8).end(), Some([8].as_slice()));
        assert_eq!(KeyRange::prefix(&(1_u8, u8::MAX)).end(), Some([2].as_slice()));
    }

    proptest! {
        #[test]
        fn keys_sort_as_their_encodings(
            a in any::<(String, Vec<u8>, u64, u8)>(), b in any::<(String, Vec<u8>, u64, u8)>(),
        ) {
            prop_assert_eq!(encoded(&a).cmp(&encoded(&b)), a.cmp(&b));
        }

        #[test]
        fn short_keys_of_few_letters_sort_as_their_encodings(
            a in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..4), 2),
            b in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..4), 2),
            c in 0_u64..3, d in proptest::prelude::prop_oneof![0_u64..3, u64::MAX - 2..=u64::MAX],
        ) {
            let left = (a[0].clone(), c, a[1].clone());
            let right = (b[0].clone(), d, b[1].clone());
            prop_assert_eq!(encoded(&left).cmp(&encoded(&right)), left.cmp(&right));
        }

        #[test]
        fn keys_survive_encoding(key in any::<(String, Vec<u8>, u64, u32)>()) {
            prop_assert_eq!(<(String, Vec<u8>, u64, u32)>::decode(&encoded(&key)).unwrap(), key);
        }

        #[test]
        fn decoding_never_panics(bytes in any::<Vec<u8>>()) {
            if let Ok(key) = <(String, u64)>::decode(&bytes) {
                prop_assert_eq!(encoded(&key), bytes);
            }
        }

        #[test]
        fn a_prefix_range_holds_exactly_the_keys_with_that_prefix(
            prefix in "[\u{0}ab]{0,3}", first in "[\u{0}ab]{0,3}", second in any::<u64>(),
        ) {
            let range = KeyRange::prefix(&(prefix.as_str(),));
            let key = encoded(&(first.clone(), second));
            let inside = range.start() <= key.as_slice() && range.end().is_none_or(|end| key.as_slice() < end);
            prop_assert_eq!(inside, first == prefix);
        }

        #[test]
        fn going_on_after_a_key_leaves_out_that_key_only(key in any::<(String, u64)>(), other in any::<(String, u64)>()) {
            let range = KeyRange::all().after(&key);
            prop_assert_eq!(range.start() <= encoded(&other).as_slice(), other > key);
            prop_assert!(!range.is_empty());
        }
    }
}
