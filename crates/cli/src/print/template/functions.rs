//! The functions of Go templates.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{Found, TemplateError, write_go};

/// What `{{value}}` prints.
pub(super) fn display(value: Option<&Value>) -> String {
    let mut out = String::new();
    match value {
        None => out.push_str("<no value>"),
        Some(value) => write_go(&mut out, value),
    }
    out
}

/// Go's truth: not zero, not empty, not missing.
pub(super) fn is_true(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
    }
}

/// Go's name of the type of a JSON value.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Whether a word is the name of a function.
pub(super) fn is_known(name: &str) -> bool {
    const NAMES: [&str; 20] = [
        "and",
        "base64decode",
        "base64encode",
        "eq",
        "exists",
        "ge",
        "gt",
        "html",
        "index",
        "js",
        "le",
        "len",
        "lt",
        "ne",
        "not",
        "or",
        "print",
        "printf",
        "println",
        "slice",
    ];
    NAMES.contains(&name)
}

/// Calls a function (`and` and `or` are the caller's, because they stop early).
pub(super) fn call(name: &str, arguments: &[Found]) -> Result<Found, TemplateError> {
    let wrong = || TemplateError::WrongArguments { function: name.to_owned(), count: arguments.len() };
    let first = || arguments.first().ok_or_else(wrong);
    let value = match name {
        "not" => Value::Bool(!is_true(first()?.as_ref())),
        "len" => Value::from(match first()? {
            Some(Value::String(text)) => text.len(),
            Some(Value::Array(items)) => items.len(),
            Some(Value::Object(fields)) => fields.len(),
            _ => return Err(wrong()),
        }),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => {
            return compare(name, arguments).map(|yes| Some(Value::Bool(yes)));
        }
        "index" => return index(arguments),
        "exists" => Value::Bool(index(arguments).is_ok_and(|found| found.is_some())),
        "slice" => return slice(arguments),
        "print" => Value::String(print(arguments)),
        "println" => {
            let texts: Vec<String> = arguments.iter().map(|argument| display(argument.as_ref())).collect();
            Value::String(format!("{}\n", texts.join(" ")))
        }
        "printf" => {
            let Some(Some(Value::String(format))) = arguments.first() else { return Err(wrong()) };
            Value::String(printf(format, arguments.get(1..).unwrap_or_default()))
        }
        "base64decode" => {
            let text = display(first()?.as_ref());
            let bytes = STANDARD.decode(text.trim()).map_err(|source| TemplateError::Base64 { source })?;
            Value::String(String::from_utf8_lossy(&bytes).into_owned())
        }
        "base64encode" => Value::String(STANDARD.encode(display(first()?.as_ref()))),
        "html" => {
            let text = print(arguments);
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            Value::String(text.replace('"', "&#34;").replace('\'', "&#39;"))
        }
        "js" => {
            let quoted = Value::String(print(arguments)).to_string();
            Value::String(quoted.trim_matches('"').to_owned())
        }
        _ => return Err(TemplateError::UndefinedFunction { name: name.to_owned() }),
    };
    Ok(Some(value))
}

fn compare(name: &str, arguments: &[Found]) -> Result<bool, TemplateError> {
    let wrong = || TemplateError::WrongArguments { function: name.to_owned(), count: arguments.len() };
    let (left, rest) = arguments.split_first().ok_or_else(wrong)?;
    let right = rest.first().ok_or_else(wrong)?;
    let equal = |a: &Found, b: &Found| match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    };
    let ordering = match (left, right) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64().partial_cmp(&b.as_f64()),
        (Some(Value::String(a)), Some(Value::String(b))) => Some(a.cmp(b)),
        _ => None,
    };
    match name {
        "eq" => Ok(rest.iter().any(|right| equal(left, right))),
        "ne" => Ok(!equal(left, right)),
        _ => {
            let ordering = ordering.ok_or(TemplateError::Incomparable)?;
            Ok(match name {
                "lt" => ordering.is_lt(),
                "le" => ordering.is_le(),
                "gt" => ordering.is_gt(),
                _ => ordering.is_ge(),
            })
        }
    }
}

