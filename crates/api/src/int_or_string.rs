//! A number or a name, as in `targetPort: 5000` and `targetPort: http`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A port number or a port name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i32),
    /// A name.
    String(String),
}

impl IntOrString {
    /// Zero and the empty name mean "not given" on the wire.
    pub fn is_unset(&self) -> bool {
        match self {
            Self::Int(number) => *number == 0,
            Self::String(text) => text.is_empty(),
        }
    }
}

impl Default for IntOrString {
    fn default() -> Self {
        Self::Int(0)
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::String(text) => f.write_str(text),
        }
    }
}
