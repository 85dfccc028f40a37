//! Forms of output: tables, YAML, JSON, names, templates, columns.
//!
//! Owns how things look. Which objects there are is the verbs' business.

pub(crate) mod age;
pub(crate) mod colour;
pub(crate) mod columns;
pub(crate) mod jsonpath;
pub(crate) mod output;
mod rows;
pub(crate) mod sanitize;
pub(crate) mod table;
pub(crate) mod tabwriter;
pub(crate) mod template;
