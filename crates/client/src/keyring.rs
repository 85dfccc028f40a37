//! Credentials of registries, as secrets hold them, and which of them an image is for (images 5.5).
//!
//! Owns reading `.dockercfg` and `.dockerconfigjson` and the matching of their keys: globs label by label, ports that
//! must be equal, paths that must be a prefix. Sends nothing: `distribution` decides where a credential may go.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use pierhead_api::core::{self, secret_type};
use pierhead_runtime::Secret;
use serde::Deserialize;

/// Names of the one registry that has several.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The credentials of some secrets. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Keyring(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Most specific first.
    entries: Vec<Entry>,
    problems: Vec<KeyringProblem>,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    credential: RegistryCredential,
}

/// A user name and password for a registry, and the secret they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryCredential {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: Secret<String>,
    /// Name of the secret.
    pub source: String,
}

impl RegistryCredential {
    /// Whether it is the same user with the same password, whatever secret it is from.
    fn is_same(&self, other: &Self) -> bool {
        self.username == other.username && self.password == other.password
    }
}

/// A secret, or one of its entries, that cannot be read. Never shows what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringProblem {
    /// Name of the secret.
    pub secret: String,
    /// What is wrong.
    pub message: String,
}

impl Keyring {
    /// No credentials.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The credentials of those `secrets` that hold some; others are passed over. What cannot be read is left out and
    /// named by [`Keyring::problems`].
    pub fn from_secrets<'a>(secrets: impl IntoIterator<Item = &'a core::Secret>) -> Self {
        let mut inner = Inner::default();
        for secret in secrets {
            inner.add(secret);
        }
        // Longer keys of one host come first, and a glob comes after the names that it matches.
        inner.entries.sort_by(|left, right| right.key.text.cmp(&left.key.text));
        Self(Arc::new(inner))
    }

    /// The credentials of a file of docker or podman: `{"auths": {…}}`, or the old form without that. `source` names it.
    ///
    /// # Errors
    /// When it is not such a file; single entries that cannot be read are named by [`Keyring::problems`].
    pub fn from_docker_config(content: &[u8], source: &str) -> Result<Self, KeyringProblem> {
        let failed = |error: &serde_json::Error| KeyringProblem {
            secret: source.to_owned(),
            message: format!("it cannot be read at line {} column {}", error.line(), error.column()),
        };
        let mut document: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(content).map_err(|error| failed(&error))?;
        let auths = match document.remove("auths") {
            Some(auths) => auths,
            // The old form has nothing but registries.
            None if document.values().all(|entry| entry.get("auth").is_some()) => document.into(),
            None => serde_json::Value::Null,
        };
        let entries: Option<BTreeMap<String, RawEntry>> =
            serde_json::from_value(auths).map_err(|error| failed(&error))?;
        let mut inner = Inner::default();
        inner.add_entries(source, entries.unwrap_or_default());
        inner.entries.sort_by(|left, right| right.key.text.cmp(&left.key.text));
        Ok(Self(Arc::new(inner)))
    }

    /// One credential, for all of `host`.
    #[must_use]
    pub fn of_host(host: &str, credential: RegistryCredential) -> Self {
        let entries = vec![Entry { key: Key::parse(host), credential }];
        Self(Arc::new(Inner { entries, problems: Vec::new() }))
    }

    /// What could not be read.
    #[must_use]
    pub fn problems(&self) -> &[KeyringProblem] {
        &self.0.problems
    }

    /// Whether it holds no credential at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// The credentials for a repository of the registry `host` (`name` or `name:port`), best match first, each user
    /// with a password once.
    #[must_use]
    pub fn candidates(&self, host: &str, repository: &str) -> Vec<RegistryCredential> {
        let host = host.to_ascii_lowercase();
        let hosts = if is_docker_hub(&host) { DOCKER_HUB.to_vec() } else { vec![host.as_str()] };
        let fits = |entry: &&Entry| hosts.iter().any(|host| entry.key.matches(host, repository));
        let mut found: Vec<RegistryCredential> = Vec::new();
        for Entry { credential, .. } in self.0.entries.iter().filter(fits) {
            if !found.iter().any(|known| known.is_same(credential)) {
                found.push(credential.clone());
            }
        }
        found
    }

    /// Whether the keyring gives `credential` to `host` as well, by a key of its own.
    pub(crate) fn names(&self, host: &str, credential: &RegistryCredential) -> bool {
        let host = host.to_ascii_lowercase();
        self.0
            .entries
            .iter()
            .any(|entry| entry.key.host_matches(&host) && entry.credential.is_same(credential))
    }
}

