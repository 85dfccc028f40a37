//! What a repository names and does not have is fetched from where it was imported from, while clients wait for it.
//!
//! Owns that there is one fetch for however many clients of a repository wait, that it goes on when they leave, and that
//! what came is stored before others are told. Clients get bytes while they arrive, all but the last ones, which follow
//! when the digest is right (images 6.7). Repositories share no fetch: who may read one is told nothing of what another
//! one's source has.

mod arriving;
mod error;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use pierhead_blobs::PartReader;
use pierhead_client::distribution::{RemoteBlob, RemoteError, RemoteName, RemoteRepository};
use pierhead_client::egress::Egress;
use pierhead_client::keyring::Keyring;
use pierhead_images::{MissingBlob, MissingManifest, RemoteFetch, RemoteSource, UploadError};
use pierhead_oci::{Digest, Reference};
use pierhead_runtime::Tasks;
use pierhead_runtime::listen::BoxError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub(crate) use arriving::{Arriving, ArrivingBody};
pub(crate) use error::{Cause, UpstreamError};

/// Blobs longer than this are sent while they arrive; shorter ones when they are here.
const SENT_WHILE_ARRIVING: u64 = 256 << 10;
/// Fetches under way at once.
const MAX_FLIGHTS: usize = 4_096;
/// Of these, for one namespace: slow sources of one project leave room for the others.
const MAX_FLIGHTS_OF_NAMESPACE: usize = 256;

/// Finds the registry credentials of a namespace.
pub type Credentials = Arc<dyn Fn(&str) -> BoxFuture<'static, Result<Keyring, BoxError>> + Send + Sync>;

/// The fetching side of a registry. Clones share what is under way.
#[derive(Clone)]
pub struct PullThrough(Arc<Shared>);

struct Shared {
    egress: Egress,
    credentials: Credentials,
    tasks: Tasks,
    flights: Mutex<HashMap<FlightKey, watch::Receiver<Stage>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Manifest,
    Blob,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FlightKey {
    kind: Kind,
    namespace: String,
    name: String,
    digest: Digest,
}

/// How far a fetch is.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// Nobody has it yet, as far as is known.
    Asking,
    /// Its bytes arrive.
    Sending(PartReader),
    /// It is stored, or will not come.
    Done(Result<(), Arc<UpstreamError>>),
}

/// What became of a blob that was asked for.
pub(crate) enum Arrival {
    /// It is stored.
    Stored,
    /// It is on its way.
    Coming(Arriving),
}

impl PullThrough {
    /// Fetches through `egress`. Fetches that nobody waits for end when `tasks` stops.
    pub fn new(egress: Egress, credentials: Credentials, tasks: &Tasks) -> Self {
        let flights = Mutex::new(HashMap::new());
        Self(Arc::new(Shared { egress, credentials, tasks: tasks.child(), flights }))
    }

    /// Fetches a manifest; it is stored when this answers.
    pub(crate) async fn manifest(&self, missing: MissingManifest) -> Result<(), Arc<UpstreamError>> {
        let key = FlightKey::new(Kind::Manifest, missing.repository(), missing.digest());
        let this = self.clone();
        let flight =
            self.join(key, move |_, _| async move { this.fetch_manifest(&missing).await }.boxed())?;
        match settled(flight, |stage| matches!(stage, Stage::Done(_))).await? {
            Stage::Done(outcome) => outcome,
            Stage::Asking | Stage::Sending(_) => Err(UpstreamError::interrupted()),
        }
    }

    /// Fetches a blob; answers when it is stored, or on its way.
    pub(crate) async fn blob(&self, missing: MissingBlob) -> Result<Arrival, Arc<UpstreamError>> {
        let size = missing.size();
        let flight = self.start_blob(missing)?;
        match settled(flight.clone(), |stage| !matches!(stage, Stage::Asking)).await? {
            Stage::Done(outcome) => outcome.map(|()| Arrival::Stored),
            Stage::Sending(reader) => Ok(Arrival::Coming(Arriving::new(reader, flight, size))),
            Stage::Asking => Err(UpstreamError::interrupted()),
        }
    }

    /// Fetches a blob; it is stored when this answers.
    pub(crate) async fn whole_blob(&self, missing: MissingBlob) -> Result<(), Arc<UpstreamError>> {
        let flight = self.start_blob(missing)?;
        match settled(flight, |stage| matches!(stage, Stage::Done(_))).await? {
            Stage::Done(outcome) => outcome,
            Stage::Asking | Stage::Sending(_) => Err(UpstreamError::interrupted()),
        }
    }

