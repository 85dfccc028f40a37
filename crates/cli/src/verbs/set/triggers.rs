//! `set triggers`: what starts deployments (platform 8.3).

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::{Objects, SetOptions, container_names, subject};
use crate::{
    deployments::{self, annotation},
    discovery::ApiKind,
    environment::ExitStatus,
    object,
    print::tabwriter,
    session::Session,
};

/// Annotation by which objects other than deployment configs follow images.
const IMAGE_TRIGGERS: &str = "image.openshift.io/triggers";

/// Show or change what starts deployments
#[derive(Args, Debug)]
pub(super) struct TriggersArgs {
    /// TYPE/NAME…
    #[arg(value_name = "NAME", required = true)]
    words: Vec<String>,
    /// Deploy when this tag of an image stream moves
    #[arg(long, value_name = "[PROJECT/]NAME:TAG")]
    from_image: Option<String>,
    /// Containers that get its image
    #[arg(short = 'c', long, value_delimiter = ',', value_name = "NAMES")]
    containers: Vec<String>,
    /// Deploy when the config changes
    #[arg(long)]
    from_config: bool,
    /// Deploy by itself
    #[arg(long, conflicts_with = "manual")]
    auto: bool,
    /// Deploy only when somebody asks
    #[arg(long)]
    manual: bool,
    /// Remove the triggers that the other flags name
    #[arg(long)]
    remove: bool,
    /// Remove all triggers
    #[arg(long)]
    remove_all: bool,
    #[command(flatten)]
    options: SetOptions,
}

/// A tag that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    namespace: String,
    name: String,
}

pub(super) async fn run(args: TriggersArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let objects = args.options.objects(&args.words, session).await?;
    let names_trigger = args.from_image.is_some() || args.from_config;
    if !names_trigger && !args.auto && !args.manual && !args.remove_all {
        if args.remove {
            bail!("specify which triggers to remove, or pass --remove-all");
        }
        return show(&objects, session);
    }
    let own = session.namespace()?;
    let tag = args.from_image.as_deref().map(|image| parse(image, &own)).transpose()?;
    for (kind, _) in &objects {
        if kind.group != deployments::GROUP && args.from_config {
            bail!("{} only support image triggers", kind.plural);
        }
    }
    let (configs, others): (Objects, Objects) =
        objects.into_iter().partition(|(kind, _)| kind.group == deployments::GROUP);
    let done = "triggers updated";
    args.options.change(configs, done, session, |object| change_config(object, &args, tag.as_ref())).await?;
    args.options.change(others, done, session, |object| change_annotation(object, &args, tag.as_ref())).await
}

fn parse(image: &str, own: &str) -> anyhow::Result<Tag> {
    let (namespace, name) = image.split_once('/').unwrap_or((own, image));
    if name.contains(['/', '@']) || name.is_empty() {
        bail!("{image:?} is not a valid image stream tag: use [PROJECT/]NAME:TAG");
    }
    let name = if name.contains(':') { name.to_owned() } else { format!("{name}:latest") };
    Ok(Tag { namespace: namespace.to_owned(), name })
}

/// The containers a new trigger sets: those named, or the only one there is.
fn containers(object: &Value, args: &TriggersArgs) -> anyhow::Result<Vec<String>> {
    let known = container_names(object);
    if args.containers.is_empty() {
        return match known.as_slice() {
            [only] => Ok(vec![(*only).to_owned()]),
            _ => bail!("you must specify --containers when setting --from-image"),
        };
    }
    for name in &args.containers {
        if !known.contains(&name.as_str()) {
            bail!("not all container names exist: {name} (accepts: {})", known.join(", "));
        }
    }
    Ok(args.containers.clone())
}

