//! `api-resources`: the kinds of the server.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::{
    discovery::ApiKind,
    environment::ExitStatus,
    print::{
        output::{Form, print_objects},
        tabwriter,
    },
    session::Session,
};

/// List the kinds that the server has
///
/// Examples:
///   api-resources
///   api-resources --api-group=image.openshift.io -o wide
///   api-resources --namespaced=false --verbs=list -o name
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ApiResourcesArgs {
    /// Only kinds of this group
    #[arg(long, value_name = "GROUP")]
    api_group: Option<String>,
    /// Only kinds in namespaces (true) or outside of them (false)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    namespaced: Option<bool>,
    /// Only kinds with all of these verbs
    #[arg(long, value_delimiter = ',', value_name = "VERB")]
    verbs: Vec<String>,
    /// Only kinds of this category, such as all
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    categories: Vec<String>,
    /// Sort by name or kind
    #[arg(long, value_parser = ["name", "kind"], value_name = "FIELD")]
    sort_by: Option<String>,
    /// Ask the server anew, which is always done
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    cached: Option<bool>,
    /// Leave out the header line
    #[arg(long)]
    no_headers: bool,
    /// How to print it
    #[arg(short = 'o', long, value_enum, value_name = "FORM")]
    output: Option<ListForm>,
}

/// How kinds are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListForm {
    /// A table with the verbs and categories as well
    Wide,
    /// Only the names
    Name,
    Json,
    Yaml,
}

pub(crate) async fn run(args: ApiResourcesArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let wide = args.output == Some(ListForm::Wide);
    let mut kinds: Vec<_> = discovery
        .kinds
        .iter()
        .filter(|kind| !kind.verbs.is_empty())
        .filter(|kind| args.api_group.as_ref().is_none_or(|group| *group == kind.group))
        .filter(|kind| args.namespaced.is_none_or(|namespaced| namespaced == kind.namespaced))
        .filter(|kind| args.verbs.iter().all(|verb| kind.can(verb)))
        .filter(|kind| args.categories.iter().all(|name| kind.categories.contains(name)))
        .collect();
    kinds.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
    match args.sort_by.as_deref() {
        Some("name") => kinds.sort_by(|a, b| a.plural.cmp(&b.plural)),
        Some("kind") => kinds.sort_by(|a, b| a.kind.cmp(&b.kind)),
        _ => {}
    }
    match args.output {
        Some(ListForm::Name) => {
            for kind in kinds {
                session.say(&kind.qualified_plural())?;
            }
            return Ok(ExitStatus::SUCCESS);
        }
        Some(form @ (ListForm::Json | ListForm::Yaml)) => {
            let form = if form == ListForm::Json { Form::Json } else { Form::Yaml };
            print_objects(session, &form, vec![document(&kinds)], false, false)?;
            return Ok(ExitStatus::SUCCESS);
        }
        Some(ListForm::Wide) | None => {}
    }
    let mut text = String::new();
    if !args.no_headers {
        text.push_str("NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND");
        text.push_str(if wide { "\tVERBS\tCATEGORIES\n" } else { "\n" });
    }
    for kind in kinds {
        let line = format!(
            "{}\t{}\t{}\t{}\t{}",
            kind.plural,
            kind.short_names.join(","),
            kind.api_version(),
            kind.namespaced,
            kind.kind
        );
        text.push_str(&line);
        if wide {
            text.push_str(&format!("\t{}\t{}", kind.verbs.join(","), kind.categories.join(",")));
        }
        text.push('\n');
    }
    session.print(&tabwriter::align(&text, tabwriter::TABLE))?;
    Ok(ExitStatus::SUCCESS)
}

/// The kinds as a document, with group and version at each.
fn document(kinds: &[&ApiKind]) -> Value {
    let resources: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            let mut entry = json!({
                "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
                "version": kind.version, "verbs": kind.verbs,
            });
            if !kind.group.is_empty() {
                entry["group"] = Value::from(kind.group.as_str());
            }
            for (field, values) in [("shortNames", &kind.short_names), ("categories", &kind.categories)] {
                if !values.is_empty() {
                    entry[field] = Value::from(values.as_slice());
                }
            }
            entry
        })
        .collect();
    json!({"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": "", "resources": resources})
}
