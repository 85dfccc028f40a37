//! Typed calls and what they put on the wire.

use pierhead_api::meta::DeleteOptions;
use pierhead_client::{ClientError, ListQuery, Patch};
use serde_json::{Value, json};

use crate::widget::{Server, Widget, refuse, widget};

#[tokio::test]
async fn a_refusal_keeps_the_servers_status() {
    let server = Server::start(Vec::new(), refuse);
    let error = server.client.get::<Widget>(Some("p"), "x").await.unwrap_err();
    assert!(error.is_not_found() && !error.is_forbidden() && !error.is_conflict());
    assert_eq!(error.to_string(), "widgets.example.io \"x\" not found");
    assert_eq!(server.client.find::<Widget>(Some("p"), "x").await.unwrap(), None);
}

#[tokio::test]
async fn an_answer_that_is_not_the_kind_is_an_error_with_its_path() {
    let server = Server::start(Vec::new(), |_| Ok(json!({"metadata": {"name": "x"}, "size": "big"})));
    let error = server.client.get::<Widget>(Some("p"), "x").await.unwrap_err();
    assert!(matches!(error, ClientError::Object { .. }), "{error:?}");
    assert!(error.to_string().contains("size"), "{error}");
}

#[tokio::test]
async fn every_verb_goes_to_its_path() {
    let server = Server::start(vec![widget("a", 1), widget("b", 2)], |_| Ok(widget("a", 3)));
    let client = &server.client;
    let query = ListQuery { labels: Some("app=web,tier!=db".into()), fields: None };
    let listed: Vec<Widget> = client.list_matching(Some("p"), &query).await.unwrap();
    assert_eq!(listed.iter().map(|widget| widget.size).collect::<Vec<_>>(), [1, 2]);
    let mut one = listed[0].clone();
    one.size = 3;
    client.create(Some("p"), &one).await.unwrap();
    client.replace(Some("p"), &one).await.unwrap();
    client.replace_status(Some("p"), &one).await.unwrap();
    let patch = Patch::Merge(json!({"size": 3}));
    client.patch::<Widget>(Some("p"), "a", &patch, None).await.unwrap();
    let apply = Patch::Apply { object: json!({"size": 3}), manager: "me & you".into(), force: true };
    client.patch::<Widget>(Some("p"), "a", &apply, Some("status")).await.unwrap();
    client.delete::<Widget>(None, "a/b", &DeleteOptions::default()).await.unwrap();
    let seen: Vec<String> =
        server.seen().iter().map(|(method, path, kind, _)| format!("{method} {path} {kind}")).collect();
    let base = "/apis/example.io/v1/namespaces/p/widgets";
    assert_eq!(
        seen,
        [
            format!("GET {base}?limit=500&labelSelector=app%3Dweb%2Ctier%21%3Ddb "),
            format!("POST {base} application/json"),
            format!("PUT {base}/a application/json"),
            format!("PUT {base}/a/status application/json"),
            format!("PATCH {base}/a application/merge-patch+json"),
            format!(
                "PATCH {base}/a/status?fieldManager=me%20%26%20you&force=true application/apply-patch+yaml"
            ),
            "DELETE /apis/example.io/v1/widgets/a%2Fb application/json".to_owned(),
        ]
    );
    let sent = &server.seen()[1].3;
    assert_eq!(sent.get("apiVersion"), Some(&Value::from("example.io/v1")));
    assert_eq!(sent.get("kind"), Some(&Value::from("Widget")));
}
