//! `apply --prune`: what was applied before, is selected, and is in the documents no more, goes.

use anyhow::bail;
use serde_json::Value;

use super::{Applied, remembered};
use crate::{
    discovery::{ApiKind, Discovery},
    dry_run::DryRun,
    object,
    print::output::say_done,
    session::Session,
    verbs::{create::CreateOptions, delete, get},
};

/// Kinds that are pruned where none are named: group and plural.
const USUAL: [(&str, &str); 10] = [
    ("", "configmaps"),
    ("", "pods"),
    ("", "replicationcontrollers"),
    ("", "secrets"),
    ("", "services"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps.openshift.io", "deploymentconfigs"),
    ("image.openshift.io", "imagestreams"),
    ("route.openshift.io", "routes"),
];

/// What was applied, and what belongs with it.
pub(super) struct Set<'s> {
    pub(super) applied: &'s [Applied],
    pub(super) selector: Option<&'s str>,
    pub(super) kinds: &'s [String],
}

pub(super) async fn prune(
    set: &Set<'_>,
    options: &CreateOptions,
    session: &mut Session,
) -> anyhow::Result<()> {
    let discovery = session.discovery().await?;
    let kinds = kinds(&discovery, set.kinds)?;
    let mut namespaces: Vec<&str> = set.applied.iter().filter_map(|one| one.namespace.as_deref()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    for kind in kinds {
        let places: Vec<Option<&str>> =
            if kind.namespaced { namespaces.iter().copied().map(Some).collect() } else { vec![None] };
        for place in places {
            prune_kind(&kind, place, set, options, session).await?;
        }
    }
    Ok(())
}

async fn prune_kind(
    kind: &ApiKind,
    place: Option<&str>,
    set: &Set<'_>,
    options: &CreateOptions,
    session: &mut Session,
) -> anyhow::Result<()> {
    let client = session.client()?;
    let query: Vec<_> = set.selector.iter().map(|selector| ("labelSelector", *selector)).collect();
    for object in get::read_all(&client, kind, place, &query).await? {
        let uid = object::text(&object, "metadata.uid");
        if remembered(&object).is_none() || set.applied.iter().any(|one| one.uid == uid) {
            continue;
        }
        remove(kind, &object, options, session).await?;
        let done = options.dry_run().done("pruned");
        say_done(session, kind, object::name(&object), &done)?;
    }
    Ok(())
}

async fn remove(
    kind: &ApiKind,
    object: &Value,
    options: &CreateOptions,
    session: &mut Session,
) -> anyhow::Result<()> {
    let path = kind.resource().item(object::namespace(object), object::name(object), None);
    match options.dry_run() {
        DryRun::Client => {}
        dry_run => {
            delete::delete_in_background(&session.client()?, &path, dry_run).await?;
        }
    }
    Ok(())
}

fn kinds(discovery: &Discovery, named: &[String]) -> anyhow::Result<Vec<ApiKind>> {
    if named.is_empty() {
        let known = USUAL.iter().filter_map(|(group, plural)| discovery.known(group, plural).ok());
        return Ok(known.cloned().collect());
    }
    let mut kinds = Vec::new();
    for name in named {
        let parts: Vec<&str> = name.split('/').collect();
        let [group, version, kind] = parts.as_slice() else {
            bail!("invalid GroupVersionKind format: {name}, please follow <group/version/kind>");
        };
        let api_version = if *group == "core" { (*version).to_owned() } else { format!("{group}/{version}") };
        kinds.push(discovery.of_kind(&api_version, kind)?.clone());
    }
    Ok(kinds)
}
