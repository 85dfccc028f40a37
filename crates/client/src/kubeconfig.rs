//! Kubeconfig files: read several, merge them, change the merged view, write each change to its own file.
//!
//! Paths and environment are given by the caller. Fields that we do not know are kept. Files are written by
//! replacing them, mode 0600, since they hold tokens.

mod files;
mod model;
mod resolve;

pub use files::{Kubeconfig, KubeconfigError, Sources};
pub use model::{Cluster, Config, Context, User};
pub use resolve::{Overrides, cluster_name, context_name, split_context_name, user_name};
