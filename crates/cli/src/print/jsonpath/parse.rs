//! From the text of a JSONPath template to steps.

use serde_json::Value;

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Printed as it is.
    Text(String),
    /// Found values, joined by spaces.
    Path(Vec<Step>),
    /// The body once per found value.
    Range { over: Vec<Step>, body: Vec<Node> },
}

/// From one value to others.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Root,
    Field(String),
    Wildcard,
    Index(i64),
    Slice {
        from: Option<i64>,
        to: Option<i64>,
        step: usize,
    },
    Filter {
        left: Operand,
        operator: Operator,
        right: Operand,
    },
    /// `..name`, or `..` alone for everything.
    Recursive(Option<String>),
    Union(Vec<Step>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Path(Vec<Step>),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Exists,
}

/// A template that cannot be parsed or rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonPathError {
    /// A `{` without its `}`.
    #[error("unclosed action")]
    Unclosed,
    /// A `{range}` without its `{end}`.
    #[error("unexpected end: {{range}} is not closed by {{end}}")]
    UnclosedRange,
    /// An `{end}` without a `{range}`.
    #[error("not in range, nothing to end")]
    NothingToEnd,
    /// What is within brackets is not an index, slice, name or filter.
    #[error("invalid array index {text}")]
    BadIndex {
        /// The text within the brackets.
        text: String,
    },
    /// Brackets, quotes or parentheses without their end, at the end of the expression.
    #[error("invalid array index")]
    UnclosedBracket,
    /// Anything else that is not understood.
    #[error("unrecognized character in action: {text:?}")]
    Unrecognized {
        /// From here on.
        text: String,
    },
    /// An index beyond the end of an array.
    #[error("array index out of bounds: index {index}, length {length}")]
    OutOfBounds {
        /// The index asked for.
        index: i64,
        /// Items of the array.
        length: usize,
    },
}

/// Parses a whole template.
pub(super) fn parse(template: &str) -> Result<Vec<Node>, JsonPathError> {
    let mut rest = template;
    let mut open: Vec<(Vec<Step>, Vec<Node>)> = Vec::new();
    let mut nodes = Vec::new();
    while !rest.is_empty() {
        let Some((text, after)) = rest.split_once('{') else {
            nodes.push(Node::Text(rest.to_owned()));
            break;
        };
        if !text.is_empty() {
            nodes.push(Node::Text(text.to_owned()));
        }
        let (action, after) = split_action(after)?;
        rest = after;
        let action = action.trim();
        if action == "end" {
            let (over, outer) = open.pop().ok_or(JsonPathError::NothingToEnd)?;
            let body = std::mem::replace(&mut nodes, outer);
            nodes.push(Node::Range { over, body });
        } else if let Some(over) = action.strip_prefix("range ") {
            let (over, left) = parse_path(over.trim())?;
            if !left.trim().is_empty() {
                return Err(JsonPathError::Unrecognized { text: left.to_owned() });
            }
            open.push((over, std::mem::take(&mut nodes)));
        } else {
            parse_action(action, &mut nodes)?;
        }
    }
    if open.is_empty() { Ok(nodes) } else { Err(JsonPathError::UnclosedRange) }
}

/// Splits at the `}` that closes the action, not at one within quotes.
fn split_action(text: &str) -> Result<(&str, &str), JsonPathError> {
    let mut quote = None;
    let mut escaped = false;
    for (position, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), character) if character == open => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '}') => {
                let (action, rest) = text.split_at(position);
                return Ok((action, rest.strip_prefix('}').unwrap_or(rest)));
            }
            _ => {}
        }
    }
    let bracket_open = text.matches('[').count() > text.matches(']').count();
    Err(if bracket_open && text.contains('}') {
        JsonPathError::UnclosedBracket
    } else {
        JsonPathError::Unclosed
    })
}

fn parse_action(action: &str, nodes: &mut Vec<Node>) -> Result<(), JsonPathError> {
    let mut rest = action;
    while !rest.is_empty() {
        if let Some(quote) = rest.chars().next().filter(|first| matches!(first, '"' | '\'')) {
            let (text, after) = take_quoted(rest, quote)?;
            nodes.push(Node::Text(text));
            rest = after.trim_start();
        } else {
            let (steps, after) = parse_path(rest)?;
            nodes.push(Node::Path(steps));
            rest = after.trim_start();
        }
    }
    Ok(())
}

/// Takes a quoted string, escapes resolved, from the beginning of a text.
fn take_quoted(text: &str, quote: char) -> Result<(String, &str), JsonPathError> {
    let mut out = String::new();
    let mut escaped = false;
    for (position, character) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
            out.push(match character {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            });
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            let (_, rest) = text.split_at(position + quote.len_utf8());
            return Ok((out, rest));
        } else {
            out.push(character);
        }
    }
    Err(JsonPathError::Unclosed)
}

