//! Access records: what a request needs, in the words that challenges and logs use.

use std::fmt;

use serde::Serialize;

/// One right that a request needs, as clients find it in the details of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Access {
    /// `repository`, `signature`, `registry` or `admin`.
    #[serde(rename = "Type")]
    kind: &'static str,
    /// Always empty; Docker's plugins have one.
    class: &'static str,
    /// The repository, or `catalog`.
    name: String,
    /// `pull`, `push`, `delete`, `put`, `prune` or `*`.
    action: &'static str,
}

impl Access {
    /// The right to do `action` with a repository.
    pub(crate) fn repository(name: &str, action: &'static str) -> Self {
        Self { kind: "repository", class: "", name: name.into(), action }
    }

    /// The right to do `action` with the signatures of a repository's images.
    pub(crate) fn signature(name: &str, action: &'static str) -> Self {
        Self { kind: "signature", class: "", name: name.into(), action }
    }

    /// The right to remove blobs wherever they are.
    pub(crate) fn prune() -> Self {
        Self { kind: "admin", class: "", name: "blobs".into(), action: "prune" }
    }

    /// The right to list all repositories.
    pub(crate) fn catalog() -> Self {
        Self { kind: "registry", class: "", name: "catalog".into(), action: "*" }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.kind, self.name, self.action)
    }
}
