//! Whose client certificate it is: somebody's who acts for themselves, or a proxy's that says who its users are.
//!
//! Owns the authorities of the API's listener. Ours alone makes a certificate a login; that of a provider of the kind
//! request header makes it proof of a proxy and nothing else (reliability 7-F F4).

use std::sync::Arc;

use anyhow::{Context as _, Result};
use http::Request;
use pierhead_apiserver::FrontProxy;
use pierhead_runtime::SharedClock;
use pierhead_runtime::listen::{ConnectionInfo, TlsInfo};
use pierhead_runtime::tls::{self, ClientAuthority, ClientCertificates};

use crate::config::{KindSettings, ProviderSettings};

/// The authorities of proxies, by provider, and ours.
pub(crate) struct FrontProxies {
    own: ClientAuthority,
    others: Vec<(String, ClientAuthority)>,
    clock: SharedClock,
}

/// What the listener takes, and how requests are looked at.
pub(crate) fn open(
    own: &str,
    providers: &[ProviderSettings],
    clock: &SharedClock,
) -> Result<(ClientCertificates, Arc<FrontProxies>)> {
    let mut all = tls::roots(own.as_bytes())?;
    let own = ClientAuthority::new(Arc::new(all.clone()))?;
    let mut others = Vec::new();
    for ProviderSettings { name, kind, .. } in providers {
        let KindSettings::RequestHeader(_, authority) = kind else { continue };
        let roots = tls::roots(authority.as_bytes()).with_context(|| format!("the authority of {name}"))?;
        all.extend(roots.roots.iter().cloned());
        others.push((name.clone(), ClientAuthority::new(Arc::new(roots))?));
    }
    let proxies = FrontProxies { own, others, clock: Arc::clone(clock) };
    Ok((ClientCertificates::Verified(Arc::new(all)), Arc::new(proxies)))
}

impl FrontProxies {
    /// Takes the certificate of a proxy out of the connection, and says in its place whose proxy it is.
    pub(crate) fn look_at<B>(&self, request: &mut Request<B>) {
        if self.others.is_empty() {
            return;
        }
        let Some(info) = ConnectionInfo::of(request).cloned() else { return };
        let Some(tls) = info.tls.as_deref() else { return };
        let Some(certificate) = &tls.client_certificate else { return };
        let (chain, now) = (&tls.client_intermediates, self.clock.now());
        if self.own.issued(certificate, chain, now) {
            return;
        }
        let issued = |(_, authority): &&(String, ClientAuthority)| authority.issued(certificate, chain, now);
        let proxy = self.others.iter().find(issued).and_then(|(name, _)| FrontProxy::of(name, certificate));
        let tls = TlsInfo { client_certificate: None, client_intermediates: Vec::new(), ..tls.clone() };
        let extensions = request.extensions_mut();
        extensions.insert(ConnectionInfo { tls: Some(Arc::new(tls)), ..info });
        if let Some(proxy) = proxy {
            extensions.insert(proxy);
        }
    }
}
