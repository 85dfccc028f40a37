//! The registry's end points for pruners: where it is, and deleting there.
//!
//! The token of the session is the password, as in `docker login`; it goes to the registry only, over plain HTTP only if
//! that was asked for or the address cannot be anybody else's.

use std::net::IpAddr;

use anyhow::bail;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pierhead_client::{ConnectOptions, Credentials, HttpClient, Trust};
use pierhead_oci::ImageReference;
use serde_json::Value;

use crate::object;

/// A registry that answers.
pub(super) struct Registry {
    http: HttpClient,
    base: String,
    headers: HeaderMap,
}

/// Hosts under which the registry may be found, the likeliest first: that of the newest pushed image, then what streams
/// say.
pub(super) fn hosts(images: &[Value], streams: &[Value]) -> Vec<String> {
    let managed = images.iter().filter(|image| {
        object::at(image, "metadata.annotations")
            .and_then(|all| all.get("openshift.io/image.managed"))
            .is_some_and(|value| value == "true")
    });
    let newest = managed.max_by_key(|image| object::text(image, "metadata.creationTimestamp"));
    let mut specs: Vec<&str> =
        newest.map(|image| object::text(image, "dockerImageReference")).into_iter().collect();
    for path in ["status.dockerImageRepository", "status.publicDockerImageRepository"] {
        specs.extend(streams.iter().map(|stream| object::text(stream, path)).find(|spec| !spec.is_empty()));
    }
    let mut hosts = Vec::new();
    for spec in specs {
        let host = spec.parse::<ImageReference>().ok().and_then(|reference| reference.registry);
        hosts.extend(host.filter(|host| !hosts.contains(host)));
    }
    hosts
}

impl Registry {
    /// The first of `hosts`, which may be URLs, that answers.
    pub(super) async fn find(
        hosts: &[String],
        options: ConnectOptions,
        insecure: bool,
    ) -> anyhow::Result<Self> {
        let Credentials::Token(token) = options.credentials else {
            bail!("You must use a client config with a token");
        };
        let basic = STANDARD.encode(format!("unused:{}", token.into_exposed()));
        let mut authorization = HeaderValue::try_from(format!("Basic {basic}"))?;
        authorization.set_sensitive(true);
        let headers: HeaderMap = [(header::AUTHORIZATION, authorization)].into_iter().collect();
        let trust = Trust {
            insecure_skip_tls_verify: options.trust.insecure_skip_tls_verify || insecure,
            identity: None,
            tls_server_name: None,
            ..options.trust
        };
        let http = HttpClient::through(&trust, &options.proxies)?;
        let mut problems = Vec::new();
        for host in hosts {
            for base in bases(host, insecure) {
                match ping(&http, &base).await {
                    Ok(()) => return Ok(Self { http, base, headers }),
                    Err(problem) => problems.push(format!("{base}: {problem}")),
                }
            }
        }
        if hosts.is_empty() {
            bail!("no managed image and no image stream tells where the registry is - use --registry-url");
        }
        bail!(
            "failed to ping registry: {} - use --registry-url or --prune-registry=false",
            problems.join("; ")
        )
    }

    /// Deletes what is at a path; what is not there is as good as deleted.
    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let url = format!("{}{path}", self.base);
        let answer = self.http.fetch(Method::DELETE, &url, self.headers.clone(), Bytes::new()).await?;
        match answer.status {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            other => bail!("{url} answered {other}"),
        }
    }
}

/// The addresses to try for a host: HTTPS, and HTTP where nobody else can be listening or it does not matter.
fn bases(host: &str, insecure: bool) -> Vec<String> {
    if host.starts_with("https://") || host.starts_with("http://") {
        return vec![host.trim_end_matches('/').to_owned()];
    }
    let mut bases = vec![format!("https://{host}")];
    if insecure || is_private(host) {
        bases.push(format!("http://{host}"));
    }
    bases
}

fn is_private(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    match name.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(address)) => address.is_private() || address.is_loopback(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        Err(_) => name == "localhost",
    }
}

async fn ping(http: &HttpClient, base: &str) -> anyhow::Result<()> {
    let mut last = StatusCode::OK;
    for path in ["/", "/healthz"] {
        let answer =
            http.fetch(Method::GET, &format!("{base}{path}"), HeaderMap::new(), Bytes::new()).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        last = answer.status;
    }
    bail!("answered {last}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{bases, hosts};

    #[test]
    fn plain_http_only_where_it_is_private_or_asked_for() {
        let both = |host: &str| vec![format!("https://{host}"), format!("http://{host}")];
        for private in ["172.30.1.1:5000", "127.0.0.1:5000", "localhost:5000", "[::1]:5000"] {
            assert_eq!(bases(private, false), both(private));
        }
        assert_eq!(bases("registry.example.com", false), ["https://registry.example.com"]);
        assert_eq!(bases("8.8.8.8:5000", false), ["https://8.8.8.8:5000"]);
        assert_eq!(bases("registry.example.com", true), both("registry.example.com"));
        assert_eq!(bases("http://x/", false), ["http://x"]);
    }

    #[test]
    fn the_newest_pushed_image_tells_where_the_registry_is() {
        let image = |created: &str, host: &str, managed: &str| {
            json!({"metadata": {"creationTimestamp": created, "annotations": {"openshift.io/image.managed": managed}},
                "dockerImageReference": format!("{host}/shop/web@sha256:{}", "a".repeat(64))})
        };
        let images =
            [image("1", "old:5000", "true"), image("3", "quay.io", "false"), image("2", "new:5000", "true")];
        let streams = [json!({"status": {"dockerImageRepository": "inside:5000/shop/web",
            "publicDockerImageRepository": "outside.example.com/shop/web"}})];
        assert_eq!(hosts(&images, &streams), ["new:5000", "inside:5000", "outside.example.com"]);
    }
}
