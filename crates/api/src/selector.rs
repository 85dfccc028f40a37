//! Label and field selectors of list and watch requests (platform 1.7).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::name;

/// Why a text is not a selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text does not follow the grammar.
    #[error("unable to parse requirement: {problem} in {requirement:?}")]
    Syntax {
        /// The part that could not be read.
        requirement: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A label has a key no object can have.
    #[error("unable to parse requirement: key: Invalid value: {key:?}: {problem}")]
    Key {
        /// The key.
        key: String,
        /// The rule it breaks.
        problem: String,
    },
    /// A label has a value no object can have.
    #[error("unable to parse requirement: values: Invalid value: {value:?}: {problem}")]
    LabelValue {
        /// The value.
        value: String,
        /// The rule it breaks.
        problem: String,
    },
    /// The kind has no such field for selecting.
    #[error("field label not supported: {field}")]
    UnknownField {
        /// The field.
        field: String,
    },
}

/// What must hold for one label.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LabelTest {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Greater(i64),
    Less(i64),
}

/// Conditions on labels, all of which must hold. The empty selector matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<(String, LabelTest)>);

impl LabelSelector {
    /// Whether there are no conditions.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, test)| {
            let value = labels.get(key);
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match test {
                LabelTest::In(values) => value.is_some_and(|value| values.contains(value)),
                LabelTest::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                LabelTest::Exists => value.is_some(),
                LabelTest::Missing => value.is_none(),
                LabelTest::Greater(bound) => number().is_some_and(|number| number > *bound),
                LabelTest::Less(bound) => number().is_some_and(|number| number < *bound),
            }
        })
    }

    /// Reads the structured form, `{matchLabels, matchExpressions}`, as documents have it. `None` when it is not of
    /// that form.
    pub fn from_structured(document: &Value) -> Option<Self> {
        let known = |member: &String| matches!(member.as_str(), "matchLabels" | "matchExpressions");
        // A member misspelt and passed over would select everything.
        if !document.as_object()?.keys().all(known) {
            return None;
        }
        let mut requirements = Vec::new();
        if let Some(labels) = document.get("matchLabels").filter(|labels| !labels.is_null()) {
            for (key, value) in labels.as_object()? {
                requirements.push((key.clone(), LabelTest::In(vec![value.as_str()?.to_owned()])));
            }
        }
        if let Some(expressions) = document.get("matchExpressions").filter(|list| !list.is_null()) {
            for expression in expressions.as_array()? {
                let key = expression.get("key")?.as_str()?.to_owned();
                let values = || -> Option<Vec<String>> {
                    let values = expression.get("values")?.as_array()?;
                    values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
                };
                let test = match expression.get("operator")?.as_str()? {
                    "In" => LabelTest::In(values()?),
                    "NotIn" => LabelTest::NotIn(values()?),
                    "Exists" => LabelTest::Exists,
                    "DoesNotExist" => LabelTest::Missing,
                    _ => return None,
                };
                requirements.push((key, test));
            }
        }
        Some(Self(requirements))
    }
}

impl FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        for part in split_outside_parentheses(text) {
            requirements.push(parse_label_requirement(part.trim())?);
        }
        Ok(Self(requirements))
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, test)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match test {
                LabelTest::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                LabelTest::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                LabelTest::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0])?,
                LabelTest::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                LabelTest::Exists => write!(f, "{key}")?,
                LabelTest::Missing => write!(f, "!{key}")?,
                LabelTest::Greater(bound) => write!(f, "{key}>{bound}")?,
                LabelTest::Less(bound) => write!(f, "{key}<{bound}")?,
            }
        }
        Ok(())
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

