//! Records that nobody reads who only has the database's files.
//!
//! Owns the keys, which rows are sealed, and the form of a sealed record. Above the engine all records are clear; on
//! the disk those of the named rows are not, in their tables and in the change log. Each record is sealed with a key of
//! its own, which is wrapped by the first of the given keys and stands before it with that key's name, so that a record
//! can be given another key's wrapping at any time. Table and key of the row are part of what is sealed: a record is not
//! to be had by copying it to another row.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use pierhead_runtime::Secret;

use crate::error::StoreError;
use crate::key::KeyPrefix;
use crate::table::TableName;

/// What a sealed record begins with; records that are not begin with their version, which counts from one.
const SEALED: u8 = 0xE5;
const FORM: u8 = 1;
const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const WRAPPED_BYTES: usize = KEY_BYTES + TAG_BYTES;
/// Sign, form and name of the key.
pub(crate) const HEAD_BYTES: usize = 2 + ID_BYTES;

/// A key that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealKeyError {
    /// Not the form that [`SealKey::to_text`] writes.
    #[error("it is not the base64 of 32 bytes on one line")]
    Form,
    /// No randomness, or no cipher.
    #[error("the cryptographic library failed")]
    Library,
}

/// A key that wraps the keys of records. Its name is made of it, and says nothing about it.
#[derive(Clone)]
pub struct SealKey {
    id: [u8; ID_BYTES],
    bytes: Arc<Secret<[u8; KEY_BYTES]>>,
    wrapping: Arc<LessSafeKey>,
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealKey").field(&self.name()).finish()
    }
}

impl SealKey {
    /// Makes a new one.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<Self, SealKeyError> {
        Self::of(random()?)
    }

    /// Reads what [`SealKey::to_text`] wrote, or `openssl rand -base64 32`.
    ///
    /// # Errors
    /// What it is instead.
    pub fn parse(text: &str) -> Result<Self, SealKeyError> {
        let decoded = BASE64_STANDARD.decode(text.trim()).ok().ok_or(SealKeyError::Form)?;
        Self::of(decoded.try_into().ok().ok_or(SealKeyError::Form)?)
    }

    fn of(bytes: [u8; KEY_BYTES]) -> Result<Self, SealKeyError> {
        let hash = digest(&SHA256, &[b"pierhead seal key\n".as_slice(), &bytes].concat());
        let (id, _) = hash.as_ref().split_first_chunk().ok_or(SealKeyError::Library)?;
        let wrapping = Arc::new(cipher(&bytes)?);
        Ok(Self { id: *id, bytes: Arc::new(Secret::new(bytes)), wrapping })
    }

    /// The key as a line of text, to be kept where only the server can read it.
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(format!("{}\n", BASE64_STANDARD.encode(self.bytes.expose())))
    }

    /// What the key is called in the database and in messages.
    pub fn name(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Which rows are sealed and with what.
#[derive(Clone, Debug)]
pub struct Sealing {
    first: SealKey,
    others: Vec<SealKey>,
    rows: Vec<(TableName, Vec<u8>)>,
}

impl Sealing {
    /// Seals with `first`; unseals with it and with `others`.
    pub fn new(first: SealKey, others: Vec<SealKey>) -> Self {
        Self { first, others, rows: Vec::new() }
    }

    /// Also seals the rows of `table` whose keys begin with `prefix`.
    #[must_use]
    pub fn rows(mut self, table: TableName, prefix: &impl KeyPrefix) -> Self {
        let mut encoded = Vec::new();
        prefix.encode_prefix(&mut encoded);
        self.rows.push((table, encoded));
        self
    }

    /// The rows that are sealed, by table and first bytes of the key.
    pub(crate) fn sealed_rows(&self) -> &[(TableName, Vec<u8>)] {
        &self.rows
    }

    pub(crate) fn first(&self) -> &SealKey {
        &self.first
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        self.keys().any(|key| key.name() == name)
    }

    fn keys(&self) -> impl Iterator<Item = &SealKey> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// What every record begins with that is sealed with the first key.
    pub(crate) fn head(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[0] = SEALED;
        head[1] = FORM;
        head[2..].copy_from_slice(&self.first.id);
        head
    }

    /// Whether records of this row are sealed.
    pub(crate) fn covers(&self, table: &str, key: &[u8]) -> bool {
        self.rows.iter().any(|(of, prefix)| of.as_str() == table && key.starts_with(prefix))
    }

    /// The sealed form of a record.
    pub(crate) fn seal(&self, table: &str, key: &[u8], record: &[u8]) -> Result<Vec<u8>, SealKeyError> {
        let own: [u8; KEY_BYTES] = random()?;
        let nonce: [u8; NONCE_BYTES] = random()?;
        let place = place(table, key);
        let mut wrapped = own.to_vec();
        let wrapping = &self.first.wrapping;
        wrapping
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&place), &mut wrapped)
            .ok()
            .ok_or(SealKeyError::Library)?;
        let mut body = record.to_vec();
        // The key is this record's alone, so the nonce is used with it once.
        let zero = Nonce::assume_unique_for_key([0; NONCE_BYTES]);
        let sealed = cipher(&own)?.seal_in_place_append_tag(zero, Aad::from(&place), &mut body);
        sealed.ok().ok_or(SealKeyError::Library)?;
        Ok([&self.head()[..], &nonce, &wrapped, &body].concat())
    }

    /// The record as it was before it was sealed.
    pub(crate) fn unseal(&self, table: &str, key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (head, rest) = sealed.split_first_chunk::<HEAD_BYTES>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (wrapped, body) = rest.split_first_chunk::<WRAPPED_BYTES>()?;
        let by = self.keys().find(|known| head[0] == SEALED && head[1] == FORM && head[2..] == known.id)?;
        let place = place(table, key);
        let mut wrapped = *wrapped;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let own = by.wrapping.open_in_place(nonce, Aad::from(&place), &mut wrapped).ok()?;
        let cipher = cipher(own).ok()?;
        let mut body = body.to_vec();
        let zero = Nonce::assume_unique_for_key([0; NONCE_BYTES]);
        let length = cipher.open_in_place(zero, Aad::from(&place), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }
}

