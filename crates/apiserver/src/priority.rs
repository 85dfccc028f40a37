//! Whose request is answered when there are more than can be: turns, and when to come again.
//!
//! Owns how many requests are worked on at once, in all and of one user, who waits, and who is told 429. Users get turns
//! one after the other, however many requests each of them has. A body arrives before the turn, so that nobody holds
//! one by sending slowly; what it takes up is counted instead. Watches, followed logs and imports are counted for
//! themselves: they take a turn to begin and then wait for others. Health, and what administrators and parts of this
//! server ask, is never kept waiting: that is who ends a flood.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pierhead_api::meta::Status;
use tokio::sync::oneshot;

use crate::error::ApiError;

/// Seconds after which somebody who was sent away is to come again.
const COME_AGAIN: u32 = 1;

/// What a body is counted as while less than that of it is there: the request takes room too.
const LEAST_HELD: usize = 16 << 10;

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Requests of all users.
    pub running: usize,
    /// Requests of one user.
    pub running_per_user: usize,
    /// Requests of one user that wait for their turn.
    pub waiting_per_user: usize,
    /// How long a request waits.
    pub wait: Duration,
    /// Watches, followed logs and imports of one user.
    pub streams_per_user: usize,
    /// Bytes of bodies, of those that arrive, wait and are worked on. No user gets more of them than are left for all
    /// others: one gets half, two a third each, and there is always room for somebody new.
    pub body_bytes: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            running: 400,
            running_per_user: 100,
            waiting_per_user: 400,
            wait: Duration::from_secs(15),
            streams_per_user: 5_000,
            body_bytes: 128 << 20,
        }
    }
}

/// Gives turns. Clones give the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    limits: RequestLimits,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    /// Bytes of bodies.
    held: usize,
    users: HashMap<String, User>,
    /// Users with requests that wait, in the order of their turns; each once.
    turns: VecDeque<String>,
}

#[derive(Debug, Default)]
struct User {
    running: usize,
    streams: usize,
    held: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

impl User {
    fn is_idle(&self) -> bool {
        self.running == 0 && self.streams == 0 && self.held == 0 && self.waiting.is_empty()
    }
}

/// A request that is worked on, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    gate: Gate,
    user: String,
}

/// The turn of a request that may not keep it to its end; empty for those who need none. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct TurnSlot(Arc<Mutex<Option<Turn>>>);

impl TurnSlot {
    /// Lets the next one have it, where that was not done yet.
    pub(crate) fn give_back(&self) {
        let turn = self.0.lock().take();
        drop(turn);
    }
}

impl From<Turn> for TurnSlot {
    fn from(turn: Turn) -> Self {
        Self(Arc::new(Mutex::new(Some(turn))))
    }
}

/// Room for a body, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    gate: Gate,
    user: String,
    bytes: usize,
}

impl Held {
    /// Makes room for a body of so many bytes in all; 429 when there is too little left.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), ApiError> {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else { return Ok(()) };
        let mut state = self.gate.state.lock();
        let left = self.gate.limits.body_bytes.saturating_sub(state.held);
        let user = state.users.entry(self.user.clone()).or_default();
        if user.held + more > left.saturating_sub(more) {
            return Err(come_again());
        }
        user.held += more;
        state.held += more;
        self.bytes = bytes;
        Ok(())
    }
}

/// A watch that goes on, until it is dropped.
#[derive(Debug)]
pub(crate) struct StreamTurn {
    gate: Gate,
    user: String,
}

impl Gate {
    /// A gate with these limits.
    pub(crate) fn new(limits: RequestLimits) -> Self {
        Self { limits, state: Arc::default() }
    }

