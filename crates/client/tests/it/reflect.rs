//! A reflected collection follows the server.

use std::time::Duration;

use pierhead_client::Reflected;
use pierhead_runtime::Tasks;
use serde_json::{Value, json};

use crate::widget::{Server, Widget, refuse, widget};

fn names(widgets: &Reflected<Widget>) -> Vec<(String, u32)> {
    widgets.list().iter().map(|widget| (widget.metadata.name.clone(), widget.size)).collect()
}

fn event(kind: &str, object: Value) -> Value {
    let mut object = object;
    object["metadata"]["resourceVersion"] = json!("8");
    object["kind"] = json!("Widget");
    object["apiVersion"] = json!("example.io/v1");
    json!({"type": kind, "object": object})
}

#[tokio::test]
async fn follows_list_and_events() {
    let server = Server::start(vec![widget("a", 1), widget("b", 2)], refuse);
    let tasks = Tasks::new();
    let widgets = server.client.reflect::<Widget>(None, &tasks);
    let mut changed = widgets.changed();
    widgets.synced().await;
    assert_eq!(names(&widgets), [("a".into(), 1), ("b".into(), 2)]);
    assert_eq!(widgets.list_in("p").len(), 2);
    assert_eq!(widgets.list_in("o").len(), 0);
    changed.mark_unchanged();

    server.events.send(event("ADDED", widget("c", 3))).unwrap();
    server.events.send(event("MODIFIED", widget("a", 9))).unwrap();
    server.events.send(event("DELETED", widget("b", 2))).unwrap();
    // An object that cannot be read is absent, and does not stop the others.
    server
        .events
        .send(event("MODIFIED", json!({"metadata": {"name": "c", "namespace": "p"}, "size": "x"})))
        .unwrap();
    let wanted = vec![("a".to_owned(), 9)];
    let followed = async {
        while names(&widgets) != wanted {
            changed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), followed).await.unwrap();
    assert_eq!(widgets.get(Some("p"), "a").unwrap().size, 9);
    assert!(widgets.get(Some("o"), "a").is_none());
    tasks.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn waiting_for_the_first_list_ends_with_the_tasks() {
    let server = Server::start(Vec::new(), refuse);
    let tasks = Tasks::new();
    tasks.stop_token().cancel();
    let widgets = server.client.reflect::<Widget>(None, &tasks);
    tokio::time::timeout(Duration::from_secs(5), widgets.synced()).await.unwrap();
    assert!(!widgets.is_synced());
}
