//! From the text of a Go template to a tree.

use serde_json::Value;

use super::functions::is_known;

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Output(Pipeline),
    If { condition: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    With { value: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    Range { over: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
}

/// `$a, $b := command | command`.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    /// `:=` rather than `=`.
    pub(super) declares: bool,
    pub(super) commands: Vec<Vec<Expression>>,
}

#[derive(Clone, Debug)]
pub(super) enum Expression {
    Dot,
    Nil,
    Literal(Value),
    Variable(String),
    Function(String),
    Fields(Box<Expression>, Vec<String>),
    Group(Pipeline),
}

/// A template that cannot be parsed or rendered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("unclosed action")]
    UnclosedAction,
    #[error("unterminated quoted string")]
    UnclosedQuote,
    #[error("unclosed left paren")]
    UnclosedGroup,
    #[error("unexpected end: {{{{{keyword}}}}} is not closed by {{{{end}}}}")]
    UnclosedBlock { keyword: &'static str },
    #[error("unexpected {{{{{keyword}}}}}")]
    Unexpected { keyword: String },
    #[error("{{{{{keyword}}}}} is not supported here")]
    Unsupported { keyword: String },
    #[error("unexpected {text:?} in action")]
    BadToken { text: String },
    #[error("missing value for {keyword}")]
    MissingValue { keyword: String },
    #[error("function {name:?} not defined")]
    UndefinedFunction { name: String },
    #[error("undefined variable {name:?}")]
    UndefinedVariable { name: String },
    #[error("can't give argument to non-function {text}")]
    NotAFunction { text: String },
    #[error("wrong number or type of args for {function}: got {count}")]
    WrongArguments { function: String, count: usize },
    #[error("can't evaluate field {field} in type {value}")]
    NoFields { field: String, value: String },
    #[error("range can't iterate over {value}")]
    NotIterable { value: String },
    #[error("can't index item of type {value}")]
    NotIndexable { value: String },
    #[error("index of nil pointer")]
    IndexOfNil,
    #[error("index out of range: {index}")]
    OutOfRange { index: String },
    #[error("incompatible types for comparison")]
    Incomparable,
    #[error("{source}")]
    Base64 { source: base64::DecodeError },
}

/// A block whose `{{end}}` has not come yet.
struct Open {
    keyword: &'static str,
    pipeline: Pipeline,
    outer: Vec<Node>,
    first_part: Option<Vec<Node>>,
    /// `{{else if}}` makes a block that the `{{end}}` of the one around closes too.
    chained: bool,
}

/// Parses a whole template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, TemplateError> {
    let mut nodes = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut rest = text;
    let mut trim_next = false;
    loop {
        let (literal, after) =
            rest.split_once("{{").map_or((rest, None), |(text, after)| (text, Some(after)));
        let trims = after.is_some_and(|after| after.starts_with("- ") || after.starts_with("-\n"));
        let mut literal = if trim_next { literal.trim_start() } else { literal };
        if trims {
            literal = literal.trim_end();
        }
        if !literal.is_empty() {
            nodes.push(Node::Text(literal.to_owned()));
        }
        let Some(after) = after else { break };
        let (action, after) = split_action(after)?;
        rest = after;
        let action = if trims { action.strip_prefix('-').unwrap_or(action) } else { action };
        let stripped = action.strip_suffix(" -").or_else(|| action.strip_suffix("\n-"));
        trim_next = stripped.is_some();
        let action = stripped.unwrap_or(action).trim();
        if action.starts_with("/*") {
            continue;
        }
        parse_action(action, &mut nodes, &mut open)?;
    }
    match open.pop() {
        Some(block) => Err(TemplateError::UnclosedBlock { keyword: block.keyword }),
        None => Ok(nodes),
    }
}

fn split_action(text: &str) -> Result<(&str, &str), TemplateError> {
    let mut quote = None;
    let mut escaped = false;
    for (position, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(open), character) if open == character => quote = None,
            (None, '"' | '`' | '\'') => quote = Some(character),
            (None, '}') => {
                let (action, rest) = text.split_at(position);
                if let Some(rest) = rest.strip_prefix("}}") {
                    return Ok((action, rest));
                }
            }
            _ => {}
        }
    }
    Err(if quote.is_some() { TemplateError::UnclosedQuote } else { TemplateError::UnclosedAction })
}

