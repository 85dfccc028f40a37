//! `adm prune images`: removes images that nobody needs from streams, registry and API (openshift-images 7.1). What else is
//! pruned has files of its own.
//!
//! Owns the flags, the order of what is done, and how it is told, as in 2016 or today. What may go is `plan`'s; the calls
//! to the registry are `registry`'s. The server collects bytes by itself, so against it only streams and images matter;
//! against OpenShift the registry is asked as its own pruner does.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use http::Method;
use jiff::Timestamp;
use pierhead_client::{Client, ClientError, ConnectOptions};
use serde_json::Value;

use self::plan::{Cluster, Item, Plan, Rules};
use self::registry::Registry;
use super::group_sync;
use super::usage::{InUse, Stream};
use crate::{
    discovery::Discovery,
    environment::ExitStatus,
    error::Silent,
    globals::Era,
    object,
    print::tabwriter::{self, Layout},
    session::{Session, parse_timeout},
    verbs::get,
};

mod deployments;
mod plan;
mod registry;

/// How often a stream that others write to is read again.
const ATTEMPTS: usize = 10;
/// Tables of 2016.
const TABLE: Layout = Layout { min_width: 10, padding: 3 };

#[derive(Subcommand, Debug)]
pub(super) enum PruneVerb {
    Images(Box<PruneImagesArgs>),
    Deployments(deployments::PruneDeploymentsArgs),
    Groups(group_sync::PruneArgs),
}

/// Remove images that no tag, pod or controller needs
///
/// Without --confirm it only says what it would do. Of each tag the newest three images stay, and everything that is
/// younger than an hour.
///
/// Examples:
///   adm prune images
///   adm prune images --keep-tag-revisions=1 --keep-younger-than=24h --confirm
///   adm prune images --prune-over-size-limit --confirm
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct PruneImagesArgs {
    /// Do it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    confirm: bool,
    /// Also images that were imported, not pushed
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true",
        action = clap::ArgAction::Set, value_name = "BOOL")]
    all: bool,
    /// How many images of each tag stay (default 3)
    #[arg(long, value_name = "COUNT")]
    keep_tag_revisions: Option<usize>,
    /// What is younger stays (default 60m)
    #[arg(long, value_name = "DURATION")]
    keep_younger_than: Option<String>,
    /// Only images that are larger than their project's limits allow
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    prune_over_size_limit: bool,
    /// Where the registry is; else where the newest pushed image is
    #[arg(long, value_name = "URL")]
    registry_url: Option<String>,
    /// Allow plain HTTP and unverified certificates of the registry
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    force_insecure: bool,
    /// Also remove links and blobs from the registry
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true",
        action = clap::ArgAction::Set, value_name = "BOOL")]
    prune_registry: bool,
    /// Pass over image references that cannot be read
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    ignore_invalid_refs: bool,
    /// Requests to the registry at the same time
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    num_workers: u16,
}

/// What was done.
#[derive(Debug, Default)]
struct Done {
    images: usize,
    items: usize,
    streams: usize,
    layer_links: usize,
    manifest_links: usize,
    blobs: usize,
    failures: Vec<String>,
}

pub(super) async fn run(verb: PruneVerb, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match verb {
        PruneVerb::Images(args) => images(&args, session).await,
        PruneVerb::Deployments(args) => deployments::run(&args, session).await,
        PruneVerb::Groups(args) => group_sync::prune(args, session).await,
    }
}

