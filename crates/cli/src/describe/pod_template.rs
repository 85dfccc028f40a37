//! Containers and volumes, of pods and of the templates that pods are made from.

use serde_json::Value;

use crate::object;

/// A pod template: labels, containers, volumes. Cells end with tabs.
pub(crate) fn describe(template: &Value) -> String {
    let mut text = "Pod Template:\n".to_owned();
    text.push_str(&super::indent(&super::map_lines("Labels", template, "metadata.labels", '='), 2));
    if !object::string_map(template, "metadata.annotations").is_empty() {
        let annotations = super::map_lines("Annotations", template, "metadata.annotations", '=');
        text.push_str(&super::indent(&annotations, 2));
    }
    let account = object::text(template, "spec.serviceAccountName");
    if !account.is_empty() {
        text.push_str(&format!("  Service Account:\t{account}\n"));
    }
    text.push_str(&super::indent(&containers("Init Containers", template, &Value::Null), 2));
    text.push_str(&super::indent(&containers("Containers", template, &Value::Null), 2));
    text.push_str(&super::indent(&volumes(template), 2));
    text
}

/// The containers of a pod or template, with their states where `status` has them.
pub(super) fn containers(title: &str, pod: &Value, status: &Value) -> String {
    let (field, states) = match title {
        "Init Containers" => ("spec.initContainers", "initContainerStatuses"),
        _ => ("spec.containers", "containerStatuses"),
    };
    let all = object::list(pod, field);
    if all.is_empty() {
        return if title == "Containers" { "Containers:\t<none>\n".to_owned() } else { String::new() };
    }
    let mut text = format!("{title}:\n");
    for container in all {
        let name = object::text(container, "name");
        let state = object::list(status, states).iter().find(|state| object::text(state, "name") == name);
        text.push_str(&format!("  {name}:\n"));
        text.push_str(&super::indent(&one(container, state), 4));
    }
    text
}

