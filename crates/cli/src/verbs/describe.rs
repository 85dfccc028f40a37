//! `describe`: objects in detail.

use clap::Args;

use super::get;
use crate::{
    describe::{self, Context},
    environment::ExitStatus,
    manifest, object, resource_args,
    session::Session,
    tally::Tally,
};

/// Show objects in detail
///
/// Examples:
///   describe sa pusher
///   describe is/myimage
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct DescribeArgs {
    /// TYPE [NAME|PREFIX…] | TYPE/NAME…
    #[arg(value_name = "TYPE")]
    words: Vec<String>,
    #[command(flatten)]
    files: manifest::FileArgs,
    /// Only objects with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Look into all projects
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Show the events about them
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    show_events: bool,
}

pub(crate) async fn run(args: DescribeArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let client = session.client()?;
    let namespace = session.namespace()?;
    let mut words = args.words.clone();
    if !args.files.is_empty() {
        for document in args.files.read(session).await? {
            let kind = discovery.of_document(&document)?;
            words.push(format!("{}/{}", kind.qualified_plural(), manifest::name_of(&document)?));
        }
    }
    let mut found = Vec::new();
    let mut tally = Tally::default();
    for target in resource_args::parse(&discovery, &words)?.targets {
        let kind = target.kind;
        let Some(name) = target.name else {
            let query: Vec<_> =
                args.selector.iter().map(|selector| ("labelSelector", selector.as_str())).collect();
            let scope = (!args.all_namespaces).then_some(namespace.as_str());
            for object in get::read_all(&client, &kind, scope, &query).await? {
                found.push((kind.clone(), object));
            }
            continue;
        };
        match get::read(&client, &kind, &namespace, &name).await {
            Ok(object) => {
                tally.note(anyhow::Ok(()));
                found.push((kind, object));
            }
            Err(failure) if failure.is_not_found() => {
                // Half a name is enough to describe.
                let all = get::read_all(&client, &kind, Some(&namespace), &[]).await.unwrap_or_default();
                let before = found.len();
                let matching =
                    all.into_iter().filter(|object| object::name(object).starts_with(name.as_str()));
                found.extend(matching.map(|object| (kind.clone(), object)));
                if found.len() == before {
                    tally.note(Err::<(), _>(failure));
                }
            }
            Err(failure) => {
                tally.note(Err::<(), _>(failure));
            }
        }
    }
    if found.is_empty() && !tally.has_failures() {
        session.remark(&format!("No resources found in {namespace} namespace."))?;
    }
    let context = Context {
        client: &client,
        discovery: &discovery,
        now: (session.environment.now)(),
        era: session.era(),
        show_events: args.show_events,
    };
    for (position, (kind, object)) in found.iter().enumerate() {
        let text = describe::describe(&context, kind, object).await?;
        if position > 0 {
            session.print("\n\n")?;
        }
        session.print(&text)?;
    }
    tally.finish(session)
}
