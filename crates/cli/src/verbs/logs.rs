//! `logs`: what containers and deployments have written (platform 8.4, 8.6).

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_client::{ApiRequest, BytesStream, Client, ClientError};
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet};

use super::get;
use crate::{
    deployments,
    discovery::{ApiKind, Discovery},
    environment::ExitStatus,
    error,
    globals::Era,
    object, resource_args,
    session::Session,
};

/// How soon the log of a container that waits to start is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Show the log of a container, or of a deployment
///
/// Examples:
///   logs web-1-x7k2p                 a pod
///   logs -f dc/web                   the latest deployment, as it goes on
///   logs --version=2 dc/web          the second deployment
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct LogsArgs {
    /// POD | TYPE/NAME, and perhaps a container
    #[arg(value_name = "NAME")]
    words: Vec<String>,
    /// Go on until the container ends
    #[arg(short = 'f', long)]
    follow: bool,
    /// The container before its last restart, or the deployment before this one
    #[arg(short = 'p', long)]
    previous: bool,
    /// The container; needed for pods with several
    #[arg(short = 'c', long, value_name = "NAME")]
    container: Option<String>,
    /// All containers of the pod, one after the other
    #[arg(long, conflicts_with = "container")]
    all_containers: bool,
    /// Only the last lines; -1 shows all
    #[arg(long, default_value_t = -1, allow_hyphen_values = true, value_name = "N")]
    tail: i64,
    /// Only lines younger than this, such as 5m
    #[arg(long, conflicts_with = "since_time", value_name = "DURATION")]
    since: Option<String>,
    /// Only lines written after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since_time: Option<String>,
    /// The time before each line
    #[arg(long)]
    timestamps: bool,
    /// At most so many bytes
    #[arg(long, default_value_t = 0, value_name = "N")]
    limit_bytes: u64,
    /// The number of the deployment
    #[arg(long, default_value_t = 0, value_name = "N")]
    version: u64,
    /// The pods with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
}

pub(crate) async fn run(args: LogsArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let pods = discovery.known("", "pods")?;
    if let Some(selector) = &args.selector {
        if !args.words.is_empty() {
            bail!("only a selector (-l) or a POD name is allowed");
        }
        let query = [("labelSelector", selector.as_str())];
        let mut paths = Vec::new();
        for pod in get::read_all(&client, pods, Some(&namespace), &query).await? {
            paths.extend(pod_paths(&args, pods, &pod, session)?);
        }
        return show_all(&client, paths, args.follow, session).await;
    }
    let (kind, name, container) = subject(&args, &discovery)?;
    if args.version > 0 && kind.plural != "deploymentconfigs" {
        bail!("cannot specify --version with {}", kind.plural);
    }
    match kind.plural.as_str() {
        "deploymentconfigs" => {
            let path = kind.resource().item(Some(&namespace), &name, Some("log"));
            let mut query = query(&args, args.container.as_deref())?;
            if args.version > 0 {
                query.push(("version", args.version.to_string()));
            }
            if !args.follow {
                // Who does not follow does not want to wait for the deployment to begin.
                query.push(("nowait", "true".to_owned()));
            }
            show(&client, located(&path, &query), session).await?;
        }
        "pods" => {
            let pod = get::read(&client, pods, &namespace, &name).await?;
            let args = LogsArgs { container: args.container.clone().or(container), ..args };
            let paths = pod_paths(&args, pods, &pod, session)?;
            return show_all(&client, paths, args.follow, session).await;
        }
        _ => {
            let pod = pod_of(&client, &discovery, &kind, &namespace, &name, session).await?;
            let paths = pod_paths(&args, pods, &pod, session)?;
            return show_all(&client, paths, args.follow, session).await;
        }
    }
    Ok(ExitStatus::SUCCESS)
}

/// Follows the log of a config's latest deployment.
pub(super) async fn follow_config(name: &str, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let path = deployments::configs(&discovery)?.resource().item(Some(&namespace), name, Some("log"));
    show(&client, located(&path, &[("follow", "true".to_owned())]), session).await?;
    Ok(ExitStatus::SUCCESS)
}

