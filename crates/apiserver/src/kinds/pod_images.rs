//! Short image names that mean a stream of the same project (images 5.8).
//!
//! Owns the admission that replaces them: for streams whose `lookupPolicy.local` is set, or where the pod or template
//! says that names are to be resolved. A name that no stream has stays what the engine makes of it, and so does one that
//! was there before: a change of something else resolves nothing.

use pierhead_api::apps::annotations::RESOLVE_NAMES;
use pierhead_api::core::{Container, Pod, PodSpec, ReplicationController};
use pierhead_api::meta::ObjectMeta;
use pierhead_api::{Object, from_value, to_value};
use serde_json::Value;

use crate::admission::{Admission, Operation};
use crate::call::Call;
use crate::error::ApiError;
use crate::strategy::Part;

/// For pods.
pub(crate) fn resolve_pod(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    // The images of a pod that exists are somebody's deliberate choice.
    if matches!(admission.operation, Operation::Update { .. }) {
        return Ok(());
    }
    resolve(admission, |pod: &mut Pod| {
        let asked = asks(&pod.metadata);
        Some((&mut pod.spec, asked))
    })
}

/// For replication controllers.
pub(crate) fn resolve_template(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    resolve(admission, |controller: &mut ReplicationController| {
        let asked = asks(&controller.metadata);
        let template = controller.spec.template.as_mut()?;
        let asked = asked || asks(&template.metadata);
        Some((&mut template.spec, asked))
    })
}

/// Whether image names of the object are looked up whatever the streams say.
pub(crate) fn asks(metadata: &ObjectMeta) -> bool {
    metadata.annotation(RESOLVE_NAMES) == Some("*")
}

/// Resolves the images of the pod spec that `spec_of` finds, with whether all of them are to be looked up.
pub(crate) fn resolve<O: Object>(
    admission: &mut Admission<'_>,
    spec_of: impl Fn(&mut O) -> Option<(&mut PodSpec, bool)>,
) -> Result<(), ApiError> {
    let (call, namespace) = (admission.call, admission.namespace);
    let (document, old) = match &mut admission.operation {
        Operation::Create { object } => (object, None),
        Operation::Update { object, old, part: Part::Main | Part::Computed } => (object, Some(*old)),
        Operation::Update { .. } | Operation::Delete { .. } => return Ok(()),
    };
    let read = |document: &Value| from_value::<O>(document).map_err(|error| ApiError::internal(&error));
    let mut object = read(document)?;
    let mut old = old.map(read).transpose()?;
    let before = old.as_mut().and_then(&spec_of).map(|(spec, _)| &*spec);
    let Some((spec, always)) = spec_of(&mut object) else { return Ok(()) };
    let mut changed = false;
    for container in spec.init_containers.iter_mut().chain(&mut spec.containers) {
        let known = before.and_then(|before| before.container(&container.name));
        if known.is_none_or(|known| known.image != container.image) {
            changed |= resolve_container(call, namespace, container, always)?;
        }
    }
    if changed {
        **document = to_value(&object);
    }
    Ok(())
}

fn resolve_container(
    call: &Call,
    namespace: &str,
    container: &mut Container,
    always: bool,
) -> Result<bool, ApiError> {
    let Some((name, tag)) = stream_and_tag(&container.image) else { return Ok(false) };
    // Not the whole stream, which may have very many tags.
    let found = call.server.images.tag_pull_spec(namespace, &format!("{name}:{tag}"))?;
    let Some((policy, spec)) = found else { return Ok(false) };
    if spec == container.image || !always && !policy.local {
        return Ok(false);
    }
    container.image = spec;
    Ok(true)
}

/// `name` and `tag` of `name` or `name:tag`; nothing of longer names.
fn stream_and_tag(image: &str) -> Option<(&str, &str)> {
    if image.is_empty() || image.contains(['/', '@']) {
        return None;
    }
    Some(image.split_once(':').unwrap_or((image, "latest")))
}

#[cfg(test)]
mod tests {
    use super::stream_and_tag;

    #[test]
    fn only_short_names_are_looked_up() {
        assert_eq!(stream_and_tag("app"), Some(("app", "latest")));
        assert_eq!(stream_and_tag("app:1"), Some(("app", "1")));
        for other in ["", "library/app", "host:80/p/app", "app@sha256:00"] {
            assert_eq!(stream_and_tag(other), None, "{other}");
        }
    }
}
