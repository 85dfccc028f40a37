//! The committed definitions are those of the types. Run with
//! `cargo test -p pierhead-api --features schema --test schema`; with `PIERHEAD_SCHEMA=write` it writes them anew.

use std::fs;
use std::path::Path;

/// The definitions as they should be committed.
fn described() -> String {
    let mut text = serde_json::to_string_pretty(&pierhead_api::schema::definitions()).unwrap();
    text.push('\n');
    text
}

#[test]
fn committed_definitions_are_those_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/definitions.json");
    let described = described();
    if std::env::var_os("PIERHEAD_SCHEMA").is_some() {
        fs::write(&path, described).unwrap();
        return;
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == described,
        "schema/definitions.json is not what the types say. Write it anew:\n  \
         PIERHEAD_SCHEMA=write cargo test -p pierhead-api --features schema --test schema"
    );
}