/// `POD [CONTAINER]`, `TYPE/NAME` or `TYPE NAME`.
fn subject(args: &LogsArgs, discovery: &Discovery) -> anyhow::Result<(ApiKind, String, Option<String>)> {
    match args.words.as_slice() {
        [] => bail!(
            "expected 'logs (POD | TYPE/NAME) [CONTAINER_NAME]'.\nPOD or TYPE/NAME is a required argument for the logs command"
        ),
        [word] if word.contains('/') => {
            let (kind, name) = resource_args::parse_one(discovery, &args.words)?;
            Ok((kind, name, None))
        }
        [pod] => Ok((discovery.known("", "pods")?.clone(), pod.clone(), None)),
        [word, container] if word.contains('/') => {
            let (kind, name) = resource_args::parse_one(discovery, std::slice::from_ref(word))?;
            Ok((kind, name, Some(container.clone())))
        }
        [first, second] => {
            match discovery.find(first).filter(|kind| *kind.plural != **first || kind.can("get")) {
                Some(kind) => Ok((kind.clone(), second.clone(), None)),
                None => Ok((discovery.known("", "pods")?.clone(), first.clone(), Some(second.clone()))),
            }
        }
        _ => bail!("only one object's log can be shown at a time"),
    }
}

/// A pod of something that has pods: a ready one if there is one.
async fn pod_of(
    client: &Client,
    discovery: &Discovery,
    kind: &ApiKind,
    namespace: &str,
    name: &str,
    session: &mut Session,
) -> anyhow::Result<Value> {
    let owner = get::read(client, kind, namespace, name).await?;
    let labels = match object::string_map(&owner, "spec.selector.matchLabels") {
        labels if labels.is_empty() => object::string_map(&owner, "spec.selector"),
        labels => labels,
    };
    if labels.is_empty() {
        bail!("cannot get the logs from {}: it selects no pods", kind.display_name());
    }
    let selector = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let pods = discovery.known("", "pods")?;
    let mut found =
        get::read_all(client, pods, Some(namespace), &[("labelSelector", selector.as_str())]).await?;
    let is_ready = |pod: &Value| {
        object::list(pod, "status.conditions").iter().any(|condition| {
            object::text(condition, "type") == "Ready" && object::text(condition, "status") == "True"
        })
    };
    found.sort_by_key(|pod| (!is_ready(pod), object::text(pod, "metadata.creationTimestamp").to_owned()));
    let count = found.len();
    let Some(pod) = found.into_iter().next() else {
        bail!("timed out waiting for the condition: no pod of {}/{name}", kind.display_name());
    };
    if count > 1 {
        session.remark(&format!("Found {count} pods, using pod/{}", object::name(&pod)))?;
    }
    Ok(pod)
}

/// Where the logs of a pod are that the flags ask for.
fn pod_paths(
    args: &LogsArgs,
    pods: &ApiKind,
    pod: &Value,
    session: &mut Session,
) -> anyhow::Result<Vec<String>> {
    let path = pods.resource().item(object::namespace(pod), object::name(pod), Some("log"));
    let names: Vec<&str> = object::list(pod, "spec.initContainers")
        .iter()
        .filter(|_| args.all_containers)
        .chain(object::list(pod, "spec.containers"))
        .map(|container| object::text(container, "name"))
        .collect();
    if args.all_containers {
        return names.into_iter().map(|name| Ok(located(&path, &query(args, Some(name))?))).collect();
    }
    let mut container = args.container.as_deref();
    if container.is_none() && names.len() > 1 && session.era() == Era::V4 {
        session.remark(&format!("Defaulted container {:?} out of: {}", names[0], names.join(", ")))?;
        container = Some(names[0]);
    }
    Ok(vec![located(&path, &query(args, container)?)])
}

fn query(args: &LogsArgs, container: Option<&str>) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut query = Vec::new();
    if let Some(container) = container {
        query.push(("container", container.to_owned()));
    }
    for (name, is_set) in
        [("follow", args.follow), ("previous", args.previous), ("timestamps", args.timestamps)]
    {
        if is_set {
            query.push((name, "true".to_owned()));
        }
    }
    if args.tail >= 0 {
        query.push(("tailLines", args.tail.to_string()));
    } else if args.tail < -1 {
        bail!("--tail must be greater than or equal to -1");
    }
    if let Some(since) = &args.since {
        // Whole seconds, rounded up as kubectl does.
        let Some(since) = crate::session::parse_timeout(since)? else {
            bail!("--since must be greater than 0")
        };
        let seconds = since.as_secs() + u64::from(since.subsec_nanos() > 0);
        query.push(("sinceSeconds", seconds.to_string()));
    }
    if let Some(time) = &args.since_time {
        if time.parse::<jiff::Timestamp>().is_err() {
            bail!("--since-time: {time:?} is not a time such as 2016-03-30T12:00:00Z");
        }
        query.push(("sinceTime", time.clone()));
    }
    if args.limit_bytes > 0 {
        query.push(("limitBytes", args.limit_bytes.to_string()));
    }
    Ok(query)
}

