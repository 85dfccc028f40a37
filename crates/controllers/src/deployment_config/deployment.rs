//! What a version of a configuration is made of: its replication controller and its deployer pod (platform 8.2).

use std::collections::BTreeMap;

use pierhead_api::apps::{DEFAULT_ACTIVE_DEADLINE_SECONDS, DeploymentConfig, annotations, strategy};
use pierhead_api::core::{
    Container, EnvVar, Pod, PodSpec, PodTemplateSpec, ReplicationController, ReplicationControllerSpec,
};
use pierhead_api::meta::ObjectMeta;
use pierhead_api::to_value;

use crate::pods::{controlled_by, owned_by};

/// Image of deployer pods that are played in process; nobody pulls it.
const DEPLOYER_IMAGE: &str = "pierhead/deployer";
/// How long a deployer pod may take to end.
const DEPLOYER_GRACE_SECONDS: i64 = 10;

fn text(value: &str) -> String {
    value.to_owned()
}

/// The version of a replication controller; 0 if it says none.
pub(super) fn version(metadata: &ObjectMeta) -> i64 {
    metadata.annotation(annotations::CONFIG_VERSION).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The replication controller of the configuration's newest version, without pods yet.
pub(super) fn replication_controller(config: &DeploymentConfig) -> ReplicationController {
    let ObjectMeta { name: config_name, namespace, labels, .. } = &config.metadata;
    let status = &config.status;
    let name = annotations::deployment_name(config_name, status.latest_version);
    let version = status.latest_version.to_string();
    let members = [(annotations::CONFIG_LABEL, config_name), (annotations::DEPLOYMENT_LABEL, &name)]
        .map(|(key, value)| (text(key), value.clone()));
    let mut selector = config.spec.selector.clone();
    selector.extend(members.clone());

    let template = config.spec.template.clone().unwrap_or_default();
    let mut template_meta = template.metadata;
    template_meta.labels.extend(members);
    template_meta.annotations.extend(
        [
            (annotations::DEPLOYMENT, &name),
            (annotations::CONFIG, config_name),
            (annotations::CONFIG_VERSION, &version),
        ]
        .map(|(key, value)| (text(key), value.clone())),
    );
    let mut pod = template.spec;
    for container in pod.init_containers.iter_mut().chain(&mut pod.containers) {
        container.image = container.image.trim().to_owned();
    }

    let mut controller_labels = labels.clone();
    controller_labels.insert(text(annotations::CONFIG), config_name.clone());
    let mut notes = BTreeMap::from(
        [
            (annotations::CONFIG, config_name.clone()),
            (annotations::CONFIG_VERSION, version),
            (annotations::PHASE, text(annotations::Phase::New.as_str())),
            (annotations::ENCODED_CONFIG, to_value(config).to_string()),
            (annotations::DESIRED_REPLICAS, config.spec.replicas.to_string()),
            (annotations::REPLICAS, text("0")),
        ]
        .map(|(key, value)| (text(key), value)),
    );
    if let Some(details) = status.details.as_ref().filter(|details| !details.message.is_empty()) {
        notes.insert(text(annotations::STATUS_REASON), details.message.clone());
    }
    ReplicationController {
        metadata: ObjectMeta {
            labels: controller_labels,
            annotations: notes,
            owner_references: vec![controlled_by(config)],
            ..ObjectMeta::in_namespace(namespace.as_str(), name)
        },
        spec: ReplicationControllerSpec {
            replicas: Some(0),
            min_ready_seconds: config.spec.min_ready_seconds,
            selector,
            template: Some(PodTemplateSpec { metadata: template_meta, spec: pod }),
        },
        ..ReplicationController::default()
    }
}

/// The pod that rolls out a replication controller: played in process, unless the configuration brings an image
/// that does it.
pub(super) fn deployer_pod(deployment: &ReplicationController, config: &DeploymentConfig) -> Pod {
    let ObjectMeta { name, namespace, .. } = &deployment.metadata;
    let strategy = &config.spec.strategy;
    let mut labels = strategy.labels.clone();
    labels.insert(text(annotations::DEPLOYER_POD_FOR), name.clone());
    let mut notes = strategy.annotations.clone();
    for (key, value) in [
        (annotations::DEPLOYMENT, name.clone()),
        (annotations::CONFIG, config.metadata.name.clone()),
        (annotations::CONFIG_VERSION, version(&deployment.metadata).to_string()),
    ] {
        notes.insert(text(key), value);
    }
    let variable =
        |name: &str, value: &str| EnvVar { name: text(name), value: text(value), ..EnvVar::default() };
    let mut container = Container {
        name: text(annotations::DEPLOYER_CONTAINER),
        image: text(DEPLOYER_IMAGE),
        env: vec![
            variable("OPENSHIFT_DEPLOYMENT_NAME", name),
            variable("OPENSHIFT_DEPLOYMENT_NAMESPACE", namespace),
        ],
        resources: strategy.resources.clone(),
        image_pull_policy: text("IfNotPresent"),
        ..Container::default()
    };
    let custom = strategy.custom_params.as_ref();
    let custom =
        custom.filter(|custom| strategy.strategy_type == strategy::CUSTOM && !custom.image.is_empty());
    let mut scheduler_name = text(annotations::DEPLOYER_SCHEDULER);
    if let Some(custom) = custom {
        container.image.clone_from(&custom.image);
        container.command.clone_from(&custom.command);
        container.env.extend(custom.environment.iter().cloned());
        scheduler_name.clear();
    }
    let template = deployment.spec.template.as_ref().map(|template| &template.spec);
    let spec = PodSpec {
        containers: vec![container],
        restart_policy: text("Never"),
        service_account_name: text(annotations::DEPLOYER_SERVICE_ACCOUNT),
        active_deadline_seconds: Some(
            strategy.active_deadline_seconds.unwrap_or(DEFAULT_ACTIVE_DEADLINE_SECONDS),
        ),
        termination_grace_period_seconds: Some(DEPLOYER_GRACE_SECONDS),
        image_pull_secrets: template.map(|spec| spec.image_pull_secrets.clone()).unwrap_or_default(),
        node_selector: template.map(|spec| spec.node_selector.clone()).unwrap_or_default(),
        scheduler_name,
        ..PodSpec::default()
    };
    let metadata = ObjectMeta {
        labels,
        annotations: notes,
        owner_references: vec![owned_by(deployment)],
        ..ObjectMeta::in_namespace(namespace.as_str(), annotations::deployer_pod_name(name))
    };
    Pod { metadata, spec, ..Pod::default() }
}

#[cfg(test)]
mod tests {
    use pierhead_api::apps::DeploymentConfig;
    use pierhead_api::{from_value, to_value};
    use serde_json::{Value, json};

    use super::{deployer_pod, replication_controller};

    fn config(strategy: &Value) -> DeploymentConfig {
        let document = json!({
            "metadata": {"namespace": "shop", "name": "web", "uid": "dc", "labels": {"team": "a"}},
            "spec": {
                "replicas": 3, "minReadySeconds": 5, "selector": {"app": "web"}, "strategy": strategy,
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {
                        "containers": [{"name": "web", "image": " r/web:1 "}],
                        "imagePullSecrets": [{"name": "pull"}], "nodeSelector": {"zone": "east"},
                    },
                },
            },
            "status": {"latestVersion": 2, "details": {"message": "image change", "causes": []}},
        });
        from_value(&document).unwrap()
    }

    #[test]
    fn a_version_has_the_public_names() {
        let config = config(&json!({}));
        let mut made = to_value(&replication_controller(&config));
        let encoded = made["metadata"]["annotations"]["openshift.io/encoded-deployment-config"].take();
        let encoded: Value = serde_json::from_str(encoded.as_str().unwrap()).unwrap();
        assert_eq!(encoded, to_value(&config));
        let owner = json!({
            "apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig", "name": "web", "uid": "dc",
            "controller": true, "blockOwnerDeletion": true,
        });
        let expected = json!({
            "namespace": "shop", "name": "web-2", "ownerReferences": [owner],
            "labels": {"team": "a", "openshift.io/deployment-config.name": "web"},
            "annotations": {
                "kubectl.kubernetes.io/desired-replicas": "3",
                "openshift.io/deployment-config.latest-version": "2",
                "openshift.io/deployment-config.name": "web",
                "openshift.io/deployment.phase": "New",
                "openshift.io/deployment.replicas": "0",
                "openshift.io/deployment.status-reason": "image change",
                "openshift.io/encoded-deployment-config": null,
            },
        });
        assert_eq!(made["metadata"], expected);
        let members = json!({"app": "web", "deployment": "web-2", "deploymentconfig": "web"});
        assert_eq!((&made["spec"]["replicas"], &made["spec"]["minReadySeconds"]), (&json!(0), &json!(5)));
        assert_eq!(made["spec"]["selector"], members);
        let template = &made["spec"]["template"];
        let noted = json!({
            "openshift.io/deployment-config.latest-version": "2",
            "openshift.io/deployment-config.name": "web",
            "openshift.io/deployment.name": "web-2",
        });
        assert_eq!(template["metadata"], json!({"labels": members, "annotations": noted}));
        assert_eq!(template["spec"]["containers"][0]["image"], "r/web:1");
    }

    #[test]
    fn the_deployer_is_a_pod_like_any_other_to_look_at() {
        let config =
            config(&json!({"type": "Rolling", "activeDeadlineSeconds": 60, "labels": {"cost": "low"}}));
        let pod = to_value(&deployer_pod(&replication_controller(&config), &config));
        assert_eq!(pod["metadata"]["name"], "web-2-deploy");
        let labels = json!({"cost": "low", "openshift.io/deployer-pod-for.name": "web-2"});
        assert_eq!(pod["metadata"]["labels"], labels);
        assert_eq!(pod["metadata"]["annotations"]["openshift.io/deployment.name"], "web-2");
        // It goes with its version, and is none of its replicas.
        let owner = json!({"apiVersion": "v1", "kind": "ReplicationController", "name": "web-2", "uid": ""});
        assert_eq!(pod["metadata"]["ownerReferences"], json!([owner]));
        let spec = &pod["spec"];
        assert_eq!(spec["schedulerName"], "pierhead-deployer");
        assert_eq!(
            (&spec["restartPolicy"], &spec["serviceAccountName"]),
            (&json!("Never"), &json!("deployer"))
        );
        assert_eq!(spec["activeDeadlineSeconds"], 60);
        assert_eq!(spec["imagePullSecrets"], json!([{"name": "pull"}]));
        assert_eq!(spec["nodeSelector"], json!({"zone": "east"}));
        let container = &spec["containers"][0];
        assert_eq!(
            (&container["name"], &container["imagePullPolicy"]),
            (&json!("deployment"), &json!("IfNotPresent"))
        );
        assert_eq!(
            container["env"],
            json!([
                {"name": "OPENSHIFT_DEPLOYMENT_NAME", "value": "web-2"},
                {"name": "OPENSHIFT_DEPLOYMENT_NAMESPACE", "value": "shop"},
            ])
        );
    }

    #[test]
    fn an_image_of_ones_own_runs_on_a_node() {
        let params =
            json!({"image": "r/mine", "command": ["roll"], "environment": [{"name": "A", "value": "b"}]});
        let config = config(&json!({"type": "Custom", "customParams": params}));
        let pod = deployer_pod(&replication_controller(&config), &config);
        let container = &pod.spec.containers[0];
        assert_eq!((container.image.as_str(), pod.spec.scheduler_name.as_str()), ("r/mine", ""));
        assert_eq!((container.command.len(), container.env.len()), (1, 3));
    }
}
