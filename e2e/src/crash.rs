//! Crashes a server while clients write to it, and holds what it shows afterwards against what it acknowledged.
//!
//! Owns the server under test, the load, the disk that can lose power, and the oracle
//! (`reliability-and-security.md` 4, invariants I1 to I5). The rounds are in `tests/crash.rs`.

pub mod disk;
pub mod load;
pub mod oracle;
pub mod server;