    /// Whether some source has a blob.
    pub(crate) async fn has_blob(&self, missing: &MissingBlob) -> Result<(), Arc<UpstreamError>> {
        let key = FlightKey::new(Kind::Blob, missing.repository(), missing.digest());
        let under_way = self.0.flights.lock().get(&key).cloned();
        if under_way.is_some_and(|flight| matches!(&*flight.borrow(), Stage::Sending(_))) {
            return Ok(());
        }
        let keyring = self.keyring(missing.repository().0).await?;
        let mut failure = None;
        for source in missing.sources() {
            match self.remote(source, &keyring).blob_size(missing.digest()).await {
                Ok(size) if size.is_none_or(|size| size == missing.size()) => return Ok(()),
                Ok(_) => UpstreamError::add(&mut failure, other_size(source, missing)),
                Err(error) => UpstreamError::add(&mut failure, failed(source, missing.digest(), error)),
            }
        }
        Err(Arc::new(failure.unwrap_or_else(UpstreamError::nowhere)))
    }

    fn start_blob(&self, missing: MissingBlob) -> Result<watch::Receiver<Stage>, Arc<UpstreamError>> {
        let key = FlightKey::new(Kind::Blob, missing.repository(), missing.digest());
        let this = self.clone();
        let fetch = move |stage: watch::Sender<Stage>, stop| {
            async move { this.fetch_blob(&missing, &stage, &stop).await }.boxed()
        };
        self.join(key, fetch)
    }

    /// The fetch that is under way, or a new one. It is a task of its own, so clients come and go as they like.
    fn join(
        &self,
        key: FlightKey,
        fetch: impl FnOnce(
            watch::Sender<Stage>,
            CancellationToken,
        ) -> BoxFuture<'static, Result<(), UpstreamError>>,
    ) -> Result<watch::Receiver<Stage>, Arc<UpstreamError>> {
        let (stage, flight) = watch::channel(Stage::Asking);
        {
            let mut flights = self.0.flights.lock();
            if let Some(under_way) = flights.get(&key) {
                return Ok(under_way.clone());
            }
            if flights.len() >= MAX_FLIGHTS {
                return Err(Arc::new(UpstreamError::busy(MAX_FLIGHTS)));
            }
            let theirs = flights.keys().filter(|flight| flight.namespace == key.namespace);
            if theirs.count() >= MAX_FLIGHTS_OF_NAMESPACE {
                return Err(Arc::new(UpstreamError::busy(MAX_FLIGHTS_OF_NAMESPACE)));
            }
            flights.insert(key.clone(), flight.clone());
        }
        let landing = Landing { shared: Arc::clone(&self.0), key };
        self.0.tasks.spawn("pull-through", |stop| {
            let fetching = fetch(stage.clone(), stop);
            async move {
                let outcome = fetching.await;
                if let Err(error) = &outcome {
                    warn!(digest = %landing.key.digest, %error, "Pulling through failed: {error}");
                }
                // What was stored is found by whoever comes from now on; only then are the others told.
                drop(landing);
                stage.send_replace(Stage::Done(outcome.map_err(Arc::new)));
            }
        });
        Ok(flight)
    }

    async fn keyring(&self, namespace: &str) -> Result<Keyring, UpstreamError> {
        (self.0.credentials)(namespace).await.map_err(UpstreamError::credentials)
    }

    fn remote(&self, source: &RemoteSource, keyring: &Keyring) -> RemoteRepository {
        let RemoteSource { host, repository, insecure } = source.clone();
        let name = RemoteName { host, repository, insecure };
        // The clients that wait try again by themselves.
        RemoteRepository::new(&self.0.egress, name, keyring.clone()).without_retries()
    }

    async fn fetch_manifest(&self, missing: &MissingManifest) -> Result<(), UpstreamError> {
        if missing.is_here()? {
            return Ok(());
        }
        let keyring = self.keyring(missing.repository().0).await?;
        let reference = Reference::Digest(missing.digest().clone());
        let mut failure = None;
        for source in missing.sources() {
            match self.remote(source, &keyring).manifest(&reference).await {
                Ok(found) => return Ok(missing.keep(found.manifest).await?),
                Err(error) => UpstreamError::add(&mut failure, failed(source, missing.digest(), error)),
            }
        }
        Err(failure.unwrap_or_else(UpstreamError::nowhere))
    }

    async fn fetch_blob(
        &self,
        missing: &MissingBlob,
        stage: &watch::Sender<Stage>,
        stop: &CancellationToken,
    ) -> Result<(), UpstreamError> {
        // Whoever asked before us may have ended between our look and our start.
        if missing.is_here().await? {
            return Ok(());
        }
        let keyring = self.keyring(missing.repository().0).await?;
        let mut failure = None;
        for source in missing.sources() {
            let blob = match self.remote(source, &keyring).blob(missing.digest()).await {
                Ok(blob) if blob.size.is_none_or(|size| size == missing.size()) => blob,
                Ok(_) => {
                    UpstreamError::add(&mut failure, other_size(source, missing));
                    continue;
                }
                Err(error) => {
                    UpstreamError::add(&mut failure, failed(source, missing.digest(), error));
                    continue;
                }
            };
            let (namespace, name) = missing.repository();
            debug!(digest = %missing.digest(), host = source.host, "Fetching a blob for {namespace}/{name}");
            match transfer(missing, source, blob, stage, stop).await {
                Ok(()) => return Ok(()),
                // Clients have some of its bytes: they start over, or not at all.
                Err(error) if matches!(&*stage.borrow(), Stage::Sending(_)) => return Err(error),
                Err(error) => UpstreamError::add(&mut failure, error),
            }
        }
        Err(failure.unwrap_or_else(UpstreamError::nowhere))
    }
}

