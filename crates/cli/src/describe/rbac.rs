//! Roles and their bindings.

use serde_json::Value;

use crate::object;

pub(super) fn binding(binding: &Value) -> String {
    let mut text = super::head(binding);
    text.push_str(&format!(
        "Role:\n  Kind:\t{}\n  Name:\t{}\nSubjects:\n  Kind\tName\tNamespace\n  ----\t----\t---------\n",
        object::text(binding, "roleRef.kind"),
        object::text(binding, "roleRef.name"),
    ));
    for subject in object::list(binding, "subjects") {
        text.push_str(&format!(
            "  {}\t{}\t{}\n",
            object::text(subject, "kind"),
            object::text(subject, "name"),
            object::text(subject, "namespace"),
        ));
    }
    text
}

pub(super) fn role(role: &Value) -> String {
    let words = |rule: &Value, field: &str| {
        let words: Vec<&str> = object::list(rule, field).iter().filter_map(Value::as_str).collect();
        words.join(" ")
    };
    let mut text = super::head(role);
    text.push_str("PolicyRule:\n  Resources\tNon-Resource URLs\tResource Names\tVerbs\n");
    text.push_str("  ---------\t-----------------\t--------------\t-----\n");
    for rule in object::list(role, "rules") {
        let (names, verbs) = (words(rule, "resourceNames"), words(rule, "verbs"));
        let paths = words(rule, "nonResourceURLs");
        if !paths.is_empty() {
            text.push_str(&format!("  \t[{paths}]\t[{names}]\t[{verbs}]\n"));
        }
        for group in object::list(rule, "apiGroups").iter().filter_map(Value::as_str) {
            let dot = if group.is_empty() { "" } else { "." };
            for resource in object::list(rule, "resources").iter().filter_map(Value::as_str) {
                text.push_str(&format!("  {resource}{dot}{group}\t[]\t[{names}]\t[{verbs}]\n"));
            }
        }
    }
    text
}
