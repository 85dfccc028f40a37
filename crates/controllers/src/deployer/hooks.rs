//! Hooks: what a configuration wants done before, in the middle of and after a rollout.
//!
//! A hook pod has a fixed name and stays until the rollout is over, so it runs once however often the play begins
//! again, and says on itself that its log was taken, so it is told once. Setting a tag twice changes nothing the second time. Tags are set in the name of nobody who asks: so it
//! is asked first whether the project's account `deployer` might set them.

use std::fmt;
use std::time::Duration;

use pierhead_api::apps::{
    DEFAULT_ACTIVE_DEADLINE_SECONDS, ExecNewPodHook, LifecycleHook, TagImageHook, annotations, failure_policy,
};
use pierhead_api::authz::ResourceAttributes;
use pierhead_api::core::{Container, EnvVar, ObjectReference, Pod, PodSpec, ReplicationController};
use pierhead_api::image::{ImageStreamTag, TagReference};
use pierhead_api::meta::ObjectMeta;
use pierhead_client::{ApiRequest, ClientError, Patch, Resource};
use serde_json::json;
use tokio::time::Instant;
use tracing::debug;

use crate::access::Account;
use crate::deployer::play::{Play, Rollout, Stop};
use crate::pods::owned_by;

/// How often a hook pod is looked at without a reason.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a hook pod may take to end.
const GRACE_SECONDS: i64 = 10;
/// Most of a hook pod's log that is taken over, in bytes.
const MOST_OF_LOG: usize = 1024 * 1024;
const CONTAINER: &str = "lifecycle";
/// Annotation of hook pods whose end was told.
const TOLD: &str = "pierhead.io/hook-told";

/// When a hook is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    Pre,
    Mid,
    Post,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pre => "pre",
            Self::Mid => "mid",
            Self::Post => "post",
        })
    }
}

/// Why a hook failed, or why nobody waits for it any more.
enum HookError {
    Failed(String),
    Stop(Stop),
}

impl From<Stop> for HookError {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<ClientError> for HookError {
    /// What the API refuses it refuses for good; anything else may pass.
    fn from(error: ClientError) -> Self {
        if error.is_invalid() || error.is_forbidden() {
            Self::Failed(error.to_string())
        } else {
            Self::Stop(error.into())
        }
    }
}

impl Play {
    /// Does a hook, if there is one. Its failure ends the rollout unless the hook says otherwise.
    pub(super) async fn hook(
        &self,
        rollout: &Rollout,
        point: Point,
        hook: Option<&LifecycleHook>,
    ) -> Result<(), Stop> {
        let Some(hook) = hook else { return Ok(()) };
        let done = match &hook.exec_new_pod {
            Some(pod) => self.run_pod(rollout, point, hook, pod).await,
            None => self.tag(rollout, point, &hook.tag_images).await,
        };
        let why = match done {
            Ok(()) => return Ok(()),
            Err(HookError::Stop(stop)) => return Err(stop),
            Err(HookError::Failed(why)) => why,
        };
        let ObjectMeta { namespace, name, .. } = &rollout.to.metadata;
        let failed = format!("the {point} hook failed: {why}");
        if hook.failure_policy == failure_policy::IGNORE {
            return self.say(&format!("--> {failed}, ignoring this and continuing with {namespace}/{name}"));
        }
        Err(Stop::Failed(format!("{failed}, aborting rollout of {namespace}/{name}")))
    }

