//! Outside issuers and their keys: discovery (OpenID Connect Discovery 1.0), key sets, and how long they are believed.
//!
//! Owns when somebody else's server is asked: once for all who wait, not again before a while, whether it answered or
//! not, and for a key it does not know at most now and then, so that nobody makes us hammer it with invented tokens.
//! How it is asked (addresses, certificates, sizes, times) is the business of [`FetchDocument`].

use std::collections::HashMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::jose::{JoseError, KeySet};

/// A document to fetch from another server.
#[derive(Clone, Debug)]
pub struct DocumentRequest {
    /// An `https` URL.
    pub url: String,
    /// Certificate authorities, PEM, to trust besides the usual ones.
    pub authority: Option<Arc<str>>,
    /// Most bytes of the document.
    pub limit: usize,
}

/// What fetching a document gives: the body of an answer 200.
pub type FetchedDocument = Pin<Box<dyn Future<Output = Result<Bytes, Box<dyn Error + Send + Sync>>> + Send>>;

/// Fetches documents of other servers, under the rules that hold for all that leaves this process.
pub type FetchDocument = Arc<dyn Fn(DocumentRequest) -> FetchedDocument + Send + Sync>;

/// Longest time for both documents of an issuer.
const LONGEST: Duration = Duration::from_secs(10);
const DISCOVERY_BYTES: usize = 64 << 10;
const KEY_SET_BYTES: usize = 512 << 10;
/// How long keys are used without asking again.
const FRESH: Duration = Duration::from_secs(600);
/// How long keys are used when the issuer does not answer.
const USABLE: Duration = Duration::from_secs(3_600);
/// How long nobody is asked again after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How long nobody is asked again for a key that the newest set does not have.
const AFTER_UNKNOWN_KEY: Duration = Duration::from_secs(30);
/// Issuers asked at a time, and requests that wait for those: whose issuer hangs is to hold up nobody else.
const ASKED_AT_ONCE: usize = 16;
const MOST_WAITING: usize = 256;
/// Issuers that are remembered.
const MAX_ISSUERS: usize = 256;

