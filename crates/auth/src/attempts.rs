//! How many wrong passwords are taken before further ones are refused unread (reliability 7-E, E10; 8).
//!
//! Owns three counts: of an account at an address, of an address, and of an account at all addresses together. Only
//! failures count, so that the right password is never what locks somebody out, and tokens do not come by here.
//! Whoever guesses at one address holds up nobody at another; where an account has logged in before, the guesses at
//! all other addresses do not count. Names that nobody has are counted like others, so a refusal says nothing about
//! who exists. Counts are stored: a restart does not begin them anew.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use pierhead_store::{KeyRange, ReadTx, StoreError, Table, TableName, WriteTx, first_version};
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::federation::TAKEN;
use crate::service_account::sha256;

/// Counts in memory at most; one is 40 bytes.
const MOST_COUNTS: usize = 65_536;
/// Rows looked at in one transaction while sweeping.
const SWEEP_PAGE: usize = 500;
/// How many places where somebody logged in are remembered, and for how long.
const KNOWN_PLACES: usize = 4_096;
const KNOWN_FOR: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Attempts that are looked at at a time: fewer than are taken of one account at one address, since each counts as
/// failed until it is known to be right.
pub(crate) const AT_A_TIME: usize = 8;

/// An account at one address: ten, and then ten a minute.
const ACCOUNT_AT_ADDRESS: Rate = Rate { most: 10, every: SignedDuration::from_secs(6) };
/// An address, whatever the account: as many as ten people who forgot their passwords need.
const ADDRESS: Rate = Rate { most: 100, every: SignedDuration::from_millis(600) };
/// An account at addresses where it never logged in: so many that one of them alone does not get there.
const ACCOUNT: Rate = Rate { most: 100, every: SignedDuration::from_millis(600) };

/// What was counted when the store was closed, by a hash of account and address.
pub(crate) static WRONG_PASSWORDS: Table<Vec<u8>, StoredCount> = Table::silent("wrong_passwords");

/// The tables of this crate, for opening the store.
pub fn tables() -> Vec<TableName> {
    vec![WRONG_PASSWORDS.name(), TAKEN.name()]
}

/// A count as the store has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredCount {
    forgotten_at: Timestamp,
}

first_version!(StoredCount);

/// So many at once, and one more after each `every`.
#[derive(Clone, Copy)]
struct Rate {
    most: i32,
    every: SignedDuration,
}

impl Rate {
    /// How long until one more is taken, if that is not now.
    fn wait(self, forgotten_at: Timestamp, now: Timestamp) -> Option<SignedDuration> {
        let counted = forgotten_at.duration_since(now).min(self.every * self.most);
        let wait = counted - self.every * (self.most - 1);
        wait.is_positive().then_some(wait)
    }
}

/// Too many were wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// In whole seconds, one at least.
    pub(crate) retry_after_s: u64,
}

/// The name of a count: a hash, because names may be long and should not be stored a second time.
type CountKey = [u8; 16];

/// One attempt, as it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    here: CountKey,
    address: CountKey,
    account: CountKey,
}

impl Attempt {
    /// An attempt to log in as `account`, however it is spelt: most servers elsewhere take `ANN` for `ann`. Attempts
    /// without an address count as coming from one place.
    pub(crate) fn new(account: &str, address: Option<IpAddr>) -> Self {
        let account = account.trim().to_lowercase();
        let account = account.as_str();
        let place = place(address);
        Self {
            here: count_key(b"here", &place, account),
            address: count_key(b"address", &place, ""),
            account: count_key(b"account", &[], account),
        }
    }

    fn counts(&self) -> [(CountKey, Rate); 3] {
        [(self.here, ACCOUNT_AT_ADDRESS), (self.address, ADDRESS), (self.account, ACCOUNT)]
    }
}

/// What counts as one sender: an address, or the network of an IPv6 address, because whoever has one of it has all.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

fn place(address: Option<IpAddr>) -> Vec<u8> {
    match address.map(network) {
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => address.octets().into_iter().take(8).collect(),
        None => Vec::new(),
    }
}

