//! Hashing of content that arrives in pieces, over connections and restarts.
//!
//! Owns the saved form of a hash in progress. What the saved state belongs to, and that the bytes before it
//! are still there, is for the caller to know.

use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256, Sha512};

use crate::digest::{Algorithm, Digest};

/// A hash in progress. Its state can be saved and continued by another process.
///
/// ```
/// use pierhead_oci::{Algorithm, Digest, Hasher};
///
/// let mut first = Hasher::new(Algorithm::Sha256);
/// first.update(b"hello ");
/// let saved = first.state();
///
/// let mut second = Hasher::resume(Algorithm::Sha256, &saved)?;
/// second.update(b"world");
/// assert_eq!(second.finish(), Digest::sha256(b"hello world"));
/// # Ok::<(), pierhead_oci::CorruptHasherState>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// A hash of nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Which function this is.
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Appends `content` to what is hashed.
    pub fn update(&mut self, content: &[u8]) {
        match &mut self.0 {
            State::Sha256(hasher) => hasher.update(content),
            State::Sha512(hasher) => hasher.update(content),
        }
    }

    /// Ends the hash.
    pub fn finish(self) -> Digest {
        let digest = match self.0 {
            State::Sha256(hasher) => Digest::from_hash(Algorithm::Sha256, &hasher.finalize()),
            State::Sha512(hasher) => Digest::from_hash(Algorithm::Sha512, &hasher.finalize()),
        };
        digest.expect("each function makes hashes of its own length")
    }

    /// The state so far, for [`Hasher::resume`]. A hundred bytes or two; it reveals the end of the content.
    pub fn state(&self) -> Vec<u8> {
        match &self.0 {
            State::Sha256(hasher) => hasher.serialize().to_vec(),
            State::Sha512(hasher) => hasher.serialize().to_vec(),
        }
    }

    /// Continues from a saved state. A state of the other algorithm, or cut short, is an error.
    pub fn resume(algorithm: Algorithm, state: &[u8]) -> Result<Self, CorruptHasherState> {
        let resumed = match algorithm {
            Algorithm::Sha256 => deserialize(state).map(State::Sha256),
            Algorithm::Sha512 => deserialize(state).map(State::Sha512),
        };
        resumed.map(Self).ok_or(CorruptHasherState { algorithm, length: state.len() })
    }
}

fn deserialize<H: SerializableState>(state: &[u8]) -> Option<H> {
    let state = state.try_into().ok()?;
    H::deserialize(state).ok()
}

/// Bytes are not a saved state of the algorithm named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes are not the saved state of a {algorithm} hash")]
pub struct CorruptHasherState {
    algorithm: Algorithm,
    length: usize,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::{Algorithm, Digest, Hasher};

    #[test]
    fn refuses_states_of_others() {
        let wide = Hasher::new(Algorithm::Sha512).state();
        let error = Hasher::resume(Algorithm::Sha256, &wide).unwrap_err().to_string();
        assert_eq!(error, format!("{} bytes are not the saved state of a sha256 hash", wide.len()));
        assert!(Hasher::resume(Algorithm::Sha256, &[]).is_err());
    }

    proptest! {
        #[test]
        fn a_pause_changes_nothing(before: Vec<u8>, after: Vec<u8>, wide: bool) {
            let algorithm = if wide { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&before);
            let mut hasher = Hasher::resume(algorithm, &hasher.state()).unwrap();
            hasher.update(&after);
            prop_assert_eq!(hasher.finish(), Digest::of(algorithm, &[before, after].concat()));
        }
    }
}