/// Why an issuer's keys cannot be had. For the log.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Nothing leaves this server.
    #[error("this server asks no other servers for keys")]
    NoWayOut,
    /// Its server gave no document.
    #[error("{url} gives no document")]
    Fetch {
        /// Which.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It took too long.
    #[error("the issuer gave its keys not within {LONGEST:?}")]
    Slow,
    /// The discovery document is none, or of somebody else.
    #[error("the discovery document is not the issuer's: {0}")]
    Discovery(&'static str),
    /// The key set is none.
    #[error("the issuer's keys are not readable")]
    Keys(#[from] JoseError),
    /// It failed a moment ago.
    #[error("the issuer's keys could not be had a moment ago")]
    FailedBefore,
    /// Too many others are being asked.
    #[error("too many issuers are being asked for keys")]
    Busy,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// Whose keys: the same issuer asked with other authorities is another one.
type Name = (String, Option<Arc<str>>);

/// The keys of all issuers that were asked for. Clones share them.
#[derive(Clone)]
pub struct Issuers {
    fetch: Option<FetchDocument>,
    known: Arc<Mutex<HashMap<Name, Known>>>,
    asking: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

struct Known {
    used: Instant,
    /// Locked while it is asked, so that it is asked once.
    issuer: Arc<tokio::sync::Mutex<Issuer>>,
}

#[derive(Default)]
struct Issuer {
    keys: Option<(Arc<KeySet>, Instant)>,
    failed: Option<Instant>,
}

impl Issuers {
    /// Asks by `fetch`; without one, nobody.
    pub fn new(fetch: Option<FetchDocument>) -> Self {
        let (asking, waiting) = (Semaphore::new(ASKED_AT_ONCE), Semaphore::new(MOST_WAITING));
        Self { fetch, known: Arc::default(), asking: Arc::new(asking), waiting: Arc::new(waiting) }
    }

    /// The keys of `issuer`, an `https` URL. `lacking` is a set that did not have the key looked for: a newer one is
    /// fetched, unless that one is new.
    ///
    /// # Errors
    /// When the keys cannot be had now.
    pub async fn keys(
        &self,
        issuer: &str,
        authority: Option<Arc<str>>,
        lacking: Option<&Arc<KeySet>>,
    ) -> Result<Arc<KeySet>, IssuerError> {
        let fetch = self.fetch.as_ref().ok_or(IssuerError::NoWayOut)?;
        let shared = self.known((issuer.to_owned(), authority.clone()));
        let mut state = if let Ok(state) = shared.try_lock() {
            state
        } else {
            let _waits = self.waiting.try_acquire().ok().ok_or(IssuerError::Busy)?;
            shared.lock().await
        };
        if let Some((keys, at)) = &state.keys {
            let lacks = lacking.is_some_and(|lacking| Arc::ptr_eq(lacking, keys));
            if at.elapsed() < if lacks { AFTER_UNKNOWN_KEY } else { FRESH } {
                return Ok(Arc::clone(keys));
            }
        }
        if state.failed.is_some_and(|at| at.elapsed() < AFTER_FAILURE) {
            return state.usable().ok_or(IssuerError::FailedBefore);
        }
        let Ok(_asks) = self.asking.try_acquire() else {
            return state.usable().ok_or(IssuerError::Busy);
        };
        let fetched = tokio::time::timeout(LONGEST, fetch_keys(fetch, issuer, authority)).await;
        match fetched.unwrap_or(Err(IssuerError::Slow)) {
            Ok(keys) => {
                let keys = Arc::new(keys);
                *state = Issuer { keys: Some((Arc::clone(&keys), Instant::now())), failed: None };
                Ok(keys)
            }
            Err(error) => {
                state.failed = Some(Instant::now());
                state.usable().ok_or(error)
            }
        }
    }

    fn known(&self, name: Name) -> Arc<tokio::sync::Mutex<Issuer>> {
        let mut all = self.known.lock();
        if all.len() >= MAX_ISSUERS && !all.contains_key(&name) {
            // Invented ones first, so that they make us forget nobody who has given keys or is being asked.
            let worth = |known: &Known| known.issuer.try_lock().map_or(true, |issuer| issuer.keys.is_some());
            let least = all.iter().min_by_key(|(_, known)| (worth(known), known.used));
            let least = least.map(|(name, _)| name.clone());
            least.map(|least| all.remove(&least));
        }
        let known = all.entry(name).or_insert_with(|| Known { used: Instant::now(), issuer: Arc::default() });
        known.used = Instant::now();
        Arc::clone(&known.issuer)
    }
}

impl Issuer {
    /// Keys that may still be used where no newer ones can be had.
    fn usable(&self) -> Option<Arc<KeySet>> {
        self.keys.as_ref().filter(|(_, at)| at.elapsed() < USABLE).map(|(keys, _)| Arc::clone(keys))
    }
}

async fn fetch_keys(
    fetch: &FetchDocument,
    issuer: &str,
    authority: Option<Arc<str>>,
) -> Result<KeySet, IssuerError> {
    let get = |url: String, limit| {
        let document = fetch(DocumentRequest { url: url.clone(), authority: authority.clone(), limit });
        async move { document.await.map_err(|source| IssuerError::Fetch { url, source }) }
    };
    let place = issuer.trim_end_matches('/');
    let document = get(format!("{place}/.well-known/openid-configuration"), DISCOVERY_BYTES).await?;
    let discovery: Discovery =
        serde_json::from_slice(&document).ok().ok_or(IssuerError::Discovery("it cannot be read"))?;
    // Otherwise one issuer could speak for another (OpenID Connect Discovery, 4.3).
    if discovery.issuer != issuer {
        return Err(IssuerError::Discovery("it names another issuer"));
    }
    if !discovery.jwks_uri.starts_with("https://") {
        return Err(IssuerError::Discovery("its keys are not at an https URL"));
    }
    Ok(KeySet::parse(&get(discovery.jwks_uri, KEY_SET_BYTES).await?)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use tokio::task::JoinSet;

    use super::{FetchDocument, IssuerError, Issuers};
    use crate::jose::KeySet;
    use crate::service_account::TokenSigner;

    const ISSUER: &str = "https://ci.example.com/id";

    /// A server of documents that counts how often it is asked.
    #[derive(Clone, Default)]
    struct Site {
        documents: Arc<Mutex<Vec<(String, Value)>>>,
        asked: Arc<Mutex<u32>>,
    }

    impl Site {
        fn new() -> Self {
            let site = Self::default();
            let keys = "https://keys.example.com/set";
            site.put(
                &format!("{ISSUER}/.well-known/openid-configuration"),
                json!({"issuer": ISSUER, "jwks_uri": keys}),
            );
            site.put(keys, TokenSigner::generate().unwrap().jwks());
            site
        }

        fn put(&self, url: &str, document: Value) {
            let mut documents = self.documents.lock();
            documents.retain(|(of, _)| of != url);
            documents.push((url.to_owned(), document));
        }

        fn clear(&self) {
            self.documents.lock().clear();
        }

        fn fetch(&self) -> FetchDocument {
            let site = self.clone();
            Arc::new(move |request| {
                *site.asked.lock() += 1;
                let documents = site.documents.lock();
                let found = documents.iter().find(|(url, _)| *url == request.url);
                let found = found.map(|(_, document)| Bytes::from(document.to_string()));
                Box::pin(async move { found.ok_or_else(|| "404".into()) })
            })
        }

        fn asked(&self) -> u32 {
            *self.asked.lock()
        }
    }

    async fn keys(issuers: &Issuers, lacking: Option<&Arc<KeySet>>) -> Result<Arc<KeySet>, IssuerError> {
        issuers.keys(ISSUER, None, lacking).await
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_asked_for_seldom_and_believed_for_a_while() {
        let site = Site::new();
        let issuers = Issuers::new(Some(site.fetch()));
        let first = keys(&issuers, None).await.unwrap();
        assert_eq!((first.len(), site.asked()), (1, 2));
        keys(&issuers, None).await.unwrap();
        keys(&issuers, Some(&first)).await.unwrap();
        assert_eq!(site.asked(), 2, "the set is new");
        tokio::time::advance(Duration::from_secs(31)).await;
        let second = keys(&issuers, Some(&first)).await.unwrap();
        assert_eq!(site.asked(), 4, "a key may have come since");
        let third = keys(&issuers, Some(&first)).await.unwrap();
        assert!(Arc::ptr_eq(&second, &third) && site.asked() == 4, "there is a newer set already");
        site.clear();
        tokio::time::advance(Duration::from_secs(700)).await;
        keys(&issuers, None).await.expect("an issuer that is away does not end its tokens");
        let asked = site.asked();
        keys(&issuers, None).await.expect("the old set still counts");
        assert_eq!(site.asked(), asked, "a server that is down is left alone");
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert!(matches!(keys(&issuers, None).await, Err(IssuerError::Fetch { .. })));
        assert!(matches!(keys(&issuers, None).await, Err(IssuerError::FailedBefore)));
    }

    #[tokio::test]
    async fn one_fetch_serves_all_who_wait() {
        let site = Site::new();
        let issuers = Issuers::new(Some(site.fetch()));
        let (first, second) = tokio::join!(keys(&issuers, None), keys(&issuers, None));
        assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
        assert_eq!(site.asked(), 2);
    }

    /// Issuers that never answer, as anybody may name and run them.
    #[tokio::test(start_paused = true)]
    async fn hanging_issuers_hold_up_few_and_push_nobody_out() {
        let site = Site::new();
        let answers = site.fetch();
        let fetch: FetchDocument = Arc::new(move |request| match request.url.starts_with(ISSUER) {
            true => answers(request),
            false => Box::pin(std::future::pending()),
        });
        let issuers = Issuers::new(Some(fetch));
        let first_keys = format!("{ISSUER}/keys");
        let discovery = json!({"issuer": ISSUER, "jwks_uri": first_keys});
        site.put(&format!("{ISSUER}/.well-known/openid-configuration"), discovery);
        site.put(&first_keys, TokenSigner::generate().unwrap().jwks());
        keys(&issuers, None).await.unwrap();
        let hanging = |number: usize| {
            let issuers = issuers.clone();
            async move { issuers.keys(&format!("https://evil.example.com/{number}"), None, None).await }
        };
        let outcomes = (0..400).map(hanging).collect::<JoinSet<_>>().join_all().await;
        let slow = outcomes.iter().filter(|outcome| matches!(outcome, Err(IssuerError::Slow))).count();
        let busy = outcomes.iter().filter(|outcome| matches!(outcome, Err(IssuerError::Busy))).count();
        assert_eq!((slow, busy), (16, 384));
        let asked = site.asked();
        keys(&issuers, None).await.unwrap();
        assert_eq!(site.asked(), asked, "the keys of the one that answers are still there");
        let waiting = (0..400).map(|_| hanging(1_000)).collect::<JoinSet<_>>().join_all().await;
        let busy = waiting.iter().filter(|outcome| matches!(outcome, Err(IssuerError::Busy))).count();
        assert_eq!(busy, 400 - 256 - 1, "one asks and some wait for it");
    }

    #[tokio::test]
    async fn nobody_speaks_for_another_issuer() {
        let check = async |discovery: Value, expected: &str| {
            let site = Site::new();
            site.put(&format!("{ISSUER}/.well-known/openid-configuration"), discovery);
            let refused = keys(&Issuers::new(Some(site.fetch())), None).await.unwrap_err();
            assert_eq!(refused.to_string(), expected);
        };
        let keys_at = "https://keys.example.com/set";
        let not_its = "the discovery document is not the issuer's:";
        check(
            json!({"issuer": "https://evil", "jwks_uri": keys_at}),
            &format!("{not_its} it names another issuer"),
        )
        .await;
        check(
            json!({"issuer": format!("{ISSUER}/"), "jwks_uri": keys_at}),
            &format!("{not_its} it names another issuer"),
        )
        .await;
        check(json!({"issuer": ISSUER}), &format!("{not_its} it cannot be read")).await;
        check(
            json!({"issuer": ISSUER, "jwks_uri": "http://keys.example.com/set"}),
            &format!("{not_its} its keys are not at an https URL"),
        )
        .await;
        check(json!({"issuer": ISSUER, "jwks_uri": "https://nowhere"}), "https://nowhere gives no document")
            .await;
        let alone = keys(&Issuers::new(None), None).await;
        assert!(matches!(alone, Err(IssuerError::NoWayOut)));
    }
}
