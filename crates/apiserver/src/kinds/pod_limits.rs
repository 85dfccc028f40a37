//! What limit ranges say about pods: defaults for containers that say nothing, and the most and least they may use.
//!
//! Owns the texts of refusals, which are those of Kubernetes. Limits of images are `images`' business, the validation
//! of limit ranges `api`'s.

use std::collections::BTreeMap;

use pierhead_api::core::{Container, LimitRange, LimitRangeItem, Pod, Quantity};
use pierhead_api::{Object as _, from_slice, from_value, to_value};
use pierhead_store::KeyRange;
use pierhead_store::objects::OBJECTS;

use crate::admission::{Admission, Operation};
use crate::error::ApiError;
use crate::metadata;

/// Where a pod says what it got by default.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

type Amounts = BTreeMap<String, Quantity>;

/// Fills in a new pod, and refuses one that uses too much or too little.
pub(super) fn admit(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    let Operation::Create { object } = &mut admission.operation else { return Ok(()) };
    let range = KeyRange::prefix(&(LimitRange::PLURAL, admission.namespace));
    let rows = admission.call.server.store.read(|tx| tx.scan(&OBJECTS, &range, usize::MAX))?;
    if rows.is_empty() {
        return Ok(());
    }
    let internal = |error: pierhead_api::DecodeError| ApiError::internal(&error);
    let mut pod: Pod = from_value(object).map_err(internal)?;
    for (_, record) in rows {
        let limits: LimitRange = from_slice(&record.0).map_err(internal)?;
        fill(&mut pod, &limits.spec.limits);
        let problems = problems_of(&pod, &limits.spec.limits);
        if let Some(text) = aggregate(&problems) {
            let name = metadata::text(object, "name");
            return Err(admission.call.forbidden(name, &text).into());
        }
    }
    pod.qos_class().clone_into(&mut pod.status.qos_class);
    **object = to_value(&pod);
    Ok(())
}

/// One problem as it is, several in brackets.
fn aggregate(problems: &[String]) -> Option<String> {
    match problems {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(format!("[{}]", several.join(", "))),
    }
}

/// Gives containers the defaults.
fn fill(pod: &mut Pod, limits: &[LimitRangeItem]) {
    let (mut requests, mut most) = (Amounts::new(), Amounts::new());
    for item in limits.iter().filter(|item| item.limit_type == "Container") {
        requests.extend(item.default_request.clone());
        most.extend(item.default.clone());
    }
    let mut told = Vec::new();
    let lists = [("container", &mut pod.spec.containers), ("init container", &mut pod.spec.init_containers)];
    for (what, containers) in lists {
        for container in containers {
            let resources = &mut container.resources;
            for (word, defaults, amounts) in
                [("request", &requests, &mut resources.requests), ("limit", &most, &mut resources.limits)]
            {
                let missing: Vec<&String> =
                    defaults.keys().filter(|name| !amounts.contains_key(*name)).collect();
                if missing.is_empty() {
                    continue;
                }
                let names = missing.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
                told.push(format!("{names} {word} for {what} {}", container.name));
                amounts.extend(missing.into_iter().map(|name| (name.clone(), defaults[name])));
            }
        }
    }
    if !told.is_empty() {
        let text = format!("LimitRanger plugin set: {}", told.join("; "));
        pod.metadata.annotations.insert(ANNOTATION.to_owned(), text);
    }
}

fn problems_of(pod: &Pod, limits: &[LimitRangeItem]) -> Vec<String> {
    let mut problems = Vec::new();
    for item in limits {
        match item.limit_type.as_str() {
            "Container" => {
                for container in pod.spec.containers.iter().chain(&pod.spec.init_containers) {
                    let resources = &container.resources;
                    check(item, &resources.requests, &resources.limits, &mut problems);
                }
            }
            "Pod" => {
                let requests = total(pod, |container| &container.resources.requests);
                let most = total(pod, |container| &container.resources.limits);
                check(item, &requests, &most, &mut problems);
            }
            _ => {}
        }
    }
    problems
}

