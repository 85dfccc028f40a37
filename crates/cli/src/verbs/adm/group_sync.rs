//! `adm groups sync|prune`: Groups as a directory has them.
//!
//! Owns the flags, which Groups are meant, and what is written to them. What of the directory is a group is `config`'s,
//! finding it is `records`', the protocol `directory`'s, what an entry says `entry`'s. A Group that was not made from the same record of the same
//! directory is never touched: labels and annotations say where each came from.

mod config;
mod directory;
mod dn;
mod entry;
mod records;

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::Method;
use pierhead_client::{ApiRequest, Client};
use serde_json::{Value, json};

use self::{
    config::SyncConfig,
    directory::{Directory, DirectoryError},
    records::Records,
};
use crate::{
    discovery::ApiKind,
    environment::ExitStatus,
    object,
    print::output::{Form, OutputArgs, print_objects},
    session::Session,
    tally::Tally,
    verbs::get,
};

const HOST_LABEL: &str = "openshift.io/ldap.host";
const URL_ANNOTATION: &str = "openshift.io/ldap.url";
const UID_ANNOTATION: &str = "openshift.io/ldap.uid";
const TIME_ANNOTATION: &str = "openshift.io/ldap.sync-time";

/// Make groups as an LDAP directory has them
///
/// Without --confirm it only prints the groups that it would make. What a group is in the directory,
/// and how its members are called, is said in a file of kind LDAPSyncConfig. Groups that were made
/// otherwise are left alone.
///
/// Examples:
///   adm groups sync --sync-config=sync.yaml
///   adm groups sync --sync-config=sync.yaml --blacklist=leave-out.txt --confirm
///   adm groups sync cn=admins,ou=groups,dc=example,dc=com --sync-config=sync.yaml --confirm
///   adm groups sync --type=openshift groups/admins --sync-config=sync.yaml --confirm
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct SyncArgs {
    /// Only these: identifiers in the directory, or names of groups with --type=openshift
    groups: Vec<String>,
    /// What groups are named by: ldap takes those of the directory, openshift those that were made from it before
    #[arg(long = "type", value_enum, default_value = "ldap", value_name = "TYPE")]
    source: Source,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Remove groups whose record is gone from an LDAP directory
///
/// Only groups that `groups sync` made from that directory are removed. Without --confirm it only
/// says which.
///
/// Examples:
///   adm groups prune --sync-config=sync.yaml
///   adm groups prune groups/admins --sync-config=sync.yaml --confirm
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct PruneArgs {
    /// Only these groups
    groups: Vec<String>,
    #[command(flatten)]
    choice: ChoiceArgs,
}

#[derive(Args, Debug)]
struct ChoiceArgs {
    /// File that says what a group is in the directory (LDAPSyncConfig)
    #[arg(long, value_name = "FILE")]
    sync_config: PathBuf,
    /// File with the groups to take, one a line
    #[arg(long, value_name = "FILE")]
    whitelist: Option<PathBuf>,
    /// File with the groups to leave out, one a line
    #[arg(long, value_name = "FILE")]
    blacklist: Option<PathBuf>,
    /// Do it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    confirm: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Source {
    /// Groups of the directory
    Ldap,
    /// Groups here that were made from it
    Openshift,
}

/// Where the Groups are, and which directory they come from.
struct Cluster {
    client: Client,
    kind: ApiKind,
    /// Host of the directory, for the label.
    host: String,
    /// Host and port of the directory, for the annotation.
    place: String,
}

pub(super) async fn sync(args: SyncArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let form = match &args.output.output {
        Some(_) => args.output.form(session)?,
        None => Form::Yaml,
    };
    let config = SyncConfig::read(&args.choice.sync_config, session)?;
    let (wanted, unwanted) = args.choice.lists(args.groups, session)?;
    let cluster = Cluster::of(&config, session).await?;
    let time = (session.environment.now)().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut records = Records::new(Directory::open(&config).await?, &config.schema);
    // The record of each group, and the name of the Group where that is known already.
    let chosen: Vec<(String, Option<String>)> = match args.source {
        Source::Ldap => {
            let uids = if wanted.is_empty() { records.list().await? } else { wanted };
            uids.into_iter()
                .filter(|uid| !unwanted.contains(uid))
                .map(|uid| (uid.clone(), config.names.get(&uid).cloned()))
                .collect()
        }
        Source::Openshift => {
            let made = cluster.made_before(&named(&wanted, &config)?, &named(&unwanted, &config)?).await?;
            made.into_iter().map(|(uid, name)| (uid, Some(name))).collect()
        }
    };
    let (mut tally, mut printed) = (Tally::default(), Vec::new());
    for (uid, name) in chosen {
        let made = make(&cluster, &mut records, (&uid, name), &time).await;
        for remark in records.take_remarks() {
            session.remark(&remark)?;
        }
        let is_lost = made.as_ref().is_err_and(is_lost);
        let Some(Some(group)) = tally.note(made) else {
            if is_lost {
                break;
            }
            continue;
        };
        if args.choice.confirm {
            let name = object::name(&group).to_owned();
            if tally.note(cluster.write(&uid, &group).await).is_some() {
                session.say(&format!("group/{name}"))?;
            }
        } else {
            printed.push(group);
        }
    }
    if !args.choice.confirm {
        print_objects(session, &form, printed, true, args.output.show_managed_fields)?;
    }
    tally.finish(session)
}

pub(super) async fn prune(args: PruneArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let config = SyncConfig::read(&args.choice.sync_config, session)?;
    let (wanted, unwanted) = args.choice.lists(args.groups, session)?;
    let cluster = Cluster::of(&config, session).await?;
    let mut records = Records::new(Directory::open(&config).await?, &config.schema);
    let made = cluster.made_before(&named(&wanted, &config)?, &named(&unwanted, &config)?).await?;
    let (mut tally, mut sees) = (Tally::default(), false);
    for (uid, name) in made {
        let there = records.exists(&uid).await;
        let is_lost = there.as_ref().is_err_and(DirectoryError::is_lost);
        let there = there.with_context(|| format!("determining LDAP group existence for group {uid:?}"));
        match tally.note(there) {
            Some(false) => {}
            None if is_lost => break,
            Some(true) | None => continue,
        }
        if !sees {
            records.see_some().await?;
            sees = true;
        }
        if args.choice.confirm && tally.note(cluster.delete(&name).await).is_none() {
            continue;
        }
        session.say(&format!("group/{name}"))?;
    }
    tally.finish(session)
}

/// Whether the directory cannot be asked any more.
fn is_lost(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(DirectoryError::is_lost)
}

/// The Group that a record makes; none if the entry that names it is not where the configuration looks.
async fn make(
    cluster: &Cluster,
    records: &mut Records<'_>,
    (uid, name): (&str, Option<String>),
    time: &str,
) -> anyhow::Result<Option<Value>> {
    let members = records.members(uid).await;
    let members = members.with_context(|| format!("determining LDAP group membership for {uid:?}"))?;
    let users = members.iter().map(|member| records.user_name(member)).collect::<Result<Vec<_>, _>>();
    let users = users.with_context(|| format!("determining usernames for LDAP group {uid:?}"))?;
    let name = match name {
        Some(name) => name,
        None => match records.group_name(uid).await {
            Err(error) if error.is_out_of_scope() => {
                records.remark(error.to_string());
                return Ok(None);
            }
            named => named?,
        },
    };
    let group = cluster.group(&name, uid).await;
    let mut group = group.with_context(|| format!("building OpenShift group for LDAP group {uid:?}"))?;
    let mut seen = BTreeSet::new();
    group["users"] = users.into_iter().filter(|user| seen.insert(user.clone())).map(Value::from).collect();
    object::object_mut(&mut group, "metadata.annotations").insert(TIME_ANNOTATION.to_owned(), json!(time));
    Ok(Some(group))
}

impl ChoiceArgs {
    /// The groups to take, and those to leave out.
    fn lists(
        &self,
        mut wanted: Vec<String>,
        session: &mut Session,
    ) -> anyhow::Result<(Vec<String>, Vec<String>)> {
        if let Some(path) = &self.whitelist {
            wanted.extend(lines(path, session)?);
        }
        let unwanted = self.blacklist.as_ref().map(|path| lines(path, session)).transpose()?;
        Ok((wanted, unwanted.unwrap_or_default()))
    }
}

fn lines(path: &PathBuf, session: &mut Session) -> anyhow::Result<Vec<String>> {
    let content = session.read_file(path)?;
    let text = String::from_utf8(content).with_context(|| format!("{} is not text", path.display()))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Names of Groups, as they are typed: perhaps with their kind, or as what the configuration gives a name to.
fn named(typed: &[String], config: &SyncConfig) -> anyhow::Result<Vec<String>> {
    let name = |typed: &String| {
        let name = match typed.split_once('/') {
            Some(("group" | "groups", name)) => name,
            Some(_) if !config.names.contains_key(typed) => bail!("{typed:?} is not a valid OpenShift group"),
            _ => typed,
        };
        Ok(config.names.get(name).map_or(name, String::as_str).to_owned())
    };
    typed.iter().map(name).collect()
}

impl Cluster {
    async fn of(config: &SyncConfig, session: &mut Session) -> anyhow::Result<Self> {
        let (client, discovery) = (session.client()?, session.discovery().await?);
        let kind = discovery.known("user.openshift.io", "groups")?.clone();
        Ok(Self { client, kind, host: config.server.host.clone(), place: config.server.place() })
    }

    /// Record and name of the Groups that were made from this directory: those of `wanted`, or all without.
    async fn made_before(
        &self,
        wanted: &[String],
        unwanted: &[String],
    ) -> anyhow::Result<Vec<(String, String)>> {
        let mut made = Vec::new();
        if wanted.is_empty() {
            let selector = format!("{HOST_LABEL}={}", self.host);
            let query = [("labelSelector", selector.as_str())];
            for group in get::read_all(&self.client, &self.kind, None, &query).await? {
                let name = object::name(&group);
                if unwanted.iter().any(|other| other == name) || !self.is_labelled(&group) {
                    continue;
                }
                made.extend(self.record_of(&group)?.map(|uid| (uid, name.to_owned())));
            }
            return Ok(made);
        }
        for name in wanted.iter().filter(|name| !unwanted.contains(name)) {
            let group = get::read(&self.client, &self.kind, "", name).await?;
            let Some(uid) = self.record_of(&group)? else {
                bail!("group {name:?} was not synchronized from: {}", self.place);
            };
            made.push((uid, name.clone()));
        }
        Ok(made)
    }

    fn is_labelled(&self, group: &Value) -> bool {
        label(group, "labels", HOST_LABEL) == Some(&self.host)
    }

    /// The record that a Group was made from; none if that is in another directory.
    fn record_of(&self, group: &Value) -> anyhow::Result<Option<String>> {
        let annotation = |key: &'static str| {
            label(group, "annotations", key).ok_or_else(|| {
                let name = object::name(group);
                anyhow!("group {name:?} marked as having been synced did not have an {key} annotation")
            })
        };
        if annotation(URL_ANNOTATION)? != self.place {
            return Ok(None);
        }
        Ok(Some(annotation(UID_ANNOTATION)?.to_owned()))
    }

    /// The Group of this name as it is or will be; an error if it is not from this record.
    async fn group(&self, name: &str, uid: &str) -> anyhow::Result<Value> {
        let group = match get::read(&self.client, &self.kind, "", name).await {
            Ok(group) => group,
            Err(error) if error.is_not_found() => {
                return Ok(json!({
                    "apiVersion": self.kind.api_version(), "kind": "Group",
                    "metadata": {
                        "annotations": {URL_ANNOTATION: self.place, UID_ANNOTATION: uid},
                        "labels": {HOST_LABEL: self.host},
                        "name": name,
                    },
                }));
            }
            Err(error) => return Err(error.into()),
        };
        for (section, key, what, wanted) in [
            ("labels", HOST_LABEL, "label did not match sync host", self.host.as_str()),
            ("annotations", URL_ANNOTATION, "annotation did not match sync host", &self.place),
            ("annotations", UID_ANNOTATION, "annotation did not match LDAP UID", uid),
        ] {
            let found = label(&group, section, key);
            if found != Some(wanted) {
                let found = found.unwrap_or("nothing");
                bail!("group {name:?}: {key} {what}: wanted {wanted}, got {found}");
            }
        }
        Ok(group)
    }

    async fn write(&self, uid: &str, group: &Value) -> anyhow::Result<()> {
        let name = object::name(group);
        let (method, path) = if object::text(group, "metadata.uid").is_empty() {
            (Method::POST, self.kind.resource().collection(None))
        } else {
            (Method::PUT, self.kind.resource().item(None, name, None))
        };
        let written = self.client.request(method, &path, None, Some(group)).await;
        written.with_context(|| format!("updating OpenShift group {name:?} for LDAP group {uid:?}"))?;
        Ok(())
    }

    async fn delete(&self, name: &str) -> anyhow::Result<()> {
        let path = self.kind.resource().item(None, name, None);
        let deleted = self.client.send(ApiRequest::new(Method::DELETE, path, Bytes::new())).await;
        deleted.with_context(|| format!("pruning OpenShift group {name:?}"))?;
        Ok(())
    }
}

/// A label or annotation; their keys hold dots.
fn label<'g>(group: &'g Value, section: &str, key: &str) -> Option<&'g str> {
    group.get("metadata")?.get(section)?.get(key)?.as_str()
}
