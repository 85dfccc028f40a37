//! Columns of users, identities and groups.

use pierhead_api::federation::{ClaimRule, FederatedIdentity};
use pierhead_api::user::{Group, Identity, User, UserIdentityMapping};

use super::{Column, ColumnSet, Sets, age_of, name, typed};

pub(super) const SETS: Sets = &[
    (
        "federatedidentities.identity.pierhead.io",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("Service Account"),
                Column::text("Issuer"),
                Column::AGE,
                Column::text("Claims").wide(),
            ],
            cells: |object, now| {
                let FederatedIdentity { spec, .. } = typed(object);
                let claim = |claim: ClaimRule| {
                    let any = [claim.values, claim.patterns].concat().join("|");
                    format!("{}={any}", claim.name)
                };
                let claims: Vec<String> = spec.claims.into_iter().map(claim).collect();
                vec![
                    name(object),
                    spec.service_account_name.into(),
                    spec.issuer.into(),
                    age_of(object, now),
                    claims.join(", ").into(),
                ]
            },
        },
    ),
    (
        "users.user.openshift.io",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("UID"),
                Column::text("Full Name"),
                Column::text("Identities"),
            ],
            cells: |object, _| {
                let user: User = typed(object);
                let identities = user.identities.unwrap_or_default().join(", ");
                vec![name(object), user.metadata.uid.into(), user.full_name.into(), identities.into()]
            },
        },
    ),
    (
        "identities.user.openshift.io",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("IDP Name"),
                Column::text("IDP User Name"),
                Column::text("User Name"),
                Column::text("User UID"),
            ],
            cells: |object, _| {
                let Identity { provider_name, provider_user_name, user, .. } = typed(object);
                vec![
                    name(object),
                    provider_name.into(),
                    provider_user_name.into(),
                    user.name.into(),
                    user.uid.into(),
                ]
            },
        },
    ),
    (
        "useridentitymappings.user.openshift.io",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("Identity"),
                Column::text("User Name"),
                Column::text("User UID"),
            ],
            cells: |object, _| {
                let UserIdentityMapping { identity, user, .. } = typed(object);
                vec![name(object), identity.name.into(), user.name.into(), user.uid.into()]
            },
        },
    ),
    (
        "groups.user.openshift.io",
        ColumnSet {
            columns: &[Column::NAME, Column::text("Users")],
            cells: |object, _| {
                let group: Group = typed(object);
                vec![name(object), group.users.unwrap_or_default().join(", ").into()]
            },
        },
    ),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tables::tests::check;

    #[test]
    fn prints_users_and_groups() {
        check(
            "users.user.openshift.io",
            json!({"metadata": {"name": "ann", "uid": "u1"}, "fullName": "Ann", "identities": ["p:ann", "q:ann"]}),
            &[("Name", "ann"), ("UID", "u1"), ("Full Name", "Ann"), ("Identities", "p:ann, q:ann")],
        );
        check(
            "groups.user.openshift.io",
            json!({"metadata": {"name": "dev"}, "users": null}),
            &[("Name", "dev"), ("Users", "")],
        );
        check(
            "identities.user.openshift.io",
            json!({
                "metadata": {"name": "p:ann"}, "providerName": "p", "providerUserName": "ann",
                "user": {"name": "ann", "uid": "u1"},
            }),
            &[
                ("Name", "p:ann"),
                ("IDP Name", "p"),
                ("IDP User Name", "ann"),
                ("User Name", "ann"),
                ("User UID", "u1"),
            ],
        );
    }
}