fn parse_action(action: &str, nodes: &mut Vec<Node>, open: &mut Vec<Open>) -> Result<(), TemplateError> {
    let (word, argument) = action.split_once(char::is_whitespace).unwrap_or((action, ""));
    let keyword = match word {
        "if" => Some("if"),
        "with" => Some("with"),
        "range" => Some("range"),
        _ => None,
    };
    if let Some(keyword) = keyword {
        let pipeline = parse_pipeline(argument, keyword)?;
        open.push(Open { keyword, pipeline, outer: std::mem::take(nodes), first_part: None, chained: false });
        return Ok(());
    }
    match word {
        "else" => {
            let unexpected = || TemplateError::Unexpected { keyword: "else".to_owned() };
            let block = open.last_mut().filter(|block| block.first_part.is_none()).ok_or_else(unexpected)?;
            block.first_part = Some(std::mem::take(nodes));
            let (next, condition) = argument.trim().split_once(char::is_whitespace).unwrap_or((argument, ""));
            match next {
                "" => {}
                "if" | "with" => {
                    let keyword = if next == "if" { "if" } else { "with" };
                    let pipeline = parse_pipeline(condition, keyword)?;
                    open.push(Open { keyword, pipeline, outer: Vec::new(), first_part: None, chained: true });
                }
                other => return Err(TemplateError::BadToken { text: other.to_owned() }),
            }
        }
        "end" => loop {
            let block = open.pop().ok_or_else(|| TemplateError::Unexpected { keyword: "end".to_owned() })?;
            let chained = block.chained;
            close(block, nodes);
            if !chained {
                break;
            }
        },
        "define" | "template" | "block" | "break" | "continue" => {
            return Err(TemplateError::Unsupported { keyword: word.to_owned() });
        }
        _ => nodes.push(Node::Output(parse_pipeline(action, "command")?)),
    }
    Ok(())
}

fn close(block: Open, nodes: &mut Vec<Node>) {
    let last_part = std::mem::replace(nodes, block.outer);
    let (body, otherwise) = match block.first_part {
        Some(first) => (first, last_part),
        None => (last_part, Vec::new()),
    };
    nodes.push(match block.keyword {
        "if" => Node::If { condition: block.pipeline, then: body, otherwise },
        "with" => Node::With { value: block.pipeline, body, otherwise },
        _ => Node::Range { over: block.pipeline, body, otherwise },
    });
}

