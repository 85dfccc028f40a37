//! Projects and namespaces.

use jiff::Timestamp;
use serde_json::Value;

use crate::{object, print::age};

pub(super) fn describe(project: &Value, now: Timestamp) -> String {
    let annotation = |name: &str| {
        let annotations = object::string_map(project, "metadata.annotations");
        let found = annotations.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| *value);
        if found.is_empty() { "<none>".to_owned() } else { found.to_owned() }
    };
    let created = age::words(Some(object::text(project, "metadata.creationTimestamp")), now);
    format!(
        "Name:\t{}\nCreated:\t{created} ago\n{}{}Display Name:\t{}\nDescription:\t{}\nStatus:\t{}\nNode Selector:\t{}\n\
         Quota:\t<none>\nResource limits:\t<none>\n",
        object::name(project),
        super::map_lines("Labels", project, "metadata.labels", '='),
        super::map_lines("Annotations", project, "metadata.annotations", '='),
        annotation("openshift.io/display-name"),
        annotation("openshift.io/description"),
        object::text(project, "status.phase"),
        annotation("openshift.io/node-selector"),
    )
}

pub(super) fn namespace(namespace: &Value) -> String {
    let phase = object::text(namespace, "status.phase");
    format!("{}Status:\t{phase}\n\nNo resource quota.\n\nNo LimitRange resource.\n", super::head(namespace))
}
