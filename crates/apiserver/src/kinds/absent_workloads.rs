//! Kinds of workloads and builds that this server has not: lists of them are empty.
//!
//! Whoever prunes images asks first for everything that could use one, and gives up where it is not told (images 7.1).
//! Discovery does not show these kinds, and nothing can be made of them.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::core::Pod;
use serde_json::Value;

use crate::call::{Answer, Call, ListAnswer};
use crate::error::ApiError;
use crate::kind::{Connect, GroupVersionKind, Kind, Verb};

/// Group, kind, plural and singular; all of version `v1`.
const ABSENT: [(&str, &str, &str, &str); 8] = [
    ("apps", "DaemonSet", "daemonsets", "daemonset"),
    ("apps", "Deployment", "deployments", "deployment"),
    ("apps", "ReplicaSet", "replicasets", "replicaset"),
    ("apps", "StatefulSet", "statefulsets", "statefulset"),
    ("batch", "Job", "jobs", "job"),
    ("batch", "CronJob", "cronjobs", "cronjob"),
    ("build.openshift.io", "BuildConfig", "buildconfigs", "buildconfig"),
    ("build.openshift.io", "Build", "builds", "build"),
];

/// The kinds; those of OpenShift also under the old prefix.
pub(crate) fn kinds() -> Vec<Kind> {
    let kinds = ABSENT.into_iter().map(|(group, name, plural, singular)| {
        let mut kind = Kind::calls::<Pod>(&[Verb::List], Nothing).unannounced();
        kind.gvk = GroupVersionKind { group, version: "v1", kind: name };
        (kind.plural, kind.singular) = (plural, singular);
        (kind.short_names, kind.categories) = (&[], &[]);
        if group == "build.openshift.io" { kind.legacy() } else { kind }
    });
    kinds.collect()
}

struct Nothing;

impl Connect for Nothing {
    fn call<'a>(&'a self, call: &'a Call, _: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        let revision = call.server.store.read(|tx| tx.revision());
        let nothing = ListAnswer { items: Vec::new(), revision, continue_token: None };
        std::future::ready(Ok(Answer::List(nothing))).boxed()
    }
}
