//! What the server fills in where a deployment configuration says nothing (platform 8.1).

use super::{
    DEFAULT_ACTIVE_DEADLINE_SECONDS, DEFAULT_TIMEOUT_SECONDS, DeploymentConfig, DeploymentConfigSpec,
    DeploymentStrategy, DeploymentTriggerPolicy, LifecycleHook, RollingDeploymentStrategyParams, strategy,
    trigger,
};
use crate::IntOrString;

/// How many finished replication controllers are kept of configurations made through the group's API.
const REVISION_HISTORY_LIMIT: i32 = 10;
/// Share of the pods that may be missing or too many.
const SHARE: &str = "25%";

impl DeploymentConfig {
    /// Triggers, selector, strategy, and the defaults of the pod template.
    pub fn set_defaults(&mut self) {
        self.spec.set_defaults();
        let own_namespace = &self.metadata.namespace;
        for trigger in self.spec.triggers.iter_mut().flatten() {
            let Some(params) = &mut trigger.image_change_params else { continue };
            if params.from.kind.is_empty() {
                params.from.kind = "ImageStreamTag".into();
            }
            if params.from.namespace.is_empty() {
                params.from.namespace.clone_from(own_namespace);
            }
        }
    }

    /// What clients cannot bring along with a new object, and what only objects made through the group's API get.
    pub fn begin(&mut self) {
        self.status = super::DeploymentConfigStatus::default();
        for trigger in self.spec.triggers.iter_mut().flatten() {
            if let Some(params) = &mut trigger.image_change_params {
                params.last_triggered_image.clear();
            }
        }
    }

    /// The history limit of configurations made through the group's API.
    pub fn limit_history(&mut self) {
        self.spec.revision_history_limit.get_or_insert(REVISION_HISTORY_LIMIT);
    }
}

impl DeploymentConfigSpec {
    fn set_defaults(&mut self) {
        self.triggers.get_or_insert_with(|| {
            vec![DeploymentTriggerPolicy {
                trigger_type: trigger::CONFIG_CHANGE.into(),
                image_change_params: None,
            }]
        });
        self.strategy.set_defaults();
        let Some(template) = &mut self.template else { return };
        template.spec.set_defaults();
        if self.selector.is_empty() {
            self.selector.clone_from(&template.metadata.labels);
        }
        if let [container] = template.spec.containers.as_slice() {
            self.strategy.hooks_mut().for_each(|hook| hook.set_container(&container.name));
        }
    }
}

impl LifecycleHook {
    fn set_container(&mut self, container: &str) {
        let tags = self.tag_images.iter_mut().map(|tag| &mut tag.container_name);
        let pod = self.exec_new_pod.iter_mut().map(|pod| &mut pod.container_name);
        for name in tags.chain(pod).filter(|name| name.is_empty()) {
            container.clone_into(name);
        }
    }
}

impl DeploymentStrategy {
    fn set_defaults(&mut self) {
        if self.strategy_type.is_empty() {
            self.strategy_type = strategy::ROLLING.into();
        }
        match self.strategy_type.as_str() {
            strategy::ROLLING => {
                self.rolling_params.get_or_insert_default();
            }
            strategy::RECREATE => {
                self.recreate_params.get_or_insert_default();
            }
            _ => {}
        }
        if let Some(params) = &mut self.rolling_params {
            params.set_defaults();
        }
        if let Some(params) = &mut self.recreate_params {
            params.timeout_seconds.get_or_insert(DEFAULT_TIMEOUT_SECONDS);
        }
        self.active_deadline_seconds.get_or_insert(DEFAULT_ACTIVE_DEADLINE_SECONDS);
    }
}

impl RollingDeploymentStrategyParams {
    fn set_defaults(&mut self) {
        self.interval_seconds.get_or_insert(1);
        self.update_period_seconds.get_or_insert(1);
        self.timeout_seconds.get_or_insert(DEFAULT_TIMEOUT_SECONDS);
        let share = || Some(IntOrString::String(SHARE.into()));
        match (&self.max_unavailable, &self.max_surge) {
            (None, None) => {
                self.max_unavailable = share();
                self.max_surge = share();
            }
            (None, Some(surge)) => self.max_unavailable = other_of(surge),
            (Some(unavailable), None) => self.max_surge = other_of(unavailable),
            (Some(_), Some(_)) => {}
        }
    }
}

/// One of the two limits must leave room; where the given one does, the other one is 0.
fn other_of(given: &IntOrString) -> Option<IntOrString> {
    let none = match given {
        IntOrString::Int(number) => *number == 0,
        IntOrString::String(text) => text == "0%",
    };
    Some(if none { IntOrString::String(SHARE.into()) } else { IntOrString::Int(0) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::apps::DeploymentConfig;
    use crate::{from_value, to_value};

    fn defaulted(spec: &Value) -> Value {
        let mut config: DeploymentConfig =
            from_value(&json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec})).unwrap();
        config.set_defaults();
        to_value(&config)["spec"].take()
    }

    #[track_caller]
    fn check(spec: &Value, pointer: &str, expected: &Value) {
        assert_eq!(defaulted(spec).pointer(pointer), Some(expected), "{pointer}");
    }

    #[test]
    fn no_triggers_are_the_template_and_an_empty_list_is_nothing() {
        check(&json!({}), "/triggers", &json!([{"type": "ConfigChange"}]));
        check(&json!({"triggers": null}), "/triggers", &json!([{"type": "ConfigChange"}]));
        check(&json!({"triggers": []}), "/triggers", &json!([]));
        let params = json!({"containerNames": ["a"], "from": {"name": "app:v1"}});
        check(
            &json!({"triggers": [{"type": "ImageChange", "imageChangeParams": params}]}),
            "/triggers/0/imageChangeParams/from",
            &json!({"kind": "ImageStreamTag", "namespace": "shop", "name": "app:v1"}),
        );
    }

    #[test]
    fn rolls_by_a_quarter() {
        let rolling = |given: Value, unavailable: Value, surge: Value| {
            let spec = json!({"strategy": {"type": "Rolling", "rollingParams": given}});
            check(&spec, "/strategy/rollingParams/maxUnavailable", &unavailable);
            check(&spec, "/strategy/rollingParams/maxSurge", &surge);
        };
        rolling(json!({}), json!("25%"), json!("25%"));
        rolling(json!({"maxSurge": 0}), json!("25%"), json!(0));
        rolling(json!({"maxUnavailable": "0%"}), json!("0%"), json!("25%"));
        rolling(json!({"maxSurge": 2}), json!(0), json!(2));
        check(&json!({}), "/strategy/type", &json!("Rolling"));
        check(&json!({}), "/strategy/rollingParams/timeoutSeconds", &json!(600));
        check(&json!({}), "/strategy/activeDeadlineSeconds", &json!(21600));
        let recreate = json!({"strategy": {"type": "Recreate"}});
        check(&recreate, "/strategy/recreateParams", &json!({"timeoutSeconds": 600}));
        check(&json!({}), "/replicas", &json!(0));
    }

    #[test]
    fn the_only_container_is_the_one_meant() {
        let spec = json!({
            "strategy": {"type": "Recreate", "recreateParams": {"mid": {
                "failurePolicy": "Abort", "execNewPod": {"command": ["true"]},
            }}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web"}]}},
        });
        check(&spec, "/strategy/recreateParams/mid/execNewPod/containerName", &json!("web"));
        check(&spec, "/selector", &json!({"app": "web"}));
        check(&spec, "/template/spec/restartPolicy", &json!("Always"));
    }
}