fn one(container: &Value, state: Option<&Value>) -> String {
    let mut text = String::new();
    if let Some(state) = state {
        text.push_str(&format!("Container ID:\t{}\n", object::text(state, "containerID")));
    }
    text.push_str(&format!("Image:\t{}\n", object::text(container, "image")));
    if let Some(state) = state {
        text.push_str(&format!("Image ID:\t{}\n", object::text(state, "imageID")));
    }
    let ports = object::list(container, "ports");
    let shown = |field: &str| -> String {
        let one = |port: &Value| {
            let number = port.get(field).and_then(Value::as_u64).unwrap_or(0);
            let protocol = match object::text(port, "protocol") {
                "" => "TCP",
                protocol => protocol,
            };
            format!("{number}/{protocol}")
        };
        if ports.is_empty() {
            "<none>".to_owned()
        } else {
            ports.iter().map(one).collect::<Vec<_>>().join(", ")
        }
    };
    let plural = if ports.len() > 1 { "s" } else { "" };
    text.push_str(&format!(
        "Port{plural}:\t{}\nHost Port{plural}:\t{}\n",
        shown("containerPort"),
        shown("hostPort")
    ));
    for (title, field) in [("Command", "command"), ("Args", "args")] {
        let words: Vec<&str> = object::list(container, field).iter().filter_map(Value::as_str).collect();
        if !words.is_empty() {
            text.push_str(&format!("{title}:\n"));
            for word in words.iter().flat_map(|word| word.lines()) {
                text.push_str(&format!("  {word}\n"));
            }
        }
    }
    if let Some(state) = state {
        text.push_str(&container_state("State", object::at(state, "state")));
        if object::at(state, "lastState").and_then(Value::as_object).is_some_and(|last| !last.is_empty()) {
            text.push_str(&container_state("Last State", object::at(state, "lastState")));
        }
        let ready = object::at(state, "ready").and_then(Value::as_bool).unwrap_or(false);
        let restarts = state.get("restartCount").and_then(Value::as_u64).unwrap_or(0);
        text.push_str(&format!(
            "Ready:\t{}\nRestart Count:\t{restarts}\n",
            if ready { "True" } else { "False" }
        ));
    }
    for (title, field) in [("Limits", "resources.limits"), ("Requests", "resources.requests")] {
        let amounts = object::string_map(container, field);
        if !amounts.is_empty() {
            text.push_str(&format!("{title}:\n"));
            for (name, amount) in amounts {
                text.push_str(&format!("  {name}:\t{amount}\n"));
            }
        }
    }
    for (title, field) in
        [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")]
    {
        if let Some(found) = object::at(container, field) {
            text.push_str(&format!("{title}:\t{}\n", probe(found)));
        }
    }
    text.push_str(&environment(container));
    text.push_str(&mounts(container));
    text
}

fn container_state(title: &str, state: Option<&Value>) -> String {
    let Some((name, state)) = state.and_then(Value::as_object).and_then(|state| state.iter().next()) else {
        return format!("{title}:\tWaiting\n");
    };
    let field = |title: &str, name: &str| match object::text(state, name) {
        "" => String::new(),
        value if name.ends_with("At") => format!("  {title}:\t{}\n", super::long_time(value)),
        value => format!("  {title}:\t{value}\n"),
    };
    match name.as_str() {
        "running" => format!("{title}:\tRunning\n{}", field("Started", "startedAt")),
        "terminated" => {
            let code = state.get("exitCode").and_then(Value::as_i64).unwrap_or(0);
            format!(
                "{title}:\tTerminated\n{}{}  Exit Code:\t{code}\n{}{}",
                field("Reason", "reason"),
                field("Message", "message"),
                field("Started", "startedAt"),
                field("Finished", "finishedAt"),
            )
        }
        _ => format!("{title}:\tWaiting\n{}", field("Reason", "reason")),
    }
}

/// `http-get http://:8080/ delay=0s timeout=1s period=10s #success=1 #failure=3`.
fn probe(probe: &Value) -> String {
    let number = |field: &str, default: u64| probe.get(field).and_then(Value::as_u64).unwrap_or(default);
    let what = if let Some(exec) = object::at(probe, "exec") {
        let words: Vec<&str> = object::list(exec, "command").iter().filter_map(Value::as_str).collect();
        format!("exec [{}]", words.join(" "))
    } else if let Some(get) = object::at(probe, "httpGet") {
        let scheme = match object::text(get, "scheme") {
            "" => "http".to_owned(),
            scheme => scheme.to_lowercase(),
        };
        let port = get.get("port").map(object::plain).unwrap_or_default();
        format!("http-get {scheme}://{}:{port}{}", object::text(get, "host"), object::text(get, "path"))
    } else if let Some(socket) = object::at(probe, "tcpSocket") {
        format!(
            "tcp-socket {}:{}",
            object::text(socket, "host"),
            socket.get("port").map(object::plain).unwrap_or_default()
        )
    } else {
        "unknown".to_owned()
    };
    format!(
        "{what} delay={}s timeout={}s period={}s #success={} #failure={}",
        number("initialDelaySeconds", 0),
        number("timeoutSeconds", 1),
        number("periodSeconds", 10),
        number("successThreshold", 1),
        number("failureThreshold", 3),
    )
}

fn environment(container: &Value) -> String {
    let mut text = String::new();
    let sources = object::list(container, "envFrom");
    if !sources.is_empty() {
        text.push_str("Environment Variables from:\n");
        for source in sources {
            for (field, title) in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")] {
                if let Some(reference) = object::at(source, field) {
                    let optional =
                        object::at(reference, "optional").and_then(Value::as_bool).unwrap_or(false);
                    text.push_str(&format!(
                        "  {}\t{title}\tOptional: {optional}\n",
                        object::text(reference, "name")
                    ));
                }
            }
        }
    }
    let variables = object::list(container, "env");
    if variables.is_empty() {
        text.push_str("Environment:\t<none>\n");
        return text;
    }
    text.push_str("Environment:\n");
    for variable in variables {
        let value = match object::at(variable, "valueFrom") {
            None => object::text(variable, "value").replace('\n', "\\n"),
            Some(from) => source_of(from),
        };
        text.push_str(&format!("  {}:\t{value}\n", object::text(variable, "name")));
    }
    text
}