fn change_config(config: &mut Value, args: &TriggersArgs, tag: Option<&Tag>) -> anyhow::Result<()> {
    let own = object::namespace(config).unwrap_or_default().to_owned();
    let is_followed = |trigger: &Value, tag: &Tag| {
        let from = &trigger["imageChangeParams"]["from"];
        let namespace = match object::text(from, "namespace") {
            "" => own.as_str(),
            namespace => namespace,
        };
        object::text(trigger, "type") == "ImageChange"
            && object::text(from, "name") == tag.name
            && namespace == tag.namespace
    };
    let wanted = match (tag, args.remove) {
        (Some(_), false) => containers(config, args)?,
        _ => Vec::new(),
    };
    let triggers = object::list_mut(config, "spec.triggers");
    if args.remove_all {
        triggers.clear();
    }
    if args.remove {
        triggers.retain(|trigger| {
            !(args.from_config && object::text(trigger, "type") == "ConfigChange"
                || tag.is_some_and(|tag| is_followed(trigger, tag)))
        });
        return Ok(());
    }
    let has_config = triggers.iter().any(|trigger| object::text(trigger, "type") == "ConfigChange");
    if args.from_config && !args.manual && !has_config {
        triggers.push(json!({"type": "ConfigChange"}));
    }
    if let Some(tag) = tag {
        triggers.retain(|trigger| !is_followed(trigger, tag));
        let mut from = json!({"kind": "ImageStreamTag", "name": tag.name});
        if tag.namespace != own {
            from["namespace"] = json!(tag.namespace);
        }
        triggers.push(json!({
            "type": "ImageChange",
            "imageChangeParams": {"automatic": !args.manual, "containerNames": wanted, "from": from},
        }));
        return Ok(());
    }
    if args.manual {
        triggers.retain(|trigger| object::text(trigger, "type") != "ConfigChange");
    }
    if args.auto && !args.from_config && !has_config {
        triggers.push(json!({"type": "ConfigChange"}));
    }
    if args.auto || (args.manual && !args.from_config) {
        for trigger in triggers.iter_mut().filter(|trigger| object::text(trigger, "type") == "ImageChange") {
            trigger["imageChangeParams"]["automatic"] = json!(args.auto);
        }
    }
    Ok(())
}

/// The triggers that an annotation holds.
fn annotated(object: &Value) -> Vec<Value> {
    serde_json::from_str(annotation(object, IMAGE_TRIGGERS)).unwrap_or_default()
}

fn change_annotation(object: &mut Value, args: &TriggersArgs, tag: Option<&Tag>) -> anyhow::Result<()> {
    let own = object::namespace(object).unwrap_or_default().to_owned();
    let mut triggers = if args.remove_all { Vec::new() } else { annotated(object) };
    let is_followed = |trigger: &Value, tag: &Tag| {
        let namespace = match object::text(trigger, "from.namespace") {
            "" => own.as_str(),
            namespace => namespace,
        };
        object::text(trigger, "from.name") == tag.name && namespace == tag.namespace
    };
    match tag {
        Some(tag) => {
            triggers.retain(|trigger| !is_followed(trigger, tag));
            if !args.remove {
                for container in containers(object, args)? {
                    let mut from = json!({"kind": "ImageStreamTag", "name": tag.name});
                    if tag.namespace != own {
                        from["namespace"] = json!(tag.namespace);
                    }
                    let path = format!("spec.template.spec.containers[?(@.name==\"{container}\")].image");
                    let mut trigger = json!({"from": from, "fieldPath": path});
                    if args.manual {
                        trigger["paused"] = json!(true);
                    }
                    triggers.push(trigger);
                }
            }
        }
        None if args.auto || args.manual => {
            for trigger in &mut triggers {
                trigger["paused"] = json!(args.manual);
            }
        }
        None => {}
    }
    let annotations = object::object_mut(object, "metadata.annotations");
    annotations.insert(IMAGE_TRIGGERS.to_owned(), Value::from(Value::Array(triggers).to_string()));
    Ok(())
}

fn show(objects: &Objects, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let mut text = "NAME\tTYPE\tVALUE\tAUTO\n".to_owned();
    for (kind, object) in objects {
        text.push_str(&rows(kind, object));
    }
    session.print(&tabwriter::align(&text, tabwriter::TABLE))?;
    Ok(ExitStatus::SUCCESS)
}

fn rows(kind: &ApiKind, object: &Value) -> String {
    let name = subject(kind, object);
    let mut text = String::new();
    if kind.group != deployments::GROUP {
        for trigger in annotated(object) {
            let paused = trigger.get("paused").and_then(Value::as_bool).unwrap_or(false);
            let path = object::text(&trigger, "fieldPath");
            text.push_str(&format!(
                "{name}\timage\t{} ({path})\t{}\n",
                object::text(&trigger, "from.name"),
                !paused
            ));
        }
        return text;
    }
    let triggers = object::list(object, "spec.triggers");
    let by_config = triggers.iter().any(|trigger| object::text(trigger, "type") == "ConfigChange");
    text.push_str(&format!("{name}\tconfig\t\t{by_config}\n"));
    for trigger in triggers.iter().filter(|trigger| object::text(trigger, "type") == "ImageChange") {
        let parameters = &trigger["imageChangeParams"];
        let names: Vec<&str> =
            object::list(parameters, "containerNames").iter().filter_map(Value::as_str).collect();
        let source = object::text(parameters, "from.name");
        let source = match object::text(parameters, "from.namespace") {
            "" => source.to_owned(),
            own if Some(own) == object::namespace(object) => source.to_owned(),
            other => format!("{other}/{source}"),
        };
        let automatic = parameters.get("automatic").and_then(Value::as_bool).unwrap_or(false);
        text.push_str(&format!("{name}\timage\t{source} ({})\t{automatic}\n", names.join(", ")));
    }
    text
}