fn parse_label_requirement(text: &str) -> Result<(String, LabelTest), SelectorError> {
    let syntax = |problem| SelectorError::Syntax { requirement: text.to_owned(), problem };
    if text.is_empty() {
        return Err(syntax("an empty condition"));
    }
    let (key, test) = if let Some(key) = text.strip_prefix('!') {
        (key.trim(), LabelTest::Missing)
    } else if let Some((key, test)) = parse_set_requirement(text) {
        (key, test.ok_or_else(|| syntax("expected a list of values in parentheses"))?)
    } else if let Some((key, value)) = text.split_once("!=") {
        (key.trim(), LabelTest::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (key.trim(), LabelTest::In(vec![value.trim().to_owned()]))
    } else if let Some((key, bound)) = text.split_once('>') {
        let bound = bound.trim().parse().ok().ok_or_else(|| syntax("expected a number after `>`"))?;
        (key.trim(), LabelTest::Greater(bound))
    } else if let Some((key, bound)) = text.split_once('<') {
        let bound = bound.trim().parse().ok().ok_or_else(|| syntax("expected a number after `<`"))?;
        (key.trim(), LabelTest::Less(bound))
    } else {
        (text, LabelTest::Exists)
    };
    if let Some(problem) = name::qualified_name(key).into_iter().next() {
        return Err(SelectorError::Key { key: key.to_owned(), problem });
    }
    if let LabelTest::In(values) | LabelTest::NotIn(values) = &test {
        for value in values {
            if let Some(problem) = name::label_value(value).into_iter().next() {
                return Err(SelectorError::LabelValue { value: value.clone(), problem });
            }
        }
    }
    Ok((key.to_owned(), test))
}

/// `key in (a, b)` and `key notin (a, b)`; the test is `None` when the list is malformed.
fn parse_set_requirement(text: &str) -> Option<(&str, Option<LabelTest>)> {
    let (key, rest) = text.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let (negated, list) = match rest.strip_prefix("notin") {
        Some(list) => (true, list),
        None => (false, rest.strip_prefix("in")?),
    };
    if !list.is_empty() && !list.starts_with(['(', ' ', '\t']) {
        return None;
    }
    let inner = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')'));
    let values = inner.map(|inner| inner.split(',').map(|value| value.trim().to_owned()).collect());
    Some((key, values.map(|values| if negated { LabelTest::NotIn(values) } else { LabelTest::In(values) })))
}

/// How a field must compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldOperator {
    /// `=` or `==`.
    Equals,
    /// `!=`.
    NotEquals,
}

/// One condition on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// Path of the field, such as `metadata.name`.
    pub field: String,
    /// How it must compare.
    pub operator: FieldOperator,
    /// With what.
    pub value: String,
}

/// Conditions on fields, all of which must hold. The empty selector matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<FieldRequirement>);

impl FieldSelector {
    /// Whether there are no conditions.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The conditions.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.0
    }

    /// The value a field must have, when the selector pins it.
    pub fn exact(&self, field: &str) -> Option<&str> {
        let mut pins =
            self.0.iter().filter(|one| one.field == field && one.operator == FieldOperator::Equals);
        pins.next().map(|one| one.value.as_str())
    }

    /// Refuses fields that `known` does not list.
    pub fn check_fields(&self, known: &[&str]) -> Result<(), SelectorError> {
        match self.0.iter().find(|one| !known.contains(&one.field.as_str())) {
            None => Ok(()),
            Some(one) => Err(SelectorError::UnknownField { field: one.field.clone() }),
        }
    }

    /// Whether an object is selected; `value_of` gives the text of a field, empty when it is absent.
    pub fn matches(&self, mut value_of: impl FnMut(&str) -> String) -> bool {
        self.0.iter().all(|one| {
            let equal = value_of(&one.field) == one.value;
            equal == (one.operator == FieldOperator::Equals)
        })
    }
}

impl FromStr for FieldSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for part in split_unescaped(text, ',') {
            if part.is_empty() {
                continue;
            }
            requirements.push(parse_field_requirement(&part)?);
        }
        Ok(Self(requirements))
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if one.operator == FieldOperator::Equals { "=" } else { "!=" };
            let value = one.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{}{operator}{value}", one.field)?;
        }
        Ok(())
    }
}

