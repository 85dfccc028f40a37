//! The unfinished uploads of one back end: who owns them, how far they are, who writes right now.
//!
//! Owns the exclusive right to write to an upload. Does not hold its bytes: `P` is what a back end keeps per upload.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::{UploadError, UploadId, UploadOwner};

/// How long a second request for one upload waits for the first: a client that lost its connection comes back while
/// the server still believes in the old one.
const PATIENCE: Duration = Duration::from_secs(10);

/// One upload that was started and neither committed nor cancelled.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// Its name.
    pub id: UploadId,
    /// Whose it is.
    pub owner: UploadOwner,
    /// Bytes received so far.
    pub offset: u64,
    /// When it last moved.
    pub touched: Timestamp,
}

/// What outlives the request that writes: how far it is and when it moved.
#[derive(Debug)]
pub(crate) struct Gauge {
    offset: AtomicU64,
    touched_ms: AtomicI64,
}

impl Gauge {
    pub(crate) fn new(offset: u64, touched: Timestamp) -> Self {
        Self { offset: AtomicU64::new(offset), touched_ms: AtomicI64::new(touched.as_millisecond()) }
    }

    pub(crate) fn set(&self, offset: u64, touched: Timestamp) {
        self.offset.store(offset, Ordering::Release);
        self.touched_ms.store(touched.as_millisecond(), Ordering::Release);
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset.load(Ordering::Acquire)
    }

    fn touched(&self) -> Timestamp {
        Timestamp::from_millisecond(self.touched_ms.load(Ordering::Acquire)).unwrap_or(Timestamp::MIN)
    }
}

#[derive(Debug)]
struct Slot<P> {
    owner: UploadOwner,
    gauge: Arc<Gauge>,
    part: Arc<tokio::sync::Mutex<P>>,
}

/// The uploads of one back end.
#[derive(Debug)]
pub(crate) struct Sessions<P>(Mutex<HashMap<UploadId, Slot<P>>>);

impl<P> Sessions<P> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(crate) fn insert(&self, id: UploadId, owner: UploadOwner, gauge: Gauge, part: P) {
        let slot = Slot { owner, gauge: Arc::new(gauge), part: Arc::new(tokio::sync::Mutex::new(part)) };
        self.0.lock().insert(id, slot);
    }

    pub(crate) fn remove(&self, id: UploadId) {
        self.0.lock().remove(&id);
    }

    /// Waits for the exclusive right to write to `id`.
    pub(crate) async fn enter(&self, id: UploadId) -> Result<(OwnedMutexGuard<P>, Arc<Gauge>), UploadError> {
        let (part, gauge) = {
            let slots = self.0.lock();
            let slot = slots.get(&id).ok_or(UploadError::Unknown { id })?;
            (Arc::clone(&slot.part), Arc::clone(&slot.gauge))
        };
        let Ok(guard) = tokio::time::timeout(PATIENCE, part.lock_owned()).await else {
            return Err(UploadError::Busy { id });
        };
        // Whoever held it before may have ended it.
        if !self.0.lock().contains_key(&id) {
            return Err(UploadError::Unknown { id });
        }
        Ok((guard, gauge))
    }

    pub(crate) fn list(&self) -> Vec<OpenSession> {
        let slots = self.0.lock();
        slots.iter().map(|(id, slot)| slot.seen_as(*id)).collect()
    }

    pub(crate) fn count(&self, counts: impl Fn(&UploadOwner) -> bool) -> usize {
        self.0.lock().values().filter(|slot| counts(&slot.owner)).count()
    }

    pub(crate) fn find(&self, id: UploadId) -> Option<OpenSession> {
        self.0.lock().get(&id).map(|slot| slot.seen_as(id))
    }

    /// Takes out what has not moved since `before` and is not being written right now.
    pub(crate) fn take_idle(&self, before: Timestamp) -> Vec<OpenSession> {
        let mut slots = self.0.lock();
        let idle = |slot: &Slot<P>| slot.gauge.touched() < before && slot.part.try_lock().is_ok();
        let ids: Vec<UploadId> = slots.iter().filter(|(_, slot)| idle(slot)).map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| slots.remove(&id).map(|slot| slot.seen_as(id))).collect()
    }

    /// Takes out the one of `whose` uploads that has not moved for longest, if that was before `before` and it is not
    /// being written right now.
    pub(crate) fn take_longest_idle(
        &self,
        before: Timestamp,
        whose: impl Fn(&UploadOwner) -> bool,
    ) -> Option<OpenSession> {
        let mut slots = self.0.lock();
        let idle = |slot: &Slot<P>| {
            whose(&slot.owner) && slot.gauge.touched() < before && slot.part.try_lock().is_ok()
        };
        let idle = slots.iter().filter(|(_, slot)| idle(slot));
        let (id, _) = idle.min_by_key(|(_, slot)| slot.gauge.touched())?;
        let id = *id;
        slots.remove(&id).map(|slot| slot.seen_as(id))
    }
}

impl<P> Slot<P> {
    fn seen_as(&self, id: UploadId) -> OpenSession {
        OpenSession {
            id,
            owner: self.owner.clone(),
            offset: self.gauge.offset(),
            touched: self.gauge.touched(),
        }
    }
}
