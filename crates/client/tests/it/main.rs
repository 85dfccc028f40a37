//! The client against services in this process and against files in a temporary directory.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod elsewhere;
mod kubeconfig;
mod reflect;
mod typed;
mod widget;