    /// Waits for a turn of `user`; 429 when there are too many before, or it takes too long.
    pub(crate) async fn enter(&self, user: &str) -> Result<Turn, ApiError> {
        let granted = {
            let mut state = self.state.lock();
            let is_room = state.running < self.limits.running && state.turns.is_empty();
            let entry = state.users.entry(user.to_owned()).or_default();
            if entry.running < self.limits.running_per_user && is_room && entry.waiting.is_empty() {
                entry.running += 1;
                state.running += 1;
                return Ok(Turn { gate: self.clone(), user: user.to_owned() });
            }
            if entry.waiting.len() >= self.limits.waiting_per_user {
                entry.waiting.retain(|waiting| !waiting.is_closed());
            }
            if entry.waiting.len() >= self.limits.waiting_per_user {
                return Err(come_again());
            }
            let (grant, granted) = oneshot::channel();
            let is_first = entry.waiting.is_empty();
            entry.waiting.push_back(grant);
            if is_first {
                state.turns.push_back(user.to_owned());
            }
            granted
        };
        // There may be room for this one although others wait who have had all of theirs.
        self.give_turns();
        match tokio::time::timeout(self.limits.wait, granted).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(come_again()),
        }
    }

    /// Counts a watch of `user`; 429 when there are too many.
    pub(crate) fn stream(&self, user: &str) -> Result<StreamTurn, ApiError> {
        let mut state = self.state.lock();
        let entry = state.users.entry(user.to_owned()).or_default();
        if entry.streams >= self.limits.streams_per_user {
            return Err(come_again());
        }
        entry.streams += 1;
        Ok(StreamTurn { gate: self.clone(), user: user.to_owned() })
    }

    /// Room for a body of `user` that begins to arrive; 429 when there is none.
    pub(crate) fn hold(&self, user: &str) -> Result<Held, ApiError> {
        let mut held = Held { gate: self.clone(), user: user.to_owned(), bytes: 0 };
        held.grow_to(LEAST_HELD)?;
        Ok(held)
    }

    /// Gives turns to those who wait, as long as there are any.
    fn give_turns(&self) {
        loop {
            let Some((user, grant)) = self.state.lock().next(&self.limits) else { return };
            // Who gave up meanwhile drops the turn here, outside of the lock, and it is given to the next.
            drop(grant.send(Turn { gate: self.clone(), user }));
        }
    }
}

impl State {
    /// The next who waits and may go on; it is counted as running.
    fn next(&mut self, limits: &RequestLimits) -> Option<(String, oneshot::Sender<Turn>)> {
        let mut asked = 0;
        while self.running < limits.running && asked < self.turns.len() {
            let name = self.turns.pop_front()?;
            let Some(user) = self.users.get_mut(&name) else { continue };
            while user.waiting.front().is_some_and(oneshot::Sender::is_closed) {
                user.waiting.pop_front();
            }
            if user.running >= limits.running_per_user && !user.waiting.is_empty() {
                self.turns.push_back(name);
                asked += 1;
                continue;
            }
            let Some(grant) = user.waiting.pop_front() else {
                self.forget_idle(&name);
                continue;
            };
            user.running += 1;
            self.running += 1;
            if !user.waiting.is_empty() {
                self.turns.push_back(name.clone());
            }
            return Some((name, grant));
        }
        None
    }

    fn forget_idle(&mut self, name: &str) {
        if self.users.get(name).is_some_and(User::is_idle) {
            self.users.remove(name);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut state = self.gate.state.lock();
            state.running -= 1;
            if let Some(user) = state.users.get_mut(&self.user) {
                user.running -= 1;
            }
            state.forget_idle(&self.user);
        }
        self.gate.give_turns();
    }
}

impl Drop for StreamTurn {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        if let Some(user) = state.users.get_mut(&self.user) {
            user.streams -= 1;
        }
        state.forget_idle(&self.user);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.held -= self.bytes;
        if let Some(user) = state.users.get_mut(&self.user) {
            user.held -= self.bytes;
        }
        state.forget_idle(&self.user);
    }
}

fn come_again() -> ApiError {
    Status::too_many_requests("Too many requests, please try again later.", COME_AGAIN).into()
}

#[cfg(test)]
mod tests {
    use super::{Gate, LEAST_HELD, RequestLimits, TurnSlot};
    use futures_util::FutureExt as _;
    use std::time::Duration;