/// Whether `host` is one of the names of Docker Hub.
pub(crate) fn is_docker_hub(host: &str) -> bool {
    DOCKER_HUB.contains(&host)
}

impl Inner {
    fn add(&mut self, secret: &core::Secret) {
        let name = &secret.metadata.name;
        let entries = match secret.secret_type.as_str() {
            secret_type::DOCKERCFG => read::<BTreeMap<String, RawEntry>>(secret, ".dockercfg"),
            secret_type::DOCKER_CONFIG_JSON => {
                read::<ConfigFile>(secret, ".dockerconfigjson").map(|file| file.auths)
            }
            _ => return,
        };
        let entries = match entries {
            Ok(entries) => entries,
            Err(message) => return self.problems.push(KeyringProblem { secret: name.clone(), message }),
        };
        self.add_entries(name, entries);
    }

    fn add_entries(&mut self, name: &str, entries: BTreeMap<String, RawEntry>) {
        for (key, entry) in entries {
            match entry.credential(name) {
                Ok(None) => {}
                Ok(Some(credential)) => self.entries.push(Entry { key: Key::parse(&key), credential }),
                Err(problem) => {
                    let message = format!("the entry for {key:?} {problem}");
                    self.problems.push(KeyringProblem { secret: name.to_owned(), message });
                }
            }
        }
    }
}

/// Positions only: the texts of JSON errors quote what they stumble over.
fn read<T: serde::de::DeserializeOwned>(secret: &core::Secret, key: &str) -> Result<T, String> {
    let Some(value) = secret.data.get(key) else { return Err(format!("it has no {key}")) };
    serde_json::from_slice(value.as_slice()).map_err(|error| {
        format!("its {key} cannot be read at line {} column {}", error.line(), error.column())
    })
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    auths: BTreeMap<String, RawEntry>,
}

#[derive(Deserialize)]
struct RawEntry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
}

impl RawEntry {
    fn credential(self, source: &str) -> Result<Option<RegistryCredential>, &'static str> {
        let auth = self.auth.unwrap_or_default();
        let (username, password) = if auth.is_empty() {
            (self.username.unwrap_or_default(), self.password.unwrap_or_default())
        } else {
            decode(&auth)?
        };
        if username.is_empty() && password.is_empty() {
            return Ok(None);
        }
        let (password, source) = (Secret::new(password), source.to_owned());
        Ok(Some(RegistryCredential { username, password, source }))
    }
}

