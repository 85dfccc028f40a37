//! Proxies: which one a request goes through, if any.
//!
//! Owns the rules, which are those of Go's programs, kubectl and oc among them, but for these: `ALL_PROXY` counts too; a
//! text that is no proxy's URL is an error, where Go asks directly or misreads it. Reading the environment is the caller's
//! business, connecting is `dial`'s. What is said of a proxy never holds the credentials in its URL.

mod dial;
mod exceptions;
mod socks;

use std::{error::Error, fmt, str::FromStr, sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

pub(crate) use dial::{Dialer, Link};

use exceptions::Exceptions;

/// What the environment says of proxies: the values of the variables, empty where one is not set.
#[derive(Clone, Copy, Default)]
pub struct ProxySettings<'s> {
    /// `HTTP_PROXY`: for `http` URLs.
    pub http: &'s str,
    /// `HTTPS_PROXY`: for `https` URLs.
    pub https: &'s str,
    /// `ALL_PROXY`: for those of which nothing else is said. Go's programs do not read it, curl does.
    pub all: &'s str,
    /// `NO_PROXY`: who is asked without a proxy, separated by commas: hosts (with all below them), `.domain` (only what
    /// is below it), addresses, networks, each of the first three also with `:port`; `*` is everybody.
    pub no_proxy: &'s str,
    /// Whether `REQUEST_METHOD` is set: then `HTTP_PROXY` may be the header `Proxy` of a request (CGI), and is not used.
    pub cgi: bool,
}

/// Which requests go through which proxy; none of them by default. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Option<Arc<Rules>>);

#[derive(Debug)]
struct Rules {
    http: Option<Chosen>,
    https: Option<Chosen>,
    except: Exceptions,
}

/// A URL that is no proxy's harms those alone who would be sent there.
type Chosen = Result<Proxy, UnusableProxy>;

/// A proxy, its credentials included.
#[derive(Clone)]
pub struct Proxy(Intercept);

/// A text is not the URL of a proxy that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is not the URL of a proxy: http, https or socks5://HOST:PORT is expected")]
pub struct BadProxyUrl {
    /// The text without credentials.
    shown: String,
}

/// Why a proxy that is named cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableProxy {
    /// What is given as a proxy is none.
    #[error(transparent)]
    Url(#[from] BadProxyUrl),
    /// Whoever sent the request that this program answers may have named it.
    #[error(
        "HTTP_PROXY is not used where REQUEST_METHOD is set (CGI): a header of the request may have set it"
    )]
    Cgi,
}

