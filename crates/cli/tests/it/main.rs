//! The command line against a server that answers from a script, run as a user types it.

mod api;
mod describe;
mod grammar;
mod read;
mod seed;
mod session;
mod write;
