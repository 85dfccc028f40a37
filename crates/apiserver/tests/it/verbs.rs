//! Create, read, change and delete, with what must go wrong.

use http::StatusCode;
use pierhead_store::objects::{OBJECTS, ObjectKey};
use serde_json::{Value, json};

use crate::world::{World, admin, user};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

#[tokio::test]
async fn an_object_lives_and_dies() {
    let world = World::new().await;
    let made = world.post(&admin(), MAPS, map("a", json!({"k": "1"}))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let metadata = &made.body["metadata"];
    assert_eq!(metadata["namespace"], "default");
    assert_eq!(metadata["creationTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    let read = world.get(&admin(), &format!("{MAPS}/a")).await;
    assert_eq!(read.body, made.body);
    assert!(read.headers.contains_key("audit-id"));
    assert_eq!(read.headers["cache-control"], "no-cache, private");
    let deleted = world.delete(&admin(), &format!("{MAPS}/a")).await;
    assert_eq!(deleted.body["status"], "Success");
    assert_eq!(deleted.body["details"]["uid"], metadata["uid"]);
    assert_eq!(world.get(&admin(), &format!("{MAPS}/a")).await.says(), (404, r#"configmaps "a" not found"#));
}

#[tokio::test]
async fn refusals_have_kubes_texts() {
    let world = World::new().await;
    world.post(&admin(), MAPS, map("a", json!({}))).await;
    let check = async |method: &str, path: &str, body: &str, code: u16, text: &str| {
        let reply = world.send(&admin(), method, path, &[], body.to_owned()).await;
        assert_eq!(reply.status.as_u16(), code, "{method} {path}: {}", reply.body);
        let message = reply.body["message"].as_str().unwrap_or_default();
        assert!(message.contains(text), "{method} {path}: {message}");
        assert_eq!(reply.body["kind"], "Status");
    };
    let a = map("a", json!({})).to_string();
    check("POST", MAPS, &a, 409, r#"configmaps "a" already exists"#).await;
    check("POST", "/api/v1/namespaces/none/configmaps", &a, 404, r#"namespaces "none" not found"#).await;
    check("POST", MAPS, "{", 400, "json parse error").await;
    check("POST", MAPS, &"[".repeat(100_000), 400, "exceeded max depth 64").await;
    check(
        "POST",
        MAPS,
        &"x".repeat(3 * 1024 * 1024 + 1),
        413,
        "Request entity is too large: limit is 3145728",
    )
    .await;
    check(
        "POST",
        MAPS,
        r#"{"kind":"Secret","metadata":{"name":"x"}}"#,
        400,
        "cannot be handled as a ConfigMap",
    )
    .await;
    check("POST", MAPS, r#"{"apiVersion":"apps/v2"}"#, 400, "does not match the expected API version (v1)")
        .await;
    check("POST", MAPS, r#"{"metadata":{"name":"UPPER"}}"#, 422, "metadata.name: Invalid value").await;
    check(
        "POST",
        MAPS,
        r#"{"metadata":{"name":"x","namespace":"y"}}"#,
        400,
        "does not match the namespace sent",
    )
    .await;
    check(
        "PUT",
        &format!("{MAPS}/b"),
        &a,
        400,
        "the name of the object (a) does not match the name on the URL (b)",
    )
    .await;
    check(
        "POST",
        "/api/v1/configmaps",
        &a,
        405,
        r#"create is not supported on resources of kind "configmaps""#,
    )
    .await;
    check(
        "GET",
        "/api/v1/namespaces/default/namespaces/default",
        "",
        404,
        "could not find the requested resource",
    )
    .await;
    check("GET", "/apis/none/v1/things", "", 404, "could not find the requested resource").await;
    check("GET", &format!("{MAPS}/a/none"), "", 404, "could not find the requested resource").await;
    check("DELETE", "/api/v1/namespaces/default", "", 403, "this namespace may not be deleted").await;
    check("DELETE", "/api/v1/namespaces/openshift-infra", "", 403, "this namespace may not be deleted").await;
    let media = world.send(&admin(), "POST", MAPS, &[("content-type", "text/csv")], a).await;
    assert_eq!(media.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let accept = world.send(&admin(), "GET", MAPS, &[("accept", "image/png")], "").await;
    assert_eq!(accept.status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn strangers_are_refused_before_anything_is_looked_up() {
    let world = World::new().await;
    let eve = user("eve");
    let check = async |path: &str, text: &str| {
        assert_eq!(world.get(&eve, path).await.says(), (403, text), "{path}");
    };
    check(
        "/api/v1/namespaces/default/configmaps/none",
        r#"configmaps "none" is forbidden: User "eve" cannot get resource "configmaps" in API group "" in the namespace "default""#,
    )
    .await;
    check(
        "/api/v1/namespaces/none",
        r#"namespaces "none" is forbidden: User "eve" cannot get resource "namespaces" in API group "" in the namespace "none""#,
    )
    .await;
    check("/metrics", r#"forbidden: User "eve" cannot get path "/metrics""#).await;
}

#[tokio::test]
async fn a_bad_token_is_401_even_where_anybody_may_read() {
    let world = World::new().await;
    let request = http::Request::get("/version").header("authorization", "Bearer sha256~none");
    let reply = world.server.handle(request.body(http_body_util::Empty::new()).unwrap()).await;
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    let request = http::Request::get("/version").body(http_body_util::Empty::new()).unwrap();
    assert_eq!(world.server.handle(request).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_last_writer_wins_only_when_it_says_so() {
    let world = World::new().await;
    let first = world.post(&admin(), MAPS, map("a", json!({"k": "1"}))).await.body;
    let path = format!("{MAPS}/a");
    let mut second = first.clone();
    second["data"]["k"] = "2".into();
    assert_eq!(world.put(&admin(), &path, second.clone()).await.status, StatusCode::OK);
    let stale = world.put(&admin(), &path, second).await;
    assert_eq!(
        stale.says(),
        (
            409,
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
        )
    );
    let blind = world.put(&admin(), &path, map("a", json!({"k": "3"}))).await;
    assert_eq!((blind.status, &blind.body["data"]["k"]), (StatusCode::OK, &json!("3")));
    assert_eq!(blind.body["metadata"]["uid"], first["metadata"]["uid"]);
    let same = world.put(&admin(), &path, map("a", json!({"k": "3"}))).await;
    assert_eq!(same.body["metadata"]["resourceVersion"], blind.body["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn patches_of_every_form_apply() {
    let world = World::new().await;
    world.post(&admin(), MAPS, map("a", json!({"k": "1", "l": "1"}))).await;
    let path = format!("{MAPS}/a");
    let merged = world.patch(&admin(), &path, "merge-patch", json!({"data": {"k": "2", "l": null}})).await;
    assert_eq!(merged.body["data"], json!({"k": "2"}));
    let operations = json!([{"op": "test", "path": "/data/k", "value": "2"}, {"op": "add", "path": "/data/m", "value": "3"}]);
    let json_patched = world.patch(&admin(), &path, "json-patch", operations.clone()).await;
    assert_eq!(json_patched.body["data"], json!({"k": "2", "m": "3"}));
    let strategic = json!({"metadata": {"finalizers": ["a.example/x"]}, "data": {"k": "4"}});
    let strategic = world.patch(&admin(), &path, "strategic-merge-patch", strategic).await;
    assert_eq!(strategic.body["metadata"]["finalizers"], json!(["a.example/x"]));
    assert_eq!(world.patch(&admin(), &path, "json-patch", operations).await.status.as_u16(), 422);
    assert_eq!(world.patch(&admin(), &path, "csv", json!({})).await.status.as_u16(), 415);
    let stale = json!({"metadata": {"resourceVersion": "1"}, "data": {}});
    assert_eq!(world.patch(&admin(), &path, "merge-patch", stale).await.status.as_u16(), 409);
    let uid = json!({"metadata": {"uid": "other"}});
    assert_eq!(world.patch(&admin(), &path, "merge-patch", uid).await.status.as_u16(), 409);
}

#[tokio::test]
async fn managers_apply_their_own_fields() {
    let world = World::new().await;
    let apply = async |manager: &str, query: &str, data: Value| {
        let path = format!("{MAPS}/a?fieldManager={manager}{query}");
        let headers = [("content-type", "application/apply-patch+yaml")];
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data}).to_string();
        world.send(&admin(), "PATCH", &path, &headers, body).await
    };
    let made = apply("ann", "", json!({"a": "1", "b": "1"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.body["metadata"]["managedFields"][0]["manager"], "ann");
    assert_eq!(apply("bob", "", json!({"c": "1"})).await.body["data"], json!({"a": "1", "b": "1", "c": "1"}));
    let changed = apply("ann", "", json!({"a": "2"})).await;
    assert_eq!((changed.status, &changed.body["data"]), (StatusCode::OK, &json!({"a": "2", "c": "1"})));
    let again = apply("ann", "", json!({"a": "2"})).await.body;
    assert_eq!(again["metadata"]["resourceVersion"], changed.body["metadata"]["resourceVersion"]);
    let refused = apply("bob", "", json!({"a": "3", "c": "1"})).await;
    assert_eq!(refused.says(), (409, r#"Apply failed with 1 conflict: conflict with "ann": .data.a"#));
    assert_eq!(refused.body["details"]["causes"][0]["reason"], "FieldManagerConflict");
    let forced = apply("bob", "&force=true", json!({"a": "3", "c": "1"})).await;
    assert_eq!(forced.body["data"], json!({"a": "3", "c": "1"}));
    assert_eq!(apply("ann", "", json!({})).await.body["data"], json!({"a": "3", "c": "1"}));
    assert_eq!(apply("", "", json!({})).await.status.as_u16(), 422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_patches_are_all_kept() {
    let world = World::new().await;
    world.post(&admin(), MAPS, map("a", json!({}))).await;
    let path = format!("{MAPS}/a");
    let writers = (0..20).map(|writer| {
        let (world, path) = (&world, &path);
        async move {
            let patch = json!({"data": {format!("k{writer}"): "1"}});
            world.patch(&admin(), path, "merge-patch", patch).await.status
        }
    });
    let statuses = futures_util::future::join_all(writers).await;
    assert!(statuses.iter().all(|status| *status == StatusCode::OK), "{statuses:?}");
    assert_eq!(world.get(&admin(), &path).await.body["data"].as_object().unwrap().len(), 20);
}

#[tokio::test]
async fn a_finalizer_holds_an_object() {
    let world = World::new().await;
    let mut object = map("a", json!({}));
    object["metadata"]["finalizers"] = json!(["example.com/wait"]);
    world.post(&admin(), MAPS, object).await;
    let path = format!("{MAPS}/a");
    let held = world.delete(&admin(), &path).await;
    assert!(held.body["metadata"]["deletionTimestamp"].is_string(), "{}", held.body);
    let more = json!({"metadata": {"finalizers": ["example.com/wait", "example.com/more"]}});
    assert_eq!(world.patch(&admin(), &path, "merge-patch", more).await.status.as_u16(), 422);
    let done = world.patch(&admin(), &path, "merge-patch", json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(done.status, StatusCode::OK);
    assert_eq!(world.get(&admin(), &path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn dependents_go_with_their_owner_unless_orphaned() {
    let world = World::new().await;
    let owner = async |name: &str, owner: Option<&Value>| {
        let mut object = map(name, json!({}));
        if let Some(owner) = owner {
            let metadata = &owner["metadata"];
            object["metadata"]["ownerReferences"] = json!([
                {"apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"]},
            ]);
        }
        world.post(&admin(), MAPS, object).await.body
    };
    let (a, b) = (owner("a", None).await, owner("b", None).await);
    let a1 = owner("a1", Some(&a)).await;
    owner("a2", Some(&a1)).await;
    owner("b1", Some(&b)).await;
    world.delete(&admin(), &format!("{MAPS}/a")).await;
    let orphan = json!({"propagationPolicy": "Orphan"}).to_string();
    world.send(&admin(), "DELETE", &format!("{MAPS}/b"), &[], orphan).await;
    let left = world.get(&admin(), MAPS).await.body;
    let names: Vec<&str> = left["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["b1"]);
    assert_eq!(left["items"][0]["metadata"]["ownerReferences"], Value::Null);
}

#[tokio::test]
async fn preconditions_guard_a_deletion() {
    let world = World::new().await;
    let made = world.post(&admin(), MAPS, map("a", json!({}))).await.body;
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let wrong = json!({"preconditions": {"uid": "other"}}).to_string();
    let refused = world.send(&admin(), "DELETE", &format!("{MAPS}/a"), &[], wrong).await;
    let text = format!("Precondition failed: UID in precondition: other, UID in object meta: {uid}");
    assert_eq!(refused.status.as_u16(), 409);
    assert!(refused.body["message"].as_str().unwrap().ends_with(&text), "{}", refused.body);
}

#[tokio::test]
async fn a_dry_run_answers_and_stores_nothing() {
    let world = World::new().await;
    let before = world.store.revision();
    let path = format!("{MAPS}?dryRun=All");
    let made = world.post(&admin(), &path, map("a", json!({}))).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert!(made.body["metadata"]["uid"].is_string());
    assert_eq!(world.post(&admin(), &path, json!({"metadata": {"name": "A"}})).await.status.as_u16(), 422);
    let bad = world.post(&admin(), &format!("{MAPS}?dryRun=Some"), map("a", json!({}))).await;
    assert_eq!(bad.status.as_u16(), 422);
    assert_eq!(world.store.revision(), before);
}

#[tokio::test]
async fn generated_names_are_unique_and_a_name_wins() {
    let world = World::new().await;
    let mut object = map("x", json!({}));
    object["metadata"] = json!({"generateName": "token-"});
    let one = world.post(&admin(), MAPS, object.clone()).await.body;
    let two = world.post(&admin(), MAPS, object.clone()).await.body;
    assert!(one["metadata"]["name"].as_str().unwrap().starts_with("token-"));
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
    object["metadata"]["name"] = "chosen".into();
    assert_eq!(world.post(&admin(), MAPS, object).await.body["metadata"]["name"], "chosen");
}

#[tokio::test]
async fn unknown_fields_are_warned_of_or_refused() {
    let world = World::new().await;
    let mut object = map("a", json!({}));
    object["dtaa"] = json!({"k": "v"});
    let strict = world.post(&admin(), &format!("{MAPS}?fieldValidation=Strict"), object.clone()).await;
    assert_eq!(
        strict.says(),
        (
            400,
            r#"ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dtaa""#
        )
    );
    let warned = world.post(&admin(), MAPS, object).await;
    assert_eq!(warned.headers["warning"], r#"299 - "unknown field \"dtaa\"""#);
    assert_eq!(warned.body["dtaa"], Value::Null);
}

#[tokio::test]
async fn yaml_goes_in_and_out() {
    let world = World::new().await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: v\n";
    let headers = [("content-type", "application/yaml"), ("accept", "application/yaml")];
    let made = world.send(&admin(), "POST", MAPS, &headers, yaml).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(made.headers["content-type"], "application/yaml");
    assert!(made.body.as_str().unwrap().contains("kind: ConfigMap"), "{}", made.body);
    let bomb = "a: &a [x]\nb: *a\n";
    assert_eq!(world.send(&admin(), "POST", MAPS, &headers, bomb).await.status.as_u16(), 400);
}

#[tokio::test]
async fn people_with_curl_get_indented_json() {
    let world = World::new().await;
    let text = async |headers: &[(&str, &str)], path: &str| {
        let response = world.open(&admin(), "GET", path, headers, "").await;
        use http_body_util::BodyExt as _;
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    let plain = text(&[], "/api/v1/namespaces/default").await;
    assert!(plain.contains(r#""kind":"Namespace""#) && !plain.trim_end().contains('\n'), "{plain}");
    assert!(
        text(&[("user-agent", "curl/8")], "/api/v1/namespaces/default")
            .await
            .contains(r#""kind": "Namespace""#)
    );
    assert!(text(&[], "/api/v1/namespaces/default?pretty=true").await.contains(r#""kind": "Namespace""#));
}

#[tokio::test]
async fn impersonation_needs_the_right_and_then_holds() {
    let world = World::new().await;
    let headers = [("impersonate-user", "bob"), ("impersonate-group", "devs")];
    let path = "/apis/user.openshift.io/v1/users/~";
    let refused = world.send(&user("eve"), "GET", path, &headers, "").await;
    assert_eq!(
        refused.says(),
        (
            403,
            r#"users "bob" is forbidden: User "eve" cannot impersonate resource "users" in API group "" at the cluster scope"#
        )
    );
    let bob = world.send(&admin(), "GET", path, &headers, "").await;
    assert_eq!(bob.body["metadata"]["name"], "bob");
    assert_eq!(bob.body["groups"], json!(["devs", "system:authenticated"]));
    let world = &world;
    let named = async |headers: &[(&str, &str)]| {
        let reply = world.send(&admin(), "GET", path, headers, "").await;
        (reply.status.as_u16(), reply.body["metadata"]["name"].clone(), reply.body["groups"][0].clone())
    };
    let extern_devs = [("impersonate-user", "jörg"), ("impersonate-group", "Prüfer")];
    assert_eq!(named(&extern_devs).await, (200, json!("jörg"), json!("Prüfer")));
    assert_eq!(named(&[("impersonate-user", ""), ("impersonate-uid", "")]).await, named(&[]).await);
    let empty_extra = [("impersonate-user", "bob"), ("impersonate-extra-team", "")];
    assert_eq!(named(&empty_extra).await.1, "bob");
    let nobody = [("impersonate-user", ""), ("impersonate-group", "devs")];
    assert_eq!(named(&nobody).await.0, 500, "the caller's own rights were used");
}

#[tokio::test]
async fn an_apply_tells_what_is_missing_besides_the_object() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop";
    let role = json!({"metadata": {"name": "reader"}, "rules": []});
    assert_eq!(world.post(&ann, &format!("{rbac}/roles"), role).await.status, StatusCode::CREATED);
    let apply = async |users: &[&str]| {
        let subject =
            |name: &&str| json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name});
        let subjects: Vec<Value> = users.iter().map(subject).collect();
        let wanted = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "subjects": subjects,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        });
        let path = format!("{rbac}/rolebindings/readers?fieldManager=ann");
        let headers = [("content-type", "application/apply-patch+yaml")];
        world.send(&ann, "PATCH", &path, &headers, wanted.to_string()).await
    };
    assert_eq!(apply(&["bob"]).await.status, StatusCode::CREATED);
    assert_eq!(apply(&["bob", "carl"]).await.status, StatusCode::OK);
    assert_eq!(world.delete(&ann, &format!("{rbac}/roles/reader")).await.status, StatusCode::OK);
    let refused = apply(&["bob", "carl", "dora"]).await;
    assert_eq!(refused.says(), (404, r#"roles.rbac.authorization.k8s.io "reader" not found"#));
}

#[tokio::test]
async fn an_object_grows_up_to_its_limit() {
    const LIMIT: usize = 1_572_864;
    let world = World::new().await;
    let path = format!("{MAPS}/a");
    world.post(&admin(), MAPS, map("a", json!({}))).await;
    let size = || {
        let key = ObjectKey::new("configmaps", "default", "a");
        world.store.read(|tx| tx.get(&OBJECTS, &key)).unwrap().unwrap().0.len()
    };
    let pad = async |length: usize| {
        let entry = json!({
            "manager": "x", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {format!("f:{}", "x".repeat(length)): {}},
        });
        let patch = json!({"metadata": {"managedFields": [entry]}});
        world.patch(&admin(), &path, "merge-patch", patch).await
    };
    pad(1).await;
    let fits = LIMIT - size() + 1;
    let refused = pad(fits + 1).await;
    assert_eq!(refused.says(), (413, "Request entity is too large: limit is 1572864"));
    let taken = pad(fits).await;
    assert_eq!((taken.status, size()), (StatusCode::OK, LIMIT), "{}", taken.says().1);
    assert_eq!(world.delete(&admin(), &path).await.status, StatusCode::OK);
}
