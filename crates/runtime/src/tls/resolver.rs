//! Chooses a certificate by the host name that a client asked for.
//!
//! Owns the names and the order of looking them up; the set is replaced as a whole and never seen half changed.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Certificates by host name: exact name first, then `*.` in place of the first label, then the default.
#[derive(Debug)]
pub struct CertResolver {
    certificates: ArcSwap<Certificates>,
}

#[derive(Debug)]
struct Certificates {
    default: Option<Arc<CertifiedKey>>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl CertResolver {
    /// Answers every name with `default`; without one, handshakes for unknown names fail.
    pub fn new(default: Option<Arc<CertifiedKey>>) -> Self {
        Self { certificates: ArcSwap::from_pointee(Certificates { default, by_name: HashMap::new() }) }
    }

    /// Replaces all names (lower case, `*.example.com` for one label of any kind). The default stays.
    pub fn replace_names(&self, by_name: HashMap<String, Arc<CertifiedKey>>) {
        let default = self.certificates.load().default.clone();
        self.certificates.store(Arc::new(Certificates { default, by_name }));
    }

    /// The certificate for `name`, in lower case.
    pub fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.certificates.load();
        let named = name.and_then(|name| {
            let exact = certificates.by_name.get(name);
            exact.or_else(|| certificates.by_name.get(&format!("*.{}", name.split_once('.')?.1)))
        });
        named.or(certificates.default.as_ref()).cloned()
    }
}

impl ResolvesServerCert for CertResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name().map(str::to_ascii_lowercase).as_deref())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::sign::CertifiedKey;

    use super::CertResolver;
    use crate::tls::{Authority, Leaf, Purpose, certified_key};
    use crate::{Clock as _, SystemClock};

    fn certificate(authority: &Authority, name: &str) -> Arc<CertifiedKey> {
        let leaf = Leaf {
            common_name: name.into(),
            organizations: vec![],
            names: vec![name.into()],
            purpose: Purpose::Server,
            valid_for: Duration::from_secs(60),
        };
        let pair = authority.issue(&leaf, SystemClock.now()).unwrap();
        certified_key(pair.certificate.as_bytes(), pair.key.expose().as_bytes()).unwrap()
    }

    #[test]
    fn an_exact_name_wins_over_a_wildcard_and_that_over_the_default() {
        let authority = Authority::create("test", SystemClock.now()).unwrap();
        let default = certificate(&authority, "default");
        let names: HashMap<_, _> = ["shop.example.com", "*.example.com"]
            .map(|name| (name.to_owned(), certificate(&authority, name)))
            .into();
        let resolver = CertResolver::new(Some(Arc::clone(&default)));
        resolver.replace_names(names.clone());
        let check = |name: Option<&str>, expected: &Arc<CertifiedKey>| {
            assert!(Arc::ptr_eq(&resolver.find(name).unwrap(), expected), "wrong certificate for {name:?}");
        };
        check(Some("shop.example.com"), &names["shop.example.com"]);
        check(Some("other.example.com"), &names["*.example.com"]);
        check(Some("a.b.example.com"), &default);
        check(Some("example.com"), &default);
        check(None, &default);
    }
}
