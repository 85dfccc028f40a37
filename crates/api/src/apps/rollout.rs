//! What starts a rollout, and what it would roll out: images put into the template, causes, older versions
//! (platform 8.2 to 8.4). Pure: how a tag resolves is asked of the caller.

use super::{
    DeploymentCause, DeploymentCauseImageTrigger, DeploymentConfig, DeploymentConfigRollbackSpec,
    DeploymentConfigSpec, DeploymentDetails, DeploymentTriggerImageChangeParams, annotations, cause, trigger,
};
use crate::core::ObjectReference;
use crate::meta::ObjectMeta;
use crate::{DecodeError, from_slice};

/// What came of following the tags of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The images are in the template already.
    Unchanged,
    /// The template, the triggers or both were changed.
    Changed,
    /// A tag has no image yet and never had one; nothing was changed.
    Unresolved,
}

/// An image trigger has not been resolved yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it contains unresolved images")]
pub struct UnresolvedImages;

impl DeploymentConfig {
    /// Puts the newest images of automatic triggers into the template: what the image trigger controller does. A tag
    /// that lost its image keeps the last one; a tag that never had one leaves everything as it is.
    pub fn follow_images(&mut self, mut resolve: impl FnMut(&ObjectReference) -> Option<String>) -> Followed {
        let mut images = Vec::new();
        for params in self.spec.image_triggers() {
            if !params.automatic {
                images.push(None);
                continue;
            }
            let last = Some(params.last_triggered_image.clone()).filter(|image| !image.is_empty());
            match resolve(&params.from).or(last) {
                Some(image) => images.push(Some(image)),
                None => return Followed::Unresolved,
            }
        }
        let mut changed = false;
        for (index, image) in images.into_iter().enumerate() {
            if let Some(image) = image {
                changed |= self.spec.put_image(index, &image);
            }
        }
        if changed { Followed::Changed } else { Followed::Unchanged }
    }

    /// Puts the newest images of all `wanted` triggers that can be resolved into the template, each for itself: what
    /// a request for the latest images does.
    pub fn resolve_images(
        &mut self,
        wanted: impl Fn(&DeploymentTriggerImageChangeParams) -> bool,
        mut resolve: impl FnMut(&ObjectReference) -> Option<String>,
    ) {
        let images: Vec<Option<String>> = self
            .spec
            .image_triggers()
            .map(|params| if wanted(params) { resolve(&params.from) } else { None })
            .collect();
        for (index, image) in images.into_iter().enumerate() {
            if let Some(image) = image {
                self.spec.put_image(index, &image);
            }
        }
    }

    /// Why a rollout would begin now; none when nothing changed. `deployed` is the configuration of the newest
    /// replication controller, `None` before the first one. `force` always gives a manual cause.
    ///
    /// # Errors
    /// While an image trigger is unresolved, automatic or not.
    pub fn causes(
        &self,
        deployed: Option<&Self>,
        force: bool,
    ) -> Result<Vec<DeploymentCause>, UnresolvedImages> {
        if self.spec.image_triggers().any(|params| params.last_triggered_image.is_empty()) {
            return Err(UnresolvedImages);
        }
        if force {
            return Ok(vec![cause_of(trigger::MANUAL)]);
        }
        let all_new = deployed.is_none_or(|deployed| self.spec.has_other_tags(&deployed.spec));
        let changed = |params: &DeploymentTriggerImageChangeParams| {
            all_new || deployed.is_some_and(|deployed| deployed.spec.had_other_image(params))
        };
        let images = self.spec.image_triggers().filter(|params| params.automatic && changed(params));
        let causes: Vec<DeploymentCause> = images
            .map(|params| DeploymentCause {
                image_trigger: Some(DeploymentCauseImageTrigger {
                    from: ObjectReference {
                        kind: "ImageStreamTag".into(),
                        namespace: params.from.namespace.clone(),
                        name: params.from.name.clone(),
                        ..ObjectReference::default()
                    },
                }),
                ..cause_of(trigger::IMAGE_CHANGE)
            })
            .collect();
        let template_changed = deployed.is_none_or(|deployed| deployed.spec.template != self.spec.template);
        if causes.is_empty() && self.spec.has_config_change_trigger() && template_changed {
            return Ok(vec![cause_of(trigger::CONFIG_CHANGE)]);
        }
        Ok(causes)
    }

