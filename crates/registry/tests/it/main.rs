//! Stories of clients, told to a registry over memory: request in, answer out.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod access;
mod limits;
mod lists;
mod pull;
mod pull_through;
mod push;
mod site;

mod uploads;
mod upstream;