/// Takes a blob to the end, or removes what came of it.
async fn transfer(
    missing: &MissingBlob,
    source: &RemoteSource,
    mut blob: RemoteBlob,
    stage: &watch::Sender<Stage>,
    stop: &CancellationToken,
) -> Result<(), UpstreamError> {
    let mut fetch = missing.fetch().await?;
    let received = async {
        if missing.size() > SENT_WHILE_ARRIVING {
            stage.send_replace(Stage::Sending(fetch.follow()?));
        }
        receive(&mut fetch, &mut blob, missing.digest(), source, || is_abandoned(stage, stop)).await
    };
    match received.await {
        Ok(()) => {
            fetch.commit().await?;
            Ok(())
        }
        Err(error) => {
            if let Err(left) = fetch.cancel().await {
                debug!(error = %left, "What was fetched of a blob is left to the reaper");
            }
            Err(error)
        }
    }
}

async fn receive(
    fetch: &mut RemoteFetch,
    blob: &mut RemoteBlob,
    digest: &Digest,
    source: &RemoteSource,
    is_abandoned: impl Fn() -> bool,
) -> Result<(), UpstreamError> {
    loop {
        let ready = blob.next().now_or_never();
        let next = match ready {
            Some(next) => next,
            None => {
                fetch.flush().await?;
                blob.next().await
            }
        };
        match next {
            Ok(Some(bytes)) if !is_abandoned() => fetch.append(bytes).await?,
            Ok(Some(_)) => return Err(Cause::Interrupted.into()),
            Ok(None) => return Ok(()),
            Err(error) => return Err(failed(source, digest, error)),
        }
    }
}

/// Whether we are to stop and nobody waits: the map of flights, which also listens, is not counted.
fn is_abandoned(stage: &watch::Sender<Stage>, stop: &CancellationToken) -> bool {
    stop.is_cancelled() && stage.receiver_count() <= 1
}

fn failed(source: &RemoteSource, digest: &Digest, error: RemoteError) -> UpstreamError {
    UpstreamError::remote(reference(source, digest), error)
}

fn other_size(source: &RemoteSource, missing: &MissingBlob) -> UpstreamError {
    UpstreamError::other_size(reference(source, missing.digest()), missing.size())
}

fn reference(source: &RemoteSource, digest: &Digest) -> String {
    format!("{}/{}@{digest}", source.host, source.repository)
}

async fn settled(
    mut flight: watch::Receiver<Stage>,
    is_enough: impl Fn(&Stage) -> bool,
) -> Result<Stage, Arc<UpstreamError>> {
    match flight.wait_for(is_enough).await {
        Ok(stage) => Ok(stage.clone()),
        Err(_panicked) => Err(UpstreamError::interrupted()),
    }
}

impl FlightKey {
    fn new(kind: Kind, (namespace, name): (&str, &str), digest: &Digest) -> Self {
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned(), digest: digest.clone() }
    }
}

/// Ends a flight, however its task ends.
struct Landing {
    shared: Arc<Shared>,
    key: FlightKey,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.shared.flights.lock().remove(&self.key);
    }
}

impl From<UploadError> for UpstreamError {
    fn from(error: UploadError) -> Self {
        Cause::Storing(error).into()
    }
}

#[cfg(test)]
mod tests {
    use std::future;

    use futures_util::FutureExt as _;
    use pierhead_client::egress::{Authorities, EgressConfig};

    use super::{
        Arc, BoxFuture, Digest, Egress, FlightKey, Keyring, Kind, MAX_FLIGHTS_OF_NAMESPACE, PullThrough,
        Tasks,
    };

    #[tokio::test]
    async fn one_namespace_leaves_room_for_others() {
        let tasks = Tasks::new();
        let egress = Egress::new(EgressConfig::new(Authorities::none()));
        let credentials =
            Arc::new(|_: &str| -> BoxFuture<'static, _> { async { Ok(Keyring::empty()) }.boxed() });
        let pull_through = PullThrough::new(egress, credentials, &tasks);
        let start = |namespace: &str, number: usize| {
            let key = FlightKey::new(Kind::Blob, (namespace, "web"), &Digest::sha256(&number.to_be_bytes()));
            pull_through.join(key, |_, _| future::pending().boxed())
        };
        for number in 0..MAX_FLIGHTS_OF_NAMESPACE {
            start("greedy", number).expect("there is room for so many");
        }
        assert!(start("greedy", MAX_FLIGHTS_OF_NAMESPACE).is_err());
        start("greedy", 0).expect("what is under way is joined");
        start("shop", 0).expect("there is room for others");
        tasks.stop_token().cancel();
    }
}
