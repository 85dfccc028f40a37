//! `adm top images|imagestreams`: what images take, and who needs them.
//!
//! Owns the columns. What uses an image is read as `prune` reads it, so that what nobody is said to use is what would go.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::usage::InUse;
use crate::{
    environment::ExitStatus, object, print::tabwriter, registries::size, session::Session, verbs::get,
};

const GROUP: &str = "image.openshift.io";

#[derive(Subcommand, Debug)]
pub(super) enum TopVerb {
    Images(TopArgs),
    #[command(visible_alias = "is")]
    Imagestreams(TopArgs),
}

/// Show what images take and who uses them, or what image streams take
///
/// Examples:
///   adm top images
///   adm top imagestreams
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct TopArgs {}

/// Layers that everybody has and that take nothing.
const EMPTY_LAYERS: [&str; 2] = [
    "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4",
    "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
];

pub(super) async fn run(verb: TopVerb, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let client = session.client()?;
    let images = get::read_all(&client, discovery.known(GROUP, "images")?, None, &[]).await?;
    let namespace = session.globals.namespace.clone();
    let streams =
        get::read_all(&client, discovery.known(GROUP, "imagestreams")?, namespace.as_deref(), &[]).await?;
    let text = match verb {
        TopVerb::Images(TopArgs {}) => {
            let used = InUse::read(session, &discovery, None, None).await?;
            image_table(&images, &streams, &used, namespace.is_some())
        }
        TopVerb::Imagestreams(TopArgs {}) => stream_table(&images, &streams),
    };
    session.print_table(&tabwriter::align(&text, tabwriter::TABLE), true)?;
    Ok(ExitStatus::SUCCESS)
}

/// The layers of an image, base first, with what each takes.
fn layers(image: &Value) -> Vec<(&str, i64)> {
    let size = |layer: &Value| layer.get("size").and_then(Value::as_i64).unwrap_or(0);
    object::list(image, "dockerImageLayers")
        .iter()
        .map(|layer| (object::text(layer, "name"), size(layer)))
        .collect()
}

fn storage<'i>(layers: impl Iterator<Item = (&'i str, i64)>) -> i64 {
    let unique: BTreeMap<&str, i64> = layers.filter(|(name, _)| !EMPTY_LAYERS.contains(name)).collect();
    unique.values().sum()
}

#[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
fn shown_size(bytes: i64) -> String {
    size::binary(bytes as f64)
}

fn joined<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let texts: Vec<&str> = texts.into_iter().collect();
    if texts.is_empty() { "<none>".to_owned() } else { texts.join(", ") }
}

/// The images by what they take, the largest first. `only_named` leaves out those that no stream shown has.
fn image_table(images: &[Value], streams: &[Value], used: &InUse, only_named: bool) -> String {
    let mut tags: BTreeMap<&str, BTreeMap<String, Vec<&str>>> = BTreeMap::new();
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for stream in streams {
        let at = (object::namespace(stream).unwrap_or_default().to_owned(), object::name(stream).to_owned());
        for list in object::list(stream, "status.tags") {
            let tag = object::text(list, "tag");
            for (revision, item) in object::list(list, "items").iter().enumerate() {
                let image = object::text(item, "image");
                let named = tags.entry(image).or_default().entry(format!("{}/{}", at.0, at.1)).or_default();
                if !named.contains(&tag) {
                    named.push(tag);
                }
                let by_tag = used.tags.get(&(at.clone(), tag.to_owned())).filter(|_| revision == 0);
                let by_image = used.images.get(&(at.clone(), image.to_owned()));
                let names = by_tag.into_iter().chain(by_image).flatten().map(String::as_str);
                users.entry(image).or_default().extend(names);
            }
        }
    }
    let chains: Vec<(&str, Vec<&str>)> = images
        .iter()
        .map(|image| (object::name(image), layers(image).into_iter().map(|(name, _)| name).collect()))
        .collect();
    let mut rows: Vec<(i64, String)> = images
        .iter()
        .filter(|image| !only_named || tags.contains_key(object::name(image)))
        .map(|image| {
            let name = object::name(image);
            let named = tags.get(name).into_iter().flatten();
            let named: Vec<String> =
                named.map(|(stream, tags)| format!("{stream} ({})", tags.join(","))).collect();
            let parents = parents(name, &chains);
            let metadata = if object::at(image, "dockerImageMetadata.Id").is_some() { "yes" } else { "no" };
            let bytes = storage(layers(image).into_iter());
            let cells = [
                name.to_owned(),
                joined(named.iter().map(String::as_str)),
                joined(parents),
                joined(users.get(name).into_iter().flatten().copied()),
                metadata.to_owned(),
                shown_size(bytes),
            ];
            (bytes, cells.join("\t"))
        })
        .collect();
    rows.sort_by(|one, other| other.cmp(one));
    let rows: String = rows.into_iter().map(|(_, row)| row + "\n").collect();
    format!("NAME\tIMAGESTREAMTAG\tPARENTS\tUSAGE\tMETADATA\tSTORAGE\n{rows}")
}

