//! What authorization needs in memory, kept level with the store.
//!
//! Before every decision the owner calls [`Index::catch_up`]: it reads the changes since the last time, skips the
//! tables and kinds that do not matter here, and applies the rest. So a deleted binding, secret or token counts at
//! once, and no timer is involved. Identities are not kept here but read when needed; a change that could end one
//! moves the generation on, and with it every cached identity.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{Change, ChangesError, KeyRange, Revision, Store, StoreError, TypedChange};

use crate::rbac::policy::Policy;
use crate::stored::{self, NamespacePhase, resource};

/// Changes read at a time while catching up.
const BATCH: usize = 1_024;
/// Objects read at a time while loading.
const PAGE: usize = 1_000;

/// Kinds whose objects are kept in memory.
const KEPT: [&str; 6] = [
    resource::NAMESPACES,
    resource::ROLES,
    resource::ROLE_BINDINGS,
    resource::CLUSTER_ROLES,
    resource::CLUSTER_ROLE_BINDINGS,
    resource::GROUPS,
];

/// Kinds whose objects are read when needed, and whose change may end an identity.
const WATCHED: [&str; 3] = [resource::SECRETS, resource::ACCESS_TOKENS, resource::OAUTH_CLIENTS];

/// Kinds whose objects are read when needed for nothing but their uid.
const IDENTIFIED: [&str; 5] = [
    resource::SERVICE_ACCOUNTS,
    resource::PODS,
    resource::USERS,
    resource::NODES,
    resource::FEDERATED_IDENTITIES,
];

/// Namespaces, groups and the policy.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) namespaces: HashMap<String, NamespacePhase>,
    pub(crate) policy: Policy,
    groups: BTreeMap<String, BTreeSet<String>>,
}

impl View {
    /// Names of the Group objects that list `user`, sorted.
    pub(crate) fn groups_of(&self, user: &str) -> Vec<String> {
        let listing = self.groups.iter().filter(|(_, users)| users.contains(user));
        listing.map(|(group, _)| group.clone()).collect()
    }

    fn apply(&mut self, key: &ObjectKey, json: Option<&[u8]>) {
        let ObjectKey { resource, namespace, name } = key;
        match resource.as_str() {
            resource::NAMESPACES => {
                match json.and_then(|json| readable(key, stored::namespace_phase(json))) {
                    Some(phase) => self.namespaces.insert(name.clone(), phase),
                    None => self.namespaces.remove(name),
                };
            }
            resource::GROUPS => {
                let group =
                    json.and_then(|json| stored::parse::<stored::StoredGroup>(json, resource, "", name));
                match group {
                    Some(group) => {
                        self.groups
                            .insert(name.clone(), group.users.unwrap_or_default().into_iter().collect());
                    }
                    None => drop(self.groups.remove(name)),
                }
            }
            resource::ROLES => {
                let rules = json.and_then(|json| readable(key, stored::role(json)));
                self.policy.set_role(namespace, name, rules);
            }
            resource::CLUSTER_ROLES => {
                let role = json.and_then(|json| readable(key, stored::cluster_role(json)));
                self.policy.set_cluster_role(name.clone(), role);
            }
            resource::ROLE_BINDINGS => {
                let binding = json.and_then(|json| readable(key, stored::binding(json, namespace)));
                self.policy.set_binding(namespace, name, binding);
            }
            resource::CLUSTER_ROLE_BINDINGS => {
                let binding = json.and_then(|json| readable(key, stored::binding(json, "")));
                self.policy.set_cluster_binding(name, binding);
            }
            _ => {}
        }
    }
}

fn readable<T>(key: &ObjectKey, parsed: Result<T, serde_json::Error>) -> Option<T> {
    parsed
        .inspect_err(|error| {
            let ObjectKey { resource, namespace, name } = key;
            tracing::error!(%error, resource, namespace, name, "A stored object cannot be read; it grants nothing");
        })
        .ok()
}

