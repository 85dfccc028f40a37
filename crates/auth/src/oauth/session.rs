//! Sessions of the login pages, sealed into a cookie's value.
//!
//! The server keeps nothing per session. The key lives as long as the process: a restart ends all sessions.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::User;

/// What a sealed value is for, so that one kind cannot be used as another.
const PURPOSE: &[u8] = b"pierhead login session 1";
/// How long one stays logged in to the pages.
const SESSION_LIFE: SignedDuration = SignedDuration::from_mins(5);
const NONCE_BYTES: usize = 12;

/// Somebody's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who logged in.
    pub user: User,
    /// Until when it counts.
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    name: String,
    uid: String,
    end: i64,
}

/// Seals and opens sessions.
pub struct SessionKey {
    key: RandomizedNonceKey,
}

impl SessionKey {
    /// A new random key.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes)
            .expect("the system's random generator, without which nothing is safe");
        Self { key: RandomizedNonceKey::new(&AES_256_GCM, &bytes).expect("AES-256 takes 32 bytes") }
    }

    /// The cookie value of a session that begins now.
    pub fn seal(&self, user: &User, now: Timestamp) -> String {
        let end = now.saturating_add(SESSION_LIFE).unwrap_or(now).as_second();
        let sealed = Sealed { name: user.name.clone(), uid: user.uid.clone(), end };
        self.seal_bytes(PURPOSE, serde_json::to_vec(&sealed).expect("a struct of strings is always JSON"))
    }

    /// The session of a cookie value; `None` if it is not ours, was changed, or is over.
    pub fn open(&self, value: &str, now: Timestamp) -> Option<Session> {
        let Sealed { name, uid, end } = serde_json::from_slice(&self.open_bytes(PURPOSE, value)?).ok()?;
        let expires_at = Timestamp::from_second(end).ok()?;
        (now < expires_at).then_some(Session { user: User { name, uid }, expires_at })
    }

    /// Seals anything for one purpose; what is sealed for one cannot be opened for another.
    pub(crate) fn seal_bytes(&self, purpose: &[u8], mut bytes: Vec<u8>) -> String {
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(purpose), &mut bytes)
            .expect("what goes into a cookie is far below the cipher's limit");
        let mut value = nonce.as_ref().to_vec();
        value.extend(bytes);
        BASE64_URL_SAFE_NO_PAD.encode(value)
    }

    /// What was sealed for the purpose by this key.
    pub(crate) fn open_bytes(&self, purpose: &[u8], value: &str) -> Option<Vec<u8>> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(value).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(purpose), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{SessionKey, User};

    #[test]
    fn a_session_is_opened_by_its_key_in_its_time_only() {
        let user = User { name: "dev".into(), uid: "1".into() };
        let (key, now) = (SessionKey::random(), Timestamp::UNIX_EPOCH);
        let value = key.seal(&user, now);
        assert!(!value.contains("dev"));
        assert_eq!(key.open(&value, now).map(|session| session.user), Some(user));
        assert_eq!(key.open(&value, now + SignedDuration::from_mins(5)), None);
        assert_eq!(SessionKey::random().open(&value, now), None);
        for at in 0..value.len() {
            let mut bytes = value.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(key.open(&changed, now), None, "character {at}");
        }
    }
}
