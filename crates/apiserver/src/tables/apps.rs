//! Columns of deployment configurations.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pierhead_api::apps::{
    DeploymentConfig, DeploymentConfigSpec, DeploymentTriggerImageChangeParams, trigger,
};
use serde_json::Value;

use super::{Column, ColumnSet, Sets, name, typed};

/// The kinds here.
pub(super) const SETS: Sets = &[(
    "deploymentconfigs.apps.openshift.io",
    ColumnSet {
        columns: &[
            Column::NAME,
            Column::text("Revision"),
            Column::text("Desired"),
            Column::text("Current"),
            Column::text("Triggered By"),
        ],
        cells: deployment_config,
    },
)];

fn deployment_config(object: &Value, _: Timestamp) -> Vec<Value> {
    let config: DeploymentConfig = typed(object);
    let replicas = config.spec.replicas;
    let desired = if config.spec.test { format!("{replicas} (during test)") } else { replicas.to_string() };
    vec![
        name(object),
        config.status.latest_version.into(),
        desired.into(),
        config.status.updated_replicas.into(),
        triggers(&config.spec).into(),
    ]
}

/// What starts a rollout by itself.
fn triggers(spec: &DeploymentConfigSpec) -> String {
    let mut shown = BTreeSet::new();
    for policy in spec.triggers() {
        match policy.trigger_type.as_str() {
            trigger::CONFIG_CHANGE => {
                shown.insert("config".to_owned());
            }
            trigger::IMAGE_CHANGE => {
                let automatic = policy.image_change_params.as_ref().filter(|params| params.automatic);
                shown.extend(automatic.map(|params| image(spec, params)));
            }
            other => {
                shown.insert(other.to_owned());
            }
        }
    }
    shown.into_iter().collect::<Vec<_>>().join(",")
}

/// `image(app:v1)`; containers are named where there are several and the trigger names others.
fn image(spec: &DeploymentConfigSpec, params: &DeploymentTriggerImageChangeParams) -> String {
    let containers = spec.template.as_ref().map_or(&[][..], |template| template.spec.containers.as_slice());
    let known = |wanted: &String| containers.iter().any(|container| container.name == *wanted);
    let mut named = params.container_names.clone();
    let prefix = if containers.len() == 1 || named.iter().all(known) {
        String::new()
    } else {
        named.sort();
        format!("{}:", named.join(","))
    };
    let kind = match params.from.kind.as_str() {
        "ImageStreamTag" => "image",
        other => other,
    };
    format!("{kind}({prefix}{})", params.from.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tables::tests::check;

    #[test]
    fn prints_deployment_configs() {
        let follows = |automatic: bool, tag: &str, containers: &[&str]| {
            json!({"type": "ImageChange", "imageChangeParams": {
                "automatic": automatic, "containerNames": containers, "from": {"kind": "ImageStreamTag", "name": tag},
            }})
        };
        check(
            "deploymentconfigs.apps.openshift.io",
            json!({
                "metadata": {"name": "web"},
                "spec": {
                    "replicas": 3, "test": true,
                    "triggers": [
                        follows(true, "app:v1", &["a", "b"]), follows(false, "app:v2", &["a"]),
                        follows(true, "setup:v1", &["z", "init"]), {"type": "ConfigChange"},
                    ],
                    "template": {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}},
                },
                "status": {"latestVersion": 7, "updatedReplicas": 2},
            }),
            &[
                ("Name", "web"),
                ("Revision", "7"),
                ("Desired", "3 (during test)"),
                ("Current", "2"),
                ("Triggered By", "config,image(app:v1),image(init,z:setup:v1)"),
            ],
        );
    }
}