fn parse_pipeline(text: &str, keyword: &str) -> Result<Pipeline, TemplateError> {
    let mut tokens = tokenize(text)?;
    tokens.reverse();
    let pipeline = pipeline(&mut tokens, keyword)?;
    match tokens.pop() {
        None => Ok(pipeline),
        Some(token) => Err(TemplateError::BadToken { text: format!("{token:?}") }),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Pipe,
    Comma,
    Declare,
    Assign,
    /// Fields that hang on the token before: `(…).a`.
    Fields(Vec<String>),
    /// `.`, `.a.b`, `$x`, `$x.a`, a name or a number.
    Word(String),
    Text(String),
}

/// Tokens are in reverse, so that the next one is popped.
fn pipeline(tokens: &mut Vec<Token>, keyword: &str) -> Result<Pipeline, TemplateError> {
    let mut out = Pipeline::default();
    let mut ahead = tokens.iter().rev();
    let mut names = Vec::new();
    while let Some(Token::Word(word)) = ahead.next().filter(|_| names.len() < 2) {
        if !word.starts_with('$') || word.contains('.') {
            break;
        }
        names.push(word.clone());
        match ahead.next() {
            Some(Token::Comma) => {}
            Some(sign @ (Token::Declare | Token::Assign)) => {
                out.declares = *sign == Token::Declare;
                out.variables.clone_from(&names);
                break;
            }
            _ => break,
        }
    }
    if !out.variables.is_empty() {
        tokens.truncate(tokens.len() - out.variables.len() * 2);
    }
    loop {
        let mut command = Vec::new();
        while let Some(token) = tokens.last() {
            if matches!(token, Token::Pipe | Token::Close) {
                break;
            }
            let Some(token) = tokens.pop() else { break };
            operand(token, tokens, &mut command)?;
        }
        if command.is_empty() {
            return Err(TemplateError::MissingValue { keyword: keyword.to_owned() });
        }
        out.commands.push(command);
        if tokens.last() != Some(&Token::Pipe) {
            return Ok(out);
        }
        tokens.pop();
    }
}

fn operand(
    token: Token,
    tokens: &mut Vec<Token>,
    command: &mut Vec<Expression>,
) -> Result<(), TemplateError> {
    let expression = match token {
        Token::Text(text) => Expression::Literal(Value::String(text)),
        Token::Open => {
            let inner = pipeline(tokens, "parenthesized pipeline")?;
            if tokens.pop() != Some(Token::Close) {
                return Err(TemplateError::UnclosedGroup);
            }
            Expression::Group(inner)
        }
        Token::Word(word) => parse_word(&word)?,
        Token::Fields(fields) => match command.pop() {
            Some(base) => Expression::Fields(Box::new(base), fields),
            None => return Err(TemplateError::BadToken { text: fields.join(".") }),
        },
        other => return Err(TemplateError::BadToken { text: format!("{other:?}") }),
    };
    command.push(expression);
    Ok(())
}

fn parse_word(word: &str) -> Result<Expression, TemplateError> {
    let fields =
        |path: &str| path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    if word == "." {
        return Ok(Expression::Dot);
    }
    if let Some(path) = word.strip_prefix('.') {
        return Ok(Expression::Fields(Box::new(Expression::Dot), fields(path)));
    }
    if word.starts_with('$') {
        return Ok(match word.split_once('.') {
            Some((name, path)) => {
                Expression::Fields(Box::new(Expression::Variable(name.to_owned())), fields(path))
            }
            None => Expression::Variable(word.to_owned()),
        });
    }
    match word {
        "true" => return Ok(Expression::Literal(Value::Bool(true))),
        "false" => return Ok(Expression::Literal(Value::Bool(false))),
        "nil" => return Ok(Expression::Nil),
        _ => {}
    }
    if word.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+')) {
        return match serde_json::from_str(word) {
            Ok(number) => Ok(Expression::Literal(number)),
            Err(_) => Err(TemplateError::BadToken { text: word.to_owned() }),
        };
    }
    if is_known(word) {
        return Ok(Expression::Function(word.to_owned()));
    }
    Err(TemplateError::UndefinedFunction { name: word.to_owned() })
}

fn tokenize(text: &str) -> Result<Vec<Token>, TemplateError> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            character if character.is_whitespace() => {}
            '(' => tokens.push(Token::Open),
            ')' => {
                tokens.push(Token::Close);
                if characters.peek() == Some(&'.') {
                    let word = take_word('.', &mut characters);
                    let fields = word.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect();
                    tokens.push(Token::Fields(fields));
                }
            }
            '|' => tokens.push(Token::Pipe),
            ',' => tokens.push(Token::Comma),
            '=' => tokens.push(Token::Assign),
            ':' if characters.next_if_eq(&'=').is_some() => tokens.push(Token::Declare),
            '"' | '`' | '\'' => tokens.push(Token::Text(take_text(character, &mut characters)?)),
            character => tokens.push(Token::Word(take_word(character, &mut characters))),
        }
    }
    Ok(tokens)
}

fn take_word(first: char, characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut word = String::from(first);
    while let Some(next) = characters.next_if(|next| !next.is_whitespace() && !"()|,=:\"`".contains(*next)) {
        word.push(next);
    }
    word
}

fn take_text(
    quote: char,
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<String, TemplateError> {
    let mut text = String::new();
    while let Some(character) = characters.next() {
        match character {
            character if character == quote => return Ok(text),
            '\\' if quote != '`' => match characters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some(other) => text.push(other),
                None => return Err(TemplateError::UnclosedQuote),
            },
            character => text.push(character),
        }
    }
    Err(TemplateError::UnclosedQuote)
}
