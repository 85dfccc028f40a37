//! Sending what the plan says: blobs, then the manifests that name them, lists last.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use pierhead_client::distribution::RemoteError;
use pierhead_oci::{Digest, Reference};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    MirrorArgs,
    plan::{Phase, Plan, Work},
};
use crate::{
    registries::{
        repository::{Repository, TRIES, WAIT, is_passing},
        size,
        source::Place,
    },
    session::Session,
};

/// How often something is said of progress where nobody watches, and where somebody does.
const SELDOM: Duration = Duration::from_secs(15);
const OFTEN: Duration = Duration::from_millis(250);

/// How far it is, and what is known of where blobs are.
pub(super) struct Progress {
    total: u64,
    sent: Arc<AtomicU64>,
    published: usize,
    /// By registry: a repository that has the blob.
    holders: BTreeMap<(String, Digest), String>,
}

impl Progress {
    pub(super) fn new(total: u64) -> Self {
        Self { total, sent: Arc::default(), published: 0, holders: BTreeMap::new() }
    }

    /// Bytes sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Manifests stored.
    pub(super) const fn published(&self) -> usize {
        self.published
    }
}

/// What the work on several repositories shares.
struct Shared<'s> {
    args: &'s MirrorArgs,
    plan: &'s Plan,
    session: RefCell<&'s mut Session>,
    progress: RefCell<&'s mut Progress>,
    turns: BTreeMap<String, Rc<Semaphore>>,
    registries: Semaphore,
    failures: RefCell<Vec<String>>,
}

impl Shared<'_> {
    fn remark(&self, line: &str) -> io::Result<()> {
        let mut session = self.session.borrow_mut();
        if session.environment.stderr_is_terminal {
            // Over the line of progress.
            write!(session.environment.stderr, "\r\x1b[K")?;
        }
        session.remark(line)
    }

    fn fail(&self, failure: String) {
        self.failures.borrow_mut().push(failure);
    }
}

/// Works on the repositories of a phase, and gives what failed.
pub(super) async fn run_phase(
    args: &MirrorArgs,
    plan: &Plan,
    phase: &Phase,
    progress: &mut Progress,
    session: &mut Session,
) -> anyhow::Result<Vec<String>> {
    let names: BTreeSet<&String> = phase.iter().map(|(registry, _)| registry).collect();
    let turn =
        |name: &&String| ((*name).clone(), Rc::new(Semaphore::new(usize::from(args.max_per_registry))));
    let turns = names.iter().map(turn).collect();
    let sent = Arc::clone(&progress.sent);
    let total = progress.total;
    let shared = Shared {
        args,
        plan,
        session: RefCell::new(session),
        progress: RefCell::new(progress),
        turns,
        registries: Semaphore::new(usize::from(args.max_registry)),
        failures: RefCell::default(),
    };
    {
        let works: Vec<&Work> =
            phase.iter().filter_map(|(registry, path)| plan.work(registry, path)).collect();
        let working = async {
            let each = works.into_iter().map(|work| run_work(&shared, work));
            stream::iter(each).buffer_unordered(64).collect::<Vec<io::Result<()>>>().await
        };
        tokio::select! {
            outcomes = working => outcomes.into_iter().collect::<io::Result<()>>()?,
            told = tell(&shared, &sent, total) => told?,
        }
    }
    if shared.session.borrow().environment.stderr_is_terminal {
        write!(shared.session.borrow_mut().environment.stderr, "\r\x1b[K")?;
    }
    Ok(shared.failures.into_inner())
}

/// Says how far it is, until it is not asked any more.
async fn tell(shared: &Shared<'_>, sent: &AtomicU64, total: u64) -> io::Result<()> {
    let is_terminal = shared.session.borrow().environment.stderr_is_terminal;
    let start = Instant::now();
    let before = sent.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(if is_terminal { OFTEN } else { SELDOM }).await;
        let now = sent.load(Ordering::Relaxed);
        let rate = (now - before) as f64 / start.elapsed().as_secs_f64().max(0.001);
        let line = format!(
            "{} of {} ({}/s)",
            size::decimal(now as f64),
            size::decimal(total as f64),
            size::decimal(rate)
        );
        let mut session = shared.session.borrow_mut();
        if is_terminal {
            write!(session.environment.stderr, "\r\x1b[K{line}")?;
            session.environment.stderr.flush()?;
        } else {
            session.remark(&format!("info: {line}"))?;
        }
    }
}

/// One repository: its blobs, and if all are there its manifests.
async fn run_work(shared: &Shared<'_>, work: &Work) -> io::Result<()> {
    let Ok(_turn) = shared.registries.acquire().await else { return Ok(()) };
    let Some(turns) = shared.turns.get(work.place.registry()).cloned() else { return Ok(()) };
    let copies = work.blobs.iter().flat_map(|(from, (repository, digests))| {
        digests.iter().map(move |digest| (from, repository, digest))
    });
    let turns = &turns;
    let sending = copies.map(|(from, repository, digest)| async move {
        let Ok(_turn) = turns.acquire().await else { return Ok(true) };
        send(shared, work, (from, repository), digest).await
    });
    let outcomes: Vec<io::Result<bool>> =
        stream::iter(sending).buffer_unordered(usize::from(shared.args.max_per_registry)).collect().await;
    let whole = outcomes.into_iter().collect::<io::Result<Vec<bool>>>()?.into_iter().all(|sent| sent);
    // A manifest without its blobs is what nobody should ever be able to pull.
    if whole { publish(shared, work).await } else { Ok(()) }
}

