//! Errors of single fields, collected, with the texts clients print (platform 1.9).

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use crate::excerpt::excerpt;
use crate::meta::StatusCause;

/// Errors of one object that are told; the others are counted.
const MAX_ERRORS: usize = 100;
/// Bytes of a value that an error repeats.
const MAX_VALUE: usize = 256;
/// Bytes of a path or an explanation, either of which may hold a text of the client's.
const MAX_TEXT: usize = 1024;

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldProblem {
    /// The field must be given.
    Required {
        /// Why, or empty.
        detail: String,
    },
    /// The value is not acceptable.
    Invalid {
        /// The value as the client sent it.
        value: Value,
        /// What would be acceptable.
        detail: String,
    },
    /// The value is none of a closed list.
    NotSupported {
        /// The value as the client sent it.
        value: Value,
        /// The list.
        supported: Vec<String>,
    },
    /// The field may not be set (now, or by this caller).
    Forbidden {
        /// Why.
        detail: String,
    },
    /// The value occurs twice where it must be unique.
    Duplicate {
        /// The value.
        value: Value,
    },
    /// The value is too long.
    TooLong {
        /// Limit in bytes.
        max: usize,
    },
    /// The list has too many items.
    TooMany {
        /// How many there are.
        actual: usize,
        /// Limit in items.
        max: usize,
    },
    /// What the value refers to does not exist.
    NotFound {
        /// The value.
        value: Value,
    },
    /// The value has the wrong JSON type.
    TypeInvalid {
        /// The value.
        value: Value,
        /// What type is wanted.
        detail: String,
    },
    /// The check itself failed.
    Internal {
        /// Why.
        detail: String,
    },
}

/// One wrong field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Path of the field, such as `spec.to.name`.
    pub field: String,
    /// What is wrong with it.
    pub problem: FieldProblem,
}

impl FieldError {
    /// The cause reason of `Status.details.causes`.
    pub fn reason(&self) -> &'static str {
        match self.problem {
            FieldProblem::Required { .. } => "FieldValueRequired",
            FieldProblem::Invalid { .. } => "FieldValueInvalid",
            FieldProblem::NotSupported { .. } => "FieldValueNotSupported",
            FieldProblem::Forbidden { .. } => "FieldValueForbidden",
            FieldProblem::Duplicate { .. } => "FieldValueDuplicate",
            FieldProblem::TooLong { .. } => "FieldValueTooLong",
            FieldProblem::TooMany { .. } => "FieldValueTooMany",
            FieldProblem::NotFound { .. } => "FieldValueNotFound",
            FieldProblem::TypeInvalid { .. } => "FieldValueTypeInvalid",
            FieldProblem::Internal { .. } => "InternalError",
        }
    }

    /// The message without the field path, as `Status.details.causes[].message` has it.
    pub fn message(&self) -> String {
        let with_detail = |text: String, detail: &str| {
            if detail.is_empty() { text } else { format!("{text}: {detail}") }
        };
        match &self.problem {
            FieldProblem::Required { detail } => with_detail("Required value".into(), detail),
            FieldProblem::Invalid { value, detail } => with_detail(format!("Invalid value: {value}"), detail),
            FieldProblem::NotSupported { value, supported } => {
                let quoted: Vec<String> = supported.iter().map(|text| format!("{text:?}")).collect();
                let detail = if quoted.is_empty() {
                    String::new()
                } else {
                    format!("supported values: {}", quoted.join(", "))
                };
                with_detail(format!("Unsupported value: {value}"), &detail)
            }
            FieldProblem::Forbidden { detail } => with_detail("Forbidden".into(), detail),
            FieldProblem::Duplicate { value } => format!("Duplicate value: {value}"),
            FieldProblem::TooLong { max } => format!("Too long: may not be more than {max} bytes"),
            FieldProblem::TooMany { actual, max } => {
                format!("Too many: {actual}: must have at most {max} items")
            }
            FieldProblem::NotFound { value } => format!("Not found: {value}"),
            FieldProblem::TypeInvalid { value, detail } => {
                with_detail(format!("Invalid value: {value}"), detail)
            }
            FieldProblem::Internal { detail } => with_detail("Internal error".into(), detail),
        }
    }

    /// This error as a cause of a `Status`.
    pub fn cause(&self) -> StatusCause {
        StatusCause { reason: self.reason().into(), message: self.message(), field: self.field.clone() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message())
    }
}

