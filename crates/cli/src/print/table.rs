//! Tables of `get`: what the server rendered, with the columns and prefixes that flags ask for.

use jiff::Timestamp;
use pierhead_api::meta::{Table, TableRow};
use serde_json::Value;

use super::{rows, sanitize::sanitize_cell, tabwriter};
use crate::{discovery::ApiKind, object};

/// What flags change about a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableStyle {
    pub(crate) wide: bool,
    pub(crate) no_headers: bool,
    pub(crate) show_labels: bool,
    pub(crate) label_columns: Vec<String>,
    /// First column for the namespace.
    pub(crate) with_namespace: bool,
    /// `kind.group/` before names.
    pub(crate) with_kind: bool,
}

/// The rows that a server's answer holds: a `Table`, or a list or object of a server that does not render.
pub(crate) fn of_answer(answer: &Value, kind: &str, now: Timestamp) -> Table {
    if object::text(answer, "kind") == "Table"
        && let Ok(table) = serde_json::from_value::<Table>(answer.clone())
    {
        return table;
    }
    let single = [answer.clone()];
    let objects: &[Value] = if object::is_list(answer) { object::list(answer, "items") } else { &single };
    rows::table(objects, kind, now)
}

/// Renders tables of one kind, pages or single objects, under one header.
pub(crate) fn render(kind: &ApiKind, tables: &[Table], style: &TableStyle) -> String {
    tabwriter::align(&lines(kind, tables, style), tabwriter::TABLE)
}

/// The same below what was printed before, whose columns were so wide.
pub(crate) fn render_below(
    kind: &ApiKind,
    table: Table,
    style: &TableStyle,
    widths: &mut Vec<usize>,
) -> String {
    tabwriter::align_below(&lines(kind, &[table], style), tabwriter::TABLE, Some(widths))
}

/// The same, not yet aligned.
fn lines(kind: &ApiKind, tables: &[Table], style: &TableStyle) -> String {
    let mut out = String::new();
    let columns = tables.iter().map(|table| &table.column_definitions).find(|columns| !columns.is_empty());
    let Some(columns) = columns else { return out };
    let shown: Vec<bool> = columns.iter().map(|column| style.wide || column.priority == 0).collect();
    if !style.no_headers {
        let mut headers = Vec::new();
        if style.with_namespace {
            headers.push("NAMESPACE".to_owned());
        }
        let names = columns.iter().zip(&shown).filter(|(_, shown)| **shown);
        headers.extend(names.map(|(column, _)| sanitize_cell(&column.name.to_uppercase())));
        headers.extend(style.label_columns.iter().map(|label| {
            let short = label.rsplit('/').next().unwrap_or(label);
            sanitize_cell(&short.to_uppercase())
        }));
        if style.show_labels {
            headers.push("LABELS".to_owned());
        }
        out.push_str(&headers.join("\t"));
        out.push('\n');
    }
    for row in tables.iter().flat_map(|table| &table.rows) {
        out.push_str(&cells(kind, row, &shown, style).join("\t"));
        out.push('\n');
    }
    out
}

fn cells(kind: &ApiKind, row: &TableRow, shown: &[bool], style: &TableStyle) -> Vec<String> {
    let nothing = Value::Null;
    let object = row.object.as_ref().unwrap_or(&nothing);
    let mut cells = Vec::new();
    if style.with_namespace {
        cells.push(sanitize_cell(object::namespace(object).unwrap_or_default()));
    }
    for (position, (cell, _)) in row.cells.iter().zip(shown).enumerate().filter(|(_, (_, shown))| **shown) {
        let mut text = match cell {
            Value::String(text) => text.clone(),
            Value::Null => "<none>".to_owned(),
            other => other.to_string(),
        };
        if position == 0 && style.with_kind {
            text = format!("{}/{text}", kind.display_name());
        }
        cells.push(sanitize_cell(&text));
    }
    let labels = object::string_map(object, "metadata.labels");
    for column in &style.label_columns {
        let found = labels.iter().find(|(key, _)| key == column);
        cells.push(sanitize_cell(found.map_or("", |(_, value)| value)));
    }
    if style.show_labels {
        let all: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        cells.push(if all.is_empty() { "<none>".to_owned() } else { sanitize_cell(&all.join(",")) });
    }
    cells
}
