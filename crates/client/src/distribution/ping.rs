//! Finding out how a registry is reached, and that it is one.

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use http::{Method, StatusCode};

use super::asking::MAX_ERROR;
use super::known_hosts::Base;
use super::{RemoteError, RemoteRepository, Shared, challenge, response_error, too_many};
use crate::egress::{EgressError, Home, Lane, Mode, Origin, Outgoing, Scheme, Target};
use crate::keyring::is_docker_hub;

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// Where Docker Hub's registry is in fact.
const DOCKER_HUB: &str = "registry-1.docker.io";
const PING_LIMIT: Duration = Duration::from_secs(15);

impl RemoteRepository {
    /// How the registry is reached: found out by a ping without credentials, and remembered for a minute.
    pub(super) async fn base(&self) -> Result<Arc<Base>, RemoteError> {
        let Shared { egress, name, .. } = &*self.shared;
        if let Some(base) = egress.known().base(&name.host, name.insecure) {
            return Ok(base);
        }
        let base = match tokio::time::timeout(PING_LIMIT, self.ping()).await {
            Ok(base) => Arc::new(base?),
            Err(_elapsed) => return Err(RemoteError::Timeout { limit: PING_LIMIT }),
        };
        egress.known().learn(&name.host, name.insecure, &base);
        Ok(base)
    }

    async fn ping(&self) -> Result<Base, RemoteError> {
        let Shared { egress, name, .. } = &*self.shared;
        let lower = name.host.to_ascii_lowercase();
        let host = if is_docker_hub(&lower) { DOCKER_HUB } else { &lower };
        let origin = |scheme| {
            Origin::parse(scheme, host)
                .ok_or_else(|| RemoteError::refused("this is not the address of a registry"))
        };
        let plain = origin(Scheme::Http)?;
        if egress.is_own(&plain) {
            return self.ping_at(Home { origin: plain, mode: Mode::Own }).await;
        }
        let mode = if name.insecure { Mode::Insecure } else { Mode::Verified };
        let secure = self.ping_at(Home { origin: origin(Scheme::Https)?, mode }).await;
        match secure {
            Err(RemoteError::HttpOnly | RemoteError::Transport { .. } | RemoteError::Timeout { .. })
                if name.insecure =>
            {
                self.ping_at(Home { origin: plain, mode }).await
            }
            pinged => pinged,
        }
    }

    async fn ping_at(&self, home: Home) -> Result<Base, RemoteError> {
        let outgoing = Outgoing {
            method: Method::GET,
            target: Target::at(&home.origin, "/v2/"),
            home: &home,
            authorization: None,
            accept: None,
            range: None,
            body: None,
            lane: Lane::Small,
        };
        let (status, headers, _, origin) = match self.shared.egress.fetch(outgoing, MAX_ERROR).await {
            Err(EgressError::TooLarge { .. }) => return Err(RemoteError::NotV2),
            fetched => fetched?,
        };
        let is_v2 = headers.get(API_VERSION).is_some_and(|value| value.as_bytes().starts_with(b"registry/2"));
        match status {
            StatusCode::TOO_MANY_REQUESTS => return Err(too_many(&headers)),
            status if status.is_server_error() => return Err(response_error(status)),
            StatusCode::OK | StatusCode::UNAUTHORIZED => {}
            _ if is_v2 => {}
            _ => return Err(RemoteError::NotV2),
        }
        let asked = status == StatusCode::UNAUTHORIZED && origin == home.origin;
        let challenge = challenge::preferred(&headers).filter(|_| asked);
        Ok(Base { home, challenge })
    }
}
