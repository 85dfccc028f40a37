//! Stories.
mod access_matrix;
mod cast;
