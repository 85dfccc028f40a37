//! Keys that sign tokens are exchanged under way, and nobody is refused who should not be (reliability R12).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pierhead_auth::service_account::{BoundClaims, SigningKey, TokenSigner};
use pierhead_auth::{Config, Credentials};
use serde_json::json;
use tokio::time::Instant;

use crate::cluster::{Cluster, bound_claims};

fn token(cluster: &Cluster, signer: &TokenSigner, id: u64) -> String {
    let claims = BoundClaims { id: id.to_string(), ..bound_claims(cluster) };
    signer.sign_bound(&claims).into_exposed()
}

async fn cluster() -> (Cluster, TokenSigner) {
    let signer = TokenSigner::generate().unwrap();
    let given = signer.clone();
    let cluster = Cluster::with(move |config| *config = Config::new(given)).await;
    let metadata = json!({"name": "pusher", "namespace": "shop", "uid": "uid-1"});
    cluster.put(json!({"kind": "ServiceAccount", "metadata": metadata})).await;
    (cluster, signer)
}

#[tokio::test]
async fn old_keys_verify_until_they_are_dropped() {
    let (cluster, signer) = cluster().await;
    let (first, second) = (signer.current(), SigningKey::generate().unwrap());
    let old = token(&cluster, &signer, 1);
    cluster.bearer(&old).unwrap();
    signer.replace(second.clone(), vec![first.clone(), second.clone()]);
    assert_eq!(signer.key_id(), second.key_id());
    assert_eq!(signer.jwks()["keys"].as_array().unwrap().len(), 2, "whoever verifies finds both");
    let new = token(&cluster, &signer, 2);
    cluster.bearer(&old).unwrap();
    cluster.bearer(&new).unwrap();
    assert!(!signer.names_lost_key(&old));
    signer.replace(second, Vec::new());
    assert!(cluster.bearer(&old).is_err(), "also where it was verified a moment ago");
    assert!(signer.names_lost_key(&old) && !signer.names_lost_key(&new) && !signer.names_lost_key("x.y.z"));
    cluster.bearer(&new).unwrap();
}

/// One key after the other while others authenticate with tokens of the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_refused_while_keys_are_exchanged() {
    let (cluster, signer) = cluster().await;
    let keys: Vec<SigningKey> = (0..6).map(|_| SigningKey::generate().unwrap()).collect();
    let cluster = Arc::new(cluster);
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..3_u64)
        .map(|client| {
            let (cluster, signer, over, asked) =
                (Arc::clone(&cluster), signer.clone(), Arc::clone(&over), Arc::clone(&asked));
            tokio::task::spawn_blocking(move || {
                let (mut id, mut held) = (client << 32, Vec::new());
                while !over.load(Ordering::Acquire) {
                    id += 1;
                    // The newest three: made within the overlap of one exchange.
                    held.push((Instant::now(), token(&cluster, &signer, id)));
                    held.retain(|(made, _)| made.elapsed() < Duration::from_millis(40));
                    for (_, token) in &held {
                        cluster.auth.authenticate(Credentials::Bearer(token)).unwrap();
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let mut before = signer.current();
    for key in keys {
        let from = asked.load(Ordering::Relaxed);
        signer.replace(key.clone(), vec![before]);
        before = key;
        while asked.load(Ordering::Relaxed) < from + 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    over.store(true, Ordering::Release);
    for client in clients {
        client.await.unwrap();
    }
}
