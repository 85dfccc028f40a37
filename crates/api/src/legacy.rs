//! The legacy encoding: OpenShift's kinds as `apiVersion: v1`, as paths below `/oapi` speak it (images 1.1, 1.5).
//!
//! One object is stored, in the group form; these functions turn a document into the other form on the way out and
//! back on the way in. Roles and bindings differ more than that and are converted by type, see
//! [`crate::authorization`].

use serde_json::Value;

use crate::image::{DOCKER_IMAGE_GROUP_VERSION, DOCKER_IMAGE_LEGACY_VERSION};
use crate::route::EMPTY_CA_MARKER;

/// `apiVersion` of all documents in the legacy encoding.
pub const LEGACY_VERSION: &str = "v1";

/// OpenShift kinds that had a legacy encoding, with their groups. Lists are kinds with `List` appended.
const KINDS: &[(&str, &[&str])] = &[
    (
        "apps.openshift.io",
        &["DeploymentConfig", "DeploymentConfigRollback", "DeploymentLog", "DeploymentRequest"],
    ),
    (
        "authorization.openshift.io",
        &[
            "ClusterPolicy",
            "ClusterPolicyBinding",
            "ClusterRole",
            "ClusterRoleBinding",
            "LocalResourceAccessReview",
            "LocalSubjectAccessReview",
            "Policy",
            "PolicyBinding",
            "ResourceAccessReview",
            "ResourceAccessReviewResponse",
            "Role",
            "RoleBinding",
            "RoleBindingRestriction",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
            "SubjectAccessReviewResponse",
            "SubjectRulesReview",
        ],
    ),
    (
        "image.openshift.io",
        &[
            "Image",
            "ImageSignature",
            "ImageStream",
            "ImageStreamImage",
            "ImageStreamImport",
            "ImageStreamMapping",
            "ImageStreamTag",
        ],
    ),
    (
        "oauth.openshift.io",
        &["OAuthAccessToken", "OAuthAuthorizeToken", "OAuthClient", "OAuthClientAuthorization"],
    ),
    ("project.openshift.io", &["Project", "ProjectRequest"]),
    ("route.openshift.io", &["Route"]),
    ("user.openshift.io", &["Group", "Identity", "User", "UserIdentityMapping"]),
];

/// The group of an OpenShift kind that a legacy document names; `None` for kinds that have no legacy encoding.
pub fn group_of_kind(kind: &str) -> Option<&'static str> {
    let kind = kind.strip_suffix("List").unwrap_or(kind);
    KINDS.iter().find(|(_, kinds)| kinds.contains(&kind)).map(|(group, _)| *group)
}

/// Turns a document (or a list of them) from the group form into the legacy form. Documents of other kinds stay.
pub fn to_legacy(document: &mut Value) {
    convert(document, Direction::ToLegacy);
}

/// Turns a document (or a list of them) from the legacy form into the group form. Documents of other kinds stay.
pub fn to_group(document: &mut Value) {
    convert(document, Direction::ToGroup);
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    ToLegacy,
    ToGroup,
}

fn convert(document: &mut Value, direction: Direction) {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(group) = group_of_kind(&kind) else {
        // A plain `List`, as clients send and print it.
        if kind == "List" {
            items(document).iter_mut().for_each(|item| convert(item, direction));
        }
        return;
    };
    if let Some(version) = document.get_mut("apiVersion") {
        let grouped = format!("{group}/v1");
        match direction {
            Direction::ToLegacy if *version == grouped => *version = LEGACY_VERSION.into(),
            Direction::ToGroup if *version == LEGACY_VERSION => *version = grouped.into(),
            _ => {}
        }
    }
    let Some(item_kind) = kind.strip_suffix("List") else {
        return convert_fields(document, &kind, direction);
    };
    for item in items(document) {
        // Items may carry their own `apiVersion` and `kind`, and those may be of the list's encoding.
        if item.get("kind").is_some() {
            convert(item, direction);
        } else {
            convert_fields(item, item_kind, direction);
        }
    }
}

