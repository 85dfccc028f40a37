//! Whether the writer of a spec tag may read what it follows in another namespace (images 3.5).
//!
//! Asked before the transaction, because deciding reads the store. Inside, a tag that changed and whose source was not
//! asked about means that somebody else wrote meanwhile: a conflict, not a hole.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use pierhead_api::image::TagReference;

use crate::spec_tags::{Source, differs};

type Decide = dyn Fn(&str, &str) -> Result<(), String> + Send + Sync;

/// Says whether the acting user may pull from `(namespace, stream)`, or why not.
#[derive(Clone)]
pub struct MayPull(Arc<Decide>);

impl MayPull {
    /// Asks `decide`, which answers an error with the reason of a refusal.
    pub fn new(decide: impl Fn(&str, &str) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }
}

impl fmt::Debug for MayPull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MayPull(..)")
    }
}

/// The answers about the sources of one write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Permissions(BTreeMap<(String, String), Result<(), String>>);

impl Permissions {
    /// Asks once per source in another namespace that is new or changed.
    pub(crate) fn ask<'t>(
        namespace: &str,
        tags: impl IntoIterator<Item = &'t TagReference>,
        stored: &BTreeMap<String, TagReference>,
        may_pull: &MayPull,
    ) -> Self {
        let mut answers = BTreeMap::new();
        for tag in tags {
            let unchanged = stored.get(&tag.name).is_some_and(|old| !differs(old, tag, namespace));
            if unchanged {
                continue;
            }
            if let Some(Ok(source)) = Source::of(tag, namespace, "")
                && source.namespace != namespace
            {
                let decide = || (may_pull.0)(&source.namespace, &source.stream);
                answers.entry((source.namespace.clone(), source.stream.clone())).or_insert_with(decide);
            }
        }
        Self(answers)
    }

    /// The answer about a source; `None` when it was not asked about.
    pub(crate) fn about(&self, namespace: &str, stream: &str) -> Option<&Result<(), String>> {
        self.0.get(&(namespace.to_owned(), stream.to_owned()))
    }
}
