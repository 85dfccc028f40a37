//! Laws of roles and bindings, over random ones.

use pierhead_api::rbac::PolicyRule;
use pierhead_auth::{Attributes, Auth, Config};
use pierhead_runtime::ManualClock;
use pierhead_store::Store;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_assert, prop_oneof, proptest};
use proptest::sample::{select, subsequence};
use proptest::test_runner::Config as Cases;
use serde_json::{Value, json};

use crate::cluster::{Cluster, SIGNER, user};

const VERBS: [&str; 4] = ["get", "update", "impersonate", "*"];
const GROUPS: [&str; 5] = ["", "image.openshift.io", "user.openshift.io", "apps", "*"];
const RESOURCES: [&str; 8] =
    ["pods", "imagestreams", "imagestreams/layers", "users", "groups", "*/layers", "pods/log", "*"];
const NAMES: [&str; 3] = ["a", "b", "~"];
const PATHS: [&str; 5] = ["/healthz", "/healthz/*", "/health*", "*", "/version"];

fn rule() -> impl Strategy<Value = PolicyRule> {
    let some = |words: &'static [&'static str]| subsequence(words.to_vec(), 1..=2);
    let names = prop_oneof![3 => Just(Vec::new()), 1 => subsequence(NAMES.to_vec(), 1..=2)];
    let paths = prop_oneof![3 => Just(Vec::new()), 1 => subsequence(PATHS.to_vec(), 1..=2)];
    (some(&VERBS), some(&GROUPS), some(&RESOURCES), names, paths).prop_map(
        |(verbs, groups, resources, names, paths)| {
            let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
            let for_paths = !paths.is_empty();
            PolicyRule {
                verbs: owned(verbs),
                api_groups: if for_paths { Vec::new() } else { owned(groups) },
                resources: if for_paths { Vec::new() } else { owned(resources) },
                resource_names: if for_paths { Vec::new() } else { owned(names) },
                non_resource_urls: owned(paths),
            }
        },
    )
}

fn question() -> impl Strategy<Value = Attributes> {
    let resource = (
        select(&["get", "update", "impersonate", "delete"][..]),
        select(&["", "image.openshift.io", "user.openshift.io", "apps", "example.com"][..]),
        select(&["pods", "imagestreams", "imagestreams/layers", "users", "groups", "pods/log", "nodes"][..]),
        select(&["", "a", "b", "~", "c"][..]),
    );
    let resource = resource.prop_map(|(verb, group, resource, name)| {
        Attributes::new(verb, group, resource).namespace("shop").name(name)
    });
    let path = select(&["/healthz", "/healthz/x", "/healthy", "/version", "/x"][..]);
    prop_oneof![4 => resource, 1 => path.prop_map(|path| Attributes::path("get", path))]
}

fn role(name: &str, rules: &[PolicyRule]) -> Value {
    json!({"kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
}

fn empty_cluster() -> Cluster {
    let clock = ManualClock::default();
    let store = Store::memory(clock.shared());
    let auth = Auth::open(store.clone(), Config::new(SIGNER.clone()), clock.shared()).unwrap();
    Cluster { store, auth, clock }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(Cases::with_cases(400))]

    /// F1: whoever is allowed to grant rules for holding them can already do all that the rules allow.
    #[test]
    fn what_may_be_granted_is_held(
        held in vec(rule(), 1..4), wanted in vec(rule(), 1..3), questions in vec(question(), 60),
    ) {
        let cluster = empty_cluster();
        block_on(async {
            cluster.put(role("held", &held)).await;
            cluster.put(role("wanted", &wanted)).await;
            cluster.bind("", "held", "ann").await;
            cluster.bind("", "wanted", "bob").await;
        });
        let (ann, bob) = (user("ann"), user("bob"));
        // Not `check_grant`: whoever holds the verb `bind`, by `*` too, may grant what they do not hold.
        if cluster.auth.check_escalation(&ann, None, &wanted).is_ok() {
            for question in &questions {
                prop_assert!(
                    !cluster.may(&bob, question) || cluster.may(&ann, question),
                    "{held:?} could grant {wanted:?}, which allows {question:?}"
                );
            }
        }
    }

    /// More bindings never take a right away, and those of one namespace give none in another.
    #[test]
    fn bindings_only_add(one in vec(rule(), 1..3), two in vec(rule(), 1..3), questions in vec(question(), 30)) {
        let cluster = empty_cluster();
        let ann = user("ann");
        block_on(async {
            cluster.put(role("one", &one)).await;
            cluster.put(role("two", &two)).await;
            cluster.bind("", "one", "ann").await;
        });
        let before: Vec<bool> = questions.iter().map(|question| cluster.may(&ann, question)).collect();
        block_on(cluster.bind("yard", "two", "ann"));
        let elsewhere: Vec<bool> = questions.iter().map(|question| cluster.may(&ann, question)).collect();
        prop_assert!(before == elsewhere, "a binding in another namespace");
        block_on(cluster.bind("shop", "two", "ann"));
        for (question, before) in questions.iter().zip(before) {
            prop_assert!(!before || cluster.may(&ann, question), "{question:?} was allowed before");
        }
    }

    /// One always holds what one holds, also the intersection of a role with itself.
    #[test]
    fn everybody_may_grant_what_they_hold(held in vec(rule(), 1..4)) {
        let cluster = empty_cluster();
        block_on(async {
            cluster.put(role("held", &held)).await;
            cluster.bind("", "held", "ann").await;
        });
        let granted = cluster.auth.check_escalation(&user("ann"), None, &held);
        prop_assert!(granted.is_ok(), "{granted:?}");
    }
}