fn items(document: &mut Value) -> &mut [Value] {
    document.get_mut("items").and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// What differs inside a document.
fn convert_fields(document: &mut Value, kind: &str, direction: Direction) {
    if kind.starts_with("Image") {
        convert_image_metadata(document, direction);
    }
    if kind == "Route" {
        convert_route(document, direction);
    }
}

/// Old clients read only `1.0`, and fail the whole image otherwise.
fn convert_image_metadata(document: &mut Value, direction: Direction) {
    match document {
        Value::Object(members) => {
            for (name, value) in members {
                if name == "dockerImageMetadata" {
                    if let Some(version) = value.get_mut("apiVersion") {
                        *version = match direction {
                            Direction::ToLegacy => DOCKER_IMAGE_LEGACY_VERSION.into(),
                            Direction::ToGroup => DOCKER_IMAGE_GROUP_VERSION.into(),
                        };
                    }
                } else {
                    convert_image_metadata(value, direction);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| convert_image_metadata(item, direction)),
        _ => {}
    }
}

/// Old clients want a destination CA on every re-encrypting route; they get a block that says it is empty.
fn convert_route(document: &mut Value, direction: Direction) {
    const FIELD: &str = "destinationCACertificate";
    let Some(Value::Object(tls)) = document.get_mut("spec").and_then(|spec| spec.get_mut("tls")) else {
        return;
    };
    let text = |member: &str| tls.get(member).and_then(Value::as_str).unwrap_or_default();
    match direction {
        Direction::ToLegacy if text("termination") == "reencrypt" && text(FIELD).is_empty() => {
            tls.insert(FIELD.into(), crate::route::empty_ca().into());
        }
        Direction::ToGroup if text(FIELD).contains(EMPTY_CA_MARKER) => {
            tls.shift_remove(FIELD);
        }
        Direction::ToLegacy | Direction::ToGroup => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{group_of_kind, to_group, to_legacy};

    #[track_caller]
    fn check(group_form: Value, legacy_form: Value) {
        let mut document = group_form.clone();
        to_legacy(&mut document);
        assert_eq!(document, legacy_form);
        to_group(&mut document);
        assert_eq!(document, group_form);
    }

    #[test]
    fn converts_there_and_back() {
        check(
            json!({"apiVersion": "user.openshift.io/v1", "kind": "User", "metadata": {"name": "ann"}}),
            json!({"apiVersion": "v1", "kind": "User", "metadata": {"name": "ann"}}),
        );
        let tag = |outer: &str, inner: &str| {
            json!({
                "apiVersion": outer, "kind": "ImageStreamTag",
                "image": {"dockerImageMetadata": {"kind": "DockerImage", "apiVersion": inner, "Size": 1}},
            })
        };
        check(tag("image.openshift.io/v1", "image.openshift.io/1.0"), tag("v1", "1.0"));
        let list = |outer: &str, inner: &str| {
            json!({"apiVersion": outer, "kind": "ImageList", "items": [
                {"apiVersion": outer, "kind": "Image", "dockerImageMetadata": {"apiVersion": inner}},
                {"dockerImageMetadata": {"apiVersion": inner}},
            ]})
        };
        check(list("image.openshift.io/v1", "image.openshift.io/1.0"), list("v1", "1.0"));
        let secret = json!({"apiVersion": "v1", "kind": "Secret"});
        check(secret.clone(), secret);
    }

    #[test]
    fn shows_an_empty_ca_only_to_old_clients() {
        let route = json!({
            "apiVersion": "route.openshift.io/v1", "kind": "Route", "spec": {"tls": {"termination": "reencrypt"}},
        });
        let mut document = route.clone();
        to_legacy(&mut document);
        let pem = document["spec"]["tls"]["destinationCACertificate"].as_str().unwrap();
        assert!(pem.contains("This is an empty PEM file"));
        to_group(&mut document);
        assert_eq!(document, route);
    }

    #[test]
    fn knows_which_kinds_are_legacy() {
        assert_eq!(group_of_kind("ImageStreamList"), Some("image.openshift.io"));
        assert_eq!(group_of_kind("ImageTag"), None);
    }
}