fn count_key(kind: &[u8], place: &[u8], account: &str) -> CountKey {
    let separator: &[u8] = &[0];
    let length = [u8::try_from(place.len()).unwrap_or(u8::MAX)];
    let hash = sha256(&[kind, separator, &length, place, account.as_bytes()].concat());
    let (key, _) = hash.split_first_chunk().expect("a hash of SHA-256 has 32 bytes");
    *key
}

/// The counts of all accounts and addresses.
pub(crate) struct Attempts {
    /// When each count will be forgotten, if nothing is added: every failure puts that off by its rate.
    forgotten_at: Mutex<HashMap<CountKey, Timestamp>>,
    /// Where which account logged in, and until when that counts.
    known: Cache<CountKey, Timestamp>,
}

impl Attempts {
    /// Goes on counting where the store left off.
    pub(crate) fn open(tx: &ReadTx<'_>, now: Timestamp) -> Result<Self, StoreError> {
        let mut counts = HashMap::new();
        let mut range = KeyRange::all();
        loop {
            let page = tx.scan(&WRONG_PASSWORDS, &range, SWEEP_PAGE)?;
            let Some((last, _)) = page.last() else { break };
            range = KeyRange::all().after(last);
            for (key, StoredCount { forgotten_at }) in page {
                if let Ok(key) = key.try_into()
                    && forgotten_at > now
                    && counts.len() < MOST_COUNTS
                {
                    counts.insert(key, forgotten_at);
                }
            }
        }
        Ok(Self { forgotten_at: Mutex::new(counts), known: Cache::new(KNOWN_PLACES) })
    }

    /// Whether a password would be looked at.
    pub(crate) fn check(&self, attempt: &Attempt, now: Timestamp) -> Result<(), TooMany> {
        let is_known = self.is_known(attempt, now);
        allowed(&self.forgotten_at.lock(), attempt, is_known, now)
    }

    /// Counts an attempt as failed before its password is looked at, so that many at once are not more than one after
    /// the other.
    pub(crate) fn begin(&self, attempt: &Attempt, now: Timestamp) -> Result<(), TooMany> {
        let is_known = self.is_known(attempt, now);
        let mut counts = self.forgotten_at.lock();
        allowed(&counts, attempt, is_known, now)?;
        make_room(&mut counts, now);
        for (key, Rate { most, every }) in attempt.counts() {
            let forgotten_at = counts.entry(key).or_insert(now);
            // A clock that was set back must not lock anybody out for longer than the rate says.
            let counted = forgotten_at.duration_since(now).max(SignedDuration::ZERO) + every;
            *forgotten_at = now.saturating_add(counted.min(every * most)).unwrap_or(now);
        }
        Ok(())
    }

    /// The password was right: the attempt does not count, and the account is known at the address from now on.
    pub(crate) fn succeed(&self, attempt: &Attempt, now: Timestamp) {
        let until = now.saturating_add(KNOWN_FOR).unwrap_or(now);
        self.known.put(self.known.hash(attempt.here), 0, attempt.here, until);
        self.withdraw(attempt, now);
    }

    /// Nobody could say whether the password was wrong: the attempt does not count.
    pub(crate) fn withdraw(&self, attempt: &Attempt, now: Timestamp) {
        let mut counts = self.forgotten_at.lock();
        for (key, Rate { every, .. }) in attempt.counts() {
            let Some(forgotten_at) = counts.get_mut(&key) else { continue };
            *forgotten_at = forgotten_at.saturating_sub(every).unwrap_or(now);
            if *forgotten_at <= now {
                counts.remove(&key);
            }
        }
    }

    /// Stores the newest counts that an attempt belongs to.
    pub(crate) fn store(&self, tx: &mut WriteTx<'_>, attempt: &Attempt) -> Result<(), StoreError> {
        for (key, _) in attempt.counts() {
            let forgotten_at = self.forgotten_at.lock().get(&key).copied();
            if let Some(forgotten_at) = forgotten_at {
                tx.put(&WRONG_PASSWORDS, &key.to_vec(), &StoredCount { forgotten_at })?;
            }
        }
        Ok(())
    }

    fn is_known(&self, attempt: &Attempt, now: Timestamp) -> bool {
        let until = self.known.get(self.known.hash(attempt.here), 0, |key, _| *key == attempt.here);
        until.is_some_and(|until| now < until)
    }
}