    /// This configuration with the parts of an older one that `wanted` names. Its image triggers do not act by
    /// themselves any more, and its version is the next one, so that storing it starts the rollout.
    #[must_use]
    pub fn rolled_back(&self, to: &Self, wanted: &DeploymentConfigRollbackSpec) -> Self {
        let mut config = self.clone();
        let (spec, old) = (&mut config.spec, &to.spec);
        if wanted.include_triggers {
            spec.triggers.clone_from(&old.triggers);
        }
        if wanted.include_template {
            spec.template.clone_from(&old.template);
        }
        if wanted.include_replication_meta {
            spec.replicas = old.replicas;
            spec.selector.clone_from(&old.selector);
        }
        if wanted.include_strategy {
            spec.strategy = old.strategy.clone();
        }
        spec.image_triggers_mut().for_each(|params| params.automatic = false);
        config.status.latest_version += 1;
        config
    }
}

impl DeploymentConfigSpec {
    /// Puts `image` into the containers that the image trigger `index` names; says whether anything changed.
    fn put_image(&mut self, index: usize, image: &str) -> bool {
        let Some(params) = self.image_triggers_mut().nth(index) else { return false };
        let mut changed = false;
        if params.last_triggered_image != image {
            image.clone_into(&mut params.last_triggered_image);
            changed = true;
        }
        let names = params.container_names.clone();
        let Some(template) = &mut self.template else { return changed };
        let containers = template.spec.containers.iter_mut().chain(&mut template.spec.init_containers);
        for container in containers.filter(|container| names.contains(&container.name)) {
            if container.image != image {
                image.clone_into(&mut container.image);
                changed = true;
            }
        }
        changed
    }

    /// Whether it follows a tag that `before` did not follow.
    fn has_other_tags(&self, before: &Self) -> bool {
        let mut tags = self.image_triggers().map(|params| &params.from);
        tags.any(|tag| !before.image_triggers().any(|known| same_tag(&known.from, tag)))
    }

    /// Whether the tag of `params` gave another image to this configuration.
    fn had_other_image(&self, params: &DeploymentTriggerImageChangeParams) -> bool {
        let mut known = self.image_triggers().filter(|known| same_tag(&known.from, &params.from));
        known.next().is_some_and(|known| known.last_triggered_image != params.last_triggered_image)
    }
}

fn same_tag(one: &ObjectReference, two: &ObjectReference) -> bool {
    one.namespace == two.namespace && one.name == two.name
}

fn cause_of(cause_type: &str) -> DeploymentCause {
    DeploymentCause { cause_type: cause_type.into(), image_trigger: None }
}

impl DeploymentDetails {
    /// The details of a rollout with these causes; the first one gives the message.
    pub fn of_causes(causes: Vec<DeploymentCause>) -> Self {
        let message = match causes.first().map_or("", |first| first.cause_type.as_str()) {
            trigger::CONFIG_CHANGE => cause::CONFIG_CHANGE,
            trigger::IMAGE_CHANGE => cause::IMAGE_CHANGE,
            _ => cause::MANUAL_CHANGE,
        };
        Self { message: message.into(), causes }
    }
}

