//! Names of objects, labels and keys: their rules with the texts clients see, and generated names.
//!
//! A rule is a function from the text to what is wrong with it; no problems means the name is good.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::field::FieldErrors;
use crate::meta::ObjectMeta;

/// Text of an attempt to change what never changes.
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// Most bytes all annotations of an object may have together.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

/// A rule for names; see the module.
pub type Rule = fn(&str) -> Vec<String>;

/// Whether objects of a kind live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// They do.
    Namespaced,
    /// They do not.
    Cluster,
}

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a valid name: {problem}")]
pub struct NameError {
    /// The text.
    pub name: String,
    /// The first rule it breaks.
    pub problem: String,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let rule: Rule = $rule;
                match rule(text).into_iter().next() {
                    None => Ok(Self(text.to_owned())),
                    Some(problem) => Err(NameError { name: text.to_owned(), problem }),
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// The name of an object: not empty and safe as one segment of a path. Kinds may be stricter.
    ObjectName,
    object_name
);
name_type!(
    /// The name of a namespace: a DNS label.
    Namespace,
    dns1123_label
);

fn object_name(text: &str) -> Vec<String> {
    if text.is_empty() { vec!["must not be empty".into()] } else { path_segment(text) }
}

fn is_lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?` of any length.
fn has_label_form(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(first, last)| is_lower_alphanumeric(*first) && is_lower_alphanumeric(*last))
        && bytes.iter().all(|byte| is_lower_alphanumeric(*byte) || *byte == b'-')
}

fn limit_length(text: &str, max: usize, problems: &mut Vec<String>) {
    if text.len() > max {
        problems.push(format!("must be no more than {max} characters"));
    }
}

/// At most 63 characters of `a-z0-9-`, no dash at the ends.
pub fn dns1123_label(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    limit_length(text, 63, &mut problems);
    if !has_label_form(text) {
        problems.push(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
             start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
             validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
                .into(),
        );
    }
    problems
}

/// Whether the text is a DNS label.
pub fn is_dns1123_label(text: &str) -> bool {
    dns1123_label(text).is_empty()
}

/// At most 253 characters of dot-separated labels.
pub fn dns1123_subdomain(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    limit_length(text, 253, &mut problems);
    if !text.split('.').all(has_label_form) {
        problems.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
             and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
             validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .into(),
        );
    }
    problems
}

/// Whether the text is a DNS subdomain.
pub fn is_dns1123_subdomain(text: &str) -> bool {
    dns1123_subdomain(text).is_empty()
}

/// A DNS label that begins with a letter, as services have.
pub fn dns1035_label(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    limit_length(text, 63, &mut problems);
    if !has_label_form(text) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        problems.push(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
             alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', \
             regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
                .into(),
        );
    }
    problems
}

/// What can be one segment of a URL path. Servers read nothing else as a name, so that each object has one address.
pub fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    let bad = ['/', '%'].into_iter().filter(|c| text.contains(*c));
    let mut problems: Vec<String> = bad.map(|c| format!("may not contain '{c}'")).collect();
    if text.contains(char::is_control) {
        problems.push("may not contain control characters".into());
    }
    problems
}

/// `[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?` of any length.
fn has_word_form(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(first, last)| first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Keys of labels and annotations, finalizers: `[prefix/]name`.
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, rest)) if rest.contains('/') => {
            return vec![
                "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and \
                 end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used \
                 for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain \
                 prefix and '/' (e.g. 'example.com/MyName')"
                    .into(),
            ];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".into());
            } else {
                problems
                    .extend(dns1123_subdomain(prefix).into_iter().map(|text| format!("prefix part {text}")));
            }
            name
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        problems.push("name part must be no more than 63 characters".into());
    }
    if !has_word_form(name) {
        problems.push(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
             an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation \
             is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
                .into(),
        );
    }
    problems
}

/// Values of labels: empty, or a word of at most 63 characters.
pub fn label_value(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    limit_length(text, 63, &mut problems);
    if !text.is_empty() && !has_word_form(text) {
        problems.push(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
             must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
             regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                .into(),
        );
    }
    problems
}

/// Keys of secrets and config maps.
pub fn config_map_key(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    limit_length(text, 253, &mut problems);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || !text.bytes().all(good) {
        problems.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .into(),
        );
    }
    match text {
        "." | ".." => problems.push(format!("must not be '{text}'")),
        _ if text.starts_with("..") => problems.push("must not start with '..'".into()),
        _ => {}
    }
    problems
}

/// Names of ports (IANA service names).
pub fn port_name(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > 15 {
        problems.push("must be no more than 15 characters".into());
    }
    if !text.bytes().all(|byte| is_lower_alphanumeric(byte) || byte == b'-') {
        problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        problems.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        problems.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        problems.push("must not begin or end with a hyphen".into());
    }
    problems
}

const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
const MAX_PREFIX: usize = 58;

/// A name from a prefix and five random characters. `pick(n)` draws a number below `n`.
pub fn generate_name(prefix: &str, mut pick: impl FnMut(usize) -> usize) -> String {
    let mut end = prefix.len().min(MAX_PREFIX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = prefix.get(..end).unwrap_or_default().to_owned();
    for _ in 0..SUFFIX_LENGTH {
        let index = pick(SUFFIX_ALPHABET.len()) % SUFFIX_ALPHABET.len();
        name.push(char::from(SUFFIX_ALPHABET[index]));
    }
    name
}

/// Rules of metadata on create: name by `rule`, namespace by `scope`, labels, annotations, owners, finalizers.
pub fn validate_metadata(meta: &ObjectMeta, scope: Scope, rule: Rule) -> FieldErrors {
    let mut errors = FieldErrors::new();
    if !meta.generate_name.is_empty() {
        // A prefix may end in what a whole name may not.
        let completed = format!("{}a", meta.generate_name);
        for problem in rule(&completed) {
            errors.invalid("metadata.generateName", meta.generate_name.as_str(), problem);
        }
    }
    if meta.name.is_empty() {
        errors.required("metadata.name", "name or generateName is required");
    } else {
        for problem in rule(&meta.name) {
            errors.invalid("metadata.name", meta.name.as_str(), problem);
        }
    }
    match scope {
        Scope::Namespaced if meta.namespace.is_empty() => errors.required("metadata.namespace", ""),
        Scope::Namespaced => {
            for problem in dns1123_label(&meta.namespace) {
                errors.invalid("metadata.namespace", meta.namespace.as_str(), problem);
            }
        }
        Scope::Cluster if !meta.namespace.is_empty() => {
            errors.forbidden("metadata.namespace", "not allowed on this type");
        }
        Scope::Cluster => {}
    }
    validate_attachments(meta, &mut errors);
    errors
}

fn validate_attachments(meta: &ObjectMeta, errors: &mut FieldErrors) {
    validate_labels(&meta.labels, "metadata.labels", errors);
    let mut size = 0;
    for (key, value) in &meta.annotations {
        // Case is ignored in keys of annotations, a leftover of their early days.
        for problem in qualified_name(&key.to_lowercase()) {
            errors.invalid("metadata.annotations", key.as_str(), problem);
        }
        size += key.len() + value.len();
    }
    if size > MAX_ANNOTATION_BYTES {
        errors.too_long("metadata.annotations", MAX_ANNOTATION_BYTES);
    }
    for (index, owner) in meta.owner_references.iter().enumerate() {
        let fields = [
            ("apiVersion", &owner.api_version),
            ("kind", &owner.kind),
            ("name", &owner.name),
            ("uid", &owner.uid),
        ];
        for (field, value) in fields {
            if value.is_empty() {
                let detail =
                    if field == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                errors.invalid(format!("metadata.ownerReferences[{index}].{field}"), "", detail);
            }
        }
    }
    for finalizer in &meta.finalizers {
        for problem in qualified_name(finalizer) {
            errors.invalid("metadata.finalizers", finalizer.as_str(), problem);
        }
    }
}

/// Rules of labels, for fields that hold labels.
pub fn validate_labels(
    labels: &std::collections::BTreeMap<String, String>,
    field: &str,
    errors: &mut FieldErrors,
) {
    for (key, value) in labels {
        for problem in qualified_name(key) {
            errors.invalid(field, key.as_str(), problem);
        }
        for problem in label_value(value) {
            errors.invalid(field, value.as_str(), problem);
        }
    }
}

/// Rules of metadata on update: name, namespace, uid and the two timestamps do not change. What the new object
/// leaves empty counts as unchanged; the server fills it in.
pub fn validate_metadata_update(new: &ObjectMeta, old: &ObjectMeta) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let texts = [
        ("name", &new.name, &old.name),
        ("namespace", &new.namespace, &old.namespace),
        ("uid", &new.uid, &old.uid),
    ];
    for (field, new, old) in texts {
        if !new.is_empty() && new != old {
            errors.invalid(format!("metadata.{field}"), new.as_str(), IMMUTABLE);
        }
    }
    let times = [
        ("creationTimestamp", new.creation_timestamp, old.creation_timestamp),
        ("deletionTimestamp", new.deletion_timestamp, old.deletion_timestamp),
    ];
    for (field, new, old) in times {
        if let Some(new) = new
            && old.map(|time| time.to_second()) != Some(new.to_second())
        {
            errors.invalid(format!("metadata.{field}"), new.to_string(), IMMUTABLE);
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::{
        ObjectName, Rule, Scope, config_map_key, dns1035_label, dns1123_label, dns1123_subdomain,
        generate_name, label_value, path_segment, port_name, qualified_name, validate_metadata,
    };
    use crate::meta::ObjectMeta;

    #[track_caller]
    fn check(rule: Rule, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(rule(text), Vec::<String>::new(), "`{text}` should pass");
        }
        for text in bad {
            assert!(!rule(text).is_empty(), "`{text}` should fail");
        }
    }

    #[test]
    fn rules_accept_and_refuse() {
        let long = "a".repeat(64);
        check(dns1123_label, &["a", "0", "a-b", "my-project"], &["", "-a", "a-", "A", "a.b", "a_b", &long]);
        check(dns1123_subdomain, &["a.b", "x", "a-b.c"], &["", "a..b", ".a", "a.", "a.-b"]);
        check(dns1035_label, &["a", "a-1"], &["1a", "", "a-"]);
        check(path_segment, &["a:b", "sha256:00", "x y", "A\\b", ""], &[".", "..", "a/b", "a%b", "a\n"]);
        check(qualified_name, &["a", "A.b", "example.com/x"], &["", "/a", "a/", "a/b/c", "-a", "A.com/x"]);
        check(label_value, &["", "a", "1_2.x"], &["-", "a b", &long]);
        check(config_map_key, &[".dockercfg", "a_b"], &["", ".", "..", "..a", "a/b"]);
        check(port_name, &["http", "5000-tcp"], &["5000", "a--b", "-a", "Http", "waytoolongforaport"]);
        assert!("a/b".parse::<ObjectName>().is_err());
    }

    #[test]
    fn cuts_long_prefixes_and_appends_five() {
        let mut next = 0;
        let mut pick = |bound: usize| {
            next += 1;
            next % bound
        };
        assert_eq!(generate_name("builder-token-", &mut pick), "builder-token-cdfgh");
        assert_eq!(generate_name(&"x".repeat(100), pick).len(), 63);
    }

    #[test]
    fn metadata_needs_a_name_and_the_right_scope() {
        let check = |meta: ObjectMeta, scope, expected: &str| {
            assert_eq!(validate_metadata(&meta, scope, dns1123_subdomain).to_string(), expected);
        };
        check(
            ObjectMeta::default(),
            Scope::Cluster,
            "metadata.name: Required value: name or generateName is required",
        );
        check(ObjectMeta::named("a"), Scope::Namespaced, "metadata.namespace: Required value");
        check(
            ObjectMeta::in_namespace("n", "a"),
            Scope::Cluster,
            "metadata.namespace: Forbidden: not allowed on this type",
        );
    }
}
