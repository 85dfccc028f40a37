//! Apache's `htpasswd` files: names with bcrypt, apr1 or SHA-1 hashes.
//!
//! Plain text and DES crypt are not accepted, whatever the file says.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::Md5;
use sha1::Sha1;
use sha1::digest::Digest as _;
use subtle::ConstantTimeEq as _;

/// What bcrypt looks at; the rest of a longer password would not count, so such a password is refused.
const BCRYPT_MAX_BYTES: usize = 72;
const APR1: &str = "$apr1$";

/// The entries of a file, replaceable while in use. Clones share them.
#[derive(Clone, Debug)]
pub struct Htpasswd {
    entries: Arc<ArcSwap<Entries>>,
}

impl Htpasswd {
    /// Reads the content of a file. Lines without a name and a hash, and comments, are left out; of two lines for
    /// one name the first counts, as in Apache.
    pub fn parse(content: &str) -> Self {
        Self { entries: Arc::new(ArcSwap::from_pointee(Entries::parse(content))) }
    }

    /// Puts the content of the changed file in place of the old one, at once.
    pub fn replace(&self, content: &str) {
        self.entries.store(Arc::new(Entries::parse(content)));
    }

    /// How many names it has.
    pub fn len(&self) -> usize {
        self.entries.load().hashes.len()
    }

    /// Whether it has no name.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn entries(&self) -> Guard<Arc<Entries>> {
        self.entries.load()
    }
}

pub(super) struct Entries {
    hashes: HashMap<String, String>,
    /// Some entry's hash: what an unknown name is verified against, so that it takes as long as a known one.
    decoy: Option<String>,
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} entries", self.hashes.len())
    }
}

impl Entries {
    fn parse(content: &str) -> Self {
        let mut hashes = HashMap::new();
        let mut decoy = None;
        for line in content.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let Some((name, hash)) = line.split_once(':') else { continue };
            // Further fields, if any, are comments.
            let hash = hash.split(':').next().unwrap_or_default();
            if name.is_empty() || hash.is_empty() {
                continue;
            }
            decoy.get_or_insert_with(|| hash.to_owned());
            hashes.entry(name.to_owned()).or_insert_with(|| hash.to_owned());
        }
        Self { hashes, decoy }
    }

    pub(super) fn hash_of(&self, name: &str) -> Option<&str> {
        self.hashes.get(name).map(String::as_str)
    }

    /// Does the work of a verification whose answer is no.
    pub(super) fn verify_nobody(&self, password: &str) {
        if let Some(decoy) = &self.decoy {
            std::hint::black_box(verify(password, decoy));
        }
    }
}

/// Whether `password` has this hash. Unknown kinds of hashes match nothing.
pub(super) fn verify(password: &str, hash: &str) -> bool {
    if ["$2y$", "$2a$", "$2b$"].iter().any(|prefix| hash.starts_with(prefix)) {
        return password.len() <= BCRYPT_MAX_BYTES
            && !password.contains('\0')
            && bcrypt::verify(password, hash).unwrap_or(false);
    }
    if let Some(rest) = hash.strip_prefix(APR1) {
        return rest.split_once('$').is_some_and(|(salt, digest)| {
            apr1(password.as_bytes(), salt.as_bytes()).as_bytes().ct_eq(digest.as_bytes()).into()
        });
    }
    if let Some(digest) = hash.strip_prefix("{SHA}") {
        let expected = BASE64_STANDARD.encode(Sha1::digest(password));
        return expected.as_bytes().ct_eq(digest.as_bytes()).into();
    }
    false
}

/// Apache's variant of MD5-crypt: a thousand rounds over password and salt.
fn apr1(password: &[u8], salt: &[u8]) -> String {
    let salt = salt.get(..8).unwrap_or(salt);
    let mut inner = Md5::new();
    inner.update(password);
    inner.update(salt);
    inner.update(password);
    let inner = inner.finalize();

    let mut outer = Md5::new();
    outer.update(password);
    outer.update(APR1);
    outer.update(salt);
    for chunk in password.chunks(inner.len()) {
        outer.update(inner.get(..chunk.len()).unwrap_or(&inner));
    }
    let mut length = password.len();
    while length > 0 {
        outer.update(if length % 2 == 1 { [0] } else { [password.first().copied().unwrap_or(0)] });
        length /= 2;
    }
    let mut digest = outer.finalize();

    for round in 0..1_000 {
        let mut hasher = Md5::new();
        let odd = round % 2 == 1;
        hasher.update(if odd { password } else { &digest });
        if round % 3 != 0 {
            hasher.update(salt);
        }
        if round % 7 != 0 {
            hasher.update(password);
        }
        hasher.update(if odd { &digest } else { password });
        digest = hasher.finalize();
    }
    encode(&digest.into())
}

/// MD5-crypt's own order of bytes and its own base64.
fn encode(digest: &[u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut text = String::with_capacity(22);
    let mut push = |mut value: usize, letters: usize| {
        for _ in 0..letters {
            text.push(char::from(ALPHABET[value % 64]));
            value /= 64;
        }
    };
    for [high, middle, low] in ORDER {
        let byte = |at: usize| usize::from(digest[at]);
        push((byte(high) << 16) | (byte(middle) << 8) | byte(low), 4);
    }
    push(usize::from(digest[11]), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::{Entries, verify};

    /// Made with `openssl passwd -apr1`.
    const APR1_ROWS: [(&str, &str); 4] = [
        ("secret", "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/"),
        ("secret", "$apr1$xy$94JxxwMvxqQwA3Iid6OL9."),
        ("a much longer password than sixteen bytes", "$apr1$xy$KWmjAYxMqmqTjytotPjDu."),
        ("x", "$apr1$abcdefgh$82JubPF2dQkt1tVfvLnXS."),
    ];

    #[test]
    fn verifies_each_kind_of_hash() {
        let check = |password: &str, hash: &str, expected: bool| {
            assert_eq!(verify(password, hash), expected, "{password:?} {hash}");
        };
        APR1_ROWS.iter().for_each(|(password, hash)| {
            check(password, hash, true);
            check(&format!("{password}x"), hash, false);
        });
        check("password", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", true);
        check("Password", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", false);
        let bcrypt = bcrypt::hash("secret", 4).unwrap();
        check("secret", &bcrypt, true);
        check("secre", &bcrypt, false);
        check("secret", &bcrypt.replacen("$2b$", "$2y$", 1), true);
        check("secret", "$2y$04$short", false);
        check("plain", "plain", false);
        check("", "", false);
    }

    #[test]
    fn bcrypt_does_not_ignore_the_end_of_a_long_password() {
        let long = "a".repeat(72);
        let hash = bcrypt::hash(&long, 4).unwrap();
        assert!(verify(&long, &hash));
        assert!(!verify(&format!("{long}b"), &hash), "bcrypt itself would accept this");
    }

    #[test]
    fn reads_lines_of_a_file() {
        let entries = Entries::parse("# users\n\ndev:{SHA}a\n:{SHA}b\nbob\ndev:{SHA}c\nann:{SHA}d:comment\n");
        assert_eq!(entries.hash_of("dev"), Some("{SHA}a"));
        assert_eq!(entries.hash_of("ann"), Some("{SHA}d"));
        assert_eq!(entries.hash_of("bob"), None);
        assert_eq!(entries.hashes.len(), 2);
    }
}
