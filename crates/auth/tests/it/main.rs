//! What others rely on: revocation at once, decisions by bootstrapped roles, tokens that cannot be forged.

#![expect(missing_docs, reason = "tests are named after what they show")]

mod cluster;
mod laws;
mod oauth;
mod policy;
mod tokens;