/// Parses steps until something that is not one.
fn parse_path(text: &str) -> Result<(Vec<Step>, &str), JsonPathError> {
    let mut steps = Vec::new();
    let mut rest = text;
    if let Some(after) = rest.strip_prefix('$') {
        steps.push(Step::Root);
        rest = after;
    } else if let Some(after) = rest.strip_prefix('@') {
        rest = after;
    } else if rest.starts_with(|first: char| first.is_alphabetic() || first == '_') {
        let (name, after) = take_name(rest);
        steps.push(Step::Field(name));
        rest = after;
    }
    let before_steps = rest;
    loop {
        if let Some(after) = rest.strip_prefix("..") {
            let (name, left) = take_name(after);
            let everything = name.is_empty() || name == "*";
            steps.push(Step::Recursive((!everything).then_some(name)));
            rest = left;
        } else if let Some(after) = rest.strip_prefix('.') {
            if after.starts_with('[') || after.is_empty() || after.starts_with(char::is_whitespace) {
                rest = after;
                continue;
            }
            let (name, left) = take_name(after);
            if name.is_empty() {
                return Err(JsonPathError::Unrecognized { text: rest.to_owned() });
            }
            steps.push(if name == "*" { Step::Wildcard } else { Step::Field(name) });
            rest = left;
        } else if rest.starts_with('[') {
            let (inside, left) = take_bracket(rest)?;
            steps.push(parse_bracket(inside)?);
            rest = left;
        } else {
            break;
        }
    }
    if rest == text && before_steps == text {
        return Err(JsonPathError::Unrecognized { text: text.to_owned() });
    }
    Ok((steps, rest))
}

/// Takes a field name; a backslash makes the next character part of it.
fn take_name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut escaped = false;
    for (position, character) in text.char_indices() {
        if escaped {
            name.push(character);
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if matches!(character, '.' | '[' | ']' | ')' | '=' | '!' | '<' | '>' | ',' | '"' | '\'')
            || character.is_whitespace()
        {
            return (name, text.split_at(position).1);
        } else {
            name.push(character);
        }
    }
    (name, "")
}

/// Takes `[…]`, brackets balanced, quotes respected.
fn take_bracket(text: &str) -> Result<(&str, &str), JsonPathError> {
    let mut depth = 0_usize;
    let mut quote = None;
    for (position, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), character) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    let (head, tail) = text.split_at(position);
                    return Ok((
                        head.strip_prefix('[').unwrap_or(head),
                        tail.strip_prefix(']').unwrap_or(tail),
                    ));
                }
            }
            _ => {}
        }
    }
    Err(JsonPathError::UnclosedBracket)
}

fn parse_bracket(inside: &str) -> Result<Step, JsonPathError> {
    let inside = inside.trim();
    let bad = || JsonPathError::BadIndex { text: inside.to_owned() };
    if let Some(filter) = inside.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')')) {
        return parse_filter(filter.trim());
    }
    if let Some(quote) = inside.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        let mut branches = Vec::new();
        let mut rest = inside;
        loop {
            let (name, after) = take_quoted(rest, quote)?;
            branches.push(Step::Field(name));
            match after.trim_start().strip_prefix(',') {
                Some(after) => rest = after.trim_start(),
                None if after.trim().is_empty() => break,
                None => return Err(bad()),
            }
        }
        let single = branches.len() == 1;
        return Ok(if single { branches.remove(0) } else { Step::Union(branches) });
    }
    let number = |text: &str| -> Result<Option<i64>, JsonPathError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(bad()),
        }
    };
    if inside == "*" {
        return Ok(Step::Wildcard);
    }
    if inside.contains(',') {
        let branches = inside.split(',').map(|index| number(index)?.map(Step::Index).ok_or_else(bad));
        return Ok(Step::Union(branches.collect::<Result<_, _>>()?));
    }
    if inside.contains(':') {
        let mut parts = inside.split(':');
        let mut next = || number(parts.next().unwrap_or_default());
        let (from, to, step) = (next()?, next()?, next()?);
        let step = usize::try_from(step.unwrap_or(1)).ok().filter(|step| *step > 0).ok_or_else(bad)?;
        return Ok(Step::Slice { from, to, step });
    }
    number(inside)?.map(Step::Index).ok_or_else(bad)
}

fn parse_filter(filter: &str) -> Result<Step, JsonPathError> {
    let (left, rest) = parse_operand(filter)?;
    let rest = rest.trim_start();
    let operators = [
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    for (sign, operator) in operators {
        if let Some(rest) = rest.strip_prefix(sign) {
            let (right, left_over) = parse_operand(rest.trim_start())?;
            if !left_over.trim().is_empty() {
                return Err(JsonPathError::Unrecognized { text: left_over.to_owned() });
            }
            return Ok(Step::Filter { left, operator, right });
        }
    }
    if rest.is_empty() {
        return Ok(Step::Filter { left, operator: Operator::Exists, right: Operand::Literal(Value::Null) });
    }
    Err(JsonPathError::Unrecognized { text: rest.to_owned() })
}

fn parse_operand(text: &str) -> Result<(Operand, &str), JsonPathError> {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (literal, rest) = take_quoted(text, quote)?;
            Ok((Operand::Literal(Value::String(literal)), rest))
        }
        Some('@' | '$' | '.' | '[') => {
            let (steps, rest) = parse_path(text)?;
            Ok((Operand::Path(steps), rest))
        }
        _ => {
            let end = text
                .find(|character: char| {
                    character.is_whitespace() || matches!(character, '=' | '!' | '<' | '>')
                })
                .unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            match serde_json::from_str(word) {
                Ok(literal) => Ok((Operand::Literal(literal), rest)),
                Err(_) => Err(JsonPathError::Unrecognized { text: text.to_owned() }),
            }
        }
    }
}
