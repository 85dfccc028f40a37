//! Projects: asked for by users, seen by members, emptied before they go.

use http::StatusCode;
use pierhead_apiserver::{ProjectLimit, ProjectLimits};
use serde_json::{Value, json};

use crate::world::{World, admin, user};

const PROJECTS: &str = "/apis/project.openshift.io/v1/projects";
const REQUESTS: &str = "/apis/project.openshift.io/v1/projectrequests";

fn request(name: &str) -> Value {
    json!({"kind": "ProjectRequest", "apiVersion": "project.openshift.io/v1", "metadata": {"name": name}, "displayName": "The Shop"})
}

#[tokio::test]
async fn a_user_asks_for_a_project_and_owns_it() {
    let world = World::new().await;
    let ann = user("ann");
    assert_eq!(world.get(&ann, REQUESTS).await.body["status"], "Success");
    let made = world.post(&ann, REQUESTS, request("shop")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!((&made.body["kind"], &made.body["status"]["phase"]), (&json!("Project"), &json!("Active")));
    assert_eq!(made.body["metadata"]["annotations"]["openshift.io/requester"], "ann");
    assert_eq!(made.body["metadata"]["annotations"]["openshift.io/display-name"], "The Shop");
    let namespace = world.get(&ann, "/api/v1/namespaces/shop").await.body;
    for field in ["uid", "resourceVersion"] {
        assert_eq!(namespace["metadata"][field], made.body["metadata"][field]);
    }
    let accounts = world.get(&ann, "/api/v1/namespaces/shop/serviceaccounts").await.body;
    let names: Vec<&str> = accounts["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["builder", "default", "deployer"]);
    let again = world.post(&user("bob"), REQUESTS, request("shop")).await;
    assert_eq!(again.says(), (409, r#"project "shop" already exists"#));
    let dry = format!("{REQUESTS}?dryRun=All");
    let tried = world.post(&user("bob"), &dry, request("shop")).await;
    assert_eq!(tried.says(), (409, r#"project "shop" already exists"#));
    let tried = world.post(&user("bob"), &dry, request("new")).await;
    assert_eq!(tried.status, StatusCode::CREATED, "{}", tried.body);
    assert_eq!(world.get(&admin(), "/api/v1/namespaces/new").await.status, StatusCode::NOT_FOUND);
    let tokens = "/api/v1/namespaces/shop/serviceaccounts/default/token";
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    for (path, is_signed) in [(tokens.to_owned(), true), (format!("{tokens}?dryRun=All"), false)] {
        let made = world.post(&ann, &path, token.clone()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        assert_eq!(made.body["status"]["token"].as_str().is_some_and(|token| !token.is_empty()), is_signed);
    }
    assert_eq!(world.post(&ann, REQUESTS, request("x")).await.status.as_u16(), 422);
}

#[tokio::test]
async fn who_may_not_ask_is_told_so() {
    let world = World::new().await;
    let service = pierhead_auth::Subject::system("system:serviceaccount:a:b", &["system:authenticated"]);
    let text = "You may not request a new project via this API.";
    assert_eq!(world.get(&service, REQUESTS).await.says(), (403, text));
    assert_eq!(world.post(&service, REQUESTS, request("shop")).await.status, StatusCode::FORBIDDEN);
}

/// The User of a name, with labels.
async fn labelled(world: &World, name: &str, labels: Value) {
    let user = json!({"metadata": {"name": name, "labels": labels}});
    let made = world.post(&admin(), "/apis/user.openshift.io/v1/users", user).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
}

#[tokio::test]
async fn who_may_not_ask_is_told_what_the_administrator_says() {
    let text = "Projects are made by the platform team: write to them.";
    let world = World::with(|config| config.project_requests.message = Some(text.to_owned())).await;
    let service = pierhead_auth::Subject::system("system:serviceaccount:a:b", &["system:authenticated"]);
    let refused = world.get(&service, REQUESTS).await;
    assert_eq!(refused.says(), (403, text));
    let details = json!({"kind": "ProjectRequest", "causes": [{"message": text}]});
    assert_eq!(refused.body["details"], details);
    for path in [REQUESTS, "/oapi/v1/projectrequests"] {
        assert_eq!(world.post(&service, path, request("shop")).await.says(), (403, text));
    }
    assert_eq!(world.get(&user("ann"), REQUESTS).await.status, StatusCode::OK);
    // It is said of nothing else.
    let other = world.post(&service, PROJECTS, json!({"metadata": {"name": "shop"}})).await;
    assert_ne!(other.says(), (403, text));
}

#[tokio::test]
async fn nobody_gets_more_projects_than_their_labels_allow() {
    let world = World::with(|config| {
        let gold = ProjectLimit { selector: [("level".into(), "gold".into())].into(), most: None };
        let iron = ProjectLimit { selector: [("level".into(), "iron".into())].into(), most: Some(2) };
        config.project_requests.limits = ProjectLimits {
            users: vec![gold, iron, ProjectLimit { most: Some(1), ..ProjectLimit::default() }],
            system_users: Some(1),
            service_accounts: Some(0),
        };
    })
    .await;
    labelled(&world, "ann", json!({"level": "gold"})).await;
    labelled(&world, "bob", json!({"level": "iron"})).await;
    labelled(&world, "eve", json!({"colour": "red"})).await;
    let robot = pierhead_auth::Subject::system(
        "system:serviceaccount:a:b",
        &["system:authenticated", "system:authenticated:oauth"],
    );
    // Who has no User has no labels.
    let rows = [
        (user("ann"), None),
        (user("bob"), Some(2)),
        (user("eve"), Some(1)),
        (user("joe"), Some(1)),
        (admin(), Some(1)),
        (robot, Some(0)),
    ];
    for (number, (who, most)) in rows.into_iter().enumerate() {
        for had in 0..3 {
            let name = format!("p{number}-{had}");
            let dry = world.post(&who, &format!("{REQUESTS}?dryRun=All"), request(&name)).await;
            let made = world.post(&who, REQUESTS, request(&name)).await;
            let text = most.filter(|most| had >= *most).map(|most| {
                format!(
                    "projectrequests.project.openshift.io {name:?} is forbidden: user {} cannot create more than \
                     {most} project(s).",
                    who.username
                )
            });
            let expected = text.as_ref().map_or((201, ""), |text| (403, text.as_str()));
            assert_eq!((made.status.as_u16(), made.says().1), expected);
            assert_eq!(dry.says(), made.says());
        }
    }
}

#[tokio::test]
async fn of_projects_that_end_two_do_not_count() {
    let world = World::with(|config| {
        config.project_requests.limits.users =
            vec![ProjectLimit { most: Some(1), ..ProjectLimit::default() }];
    })
    .await;
    let ann = user("ann");
    for name in ["one", "two", "three"] {
        world.project(&ann, name).await;
        let over = world.post(&ann, REQUESTS, request("more")).await;
        assert_eq!(over.status, StatusCode::FORBIDDEN, "{}", over.body);
        world.delete(&ann, &format!("{PROJECTS}/{name}")).await;
    }
    let over = world.post(&ann, REQUESTS, request("more")).await;
    assert_eq!(over.status, StatusCode::FORBIDDEN, "{}", over.body);
    // Somebody else's do not either, nor those that were made for somebody.
    world.project(&user("bob"), "bank").await;
}

#[tokio::test]
async fn many_requests_at_once_stay_within_the_limit() {
    let world = World::with(|config| {
        config.project_requests.limits.users =
            vec![ProjectLimit { most: Some(3), ..ProjectLimit::default() }];
    })
    .await;
    let ann = user("ann");
    let names: Vec<String> = (0..12).map(|number| format!("p{number}")).collect();
    let asked = names.iter().map(|name| world.post(&ann, REQUESTS, request(name)));
    let answers = futures_util::future::join_all(asked).await;
    let made = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert_eq!(
        (made, answers.iter().filter(|answer| answer.status == StatusCode::FORBIDDEN).count()),
        (3, 9)
    );
}

#[tokio::test]
async fn everybody_sees_their_own() {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    world.project(&user("bob"), "bank").await;
    let names = async |who: &str| {
        let list = world.get(&user(who), PROJECTS).await.body;
        assert_eq!(list["kind"], "ProjectList");
        let items = list["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("ann").await, ["shop"]);
    assert_eq!(names("bob").await, ["bank"]);
    assert!(names("eve").await.is_empty());
    for path in ["shop", "none"] {
        assert_eq!(
            world.get(&user("bob"), &format!("{PROJECTS}/{path}")).await.status,
            StatusCode::FORBIDDEN
        );
    }
    assert_eq!(world.get(&admin(), &format!("{PROJECTS}/none")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn only_words_for_people_change() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let path = format!("{PROJECTS}/shop");
    let shown = json!({"metadata": {"annotations": {"openshift.io/display-name": "New"}}, "status": {"phase": "Gone"}});
    let changed = world.patch(&ann, &path, "merge-patch", shown).await.body;
    assert_eq!(changed["metadata"]["annotations"]["openshift.io/display-name"], "New");
    assert_eq!(changed["status"]["phase"], "Active");
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    let refused = world.patch(&ann, &path, "merge-patch", label).await;
    assert_eq!(refused.status.as_u16(), 422);
    assert!(
        refused.body["message"].as_str().unwrap().contains("field is immutable, try updating the namespace")
    );
    let mut whole = changed;
    whole["metadata"]["resourceVersion"] = Value::Null;
    let blind = world.put(&ann, &path, whole).await;
    assert_eq!(blind.status.as_u16(), 422);
    assert!(blind.body["message"].as_str().unwrap().contains("must be specified for an update"));
}

#[tokio::test]
async fn a_project_is_emptied_before_it_goes() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let deleted = world.delete(&ann, &format!("{PROJECTS}/shop")).await;
    assert_eq!((deleted.status, &deleted.body["status"]), (StatusCode::OK, &json!("Success")));
    let mut namespace = world.get(&admin(), "/api/v1/namespaces/shop").await.body;
    assert_eq!(namespace["status"]["phase"], "Terminating");
    let map = json!({"metadata": {"name": "late"}});
    let late = world.post(&admin(), "/api/v1/namespaces/shop/configmaps", map).await;
    assert_eq!(
        late.says(),
        (
            403,
            r#"configmaps "late" is forbidden: unable to create new content in namespace shop because it is being terminated"#
        )
    );
    namespace["spec"]["finalizers"] = json!([]);
    let done = world.put(&admin(), "/api/v1/namespaces/shop/finalize", namespace).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert_eq!(world.get(&admin(), "/api/v1/namespaces/shop").await.status, StatusCode::NOT_FOUND);
}

/// Blobs come before streams, and are no objects that anybody could empty a project of.
#[tokio::test]
async fn blobs_of_a_project_are_not_its_successors() {
    let world = World::new().await;
    let clock = pierhead_runtime::ManualClock::default().shared();
    let config = pierhead_images::Config::new("172.30.0.1:5000");
    let blobs = pierhead_blobs::Blobs::memory(clock.clone());
    let images = pierhead_images::Images::open(world.store.clone(), blobs, config, clock).unwrap();
    let (ann, bob) = (user("ann"), user("bob"));
    world.project(&ann, "shop").await;
    let push = world.auth.permit_push(&ann, "shop", "web").unwrap();
    let id = images.start_upload(&push).await.unwrap();
    let mut upload = images.upload(&push, id).await.unwrap();
    upload.append("secret".into()).await.unwrap();
    let digest = pierhead_oci::Digest::sha256(b"secret");
    upload.commit(&digest).await.unwrap();
    world.delete(&ann, &format!("{PROJECTS}/shop")).await;
    let mut namespace = world.get(&admin(), "/api/v1/namespaces/shop").await.body;
    namespace["spec"]["finalizers"] = json!([]);
    world.put(&admin(), "/api/v1/namespaces/shop/finalize", namespace).await;
    world.project(&bob, "shop").await;
    let pull = world.auth.permit_pull(&bob, "shop", "web").unwrap();
    let found = images.blob(&pull, &digest).await;
    assert!(matches!(found, Err(pierhead_images::PullError::BlobUnknown { .. })), "{found:?}");
}

#[tokio::test]
async fn the_old_prefix_says_v1() {
    let world = World::new().await;
    let ann = user("ann");
    let old = json!({"kind": "ProjectRequest", "apiVersion": "v1", "metadata": {"name": "shop"}});
    let made = world.post(&ann, "/oapi/v1/projectrequests", old).await;
    assert_eq!((made.status, &made.body["apiVersion"]), (StatusCode::CREATED, &json!("v1")), "{}", made.body);
    let list = world.get(&ann, "/oapi/v1/projects").await.body;
    assert_eq!((&list["apiVersion"], &list["items"][0]["apiVersion"]), (&json!("v1"), &json!("v1")));
}
