//! `export`: objects as documents for elsewhere, a verb of 3.x (platform 9).
//!
//! Owns what of an object belongs to the place where it was: what happened to it, what was chosen for it there, and
//! credentials that were made for it.

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use crate::{
    environment::ExitStatus,
    object,
    print::output::{Form, OutputArgs, print_objects},
    resource_args::{self, SelectArgs},
    session::Session,
};

/// Print objects as documents that can be created elsewhere
///
/// Left out is what belongs to this place: uid and versions, status, addresses and hosts that were
/// chosen here, credentials that were made here.
///
/// Examples:
///   export is/myimage
///   export is,routes,services -l app=web -o json
///   export dc,svc,routes --as-template=web
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ExportArgs {
    /// TYPE… | TYPE NAME… | TYPE/NAME…
    #[arg(value_name = "TYPE")]
    words: Vec<String>,
    #[command(flatten)]
    select: SelectArgs,
    /// As a template of this name
    #[arg(long, value_name = "NAME")]
    as_template: Option<String>,
    /// Keep addresses, hosts and names that were chosen here
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(mut args: ExportArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let form = match args.output.form(session)? {
        Form::Table { .. } => Form::Yaml,
        form => form,
    };
    let targets = resource_args::parse(&*session.discovery().await?, &args.words)?.targets;
    let is_one = matches!(targets.as_slice(), [resource_args::Target { name: Some(_), .. }]);
    // A type without names means all of it.
    args.select.all |= targets.iter().any(|target| target.name.is_none());
    let found = args.select.objects(&args.words, session).await?;
    let documents: Vec<Value> = found
        .into_iter()
        .filter_map(|(kind, mut object)| {
            object::set_text(&mut object, "apiVersion", &kind.api_version());
            object::set_text(&mut object, "kind", &kind.kind);
            exported(object, args.exact)
        })
        .collect();
    if documents.is_empty() {
        bail!("no resources found - nothing to export");
    }
    let (documents, as_list) = match args.as_template {
        Some(name) => {
            let metadata = json!({"name": name});
            (
                vec![
                    json!({"apiVersion": "v1", "kind": "Template", "metadata": metadata, "objects": documents}),
                ],
                false,
            )
        }
        None => (documents, !is_one),
    };
    print_objects(session, &form, documents, as_list, args.output.show_managed_fields)?;
    Ok(ExitStatus::SUCCESS)
}

/// The document for elsewhere; none for what is made anew there.
fn exported(mut object: Value, exact: bool) -> Option<Value> {
    let annotation = |name: &str| {
        object.pointer("/metadata/annotations").and_then(|all| all.get(name)).and_then(Value::as_str)
    };
    let kind = object::text(&object, "kind").to_owned();
    if kind == "Secret" && annotation("kubernetes.io/service-account.name").is_some() {
        return None;
    }
    let host_was_chosen = annotation("openshift.io/host.generated") == Some("true");
    if kind == "ImageStream" {
        name_images(&mut object);
    }
    let metadata = object::object_mut(&mut object, "metadata");
    metadata.retain(|field, _| matches!(field.as_str(), "name" | "generateName" | "labels" | "annotations"));
    if let Value::Object(fields) = &mut object {
        fields.remove("status");
    }
    if exact {
        return Some(object);
    }
    if metadata_has(&object, "generateName") {
        object::object_mut(&mut object, "metadata").remove("name");
    }
    match kind.as_str() {
        "Service" => {
            let spec = object::object_mut(&mut object, "spec");
            if spec.get("clusterIP").and_then(Value::as_str) != Some("None") {
                spec.remove("clusterIP");
                spec.remove("clusterIPs");
            }
            for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                port.as_object_mut().and_then(|port| port.remove("nodePort"));
            }
        }
        "Route" if host_was_chosen => {
            object::object_mut(&mut object, "spec").remove("host");
            object::object_mut(&mut object, "metadata.annotations").remove("openshift.io/host.generated");
        }
        "Pod" => {
            object::object_mut(&mut object, "spec").remove("nodeName");
        }
        "ServiceAccount" => {
            let made = ["token", "dockercfg"].map(|what| format!("{}-{what}-", object::name(&object)));
            for list in ["secrets", "imagePullSecrets"] {
                if let Some(Value::Array(references)) = object.get_mut(list) {
                    references.retain(|reference| {
                        !made.iter().any(|start| object::text(reference, "name").starts_with(start.as_str()))
                    });
                }
            }
        }
        _ => {}
    }
    Some(object)
}