/// The configuration a replication controller was made from: `None` when it was made from none, an error when its
/// annotation is not a configuration.
pub fn encoded_config(deployment: &ObjectMeta) -> Option<Result<DeploymentConfig, DecodeError>> {
    deployment.annotation(annotations::ENCODED_CONFIG).map(|text| from_slice(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{DeploymentConfig, Followed};
    use crate::apps::{DeploymentConfigRollbackSpec, DeploymentDetails};
    use crate::from_value;

    /// A configuration that follows `app:v1` (last resolved to `last`) with container `web`, which runs `image`.
    fn config(automatic: bool, last: &str, image: &str) -> DeploymentConfig {
        let document = json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "triggers": [{"type": "ConfigChange"}, {"type": "ImageChange", "imageChangeParams": {
                    "automatic": automatic, "containerNames": ["web", "setup"], "lastTriggeredImage": last,
                    "from": {"kind": "ImageStreamTag", "name": "app:v1", "namespace": "shop"},
                }}],
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {
                        "initContainers": [{"name": "setup", "image": image}],
                        "containers": [{"name": "web", "image": image}, {"name": "other", "image": "o"}],
                    },
                },
            },
        });
        from_value(&document).unwrap()
    }

    #[track_caller]
    fn check_follow(mut config: DeploymentConfig, tag: Option<&str>, followed: Followed, image: &str) {
        assert_eq!(config.follow_images(|_| tag.map(str::to_owned)), followed);
        let pod = config.spec.template.unwrap().spec;
        assert_eq!((pod.containers[0].image.as_str(), pod.init_containers[0].image.as_str()), (image, image));
        assert_eq!(pod.containers[1].image, "o");
    }

    #[test]
    fn follows_automatic_tags() {
        check_follow(config(true, "", " "), Some("r@1"), Followed::Changed, "r@1");
        check_follow(config(true, "r@1", "r@1"), Some("r@2"), Followed::Changed, "r@2");
        check_follow(config(true, "r@1", "r@1"), Some("r@1"), Followed::Unchanged, "r@1");
        // Somebody put another image there.
        check_follow(config(true, "r@1", "mine"), Some("r@1"), Followed::Changed, "r@1");
        check_follow(config(true, "r@1", "mine"), None, Followed::Changed, "r@1");
        check_follow(config(true, "", "mine"), None, Followed::Unresolved, "mine");
        check_follow(config(false, "", "mine"), Some("r@1"), Followed::Unchanged, "mine");
    }

    #[test]
    fn resolves_each_wanted_trigger_for_itself() {
        let mut config = config(false, "", "mine");
        config.resolve_images(|params| params.automatic, |_| Some("r@1".into()));
        assert_eq!(config.causes(None, true).unwrap_err().to_string(), "it contains unresolved images");
        config.resolve_images(|_| true, |_| None);
        config.causes(None, true).unwrap_err();
        config.resolve_images(|_| true, |tag| Some(format!("{}@1", tag.name)));
        assert_eq!(config.spec.template.as_ref().unwrap().spec.containers[0].image, "app:v1@1");
        assert_eq!(config.causes(None, true).unwrap().len(), 1);
    }

    #[track_caller]
    fn check_cause(now: &DeploymentConfig, deployed: Option<&DeploymentConfig>, force: bool, expected: &str) {
        let causes = now.causes(deployed, force).unwrap();
        let message =
            if causes.is_empty() { String::new() } else { DeploymentDetails::of_causes(causes).message };
        assert_eq!(message, expected);
    }

    #[test]
    fn says_why_a_rollout_begins() {
        let (one, two) = (config(true, "r@1", "r@1"), config(true, "r@2", "r@2"));
        check_cause(&one, None, false, "image change");
        check_cause(&two, Some(&one), false, "image change");
        check_cause(&one, Some(&one), false, "");
        check_cause(&one, Some(&one), true, "manual change");
        let edited = config(true, "r@1", "mine");
        check_cause(&edited, Some(&one), false, "config change");
        let mut by_hand = config(false, "r@2", "r@2");
        check_cause(&by_hand, Some(&one), false, "config change");
        by_hand.spec.triggers = Some(Vec::new());
        check_cause(&by_hand, Some(&one), false, "");
        check_cause(&by_hand, None, false, "");
    }

    #[test]
    fn rolls_back_what_was_asked_and_stops_following() {
        let (mut now, mut old) = (config(true, "r@2", "r@2"), config(true, "r@1", "r@1"));
        (now.status.latest_version, now.spec.replicas) = (2, 5);
        old.spec.replicas = 1;
        let wanted = DeploymentConfigRollbackSpec { include_template: true, ..Default::default() };
        let back = now.rolled_back(&old, &wanted);
        assert_eq!(back.spec.template, old.spec.template);
        assert_eq!((back.spec.replicas, back.status.latest_version), (5, 3));
        assert!(back.spec.image_triggers().all(|params| !params.automatic));
    }
}