async fn images(args: &PruneImagesArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let chosen = args.keep_tag_revisions.is_some() || args.keep_younger_than.is_some();
    if args.prune_over_size_limit && chosen {
        bail!(
            "--prune-over-size-limit cannot be specified with --keep-tag-revisions nor --keep-younger-than"
        );
    }
    let namespace = session.globals.namespace.clone();
    let age = match &args.keep_younger_than {
        Some(text) => parse_timeout(text).with_context(|| "--keep-younger-than")?,
        None => Some(std::time::Duration::from_mins(60)),
    };
    let now = (session.environment.now)();
    let young = age.filter(|_| !args.prune_over_size_limit).map(|age| now - age);
    let rules = Rules {
        imported_too: args.all,
        young,
        revisions: args.keep_tag_revisions.unwrap_or(3),
        over_size: args.prune_over_size_limit,
        images_too: namespace.is_none(),
    };
    let discovery = session.discovery().await?;
    let cluster = read(session, &discovery, namespace.as_deref(), young).await?;
    if !cluster.used.unreadable.is_empty() {
        for problem in &cluster.used.unreadable {
            session.remark(problem)?;
        }
        if !args.ignore_invalid_refs {
            bail!("failed to build graph - no changes made");
        }
    }
    let plan = Plan::of(&cluster, &rules);
    let registry = match args.prune_registry && args.confirm && plan != Plan::default() {
        true => Some(find_registry(args, session, &cluster).await?),
        false => None,
    };
    if !args.confirm {
        session.remark("Dry run enabled - no modifications will be made. Add --confirm to remove images")?;
    }
    if !args.prune_registry {
        session.remark(
            "Only API objects will be removed.  No modifications to the image registry will be made.",
        )?;
    }
    let mut work = Work { session, discovery: &discovery, args, young, registry, done: Done::default() };
    work.carry_out(plan).await?;
    let done = work.done;
    for failure in &done.failures {
        session.remark(&format!("error: {failure}"))?;
    }
    if done.failures.is_empty() { Ok(ExitStatus::SUCCESS) } else { Err(Silent(ExitStatus::FAILURE).into()) }
}

async fn read(
    session: &mut Session,
    discovery: &Discovery,
    namespace: Option<&str>,
    young: Option<Timestamp>,
) -> anyhow::Result<Cluster> {
    let client = session.client()?;
    let kind = |group, plural| discovery.known(group, plural);
    let images = kind("image.openshift.io", "images")?;
    let streams = kind("image.openshift.io", "imagestreams")?;
    let mut cluster = Cluster {
        // Streams first: whatever they name was there when the images are read.
        streams: get::read_all(&client, streams, namespace, &[]).await?,
        images: get::read_all(&client, images, None, &[]).await?,
        ..Cluster::default()
    };
    if let Ok(limits) = kind("", "limitranges") {
        cluster.limits = get::read_all(&client, limits, namespace, &[]).await?;
    }
    // Whoever uses an image may be in another project than its stream.
    cluster.used = InUse::read(session, discovery, None, young).await?;
    Ok(cluster)
}

async fn find_registry(
    args: &PruneImagesArgs,
    session: &mut Session,
    cluster: &Cluster,
) -> anyhow::Result<Registry> {
    let options = session.connect_options()?;
    let hosts = match &args.registry_url {
        Some(url) => vec![url.clone()],
        None => registry::hosts(&cluster.images, &cluster.streams),
    };
    let proxies = session.environment.proxies();
    Registry::find(&hosts, ConnectOptions { proxies, ..options }, args.force_insecure).await
}

/// One run over a plan.
struct Work<'w> {
    session: &'w mut Session,
    discovery: &'w Discovery,
    args: &'w PruneImagesArgs,
    young: Option<Timestamp>,
    registry: Option<Registry>,
    done: Done,
}

