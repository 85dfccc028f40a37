//! The annotation by which any object with a pod template follows tags (platform 8.3):
//! `[{"from": {"kind": "ImageStreamTag", "name": "app:v1"}, "fieldPath": "spec.template.spec.containers[0].image"}]`.

use pierhead_api::apps::annotations::{CONFIG, IMAGE_TRIGGERS};
use pierhead_api::core::{ObjectReference, PodSpec, ReplicationController};
use serde::Deserialize;
use serde_json::Value;
use tracing::debug;

/// One field that follows a tag.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FieldTrigger {
    from: ObjectReference,
    field_path: String,
    /// True, or the text: clients have written both.
    #[serde(default)]
    paused: Value,
}

impl FieldTrigger {
    fn is_active(&self) -> bool {
        let paused = self.paused == true || self.paused == "true";
        !paused && matches!(self.from.kind.as_str(), "" | "ImageStreamTag")
    }
}

/// The active triggers of a controller, their tags with a namespace. One that rolls out a configuration has none:
/// there, the configuration follows.
fn triggers_of(controller: &ReplicationController) -> Vec<FieldTrigger> {
    let meta = &controller.metadata;
    if meta.annotations.contains_key(CONFIG) {
        return Vec::new();
    }
    let Some(text) = meta.annotation(IMAGE_TRIGGERS) else { return Vec::new() };
    let mut triggers: Vec<FieldTrigger> = match serde_json::from_str(text) {
        Ok(triggers) => triggers,
        Err(error) => {
            debug!(namespace = meta.namespace, name = meta.name, %error, "Ignoring unreadable image triggers");
            return Vec::new();
        }
    };
    triggers.retain(FieldTrigger::is_active);
    for trigger in triggers.iter_mut().filter(|trigger| trigger.from.namespace.is_empty()) {
        trigger.from.namespace.clone_from(&meta.namespace);
    }
    triggers
}

/// The tags it follows.
pub(super) fn tags_of(controller: &ReplicationController) -> Vec<ObjectReference> {
    triggers_of(controller).into_iter().map(|trigger| trigger.from).collect()
}

/// Puts the images of tags into the fields that follow them; says whether anything changed. A tag without an image
/// leaves its field alone.
pub(super) fn follow(
    controller: &mut ReplicationController,
    image: impl Fn(&ObjectReference) -> Option<String>,
) -> bool {
    let mut changed = false;
    for trigger in triggers_of(controller) {
        let Some(template) = &mut controller.spec.template else { continue };
        let Some(field) = field(&mut template.spec, &trigger.field_path) else { continue };
        match image(&trigger.from) {
            Some(image) if image != *field => {
                *field = image;
                changed = true;
            }
            _ => {}
        }
    }
    changed
}

/// The image that a path names: of a container by its place, or by its name in a filter.
fn field<'a>(pod: &'a mut PodSpec, path: &str) -> Option<&'a mut String> {
    let path = path.strip_prefix("spec.template.spec.")?;
    let (list, rest) = path.split_once('[')?;
    let containers = match list {
        "containers" => &mut pod.containers,
        "initContainers" => &mut pod.init_containers,
        _ => return None,
    };
    let which = rest.strip_suffix("].image")?;
    let container = match which.parse::<usize>() {
        Ok(index) => containers.get_mut(index)?,
        Err(_) => {
            let name = which.strip_prefix("?(@.name==")?.strip_suffix(')')?.trim_matches(['"', '\'']);
            containers.iter_mut().find(|container| container.name == name)?
        }
    };
    Some(&mut container.image)
}

#[cfg(test)]
mod tests {
    use pierhead_api::core::ReplicationController;
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use super::{follow, tags_of};

    /// A controller with containers `a` and `b`, and init container `i`, that follows `shop/app:v1` with the field.
    fn controller(path: &str, paused: &Value) -> ReplicationController {
        let trigger = json!([{"from": {"kind": "ImageStreamTag", "name": "app:v1"}, "fieldPath": path, "paused": paused}]);
        from_value(&json!({
            "metadata": {
                "name": "web", "namespace": "shop", "annotations": {"image.openshift.io/triggers": trigger.to_string()},
            },
            "spec": {"template": {"spec": {
                "containers": [{"name": "a", "image": "old"}, {"name": "b", "image": "old"}],
                "initContainers": [{"name": "i", "image": "old"}],
            }}},
        }))
        .unwrap()
    }

    #[track_caller]
    fn check(path: &str, paused: &Value, expected: [&str; 3]) {
        let mut controller = controller(path, paused);
        let changed = follow(&mut controller, |from| (from.namespace == "shop").then(|| "new".to_owned()));
        let pod = controller.spec.template.unwrap().spec;
        let images = [&pod.containers[0].image, &pod.containers[1].image, &pod.init_containers[0].image];
        assert_eq!(images, expected, "{path}");
        assert_eq!(changed, expected.contains(&"new"));
    }

    #[test]
    fn puts_the_image_where_the_path_says() {
        let no = json!(false);
        check("spec.template.spec.containers[0].image", &no, ["new", "old", "old"]);
        check("spec.template.spec.containers[?(@.name==\"b\")].image", &no, ["old", "new", "old"]);
        check(
            "spec.template.spec.initContainers[?(@.name=='i')].image",
            &json!("false"),
            ["old", "old", "new"],
        );
        for elsewhere in
            ["spec.template.spec.containers[7].image", "spec.replicas", "spec.template.spec.volumes[0]"]
        {
            check(elsewhere, &no, ["old", "old", "old"]);
        }
        check("spec.template.spec.containers[0].image", &json!(true), ["old", "old", "old"]);
        check("spec.template.spec.containers[0].image", &json!("true"), ["old", "old", "old"]);
    }

    #[test]
    fn leaves_what_is_unreadable_unresolved_or_rolled_out_alone() {
        let mut controller = controller("spec.template.spec.containers[0].image", &Value::Null);
        assert!(!follow(&mut controller, |_| None));
        assert_eq!(tags_of(&controller).len(), 1);
        let annotations = &mut controller.metadata.annotations;
        annotations.insert("openshift.io/deployment-config.name".into(), "web".into());
        assert!(tags_of(&controller).is_empty());
        controller.metadata.annotations = [("image.openshift.io/triggers".into(), "{".into())].into();
        assert!(tags_of(&controller).is_empty());
    }
}
