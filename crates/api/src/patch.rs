//! The three kinds of patches over documents (platform 1.7). Which media type means which, retries and conflicts are
//! the server's.

mod json;
mod merge;
mod schema;
mod strategic;

pub use json::{MAX_OPERATIONS, json_patch};
pub use merge::merge_patch;
pub use schema::{ListMerge, PatchSchema, member_path};
pub use strategic::strategic_merge_patch;

/// Why a patch could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The patch is not of the form its media type says.
    #[error("{problem}")]
    Malformed {
        /// What is wrong with it.
        problem: String,
    },
    /// More operations than anyone needs.
    #[error("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {operations}")]
    TooManyOperations {
        /// How many.
        operations: usize,
    },
    /// `copy` operations blow the document up.
    #[error("unable to copy: the copied data would exceed {limit} bytes")]
    TooLarge {
        /// Limit in bytes.
        limit: usize,
    },
    /// The document would be nested deeper than any may be.
    #[error("unable to patch: the document would exceed max depth {limit}")]
    TooDeep {
        /// Limit in levels.
        limit: usize,
    },
    /// The patch does not fit the document, or one of its tests failed.
    #[error("the server rejected our request due to an error in our request: {0}")]
    NotApplicable(#[from] json_patch::PatchError),
}
