//! Rules of routes with the texts of platform 7.3.

use super::{Route, RouteTargetReference, TLSConfig};
use crate::IntOrString;
use crate::field::FieldErrors;
use crate::name::{self, Scope};

const TERMINATIONS: [&str; 3] = ["edge", "passthrough", "reencrypt"];

impl Route {
    /// Host, path, services, port, TLS, wildcard policy.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, Scope::Namespaced, name::dns1123_subdomain);
        self.validate_host(&mut errors);
        self.validate_path(&mut errors);
        self.validate_targets(&mut errors);
        if let Some(port) = &self.spec.port {
            match &port.target_port {
                unset if unset.is_unset() => errors.required("spec.port.targetPort", ""),
                IntOrString::Int(number) if !(1..=65535).contains(number) => {
                    let detail = "must be between 1 and 65535, inclusive";
                    errors.invalid("spec.port.targetPort", *number, detail);
                }
                _ => {}
            }
        }
        if let Some(tls) = &self.spec.tls {
            validate_tls(tls, &mut errors);
        }
        self.validate_wildcard(&mut errors);
        errors
    }

    fn validate_host(&self, errors: &mut FieldErrors) {
        for (field, text) in [("spec.host", &self.spec.host), ("spec.subdomain", &self.spec.subdomain)] {
            if text.is_empty() {
                continue;
            }
            if !name::is_dns1123_subdomain(text) {
                errors.invalid(field, text.as_str(), "host must conform to DNS 952 subdomain conventions");
            }
            for label in text.split('.').filter(|label| label.len() > 63) {
                let detail = format!("the label {label:?} must be no more than 63 characters");
                errors.invalid(field, text.as_str(), detail);
            }
        }
    }

    fn validate_path(&self, errors: &mut FieldErrors) {
        let path = self.spec.path.as_str();
        if path.is_empty() {
            return;
        }
        if !path.starts_with('/') {
            errors.invalid("spec.path", path, "path must begin with /");
        }
        if path.contains(['#', ' ']) {
            errors.invalid("spec.path", path, "cannot contain whitespace or '#'");
        }
        if self.spec.tls.as_ref().is_some_and(|tls| tls.termination == "passthrough") {
            errors.invalid("spec.path", path, "passthrough termination does not support paths");
        }
    }

    fn validate_targets(&self, errors: &mut FieldErrors) {
        validate_target(&self.spec.to, "spec.to", errors);
        let others = &self.spec.alternate_backends;
        if others.len() > 3 {
            let value = serde_json::to_value(others).unwrap_or_default();
            errors.invalid("spec.alternateBackends", value, "cannot specify more than 3 alternate backends");
        }
        for (index, target) in others.iter().enumerate() {
            validate_target(target, &format!("spec.alternateBackends[{index}]"), errors);
        }
    }

    fn validate_wildcard(&self, errors: &mut FieldErrors) {
        match self.spec.wildcard_policy.as_str() {
            "" | "None" => {}
            "Subdomain" => {
                if self.spec.host.is_empty() {
                    let detail = "host name not specified for wildcard policy";
                    errors.invalid("spec.wildcardPolicy", "Subdomain", detail);
                }
            }
            other => errors.not_supported("spec.wildcardPolicy", other, &["None", "Subdomain"]),
        }
    }

    /// The wildcard policy never changes.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        if self.spec.wildcard_policy != old.spec.wildcard_policy {
            errors.invalid("spec.wildcardPolicy", self.spec.wildcard_policy.as_str(), name::IMMUTABLE);
        }
        errors.append(self.validate());
        errors
    }
}

fn validate_target(target: &RouteTargetReference, field: &str, errors: &mut FieldErrors) {
    if target.kind != "Service" {
        errors.invalid(format!("{field}.kind"), target.kind.as_str(), "must reference a Service");
    }
    if target.name.is_empty() {
        errors.required(format!("{field}.name"), "");
    }
    if let Some(weight) = target.weight
        && !(0..=256).contains(&weight)
    {
        errors.invalid(format!("{field}.weight"), weight, "weight must be an integer between 0 and 256");
    }
}

/// What is shown instead of a certificate or key.
fn redacted(field: &str) -> &'static str {
    match field {
        "certificate" => "redacted certificate data",
        "key" => "redacted key data",
        "caCertificate" => "redacted ca certificate data",
        _ => "redacted destination ca certificate data",
    }
}

