//! Users, identities and groups (platform 2.9).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::ObjectReference;
use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name;

/// A person, or whatever logged in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Name people read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub full_name: String,
    /// Names of the identities that log in as this user.
    pub identities: Option<Vec<String>>,
    /// Groups of a virtual user; for stored users always null, groups list their members.
    pub groups: Option<Vec<String>>,
}

object!(User: "user.openshift.io" "v1", "users" "user", Cluster);

/// A login at an identity provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Identity {
    /// Metadata; the name is `provider:user`.
    pub metadata: ObjectMeta,
    /// Name of the provider.
    pub provider_name: String,
    /// Name of the user at the provider.
    pub provider_user_name: String,
    /// The user it is mapped to: `name` and `uid`.
    pub user: ObjectReference,
    /// What else the provider told: `name`, `email`, `preferred_username`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
}

object!(Identity: "user.openshift.io" "v1", "identities" "identity", Cluster);

/// The link between an identity and a user; writing it changes both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct UserIdentityMapping {
    /// Metadata; the name is that of the identity.
    pub metadata: ObjectMeta,
    /// The identity.
    #[serde(skip_serializing_if = "is_default_reference")]
    pub identity: ObjectReference,
    /// The user.
    #[serde(skip_serializing_if = "is_default_reference")]
    pub user: ObjectReference,
}

object!(UserIdentityMapping: "user.openshift.io" "v1", "useridentitymappings" "useridentitymapping", Cluster);

fn is_default_reference(reference: &ObjectReference) -> bool {
    *reference == ObjectReference::default()
}

/// A group of users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Group {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// User names.
    pub users: Option<Vec<String>>,
}

object!(Group: "user.openshift.io" "v1", "groups" "group", Cluster);

/// Rule for names of users: a path segment without `:`, and not `~`.
pub fn user_name(text: &str) -> Vec<String> {
    let problems = name::path_segment(text);
    if !problems.is_empty() {
        return problems;
    }
    if text.contains(':') {
        return vec!["may not contain \":\"".into()];
    }
    if text == "~" { vec!["may not equal \"~\"".into()] } else { Vec::new() }
}

/// Rule for names of groups: as for users, but with `~` too refused.
pub fn group_name(text: &str) -> Vec<String> {
    user_name(text)
}

fn provider_name(text: &str) -> Vec<String> {
    let problems = name::path_segment(text);
    if problems.is_empty() && text.contains(':') { vec!["may not contain \":\"".into()] } else { problems }
}

/// Rule for names of identities: `provider:user`, both parts safe in a path.
pub fn identity_name(text: &str) -> Vec<String> {
    let problems = name::path_segment(text);
    if !problems.is_empty() {
        return problems;
    }
    match text.split_once(':') {
        Some((provider, user)) if !provider.is_empty() && !user.is_empty() && !user.contains(':') => {
            Vec::new()
        }
        _ => vec!["must be in the format <providerName>:<providerUserName>".into()],
    }
}

impl User {
    /// Name and names of identities.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, user_name);
        for (index, identity) in self.identities.iter().flatten().enumerate() {
            for problem in identity_name(identity) {
                errors.invalid(format!("identities[{index}]"), identity.as_str(), problem);
            }
        }
        if self.groups.as_ref().is_some_and(|groups| !groups.is_empty()) {
            let detail = "use groups.user.openshift.io to manage the members of a group";
            errors.forbidden("groups", detail);
        }
        errors
    }

    /// Metadata rules of an update and those of [`User::validate`].
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }
}

impl Identity {
    /// The name a login has: `provider:user`.
    pub fn name_of(provider: &str, user: &str) -> String {
        format!("{provider}:{user}")
    }

    /// Provider and user make the name.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, identity_name);
        if self.provider_name.is_empty() {
            errors.required("providerName", "");
        } else {
            for problem in provider_name(&self.provider_name) {
                errors.invalid("providerName", self.provider_name.as_str(), problem);
            }
        }
        if self.provider_user_name.is_empty() {
            errors.required("providerUserName", "");
        } else {
            for problem in provider_name(&self.provider_user_name) {
                errors.invalid("providerUserName", self.provider_user_name.as_str(), problem);
            }
        }
        for problem in user_name(&self.user.name) {
            errors.invalid("user.name", self.user.name.as_str(), problem);
        }
        let expected = Self::name_of(&self.provider_name, &self.provider_user_name);
        if !self.provider_name.is_empty()
            && !self.provider_user_name.is_empty()
            && self.metadata.name != expected
        {
            let detail = format!("must be {expected}");
            errors.invalid("metadata.name", self.metadata.name.as_str(), detail);
        }
        if self.user.name.is_empty() && !self.user.uid.is_empty() {
            errors.invalid("user.name", "", "may not be empty if user.uid is set");
        }
        errors
    }

    /// Provider and user do not change.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        if self.provider_name != old.provider_name {
            errors.invalid("providerName", self.provider_name.as_str(), "may not change providerName");
        }
        if self.provider_user_name != old.provider_user_name {
            let value = self.provider_user_name.as_str();
            errors.invalid("providerUserName", value, "may not change providerUserName");
        }
        errors.append(self.validate());
        errors
    }
}

