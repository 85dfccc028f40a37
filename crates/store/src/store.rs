//! The store as its users hold it: cheap to clone, safe to share, closed with its last owner.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Mutex, RwLock};
use pierhead_runtime::SharedClock;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::engine::memory::MemoryEngine;
use crate::engine::sqlite::SqliteEngine;
use crate::engine::{Engine, Marks, View, Writer};
use crate::error::{ChangesError, StoreError};
use crate::interest::Subscription;
use crate::objects::OBJECTS;
use crate::past::Past;
use crate::published::Published;
use crate::retention::Retention;
use crate::revision::Revision;
use crate::seal::Sealing;
use crate::table::{Change, TableName};
use crate::transaction::{ReadTx, WriteTx};
use crate::writer::{Job, QUEUE, Write, WriterThread};

/// Transactional metadata: ordered tables, a revision for every logged change, and the log of them.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Box<dyn Engine>,
    published: Arc<Published>,
    history: Uuid,
    /// Gone once the store is closed, which is how the writer learns of it.
    queue: RwLock<Option<mpsc::Sender<Box<dyn Write>>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the store in `directory`, which is made if it is not there, with the given tables.
    ///
    /// [`OBJECTS`] is always among them. Only one process can have a directory open. Fails on network file
    /// systems, on a database that is not ours, and where a store was and its database is gone.
    pub fn open(directory: &Path, clock: SharedClock, tables: &[TableName]) -> Result<Self, StoreError> {
        Self::open_with(directory, clock, tables, None)
    }

    /// As [`Store::open`]; some records are sealed on the disk. What was stored before in the clear is sealed first,
    /// which may take a while; what another key wraps is wrapped by the first one in the background.
    ///
    /// # Errors
    /// Also [`StoreError::SealKeyMissing`]: something is sealed with a key that is not given.
    pub fn open_sealed(
        directory: &Path,
        clock: SharedClock,
        tables: &[TableName],
        sealing: Sealing,
    ) -> Result<Self, StoreError> {
        Self::open_with(directory, clock, tables, Some(sealing))
    }

    fn open_with(
        directory: &Path,
        clock: SharedClock,
        tables: &[TableName],
        sealing: Option<Sealing>,
    ) -> Result<Self, StoreError> {
        let mut tables = tables.to_vec();
        tables.push(OBJECTS.name());
        tables.sort_unstable();
        tables.dedup();
        let (engine, writer, marks) = SqliteEngine::open(directory, &tables, sealing)?;
        let published = Arc::new(Published::new(marks));
        engine.start_checkpoints(Arc::clone(&published))?;
        Self::start(Box::new(engine), writer, published, marks, clock)
    }

    /// A store that is gone when its last owner is, with any table.
    pub fn memory(clock: SharedClock) -> Self {
        let engine = MemoryEngine::new();
        let mut marks = None;
        Engine::read(&engine, &mut |view: &dyn View| marks = Some(view.marks()));
        let marks = marks.expect("an engine calls the look once");
        let published = Arc::new(Published::new(marks));
        Self::start(Box::new(engine.clone()), engine, published, marks, clock)
            .expect("a process that runs can start one more thread")
    }

    fn start(
        engine: Box<dyn Engine>,
        writer: impl Writer + 'static,
        published: Arc<Published>,
        marks: Marks,
        clock: SharedClock,
    ) -> Result<Self, StoreError> {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let retention = Retention::new(marks.revision);
        let work =
            WriterThread { writer, queue: receiver, published: Arc::clone(&published), clock, retention };
        let thread = thread::Builder::new().name("store-writer".into()).spawn(move || work.run());
        let thread = thread.map_err(|source| StoreError::Engine {
            action: "start the writer thread",
            source: Arc::new(source),
        })?;
        let writer = Mutex::new(Some(thread));
        let shared =
            Shared { engine, published, history: marks.history, queue: RwLock::new(Some(queue)), writer };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Runs `closure` on the writer thread and answers when what it wrote is on the disk.
    ///
    /// An error or a panic of the closure takes back what it wrote and nothing else. The closure sees every
    /// earlier write and must be quick: the next one waits. It may be run again, so it moves nothing out of
    /// itself. Once it is queued the write happens, also if nobody waits for the answer any more; a queue that is full
    /// takes it when there is room, and a future that is dropped before is a write that never was.
    pub async fn write<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: FnMut(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        if self.is_poisoned() {
            return Err(StoreError::Poisoned.into());
        }
        let Some(queue) = self.shared.queue.read().clone() else {
            return Err(StoreError::Closed.into());
        };
        let (job, answer) = Job::new(closure);
        if queue.send(Box::new(job)).await.is_err() {
            return Err(StoreError::Closed.into());
        }
        drop(queue);
        answer.await.unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// Shows `look` one consistent state, which contains at least everything committed before the call.
    ///
    /// Runs on the calling thread: for look-ups and single pages. A state held for long keeps the database
    /// from reclaiming space.
    pub fn read<T>(&self, look: impl FnOnce(&ReadTx<'_>) -> T) -> T {
        let mut look = Some(look);
        let mut seen = None;
        self.shared.engine.read(&mut |view| {
            if let Some(look) = look.take() {
                seen = Some(look(&ReadTx::new(view)));
            }
        });
        seen.expect("an engine calls the look once")
    }

    /// As [`Store::read`], but `tables` are shown as they were at the revision `at`, a state that somebody has seen. Of
    /// other tables, and where `at` is yet to come, it shows what is now.
    ///
    /// # Errors
    /// [`ChangesError::Compacted`] when it is not known any more; of tables that are not logged, only [those that are
    /// remembered](crate::Table::remembered) can be shown.
    pub fn read_at<T>(
        &self,
        at: Revision,
        tables: &[TableName],
        look: impl FnOnce(&ReadTx<'_>) -> T,
    ) -> Result<T, ChangesError> {
        let mut look = Some(look);
        let mut seen = None;
        self.shared.engine.read(&mut |view| {
            let Some(look) = look.take() else { return };
            let past = Past::of(view, at, tables, &self.shared.published);
            seen = Some(past.map(|past| look(&ReadTx::new(&past))));
        });
        seen.expect("an engine calls the look once")
    }

    /// The newest committed revision.
    pub fn revision(&self) -> Revision {
        self.shared.published.revision()
    }

    /// Told after every commit that logged something. A lost or late wake-up loses nothing: read
    /// [`Store::changes`] from where you were.
    pub fn subscribe(&self) -> watch::Receiver<Revision> {
        self.shared.published.subscribe()
    }

    /// Told after every commit that changed one of these tables, and asleep while others are written to.
    pub fn subscribe_to(&self, tables: &[TableName]) -> Subscription {
        self.shared.published.subscribe_to(tables)
    }

    /// At most `limit` changes after a revision, oldest first, without a gap.
    pub fn changes(&self, after: Revision, limit: usize) -> Result<Vec<Arc<Change>>, ChangesError> {
        let oldest = self.compacted();
        if after < oldest {
            return Err(ChangesError::Compacted { oldest });
        }
        if let Some(changes) = self.shared.published.recent(after, limit) {
            return Ok(changes);
        }
        self.logged(after, limit)
    }

    /// As [`Store::changes`], but from the disk, and also those of a commit that [`Store::read`] shows already and that
    /// is not announced yet: for whoever holds a state against the log.
    pub fn logged(&self, after: Revision, limit: usize) -> Result<Vec<Arc<Change>>, ChangesError> {
        let mut logged = Ok(Vec::new());
        self.shared.engine.read(&mut |view| {
            let oldest = view.marks().compacted;
            logged = if after < oldest {
                Err(ChangesError::Compacted { oldest })
            } else {
                view.log(after, limit).map_err(ChangesError::from)
            };
        });
        Ok(logged?.into_iter().map(Arc::new).collect())
    }

    /// Drops the log up to and including `keep_after`. What is younger than the usual retention goes too.
    pub async fn compact(&self, keep_after: Revision) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.request_compaction(keep_after);
            Ok(())
        })
        .await
    }

    /// The newest revision that is no longer in the log; one may ask for the changes after it.
    pub fn compacted(&self) -> Revision {
        self.shared.published.compacted()
    }

    /// Which history the revisions count in: made with the store, and the same after every restart.
    ///
    /// Revisions of two stores can be compared only if this agrees.
    pub fn history(&self) -> Uuid {
        self.shared.history
    }

    /// Calls `hook` once, from a thread of the store, when a commit failed in a way that cannot be recovered from within
    /// the process. The hook should end the process, which then recovers when it starts again.
    pub fn on_fatal(&self, hook: impl Fn(&StoreError) + Send + Sync + 'static) {
        self.shared.published.on_fatal(Box::new(hook));
    }

    /// Whether a commit failed and all writes are refused.
    pub fn is_poisoned(&self) -> bool {
        self.shared.published.is_poisoned()
    }

    /// Whether all sealed records have the first key's wrapping: no other key is needed any more.
    pub fn is_resealed(&self) -> bool {
        self.shared.engine.is_resealed()
    }

    /// Finishes the writes that are queued, refuses later ones and releases the directory.
    ///
    /// Waits for the disk; call it at the end of the process.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl Shared {
    fn close(&self) {
        drop(self.queue.write().take());
        let Some(writer) = self.writer.lock().take() else { return };
        // A closure may hold the last store; the writer thread cannot wait for itself.
        if writer.thread().id() == thread::current().id() {
            return;
        }
        // A panic of the thread was reported by the panic hook.
        drop(writer.join());
        self.engine.close();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}
