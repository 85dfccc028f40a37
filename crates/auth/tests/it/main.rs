//! What others rely on: revocation at once, decisions by bootstrapped roles, tokens that cannot be forged.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cluster;
mod federation;
mod laws;
mod ldap;
mod oauth;
mod outside;
mod policy;
mod providers;
mod rotation;
mod tokens;
