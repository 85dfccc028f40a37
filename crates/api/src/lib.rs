//! The words of the API: every kind we serve, as it looks on the wire, with its pure rules.
//!
//! Owns JSON names and "always present" rules, defaulting, validation, selectors, patches, `Status` texts and the
//! rendering of ages. Does no I/O, reads no clock and draws no random numbers: callers pass these in.

#[macro_use]
mod object;

pub mod age;
pub mod apps;
pub mod authn;
pub mod authorization;
pub mod authz;
mod bytes;
pub mod config;
pub mod core;
mod decode;
pub mod events;
mod excerpt;
pub mod federation;
pub mod field;
pub mod image;
mod int_or_string;
pub mod legacy;
pub mod meta;
pub mod name;
pub mod oauth;
pub mod patch;
pub mod project;
pub mod quota;
pub mod rbac;
pub mod route;
#[cfg(feature = "schema")]
pub mod schema;
pub mod selector;
pub mod user;

pub use crate::bytes::ByteString;
pub use crate::decode::{DecodeError, MAX_DEPTH, from_slice, from_value, from_value_strict};
pub use crate::excerpt::excerpt;
pub use crate::int_or_string::IntOrString;
pub use crate::object::{Object, list_to_value, to_value};