fn index(arguments: &[Found]) -> Result<Found, TemplateError> {
    let Some((base, path)) = arguments.split_first() else {
        return Err(TemplateError::WrongArguments { function: "index".to_owned(), count: 0 });
    };
    let mut value = base.clone();
    for step in path {
        value = match (value, step) {
            (Some(Value::Object(mut fields)), Some(Value::String(key))) => fields.remove(key),
            (Some(Value::Array(mut items)), Some(Value::Number(position))) => {
                let found = position.as_u64().and_then(|position| usize::try_from(position).ok());
                match found.filter(|found| *found < items.len()) {
                    Some(found) => Some(items.swap_remove(found)),
                    None => return Err(TemplateError::OutOfRange { index: position.to_string() }),
                }
            }
            (None | Some(Value::Null), _) => return Err(TemplateError::IndexOfNil),
            (Some(other), _) => {
                return Err(TemplateError::NotIndexable { value: type_name(&other).to_owned() });
            }
        };
    }
    Ok(value)
}

fn slice(arguments: &[Found]) -> Result<Found, TemplateError> {
    let bound = |position: usize| {
        let value = arguments.get(position)?.as_ref()?.as_u64()?;
        usize::try_from(value).ok()
    };
    let out_of_range = || TemplateError::OutOfRange { index: bound(2).or(bound(1)).unwrap_or(0).to_string() };
    let from = bound(1).unwrap_or(0);
    match arguments.first() {
        Some(Some(Value::String(text))) => {
            let part = text.get(from..bound(2).unwrap_or(text.len()));
            part.map(|part| Some(Value::from(part))).ok_or_else(out_of_range)
        }
        Some(Some(Value::Array(items))) => {
            let part = items.get(from..bound(2).unwrap_or(items.len()));
            part.map(|part| Some(Value::from(part.to_vec()))).ok_or_else(out_of_range)
        }
        _ => Err(TemplateError::WrongArguments { function: "slice".to_owned(), count: arguments.len() }),
    }
}

/// Go's `Sprint`: spaces between operands when neither is a string.
fn print(arguments: &[Found]) -> String {
    let mut out = String::new();
    let mut previous_is_text = true;
    for (position, argument) in arguments.iter().enumerate() {
        let is_text = matches!(argument, Some(Value::String(_)));
        if position > 0 && !is_text && !previous_is_text {
            out.push(' ');
        }
        out.push_str(&display(argument.as_ref()));
        previous_is_text = is_text;
    }
    out
}

fn printf(format: &str, arguments: &[Found]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) =
            characters.next_if(|next| next.is_ascii_digit() || matches!(next, '-' | '+' | '.'))
        {
            flags.push(flag);
        }
        let Some(verb) = characters.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        match arguments.next() {
            Some(argument) => out.push_str(&format_verb(verb, &flags, argument.as_ref())),
            None => out.push_str(&format!("%!{verb}(MISSING)")),
        }
    }
    out
}

fn format_verb(verb: char, flags: &str, value: Option<&Value>) -> String {
    let (width, precision) = flags.split_once('.').unwrap_or((flags, ""));
    let left = width.starts_with('-');
    let zeros = width.starts_with('0') && !left;
    let width: usize = width.trim_start_matches(['-', '+', '0']).parse().unwrap_or(0);
    let number = value.and_then(Value::as_f64);
    let text = match (verb, number) {
        ('q', _) => Value::String(display(value)).to_string(),
        ('f', Some(number)) => format!("{number:.*}", precision.parse().unwrap_or(6)),
        _ => display(value),
    };
    let missing = " ".repeat(width.saturating_sub(text.chars().count()));
    match (left, zeros) {
        (true, _) => format!("{text}{missing}"),
        (false, true) => format!("{}{text}", missing.replace(' ', "0")),
        (false, false) => format!("{missing}{text}"),
    }
}
