//! Columns of OAuth clients, tokens and grants.

use jiff::{SignedDuration, Timestamp};
use pierhead_api::meta::ObjectMeta;
use pierhead_api::oauth::{OAuthAccessToken, OAuthAuthorizeToken, OAuthClient, OAuthClientAuthorization};
use serde_json::Value;

use super::{Column, ColumnSet, Sets, name, typed};

const TOKEN: &[Column] = &[
    Column::NAME,
    Column::text("User Name"),
    Column::text("Client Name"),
    Column::text("Created"),
    Column::text("Expires"),
    Column::text("Redirect URI"),
    Column::text("Scopes"),
];

pub(super) const SETS: Sets = &[
    (
        "oauthclients.oauth.openshift.io",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("Secret"),
                Column::text("WWW-Challenge"),
                Column::text("Token-Max-Age"),
                Column::text("Redirect URIs"),
            ],
            cells: client,
        },
    ),
    (
        "oauthclientauthorizations.oauth.openshift.io",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("User Name"),
                Column::text("Client Name"),
                Column::text("Scopes"),
            ],
            cells: |object, _| {
                let OAuthClientAuthorization { user_name, client_name, scopes, .. } = typed(object);
                vec![name(object), user_name.into(), client_name.into(), scopes.join(",").into()]
            },
        },
    ),
    (
        "oauthaccesstokens.oauth.openshift.io",
        ColumnSet {
            columns: TOKEN,
            cells: |object, _| {
                let token: OAuthAccessToken = typed(object);
                let expires = expires(&token.metadata, token.expires_in);
                vec![
                    name(object),
                    token.user_name.into(),
                    token.client_name.into(),
                    created(&token.metadata),
                    expires,
                    token.redirect_uri.into(),
                    token.scopes.join(",").into(),
                ]
            },
        },
    ),
    (
        "useroauthaccesstokens.oauth.openshift.io",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("Client Name"),
                Column::text("Created"),
                Column::text("Expires"),
                Column::text("Redirect URI"),
                Column::text("Scopes"),
            ],
            cells: |object, _| {
                let token: OAuthAccessToken = typed(object);
                let expires = expires(&token.metadata, token.expires_in);
                vec![
                    name(object),
                    token.client_name.into(),
                    created(&token.metadata),
                    expires,
                    token.redirect_uri.into(),
                    token.scopes.join(",").into(),
                ]
            },
        },
    ),
    (
        "oauthauthorizetokens.oauth.openshift.io",
        ColumnSet {
            columns: TOKEN,
            cells: |object, _| {
                let code: OAuthAuthorizeToken = typed(object);
                let expires = expires(&code.metadata, code.expires_in);
                vec![
                    name(object),
                    code.user_name.into(),
                    code.client_name.into(),
                    created(&code.metadata),
                    expires,
                    code.redirect_uri.into(),
                    code.scopes.join(",").into(),
                ]
            },
        },
    ),
];

fn client(object: &Value, _: Timestamp) -> Vec<Value> {
    let client: OAuthClient = typed(object);
    let max_age = match client.access_token_max_age_seconds {
        None => "default".to_owned(),
        Some(0) => "unexpiring".to_owned(),
        Some(seconds) => go_duration(i64::from(seconds)),
    };
    vec![
        name(object),
        client.secret.into(),
        client.respond_with_challenges.to_string().into(),
        max_age.into(),
        client.redirect_uris.join(",").into(),
    ]
}

/// Seconds as `24h0m0s`.
fn go_duration(seconds: i64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

fn created(metadata: &ObjectMeta) -> Value {
    metadata.creation_timestamp.map(|time| time.to_string()).unwrap_or_default().into()
}

/// When a token ends, in the form `2016-05-02 12:00:00 +0000 UTC`.
fn expires(metadata: &ObjectMeta, seconds: i64) -> Value {
    if seconds == 0 {
        return "never".into();
    }
    let end = metadata
        .creation_timestamp
        .and_then(|time| time.0.checked_add(SignedDuration::from_secs(seconds)).ok());
    end.map(|end| end.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tables::tests::check;

    #[test]
    fn prints_clients() {
        check(
            "oauthclients.oauth.openshift.io",
            json!({
                "metadata": {"name": "c"}, "respondWithChallenges": true, "redirectURIs": ["https://a/", "https://b/"],
                "accessTokenMaxAgeSeconds": 86_400,
            }),
            &[
                ("Name", "c"),
                ("Secret", ""),
                ("WWW-Challenge", "true"),
                ("Token-Max-Age", "24h0m0s"),
                ("Redirect URIs", "https://a/,https://b/"),
            ],
        );
    }

    #[test]
    fn prints_tokens() {
        check(
            "oauthaccesstokens.oauth.openshift.io",
            json!({
                "metadata": {"name": "sha256~x", "creationTimestamp": "2016-05-01T12:00:00Z"}, "clientName": "c",
                "userName": "ann", "expiresIn": 86_400, "redirectURI": "https://a/", "scopes": ["user:full"],
            }),
            &[
                ("Name", "sha256~x"),
                ("User Name", "ann"),
                ("Client Name", "c"),
                ("Created", "2016-05-01T12:00:00Z"),
                ("Expires", "2016-05-02 12:00:00 +0000 UTC"),
                ("Redirect URI", "https://a/"),
                ("Scopes", "user:full"),
            ],
        );
        check(
            "useroauthaccesstokens.oauth.openshift.io",
            json!({"metadata": {"name": "x"}, "clientName": "c"}),
            &[
                ("Name", "x"),
                ("Client Name", "c"),
                ("Created", ""),
                ("Expires", "never"),
                ("Redirect URI", ""),
                ("Scopes", ""),
            ],
        );
    }
}
