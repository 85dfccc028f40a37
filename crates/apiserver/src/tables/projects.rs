//! Columns of projects and project requests.

use pierhead_api::project::{Project, ProjectRequest};

use super::{Column, ColumnSet, Sets, name, typed};

pub(super) const SETS: Sets = &[
    (
        "projects.project.openshift.io",
        ColumnSet {
            columns: &[Column::NAME, Column::text("Display Name"), Column::text("Status")],
            cells: |object, _| {
                let project: Project = typed(object);
                vec![name(object), project.display_name().into(), project.status.phase.into()]
            },
        },
    ),
    (
        "projectrequests.project.openshift.io",
        ColumnSet {
            columns: &[Column::NAME, Column::text("Display Name"), Column::text("Description")],
            cells: |object, _| {
                let ProjectRequest { display_name, description, .. } = typed(object);
                vec![name(object), display_name.into(), description.into()]
            },
        },
    ),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tables::tests::check;

    #[test]
    fn prints_projects() {
        check(
            "projects.project.openshift.io",
            json!({
                "metadata": {"name": "shop", "annotations": {"openshift.io/display-name": "The shop"}},
                "status": {"phase": "Active"},
            }),
            &[("Name", "shop"), ("Display Name", "The shop"), ("Status", "Active")],
        );
    }
}