/// Removes stored counts that are over from one page after `after`; answers how many and where to go on.
pub(crate) fn sweep_page(
    tx: &mut WriteTx<'_>,
    after: Option<&Vec<u8>>,
    now: Timestamp,
) -> Result<(usize, Option<Vec<u8>>), StoreError> {
    let range = after.map_or_else(KeyRange::all, |after| KeyRange::all().after(after));
    let page = tx.scan(&WRONG_PASSWORDS, &range, SWEEP_PAGE)?;
    let next = page.last().filter(|_| page.len() == SWEEP_PAGE).map(|(key, _)| key.clone());
    let mut deleted = 0;
    for (key, StoredCount { forgotten_at }) in page {
        if forgotten_at <= now {
            tx.delete(&WRONG_PASSWORDS, &key)?;
            deleted += 1;
        }
    }
    Ok((deleted, next))
}

fn allowed(
    counts: &HashMap<CountKey, Timestamp>,
    attempt: &Attempt,
    is_known: bool,
    now: Timestamp,
) -> Result<(), TooMany> {
    let waits = attempt.counts().into_iter().filter(|(key, _)| !(is_known && *key == attempt.account));
    let longest = waits.filter_map(|(key, rate)| rate.wait(*counts.get(&key)?, now)).max();
    match longest {
        None => Ok(()),
        Some(wait) => {
            let whole = wait.as_secs() + i64::from(wait.subsec_nanos() > 0);
            Err(TooMany { retry_after_s: u64::try_from(whole).unwrap_or(1).max(1) })
        }
    }
}