/// Why a proxy led nowhere. The texts name the proxy, and never its credentials.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// What is given as a proxy is not used.
    #[error("proxyconnect: {0}")]
    Unusable(UnusableProxy),
    /// There is no connection to the proxy.
    #[error("proxyconnect tcp: the proxy {proxy} cannot be reached")]
    Unreachable {
        /// Its URL.
        proxy: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The proxy wants credentials, or others (407).
    #[error("Proxy Authentication Required: the proxy {proxy} does not take the credentials in its URL")]
    Credentials {
        /// Its URL.
        proxy: String,
    },
    /// The proxy does not lead to that host.
    #[error("the proxy {proxy} does not connect to {target}: it answered {status}")]
    Refused {
        /// Its URL.
        proxy: String,
        /// `host:port`.
        target: String,
        /// What it answered to `CONNECT`.
        status: StatusCode,
    },
    /// The proxy speaks otherwise than its URL says, or went away.
    #[error("the proxy {proxy} does not connect to {target}")]
    Broken {
        /// Its URL.
        proxy: String,
        /// `host:port`.
        target: String,
        /// What happened.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The proxy took too long.
    #[error("the proxy {proxy} did not connect to {target} within {limit:?}")]
    Timeout {
        /// Its URL.
        proxy: String,
        /// `host:port`.
        target: String,
        /// How long was waited.
        limit: Duration,
    },
}

impl Proxies {
    /// As the environment says. Nobody on this machine (`localhost`, loopback addresses) is asked through a proxy.
    #[must_use]
    pub fn of_environment(settings: ProxySettings<'_>) -> Self {
        let chosen = |own: &str| {
            let text = [own, settings.all].into_iter().map(str::trim).find(|text| !text.is_empty());
            text.map(|text| Ok(text.parse()?))
        };
        let tainted = settings.cgi && !settings.http.trim().is_empty();
        let http = if tainted { Some(Err(UnusableProxy::Cgi)) } else { chosen(settings.http) };
        let https = chosen(settings.https);
        if http.is_none() && https.is_none() {
            return Self::default();
        }
        Self(Some(Arc::new(Rules { http, https, except: Exceptions::parse(settings.no_proxy) })))
    }

    /// Everything through one proxy, as `proxy-url` of a kubeconfig's cluster says.
    #[must_use]
    pub fn always(url: &str) -> Self {
        let chosen: Chosen = url.parse().map_err(UnusableProxy::Url);
        let rules = Rules { http: Some(chosen.clone()), https: Some(chosen), except: Exceptions::default() };
        Self(Some(Arc::new(rules)))
    }

    /// No request goes through a proxy.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The proxy for a URL, if one is to be used.
    ///
    /// # Errors
    /// One is to be used, and cannot be.
    pub fn proxy_for(&self, uri: &Uri) -> Result<Option<&Proxy>, UnusableProxy> {
        let (Some(rules), Some(host)) = (&self.0, uri.host()) else { return Ok(None) };
        let (chosen, usual_port) = match uri.scheme_str() {
            Some("http") => (&rules.http, 80),
            Some("https") => (&rules.https, 443),
            _ => return Ok(None),
        };
        let Some(chosen) = chosen else { return Ok(None) };
        // Go refuses those as well who are asked directly.
        if matches!(chosen, Err(UnusableProxy::Cgi)) {
            return Err(UnusableProxy::Cgi);
        }
        if rules.except.contains(host, uri.port_u16().unwrap_or(usual_port)) {
            return Ok(None);
        }
        chosen.as_ref().map(Some).map_err(Clone::clone)
    }

    /// The proxy that a request in plain HTTP is handed to, which is not asked for a tunnel.
    pub(crate) fn relay_for(&self, uri: &Uri) -> Option<&Proxy> {
        let plain = uri.scheme_str() == Some("http");
        self.proxy_for(uri).ok().flatten().filter(|proxy| plain && !proxy.is_socks())
    }

    fn any(&self, is: impl Fn(&Proxy) -> bool) -> bool {
        let rules = self.0.iter().flat_map(|rules| [&rules.http, &rules.https]);
        rules.flatten().flatten().any(is)
    }
}

impl Default for Exceptions {
    /// None, not even this machine.
    fn default() -> Self {
        Self::nobody()
    }
}

impl Proxy {
    /// What a proxy that speaks HTTP is told of who asks.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.0.basic_auth()
    }

    fn is_socks(&self) -> bool {
        matches!(self.0.uri().scheme_str(), Some("socks5" | "socks5h"))
    }

    fn is_https(&self) -> bool {
        self.0.uri().scheme_str() == Some("https")
    }

    /// Why a proxy's own answer to a request in plain HTTP is no answer.
    pub(crate) fn refusal(&self, status: StatusCode) -> Option<ProxyError> {
        (status == StatusCode::PROXY_AUTHENTICATION_REQUIRED)
            .then(|| ProxyError::Credentials { proxy: self.to_string() })
    }
}

impl FromStr for Proxy {
    type Err = BadProxyUrl;

    fn from_str(text: &str) -> Result<Self, BadProxyUrl> {
        let anywhere = Uri::from_static("https://anywhere/");
        let Parts { url, rest } = Parts::of(text);
        let intercept = Matcher::builder().all(url).build().intercept(&anywhere);
        let known = |scheme: &str| matches!(scheme, "http" | "https" | "socks5" | "socks5h");
        let sound = |found: &Intercept| {
            let authority = found.uri().authority().map_or("", |authority| authority.as_str());
            let (_, port) = authority.rsplit_once(':').unwrap_or_default();
            let has_port = found.uri().port_u16().is_some() || port.is_empty() || port.ends_with(']');
            // A password with a slash in it would otherwise pass for a host and a path.
            let told_apart = !rest.contains('@');
            found.uri().scheme_str().is_some_and(known) && has_port && told_apart
        };
        match intercept.filter(sound) {
            Some(intercept) => Ok(Self(intercept)),
            None => Err(BadProxyUrl { shown: without_credentials(text) }),
        }
    }
}

/// A text that names a proxy, taken apart.
struct Parts<'t> {
    /// Scheme and authority.
    url: String,
    /// What follows them, which nobody needs.
    rest: &'t str,
}

