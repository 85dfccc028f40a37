//! The command line against a server that answers from a script, run as a user types it.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod api;
mod config;
mod deployments;
mod describe;
mod grammar;
mod group_sync;
mod habits;
mod image_verbs;
mod images;
mod login;
mod odd_directories;
mod proxies;
mod read;
mod seed;
mod session;
mod set;
mod verbs;
mod write;
