//! Projects and namespaces, with what they may use.

use serde_json::Value;

use super::{Context, quota};
use crate::{object, print::age};

pub(super) async fn describe(context: &Context<'_>, project: &Value) -> String {
    let annotation = |name: &str| {
        let annotations = object::string_map(project, "metadata.annotations");
        let found = annotations.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| *value);
        if found.is_empty() { "<none>".to_owned() } else { found.to_owned() }
    };
    let created = age::words(Some(object::text(project, "metadata.creationTimestamp")), context.now);
    let mut text = format!(
        "Name:\t{}\nCreated:\t{created} ago\n{}{}Display Name:\t{}\nDescription:\t{}\nStatus:\t{}\nNode Selector:\t{}\n",
        object::name(project),
        super::map_lines("Labels", project, "metadata.labels", '='),
        super::map_lines("Annotations", project, "metadata.annotations", '='),
        annotation("openshift.io/display-name"),
        annotation("openshift.io/description"),
        object::text(project, "status.phase"),
        annotation("openshift.io/node-selector"),
    );
    let named = |object: &Value, table: String| {
        let table: String = table.lines().map(|line| format!("\t{line}\n")).collect();
        format!("\tName:\t{}\n{table}", object::name(object))
    };
    let quotas = context.related("resourcequotas", object::name(project), &[]).await;
    let quotas: String = quotas.iter().map(|one| named(one, quota::usage(one, "status"))).collect();
    let limits = context.related("limitranges", object::name(project), &[]).await;
    let limits: String = limits.iter().map(|one| named(one, quota::limits(one))).collect();
    for (title, rows) in [("Quota", quotas), ("Resource limits", limits)] {
        if rows.is_empty() {
            text.push_str(&format!("{title}:\t<none>\n"));
        } else {
            text.push_str(&format!("{title}:\n{rows}"));
        }
    }
    text
}

pub(super) async fn namespace(context: &Context<'_>, namespace: &Value) -> String {
    let phase = object::text(namespace, "status.phase");
    let mut text = format!("{}Status:\t{phase}\n\n", super::head(namespace));
    let quotas = context.related("resourcequotas", object::name(namespace), &[]).await;
    if quotas.is_empty() {
        text.push_str("No resource quota.\n");
    } else {
        text.push_str("Resource Quotas\n");
        for one in &quotas {
            let table = format!("Name:\t{}\n{}", object::name(one), quota::usage(one, "status"));
            text.push_str(&super::indent(&table, 2));
        }
    }
    let limits = context.related("limitranges", object::name(namespace), &[]).await;
    if limits.is_empty() {
        text.push_str("\nNo LimitRange resource.\n");
    } else {
        text.push_str("\nResource Limits\n");
        limits.iter().for_each(|one| text.push_str(&super::indent(&quota::limits(one), 1)));
    }
    text
}