impl Work<'_> {
    async fn carry_out(&mut self, mut plan: Plan) -> anyhow::Result<()> {
        let client = self.session.client()?;
        let old = self.session.era() == Era::V3_2;
        if old {
            self.tell_table(&plan)?;
        }
        for (stream, items) in &plan.streams {
            self.say(
                old,
                &format!("Deleting {} items from image stream {}/{}", items.len(), stream.0, stream.1),
            )?;
            let removed = match self.args.confirm {
                true => self.update_stream(&client, stream, items).await,
                false => Ok(items.len()),
            };
            match removed {
                Ok(0) => {}
                Ok(count) => {
                    self.done.streams += 1;
                    self.done.items += count;
                }
                Err(error) => {
                    // What the stream still has must stay.
                    self.done
                        .failures
                        .push(format!("failed to prune image stream {}/{}: {error}", stream.0, stream.1));
                    return Ok(());
                }
            }
        }
        if self.args.confirm && plan != Plan::default() {
            // Nothing from here on can be taken back, and the first reading is old by now.
            let namespace = self.session.globals.namespace.clone();
            let now = read(self.session, self.discovery, namespace.as_deref(), self.young).await?;
            plan.spare(&now);
        }
        if self.args.prune_registry {
            self.prune_registry(&plan, old).await?;
        }
        let kind = self.discovery.known("image.openshift.io", "images")?;
        for image in &plan.images {
            self.say(old, &format!("Deleting image {image}"))?;
            if self.args.confirm {
                let path = kind.resource().item(None, image, None);
                match client.request(Method::DELETE, &path, None, None).await {
                    Err(error) if !error.is_not_found() => {
                        self.done.failures.push(format!("failed to delete image {image}: {error}"));
                        continue;
                    }
                    _ => {}
                }
            }
            self.done.images += 1;
        }
        if !old {
            let summary = self.done.summary();
            self.session.say(&summary)?;
        }
        Ok(())
    }

    async fn prune_registry(&mut self, plan: &Plan, old: bool) -> anyhow::Result<()> {
        let layers = plan.layer_links.iter().map(|(repository, digest)| {
            let line = format!("Deleting layer link {digest} in repository {repository}");
            (line, format!("/v2/{repository}/blobs/{digest}"))
        });
        self.done.layer_links = self.delete_all(layers.collect(), old).await?;
        let manifests = plan.manifest_links.iter().map(|(repository, digest)| {
            let line = format!("Deleting manifest link {digest} in repository {repository}");
            (line, format!("/v2/{repository}/manifests/{digest}"))
        });
        self.done.manifest_links = self.delete_all(manifests.collect(), old).await?;
        let blobs = plan
            .blobs
            .iter()
            .map(|digest| (format!("Deleting blob {digest}"), format!("/admin/blobs/{digest}")));
        self.done.blobs = self.delete_all(blobs.collect(), old).await?;
        Ok(())
    }

    /// Says and deletes; what fails is told at the end. Answers how many went.
    async fn delete_all(&mut self, lines: Vec<(String, String)>, old: bool) -> anyhow::Result<usize> {
        let mut count = 0;
        for some in lines.chunks(usize::from(self.args.num_workers)) {
            for (line, _) in some {
                self.say(old, line)?;
            }
            let Some(registry) = &self.registry else {
                count += some.len();
                continue;
            };
            let outcomes =
                futures_util::future::join_all(some.iter().map(|(_, path)| registry.delete(path))).await;
            for (outcome, (_, path)) in outcomes.into_iter().zip(some) {
                match outcome {
                    Ok(()) => count += 1,
                    Err(error) => self.done.failures.push(format!("failed to delete {path}: {error}")),
                }
            }
        }
        Ok(count)
    }

    /// Removes items from a stream's status, reading it again while others write to it. Answers how many it had.
    async fn update_stream(
        &self,
        client: &Client,
        stream: &Stream,
        items: &[Item],
    ) -> Result<usize, ClientError> {
        let kind = self.discovery.known("image.openshift.io", "imagestreams");
        let kind = kind.expect("streams were read before");
        let path = kind.resource().item(Some(&stream.0), &stream.1, None);
        let status = kind.resource().item(Some(&stream.0), &stream.1, Some("status"));
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            let mut current = match client.request(Method::GET, &path, None, None).await {
                // With the stream everything of it is gone.
                Err(error) if error.is_not_found() => return Ok(0),
                read => read?,
            };
            let removed = remove_items(&mut current, items);
            if removed == 0 {
                return Ok(0);
            }
            match client.request(Method::PUT, &status, None, Some(&current)).await {
                Err(error) if error.is_not_found() => return Ok(0),
                Err(error) if error.is_conflict() && attempts > 0 => {}
                written => return written.map(|_| removed),
            }
        }
    }

    fn say(&mut self, old: bool, line: &str) -> anyhow::Result<()> {
        if !old {
            self.session.say(line)?;
        }
        Ok(())
    }

    /// Everything at once, in the tables of 2016.
    fn tell_table(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let mut sections = Vec::new();
        let references: Vec<String> =
            plan.streams.iter().flat_map(|(stream, items)| references_of(stream, items)).collect();
        let pairs = |links: &std::collections::BTreeSet<(String, String)>| -> Vec<String> {
            links.iter().map(|(repository, digest)| format!("{repository}\t{digest}")).collect()
        };
        sections.push((
            "Deleting references from image streams to images ...",
            "STREAM\tIMAGE\tTAGS",
            references,
        ));
        if self.args.prune_registry {
            let links = "Deleting registry repository layer links ...";
            sections.push((links, "REPO\tLAYER", pairs(&plan.layer_links)));
            sections.push((
                "Deleting registry layer blobs ...",
                "BLOB",
                plan.blobs.iter().cloned().collect(),
            ));
            let data = "Deleting registry repository manifest data ...";
            sections.push((data, "REPO\tIMAGE", pairs(&plan.manifest_links)));
        }
        sections.push(("Deleting images from server ...", "IMAGE", plan.images.clone()));
        let filled = sections.into_iter().filter(|(_, _, rows)| !rows.is_empty());
        for (index, (title, heading, rows)) in filled.enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            let table = tabwriter::align(&format!("{heading}\n{}\n", rows.join("\n")), TABLE);
            self.session.print(&format!("{gap}{title}\n{table}"))?;
        }
        Ok(())
    }
}

