//! Deployment configurations and their requests, right and wrong, and what is said of them.

use serde_json::{Value, json};

use crate::apps::{DeploymentConfig, DeploymentConfigRollback, DeploymentLogOptions, DeploymentRequest};
use crate::from_value;

/// A valid configuration with `changes` merged into its spec, defaulted.
fn config(changes: &Value) -> DeploymentConfig {
    let document = json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": 1, "selector": {"app": "web"},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "registry.example.com/shop/web:v1"}]},
            },
        },
    });
    let changed = crate::patch::merge_patch(&document, &json!({"spec": changes}));
    let mut config: DeploymentConfig = from_value(&changed).unwrap();
    config.set_defaults();
    config
}

#[track_caller]
fn check(changes: Value, expected: &str) {
    let errors = config(&changes).validate();
    assert_eq!(if errors.is_empty() { String::new() } else { errors.to_string() }, expected, "{changes}");
}

#[test]
fn checks_template_selector_and_numbers() {
    check(json!({}), "");
    check(json!({"replicas": -1}), "spec.replicas: Invalid value: -1: replicas cannot be negative");
    check(
        json!({"selector": {"app": "other"}}),
        "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
    );
    check(
        json!({"selector": null, "template": {"metadata": null}}),
        "spec.selector: Invalid value: {}: selector cannot be empty",
    );
    check(json!({"template": null}), "spec.template: Required value");
    let image =
        |image: &str| json!({"template": {"spec": {"containers": [{"name": "web", "image": image}]}}});
    check(image(" "), "");
    check(image(" web:v1"), "");
    check(image(""), "spec.template.spec.containers[0].image: Required value");
    check(
        json!({"minReadySeconds": 600}),
        "spec.minReadySeconds: Invalid value: 600: must be less than the deployment timeout (600s)",
    );
    check(
        json!({"revisionHistoryLimit": -1}),
        "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
    );
}

#[test]
fn checks_triggers() {
    let image = |params: Value| json!({"triggers": [{"type": "ImageChange", "imageChangeParams": params}]});
    let at = "spec.triggers[0].imageChangeParams";
    check(image(json!({"containerNames": ["web"], "from": {"name": "app:v1"}})), "");
    check(json!({"triggers": [{}]}), "spec.triggers[0].type: Required value");
    check(image(Value::Null), &format!("{at}: Required value"));
    check(
        image(json!({"containerNames": ["web"], "from": {"kind": "ImageStream", "name": "app:v1"}})),
        &format!("{at}.from.kind: Invalid value: \"ImageStream\": kind must be an ImageStreamTag"),
    );
    check(
        image(json!({"containerNames": ["web"], "from": {"name": "app"}})),
        &format!("{at}.from.name: Invalid value: \"app\": must be in the form of <name>:<tag>"),
    );
    check(image(json!({"from": {"name": "app:v1"}})), &format!("{at}.containerNames: Required value"));
}

#[test]
fn checks_strategies() {
    let strategy = |strategy: Value| json!({"strategy": strategy});
    check(strategy(json!({"type": "Custom"})), "spec.strategy.customParams: Required value");
    check(
        strategy(json!({"type": "Magic"})),
        "spec.strategy.type: Invalid value: \"Magic\": unsupported strategy type, use \"Custom\" instead and specify \
         your own strategy",
    );
    check(
        strategy(json!({"rollingParams": {"maxSurge": 0, "maxUnavailable": "0%"}})),
        "spec.strategy.rollingParams.maxUnavailable: Invalid value: \"0%\": cannot be 0 when maxSurge is 0 as well",
    );
    check(
        strategy(json!({"rollingParams": {"maxUnavailable": "101%", "maxSurge": "lots"}})),
        "[spec.strategy.rollingParams.maxSurge: Invalid value: \"lots\": value should be int(5) or percentage(5%), \
         spec.strategy.rollingParams.maxUnavailable: Invalid value: \"101%\": should not be more than 100%]",
    );
    check(
        strategy(json!({"activeDeadlineSeconds": 600})),
        "spec.strategy.activeDeadlineSeconds: Invalid value: 600: activeDeadlineSeconds must be greater than \
         timeoutSeconds",
    );
}

#[test]
fn checks_hooks() {
    let at = "spec.strategy.recreateParams.mid";
    let mid = |hook: Value| json!({"strategy": {"type": "Recreate", "recreateParams": {"mid": hook}}});
    check(mid(json!({"failurePolicy": "Abort", "execNewPod": {"command": ["true"]}})), "");
    check(mid(json!({"execNewPod": {"command": ["true"]}})), &format!("{at}.failurePolicy: Required value"));
    check(
        mid(json!({"failurePolicy": "Abort"})),
        &format!("{at}: Invalid value: \"<empty>\": One of execNewPod or tagImages must be specified"),
    );
    let tag = json!({"containerName": "other", "to": {"kind": "ImageStream"}});
    check(
        mid(json!({"failurePolicy": "Abort", "tagImages": [tag]})),
        &format!(
            "[{at}.tagImages[0].containerName: Invalid value: \"other\": no container \"other\" found, \
             {at}.tagImages[0].to.kind: Invalid value: \"ImageStream\": Must be 'ImageStreamTag', \
             {at}.tagImages[0].to.name: Required value: a destination tag name is required]"
        ),
    );
}

#[test]
fn versions_do_not_go_back() {
    let mut old = config(&json!({}));
    old.status.latest_version = 3;
    let mut new = old.clone();
    new.status.latest_version = 2;
    let expected = "status.latestVersion: Invalid value: 2: latestVersion cannot be decremented";
    assert_eq!(new.validate_status_update(&old).to_string(), expected);
    assert_eq!(new.validate_update(&old).to_string(), expected);
    assert!(old.validate_update(&new).is_empty());
}

#[test]
fn checks_requests() {
    let config = config(&json!({"paused": true}));
    let request = |name: &str| DeploymentRequest { name: name.into(), ..DeploymentRequest::default() };
    let paused = "spec.paused: Invalid value: true: deployment config \"web\" is paused - unpause to request a new \
                  deployment";
    assert_eq!(request("web").validate_for(&config).to_string(), paused);
    assert_eq!(
        request("").validate_for(&config).to_string(),
        format!("[name: Invalid value: \"\": name of the deployment config is missing, {paused}]"),
    );
    let mut rollback = DeploymentConfigRollback::default();
    rollback.spec.revision = -1;
    assert_eq!(rollback.validate().len(), 2);
    assert_eq!(rollback.validate_by_controller().to_string(), "spec.from.name: Required value");
    let log = DeploymentLogOptions { version: Some(0), previous: true, ..DeploymentLogOptions::default() };
    assert_eq!(log.validate().len(), 2);
}
