//! `set`: change what people change most, without an editor (platform 9).
//!
//! Owns what the verbs below have in common: which objects, the patch, what is said. A file each for what changes.

mod data;
mod env;
mod image;
mod image_lookup;
mod probe;
mod resources;
mod route_backends;
mod service_account;
mod triggers;
mod volumes;

use anyhow::bail;
use clap::{Args, Subcommand};
use http::Method;
use pierhead_client::Client;
use serde_json::{Value, json};

use crate::{
    discovery::{ApiKind, Discovery},
    dry_run::{DryRun, DryRunArgs},
    environment::ExitStatus,
    globals::Era,
    object,
    print::output::{OutputArgs, print_done},
    registries::source::matches,
    resource_args::SelectArgs,
    session::Session,
};

/// Change images, triggers, variables and more of existing objects
///
/// Examples:
///   set image dc/web web=registry.example.com/pushed/web:2
///   set triggers dc/web --from-image=web:latest -c web
///   set env dc/web LEVEL=debug OLD-
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct SetArgs {
    #[command(subcommand)]
    verb: SetVerb,
}

#[derive(Subcommand, Debug)]
enum SetVerb {
    Image(image::ImageArgs),
    #[command(visible_alias = "trigger")]
    Triggers(triggers::TriggersArgs),
    Env(env::EnvArgs),
    Data(data::DataArgs),
    ImageLookup(image_lookup::ImageLookupArgs),
    Resources(resources::ResourcesArgs),
    #[command(visible_alias = "probes")]
    Probe(Box<probe::ProbeArgs>),
    #[command(visible_alias = "volume")]
    Volumes(Box<volumes::VolumesArgs>),
    #[command(visible_alias = "sa")]
    Serviceaccount(service_account::ServiceAccountArgs),
    RouteBackends(route_backends::RouteBackendsArgs),
}

pub(crate) async fn run(args: SetArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match args.verb {
        SetVerb::Image(args) => image::run(args, session).await,
        SetVerb::Triggers(args) => triggers::run(args, session).await,
        SetVerb::Data(args) => data::run(args, session).await,
        SetVerb::Env(args) => env::run(args, session).await,
        SetVerb::ImageLookup(args) => image_lookup::run(args, session).await,
        SetVerb::Resources(args) => resources::run(args, session).await,
        SetVerb::Probe(args) => probe::run(*args, session).await,
        SetVerb::Volumes(args) => volumes::run(*args, session).await,
        SetVerb::Serviceaccount(args) => service_account::run(args, session).await,
        SetVerb::RouteBackends(args) => route_backends::run(args, session).await,
    }
}

/// Which objects, and how to say what was done.
#[derive(Args, Clone, Debug, Default)]
struct SetOptions {
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    dry: DryRunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Objects of several kinds.
type Objects = Vec<(ApiKind, Value)>;

impl SetOptions {
    /// The objects that words and flags mean.
    async fn objects(&self, words: &[String], session: &mut Session) -> anyhow::Result<Objects> {
        if words.is_empty() {
            bail!("one or more resources must be specified as <resource> <name> or <resource>/<name>");
        }
        self.select.objects(words, session).await
    }

