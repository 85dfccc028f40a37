//! The sections `[oauth]` and `[[identity-providers]]` of the configuration file: how long tokens live, and who knows the
//! users. Only the file has them. Inside a provider the words are those of OpenShift's OAuth configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pierhead_auth::ldap::{AttributeNames, LdapUrl, Scheme};
use pierhead_auth::openid::{ClaimNames, OpenId};
use pierhead_auth::password::MappingMethod;
use pierhead_auth::remote_password::BasicAuth;
use pierhead_auth::request_header::RequestHeader;
use pierhead_runtime::{Secret, tls};
use serde::Deserialize;

use super::ConfigError;
use super::outside::interval;

/// Shortest time after which an idle token may end.
const SHORTEST_IDLE: Duration = Duration::from_secs(300);
const KEY: &str = "identity-providers";
/// The names of the providers that flags make.
const OWN: [&str; 2] = ["htpasswd", "anypassword"];

/// `[oauth]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct OAuthSection {
    access_token_max_age: Option<String>,
    access_token_inactivity_timeout: Option<String>,
}

/// How long tokens live, checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenLives {
    /// From its beginning.
    pub(crate) life: Duration,
    /// Without use; zero for ever.
    pub(crate) idle: Duration,
}

impl OAuthSection {
    pub(super) fn checked(self) -> Result<TokenLives, ConfigError> {
        let life = self.access_token_max_age.as_deref();
        let life = life.map(|text| interval("oauth.access-token-max-age", text)).transpose()?;
        let idle = self.access_token_inactivity_timeout.as_deref().filter(|text| *text != "0s");
        let key = "oauth.access-token-inactivity-timeout";
        let idle = idle.map(|text| interval(key, text)).transpose()?.unwrap_or_default();
        if !idle.is_zero() && idle < SHORTEST_IDLE {
            return Err(ConfigError::Value { key, why: "it is 5m at least, or 0s for never".to_owned() });
        }
        Ok(TokenLives { life: life.unwrap_or(Duration::from_secs(86_400)), idle })
    }
}

