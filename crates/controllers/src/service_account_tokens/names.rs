//! Names of the secrets of service accounts: `<account>-<purpose>-xxxxx` (platform 4.2).
//!
//! The five characters come from the account's uid and resource version, not from chance: a run that is cut off
//! after making a secret is repeated with the same name and finds it. They differ after every change of the
//! account, so a secret that was deleted is followed by one of another name.

use std::fmt::Write;

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const SUFFIX: usize = 5;
const LONGEST: usize = 63;

/// What a secret is for, as its name says.
pub(super) const TOKEN: &str = "token";
pub(super) const PULL_SECRET: &str = "dockercfg";

/// The name up to the last hyphen. A long account name is cut, and a hash keeps it apart from others.
fn stem(account: &str, purpose: &str) -> String {
    let room = LONGEST - SUFFIX - 1 - purpose.len() - 1;
    if account.len() <= room {
        return format!("{account}-{purpose}");
    }
    let hash = Sha256::digest(account);
    let mut short: String = account.chars().take(room - 9).collect();
    short.push('-');
    for byte in hash.iter().take(4) {
        write!(short, "{byte:02x}").expect("a String takes everything");
    }
    format!("{short}-{purpose}")
}

/// The name of the next secret of an account. `nth` tells apart those made from one state of the account.
pub(super) fn next(account: &str, (uid, version): (&str, &str), purpose: &str, nth: u8) -> String {
    let hash = Sha256::digest(format!("{uid}\n{version}\n{purpose}\n{nth}"));
    let suffix =
        hash.iter().take(SUFFIX).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
    let mut name = stem(account, purpose);
    name.push('-');
    name.extend(suffix);
    name
}

/// Whether a name is one that [`next`] could have made.
pub(super) fn is_ours(name: &str, account: &str, purpose: &str) -> bool {
    let suffix = name.strip_prefix(&stem(account, purpose)).and_then(|rest| rest.strip_prefix('-'));
    suffix.is_some_and(|suffix| suffix.len() == SUFFIX && suffix.bytes().all(|byte| ALPHABET.contains(&byte)))
}

#[cfg(test)]
mod tests {
    use super::{PULL_SECRET, TOKEN, is_ours, next};

    #[test]
    fn names_follow_the_state_of_the_account() {
        let first = next("pusher", ("u", "1"), TOKEN, 0);
        assert_eq!(first, next("pusher", ("u", "1"), TOKEN, 0));
        assert!(is_ours(&first, "pusher", TOKEN), "{first}");
        for other in [next("pusher", ("u", "2"), TOKEN, 0), next("pusher", ("u", "1"), TOKEN, 1)] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn long_accounts_stay_apart_and_short_enough() {
        let long = "x".repeat(70);
        let longer = "x".repeat(71);
        let (a, b) = (next(&long, ("u", "1"), PULL_SECRET, 0), next(&longer, ("u", "1"), PULL_SECRET, 0));
        assert_eq!((a.len(), b.len()), (63, 63));
        assert_ne!(a, b);
        assert!(is_ours(&a, &long, PULL_SECRET) && !is_ours(&a, &longer, PULL_SECRET));
    }

    #[test]
    fn only_such_names_are_ours() {
        assert!(is_ours("pusher-token-98rix", "pusher", TOKEN));
        for other in
            ["pusher-token-98ri", "pusher-token-98riX", "pusher-dockercfg-98rix", "other-token-98rix"]
        {
            assert!(!is_ours(other, "pusher", TOKEN), "{other}");
        }
    }
}
