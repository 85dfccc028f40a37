//! Tables the server prints for `oc get` (platform 1.6, images 3.11): which columns a kind has and what is in their
//! cells.
//!
//! Owns the form of a column set and the look-up by kind. A kind without one of its own shows NAME and CREATED AT.
//! Writing the table, its rows' objects and its metadata is the HTTP layer's business.

use jiff::Timestamp;
use pierhead_api::meta::{TableColumnDefinition, Time};
use pierhead_api::{Object, age, from_value};
use serde_json::Value;

use crate::metadata;

mod access;
mod apps;
mod core;
mod images;
mod oauth;
mod projects;
mod quotas;
mod routes;
mod users;
mod workloads;

/// The columns of a kind.
pub(crate) trait Columns: Send + Sync + 'static {
    /// Their headers, in order.
    fn definitions(&self) -> Vec<TableColumnDefinition>;
    /// The cells of one object, as many as there are columns. `now` is for ages.
    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value>;
}

/// The columns of the kind stored as `qualified` (`plural.group`).
pub(crate) fn columns_of(qualified: &str) -> &'static dyn Columns {
    let sets = [
        core::SETS,
        access::SETS,
        apps::SETS,
        users::SETS,
        oauth::SETS,
        projects::SETS,
        quotas::SETS,
        routes::SETS,
        images::SETS,
        workloads::SETS,
    ];
    let mut all = sets.into_iter().flatten();
    match all.find(|(name, _)| *name == qualified) {
        Some((_, set)) => set,
        None => &NAME_AND_CREATION,
    }
}

/// The columns of some kinds, by the names these are stored under.
type Sets = &'static [(&'static str, ColumnSet)];

/// A header with what it says about its column.
struct Column {
    name: &'static str,
    column_type: &'static str,
    format: &'static str,
    wide: bool,
}

impl Column {
    /// The name of the object, which clients print with the kind before it.
    const NAME: Self = Self { name: "Name", column_type: "string", format: "name", wide: false };
    /// How long ago the object was created.
    const AGE: Self = Self::text("Age");

    const fn text(name: &'static str) -> Self {
        Self { name, column_type: "string", format: "", wide: false }
    }

    const fn number(name: &'static str) -> Self {
        Self { name, column_type: "integer", format: "", wide: false }
    }

    const fn date(name: &'static str) -> Self {
        Self { name, column_type: "date", format: "", wide: false }
    }

    /// Shown only with `-o wide`.
    const fn wide(mut self) -> Self {
        self.wide = true;
        self
    }
}

/// Headers, and the function that fills a row under them.
struct ColumnSet {
    columns: &'static [Column],
    cells: fn(object: &Value, now: Timestamp) -> Vec<Value>,
}

impl Columns for ColumnSet {
    fn definitions(&self) -> Vec<TableColumnDefinition> {
        let define = |column: &Column| TableColumnDefinition {
            name: column.name.to_owned(),
            column_type: column.column_type.to_owned(),
            format: column.format.to_owned(),
            priority: i32::from(column.wide),
            ..TableColumnDefinition::default()
        };
        self.columns.iter().map(define).collect()
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        (self.cells)(object, now)
    }
}

static NAME_AND_CREATION: ColumnSet = ColumnSet {
    columns: &[Column::NAME, Column::date("Created At")],
    cells: |object, _| vec![name(object), metadata::text(object, "creationTimestamp").into()],
};

/// An object as its type; what cannot be read shows as an empty one, for a table must not fail over one row.
fn typed<T: Object + Default>(object: &Value) -> T {
    from_value(object).unwrap_or_default()
}

fn name(object: &Value) -> Value {
    metadata::text(object, "name").into()
}

/// The AGE cell.
fn age_of(object: &Value, now: Timestamp) -> Value {
    let created: Option<Time> = metadata::text(object, "creationTimestamp").parse().ok();
    age::short_since(created, now).into()
}

/// A text that may not be left blank.
fn or_none(text: String) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

/// As many items as a cell takes, then how many more there are.
fn some_of(items: &[String], limit: usize) -> Value {
    let shown = items.iter().take(limit).map(String::as_str).collect::<Vec<_>>().join(",");
    match items.len().checked_sub(limit) {
        Some(more) if more > 0 => format!("{shown} + {more} more...").into(),
        _ => or_none(shown),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::columns_of;

    /// Header and cells of an object as `oc get -o wide` would print them, wide columns in brackets. It is
    /// 2016-05-01T12:00:00Z.
    #[track_caller]
    pub(crate) fn check(kind: &str, object: Value, expected: &[(&str, &str)]) {
        let columns = columns_of(kind);
        let cells = columns.cells(&object, "2016-05-01T12:00:00Z".parse().unwrap());
        let definitions = columns.definitions();
        assert_eq!(cells.len(), definitions.len(), "{kind}");
        let row: Vec<(String, String)> = definitions
            .iter()
            .zip(&cells)
            .map(|(column, cell)| {
                let cell = cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
                let name =
                    if column.priority > 0 { format!("[{}]", column.name) } else { column.name.clone() };
                (name, cell)
            })
            .collect();
        let row: Vec<(&str, &str)> = row.iter().map(|(name, cell)| (name.as_str(), cell.as_str())).collect();
        assert_eq!(row, expected, "{kind}");
    }

    #[test]
    fn other_kinds_show_name_and_creation() {
        check(
            "somethings.example.com",
            json!({"metadata": {"name": "a", "creationTimestamp": "2016-05-01T10:00:00Z"}}),
            &[("Name", "a"), ("Created At", "2016-05-01T10:00:00Z")],
        );
    }

    #[test]
    fn odd_objects_still_give_full_rows() {
        let sets = [
            super::core::SETS,
            super::access::SETS,
            super::apps::SETS,
            super::users::SETS,
            super::oauth::SETS,
            super::projects::SETS,
            super::quotas::SETS,
            super::routes::SETS,
            super::images::SETS,
            super::workloads::SETS,
        ];
        for (kind, set) in sets.into_iter().flatten() {
            for object in [json!({}), json!({"metadata": {"name": 5}, "spec": [], "status": "x", "data": 1})]
            {
                let cells = (set.cells)(&object, jiff::Timestamp::UNIX_EPOCH);
                assert_eq!(cells.len(), set.columns.len(), "{kind}");
            }
        }
    }
}
