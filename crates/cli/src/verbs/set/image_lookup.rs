//! `set image-lookup`: whether names of image streams may stand for images (openshift-images 5.8).

use clap::Args;
use serde_json::{Value, json};

use super::{Objects, SetOptions, image_kind};
use crate::{environment::ExitStatus, object, print::tabwriter, session::Session, verbs::get};

/// On objects with a pod template: names of streams in it stand for their images.
const RESOLVE_NAMES: &str = "alpha.image.policy.openshift.io/resolve-names";

/// Let pods name the images of streams
#[derive(Args, Debug)]
pub(super) struct ImageLookupArgs {
    /// STREAM… | TYPE/NAME…
    #[arg(value_name = "NAME")]
    words: Vec<String>,
    /// Whether they may
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    enabled: bool,
    /// Show how it is
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    options: SetOptions,
}

pub(super) async fn run(args: ImageLookupArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let streams = image_kind(&discovery, "imagestreams")?;
    if args.words.is_empty() && !args.options.select.all {
        let found = get::read_all(&session.client()?, streams, Some(&session.namespace()?), &[]).await?;
        return show(&found.into_iter().map(|stream| (streams.clone(), stream)).collect(), session);
    }
    let words: Vec<String> = if args.words.is_empty() {
        vec![streams.qualified_plural()]
    } else {
        let full = |word: &String| {
            if word.contains('/') { word.clone() } else { format!("{}/{word}", streams.qualified_plural()) }
        };
        args.words.iter().map(full).collect()
    };
    let objects = args.options.objects(&words, session).await?;
    if args.list {
        return show(&objects, session);
    }
    args.options
        .change(objects, "image lookup updated", session, |object| {
            if object.pointer("/spec/template").is_none() {
                object::object_mut(object, "spec.lookupPolicy")
                    .insert("local".to_owned(), json!(args.enabled));
                return Ok(());
            }
            let annotations = object::object_mut(object, "spec.template.metadata.annotations");
            if args.enabled {
                annotations.insert(RESOLVE_NAMES.to_owned(), json!("*"));
            } else {
                annotations.remove(RESOLVE_NAMES);
            }
            Ok(())
        })
        .await
}

fn show(objects: &Objects, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let mut text = "NAME\tLOCAL\n".to_owned();
    for (_, object) in objects {
        let local = match object.pointer("/spec/template") {
            None => object::at(object, "spec.lookupPolicy.local").and_then(Value::as_bool).unwrap_or(false),
            Some(template) => {
                object::string_map(template, "metadata.annotations").contains(&(RESOLVE_NAMES, "*"))
            }
        };
        text.push_str(&format!("{}\t{local}\n", object::name(object)));
    }
    session.print(&tabwriter::align(&text, tabwriter::TABLE))?;
    Ok(ExitStatus::SUCCESS)
}