impl UserIdentityMapping {
    /// The mapping is named after its identity; a missing identity reference is filled in from the name.
    pub fn set_defaults(&mut self) {
        if self.metadata.name.is_empty() {
            self.metadata.name.clone_from(&self.identity.name);
        }
        if self.identity.name.is_empty() {
            self.identity.name.clone_from(&self.metadata.name);
        }
    }

    /// Both ends must be named.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, identity_name);
        if self.identity.name.is_empty() {
            errors.required("identity.name", "");
        } else if self.identity.name != self.metadata.name {
            let detail = format!("must match metadata.name {:?}", self.metadata.name);
            errors.invalid("identity.name", self.identity.name.as_str(), detail);
        }
        if self.user.name.is_empty() {
            errors.required("user.name", "");
        }
        errors
    }

    /// The identity of a mapping does not change, nor does its UID.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        if self.identity != old.identity {
            let detail = "cannot be changed, the identity of a mapping stays";
            errors.invalid("identity", self.identity.name.as_str(), detail);
        }
        errors.append(self.validate());
        errors
    }
}

impl Group {
    /// Names of the group and of its members.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, group_name);
        for (index, user) in self.users.iter().flatten().enumerate() {
            let field = format!("users[{index}]");
            if user.is_empty() {
                errors.invalid(field, "", "may not be empty");
                continue;
            }
            for problem in user_name(user) {
                errors.invalid(field.clone(), user.as_str(), problem);
            }
        }
        errors
    }

    /// Metadata rules of an update and those of [`Group::validate`].
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Group, Identity, User, UserIdentityMapping};
    use crate::field::FieldErrors;
    use crate::{from_value, to_value};

    #[track_caller]
    fn check(errors: &FieldErrors, expected: &str) {
        assert_eq!(if errors.is_empty() { String::new() } else { errors.to_string() }, expected);
    }

    fn user(document: Value) -> User {
        from_value(&document).unwrap()
    }

    #[test]
    fn names_of_users_are_liberal() {
        check(&user(json!({"metadata": {"name": "Ann Otter@example.com"}})).validate(), "");
        check(
            &user(json!({"metadata": {"name": "a:b"}})).validate(),
            "metadata.name: Invalid value: \"a:b\": may not contain \":\"",
        );
        check(
            &user(json!({"metadata": {"name": "~"}})).validate(),
            "metadata.name: Invalid value: \"~\": may not equal \"~\"",
        );
    }

    #[test]
    fn writes_null_where_servers_do() {
        let document = to_value(&user(json!({"metadata": {"name": "ann"}, "identities": null})));
        assert_eq!(document["identities"], Value::Null);
        assert!(document.as_object().unwrap().contains_key("groups"));
    }

    #[test]
    fn an_identity_is_named_after_its_login() {
        let identity = |name: &str| -> Identity {
            let document =
                json!({"metadata": {"name": name}, "providerName": "anypassword", "providerUserName": "ann"});
            from_value(&document).unwrap()
        };
        check(&identity("anypassword:ann").validate(), "");
        check(
            &identity("other:ann").validate(),
            "metadata.name: Invalid value: \"other:ann\": must be anypassword:ann",
        );
    }

    #[test]
    fn a_mapping_takes_its_name_from_its_identity() {
        let mut mapping: UserIdentityMapping =
            from_value(&json!({"identity": {"name": "p:ann"}, "user": {"name": "ann"}})).unwrap();
        mapping.set_defaults();
        check(&mapping.validate(), "");
        assert_eq!(mapping.metadata.name, "p:ann");
    }

    #[test]
    fn members_are_checked() {
        let group: Group = from_value(&json!({"metadata": {"name": "g"}, "users": ["ann", "a/b"]})).unwrap();
        check(&group.validate(), "users[1]: Invalid value: \"a/b\": may not contain '/'");
    }
}