fn decode(auth: &str) -> Result<(String, String), &'static str> {
    let auth: String = auth.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    let Ok(decoded) = STANDARD_NO_PAD.decode(auth.trim_end_matches('=')) else {
        return Err("has an auth that is not base64");
    };
    let Ok(decoded) = String::from_utf8(decoded) else { return Err("has an auth that is not text") };
    let Some((username, password)) = decoded.split_once(':') else {
        return Err("has an auth without a colon");
    };
    // Old docker clients filled the text up.
    Ok((username.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// A key of a credentials file: `host[:port][/path]`, where labels of the host may be globs.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    text: String,
    labels: Vec<String>,
    port: Option<String>,
    path: Vec<String>,
}

impl Key {
    fn parse(key: &str) -> Self {
        let key = key.trim();
        let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
        let (host, path) = key.split_once('/').unwrap_or((key, ""));
        let mut path: Vec<String> =
            path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        // The address of an API, of which there were two, and not a part of a name.
        if path.last().is_some_and(|last| last == "v1" || last == "v2") {
            path.pop();
        }
        let host = host.to_ascii_lowercase();
        let text = [host.as_str(), &path.join("/")].join("/");
        let (labels, port) = split_host(&host);
        Self { text, labels, port, path }
    }

    fn matches(&self, host: &str, repository: &str) -> bool {
        let mut parts = repository.split('/');
        self.host_matches(host) && self.path.iter().all(|part| parts.next() == Some(part.as_str()))
    }

    fn host_matches(&self, host: &str) -> bool {
        let (labels, port) = split_host(host);
        self.port == port
            && self.labels.len() == labels.len()
            && self.labels.iter().zip(&labels).all(|(glob, label)| glob_matches(glob, label))
    }
}

fn split_host(host: &str) -> (Vec<String>, Option<String>) {
    if host.starts_with('[') {
        let (address, rest) = host.split_once(']').unwrap_or((host, ""));
        return (vec![address.to_owned()], rest.strip_prefix(':').map(str::to_owned));
    }
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, Some(port.to_owned())),
        None => (host, None),
    };
    (name.split('.').map(str::to_owned).collect(), port)
}

/// `*` stands for any characters and `?` for one. Both texts are short, and no text takes longer than their product.
fn glob_matches(glob: &str, label: &str) -> bool {
    let label: Vec<char> = label.chars().collect();
    let mut reachable = vec![false; label.len() + 1];
    reachable[0] = true;
    for wanted in glob.chars() {
        let mut next = vec![false; label.len() + 1];
        let mut any = false;
        for position in 0..=label.len() {
            any |= reachable[position];
            next[position] = match wanted {
                '*' => any,
                _ if position == 0 => false,
                '?' => reachable[position - 1],
                wanted => reachable[position - 1] && label[position - 1] == wanted,
            };
        }
        reachable = next;
    }
    reachable[label.len()]
}

#[cfg(test)]
mod tests {
    use pierhead_api::core::Secret;
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use super::Keyring;

