//! The kinds that are served, found by path.
//!
//! Owns the look-up from prefix and plural to a kind, and which prefixes show it. What kinds there are is said in
//! `kinds.rs`; how they are announced is discovery's business.

use std::collections::HashMap;
use std::sync::Arc;

use pierhead_store::Store;

use crate::gc::Endings;
use crate::kind::{Backing, Kind};
use crate::path::Prefix;
use crate::storage::{ObjectStorage, Storage};

/// A kind together with the storage its objects are in.
pub(crate) struct Resource {
    /// The kind.
    pub(crate) kind: Kind,
    /// Where its objects are; `None` for virtual kinds.
    pub(crate) storage: Option<Arc<dyn Storage>>,
}

/// All kinds.
pub(crate) struct Catalog {
    resources: Vec<Arc<Resource>>,
    by_path: HashMap<(Prefix, String), Arc<Resource>>,
    endings: Arc<Endings>,
}

/// What a kind is called in `/api/v1`, where it does not belong: distinct, so that `oc get imagestreams` keeps meaning
/// the group's (platform 11.48).
pub(crate) fn alias_plural(plural: &str) -> String {
    format!("legacy{plural}")
}

impl Catalog {
    /// Puts kinds together with their storages.
    pub(crate) fn new(kinds: Vec<Kind>, store: &Store) -> Self {
        let endings = Arc::new(Endings::of(&kinds));
        let resources: Vec<Arc<Resource>> = kinds
            .into_iter()
            .map(|kind| {
                let storage = match &kind.backing {
                    Backing::Stored { storage: Some(storage), .. } => Some(Arc::clone(storage)),
                    Backing::Stored { storage: None, stored_as, view, .. } => {
                        let (view, endings) = (view.clone(), Arc::clone(&endings));
                        let storage = ObjectStorage::new(store.clone(), stored_as.clone(), view, endings);
                        Some(Arc::new(storage) as Arc<dyn Storage>)
                    }
                    Backing::Virtual(_) => kind.watched.as_ref().map(|watched| {
                        let (view, endings) = (Arc::clone(&watched.view), Arc::clone(&endings));
                        let stored_as = watched.stored_as.clone();
                        Arc::new(ObjectStorage::new(store.clone(), stored_as, Some(view), endings))
                            as Arc<dyn Storage>
                    }),
                };
                Arc::new(Resource { kind, storage })
            })
            .collect();
        let mut by_path = HashMap::new();
        for resource in &resources {
            let kind = &resource.kind;
            by_path.insert((prefix_of(kind), kind.plural.to_owned()), Arc::clone(resource));
            if kind.legacy {
                by_path.insert((Prefix::Legacy, kind.plural.to_owned()), Arc::clone(resource));
            }
            if kind.core_alias {
                by_path.insert((Prefix::Core, alias_plural(kind.plural)), Arc::clone(resource));
                by_path.entry((Prefix::Core, kind.plural.to_owned())).or_insert_with(|| Arc::clone(resource));
            }
        }
        Self { resources, by_path, endings }
    }

    /// The resource that `plural` names under `prefix`.
    pub(crate) fn find(&self, prefix: &Prefix, plural: &str) -> Option<&Arc<Resource>> {
        self.by_path.get(&(prefix.clone(), plural.to_owned()))
    }

    /// How objects end.
    pub(crate) fn endings(&self) -> &Arc<Endings> {
        &self.endings
    }

    /// All of them, in the order of `kinds.rs`, which is the order of discovery.
    pub(crate) fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }
}

/// The prefix a kind belongs to.
pub(crate) fn prefix_of(kind: &Kind) -> Prefix {
    if kind.gvk.group.is_empty() {
        Prefix::Core
    } else {
        Prefix::Group { group: kind.gvk.group.to_owned(), version: kind.gvk.version.to_owned() }
    }
}
