//! A case for every verb: what shows that it works, and how it fails. The rows are in `cases.txt`.

/// What shows that a verb works.
pub(super) enum Shows {
    /// A command line.
    Line(String),
    /// The name of a test with what the verb needs: a registry, a login.
    Elsewhere(String),
}

/// A verb, a success, and a failure with its code.
pub(super) struct Case {
    pub(super) verb: String,
    pub(super) shows: Shows,
    pub(super) fails: (String, u8),
}

/// All rows.
pub(super) fn cases() -> Vec<Case> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/verbs/cases.txt");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(case).collect()
}

fn case(line: &str) -> Case {
    let cells: Vec<&str> = line.split(" | ").collect();
    let [verb, shows, fails, code] = cells.as_slice() else { panic!("four cells are needed: {line}") };
    let shows = match shows.strip_prefix("see ") {
        Some(test) => Shows::Elsewhere(test.to_owned()),
        None => Shows::Line((*shows).to_owned()),
    };
    Case { verb: (*verb).to_owned(), shows, fails: ((*fails).to_owned(), code.parse().unwrap()) }
}
