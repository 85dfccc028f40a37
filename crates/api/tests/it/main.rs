//! Laws of the public surface: patches, selectors and decoding, and representative documents of every kind.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod documents;
mod laws;
mod merging;
mod strategic;
