//! Crashes a server while clients write to it, and holds what it shows afterwards against what it acknowledged.
//!
//! Owns the server under test, the load, the disk that can lose power, faults of system calls, the automaton of syncs,
//! and the oracle (`reliability-and-security.md` 4: I1 to I6, I8, I18). The rounds are in `tests/crash.rs`.

pub mod disk;
pub mod fault;
pub mod load;
pub mod oracle;
pub mod server;
pub mod trace;