    async fn run_pod(
        &self,
        rollout: &Rollout,
        point: Point,
        hook: &LifecycleHook,
        exec: &ExecNewPodHook,
    ) -> Result<(), HookError> {
        let to = self.target().await?;
        let name = annotations::hook_pod_name(&to.metadata.name, &point.to_string());
        let namespace = to.metadata.namespace.as_str();
        let client = &self.deployer().client;
        if client.find::<Pod>(Some(namespace), &name).await?.is_none() {
            let left = self.seconds_left().unwrap_or(DEFAULT_ACTIVE_DEADLINE_SECONDS).max(1);
            let pod = hook_pod(rollout, &to, point, hook, exec, left).map_err(HookError::Failed)?;
            match client.create(Some(namespace), &pod).await {
                Ok(_) => self.say(&format!("--> {point}: Running hook pod ..."))?,
                Err(error) if error.is_already_exists() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let pod = self.follow(namespace, &name, point).await?;
        let failed = pod.status.phase == "Failed";
        if !pod.metadata.annotations.contains_key(TOLD) {
            self.take_log(namespace, &name).await?;
            self.say(&format!("--> {point}: {}", if failed { "Failed" } else { "Success" }))?;
            let told = Patch::Merge(json!({"metadata": {"annotations": {TOLD: "true"}}}));
            match client.patch::<Pod>(Some(namespace), &name, &told, None).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        if failed { Err(HookError::Failed(pod.status.message)) } else { Ok(()) }
    }

    /// Waits until a hook pod is finished.
    async fn follow(&self, namespace: &str, name: &str, point: Point) -> Result<Pod, HookError> {
        let mut restarts = 0;
        loop {
            let changes = self.changes();
            self.target().await?;
            let Some(pod) = self.deployer().client.find::<Pod>(Some(namespace), name).await? else {
                return Err(HookError::Failed(format!("pod {namespace}/{name} was deleted")));
            };
            if pod.is_finished() {
                return Ok(pod);
            }
            let seen = pod.status.container_statuses.iter().map(|status| status.restart_count).max();
            if let Some(seen) = seen.filter(|seen| *seen > restarts) {
                restarts = seen;
                self.say(&format!("--> {point}: Retrying hook pod (retry #{seen})"))?;
            }
            changes.next(Instant::now() + LOOK_EVERY).await;
        }
    }

    /// Copies what a hook pod said into the deployer's log; a log that cannot be had is no failure of the hook.
    async fn take_log(&self, namespace: &str, name: &str) -> Result<(), Stop> {
        let path = Resource::of::<Pod>().item(Some(namespace), name, Some("log"));
        let request = ApiRequest::get(format!("{path}?limitBytes={MOST_OF_LOG}"));
        match self.deployer().client.send(request).await {
            Ok(answer) => self.say(&String::from_utf8_lossy(&answer.body)),
            Err(error) => {
                debug!(%namespace, %name, %error, "The log of a hook pod cannot be read: {error}");
                Ok(())
            }
        }
    }

    async fn tag(&self, rollout: &Rollout, point: Point, tags: &[TagImageHook]) -> Result<(), HookError> {
        let to = self.target().await?;
        for tag in tags {
            let Some(container) = container(&to, &tag.container_name) else {
                return Err(HookError::Failed(format!(
                    "unable to find image for container {:?}, container could not be found",
                    tag.container_name
                )));
            };
            let own = &rollout.to.metadata.namespace;
            let namespace = if tag.to.namespace.is_empty() { own } else { &tag.to.namespace };
            self.require_right_to_tag(own, namespace, &tag.to.name).await?;
            let image = &container.image;
            let wanted = TagReference {
                from: Some(ObjectReference::of_kind("DockerImage", image.as_str())),
                ..TagReference::default()
            };
            let tagged = ImageStreamTag {
                metadata: ObjectMeta::in_namespace(namespace.as_str(), tag.to.name.as_str()),
                tag: Some(wanted),
                ..ImageStreamTag::default()
            };
            self.deployer().client.replace(Some(namespace), &tagged).await?;
            let name = &tag.to.name;
            self.say(&format!("--> {point}: Successfully tagged {image} into {namespace}/{name}"))?;
        }
        Ok(())
    }

    async fn require_right_to_tag(&self, own: &str, namespace: &str, name: &str) -> Result<(), HookError> {
        let action = ResourceAttributes {
            namespace: namespace.into(),
            verb: "update".into(),
            group: "image.openshift.io".into(),
            version: "v1".into(),
            resource: "imagestreamtags".into(),
            name: name.into(),
            ..ResourceAttributes::default()
        };
        let deployer = Account { namespace: own, name: annotations::DEPLOYER_SERVICE_ACCOUNT };
        if deployer.may(&self.deployer().client, action).await? {
            return Ok(());
        }
        let user = deployer.user();
        Err(HookError::Failed(format!(
            "User {user:?} cannot update imagestreamtags.image.openshift.io {name:?} in project {namespace:?}"
        )))
    }
}

fn container<'a>(controller: &'a ReplicationController, name: &str) -> Option<&'a Container> {
    let template = controller.spec.template.as_ref()?;
    template.spec.containers.iter().find(|container| container.name == name)
}

/// The pod of a hook: the image of a container of the template with a command of the hook's own.
fn hook_pod(
    rollout: &Rollout,
    to: &ReplicationController,
    point: Point,
    hook: &LifecycleHook,
    exec: &ExecNewPodHook,
    seconds_left: i64,
) -> Result<Pod, String> {
    let Some(base) = container(to, &exec.container_name) else {
        return Err(format!("no container named '{}' found in rc template", exec.container_name));
    };
    let ObjectMeta { name, namespace, .. } = &to.metadata;
    let template = to.spec.template.as_ref().map(|template| template.spec.clone()).unwrap_or_default();
    let mut env: Vec<EnvVar> = base.env.clone();
    env.retain(|known| !exec.env.iter().any(|ours| ours.name == known.name));
    env.extend(exec.env.iter().cloned());
    for (variable, value) in
        [("OPENSHIFT_DEPLOYMENT_NAME", name), ("OPENSHIFT_DEPLOYMENT_NAMESPACE", namespace)]
    {
        env.push(EnvVar { name: variable.into(), value: value.clone(), ..EnvVar::default() });
    }
    let is_taken = |volume: &str| exec.volumes.iter().any(|taken| taken == volume);
    let container = Container {
        name: CONTAINER.into(),
        image: base.image.clone(),
        image_pull_policy: base.image_pull_policy.clone(),
        command: exec.command.clone(),
        working_dir: base.working_dir.clone(),
        env,
        resources: rollout.config.spec.strategy.resources.clone(),
        security_context: base.security_context.clone(),
        volume_mounts: base.volume_mounts.iter().filter(|mount| is_taken(&mount.name)).cloned().collect(),
        ..Container::default()
    };
    let retries = hook.failure_policy == failure_policy::RETRY;
    let strategy = &rollout.config.spec.strategy;
    let mut labels = strategy.labels.clone();
    labels.insert(annotations::HOOK_POD_TYPE.into(), format!("hook-{point}"));
    labels.insert(annotations::DEPLOYER_POD_FOR.into(), name.clone());
    let mut notes = strategy.annotations.clone();
    notes.insert(annotations::DEPLOYMENT.into(), name.clone());
    let spec = PodSpec {
        containers: vec![container],
        volumes: template.volumes.into_iter().filter(|volume| is_taken(&volume.name)).collect(),
        restart_policy: if retries { "OnFailure" } else { "Never" }.into(),
        active_deadline_seconds: Some(seconds_left),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        node_selector: template.node_selector,
        image_pull_secrets: template.image_pull_secrets,
        service_account_name: template.service_account_name,
        ..PodSpec::default()
    };
    let metadata = ObjectMeta {
        labels,
        annotations: notes,
        owner_references: vec![owned_by(to)],
        ..ObjectMeta::in_namespace(namespace.as_str(), annotations::hook_pod_name(name, &point.to_string()))
    };
    Ok(Pod { metadata, spec, ..Pod::default() })
}

#[cfg(test)]
mod tests {
    use pierhead_api::apps::LifecycleHook;
    use pierhead_api::core::ReplicationController;
    use pierhead_api::{from_value, to_value};
    use serde_json::{Value, json};

