//! Tables the server prints for `oc get` (platform 1.6): which columns a kind has and what is in their cells.
//!
//! Owns the form of a column set and the look-up by kind. A kind without one of its own shows NAME and CREATED AT.
//! Writing the table, its rows' objects and its metadata is the HTTP layer's business.

use jiff::Timestamp;
use pierhead_api::meta::TableColumnDefinition;
use serde_json::Value;

use crate::metadata;

/// The columns of a kind.
pub(crate) trait Columns: Send + Sync + 'static {
    /// Their headers, in order.
    fn definitions(&self) -> Vec<TableColumnDefinition>;
    /// The cells of one object, as many as there are columns. `now` is for ages.
    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value>;
}

/// The columns of the kind stored as `qualified` (`plural.group`).
pub(crate) fn columns_of(_qualified: &str) -> &'static dyn Columns {
    &NameAndCreation
}

struct NameAndCreation;

impl Columns for NameAndCreation {
    fn definitions(&self) -> Vec<TableColumnDefinition> {
        let column = |name: &str, column_type: &str, format: &str| TableColumnDefinition {
            name: name.to_owned(),
            column_type: column_type.to_owned(),
            format: format.to_owned(),
            ..TableColumnDefinition::default()
        };
        vec![column("Name", "string", "name"), column("Created At", "date", "")]
    }

    fn cells(&self, object: &Value, _: Timestamp) -> Vec<Value> {
        vec![metadata::text(object, "name").into(), metadata::text(object, "creationTimestamp").into()]
    }
}