/// Splits at separators that no backslash precedes; backslashes stay.
fn split_unescaped(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

fn parse_field_requirement(text: &str) -> Result<FieldRequirement, SelectorError> {
    let syntax = |problem| SelectorError::Syntax { requirement: text.to_owned(), problem };
    let (left, right) = text.split_once('=').ok_or_else(|| syntax("expected `=`, `==` or `!=`"))?;
    let (left, operator, right) = match left.strip_suffix('!') {
        Some(left) => (left, FieldOperator::NotEquals, right),
        None => (left, FieldOperator::Equals, right.strip_prefix('=').unwrap_or(right)),
    };
    let field = left.trim();
    if field.is_empty() || field.contains('!') {
        return Err(syntax("expected the name of a field"));
    }
    let mut value = String::new();
    let mut characters = right.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => value.push(escaped),
                _ => return Err(syntax("a backslash must precede `\\`, `,` or `=`")),
            },
            '=' => return Err(syntax("an `=` in a value must follow a backslash")),
            other => value.push(other),
        }
    }
    Ok(FieldRequirement { field: field.to_owned(), operator, value })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{FieldSelector, LabelSelector};

    #[track_caller]
    fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
        let parsed: LabelSelector = selector.parse().unwrap();
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        assert_eq!(parsed.matches(&labels), expected, "`{selector}` on {labels:?}");
        assert_eq!(parsed.to_string().parse::<LabelSelector>().unwrap(), parsed);
    }

    #[test]
    fn label_selectors_match() {
        check("", &[], true);
        check("a=b", &[("a", "b")], true);
        check("a==b", &[("a", "c")], false);
        check("a = b", &[("a", "b")], true);
        check("a!=b", &[], true);
        check("a!=b", &[("a", "b")], false);
        check("a in (b, c)", &[("a", "c")], true);
        check("a in (b,c),d", &[("a", "c")], false);
        check("a notin (b)", &[], true);
        check("!a", &[], true);
        check("!a", &[("a", "")], false);
        check("a", &[("a", "")], true);
        check("a=", &[("a", "")], true);
        check("example.com/n>5", &[("example.com/n", "7")], true);
        check("in", &[("in", "x")], true);
    }

    #[test]
    fn bad_label_selectors_are_refused() {
        for text in ["a in b", "a in", "=b", "a=b,,c", "a b", "a==b=c", "n>x", "-a"] {
            assert!(text.parse::<LabelSelector>().is_err(), "`{text}` should fail");
        }
    }

    #[test]
    fn structured_selectors_match_too() {
        let selector = json!({
            "matchLabels": {"a": "b"},
            "matchExpressions": [{"key": "c", "operator": "DoesNotExist"}],
        });
        let expected: LabelSelector = "a=b,!c".parse().unwrap();
        assert_eq!(LabelSelector::from_structured(&selector), Some(expected));
        for document in [json!({"matchLabels": 5}), json!({"matchlabels": {"a": "b"}}), json!(5)] {
            assert_eq!(LabelSelector::from_structured(&document), None, "{document}");
        }
    }

    #[track_caller]
    fn check_field(selector: &str, expected: bool) {
        let value_of = |field: &str| match field {
            "metadata.name" => "a".to_owned(),
            "spec.to.name" => "x,y".to_owned(),
            "spec.on" => "true".to_owned(),
            _ => String::new(),
        };
        let parsed: FieldSelector = selector.parse().unwrap();
        assert_eq!(parsed.matches(value_of), expected, "`{selector}`");
        assert_eq!(parsed.to_string().parse::<FieldSelector>().unwrap(), parsed);
    }

    #[test]
    fn field_selectors_match() {
        check_field("", true);
        check_field("metadata.name=a", true);
        check_field("metadata.name==a,spec.on=true", true);
        check_field("metadata.name!=a", false);
        check_field("spec.to.name=x\\,y", true);
        check_field("spec.missing=", true);
        assert!("metadata.name".parse::<FieldSelector>().is_err());
        assert!("a=b=c".parse::<FieldSelector>().is_err());
    }

    #[test]
    fn unknown_fields_are_named() {
        let selector: FieldSelector = "spec.color=red".parse().unwrap();
        let error = selector.check_fields(&["metadata.name"]).unwrap_err();
        assert_eq!(error.to_string(), "field label not supported: spec.color");
    }
}
