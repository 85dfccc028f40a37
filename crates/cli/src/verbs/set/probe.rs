//! `set probe`: how it is found out whether containers live and are ready.

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::{SetOptions, each_container};
use crate::{environment::ExitStatus, session::Session};

/// Change how it is found out whether containers live and are ready
///
/// Examples:
///   set probe dc/web --readiness --get-url=http://:8080/healthz
///   set probe dc/web --liveness -- cat /tmp/alive
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct ProbeArgs {
    /// TYPE/NAME… [-- COMMAND…]
    #[arg(value_name = "NAME", required = true)]
    words: Vec<String>,
    /// Command that succeeds
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// May the container get requests?
    #[arg(long)]
    readiness: bool,
    /// Must the container be restarted?
    #[arg(long)]
    liveness: bool,
    /// Has the container started?
    #[arg(long)]
    startup: bool,
    /// Remove the probe
    #[arg(long)]
    remove: bool,
    /// URL that answers, such as http://:8080/healthz
    #[arg(long, value_name = "URL")]
    get_url: Option<String>,
    /// Port that can be connected to
    #[arg(long, value_name = "PORT")]
    open_tcp: Option<String>,
    /// Seconds before the first try
    #[arg(long, value_name = "SECONDS")]
    initial_delay_seconds: Option<u32>,
    /// Seconds until a try has failed
    #[arg(long, value_name = "SECONDS")]
    timeout_seconds: Option<u32>,
    /// Seconds between tries
    #[arg(long, value_name = "SECONDS")]
    period_seconds: Option<u32>,
    /// Tries in a row until it counts as good
    #[arg(long, value_name = "N")]
    success_threshold: Option<u32>,
    /// Tries in a row until it counts as bad
    #[arg(long, value_name = "N")]
    failure_threshold: Option<u32>,
    /// Containers, by name or pattern
    #[arg(short = 'c', long, default_value = "*", value_name = "NAMES")]
    containers: String,
    #[command(flatten)]
    options: SetOptions,
}

pub(super) async fn run(args: ProbeArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let fields: Vec<&str> = [
        (args.readiness, "readinessProbe"),
        (args.liveness, "livenessProbe"),
        (args.startup, "startupProbe"),
    ]
    .into_iter()
    .filter_map(|(is_meant, field)| is_meant.then_some(field))
    .collect();
    if fields.is_empty() {
        bail!("you must specify at least one of --readiness, --liveness, --startup");
    }
    let action = action(&args)?;
    let objects = args.options.objects(&args.words, session).await?;
    args.options
        .change(objects, "probes updated", session, |object| {
            each_container(object, &args.containers, |container| {
                for field in &fields {
                    if args.remove {
                        if let Value::Object(container) = container {
                            container.remove(*field);
                        }
                        continue;
                    }
                    let mut probe = container.get(*field).cloned().unwrap_or_else(|| json!({}));
                    change(&mut probe, action.as_ref(), &args);
                    if !["exec", "httpGet", "tcpSocket", "grpc"].iter().any(|way| probe.get(way).is_some()) {
                        bail!("you must specify a handler: --get-url, --open-tcp or a command after --");
                    }
                    container[*field] = probe;
                }
                Ok(())
            })
        })
        .await
}

fn change(probe: &mut Value, action: Option<&(&'static str, Value)>, args: &ProbeArgs) {
    if let (Some((way, how)), Value::Object(fields)) = (action, &mut *probe) {
        for other in ["exec", "httpGet", "tcpSocket", "grpc"] {
            fields.remove(other);
        }
        fields.insert((*way).to_owned(), how.clone());
    }
    for (field, value) in [
        ("initialDelaySeconds", args.initial_delay_seconds),
        ("timeoutSeconds", args.timeout_seconds),
        ("periodSeconds", args.period_seconds),
        ("successThreshold", args.success_threshold),
        ("failureThreshold", args.failure_threshold),
    ] {
        if let Some(value) = value {
            probe[field] = json!(value);
        }
    }
}

/// How the probe asks, if the flags say so.
fn action(args: &ProbeArgs) -> anyhow::Result<Option<(&'static str, Value)>> {
    let port = |text: &str| text.parse::<u16>().map_or_else(|_| json!(text), |number| json!(number));
    match (&args.get_url, &args.open_tcp, args.command.is_empty()) {
        (None, None, true) => Ok(None),
        (None, None, false) => Ok(Some(("exec", json!({"command": args.command})))),
        (None, Some(socket), true) => Ok(Some(("tcpSocket", json!({"port": port(socket)})))),
        (Some(url), None, true) => {
            let Some((scheme, rest)) = url.split_once("://") else {
                bail!("--get-url {url:?} must be a URL such as http://:8080/healthz");
            };
            if !matches!(scheme, "http" | "https") {
                bail!("--get-url may only use the http or https scheme");
            }
            let (authority, path) =
                rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
            let (host, number) = authority.rsplit_once(':').unwrap_or((authority, ""));
            let number = match (number, scheme) {
                ("", "https") => "443",
                ("", _) => "80",
                (number, _) => number,
            };
            let mut get = json!({"scheme": scheme.to_uppercase(), "port": port(number), "path": path});
            if !host.is_empty() {
                get["host"] = json!(host);
            }
            Ok(Some(("httpGet", get)))
        }
        _ => bail!("only one of --get-url, --open-tcp and a command can be set"),
    }
}