    /// Changes each object and says so; `done` is what release 4 says, 2016 said `updated`.
    async fn change(
        &self,
        objects: Objects,
        done: &str,
        session: &mut Session,
        change: impl Fn(&mut Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<ExitStatus> {
        let client = session.client()?;
        let done = match session.era() {
            Era::V3_2 if done != "image updated" => "updated",
            _ => done,
        };
        for (kind, before) in objects {
            let mut after = before.clone();
            change(&mut after)?;
            if after == before {
                // Nothing to do is not an error, but should not look like a change either.
                print_done(session, &self.output, &kind, &before, "was not changed")?;
                continue;
            }
            let dry_run = self.dry.dry_run;
            let stored = if dry_run == DryRun::Client {
                object::set_text(&mut after, "apiVersion", &kind.api_version());
                object::set_text(&mut after, "kind", &kind.kind);
                after
            } else {
                store(&client, &kind, before, dry_run, &change).await?
            };
            print_done(session, &self.output, &kind, &stored, &dry_run.done(done))?;
        }
        Ok(ExitStatus::SUCCESS)
    }
}

/// Sends the difference; if somebody else was quicker, changes what they left.
async fn store(
    client: &Client,
    kind: &ApiKind,
    mut before: Value,
    dry_run: DryRun,
    change: &impl Fn(&mut Value) -> anyhow::Result<()>,
) -> anyhow::Result<Value> {
    let path = kind.resource().item(object::namespace(&before), object::name(&before), None);
    for attempt in 1.. {
        let mut after = before.clone();
        change(&mut after)?;
        let mut patch = object::difference(&before, &after);
        let version = object::text(&before, "metadata.resourceVersion");
        if !version.is_empty() {
            // Lists are sent whole: they must be those that were read.
            object::set_text(&mut patch, "metadata.resourceVersion", version);
        }
        let content_type = Some("application/merge-patch+json");
        let tried = format!("{path}?{}", dry_run.query());
        match client.request(Method::PATCH, tried.trim_end_matches('?'), content_type, Some(&patch)).await {
            Err(error) if error.is_conflict() && attempt < 5 => {
                before = client.request(Method::GET, &path, None, None).await?;
            }
            answered => return Ok(answered?),
        }
    }
    unreachable!("the loop above ends by returning")
}

/// `TYPE/NAME…` or `TYPE NAME…` before the first word that changes something.
fn split_words(words: &[String], is_change: impl Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
    words.iter().cloned().partition(|word| !is_change(word))
}

/// Where the pod template's spec of an object is.
fn pod_spec_path(object: &Value) -> &'static str {
    if object.pointer("/spec/template").is_some() {
        "spec.template.spec"
    } else if object.pointer("/spec/jobTemplate").is_some() {
        "spec.jobTemplate.spec.template.spec"
    } else {
        "spec"
    }
}

/// The containers that a pattern names: all for `*`. No such container is an error.
fn each_container(
    object: &mut Value,
    pattern: &str,
    mut change: impl FnMut(&mut Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let spec = pod_spec_path(object);
    let mut found = false;
    for field in ["containers", "initContainers"] {
        let path = format!("{spec}.{field}");
        if object::list(object, &path).is_empty() {
            continue;
        }
        for container in object::list_mut(object, &path) {
            let name = object::text(container, "name");
            // Init containers are only meant by their name.
            if name == pattern || (field == "containers" && matches(pattern, name)) {
                found = true;
                change(container)?;
            }
        }
    }
    if !found {
        bail!("unable to find container named {pattern:?}");
    }
    Ok(())
}

/// The names of an object's containers.
fn container_names(object: &Value) -> Vec<&str> {
    object::list(object, &format!("{}.containers", pod_spec_path(object)))
        .iter()
        .map(|container| object::text(container, "name"))
        .collect()
}

/// `deploymentconfigs/web`, as lists of settings name their subjects.
fn subject(kind: &ApiKind, object: &Value) -> String {
    format!("{}/{}", kind.plural, object::name(object))
}

/// The entry with a name in a list of named things, made where it is missing.
fn named<'l>(list: &'l mut Vec<Value>, name: &str) -> &'l mut Value {
    let position = match list.iter().position(|entry| object::text(entry, "name") == name) {
        Some(position) => position,
        None => {
            list.push(json!({"name": name}));
            list.len() - 1
        }
    };
    &mut list[position]
}

/// The collection of a kind of the image group.
fn image_kind<'d>(discovery: &'d Discovery, plural: &str) -> anyhow::Result<&'d ApiKind> {
    discovery.known("image.openshift.io", plural)
}