fn validate_tls(tls: &TLSConfig, errors: &mut FieldErrors) {
    match tls.termination.as_str() {
        "reencrypt" => {}
        "passthrough" => {
            for (field, pem) in tls.pem_fields() {
                if !pem.is_empty() {
                    let detail = "passthrough termination does not support certificates";
                    errors.invalid(format!("spec.tls.{field}"), redacted(field), detail);
                }
            }
            if let Some(external) = &tls.external_certificate {
                let detail = "passthrough termination does not support certificates";
                errors.invalid("spec.tls.externalCertificate", external.name.as_str(), detail);
            }
        }
        "edge" => {
            if !tls.destination_ca_certificate.is_empty() {
                let field = "destinationCACertificate";
                let detail = "edge termination does not support destination certificates";
                errors.invalid(format!("spec.tls.{field}"), redacted(field), detail);
            }
        }
        other => errors.not_supported("spec.tls.termination", other, &TERMINATIONS),
    }
    if let Some(external) = &tls.external_certificate
        && !(tls.certificate.is_empty() && tls.key.is_empty())
    {
        let detail = "cannot specify both tls.certificate and tls.externalCertificate";
        errors.invalid("spec.tls.externalCertificate", external.name.as_str(), detail);
    }
    validate_insecure_policy(tls, errors);
}

fn validate_insecure_policy(tls: &TLSConfig, errors: &mut FieldErrors) {
    let allowed: &[&str] = match tls.termination.as_str() {
        "edge" | "reencrypt" => &["None", "Allow", "Redirect"],
        "passthrough" => &["None", "Redirect"],
        _ => return,
    };
    let policy = tls.insecure_edge_termination_policy.as_str();
    if !policy.is_empty() && !allowed.contains(&policy) {
        let detail = format!(
            "invalid value for InsecureEdgeTerminationPolicy option, acceptable values are {}, or empty",
            allowed.join(", ")
        );
        errors.invalid("spec.tls.insecureEdgeTerminationPolicy", policy, detail);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Route;
    use crate::from_value;

    fn route(spec: Value) -> Route {
        let mut document = json!({"metadata": {"name": "r", "namespace": "shop"}, "spec": {"host": "r.example.com", "to": {"name": "s"}}});
        document["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let mut route: Route = from_value(&document).unwrap();
        route.set_defaults();
        route
    }

    #[track_caller]
    fn check(spec: Value, expected: &str) {
        let errors = route(spec).validate();
        assert_eq!(if errors.is_empty() { String::new() } else { errors.to_string() }, expected);
    }

    #[test]
    fn checks_hosts_and_paths() {
        check(json!({}), "");
        check(
            json!({"host": "UPPER.example.com"}),
            "spec.host: Invalid value: \"UPPER.example.com\": host must conform to DNS 952 subdomain conventions",
        );
        check(json!({"path": "v2"}), "spec.path: Invalid value: \"v2\": path must begin with /");
        check(
            json!({"path": "/v2", "tls": {"termination": "passthrough"}}),
            "spec.path: Invalid value: \"/v2\": passthrough termination does not support paths",
        );
        check(
            json!({"host": "", "wildcardPolicy": "Subdomain"}),
            "spec.wildcardPolicy: Invalid value: \"Subdomain\": host name not specified for wildcard policy",
        );
    }

    #[test]
    fn checks_services_and_ports() {
        check(json!({"to": {}}), "spec.to.name: Required value");
        check(
            json!({"to": {"kind": "Pod", "name": "x"}}),
            "spec.to.kind: Invalid value: \"Pod\": must reference a Service",
        );
        check(
            json!({"to": {"name": "x", "weight": 257}}),
            "spec.to.weight: Invalid value: 257: weight must be an integer between 0 and 256",
        );
        let four = vec![json!({"name": "x"}); 4];
        let errors = route(json!({"alternateBackends": four})).validate().to_string();
        assert!(errors.ends_with("cannot specify more than 3 alternate backends"), "{errors}");
        check(json!({"port": {"targetPort": 0}}), "spec.port.targetPort: Required value");
        check(json!({"port": {"targetPort": ""}}), "spec.port.targetPort: Required value");
        check(json!({"port": {"targetPort": "5000-tcp"}}), "");
    }

    #[test]
    fn checks_tls() {
        check(json!({"tls": {}}), "");
        check(
            json!({"tls": {"termination": "magic"}}),
            "spec.tls.termination: Unsupported value: \"magic\": supported values: \"edge\", \"passthrough\", \"reencrypt\"",
        );
        check(
            json!({"tls": {"termination": "passthrough", "key": "k"}}),
            "spec.tls.key: Invalid value: \"redacted key data\": passthrough termination does not support certificates",
        );
        check(
            json!({"tls": {"termination": "edge", "destinationCACertificate": "c"}}),
            "spec.tls.destinationCACertificate: Invalid value: \"redacted destination ca certificate data\": \
             edge termination does not support destination certificates",
        );
        check(
            json!({"tls": {"termination": "passthrough", "insecureEdgeTerminationPolicy": "Allow"}}),
            "spec.tls.insecureEdgeTerminationPolicy: Invalid value: \"Allow\": invalid value for \
             InsecureEdgeTerminationPolicy option, acceptable values are None, Redirect, or empty",
        );
    }

    #[test]
    fn wildcard_policy_stays() {
        let errors =
            route(json!({"wildcardPolicy": "Subdomain"})).validate_update(&route(json!({}))).to_string();
        assert_eq!(errors, "spec.wildcardPolicy: Invalid value: \"Subdomain\": field is immutable");
    }
}
