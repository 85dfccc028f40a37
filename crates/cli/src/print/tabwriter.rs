//! Columns of text, aligned the way Go's tabwriter aligns them.
//!
//! A cell ends with a tab; what follows the last tab of a line belongs to no column. A column is a run of
//! consecutive lines that have the cell, and is as wide as its widest cell there.

/// The settings that kubectl and oc use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Least width of a column, padding included.
    pub(crate) min_width: usize,
    /// Spaces behind the widest cell.
    pub(crate) padding: usize,
}

/// Tables of `get`.
pub(crate) const TABLE: Layout = Layout { min_width: 6, padding: 3 };
/// Descriptions.
pub(crate) const DESCRIPTION: Layout = Layout { min_width: 0, padding: 2 };

/// Aligns a text whose cells end with tabs.
pub(crate) fn align(text: &str, layout: Layout) -> String {
    align_below(text, layout, None)
}

/// The same below what was printed before: no column gets narrower than it was.
pub(crate) fn align_below(text: &str, layout: Layout, mut before: Option<&mut Vec<usize>>) -> String {
    let ends_with_newline = text.ends_with('\n');
    let body = text.strip_suffix('\n').unwrap_or(text);
    let lines: Vec<Vec<&str>> = body.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len() - 1]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut start = 0;
        while start < lines.len() {
            let has_cell = |line: usize| widths.get(line).is_some_and(|cells| cells.len() > column);
            if !has_cell(start) {
                start += 1;
                continue;
            }
            let end = (start..lines.len()).find(|line| !has_cell(*line)).unwrap_or(lines.len());
            let widest =
                lines[start..end].iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
            // Go drops a column in which every cell is empty.
            let mut width = if widest == 0 { 0 } else { (widest + layout.padding).max(layout.min_width) };
            if let Some(before) = &mut before {
                before.resize(columns.max(before.len()), 0);
                width = width.max(before[column]);
                before[column] = width;
            }
            for cells in &mut widths[start..end] {
                cells[column] = width;
            }
            start = end;
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for (position, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if position > 0 {
            out.push('\n');
        }
        for (cell, width) in cells.iter().zip(widths.iter().map(Some).chain(std::iter::once(None))) {
            out.push_str(cell);
            if let Some(width) = width {
                let padding = width.saturating_sub(cell.chars().count());
                out.extend(std::iter::repeat_n(' ', padding));
            }
        }
    }
    if ends_with_newline {
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{DESCRIPTION, Layout, TABLE, align, align_below};

    #[track_caller]
    fn check(layout: Layout, text: &str, expected: &str) {
        assert_eq!(align(text, layout), expected);
    }

    #[test]
    fn columns_align_within_runs_of_lines() {
        check(TABLE, "NAME\tTYPE\nabcdefg\tx\n", "NAME      TYPE\nabcdefg   x\n");
        check(
            DESCRIPTION,
            "Name:\ta\nNamespace:\tb\n\nType:\tc\n",
            "Name:       a\nNamespace:  b\n\nType:  c\n",
        );
        check(DESCRIPTION, "a\tb\tc\n", "a  b  c\n");
        check(DESCRIPTION, "a\t\tc\nb\t\td\n", "a  c\nb  d\n");
        check(DESCRIPTION, "é\tx\nab\ty", "é   x\nab  y");
        let mut before = Vec::new();
        let rows = ["NAME\tTYPE\tAGE\n", "a\tOpaque\t1s\n", "longer\t\t2s\n"];
        let shown: String = rows.iter().map(|row| align_below(row, TABLE, Some(&mut before))).collect();
        assert_eq!(shown, "NAME   TYPE   AGE\na      Opaque   1s\nlonger            2s\n");
    }
}