/// One of `[[identity-providers]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ProviderSection {
    name: String,
    challenge: Option<bool>,
    login: Option<bool>,
    #[serde(default)]
    mapping_method: MappingWord,
    #[serde(rename = "type")]
    kind: KindWord,
    htpasswd: Option<HtpasswdSection>,
    #[serde(rename = "openID")]
    open_id: Option<OpenIdSection>,
    request_header: Option<RequestHeaderSection>,
    basic_auth: Option<BasicAuthSection>,
    ldap: Option<LdapSection>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MappingWord {
    #[default]
    Claim,
    Lookup,
    Generate,
    Add,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum KindWord {
    #[serde(rename = "HTPasswd", alias = "HTPasswdPasswordIdentityProvider")]
    Htpasswd,
    #[serde(rename = "OpenID", alias = "OpenIDIdentityProvider")]
    OpenId,
    #[serde(alias = "RequestHeaderIdentityProvider")]
    RequestHeader,
    #[serde(alias = "BasicAuthPasswordIdentityProvider")]
    BasicAuth,
    #[serde(rename = "LDAP", alias = "LDAPPasswordIdentityProvider")]
    Ldap,
    #[serde(alias = "AllowAllPasswordIdentityProvider")]
    AllowAll,
    #[serde(alias = "DenyAllPasswordIdentityProvider")]
    DenyAll,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HtpasswdSection {
    file: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OpenIdSection {
    issuer: String,
    #[serde(rename = "clientID")]
    client_id: String,
    #[serde(default, deserialize_with = "secret")]
    client_secret: Option<Secret<String>>,
    client_secret_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    #[serde(default)]
    extra_scopes: Vec<String>,
    #[serde(default)]
    extra_authorize_parameters: BTreeMap<String, String>,
    #[serde(default)]
    claims: ClaimsSection,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct ClaimsSection {
    id: Option<Vec<String>>,
    preferred_username: Option<Vec<String>>,
    name: Option<Vec<String>>,
    email: Option<Vec<String>>,
    groups: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RequestHeaderSection {
    #[serde(rename = "loginURL")]
    login_url: Option<String>,
    #[serde(rename = "challengeURL")]
    challenge_url: Option<String>,
    ca: PathBuf,
    #[serde(default)]
    client_common_names: Vec<String>,
    headers: Vec<String>,
    #[serde(default)]
    preferred_username_headers: Vec<String>,
    #[serde(default)]
    name_headers: Vec<String>,
    #[serde(default)]
    email_headers: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BasicAuthSection {
    url: String,
    ca: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LdapSection {
    url: String,
    #[serde(rename = "bindDN")]
    bind_dn: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    bind_password: Option<Secret<String>>,
    bind_password_file: Option<PathBuf>,
    #[serde(default)]
    insecure: bool,
    ca: Option<PathBuf>,
    #[serde(default)]
    attributes: LdapAttributesSection,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct LdapAttributesSection {
    id: Option<Vec<String>>,
    preferred_username: Option<Vec<String>>,
    name: Option<Vec<String>>,
    email: Option<Vec<String>>,
}

/// An identity provider, checked.
#[derive(Clone, Debug)]
pub(crate) struct ProviderSettings {
    pub(crate) name: String,
    pub(crate) challenge: bool,
    pub(crate) login: bool,
    pub(crate) mapping: MappingMethod,
    pub(crate) kind: KindSettings,
}

/// What kind it is.
#[derive(Clone, Debug)]
pub(crate) enum KindSettings {
    AllowAll,
    DenyAll,
    Htpasswd(PathBuf),
    BasicAuth(Arc<BasicAuth>),
    OpenId(Arc<OpenId>),
    Ldap(Box<LdapSettings>),
    /// The authority, PEM, of its proxies comes with it.
    RequestHeader(Arc<RequestHeader>, Arc<str>),
}

/// A directory, checked.
#[derive(Clone, Debug)]
pub(crate) struct LdapSettings {
    pub(crate) url: LdapUrl,
    pub(crate) searcher: Option<(String, Secret<String>)>,
    /// Whether nothing is encrypted.
    pub(crate) insecure: bool,
    /// Certificate authorities, PEM, besides the usual ones.
    pub(crate) authority: Option<Arc<str>>,
    pub(crate) attributes: AttributeNames,
}

/// Checks all providers, and reads the files that are read once.
pub(super) fn checked(sections: Vec<ProviderSection>) -> Result<Vec<ProviderSettings>, ConfigError> {
    let mut names: BTreeSet<String> = OWN.map(str::to_owned).into();
    let mut providers = Vec::new();
    for section in sections {
        let odd = |c: char| matches!(c, ':' | '/' | '%') || c.is_control();
        if section.name.is_empty()
            || section.name.contains(odd)
            || matches!(section.name.as_str(), "." | "..")
        {
            return Err(wrong(format!("`{}` is no name: it may hold no `:`, `/` and `%`", section.name)));
        }
        if !names.insert(section.name.clone()) {
            return Err(wrong(format!("there is another one called `{}`", section.name)));
        }
        providers.push(section.checked()?);
    }
    Ok(providers)
}

fn wrong(why: String) -> ConfigError {
    ConfigError::Value { key: KEY, why }
}

impl ProviderSection {
    fn checked(self) -> Result<ProviderSettings, ConfigError> {
        let Self {
            name,
            challenge,
            login,
            mapping_method,
            kind,
            htpasswd,
            open_id,
            request_header,
            basic_auth,
            ldap,
        } = self;
        let lacks = |what: &str| wrong(format!("`{name}` has no section `{what}`, which its type asks for"));
        // Which of the two ways a provider is for where nothing is said.
        let (kind, usual) = match kind {
            KindWord::AllowAll => (KindSettings::AllowAll, (true, true)),
            KindWord::DenyAll => (KindSettings::DenyAll, (true, true)),
            KindWord::Htpasswd => {
                let HtpasswdSection { file } = htpasswd.ok_or_else(|| lacks("htpasswd"))?;
                if !file.is_file() {
                    return Err(wrong(format!("`{name}`: there is no file {}", file.display())));
                }
                (KindSettings::Htpasswd(file), (true, true))
            }
            KindWord::BasicAuth => {
                let BasicAuthSection { url, ca } = basic_auth.ok_or_else(|| lacks("basicAuth"))?;
                https(&name, &url)?;
                let remote = BasicAuth { url, authority: authority(ca.as_deref())? };
                (KindSettings::BasicAuth(Arc::new(remote)), (true, true))
            }
            KindWord::Ldap => {
                let section = ldap.ok_or_else(|| lacks("ldap"))?;
                (KindSettings::Ldap(Box::new(section.checked(&name)?)), (true, true))
            }
            KindWord::OpenId => {
                let section = open_id.ok_or_else(|| lacks("openID"))?;
                (KindSettings::OpenId(Arc::new(section.checked(&name)?)), (false, true))
            }
            KindWord::RequestHeader => {
                let section = request_header.ok_or_else(|| lacks("requestHeader"))?;
                let (header, authority) = section.checked(&name)?;
                let usual = (header.challenge_url.is_some(), header.login_url.is_some());
                (KindSettings::RequestHeader(Arc::new(header), authority), usual)
            }
        };
        let mapping = match mapping_method {
            MappingWord::Claim => MappingMethod::Claim,
            MappingWord::Lookup => MappingMethod::Lookup,
            MappingWord::Generate => MappingMethod::Generate,
            MappingWord::Add => MappingMethod::Add,
        };
        let (challenge, login) = (challenge.unwrap_or(usual.0), login.unwrap_or(usual.1));
        Ok(ProviderSettings { name, challenge, login, mapping, kind })
    }
}

impl OpenIdSection {
    fn checked(self, name: &str) -> Result<OpenId, ConfigError> {
        https(name, &self.issuer)?;
        let what = format!("`{name}`: write one of clientSecret and clientSecretFile");
        let secret = one_secret(self.client_secret, self.client_secret_file, &what)?;
        let secret = secret.ok_or_else(|| wrong(what))?;
        let ClaimsSection { id, preferred_username, name, email, groups } = self.claims;
        let usual = ClaimNames::default();
        let mut openid = OpenId::new(self.issuer, self.client_id, secret);
        openid.authority = authority(self.ca.as_deref())?;
        openid.extra_scopes = self.extra_scopes;
        openid.extra_authorize_parameters = self.extra_authorize_parameters.into_iter().collect();
        openid.claims = ClaimNames {
            id: id.unwrap_or(usual.id),
            preferred_username: preferred_username.unwrap_or(usual.preferred_username),
            name: name.unwrap_or(usual.name),
            email: email.unwrap_or(usual.email),
            groups: groups.unwrap_or(usual.groups),
        };
        Ok(openid)
    }
}

impl LdapSection {
    fn checked(self, name: &str) -> Result<LdapSettings, ConfigError> {
        let url: LdapUrl = self.url.parse().map_err(|error| wrong(format!("`{name}`: {error}")))?;
        if self.insecure && url.scheme == Scheme::Ldaps {
            return Err(wrong(format!("`{name}`: an ldaps URL is never insecure")));
        }
        let what = format!("`{name}`: write one of bindPassword and bindPasswordFile");
        let password = one_secret(self.bind_password, self.bind_password_file, &what)?;
        // A directory takes half of it for a wish to be anonymous.
        let password = password.filter(|password| !password.expose().is_empty());
        let searcher = match (self.bind_dn.filter(|dn| !dn.is_empty()), password) {
            (Some(dn), Some(password)) => Some((dn, password)),
            (None, None) => None,
            _ => return Err(wrong(format!("`{name}`: bindDN and its password go together"))),
        };
        let LdapAttributesSection { id, preferred_username, name: full_name, email } = self.attributes;
        let usual = AttributeNames::usual(&url);
        let attributes = AttributeNames {
            id: id.unwrap_or(usual.id),
            preferred_username: preferred_username.unwrap_or(usual.preferred_username),
            name: full_name.unwrap_or(usual.name),
            email: email.unwrap_or(usual.email),
        };
        attributes.check().map_err(|error| wrong(format!("`{name}`: {error}")))?;
        let authority = authority(self.ca.as_deref())?;
        Ok(LdapSettings { url, searcher, insecure: self.insecure, authority, attributes })
    }
}

impl RequestHeaderSection {
    fn checked(self, name: &str) -> Result<(RequestHeader, Arc<str>), ConfigError> {
        if self.headers.is_empty() {
            return Err(wrong(format!("`{name}`: headers names no header")));
        }
        for url in self.login_url.iter().chain(&self.challenge_url) {
            if !url.starts_with('/') {
                https(name, url)?;
            }
            if !url.contains("${url}") && !url.contains("${query}") {
                return Err(wrong(format!("`{name}`: `{url}` holds neither ${{url}} nor ${{query}}")));
            }
        }
        let header = RequestHeader {
            headers: self.headers,
            preferred_username_headers: self.preferred_username_headers,
            name_headers: self.name_headers,
            email_headers: self.email_headers,
            common_names: self.client_common_names,
            challenge_url: self.challenge_url,
            login_url: self.login_url,
        };
        Ok((header, pem(&self.ca)?))
    }
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Secret<String>>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}

/// A secret that is in the file, or in one of its own; `why` says that it cannot be in both.
fn one_secret(
    written: Option<Secret<String>>,
    file: Option<PathBuf>,
    why: &str,
) -> Result<Option<Secret<String>>, ConfigError> {
    match (written, file) {
        (None, Some(path)) => Ok(Some(Secret::new(read(&path)?.trim_end_matches(['\r', '\n']).to_owned()))),
        (secret, None) => Ok(secret),
        (Some(_), Some(_)) => Err(wrong(why.to_owned())),
    }
}

fn https(name: &str, url: &str) -> Result<(), ConfigError> {
    if url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) {
        return Ok(());
    }
    Err(wrong(format!("`{name}`: `{url}` is not an https URL")))
}

fn authority(path: Option<&Path>) -> Result<Option<Arc<str>>, ConfigError> {
    path.map(pem).transpose()
}

/// The certificates of a file, which must hold some.
fn pem(path: &Path) -> Result<Arc<str>, ConfigError> {
    let text = read(path)?;
    tls::roots(text.as_bytes()).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
    Ok(text.into())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use crate::config::Settings;

    /// What is said about a file, or the providers that it makes.
    #[track_caller]
    fn check(file: &str, expected: Result<&str, &str>) {
        let settings = toml::from_str::<Settings>(file).map_err(|error| error.message().to_owned());
        let checked = settings.and_then(|of| of.checked(None, true).map_err(|error| error.to_string()));
        let shown = checked.map(|config| {
            let lives = config.token_lives;
            let providers = config.identity_providers.iter();
            let names: Vec<String> = providers
                .map(|of| format!("{} {} {} {:?}", of.name, of.challenge, of.login, of.mapping))
                .collect();
            format!("{} {} {}", lives.life.as_secs(), lives.idle.as_secs(), names.join(", "))
        });
        assert_eq!(shown.as_deref().map_err(String::as_str), expected, "{file}");
    }

    #[test]
    fn providers_are_checked_word_by_word() {
        let provider =
            |name: &str, rest: &str| format!("[[identity-providers]]\nname = \"{name}\"\n{rest}\n");
        check("", Ok("86400 0 "));
        check(
            &[
                provider("a", "type = \"DenyAll\""),
                provider("b", "type = \"AllowAll\"\nmappingMethod = \"add\""),
            ]
            .concat(),
            Ok("86400 0 a true true Claim, b true true Add"),
        );
        check(
            &provider("a/b", "type = \"DenyAll\""),
            Err("identity-providers: `a/b` is no name: it may hold no `:`, `/` and `%`"),
        );
        check(
            &provider("htpasswd", "type = \"DenyAll\""),
            Err("identity-providers: there is another one called `htpasswd`"),
        );
        check(
            &provider("corp", "type = \"OpenID\""),
            Err("identity-providers: `corp` has no section `openID`, which its type asks for"),
        );
        let openid = |rest: &str| {
            provider(
                "corp",
                &format!("type = \"OpenID\"\n[identity-providers.openID]\nclientID = \"c\"\n{rest}"),
            )
        };
        check(
            &openid("issuer = \"http://id.example.com\"\nclientSecret = \"s\""),
            Err("identity-providers: `corp`: `http://id.example.com` is not an https URL"),
        );
        check(
            &openid("issuer = \"https://id.example.com\""),
            Err("identity-providers: `corp`: write one of clientSecret and clientSecretFile"),
        );
        check(
            &openid("issuer = \"https://id.example.com\"\nclientSecret = \"s\""),
            Ok("86400 0 corp false true Claim"),
        );
        check(
            &provider("files", "type = \"HTPasswd\"\nhtpasswd = {file = \"/nowhere/users\"}"),
            Err("identity-providers: `files`: there is no file /nowhere/users"),
        );
        let ldap = |rest: &str| {
            provider("ds", &format!("type = \"LDAP\"\n[identity-providers.ldap]\nurl = \"ldap{rest}"))
        };
        check(&ldap("://ds.acme.com/dc=acme?uid\""), Ok("86400 0 ds true true Claim"));
        check(
            &ldap("://ds.acme.com/dc=acme??all\""),
            Err("identity-providers: `ds`: the scope is sub, one or base, and not `all`"),
        );
        check(
            &ldap("s://ds.acme.com\"\ninsecure = true"),
            Err("identity-providers: `ds`: an ldaps URL is never insecure"),
        );
        for half in ["bindDN = \"cn=x\"", "bindPassword = \"x\"", "bindDN = \"cn=x\"\nbindPassword = \"\""] {
            check(
                &ldap(&format!("://ds.acme.com\"\n{half}")),
                Err("identity-providers: `ds`: bindDN and its password go together"),
            );
        }
        check(
            &ldap("://ds.acme.com\"\nattributes = {id = []}"),
            Err("identity-providers: `ds`: `` is no name of an attribute"),
        );
        let header = "type = \"RequestHeader\"\n[identity-providers.requestHeader]\nca = \"/nowhere\"\nheaders = [\"X\"]\n";
        check(
            &provider("sso", &format!("{header}loginURL = \"https://sso.example.com/\"")),
            Err("identity-providers: `sso`: `https://sso.example.com/` holds neither ${url} nor ${query}"),
        );
        check(&provider("sso", header), Err("reading /nowhere"));
    }

    #[test]
    fn tokens_live_as_long_as_is_said() {
        check(
            "[oauth]\naccess-token-max-age = \"2h\"\naccess-token-inactivity-timeout = \"10m\"",
            Ok("7200 600 "),
        );
        check("[oauth]\naccess-token-inactivity-timeout = \"0s\"", Ok("86400 0 "));
        check(
            "[oauth]\naccess-token-inactivity-timeout = \"10s\"",
            Err("oauth.access-token-inactivity-timeout: it is 5m at least, or 0s for never"),
        );
    }
}
