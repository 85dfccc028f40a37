//! `events`: what happened in a project, or to one object.

use anyhow::bail;
use clap::Args;
use pierhead_client::{ApiRequest, WatchEventKind};
use serde_json::Value;

use super::get;
use crate::{
    describe::event,
    environment::ExitStatus,
    object,
    print::{
        age,
        output::{Form, OutputArgs, print_objects},
        sanitize::sanitize_cell,
        tabwriter,
    },
    resource_args,
    session::Session,
};

/// Show events, the latest last
///
/// Examples:
///   events
///   events --for=pod/web-1-x7k2p --watch
///   events -A --types=Warning
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct EventsArgs {
    /// Only those about this object
    #[arg(long = "for", value_name = "TYPE/NAME")]
    about: Option<String>,
    /// Only these types: Normal, Warning
    #[arg(long, value_delimiter = ',', ignore_case = true, value_parser = ["Normal", "Warning"], value_name = "TYPE")]
    types: Vec<String>,
    /// Look into all projects
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Go on showing new ones
    #[arg(short = 'w', long)]
    watch: bool,
    /// Leave out the header line
    #[arg(long)]
    no_headers: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: EventsArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let form = args.output.form(session)?;
    let discovery = session.discovery().await?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let kind = discovery.known("", "events")?.clone();
    let about = match &args.about {
        Some(word) => {
            let (kind, name) = resource_args::parse_one(&discovery, std::slice::from_ref(word))?;
            Some((kind.kind, name))
        }
        None => None,
    };
    let is_wanted = |event: &Value| {
        let is_about = about.as_ref().is_none_or(|(kind, name)| {
            object::text(event, "involvedObject.kind") == kind
                && object::text(event, "involvedObject.name") == name
        });
        let event_type = object::text(event, "type");
        is_about
            && (args.types.is_empty()
                || args.types.iter().any(|wanted| wanted.eq_ignore_ascii_case(event_type)))
    };
    let scope = (!args.all_namespaces).then_some(namespace.as_str());
    let mut events = get::read_all(&client, &kind, scope, &[]).await?;
    events.retain(|event| is_wanted(event));
    events.sort_by_key(|found| event::last_seen(found).to_owned());
    if events.is_empty() && !args.watch {
        let place = if args.all_namespaces { String::new() } else { format!(" in {namespace} namespace") };
        session.remark(&format!("No events found{place}."))?;
        return Ok(ExitStatus::SUCCESS);
    }
    if !matches!(form, Form::Table { .. }) {
        if args.watch {
            bail!("--watch shows a table: it works with no other form");
        }
        print_objects(session, &form, events, true, args.output.show_managed_fields)?;
        return Ok(ExitStatus::SUCCESS);
    }
    show(&events, &args, !args.no_headers, session)?;
    if args.watch {
        let path = format!("{}?watch=true", kind.resource().collection(scope));
        let mut stream = client.watch(ApiRequest::get(path)).await?;
        // The watch begins with what is there already.
        let shown: Vec<(String, u64)> = events.iter().map(seen).collect();
        while let Some(change) = stream.next().await? {
            let is_new = matches!(change.kind, WatchEventKind::Added | WatchEventKind::Modified);
            if is_new && is_wanted(&change.object) && !shown.contains(&seen(&change.object)) {
                show(&[change.object], &args, false, session)?;
                session.environment.stdout.flush()?;
            }
        }
    }
    Ok(ExitStatus::SUCCESS)
}

/// What tells one state of an event from others.
fn seen(found: &Value) -> (String, u64) {
    (object::text(found, "metadata.uid").to_owned(), event::count(found))
}

fn show(events: &[Value], args: &EventsArgs, heading: bool, session: &mut Session) -> anyhow::Result<()> {
    let now = (session.environment.now)();
    let mut text = String::new();
    if heading {
        let place = if args.all_namespaces { "NAMESPACE\t" } else { "" };
        text.push_str(&format!("{place}LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n"));
    }
    for found in events {
        if args.all_namespaces {
            text.push_str(&format!("{}\t", object::namespace(found).unwrap_or_default()));
        }
        let last = age::short(Some(event::last_seen(found)), now);
        let count = match event::count(found) {
            1 => String::new(),
            count => format!(" (x{count} over {})", age::short(Some(event::first_seen(found)), now)),
        };
        let cells = [
            format!("{last}{count}"),
            object::text(found, "type").to_owned(),
            object::text(found, "reason").to_owned(),
            format!(
                "{}/{}",
                object::text(found, "involvedObject.kind"),
                object::text(found, "involvedObject.name")
            ),
            object::text(found, "message").trim().to_owned(),
        ];
        let cells: Vec<String> = cells.iter().map(|cell| sanitize_cell(cell)).collect();
        text.push_str(&format!("{}\n", cells.join("\t")));
    }
    session.print_table(&tabwriter::align(&text, tabwriter::TABLE), heading)?;
    Ok(())
}
