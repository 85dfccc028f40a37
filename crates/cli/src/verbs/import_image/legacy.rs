//! The import of 2015 (openshift-images 3.10): the stream says what to import, a controller does it and leaves a
//! mark on the stream, for which the client waits.

use std::time::Duration;

use anyhow::bail;
use http::Method;
use pierhead_client::Client;
use serde_json::{Value, json};

use super::{
    image_resource,
    request::{self, Wanted},
};
use crate::{describe, environment::ExitStatus, follow::Followed, object, session::Session};

/// When the stream was last imported, or why that failed.
const CHECK: &str = "openshift.io/image.dockerRepositoryCheck";
const INSECURE: &str = "openshift.io/image.insecureRepository";

/// How long the controller may take.
const LIMIT: Duration = Duration::from_secs(2 * 60);

/// Asks for the import, waits for its end and describes the stream.
pub(super) async fn import(
    wanted: &Wanted,
    insecure: Option<bool>,
    stream: Option<Value>,
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    let namespace = session.namespace()?;
    let client = session.client()?;
    let streams = image_resource("imagestreams");
    let stored = match stream {
        None => {
            let document = new_stream(wanted, insecure)?;
            let path = streams.collection(Some(&namespace));
            client.request(Method::POST, &path, None, Some(&document)).await?
        }
        Some(mut stream) => {
            ask_again(wanted, insecure, &mut stream)?;
            let path = streams.item(Some(&namespace), &wanted.stream, None);
            client.request(Method::PUT, &path, None, Some(&stream)).await?
        }
    };
    session.say("Importing (ctrl+c to stop waiting) ...")?;
    session.environment.stdout.flush()?;
    let marked = wait(&client, &namespace, stored).await?;
    let mark = object::string_map(&marked, "metadata.annotations");
    let mark = mark.iter().find(|(key, _)| *key == CHECK).map_or("", |(_, value)| *value);
    if mark.parse::<jiff::Timestamp>().is_err() {
        bail!("unable to import image: {mark}");
    }
    session.say("The import completed successfully.")?;
    session.say("")?;
    let text = describe::image_stream(&marked, (session.environment.now)(), session.era());
    session.print(&text)?;
    Ok(ExitStatus::SUCCESS)
}

fn new_stream(wanted: &Wanted, insecure: Option<bool>) -> anyhow::Result<Value> {
    let mut spec = json!({});
    if wanted.all {
        spec["dockerImageRepository"] = json!(request::repository(wanted, None)?);
    } else {
        let import = request::tag_import(wanted, None)?;
        spec["tags"] = json!([tag(&import)]);
    }
    let mut metadata = json!({"name": wanted.stream});
    if insecure == Some(true) {
        metadata["annotations"] = json!({INSECURE: "true"});
    }
    Ok(json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": metadata, "spec": spec,
    }))
}

fn tag(import: &request::TagImport) -> Value {
    json!({"name": import.tag, "from": {"kind": "DockerImage", "name": import.from}})
}

/// Takes the marks of the last import away, so that the controller imports again.
fn ask_again(wanted: &Wanted, insecure: Option<bool>, stream: &mut Value) -> anyhow::Result<()> {
    if wanted.all {
        if let Some(repository) = request::repository(wanted, Some(stream))? {
            object::set_text(stream, "spec.dockerImageRepository", &repository);
        }
    } else {
        let import = request::tag_import(wanted, Some(stream))?;
        let spec = object::object_mut(stream, "spec");
        let tags = spec.entry("tags".to_owned()).or_insert_with(|| json!([]));
        if !tags.is_array() {
            *tags = json!([]);
        }
        if let Value::Array(tags) = tags {
            match tags.iter_mut().find(|entry| object::text(entry, "name") == import.tag) {
                Some(known) => {
                    known["from"] = json!({"kind": "DockerImage", "name": import.from});
                    if let Some(annotations) = known.get_mut("annotations").and_then(Value::as_object_mut) {
                        annotations.remove(CHECK);
                    }
                }
                None => tags.push(tag(&import)),
            }
        }
    }
    let annotations = object::object_mut(stream, "metadata.annotations");
    annotations.remove(CHECK);
    match insecure {
        Some(true) => {
            annotations.insert(INSECURE.to_owned(), json!("true"));
        }
        Some(false) => {
            annotations.remove(INSECURE);
        }
        None => {}
    }
    Ok(())
}

/// Waits until the stream carries the mark.
async fn wait(client: &Client, namespace: &str, stored: Value) -> anyhow::Result<Value> {
    let is_marked = |stream: &Value| {
        object::string_map(stream, "metadata.annotations").iter().any(|(key, _)| *key == CHECK)
    };
    if is_marked(&stored) {
        return Ok(stored);
    }
    let name = object::name(&stored);
    let mut followed = Followed::new(client, &image_resource("imagestreams"), Some(namespace), name);
    let marked = async {
        loop {
            match followed.next().await? {
                Some(stream) if is_marked(&stream) => return Ok(stream),
                Some(_) => {}
                None => bail!("unable to import image: the image stream was deleted"),
            }
        }
    };
    match tokio::time::timeout(LIMIT, marked).await {
        Ok(ended) => ended,
        Err(_elapsed) => bail!(
            "unable to determine if the import completed successfully - please run 'oc describe -n {namespace} imagestream/{name}' to see if the tags were updated as expected: nothing happened for {} minutes",
            LIMIT.as_secs() / 60
        ),
    }
}