/// Brings one blob; false if that failed.
async fn send(
    shared: &Shared<'_>,
    work: &Work,
    (from, source): (&Place, &Repository),
    digest: &Digest,
) -> io::Result<bool> {
    let length = shared.plan.size(digest);
    let holder = {
        let progress = shared.progress.borrow();
        let key = (work.place.registry().to_owned(), digest.clone());
        let near = (from.registry() == work.place.registry()).then(|| from.path().to_owned());
        progress.holders.get(&key).cloned().or(near)
    };
    let place = &work.place;
    let shown = format!("{place} {digest} {}", size::binary(length as f64));
    if let Some(holder) = holder.filter(|holder| !shared.args.skip_mount && holder != place.path()) {
        match work.to.mount(digest, &holder).await {
            Ok(true) => {
                shared.remark(&format!("mounted: {shown}"))?;
                note_holder(shared, work, digest);
                return Ok(true);
            }
            // Of folders only those of one disk can share files.
            Ok(false) if matches!(place, Place::Folder { .. }) => {}
            Ok(false) => {
                let registry = place.registry();
                shared.remark(&format!(
                    "warning: Expected to mount {digest} from {registry}/{holder} but mount was ignored"
                ))?;
            }
            // Whoever may not read the other repository sends it.
            Err(error) => tracing::debug!(%error, "A blob cannot be mounted"),
        }
    }
    shared.remark(&format!("uploading: {shown}"))?;
    let mut tries = 0;
    loop {
        match stream_blob(shared, work, source, digest).await {
            Ok(()) => {
                note_holder(shared, work, digest);
                return Ok(true);
            }
            Err(error) if tries < TRIES && broke(&error) => {
                tries += 1;
                shared.remark(&format!("warning: sending {digest} to {place} again: {error:#}"))?;
                tokio::time::sleep(WAIT * tries).await;
            }
            Err(error) => {
                shared.fail(format!("unable to push {place}: failed to upload blob {digest}: {error:#}"));
                return Ok(false);
            }
        }
    }
}

/// Whether the cause is one that passes.
fn broke(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<RemoteError>().is_some_and(is_passing))
}

async fn stream_blob(
    shared: &Shared<'_>,
    work: &Work,
    source: &Repository,
    digest: &Digest,
) -> anyhow::Result<()> {
    let blob = source.blob(digest).await?;
    let sent = Arc::clone(&shared.progress.borrow().sent);
    let note = move |bytes| {
        sent.fetch_add(bytes, Ordering::Relaxed);
    };
    work.to.push_blob(digest, blob, note).await
}

fn note_holder(shared: &Shared<'_>, work: &Work, digest: &Digest) {
    let key = (work.place.registry().to_owned(), digest.clone());
    shared.progress.borrow_mut().holders.insert(key, work.place.path().to_owned());
}

/// Stores the manifests: those that others list before the lists, and tags after all.
async fn publish(shared: &Shared<'_>, work: &Work) -> io::Result<()> {
    let is_list =
        |digest: &&Digest| shared.plan.manifests.get(*digest).is_some_and(|sent| !sent.children.is_empty());
    let (lists, images): (Vec<&Digest>, Vec<&Digest>) = work.by_digest.iter().partition(is_list);
    for digest in images.into_iter().chain(lists) {
        if !store(shared, work, digest, &Reference::Digest(digest.clone())).await? {
            return Ok(());
        }
    }
    let (lists, images): (Vec<&Digest>, Vec<&Digest>) = work.by_tag.keys().partition(is_list);
    for digest in images.into_iter().chain(lists) {
        for tag in work.by_tag.get(digest).into_iter().flatten() {
            store(shared, work, digest, &Reference::Tag(tag.clone())).await?;
        }
    }
    Ok(())
}

async fn store(shared: &Shared<'_>, work: &Work, digest: &Digest, reference: &Reference) -> io::Result<bool> {
    let place = &work.place;
    let Some(sent) = shared.plan.manifests.get(digest) else { return Ok(false) };
    let target = match reference {
        Reference::Tag(tag) => format!("{place}:{tag}"),
        Reference::Digest(_) => place.to_string(),
    };
    match work.to.push_manifest(reference, &sent.media_type, sent.bytes.clone()).await {
        Ok(()) => {
            shared.progress.borrow_mut().published += 1;
            let mut session = shared.session.borrow_mut();
            session.say(&format!("{digest} {target}"))?;
            Ok(true)
        }
        Err(error) => {
            shared.fail(format!("unable to push manifest to {target}: {error:#}"));
            Ok(false)
        }
    }
}