fn metadata_has(object: &Value, field: &str) -> bool {
    object::at(object, "metadata").and_then(|metadata| metadata.get(field)).is_some()
}

/// Tags that were pushed are only in the status: elsewhere they are imported from here.
fn name_images(stream: &mut Value) {
    let mut pushed = Vec::new();
    for list in object::list(stream, "status.tags") {
        let tag = object::text(list, "tag");
        let is_wanted =
            object::list(stream, "spec.tags").iter().any(|known| object::text(known, "name") == tag);
        if let (false, Some(newest)) = (is_wanted, object::list(list, "items").first()) {
            let image = object::text(newest, "dockerImageReference");
            pushed.push(json!({"name": tag, "from": {"kind": "DockerImage", "name": image}}));
        }
    }
    if pushed.is_empty() && object::list(stream, "spec.tags").is_empty() {
        return;
    }
    object::list_mut(stream, "spec.tags").extend(pushed);
    for tag in object::list_mut(stream, "spec.tags") {
        tag.as_object_mut().and_then(|tag| tag.remove("generation"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::exported;

    #[track_caller]
    fn check(object: Value, exact: bool, expected: Option<Value>) {
        assert_eq!(exported(object, exact), expected);
    }

    #[test]
    fn what_belongs_to_a_place_stays_there() {
        let metadata =
            json!({"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", "labels": {"x": "y"}});
        let service = json!({
            "kind": "Service", "metadata": metadata, "status": {},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30000}]},
        });
        let bare = json!({"name": "a", "labels": {"x": "y"}});
        check(
            service.clone(),
            false,
            Some(json!({"kind": "Service", "metadata": bare, "spec": {"ports": [{"port": 80}]}})),
        );
        let spec = service["spec"].clone();
        check(service, true, Some(json!({"kind": "Service", "metadata": bare, "spec": spec})));
        let route = json!({
            "kind": "Route", "spec": {"host": "a-n.apps.example.com"},
            "metadata": {"name": "a", "annotations": {"openshift.io/host.generated": "true", "b": "c"}},
        });
        let metadata = json!({"name": "a", "annotations": {"b": "c"}});
        check(route, false, Some(json!({"kind": "Route", "metadata": metadata, "spec": {}})));
        let account = json!({"kind": "ServiceAccount", "metadata": {"name": "a"}, "secrets": [{"name": "a-token-x"}, {"name": "own"}]});
        check(
            account,
            false,
            Some(json!({"kind": "ServiceAccount", "metadata": {"name": "a"}, "secrets": [{"name": "own"}]})),
        );
        let token = json!({"kind": "Secret", "metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "a"}}});
        check(token, false, None);
    }

    #[test]
    fn pushed_tags_are_imported_elsewhere() {
        let stream = json!({
            "kind": "ImageStream", "metadata": {"name": "a"},
            "spec": {"tags": [{"name": "v1", "generation": 2, "from": {"kind": "DockerImage", "name": "x/y:1"}}]},
            "status": {"tags": [
                {"tag": "v1", "items": [{"dockerImageReference": "x/y@sha256:1"}]},
                {"tag": "v2", "items": [{"dockerImageReference": "r/n/a@sha256:2"}, {"dockerImageReference": "old"}]},
            ]},
        });
        let tags = json!([
            {"name": "v1", "from": {"kind": "DockerImage", "name": "x/y:1"}},
            {"name": "v2", "from": {"kind": "DockerImage", "name": "r/n/a@sha256:2"}},
        ]);
        check(
            stream,
            false,
            Some(json!({"kind": "ImageStream", "metadata": {"name": "a"}, "spec": {"tags": tags}})),
        );
    }
}