/// Where a variable's value comes from.
pub(crate) fn source_of(from: &Value) -> String {
    let optional =
        |reference: &Value| object::at(reference, "optional").and_then(Value::as_bool).unwrap_or(false);
    if let Some(reference) = object::at(from, "secretKeyRef") {
        let (key, name) = (object::text(reference, "key"), object::text(reference, "name"));
        return format!("<set to the key '{key}' in secret '{name}'>  Optional: {}", optional(reference));
    }
    if let Some(reference) = object::at(from, "configMapKeyRef") {
        let (key, name) = (object::text(reference, "key"), object::text(reference, "name"));
        return format!("<set to the key '{key}' of config map '{name}'>  Optional: {}", optional(reference));
    }
    if let Some(reference) = object::at(from, "fieldRef") {
        let version = match object::text(reference, "apiVersion") {
            "" => "v1",
            version => version,
        };
        return format!(" ({version}:{})", object::text(reference, "fieldPath"));
    }
    match object::at(from, "resourceFieldRef") {
        Some(reference) => format!("({})", object::text(reference, "resource")),
        None => String::new(),
    }
}

fn mounts(container: &Value) -> String {
    let mounts = object::list(container, "volumeMounts");
    if mounts.is_empty() {
        return "Mounts:\t<none>\n".to_owned();
    }
    let mut text = "Mounts:\n".to_owned();
    for mount in mounts {
        let read_only = object::at(mount, "readOnly").and_then(Value::as_bool).unwrap_or(false);
        let path = match object::text(mount, "subPath") {
            "" => String::new(),
            path => format!(",path={path:?}"),
        };
        text.push_str(&format!(
            "  {} from {} ({}{path})\n",
            object::text(mount, "mountPath"),
            object::text(mount, "name"),
            if read_only { "ro" } else { "rw" },
        ));
    }
    text
}

/// The volumes of a pod or template.
pub(super) fn volumes(pod: &Value) -> String {
    let volumes = object::list(pod, "spec.volumes");
    if volumes.is_empty() {
        return "Volumes:\t<none>\n".to_owned();
    }
    let mut text = "Volumes:\n".to_owned();
    for volume in volumes {
        text.push_str(&format!("  {}:\n", object::text(volume, "name")));
        let field = |path: &str| object::text(volume, path).to_owned();
        let lines = if object::at(volume, "secret").is_some() {
            vec![
                ("Type", "Secret (a volume populated by a Secret)".to_owned()),
                ("SecretName", field("secret.secretName")),
            ]
        } else if object::at(volume, "configMap").is_some() {
            vec![
                ("Type", "ConfigMap (a volume populated by a ConfigMap)".to_owned()),
                ("Name", field("configMap.name")),
            ]
        } else if volume.get("emptyDir").is_some() {
            vec![
                ("Type", "EmptyDir (a temporary directory that shares a pod's lifetime)".to_owned()),
                ("Medium", field("emptyDir.medium")),
            ]
        } else if object::at(volume, "hostPath").is_some() {
            vec![
                ("Type", "HostPath (bare host directory volume)".to_owned()),
                ("Path", field("hostPath.path")),
            ]
        } else if object::at(volume, "persistentVolumeClaim").is_some() {
            vec![
                (
                    "Type",
                    "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)"
                        .to_owned(),
                ),
                ("ClaimName", field("persistentVolumeClaim.claimName")),
            ]
        } else if object::at(volume, "downwardAPI").is_some() {
            vec![("Type", "DownwardAPI (a volume populated by information about the pod)".to_owned())]
        } else if object::at(volume, "projected").is_some() {
            vec![(
                "Type",
                "Projected (a volume that contains injected data from multiple sources)".to_owned(),
            )]
        } else {
            vec![("Type", "<unknown>".to_owned())]
        };
        for (title, value) in lines {
            text.push_str(&format!("    {title}:\t{value}\n"));
        }
    }
    text
}
