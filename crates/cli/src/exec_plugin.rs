//! Programs that give credentials: `users[].user.exec` of a kubeconfig (Kubernetes, "client-go credential plugins").
//!
//! Owns their protocol. What they print is shown to nobody, since it holds credentials.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use pierhead_client::{ConnectOptions, Credentials, Identity, Secret};
use serde_json::{Value, json};

use crate::{
    environment::{Environment, find_program},
    object,
};

/// The versions that are spoken: they differ in what they ask of the kubeconfig, not in what is said.
const VERSIONS: [&str; 3] = [
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
    "client.authentication.k8s.io/v1alpha1",
];

/// What a program gave.
pub(crate) struct ExecAnswer {
    pub(crate) credentials: Credentials,
    pub(crate) identity: Option<Identity>,
}

/// Runs the program of a user, and waits for it: it may ask the person at the terminal.
pub(crate) fn ask(
    user: &str,
    exec: &Value,
    (options, proxy_url): (&ConnectOptions, Option<&str>),
    environment: &Environment,
) -> anyhow::Result<ExecAnswer> {
    let version = object::text(exec, "apiVersion");
    if !VERSIONS.contains(&version) {
        bail!("exec plugin of user {user:?}: unknown apiVersion {version:?}, expected {}", VERSIONS[0]);
    }
    let name = object::text(exec, "command");
    let Some(program) = find(name, environment) else {
        let hint = object::text(exec, "installHint");
        let hint = if hint.is_empty() { String::new() } else { format!("\n{hint}") };
        bail!("exec plugin of user {user:?}: executable {name} not found{hint}");
    };
    let mode = object::text(exec, "interactiveMode");
    if mode == "Always" && !environment.stdin_is_terminal {
        bail!("exec plugin of user {user:?} wants to ask a person, and standard input is no terminal");
    }
    let interactive = mode != "Never" && environment.stdin_is_terminal;
    let arguments = object::list(exec, "args").iter().filter_map(Value::as_str);
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&environment.cwd).env_clear().envs(&environment.vars);
    for variable in object::list(exec, "env") {
        command.env(object::text(variable, "name"), object::text(variable, "value"));
    }
    command.env("KUBERNETES_EXEC_INFO", info(version, exec, (options, proxy_url), interactive).to_string());
    command.stdin(if interactive { Stdio::inherit() } else { Stdio::null() });
    command.stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("exec plugin of user {user:?}: {name}"))?;
    if !output.status.success() {
        bail!("getting credentials: exec: executable {name} failed with {}", output.status);
    }
    // Without the parser's own words: they quote what may be a token.
    let Ok(answer) = serde_json::from_slice::<Value>(&output.stdout) else {
        bail!("getting credentials: executable {name} printed something that is not JSON");
    };
    read(name, version, &answer)
}

/// What the program is told.
fn info(
    version: &str,
    exec: &Value,
    (options, proxy_url): (&ConnectOptions, Option<&str>),
    interactive: bool,
) -> Value {
    let mut spec = json!({"interactive": interactive});
    if exec.get("provideClusterInfo") == Some(&Value::Bool(true)) {
        let mut cluster = json!({"server": options.server});
        if let Some(authority) = &options.trust.certificate_authority {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            cluster["certificate-authority-data"] = Value::from(STANDARD.encode(authority));
        }
        if options.trust.insecure_skip_tls_verify {
            cluster["insecure-skip-tls-verify"] = Value::from(true);
        }
        if let Some(name) = &options.trust.tls_server_name {
            cluster["tls-server-name"] = Value::from(name.as_str());
        }
        if let Some(url) = proxy_url {
            cluster["proxy-url"] = Value::from(url);
        }
        spec["cluster"] = cluster;
    }
    json!({"kind": "ExecCredential", "apiVersion": version, "spec": spec})
}

fn read(name: &str, version: &str, answer: &Value) -> anyhow::Result<ExecAnswer> {
    if object::text(answer, "kind") != "ExecCredential" {
        bail!("getting credentials: executable {name} printed no ExecCredential");
    }
    let spoken = object::text(answer, "apiVersion");
    if spoken != version {
        bail!(
            "getting credentials: executable {name} speaks {spoken:?}, and the kubeconfig says {version:?}"
        );
    }
    let token = object::text(answer, "status.token");
    let certificate = object::text(answer, "status.clientCertificateData");
    let key = object::text(answer, "status.clientKeyData");
    let identity = match (certificate.is_empty(), key.is_empty()) {
        (true, true) => None,
        (false, false) => Some(Identity {
            certificate: certificate.as_bytes().to_vec(),
            key: Secret::new(key.as_bytes().to_vec()),
        }),
        _ => bail!(
            "getting credentials: executable {name} gave a certificate without its key, or the other way round"
        ),
    };
    if token.is_empty() && identity.is_none() {
        bail!("getting credentials: executable {name} did not return a token or client certificate");
    }
    let credentials =
        if token.is_empty() { Credentials::None } else { Credentials::Token(Secret::new(token.to_owned())) };
    Ok(ExecAnswer { credentials, identity })
}

/// The file of a program: as it is named, or on the path.
fn find(name: &str, environment: &Environment) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    if name.contains('/') {
        return Some(environment.cwd.join(name)).filter(|path| path.is_file());
    }
    find_program(environment.search(), name)
}
