//! The variables of a container: from config maps, secrets and fields, with `$(NAME)` expanded.

use pierhead_api::core::{Container, EnvFromSource, EnvVarSource, KeySelector, Pod};

use crate::fields::{self, FieldError, Place};
use crate::sources::Sources;

/// A variable that cannot be given; the container waits for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvironmentError {
    #[error("configmap {name:?} not found")]
    NoConfigMap { name: String },
    #[error("secret {name:?} not found")]
    NoSecret { name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey { kind: &'static str, namespace: String, name: String, key: String },
    #[error("key {key} of {kind} {name} is not text")]
    NotText { kind: &'static str, name: String, key: String },
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Names and values in order; later ones of the same name replace earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    variables: Vec<(String, String)>,
}

impl Environment {
    /// The variables of a container as its specification and the sources have them.
    pub(crate) fn of(
        pod: &Pod,
        container: &Container,
        sources: &Sources,
        place: &Place,
    ) -> Result<Self, EnvironmentError> {
        let mut environment = Self::default();
        for source in &container.env_from {
            environment.add_all(source, sources)?;
        }
        for variable in &container.env {
            let value = match &variable.value_from {
                Some(source) => value_from(pod, container, source, sources, place)?,
                None => Some(environment.expand(&variable.value)),
            };
            if let Some(value) = value {
                environment.set(&variable.name, value);
            }
        }
        Ok(environment)
    }

    fn add_all(&mut self, source: &EnvFromSource, sources: &Sources) -> Result<(), EnvironmentError> {
        let prefix = &source.prefix;
        if let Some(reference) = &source.config_map_ref {
            match sources.config_maps.get(&reference.name) {
                Some(config_map) => {
                    for (key, value) in &config_map.data {
                        self.set(&format!("{prefix}{key}"), value.clone());
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(EnvironmentError::NoConfigMap { name: reference.name.clone() }),
            }
        }
        if let Some(reference) = &source.secret_ref {
            match sources.secrets.get(&reference.name) {
                Some(secret) => {
                    for (key, value) in &secret.data {
                        // Bytes that are no text cannot be the value of a variable.
                        if let Some(text) = value.as_str() {
                            self.set(&format!("{prefix}{key}"), text.to_owned());
                        }
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(EnvironmentError::NoSecret { name: reference.name.clone() }),
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: String) {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return;
        }
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value));
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// As engines take them: `NAME=value`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.variables.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// Replaces `$(NAME)` by the variable's value; unknown names stay as they are, and `$$` is a dollar.
    pub(crate) fn expand(&self, text: &str) -> String {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                expanded.push('$');
                rest = after;
                continue;
            }
            match rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
                Some((name, after)) => {
                    match self.get(name) {
                        Some(value) => expanded.push_str(value),
                        None => expanded.push_str(&format!("$({name})")),
                    }
                    rest = after;
                }
                None => expanded.push('$'),
            }
        }
        expanded.push_str(rest);
        expanded
    }
}

/// The value of one variable; none when it may be missing and is.
fn value_from(
    pod: &Pod,
    container: &Container,
    source: &EnvVarSource,
    sources: &Sources,
    place: &Place,
) -> Result<Option<String>, EnvironmentError> {
    if let Some(field) = &source.field_ref {
        return Ok(Some(fields::pod_field(pod, &field.field_path, place)?));
    }
    if let Some(selector) = &source.resource_field_ref {
        return Ok(Some(fields::resource_field(pod, Some(container), selector, place)?));
    }
    let namespace = &pod.metadata.namespace;
    if let Some(key) = &source.config_map_key_ref {
        let Some(config_map) = sources.config_maps.get(&key.name) else {
            return missing(key, EnvironmentError::NoConfigMap { name: key.name.clone() });
        };
        return match config_map.data.get(&key.key) {
            Some(value) => Ok(Some(value.clone())),
            None => missing(key, no_key("ConfigMap", namespace, key)),
        };
    }
    if let Some(key) = &source.secret_key_ref {
        let Some(secret) = sources.secrets.get(&key.name) else {
            return missing(key, EnvironmentError::NoSecret { name: key.name.clone() });
        };
        return match secret.data.get(&key.key) {
            Some(value) => match value.as_str() {
                Some(text) => Ok(Some(text.to_owned())),
                None => {
                    let (name, key) = (key.name.clone(), key.key.clone());
                    Err(EnvironmentError::NotText { kind: "Secret", name, key })
                }
            },
            None => missing(key, no_key("Secret", namespace, key)),
        };
    }
    Ok(Some(String::new()))
}

fn missing(key: &KeySelector, error: EnvironmentError) -> Result<Option<String>, EnvironmentError> {
    if key.optional == Some(true) { Ok(None) } else { Err(error) }
}

fn no_key(kind: &'static str, namespace: &str, key: &KeySelector) -> EnvironmentError {
    let (namespace, name, key) = (namespace.to_owned(), key.name.clone(), key.key.clone());
    EnvironmentError::NoKey { kind, namespace, name, key }
}

#[cfg(test)]
mod tests {
    use pierhead_api::core::Pod;
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use super::Environment;
    use crate::fields::Place;
    use crate::sources::{Sources, Wanted};

    fn sources() -> Sources {
        let mut sources = Sources::default();
        let config = from_value(&json!({"data": {"COLOR": "blue", "GREETING": "hi $(COLOR)"}})).unwrap();
        sources.config_maps.insert("settings".into(), config);
        let secret = from_value(&json!({"data": {"password": "aHVudGVyMg==", "bytes": "/w=="}})).unwrap();
        sources.secrets.insert("login".into(), secret);
        sources
    }

    #[track_caller]
    fn check(container: Value, expected: &str) {
        let pod: Pod = from_value(&json!({
            "metadata": {"name": "web", "namespace": "shop"}, "spec": {"containers": [container]},
        }))
        .unwrap();
        let place = Place { pod_ip: "10.0.0.2".into(), ..Place::default() };
        let result = Environment::of(&pod, &pod.spec.containers[0], &sources(), &place);
        let text = match result {
            Ok(environment) => environment.lines().join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn values_come_from_where_they_are_said_to() {
        let key = |kind: &str, name: &str, key: &str| json!({"name": "X", "valueFrom": {kind: {"name": name, "key": key}}});
        check(json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}]}), "A=1 B=12");
        check(json!({"env": [{"name": "B", "value": "$(A)"}, {"name": "A", "value": "1"}]}), "B=$(A) A=1");
        check(json!({"env": [key("configMapKeyRef", "settings", "COLOR")]}), "X=blue");
        check(json!({"env": [key("secretKeyRef", "login", "password")]}), "X=hunter2");
        check(
            json!({"env": [key("secretKeyRef", "login", "bytes")]}),
            "key bytes of Secret login is not text",
        );
        check(json!({"env": [key("configMapKeyRef", "none", "x")]}), "configmap \"none\" not found");
        check(json!({"env": [key("secretKeyRef", "none", "x")]}), "secret \"none\" not found");
        check(
            json!({"env": [key("secretKeyRef", "login", "x")]}),
            "couldn't find key x in Secret shop/login",
        );
        check(
            json!({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "none", "key": "x", "optional": true}}}]}),
            "",
        );
        check(
            json!({"env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}),
            "IP=10.0.0.2",
        );
    }

    #[test]
    fn whole_objects_come_first_and_are_not_expanded() {
        check(
            json!({"envFrom": [{"prefix": "P_", "configMapRef": {"name": "settings"}}],
                   "env": [{"name": "P_COLOR", "value": "red"}, {"name": "Z", "value": "$(P_GREETING)"}]}),
            "P_GREETING=hi $(COLOR) P_COLOR=red Z=hi $(COLOR)",
        );
        check(json!({"envFrom": [{"secretRef": {"name": "login"}}]}), "password=hunter2");
        check(json!({"envFrom": [{"secretRef": {"name": "none"}}]}), "secret \"none\" not found");
        check(json!({"envFrom": [{"configMapRef": {"name": "none", "optional": true}}]}), "");
    }

    #[test]
    fn dollars_are_kept_where_they_name_nothing() {
        let mut environment = Environment::default();
        environment.set("A", "1".to_owned());
        for (text, expected) in [
            ("$(A)", "1"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$(B)", "$(B)"),
            ("$(A", "$(A"),
            ("$A 5$", "$A 5$"),
            ("a$(A)b$(A)", "a1b1"),
        ] {
            assert_eq!(environment.expand(text), expected);
        }
    }

    #[test]
    fn what_is_read_is_what_is_referred_to() {
        let container = from_value::<Pod>(&json!({"spec": {"containers": [{
            "envFrom": [{"secretRef": {"name": "s1"}}, {"configMapRef": {"name": "c1"}}],
            "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s2", "key": "k"}}}],
        }]}}))
        .unwrap();
        let wanted = Wanted::by_environment(&container.spec.containers[0]);
        assert_eq!(wanted.secrets.into_iter().collect::<Vec<_>>(), ["s1", "s2"]);
        assert_eq!(wanted.config_maps.into_iter().collect::<Vec<_>>(), ["c1"]);
    }
}