impl FieldProblem {
    /// The same with no more of what the client sent than a message should repeat.
    fn shortened(mut self) -> Self {
        let (value, detail) = match &mut self {
            Self::Invalid { value, detail } | Self::TypeInvalid { value, detail } => {
                (Some(value), Some(detail))
            }
            Self::NotSupported { value, .. } | Self::Duplicate { value } | Self::NotFound { value } => {
                (Some(value), None)
            }
            Self::Required { detail } | Self::Forbidden { detail } | Self::Internal { detail } => {
                (None, Some(detail))
            }
            Self::TooLong { .. } | Self::TooMany { .. } => (None, None),
        };
        if let Some(value) = value {
            shorten_value(value);
        }
        if let Some(detail) = detail {
            shorten(detail, MAX_TEXT);
        }
        self
    }
}

fn shorten(text: &mut String, max: usize) {
    if text.len() > max {
        *text = excerpt(text, max).into_owned();
    }
}

/// A long list or object becomes the start of its text.
fn shorten_value(value: &mut Value) {
    match value {
        Value::String(text) => shorten(text, MAX_VALUE),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            if text.len() > MAX_VALUE {
                *value = excerpt(&text, MAX_VALUE).into();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The wrong fields of one object, in the order found. Only the first hundred are kept: an answer must not grow to many
/// times the size of the request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldErrors {
    errors: Vec<FieldError>,
    more: usize,
}

impl FieldErrors {
    /// No errors yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// How many fields are wrong.
    pub fn len(&self) -> usize {
        self.errors.len() + self.more
    }

    /// The errors that are kept, in the order found.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.errors.iter()
    }

    /// Adds one error.
    pub fn push(&mut self, field: impl Into<String>, problem: FieldProblem) {
        if self.errors.len() == MAX_ERRORS {
            self.more += 1;
            return;
        }
        let mut field = field.into();
        shorten(&mut field, MAX_TEXT);
        self.errors.push(FieldError { field, problem: problem.shortened() });
    }

    /// Adds all errors of `other`.
    pub fn append(&mut self, other: FieldErrors) {
        self.more += other.more;
        for FieldError { field, problem } in other.errors {
            self.push(field, problem);
        }
    }

    /// The field must be given; `detail` may be empty.
    pub fn required(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.push(field, FieldProblem::Required { detail: detail.into() });
    }

    /// The value is not acceptable.
    pub fn invalid(&mut self, field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) {
        self.push(field, FieldProblem::Invalid { value: value.into(), detail: detail.into() });
    }

    /// The value is none of `supported`.
    pub fn not_supported(&mut self, field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) {
        let supported = supported.iter().map(|text| (*text).to_owned()).collect();
        self.push(field, FieldProblem::NotSupported { value: value.into(), supported });
    }

    /// The field may not be set.
    pub fn forbidden(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.push(field, FieldProblem::Forbidden { detail: detail.into() });
    }

    /// The value occurs twice.
    pub fn duplicate(&mut self, field: impl Into<String>, value: impl Into<Value>) {
        self.push(field, FieldProblem::Duplicate { value: value.into() });
    }

    /// The value has more than `max` bytes.
    pub fn too_long(&mut self, field: impl Into<String>, max: usize) {
        self.push(field, FieldProblem::TooLong { max });
    }

    /// The list has `actual` items where `max` are allowed.
    pub fn too_many(&mut self, field: impl Into<String>, actual: usize, max: usize) {
        self.push(field, FieldProblem::TooMany { actual, max });
    }

    /// What the value names does not exist.
    pub fn not_found(&mut self, field: impl Into<String>, value: impl Into<Value>) {
        self.push(field, FieldProblem::NotFound { value: value.into() });
    }

    /// The causes of a `Status` of reason `Invalid`.
    pub fn causes(&self) -> Vec<StatusCause> {
        self.errors.iter().map(FieldError::cause).collect()
    }
}

/// One error alone, several in brackets; the same text is not repeated.
impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seen = HashSet::new();
        let mut texts: Vec<String> =
            self.errors.iter().map(ToString::to_string).filter(|text| seen.insert(text.clone())).collect();
        if self.more > 0 {
            texts.push(format!("and {} more", self.more));
        }
        match texts.as_slice() {
            [only] => f.write_str(only),
            several => write!(f, "[{}]", several.join(", ")),
        }
    }
}