/// A row for each image that a stream lets go, with the tags that had it.
fn references_of(stream: &Stream, items: &[Item]) -> Vec<String> {
    let mut tags: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
    for item in items {
        let named = tags.entry(&item.image).or_default();
        if !named.contains(&item.tag.as_str()) {
            named.push(&item.tag);
        }
    }
    tags.into_iter()
        .map(|(image, tags)| format!("{}/{}\t{image}\t{}", stream.0, stream.1, tags.join(", ")))
        .collect()
}

/// Takes items out of a stream's status, and tags that have none left and nothing to say. What came meanwhile stays.
fn remove_items(stream: &mut Value, items: &[Item]) -> usize {
    let mut removed = 0;
    let Some(tags) = stream.pointer_mut("/status/tags").and_then(Value::as_array_mut) else { return 0 };
    for list in tags.iter_mut() {
        let tag = object::text(list, "tag").to_owned();
        let Some(history) = list.get_mut("items").and_then(Value::as_array_mut) else { continue };
        let before = history.len();
        history.retain(|item| {
            let of = |field| object::text(item, field);
            !items.iter().any(|gone| {
                (gone.tag.as_str(), gone.image.as_str(), gone.created.as_str())
                    == (tag.as_str(), of("image"), of("created"))
            })
        });
        removed += before - history.len();
    }
    tags.retain(|list| {
        !object::list(list, "items").is_empty() || !object::list(list, "conditions").is_empty()
    });
    removed
}

impl Done {
    fn summary(&self) -> String {
        let counts = [
            ("deleted", self.images, "image object(s)"),
            ("deleted", self.items, "image stream tag item(s)"),
            ("updated", self.streams, "image stream(s)"),
            ("deleted", self.layer_links, "layer link(s)"),
            ("deleted", self.manifest_links, "manifest link(s)"),
            ("deleted", self.blobs, "blob(s)"),
        ];
        let said: Vec<String> = counts
            .iter()
            .filter(|(_, count, _)| *count > 0)
            .map(|(verb, count, what)| format!("{verb} {count} {what}"))
            .collect();
        if said.is_empty() {
            "Summary: deleted 0 objects".to_owned()
        } else {
            format!("Summary: {}", said.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Item, remove_items};

    #[test]
    fn what_came_meanwhile_stays() {
        let item = |image: &str, created: &str| json!({"image": image, "created": created});
        let mut stream = json!({"status": {"tags": [
            {"tag": "latest", "items": [item("new", "3"), item("a", "2"), item("a", "1")]},
            {"tag": "old", "items": [item("a", "1")]},
            {"tag": "failing", "items": [item("a", "1")], "conditions": [{"type": "ImportSuccess"}]},
        ]}});
        let gone = |tag: &str| Item { tag: tag.into(), image: "a".into(), created: "1".into() };
        assert_eq!(remove_items(&mut stream, &[gone("latest"), gone("old"), gone("failing")]), 3);
        let expected = json!([
            {"tag": "latest", "items": [item("new", "3"), item("a", "2")]},
            {"tag": "failing", "items": [], "conditions": [{"type": "ImportSuccess"}]},
        ]);
        assert_eq!(stream["status"]["tags"], expected);
    }
}