/// Keeps the counts within their bound. Those that are over go first, then those with the fewest failures: whoever
/// fills the memory with new names must not make it forget the ones that are guessed at.
fn make_room(counts: &mut HashMap<CountKey, Timestamp>, now: Timestamp) {
    if counts.len() + 3 <= MOST_COUNTS {
        return;
    }
    counts.retain(|_, forgotten_at| *forgotten_at > now);
    if counts.len() + 3 <= MOST_COUNTS * 3 / 4 {
        return;
    }
    let mut times: Vec<Timestamp> = counts.values().copied().collect();
    let (_, middle, _) = times.select_nth_unstable(MOST_COUNTS / 2);
    let middle = *middle;
    counts.retain(|_, forgotten_at| *forgotten_at > middle);
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use jiff::{SignedDuration, Timestamp};
    use pierhead_runtime::{Clock as _, ManualClock};
    use pierhead_store::Store;

    use super::{AT_A_TIME, Attempt, Attempts, MOST_COUNTS, TooMany};

    fn attempts() -> Attempts {
        let store = Store::memory(ManualClock::default().shared());
        store.read(|tx| Attempts::open(tx, Timestamp::UNIX_EPOCH)).unwrap()
    }

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    fn v4(last: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + last)))
    }

    /// How many of `tries` wrong passwords are looked at, at this time.
    fn taken(attempts: &Attempts, account: &str, address: Option<IpAddr>, time: i64, tries: u32) -> u32 {
        let attempt = Attempt::new(account, address);
        (0..tries).map(|_| u32::from(attempts.begin(&attempt, at(time)).is_ok())).sum()
    }

    #[test]
    fn ten_are_taken_and_then_one_each_six_seconds() {
        let attempts = attempts();
        let check = |time: i64, tries: u32, expected: u32| {
            assert_eq!(taken(&attempts, "dev", v4(1), time, tries), expected, "at {time} ms");
        };
        check(0, 30, 10);
        check(5_999, 5, 0);
        check(6_000, 5, 1);
        check(6_001, 5, 0);
        check(18_000, 5, 2);
        check(600_000, 30, 10);
        let refused = attempts.check(&Attempt::new("dev", v4(1)), at(600_000));
        assert_eq!(refused, Err(TooMany { retry_after_s: 6 }));
        let refused = attempts.check(&Attempt::new("dev", v4(1)), at(605_999));
        assert_eq!(refused, Err(TooMany { retry_after_s: 1 }));
    }

    #[test]
    fn one_spelling_and_one_network_are_one_count() {
        let attempts = attempts();
        let network = |last: u16| Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last)));
        let mapped = Some(IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped()));
        assert_eq!(taken(&attempts, "dev", v4(1), 0, 6), 6);
        assert_eq!(
            taken(&attempts, " Dev ", mapped, 0, 6),
            4,
            "blanks, case and a mapped address change nothing"
        );
        assert_eq!(taken(&attempts, "ann", network(1), 0, 6), 6);
        assert_eq!(taken(&attempts, "ann", network(2), 0, 6), 4, "the same network");
        assert_eq!(taken(&attempts, "dev", None, 0, 20), 10, "no address is one place");
    }

    #[test]
    fn guesses_at_one_address_lock_nobody_out_at_another() {
        let attempts = attempts();
        assert_eq!(taken(&attempts, "dev", v4(1), 0, 1_000), 10);
        assert_eq!(taken(&attempts, "dev", v4(2), 0, 1), 1);
        assert_eq!(taken(&attempts, "ann", v4(1), 0, 1), 1, "another account at the guesser's address");
        // One address tries a common password on every account.
        let sprayed: u32 = (0..500).map(|n| taken(&attempts, &format!("user{n}"), v4(3), 0, 1)).sum();
        assert_eq!(sprayed, 100);
    }

    #[test]
    fn where_somebody_logged_in_they_can_again() {
        let attempts = attempts();
        let home = Attempt::new("dev", v4(1));
        attempts.begin(&home, at(0)).unwrap();
        attempts.succeed(&home, at(0));
        let guessed: u32 = (10..1_000).map(|address| taken(&attempts, "dev", v4(address), 0, 10)).sum();
        assert_eq!(guessed, 100, "many addresses together");
        assert!(attempts.check(&Attempt::new("dev", v4(2)), at(0)).is_err());
        attempts.check(&home, at(0)).unwrap();
        let later = 8 * 24 * 3_600_000;
        assert_eq!(
            (10..1_000).map(|address| taken(&attempts, "dev", v4(address), later, 10)).sum::<u32>(),
            100
        );
        assert!(attempts.check(&home, at(later)).is_err(), "it was long ago");
    }

    #[test]
    fn the_right_password_does_not_count() {
        let attempts = attempts();
        let attempt = Attempt::new("robot", v4(1));
        for _ in 0..1_000 {
            attempts.begin(&attempt, at(0)).unwrap();
            attempts.succeed(&attempt, at(0));
        }
        assert_eq!(taken(&attempts, "robot", v4(1), 0, 30), 10);
    }

    #[test]
    fn right_passwords_at_the_same_time_do_not_lock_out() {
        let attempts = attempts();
        let attempt = Attempt::new("robot", v4(1));
        let most = u32::try_from(AT_A_TIME).unwrap();
        for _ in 0..100 {
            assert_eq!(taken(&attempts, "robot", v4(1), 0, most), most);
            (0..most).for_each(|_| attempts.succeed(&attempt, at(0)));
        }
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out_for_long() {
        let attempts = attempts();
        assert_eq!(taken(&attempts, "dev", v4(1), 3_600_000, 30), 10);
        assert_eq!(taken(&attempts, "dev", v4(1), 0, 30), 0);
        let refused = attempts.check(&Attempt::new("dev", v4(1)), at(0));
        assert_eq!(refused, Err(TooMany { retry_after_s: 6 }));
    }

    /// A million attempts from a thousand addresses within an hour, on accounts of all names and on one.
    #[test]
    fn a_million_attempts_take_no_more_memory_and_get_no_further() {
        let attempts = attempts();
        let clock = ManualClock::new(at(0));
        let mut at_victim = 0;
        for n in 0..1_000_000_u32 {
            clock.advance(SignedDuration::from_micros(3_600));
            let now = clock.now();
            let name = if n % 2 == 0 { "victim".to_owned() } else { format!("noise{n}") };
            if attempts.begin(&Attempt::new(&name, v4(n % 1_000)), now).is_ok() && n % 2 == 0 {
                at_victim += 1;
            }
        }
        assert!(at_victim <= 100 + 3_600_000 / 600, "{at_victim}");
        assert!(attempts.forgotten_at.lock().len() <= MOST_COUNTS);
    }
}