/// A path with its query.
fn located(path: &str, query: &[(&'static str, String)]) -> String {
    let mut serializer = form_urlencoded::Serializer::new(String::new());
    serializer.extend_pairs(query);
    let query = serializer.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

async fn open(client: &Client, path: String) -> Result<BytesStream, ClientError> {
    client.stream(ApiRequest::new(Method::GET, path, bytes::Bytes::new()).accept("*/*")).await
}

/// What comes of a log that is one of several.
enum Piece {
    /// Whole lines.
    Lines(Vec<u8>),
    /// There is none yet; it is asked for again.
    Waits(ClientError),
    /// There is no more.
    Failed(ClientError),
}

/// Shows several logs: one after the other, or side by side where they go on, since the first may never end. Of those,
/// one that fails does not end the others.
async fn show_all(
    client: &Client,
    paths: Vec<String>,
    follow: bool,
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    let mut status = ExitStatus::SUCCESS;
    if !follow || paths.len() < 2 {
        for path in paths {
            show(client, path, session).await?;
        }
        return Ok(status);
    }
    let (sender, mut lines) = mpsc::channel(64);
    let mut readers = JoinSet::new();
    for path in paths {
        let (client, sender) = (client.clone(), sender.clone());
        readers.spawn(async move {
            if let Err(error) = send_lines(&client, path, &sender).await {
                // Nobody hears it any more when the output has ended it all.
                sender.send(Piece::Failed(error)).await.ok();
            }
        });
    }
    drop(sender);
    while let Some(piece) = lines.recv().await {
        match piece {
            Piece::Lines(lines) => put(&lines, session)?,
            Piece::Waits(error) => session.remark(&error::render_client(&error))?,
            Piece::Failed(error) => {
                session.remark(&error::render_client(&error))?;
                status = ExitStatus::FAILURE;
            }
        }
    }
    Ok(status)
}

/// Opens a log, perhaps of a container that is yet to start.
async fn open_started(
    client: &Client,
    path: &str,
    sender: &mpsc::Sender<Piece>,
) -> Result<BytesStream, ClientError> {
    let waits = |error: &ClientError| {
        let status = error.status().filter(|status| status.code == 400);
        status.is_some_and(|status| status.message.contains("waiting to start"))
    };
    let mut is_told = false;
    loop {
        match open(client, path.to_owned()).await {
            Err(error) if waits(&error) => {
                if !std::mem::replace(&mut is_told, true) {
                    sender.send(Piece::Waits(error)).await.ok();
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
            other => return other,
        }
    }
}

/// Sends a log on in whole lines, so that those of others come between them and not into them.
async fn send_lines(client: &Client, path: String, sender: &mpsc::Sender<Piece>) -> Result<(), ClientError> {
    let mut log = open_started(client, &path, sender).await?;
    let mut line = Vec::new();
    while let Some(piece) = log.next().await? {
        line.extend_from_slice(&piece);
        if let Some(whole) = take_lines(&mut line)
            && sender.send(Piece::Lines(whole)).await.is_err()
        {
            return Ok(());
        }
    }
    if !line.is_empty() {
        line.push(b'\n');
        sender.send(Piece::Lines(line)).await.ok();
    }
    Ok(())
}

/// Takes what is there in whole lines.
fn take_lines(text: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte == b'\n')?;
    let rest = text.split_off(end + 1);
    Some(std::mem::replace(text, rest))
}

/// Writes a piece of a log at once.
fn put(piece: &[u8], session: &mut Session) -> std::io::Result<()> {
    if session.environment.stdout_is_terminal {
        session.print(&String::from_utf8_lossy(piece))?;
    } else {
        session.environment.stdout.write_all(piece)?;
    }
    session.environment.stdout.flush()
}

/// Copies a log to the output as it arrives.
async fn show(client: &Client, path: String, session: &mut Session) -> anyhow::Result<()> {
    let mut log = open(client, path).await?;
    let mut line = Vec::new();
    while let Some(piece) = log.next().await? {
        if !session.environment.stdout_is_terminal {
            put(&piece, session)?;
            continue;
        }
        // Whole lines, so that characters in two pieces are not taken for wrong ones.
        line.extend_from_slice(&piece);
        if let Some(whole) = take_lines(&mut line) {
            put(&whole, session)?;
        }
    }
    put(&line, session)?;
    Ok(())
}
