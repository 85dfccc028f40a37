//! The address of content: an algorithm and a hash.
//!
//! Owns the text form (`sha256:9f86…`) and the key form used in stores. Hashing a stream is `hasher`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

/// A hash function that may name content. Others are refused by name, never ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, what every client uses unless told otherwise.
    Sha256,
    /// SHA-512, which clients may ask for with `digest-algorithm=sha512`.
    Sha512,
}

impl Algorithm {
    /// The name before the colon: `sha256` or `sha512`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the hash in bytes; its hexadecimal form is twice as long.
    pub const fn hash_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(DigestError::UnsupportedAlgorithm(text.into())),
        }
    }
}

/// The address of a blob or manifest: `sha256:9f86d081…`. Holding one means it was checked.
///
/// ```
/// use pierhead_oci::{Algorithm, Digest};
///
/// let digest = Digest::sha256(b"");
/// assert_eq!(digest.to_string(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// assert!("SHA256:e3b0".parse::<Digest>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Hash);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Hash {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

impl Digest {
    /// Hashes `content` with `algorithm`. For content that arrives in pieces there is [`crate::Hasher`].
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self(Hash::Sha256(Sha256::digest(content).into())),
            Algorithm::Sha512 => Self(Hash::Sha512(Sha512::digest(content).into())),
        }
    }

    /// Hashes `content` with SHA-256.
    pub fn sha256(content: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, content)
    }

    /// The function that made this hash.
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            Hash::Sha256(_) => Algorithm::Sha256,
            Hash::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The hash itself, in its binary form.
    pub const fn hash(&self) -> &[u8] {
        match &self.0 {
            Hash::Sha256(hash) => hash,
            Hash::Sha512(hash) => hash,
        }
    }

    /// The hash in lower-case hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        let mut hex = String::with_capacity(2 * self.hash().len());
        push_hex(self.hash(), &mut hex);
        hex
    }

    /// A key for ordered stores: one byte for the algorithm, then the hash.
    pub fn to_key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + self.hash().len());
        key.push(key_byte(self.algorithm()));
        key.extend_from_slice(self.hash());
        key
    }

    /// Reads what [`Digest::to_key`] wrote.
    pub fn from_key(key: &[u8]) -> Result<Self, CorruptDigestKey> {
        let corrupt = || CorruptDigestKey { length: key.len(), first: key.first().copied() };
        let (first, hash) = key.split_first().ok_or_else(corrupt)?;
        [Algorithm::Sha256, Algorithm::Sha512]
            .into_iter()
            .find(|algorithm| key_byte(*algorithm) == *first)
            .and_then(|algorithm| Self::from_hash(algorithm, hash))
            .ok_or_else(corrupt)
    }

    /// `None` if `hash` has not the length that `algorithm` makes.
    pub(crate) fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Option<Self> {
        match algorithm {
            Algorithm::Sha256 => hash.try_into().ok().map(|hash| Self(Hash::Sha256(hash))),
            Algorithm::Sha512 => hash.try_into().ok().map(|hash| Self(Hash::Sha512(hash))),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(7 + 2 * self.hash().len());
        text.push_str(self.algorithm().as_str());
        text.push(':');
        push_hex(self.hash(), &mut text);
        f.pad(&text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| DigestError::NoSeparator(text.into()))?;
        let algorithm: Algorithm = algorithm.parse()?;
        parse_hex(algorithm, hex)
            .and_then(|hash| Self::from_hash(algorithm, &hash))
            .ok_or_else(|| DigestError::BadHex { algorithm, hex: hex.into() })
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no colon between algorithm and hash.
    #[error("digest `{0}` has no `:`")]
    NoSeparator(String),
    /// The algorithm is not one of [`Algorithm`].
    #[error("digest algorithm `{0}` is not supported")]
    UnsupportedAlgorithm(String),
    /// The hash has the wrong length or digits.
    #[error("a {algorithm} digest needs {} lower-case hex characters, got `{hex}`", 2 * algorithm.hash_len())]
    BadHex {
        /// The algorithm that was named.
        algorithm: Algorithm,
        /// What followed the colon.
        hex: String,
    },
}

/// Bytes read from a store are not what [`Digest::to_key`] writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest key of {length} bytes that starts with {first:?} is corrupt")]
pub struct CorruptDigestKey {
    length: usize,
    first: Option<u8>,
}

/// Stored: these numbers never change.
const fn key_byte(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Sha256 => 1,
        Algorithm::Sha512 => 2,
    }
}

fn push_hex(hash: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in hash {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// Upper-case digits are refused: one content has one address.
fn parse_hex(algorithm: Algorithm, hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 2 * algorithm.hash_len() {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    hex.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{Algorithm, Digest};

    fn check(text: &str, expected: Result<Algorithm, &str>) {
        let actual =
            text.parse::<Digest>().map(|digest| digest.algorithm()).map_err(|error| error.to_string());
        assert_eq!(actual, expected.map_err(String::from), "{text}");
    }

    #[test]
    fn reads_both_algorithms() {
        check(&format!("sha256:{}", "0a".repeat(32)), Ok(Algorithm::Sha256));
        check(&format!("sha512:{}", "f9".repeat(64)), Ok(Algorithm::Sha512));
    }

    #[test]
    fn refuses_what_is_not_a_digest() {
        let bad_hex = |hex: &str| format!("a sha256 digest needs 64 lower-case hex characters, got `{hex}`");
        check("latest", Err("digest `latest` has no `:`"));
        check("", Err("digest `` has no `:`"));
        check("md5:00", Err("digest algorithm `md5` is not supported"));
        check(&format!("SHA256:{}", "0a".repeat(32)), Err("digest algorithm `SHA256` is not supported"));
        check("sha256:AB", Err(&bad_hex("AB")));
        check(&format!("sha256:{}", "0A".repeat(32)), Err(&bad_hex(&"0A".repeat(32))));
        check(&format!("sha256:{}", "0a".repeat(33)), Err(&bad_hex(&"0a".repeat(33))));
        check(&format!("sha256:../{}", "0".repeat(61)), Err(&bad_hex(&format!("../{}", "0".repeat(61)))));
        check(&format!("sha256:{}é", "0".repeat(62)), Err(&bad_hex(&format!("{}é", "0".repeat(62)))));
    }

    #[test]
    fn refuses_keys_it_did_not_write() {
        for key in [&[][..], &[1], &[3; 33], &[1; 32], &[1; 34], &[2; 33]] {
            assert!(Digest::from_key(key).is_err(), "{key:?}");
        }
    }

    proptest! {
        #[test]
        fn text_and_key_come_back(content: Vec<u8>, wide: bool) {
            let digest = Digest::of(if wide { Algorithm::Sha512 } else { Algorithm::Sha256 }, &content);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest.clone()));
            prop_assert_eq!(Digest::from_key(&digest.to_key()), Ok(digest));
        }

        #[test]
        fn what_parses_is_what_was_written(text in any::<String>()) {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