/// All containers together, or the init container that uses more.
fn total(pod: &Pod, of: impl Fn(&Container) -> &Amounts) -> Amounts {
    let mut total = Amounts::new();
    for (name, amount) in pod.spec.containers.iter().flat_map(&of) {
        let sum = total.entry(name.clone()).or_default();
        *sum = *sum + *amount;
    }
    for (name, amount) in pod.spec.init_containers.iter().flat_map(&of) {
        let most = total.entry(name.clone()).or_default();
        *most = (*most).max(*amount);
    }
    total
}

fn check(item: &LimitRangeItem, requests: &Amounts, limits: &Amounts, problems: &mut Vec<String>) {
    let of_type = item.limit_type.as_str();
    for (name, least) in &item.min {
        let rule = format!("minimum {name} usage per {of_type} is {least}");
        match requests.get(name) {
            None => problems.push(format!("{rule}.  No request is specified")),
            Some(request) if request < least => problems.push(format!("{rule}, but request is {request}")),
            Some(_) => {}
        }
        if let Some(limit) = limits.get(name).filter(|limit| *limit < least) {
            problems.push(format!("{rule}, but limit is {limit}"));
        }
    }
    for (name, most) in &item.max {
        let rule = format!("maximum {name} usage per {of_type} is {most}");
        match limits.get(name) {
            None => problems.push(format!("{rule}.  No limit is specified")),
            Some(limit) if limit > most => problems.push(format!("{rule}, but limit is {limit}")),
            Some(_) => {}
        }
        if let Some(request) = requests.get(name).filter(|request| *request > most) {
            problems.push(format!("{rule}, but request is {request}"));
        }
    }
    for (name, ratio) in &item.max_limit_request_ratio {
        let rule = format!("{name} max limit to request ratio per {of_type} is {ratio}");
        let given = |amounts: &Amounts| amounts.get(name).filter(|amount| amount.nano_value() > 0).copied();
        match (given(requests), given(limits)) {
            (None, _) => problems.push(format!("{rule}, but no request is specified or request is 0")),
            (_, None) => problems.push(format!("{rule}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let provided = limit.in_units_of(request);
                if provided > ratio.in_units_of(Quantity::whole(1)) {
                    problems.push(format!("{rule}, but provided ratio is {provided:.6}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pierhead_api::core::{LimitRangeItem, Pod};
    use serde_json::{Value, json};

    use super::{aggregate, fill, problems_of};

    fn pod(resources: Value) -> Pod {
        let containers = json!([{"name": "a", "resources": resources}, {"name": "b"}]);
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"containers": containers}}))
            .unwrap()
    }

    #[track_caller]
    fn check(limit: Value, resources: Value, expected: Option<&str>) {
        let limits: Vec<LimitRangeItem> = serde_json::from_value(json!([limit])).unwrap();
        let mut pod = pod(resources);
        pod.spec.containers.truncate(1);
        assert_eq!(aggregate(&problems_of(&pod, &limits)).as_deref(), expected);
    }

    #[test]
    fn containers_that_say_nothing_get_defaults() {
        let limits = json!([{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"},
            "defaultRequest": {"cpu": "100m"}}]);
        let limits: Vec<LimitRangeItem> = serde_json::from_value(limits).unwrap();
        let mut filled = pod(json!({"requests": {"cpu": "50m"}, "limits": {"memory": "2Gi"}}));
        fill(&mut filled, &limits);
        let resources =
            |index: usize| serde_json::to_value(&filled.spec.containers[index].resources).unwrap();
        assert_eq!(
            resources(0),
            json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "1", "memory": "2Gi"}})
        );
        assert_eq!(
            resources(1),
            json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "1Gi"}})
        );
        assert_eq!(
            filled.metadata.annotations["kubernetes.io/limit-ranger"],
            "LimitRanger plugin set: cpu limit for container a; cpu request for container b; cpu, memory limit \
             for container b"
        );
    }

    #[test]
    fn what_is_too_much_or_too_little_is_said() {
        let both = json!({"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1"}});
        check(both.clone(), json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}), None);
        check(
            both.clone(),
            json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "2"}}),
            Some(
                "[minimum cpu usage per Container is 100m, but request is 50m, maximum cpu usage per Container is \
                 1, but limit is 2]",
            ),
        );
        check(
            json!({"type": "Pod", "max": {"memory": "1Gi"}}),
            json!({}),
            Some("maximum memory usage per Pod is 1Gi.  No limit is specified"),
        );
        check(
            json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}),
            json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "2"}}),
            Some("cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"),
        );
    }
}
