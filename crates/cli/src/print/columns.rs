//! `-o custom-columns=NAME:.metadata.name,…` (or from a file: headers on one line, paths on the next).

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{
    jsonpath::{JsonPath, write_value},
    sanitize::sanitize_cell,
    tabwriter,
};

/// Headers with the paths of their cells.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    columns: Vec<(String, JsonPath)>,
}

impl Columns {
    pub(crate) fn parse(spec: &str) -> anyhow::Result<Self> {
        let pairs: Vec<(String, String)> = match spec.trim().split_once('\n') {
            Some((headers, paths)) => headers
                .split_whitespace()
                .map(str::to_owned)
                .zip(paths.split_whitespace().map(str::to_owned))
                .collect(),
            None => {
                let mut pairs = Vec::new();
                for column in spec.split(',') {
                    match column.split_once(':') {
                        Some((header, path)) => pairs.push((header.to_owned(), path.to_owned())),
                        None => bail!(
                            "unexpected custom-columns spec: {column}, expected <header>:<json-path-expr>"
                        ),
                    }
                }
                pairs
            }
        };
        if pairs.is_empty() {
            bail!("custom-columns format specified but no custom columns given");
        }
        let mut columns = Vec::with_capacity(pairs.len());
        for (header, path) in pairs {
            let parsed =
                JsonPath::parse_relaxed(&path).with_context(|| format!("column {header}: {path}"))?;
            columns.push((header, parsed));
        }
        Ok(Self { columns })
    }

    pub(crate) fn render(&self, objects: &[Value]) -> anyhow::Result<String> {
        let headers: Vec<&str> = self.columns.iter().map(|(header, _)| header.as_str()).collect();
        let mut text = format!("{}\n", headers.join("\t"));
        for object in objects {
            let mut cells = Vec::with_capacity(self.columns.len());
            for (header, path) in &self.columns {
                let found = path.find(object).with_context(|| format!("column {header}"))?;
                let values: Vec<String> = found
                    .into_iter()
                    .map(|value| {
                        let mut text = String::new();
                        write_value(&mut text, value);
                        text
                    })
                    .collect();
                let cell = if values.is_empty() { "<none>".to_owned() } else { values.join(",") };
                cells.push(sanitize_cell(&cell));
            }
            text.push_str(&format!("{}\n", cells.join("\t")));
        }
        Ok(tabwriter::align(&text, tabwriter::TABLE))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Columns;

    #[test]
    fn columns_by_path() {
        let objects = [
            json!({"metadata": {"name": "a"}, "tags": [{"t": "x"}, {"t": "y"}]}),
            json!({"metadata": {"name": "longer"}}),
        ];
        let columns = Columns::parse("NAME:.metadata.name,TAGS:{.tags[*].t}").unwrap();
        assert_eq!(columns.render(&objects).unwrap(), "NAME     TAGS\na        x,y\nlonger   <none>\n");
        assert!(Columns::parse("NAME").is_err());
    }
}