    use super::{Point, hook_pod};
    use crate::deployer::play::Rollout;

    fn pod(hook: &Value) -> Result<Value, String> {
        let hook: LifecycleHook = serde_json::from_value(hook.clone()).unwrap();
        let to: ReplicationController = from_value(&json!({
            "metadata": {"namespace": "shop", "name": "web-2", "uid": "rc"},
            "spec": {"template": {"spec": {
                "serviceAccountName": "web", "volumes": [{"name": "data"}, {"name": "cache"}],
                "containers": [{
                    "name": "web", "image": "r/web@sha256:1", "env": [{"name": "A", "value": "1"}, {"name": "B"}],
                    "volumeMounts": [{"name": "data", "mountPath": "/d"}, {"name": "cache", "mountPath": "/c"}],
                }],
            }}},
        }))
        .unwrap();
        let config = from_value(&json!({"metadata": {"name": "web"}})).unwrap();
        let rollout = Rollout { config, from: None, to: to.clone(), desired: 1 };
        let exec = hook.exec_new_pod.clone().unwrap();
        hook_pod(&rollout, &to, Point::Pre, &hook, &exec, 60).map(|pod| to_value(&pod))
    }

    #[test]
    fn a_hook_runs_its_command_in_the_image_of_a_container() {
        let exec = json!({"containerName": "web", "command": ["migrate"], "volumes": ["data"],
            "env": [{"name": "A", "value": "2"}]});
        let pod = pod(&json!({"failurePolicy": "Abort", "execNewPod": exec})).unwrap();
        assert_eq!(pod["metadata"]["name"], "web-2-hook-pre");
        let labels = json!({
            "openshift.io/deployer-pod-for.name": "web-2", "openshift.io/deployer-pod.type": "hook-pre",
        });
        assert_eq!(pod["metadata"]["labels"], labels);
        let spec = &pod["spec"];
        assert_eq!((&spec["restartPolicy"], &spec["serviceAccountName"]), (&json!("Never"), &json!("web")));
        assert_eq!(spec["volumes"], json!([{"name": "data"}]));
        let container = &spec["containers"][0];
        assert_eq!(
            (&container["image"], &container["command"]),
            (&json!("r/web@sha256:1"), &json!(["migrate"]))
        );
        assert_eq!(container["volumeMounts"].as_array().unwrap().len(), 1);
        let env = json!([
            {"name": "B"}, {"name": "A", "value": "2"},
            {"name": "OPENSHIFT_DEPLOYMENT_NAME", "value": "web-2"},
            {"name": "OPENSHIFT_DEPLOYMENT_NAMESPACE", "value": "shop"},
        ]);
        assert_eq!(container["env"], env);
    }

    #[test]
    fn retries_are_the_nodes_business() {
        let exec = json!({"containerName": "web", "command": ["migrate"]});
        let retried = pod(&json!({"failurePolicy": "Retry", "execNewPod": exec})).unwrap();
        assert_eq!(retried["spec"]["restartPolicy"], "OnFailure");
        let elsewhere = json!({"failurePolicy": "Abort", "execNewPod": {"containerName": "db"}});
        assert_eq!(pod(&elsewhere), Err("no container named 'db' found in rc template".to_owned()));
    }
}