/// Whether an accepted identity may depend on what changed. It cannot on what did not exist before; and on pods, users
/// and accounts, whose status and lists are written all the time, only by their being there.
fn may_end_identity(change: &TypedChange<ObjectKey, ObjectRecord>) -> bool {
    let ObjectKey { resource, namespace, name } = &change.key;
    let kind = resource.as_str();
    let Some(previous) = &change.previous else { return false };
    if !IDENTIFIED.contains(&kind) {
        return WATCHED.contains(&kind);
    }
    let is_there = |record: &ObjectRecord| {
        let bare = stored::parse::<stored::Bare>(&record.0, kind, namespace, name)?;
        (!bare.metadata.is_being_deleted()).then_some(bare.metadata.uid)
    };
    is_there(previous) != change.value.as_ref().and_then(is_there)
}

/// The view, how far it is, and the generations of what was computed from it.
pub(crate) struct Index {
    store: Store,
    view: RwLock<View>,
    applied: AtomicU64,
    catching_up: Mutex<()>,
    policy_generation: AtomicU64,
    identity_generation: AtomicU64,
}

impl Index {
    pub(crate) fn open(store: Store) -> Result<Self, StoreError> {
        let index = Self {
            store,
            view: RwLock::default(),
            applied: AtomicU64::new(0),
            catching_up: Mutex::new(()),
            policy_generation: AtomicU64::new(0),
            identity_generation: AtomicU64::new(0),
        };
        index.load()?;
        Ok(index)
    }

    pub(crate) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read()
    }

    /// Moves on whenever roles, bindings or groups may have changed.
    pub(crate) fn policy_generation(&self) -> u64 {
        self.policy_generation.load(Ordering::Acquire)
    }

    /// Moves on whenever an identity may have ended or changed.
    pub(crate) fn identity_generation(&self) -> u64 {
        self.identity_generation.load(Ordering::Acquire)
    }

    /// Brings the view to the store's newest revision. One atomic comparison when nothing happened.
    pub(crate) fn catch_up(&self) -> Result<(), StoreError> {
        let newest = self.store.revision().number();
        if self.applied.load(Ordering::Acquire) >= newest {
            return Ok(());
        }
        let _one_at_a_time = self.catching_up.lock();
        loop {
            let applied = self.applied.load(Ordering::Acquire);
            if applied >= newest {
                return Ok(());
            }
            let changes = match self.store.changes(Revision::new(applied), BATCH) {
                Ok(changes) => changes,
                Err(ChangesError::Compacted { .. }) => return self.load(),
                Err(ChangesError::Store(error)) => return Err(error),
            };
            let Some(last) = changes.last() else { return Ok(()) };
            let last = last.revision.number();
            for change in &changes {
                self.apply(change)?;
            }
            self.applied.store(last, Ordering::Release);
        }
    }

    fn apply(&self, change: &Change) -> Result<(), StoreError> {
        let Some(typed) = OBJECTS.change(change) else { return Ok(()) };
        let typed = typed?;
        let kind = typed.key.resource.as_str();
        if KEPT.contains(&kind) {
            let json = typed.value.as_ref().map(|ObjectRecord(json)| json.as_ref());
            self.view.write().apply(&typed.key, json);
            self.policy_generation.fetch_add(1, Ordering::AcqRel);
        }
        if kind == resource::GROUPS || may_end_identity(&typed) {
            self.identity_generation.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Reads everything anew: at the start, and when the change log no longer reaches back.
    fn load(&self) -> Result<(), StoreError> {
        let (view, revision) = self.store.read(|tx| -> Result<(View, Revision), StoreError> {
            let mut view = View::default();
            for kind in KEPT {
                let mut range = KeyRange::prefix(kind);
                loop {
                    let page: Vec<(ObjectKey, ObjectRecord)> = tx.scan(&OBJECTS, &range, PAGE)?;
                    for (key, ObjectRecord(json)) in &page {
                        view.apply(key, Some(json));
                    }
                    let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else { break };
                    range = KeyRange::prefix(kind).after(last);
                }
            }
            Ok((view, tx.revision()))
        })?;
        *self.view.write() = view;
        self.policy_generation.fetch_add(1, Ordering::AcqRel);
        self.identity_generation.fetch_add(1, Ordering::AcqRel);
        self.applied.store(revision.number(), Ordering::Release);
        Ok(())
    }
}