    fn secret(name: &str, kind: &str, key: &str, contents: &Value) -> Secret {
        let contents = match contents {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let document = json!({
            "metadata": {"name": name},
            "type": format!("kubernetes.io/{kind}"),
            "stringData": {key: contents},
        });
        let mut secret: Secret = from_value(&document).unwrap();
        secret.set_defaults();
        secret
    }

    fn dockercfg(name: &str, contents: &Value) -> Secret {
        secret(name, "dockercfg", ".dockercfg", contents)
    }

    /// A keyring in which the user of each key is the key itself.
    fn keyring(keys: &[&str]) -> Keyring {
        let entries = keys.iter().map(|key| ((*key).to_owned(), json!({"username": key, "password": "p"})));
        Keyring::from_secrets([&dockercfg("s", &Value::Object(entries.collect()))])
    }

    #[track_caller]
    fn check(keys: &[&str], image: &str, expected: &[&str]) {
        let (host, repository) = image.split_once('/').unwrap();
        let found = keyring(keys).candidates(host, repository);
        let users: Vec<&str> = found.iter().map(|credential| credential.username.as_str()).collect();
        assert_eq!(users, expected, "{image} with {keys:?}");
    }

    #[test]
    fn the_most_specific_key_comes_first_and_all_that_match_follow() {
        let keys = ["r.example.com", "r.example.com/shop", "r.example.com/shop/web", "other.example.com"];
        check(
            &keys,
            "r.example.com/shop/web",
            &["r.example.com/shop/web", "r.example.com/shop", "r.example.com"],
        );
        check(&keys, "r.example.com/shop/api", &["r.example.com/shop", "r.example.com"]);
        check(&keys, "r.example.com/shopping/api", &["r.example.com"]);
        check(&keys, "r.example.com:443/shop/api", &[]);
        check(&keys, "example.com/shop/api", &[]);
    }

    #[test]
    fn hosts_may_be_globs_label_by_label() {
        check(&["*.example.com", "a.example.com"], "a.example.com/x/y", &["a.example.com", "*.example.com"]);
        check(&["*.example.com"], "a.b.example.com/x/y", &[]);
        check(&["*.example.com"], "example.com/x/y", &[]);
        check(&["r-?.*.com"], "r-1.example.com/x/y", &["r-?.*.com"]);
        check(&["r-?.*.com"], "r-12.example.com/x/y", &[]);
        check(&["*.example.com:5000"], "a.example.com:5000/x/y", &["*.example.com:5000"]);
        check(&["*.example.com:5000"], "a.example.com/x/y", &[]);
        check(&["*"], "localhost:5000/x/y", &[]);
    }

    #[test]
    fn schemes_cases_and_old_paths_are_taken_off() {
        for key in
            ["https://R.example.com", "http://r.example.com/v1/", "r.example.com/v2/", "r.example.com/v2"]
        {
            check(&[key], "r.example.com/x/y", &[key]);
        }
        check(
            &["https://r.example.com:5000/v2/"],
            "R.Example.com:5000/x/y",
            &["https://r.example.com:5000/v2/"],
        );
        check(&["[::1]:5000"], "[::1]:5000/x/y", &["[::1]:5000"]);
    }

    #[test]
    fn docker_hub_is_one_registry() {
        for host in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
            check(
                &["https://index.docker.io/v1/"],
                &format!("{host}/library/busybox"),
                &["https://index.docker.io/v1/"],
            );
        }
        check(&["docker.io/shop"], "docker.io/library/busybox", &[]);
        check(&["index.docker.io"], "docker.io.example.com/library/busybox", &[]);
    }

    #[test]
    fn both_kinds_of_files_are_read_and_doubles_are_dropped() {
        // dTpwOnE= is `u:p:q`, dTpwOnEA has a zero at its end.
        let old = dockercfg("old", &json!({"r.io": {"auth": "dTpwOnE=", "email": "x@y"}}));
        let auths = json!({"auths": {"r.io": {"auth": "dTpwOnEA"}, "s.io": {"auth": ""}, "t.io": {"identitytoken": "x"}}});
        let new = secret("new", "dockerconfigjson", ".dockerconfigjson", &auths);
        let opaque = secret("opaque", "other", ".dockercfg", &json!({"r.io": {"auth": "eA=="}}));
        let keyring = Keyring::from_secrets([&old, &new, &opaque]);
        let found = keyring.candidates("r.io", "a/b");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].username.as_str(), found[0].source.as_str()), ("u", "old"));
        assert_eq!(found[0].password.expose(), "p:q");
        assert_eq!(keyring.problems(), []);
        assert!(keyring.candidates("s.io", "a/b").is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_named_without_its_contents() {
        let secrets = [
            dockercfg("text", &json!("hunter2")),
            dockercfg("shape", &json!({"r.io": "hunter2"})),
            dockercfg("auth", &json!({"r.io": {"auth": "hunter2!"}, "s.io": {"auth": "dTpw"}})),
            dockercfg("colon", &json!({"r.io": {"auth": "aHVudGVyMg=="}})),
        ];
        let keyring = Keyring::from_secrets(&secrets);
        let problems: Vec<String> = keyring
            .problems()
            .iter()
            .map(|problem| format!("{}: {}", problem.secret, problem.message))
            .collect();
        assert_eq!(
            problems,
            [
                "text: its .dockercfg cannot be read at line 1 column 1",
                "shape: its .dockercfg cannot be read at line 1 column 17",
                "auth: the entry for \"r.io\" has an auth that is not base64",
                "colon: the entry for \"r.io\" has an auth without a colon",
            ]
        );
        assert_eq!(keyring.candidates("s.io", "a/b").len(), 1, "the good entry counts");
    }
}
