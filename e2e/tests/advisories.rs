//! What went wrong elsewhere (reliability 7), tried here: a module per letter, a function per row.
//!
//! `docs/guides/advisories.md` says which test is for which row; `documents` holds it to that. Rows that a crate proves
//! by itself are tested there.

mod content;
mod egress;
mod names;
mod startup;
mod tenants;
mod tokens;