impl IntoIterator for FieldErrors {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

impl<'a> IntoIterator for &'a FieldErrors {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.iter()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{FieldErrors, MAX_ERRORS, MAX_TEXT, MAX_VALUE};

    #[track_caller]
    fn check(add: impl FnOnce(&mut FieldErrors), reason: &str, text: &str) {
        let mut errors = FieldErrors::new();
        add(&mut errors);
        assert_eq!(errors.to_string(), text);
        assert_eq!(errors.causes()[0].reason, reason);
    }

    #[test]
    fn says_what_clients_expect() {
        check(|e| e.required("spec.to.name", ""), "FieldValueRequired", "spec.to.name: Required value");
        check(|e| e.required("a", "why"), "FieldValueRequired", "a: Required value: why");
        check(|e| e.invalid("a", "b", "no"), "FieldValueInvalid", "a: Invalid value: \"b\": no");
        check(|e| e.invalid("a", 5, ""), "FieldValueInvalid", "a: Invalid value: 5");
        check(
            |e| e.invalid("a", json!({"k": 1}), "x"),
            "FieldValueInvalid",
            "a: Invalid value: {\"k\":1}: x",
        );
        check(
            |e| e.not_supported("t", "x", &["a", "b"]),
            "FieldValueNotSupported",
            "t: Unsupported value: \"x\": supported values: \"a\", \"b\"",
        );
        check(|e| e.forbidden("a", "no"), "FieldValueForbidden", "a: Forbidden: no");
        check(|e| e.duplicate("a", "x"), "FieldValueDuplicate", "a: Duplicate value: \"x\"");
        check(|e| e.too_long("a", 63), "FieldValueTooLong", "a: Too long: may not be more than 63 bytes");
        check(|e| e.not_found("a", "x"), "FieldValueNotFound", "a: Not found: \"x\"");
    }

    #[test]
    fn brackets_several_and_does_not_repeat() {
        let mut errors = FieldErrors::new();
        errors.required("a", "");
        errors.required("a", "");
        errors.required("b", "");
        assert_eq!(errors.to_string(), "[a: Required value, b: Required value]");
        assert_eq!(errors.causes().len(), 3);
    }

    #[test]
    fn counts_what_is_too_much_to_tell() {
        let mut errors = FieldErrors::new();
        for n in 0..MAX_ERRORS {
            errors.required(format!("f{n}"), "");
        }
        assert!(errors.to_string().ends_with("f99: Required value]"), "{errors}");
        let mut others = errors.clone();
        others.required("g", "");
        others.append(errors);
        assert_eq!((others.causes().len(), others.len()), (MAX_ERRORS, 2 * MAX_ERRORS + 1));
        assert!(others.to_string().ends_with("f99: Required value, and 101 more]"), "{others}");
    }

    #[test]
    fn repeats_only_the_start_of_what_is_long() {
        let long = "x".repeat(1_000_000);
        let mut errors = FieldErrors::new();
        errors.invalid(long.as_str(), long.as_str(), long.as_str());
        errors.duplicate("a", json!([long]));
        errors.forbidden("a", long);
        let most = 3 * MAX_TEXT + 2 * MAX_VALUE + 200;
        assert!(errors.to_string().len() < most, "{}", errors.to_string().len());
        check(
            |e| e.invalid("a", "b".repeat(MAX_VALUE), ""),
            "FieldValueInvalid",
            &format!("a: Invalid value: \"{}\"", "b".repeat(MAX_VALUE)),
        );
    }
}