/// The images that an image was built on: those with the longest beginning of its layers.
fn parents<'i>(name: &str, chains: &[(&'i str, Vec<&str>)]) -> Vec<&'i str> {
    let Some((_, own)) = chains.iter().find(|(known, _)| *known == name) else { return Vec::new() };
    let below = |chain: &Vec<&str>| !chain.is_empty() && chain.len() < own.len() && own.starts_with(chain);
    let longest = chains.iter().filter(|(_, chain)| below(chain)).map(|(_, chain)| chain.len()).max();
    let nearest = chains.iter().filter(|(_, chain)| below(chain) && Some(chain.len()) == longest);
    nearest.map(|(name, _)| *name).collect()
}

fn stream_table(images: &[Value], streams: &[Value]) -> String {
    let known: BTreeMap<&str, &Value> = images.iter().map(|image| (object::name(image), image)).collect();
    let mut rows: Vec<(i64, String)> = streams
        .iter()
        .map(|stream| {
            let lists = object::list(stream, "status.tags").iter();
            let items = lists.flat_map(|list| object::list(list, "items"));
            let images: BTreeSet<&str> =
                items.map(|item| object::text(item, "image")).filter(|image| !image.is_empty()).collect();
            let all: Vec<(&str, i64)> =
                images.iter().filter_map(|image| known.get(image)).flat_map(|image| layers(image)).collect();
            let unique: BTreeSet<&str> = all.iter().map(|(name, _)| *name).collect();
            let bytes = storage(all.iter().copied());
            let name = format!("{}/{}", object::namespace(stream).unwrap_or_default(), object::name(stream));
            (bytes, format!("{name}\t{}\t{}\t{}", shown_size(bytes), images.len(), unique.len()))
        })
        .collect();
    rows.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
    let rows: String = rows.into_iter().map(|(_, row)| row + "\n").collect();
    format!("NAME\tSTORAGE\tIMAGES\tLAYERS\n{rows}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{image_table, stream_table};
    use crate::verbs::adm::usage::InUse;

    fn image(name: &str, layers: &[(&str, i64)]) -> Value {
        let layers: Vec<Value> =
            layers.iter().map(|(name, size)| json!({"name": name, "size": size})).collect();
        json!({"metadata": {"name": name}, "dockerImageLayers": layers, "dockerImageMetadata": {"Id": "x"}})
    }

    #[test]
    fn tables_say_what_images_take() {
        let base = format!("sha256:{}", "b".repeat(64));
        let images = [image(&base, &[("l1", 1024)]), image("app", &[("l1", 1024), ("l2", 2048)])];
        let streams = [json!({"metadata": {"name": "web", "namespace": "shop"}, "status": {"tags": [
            {"tag": "latest", "items": [{"image": "app"}, {"image": base}]},
            {"tag": "v1", "items": [{"image": "app"}]},
        ]}})];
        let mut used = InUse::default();
        let pod = json!({"metadata": {"name": "p", "namespace": "shop",
            "annotations": {"openshift.io/deployment.name": "web-1"}},
            "spec": {"containers": [{"name": "c", "image": format!("host:5000/shop/web@{base}")}]}});
        used.add_workload("Pod", &pod, "spec");
        assert_eq!(
            image_table(&images, &streams, &used, false),
            format!(
                "NAME\tIMAGESTREAMTAG\tPARENTS\tUSAGE\tMETADATA\tSTORAGE\n\
                 app\tshop/web (latest,v1)\t{base}\t<none>\tyes\t3KiB\n\
                 {base}\tshop/web (latest)\t<none>\tDeployment: shop/web-1\tyes\t1KiB\n"
            )
        );
        assert_eq!(stream_table(&images, &streams), "NAME\tSTORAGE\tIMAGES\tLAYERS\nshop/web\t3KiB\t2\t2\n");
    }
}
