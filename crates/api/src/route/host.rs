//! Host names of routes: generated ones, who may choose one, and the dummy certificate of the legacy encoding.

use super::{Route, TLSConfig};

/// Annotation of routes whose host the server made up.
pub const HOST_GENERATED: &str = "openshift.io/host.generated";

/// Text old clients find in the PEM block that stands for "no destination CA certificate".
pub const EMPTY_CA_MARKER: &str = "This is an empty PEM file";

pub(crate) fn empty_ca() -> String {
    format!("-----BEGIN COMMENT-----\n{EMPTY_CA_MARKER}\n-----END COMMENT-----\n")
}

/// Which protected parts an update changes; each needs a right on `routes/custom-host`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostChange {
    /// The host name differs.
    pub host: bool,
    /// The subdomain differs.
    pub subdomain: bool,
    /// Certificates or keys were added or changed; removing them is free.
    pub certificates: bool,
}

impl TLSConfig {
    /// Whether any certificate or key is given.
    pub fn has_certificates(&self) -> bool {
        self.external_certificate.is_some() || self.pem_fields().iter().any(|(_, pem)| !pem.is_empty())
    }

    /// The PEM fields with their JSON names.
    pub fn pem_fields(&self) -> [(&'static str, &str); 4] {
        [
            ("certificate", &self.certificate),
            ("key", &self.key),
            ("caCertificate", &self.ca_certificate),
            ("destinationCACertificate", &self.destination_ca_certificate),
        ]
    }
}

impl Route {
    /// Gives a route without host one of its own, `<name>-<namespace>.<domain>`, and notes that. Wildcard routes and
    /// those with a subdomain are left alone.
    pub fn generate_host(&mut self, domain: &str) {
        let spec = &mut self.spec;
        if !spec.host.is_empty() || !spec.subdomain.is_empty() || spec.wildcard_policy == "Subdomain" {
            return;
        }
        let name = self.metadata.name.replace('.', "-");
        spec.host = format!("{name}-{}.{domain}", self.metadata.namespace);
        self.metadata.annotations.insert(HOST_GENERATED.into(), "true".into());
    }

    /// An update that leaves the host out keeps it.
    pub fn keep_host(&mut self, old: &Self) {
        if self.spec.host.is_empty() && self.spec.subdomain == old.spec.subdomain {
            self.spec.host.clone_from(&old.spec.host);
        }
    }

    /// Whether a new route chooses a host or brings certificates, for which `create routes/custom-host` is needed.
    pub fn chooses_host(&self) -> bool {
        !self.spec.host.is_empty()
    }

    /// Whether the route brings certificates.
    pub fn brings_certificates(&self) -> bool {
        self.spec.tls.as_ref().is_some_and(TLSConfig::has_certificates)
    }

    /// What of the protected parts differs from `old`.
    pub fn host_changes(&self, old: &Self) -> HostChange {
        HostChange {
            host: self.spec.host != old.spec.host,
            subdomain: self.spec.subdomain != old.spec.subdomain,
            certificates: !self.changed_certificates(old).is_empty(),
        }
    }

    /// JSON names of the certificate fields that are set and differ from `old`.
    pub fn changed_certificates(&self, old: &Self) -> Vec<&'static str> {
        let Some(tls) = &self.spec.tls else { return Vec::new() };
        let none = TLSConfig::default();
        let old = old.spec.tls.as_ref().unwrap_or(&none);
        let pairs = tls.pem_fields().into_iter().zip(old.pem_fields());
        let mut changed: Vec<&'static str> = pairs
            .filter(|((_, new), (_, old))| !new.is_empty() && new != old)
            .map(|((name, _), _)| name)
            .collect();
        if tls.external_certificate.is_some() && tls.external_certificate != old.external_certificate {
            changed.push("externalCertificate");
        }
        changed
    }

    /// Drops the dummy certificate that the legacy encoding showed.
    pub fn drop_empty_ca(&mut self) {
        if let Some(tls) = &mut self.spec.tls
            && tls.destination_ca_certificate.contains(EMPTY_CA_MARKER)
        {
            tls.destination_ca_certificate.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{HOST_GENERATED, Route, empty_ca};
    use crate::from_value;

    fn route(spec: Value) -> Route {
        let document = json!({"metadata": {"name": "a.b", "namespace": "shop"}, "spec": spec});
        let mut route: Route = from_value(&document).unwrap();
        route.set_defaults();
        route
    }

    #[test]
    fn makes_up_hosts() {
        let mut made = route(json!({"to": {"name": "s"}}));
        made.generate_host("apps.example.com");
        assert_eq!(made.spec.host, "a-b-shop.apps.example.com");
        assert_eq!(made.metadata.annotation(HOST_GENERATED), Some("true"));
        for spec in
            [json!({"host": "x.y"}), json!({"subdomain": "z"}), json!({"wildcardPolicy": "Subdomain"})]
        {
            let mut chosen = route(spec.clone());
            chosen.generate_host("apps.example.com");
            assert_eq!(chosen, route(spec));
        }
    }

    #[test]
    fn removing_certificates_is_free() {
        let old = route(json!({"tls": {"certificate": "a", "key": "b"}}));
        let removed = route(json!({"tls": {"termination": "edge"}}));
        let changed = route(json!({"tls": {"certificate": "c", "key": "b"}}));
        assert!(removed.changed_certificates(&old).is_empty());
        assert_eq!(changed.changed_certificates(&old), ["certificate"]);
        assert!(changed.host_changes(&old).certificates);
    }

    #[test]
    fn the_dummy_certificate_goes_again() {
        let plain = route(json!({"tls": {"termination": "reencrypt"}}));
        let mut shown = plain.clone();
        shown.spec.tls.as_mut().unwrap().destination_ca_certificate = empty_ca();
        shown.drop_empty_ca();
        assert_eq!(shown, plain);
    }
}