/// What is on the disk as a record: what it says is wrong without the keys.
pub(crate) fn is_sealed(record: &[u8]) -> bool {
    record.first() == Some(&SEALED)
}

/// The clear form of what was read.
pub(crate) fn opened(
    sealing: Option<&Sealing>,
    table: &str,
    key: &[u8],
    record: Bytes,
) -> Result<Bytes, StoreError> {
    if !is_sealed(&record) {
        return Ok(record);
    }
    let clear = sealing.and_then(|sealing| sealing.unseal(table, key, &record));
    clear.map(Bytes::from).ok_or_else(|| StoreError::Sealed { table: table.to_owned() })
}

/// What a record is bound to: its table and the key of its row.
fn place(table: &str, key: &[u8]) -> Vec<u8> {
    [table.as_bytes(), &[0], key].concat()
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, SealKeyError> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok().ok_or(SealKeyError::Library)?))
}

fn random<const N: usize>() -> Result<[u8; N], SealKeyError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok().ok_or(SealKeyError::Library)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{SealKey, SealKeyError, Sealing, is_sealed};

    #[test]
    fn a_key_is_a_line_of_text() {
        let key = SealKey::generate().unwrap();
        let text = key.to_text().into_exposed();
        assert_eq!(text.len(), 45);
        assert_eq!(SealKey::parse(&text).unwrap().name(), key.name());
        assert_ne!(SealKey::generate().unwrap().name(), key.name());
        let zeros = SealKey::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
        assert_eq!(zeros.bytes.expose(), &[0; 32]);
        let short = "A".repeat(40);
        for wrong in ["", "hello", "hunter2hunter2", "AAA=", &format!("{text}AAAA"), &"!".repeat(44), &short]
        {
            assert_eq!(SealKey::parse(wrong).err(), Some(SealKeyError::Form), "{wrong:?}");
        }
    }

    #[test]
    fn a_record_is_clear_in_its_place_with_its_key_only() {
        let (old, new) = (SealKey::generate().unwrap(), SealKey::generate().unwrap());
        let sealing = Sealing::new(old.clone(), Vec::new());
        let record = b"\x01{\"password\":\"hunter2\"}";
        let sealed = sealing.seal("objects", b"secrets/a", record).unwrap();
        assert!(is_sealed(&sealed) && !is_sealed(record));
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        assert_ne!(sealed, sealing.seal("objects", b"secrets/a", record).unwrap(), "never twice the same");
        let check = |sealing: &Sealing, table: &str, key: &[u8], sealed: &[u8], clear: bool| {
            let unsealed = sealing.unseal(table, key, sealed);
            assert_eq!(unsealed.as_deref(), clear.then_some(&record[..]));
        };
        check(&sealing, "objects", b"secrets/a", &sealed, true);
        check(&sealing, "objects", b"secrets/b", &sealed, false);
        check(&sealing, "others", b"secrets/a", &sealed, false);
        check(&Sealing::new(new.clone(), Vec::new()), "objects", b"secrets/a", &sealed, false);
        check(&Sealing::new(new, vec![old]), "objects", b"secrets/a", &sealed, true);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            check(&sealing, "objects", b"secrets/a", &changed, false);
            check(&sealing, "objects", b"secrets/a", &sealed[..at], false);
        }
    }
}
