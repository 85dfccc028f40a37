//! Stories of clients, told to a registry over memory: request in, answer out.

mod access;
mod lists;
mod pull;
mod push;
mod site;
mod uploads;
