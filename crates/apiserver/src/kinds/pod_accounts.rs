//! What a new pod takes from its service account: the token's volume and the secrets to pull with (platform 4.6).
//!
//! Owns that admission, and which secrets an account that restricts them lets its pods use. The secrets themselves are
//! made by controllers; a pod that comes right after its project waits for them a moment.

use pierhead_api::core::{
    Container, Pod, Secret, SecretVolume, ServiceAccount, Volume, VolumeMount, secret_type,
};
use pierhead_api::meta::Status;
use pierhead_api::{from_value, to_value};
use serde_json::Value;

use crate::admission::{Admission, Operation};
use crate::call::Call;
use crate::error::ApiError;

/// Where programs look for the token.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// `"true"` on an account: its pods mount only the secrets it lists.
const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
/// The account of pods that name none.
const DEFAULT_ACCOUNT: &str = "default";

/// Whether the account of a pod is there, with what the pod will take from it.
pub(crate) fn is_ready(call: &Call, namespace: &str, sent: &Value) -> Result<bool, ApiError> {
    let Ok(pod) = from_value::<Pod>(sent) else { return Ok(true) };
    let Some(account) = account(call, namespace, account_name(&pod))? else {
        // Accounts other than those every project has are made by people, who make them first.
        let known = super::project_requests::ACCOUNTS.contains(&account_name(&pod));
        return Ok(!known || call.server.object("namespaces", "", namespace)?.is_none());
    };
    Ok(!wants_token(&pod, &account) || token_secret(call, namespace, &account)?.is_some())
}

/// Completes a new pod, or refuses it.
pub(crate) fn admit(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    let (call, namespace) = (admission.call, admission.namespace);
    let Operation::Create { object } = &mut admission.operation else { return Ok(()) };
    let mut pod: Pod = from_value(object).map_err(|error| ApiError::internal(&error))?;
    let name = account_name(&pod).to_owned();
    let refused = |why: String| -> ApiError { call.forbidden(&pod.metadata.name, &why).into() };
    let Some(account) = account(call, namespace, &name)? else {
        return Err(refused(format!(
            "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
        )));
    };
    if account.metadata.annotation(ENFORCE) == Some("true")
        && let Some(why) = forbidden_secret(&pod, &account)
    {
        return Err(refused(why));
    }
    if wants_token(&pod, &account) {
        let Some(secret) = token_secret(call, namespace, &account)? else {
            let why = format!(
                "no API token found for service account {name:?}, retry after the token is automatically created and \
                 added to the service account"
            );
            return Err(Status { message: why, ..Status::server_timeout("pods", "", "create", 1) }.into());
        };
        mount_token(&mut pod, &secret);
    }
    if pod.spec.image_pull_secrets.is_empty() {
        pod.spec.image_pull_secrets = account.image_pull_secrets;
    }
    pod.spec.service_account.clone_from(&name);
    pod.spec.service_account_name = name;
    **object = to_value(&pod);
    Ok(())
}

fn account_name(pod: &Pod) -> &str {
    let spec = &pod.spec;
    [&spec.service_account_name, &spec.service_account]
        .into_iter()
        .find(|name| !name.is_empty())
        .map_or(DEFAULT_ACCOUNT, String::as_str)
}

fn account(call: &Call, namespace: &str, name: &str) -> Result<Option<ServiceAccount>, ApiError> {
    let document = call.server.object("serviceaccounts", namespace, name)?;
    document.map(|document| from_value(&document).map_err(|error| ApiError::internal(&error))).transpose()
}

fn wants_token(pod: &Pod, account: &ServiceAccount) -> bool {
    let spec = &pod.spec;
    spec.automount_service_account_token.or(account.automount_service_account_token).unwrap_or(true)
        && spec.init_containers.iter().chain(&spec.containers).any(|container| !mounts_token(container))
}

fn mounts_token(container: &Container) -> bool {
    container.volume_mounts.iter().any(|mount| mount.mount_path.trim_end_matches('/') == TOKEN_PATH)
}

/// The name of the first secret of an account that holds a token of it.
fn token_secret(call: &Call, namespace: &str, account: &ServiceAccount) -> Result<Option<String>, ApiError> {
    for reference in &account.secrets {
        let Some(document) = call.server.object("secrets", namespace, &reference.name)? else { continue };
        let secret: Secret = from_value(&document).map_err(|error| ApiError::internal(&error))?;
        let ours = secret.metadata.annotation(ACCOUNT_UID) == Some(&account.metadata.uid);
        if secret.secret_type == secret_type::SERVICE_ACCOUNT_TOKEN
            && ours
            && secret.data.contains_key("token")
        {
            return Ok(Some(reference.name.clone()));
        }
    }
    Ok(None)
}

fn mount_token(pod: &mut Pod, secret: &str) {
    let spec = &mut pod.spec;
    let of_secret =
        |volume: &&Volume| volume.secret.as_ref().is_some_and(|source| source.secret_name == secret);
    let volume = match spec.volumes.iter().find(of_secret) {
        Some(volume) => volume.name.clone(),
        None => {
            let mut name = secret.to_owned();
            while spec.volumes.iter().any(|volume| volume.name == name) {
                name.push_str("-token");
            }
            let source = SecretVolume {
                secret_name: secret.to_owned(),
                default_mode: Some(0o644),
                ..SecretVolume::default()
            };
            spec.volumes.push(Volume { name: name.clone(), secret: Some(source), ..Volume::default() });
            name
        }
    };
    for container in spec.init_containers.iter_mut().chain(&mut spec.containers) {
        if !mounts_token(container) {
            container.volume_mounts.push(VolumeMount {
                name: volume.clone(),
                read_only: true,
                mount_path: TOKEN_PATH.to_owned(),
                ..VolumeMount::default()
            });
        }
    }
}

/// Why the pod may not use one of its secrets.
fn forbidden_secret(pod: &Pod, account: &ServiceAccount) -> Option<String> {
    let name = &account.metadata.name;
    let listed = |secret: &str| account.secrets.iter().any(|reference| reference.name == secret);
    let unlisted = |what: String, secret: &str| {
        format!(
            "{what} secret.secretName={secret:?} is not allowed because service account {name} does not reference that \
             secret"
        )
    };
    for volume in &pod.spec.volumes {
        if let Some(source) = &volume.secret
            && !listed(&source.secret_name)
        {
            return Some(unlisted("volume with".to_owned(), &source.secret_name));
        }
    }
    for container in pod.spec.init_containers.iter().chain(&pod.spec.containers) {
        for variable in &container.env {
            let source = variable.value_from.as_ref().and_then(|source| source.secret_key_ref.as_ref());
            if let Some(key) = source.filter(|key| !listed(&key.name)) {
                let what = format!("container {} with envVar {} referencing", container.name, variable.name);
                return Some(unlisted(what, &key.name));
            }
        }
        for source in container.env_from.iter().filter_map(|source| source.secret_ref.as_ref()) {
            if !listed(&source.name) {
                return Some(unlisted(
                    format!("container {} with envFrom referencing", container.name),
                    &source.name,
                ));
            }
        }
    }
    let pulls = |secret: &str| account.image_pull_secrets.iter().any(|reference| reference.name == secret);
    let (index, wrong) =
        pod.spec.image_pull_secrets.iter().enumerate().find(|(_, reference)| !pulls(&reference.name))?;
    Some(format!(
        "imagePullSecrets[{index}].name={:?} is not allowed because service account {name} does not reference that \
         imagePullSecret",
        wrong.name
    ))
}