impl<'t> Parts<'t> {
    /// Without a scheme it is HTTP. The last `@` ends the credentials; those within them are escaped.
    fn of(text: &'t str) -> Self {
        let (scheme, after) = text.split_once("://").unwrap_or(("http", text));
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        let authority = match authority.rsplit_once('@') {
            Some((credentials, host)) => format!("{}@{host}", credentials.replace('@', "%40")),
            None => authority.to_owned(),
        };
        Self { url: format!("{}://{authority}", scheme.to_ascii_lowercase()), rest }
    }
}

/// The URL of a proxy as it may be shown: what stands before an `@` is left out.
#[must_use]
pub fn without_credentials(url: &str) -> String {
    let Some((before, host)) = url.rsplit_once('@') else { return url.to_owned() };
    match before.split_once("://") {
        // Where no scheme stands, the two slashes may be in the password.
        Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            format!("{scheme}://{host}")
        }
        _ => host.to_owned(),
    }
}

impl fmt::Display for Proxy {
    /// Scheme, host and port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.0.uri();
        write!(f, "{}://{}", uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default())?;
        uri.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl ProxyError {
    /// The text with its innermost cause.
    pub(crate) fn in_one(&self) -> String {
        let mut innermost: Option<&(dyn Error + 'static)> = None;
        let mut current = self.source();
        while let Some(error) = current {
            innermost = Some(error);
            // The source of an I/O error is the source of what it wraps, which would be passed over.
            let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            current = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
        }
        innermost.map_or_else(|| self.to_string(), |cause| format!("{self}: {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::{Proxies, Proxy, ProxySettings};

    #[track_caller]
    fn check(settings: ProxySettings<'_>, url: &str, expected: &str) {
        let proxies = Proxies::of_environment(settings);
        let chosen = match proxies.proxy_for(&url.parse().unwrap()) {
            Ok(proxy) => proxy.map_or_else(|| "-".to_owned(), ToString::to_string),
            Err(error) => error.to_string(),
        };
        assert_eq!(chosen, expected, "{url} with NO_PROXY={:?}", settings.no_proxy);
    }

    const BOTH: ProxySettings<'static> = ProxySettings {
        http: "http://plain:3128",
        https: "http://ann:secret@secure:3128",
        all: "socks5://rest:1080",
        no_proxy: "",
        cgi: false,
    };

    #[test]
    fn the_scheme_chooses_the_proxy() {
        check(BOTH, "http://a.example.com/", "http://plain:3128");
        check(BOTH, "https://a.example.com/", "http://secure:3128");
        check(ProxySettings { https: "", ..BOTH }, "https://a.example.com/", "socks5://rest:1080");
        check(ProxySettings { https: "", all: "", ..BOTH }, "https://a.example.com/", "-");
        check(ProxySettings { http: "bare:8080", ..BOTH }, "http://a.example.com/", "http://bare:8080");
        check(ProxySettings { http: "bare:8080/", ..BOTH }, "http://a.example.com/", "http://bare:8080");
        check(ProxySettings::default(), "https://a.example.com/", "-");
    }

    #[test]
    fn nobody_on_this_machine_is_asked_through_a_proxy() {
        for url in
            ["https://localhost:8443/", "https://127.0.0.1/", "http://127.1.2.3:80/", "https://[::1]:8443/"]
        {
            check(BOTH, url, "-");
        }
        check(BOTH, "https://[::ffff:127.0.0.1]/", "-");
        check(BOTH, "https://localhost.example.com/", "http://secure:3128");
    }

    #[test]
    fn no_proxy_names_those_who_are_asked_directly() {
        let rows = [
            ("example.com", "https://example.com/", true),
            ("example.com", "https://a.b.Example.com:8443/", true),
            ("example.com", "https://notexample.com/", false),
            (".example.com", "https://a.example.com/", true),
            (".example.com", "https://example.com/", false),
            ("*.example.com", "https://a.example.com/", true),
            ("example.com:8443", "https://example.com:8443/", true),
            ("example.com:443", "https://a.example.com/", true),
            ("example.com:8443", "https://example.com/", false),
            ("10.0.0.0/8", "https://10.1.2.3:6443/", true),
            ("10.0.0.0/8", "https://11.1.2.3/", false),
            ("10.0.0.0/8", "https://[::ffff:10.1.2.3]/", true),
            ("10.0.0.0/8", "https://[::ffff:11.1.2.3]/", false),
            ("::ffff:10.1.2.3", "https://10.1.2.3/", true),
            ("::ffff:0:0/96", "https://[::ffff:10.1.2.3]/", true),
            ("::ffff:10.0.0.0/104", "https://10.1.2.3/", true),
            ("::ffff:10.0.0.0/104", "https://11.1.2.3/", false),
            ("::/0", "https://10.1.2.3/", false),
            ("::/0", "https://[::ffff:10.1.2.3]/", false),
            ("10.1.2.3", "https://10.1.2.3/", true),
            ("10.1.2.3:6443", "https://10.1.2.3/", false),
            ("10.1.2.3:6443", "https://10.1.2.3:6443/", true),
            ("fd00::/8", "https://[fd00::1]:6443/", true),
            ("[fd00::1]:6443", "https://[fd00::1]:6443/", true),
            ("[fd00::1]:6443", "https://[fd00::1]/", false),
            ("fd00::1", "https://[fd00::1]/", true),
            ("other, EXAMPLE.com ,10.0.0.0/8", "https://example.com/", true),
            ("other, EXAMPLE.com ,10.0.0.0/8", "https://10.9.9.9/", true),
            ("*", "https://10.9.9.9/", true),
            ("x,*", "https://example.com/", true),
            (" , ,", "https://example.com/", false),
        ];
        for (no_proxy, url, direct) in rows {
            check(ProxySettings { no_proxy, ..BOTH }, url, if direct { "-" } else { "http://secure:3128" });
        }
    }

    #[test]
    fn the_last_at_sign_ends_the_credentials() {
        let rows = [
            ("http://ann:p@ss@proxy:3128", "ann:p@ss", "http://proxy:3128"),
            ("http://a@b:p@@proxy:3128/", "a@b:p@", "http://proxy:3128"),
            ("ann:p@ss@proxy:3128/path?x", "ann:p@ss", "http://proxy:3128"),
            ("HTTPS://ann:p%40s%2Fs@proxy", "ann:p@s/s", "https://proxy"),
            ("socks5://ann:p@s:s@[::1]:1080", "ann:p@s:s", "socks5://[::1]:1080"),
        ];
        for (url, credentials, shown) in rows {
            let proxy: Proxy = url.parse().unwrap();
            assert_eq!((proxy.to_string().as_str(), format!("{proxy:?}").as_str()), (shown, shown));
            let sent = match proxy.0.raw_auth() {
                Some((user, password)) => format!("{user}:{password}"),
                None => {
                    let header = proxy.authorization().unwrap().to_str().unwrap();
                    let basic = STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
                    String::from_utf8(basic).unwrap()
                }
            };
            assert_eq!(sent, credentials, "{url}");
        }
    }

    #[test]
    fn a_proxy_that_a_request_may_have_named_is_refused() {
        let refused = "HTTP_PROXY is not used where REQUEST_METHOD is set (CGI): a header of the request may have set it";
        let settings = ProxySettings { cgi: true, ..BOTH };
        check(settings, "http://a.example.com/", refused);
        check(ProxySettings { no_proxy: "*", ..settings }, "http://a.example.com/", refused);
        check(settings, "https://a.example.com/", "http://secure:3128");
        check(ProxySettings { http: "", ..settings }, "http://a.example.com/", "socks5://rest:1080");
    }

    #[test]
    fn what_is_no_proxy_is_an_error_for_those_who_need_it_and_shows_no_password() {
        let settings = ProxySettings { https: "socks4://ann:secret@p:1", ..BOTH };
        let expected =
            r#""socks4://p:1" is not the URL of a proxy: http, https or socks5://HOST:PORT is expected"#;
        check(settings, "https://example.com/", expected);
        check(settings, "http://example.com/", "http://plain:3128");
        for url in ["http://ann:sec/ret@p:1", "http://ann:12/ret@p:1", "http://ann:a@b:12/ret@p:1"] {
            let error = url.parse::<Proxy>().unwrap_err().to_string();
            assert!(error.contains("http://p:1") && !error.contains("ret@"), "{error}");
        }
        let error = "ann:sec://ret@p:1".parse::<Proxy>().unwrap_err().to_string();
        assert!(error.starts_with("\"p:1\" is not"), "{error}");
        let shown = format!("{:?}", Proxies::of_environment(BOTH));
        assert!(shown.contains("secure:3128") && !shown.contains("secret"), "{shown}");
    }
}