    fn gate() -> Gate {
        Gate::new(RequestLimits {
            running: 3,
            running_per_user: 2,
            waiting_per_user: 2,
            wait: Duration::from_secs(5),
            streams_per_user: 1,
            body_bytes: 12 * LEAST_HELD,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_has_so_many_turns_and_the_rest_wait_or_go() {
        let gate = gate();
        let first = gate.enter("eve").await.unwrap();
        let _second = gate.enter("eve").await.unwrap();
        let mut third = Box::pin(gate.enter("eve"));
        assert!((&mut third).now_or_never().is_none());
        let ann = gate.enter("ann").now_or_never().unwrap().unwrap();
        let mut fourth = Box::pin(gate.enter("eve"));
        assert!((&mut fourth).now_or_never().is_none());
        assert_eq!(gate.enter("eve").await.unwrap_err().status().code, 429);
        drop(first);
        let third = third.await.unwrap();
        assert_eq!(fourth.await.unwrap_err().status().code, 429, "nobody ended in time");
        drop((third, ann));
        assert_eq!(gate.state.lock().running, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn users_take_turns() {
        let gate = gate();
        let eve = [gate.enter("eve").await.unwrap(), gate.enter("eve").await.unwrap()];
        let bob = gate.enter("bob").await.unwrap();
        let (mut more_eve, mut ann) = (Box::pin(gate.enter("eve")), Box::pin(gate.enter("ann")));
        assert!((&mut more_eve).now_or_never().is_none());
        assert!((&mut ann).now_or_never().is_none());
        drop(bob);
        let ann = (&mut ann).now_or_never().expect("eve has all of hers, so it is ann's turn").unwrap();
        assert!((&mut more_eve).now_or_never().is_none());
        drop(eve);
        let more = more_eve.await.unwrap();
        drop((ann, more));
        let state = gate.state.lock();
        assert!(state.running == 0 && state.users.is_empty() && state.turns.is_empty(), "{state:?}");
    }

    #[tokio::test]
    async fn who_waits_for_others_gives_the_turn_back_before_the_end() {
        let gate = gate();
        let (first, _second) = (gate.enter("eve").await.unwrap(), gate.enter("eve").await.unwrap());
        let slot = TurnSlot::from(first);
        let mut third = Box::pin(gate.enter("eve"));
        assert!((&mut third).now_or_never().is_none());
        slot.clone().give_back();
        third.await.unwrap();
        slot.give_back();
        TurnSlot::default().give_back();
        assert_eq!(gate.state.lock().running, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_keeps_no_turn() {
        let gate = gate();
        let turns = [gate.enter("eve").await.unwrap(), gate.enter("eve").await.unwrap()];
        let mut given_up = Box::pin(gate.enter("eve"));
        assert!((&mut given_up).now_or_never().is_none());
        drop(given_up);
        drop(turns);
        assert_eq!(gate.state.lock().running, 0);
        assert!(gate.enter("eve").now_or_never().is_some());
    }

    #[test]
    fn watches_are_counted_apart() {
        let gate = gate();
        let watch = gate.stream("eve").unwrap();
        assert_eq!(gate.stream("eve").unwrap_err().status().code, 429);
        drop(watch);
        gate.stream("eve").unwrap();
    }

    #[test]
    fn bodies_leave_room_for_others() {
        let gate = gate();
        let fill = |user: &str| -> Vec<super::Held> { std::iter::from_fn(|| gate.hold(user).ok()).collect() };
        let mut eve = fill("eve");
        let bob = fill("bob");
        let ann = fill("ann");
        assert_eq!((eve.len(), bob.len(), ann.len()), (6, 3, 1));
        let refused = eve[0].grow_to(LEAST_HELD + 1).unwrap_err();
        assert_eq!(refused.status().code, 429);
        eve[0].grow_to(LEAST_HELD).expect("it has that already");
        drop(bob);
        eve.truncate(1);
        eve[0].grow_to(5 * LEAST_HELD).unwrap();
        drop((eve, ann));
        let state = gate.state.lock();
        assert!(state.held == 0 && state.users.is_empty(), "{state:?}");
    }
}
