//! What the server says of itself agrees with what it does.

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, admin, user};

#[tokio::test]
async fn the_basics_answer_anybody() {
    let world = World::new().await;
    let anonymous = pierhead_auth::Subject::anonymous();
    for (path, expected) in [("/healthz", json!("ok")), ("/livez", json!("ok")), ("/readyz", json!("ok"))] {
        assert_eq!(world.get(&anonymous, path).await.body, expected, "{path}");
    }
    let paths = world.get(&anonymous, "/").await.body["paths"].clone();
    assert!(paths.as_array().unwrap().contains(&json!("/apis/image.openshift.io/v1")), "{paths}");
    let head = world.send(&anonymous, "HEAD", "/", &[], "").await;
    assert_eq!(
        (head.status, &head.headers["content-type"]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    assert_eq!(head.body, "");
    assert_eq!(world.get(&anonymous, "/version").await.body["major"], "1");
    assert_eq!(world.get(&anonymous, "/version/openshift").await.body["gitVersion"], "v3.2.0");
    assert_eq!(world.get(&admin(), "/nothing").await.status, StatusCode::NOT_FOUND);
}

/// Every resource of every list, in one line each.
async fn announced(world: &World, prefix: &str) -> Vec<String> {
    let list = world.get(&user("ann"), prefix).await.body;
    list["resources"]
        .as_array()
        .unwrap_or_else(|| panic!("{prefix}: {list}"))
        .iter()
        .map(|resource| {
            let words = |field: &str| {
                let list = resource[field].as_array().cloned().unwrap_or_default();
                list.iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>().join(",")
            };
            let text = |field: &str| resource[field].as_str().unwrap_or_default().to_owned();
            let (name, kind) = (text("name"), text("kind"));
            format!("{name} {kind} {} [{}]", words("verbs"), words("shortNames")).replace(" []", "")
        })
        .collect()
}

#[tokio::test]
async fn the_image_group_is_announced_as_in_openshift() {
    let world = World::new().await;
    insta::assert_snapshot!(announced(&world, "/apis/image.openshift.io/v1").await.join("\n"), @r"
    images Image create,delete,deletecollection,get,list,patch,update,watch
    imagesignatures ImageSignature create,delete
    imagestreamimages ImageStreamImage get [isimage]
    imagestreamimports ImageStreamImport create
    imagestreammappings ImageStreamMapping create
    imagestreams ImageStream create,delete,deletecollection,get,list,patch,update,watch [is]
    imagestreams/layers ImageStreamLayers get
    imagestreams/secrets SecretList get
    imagestreams/status ImageStream get,patch,update
    imagestreamtags ImageStreamTag create,delete,get,list,patch,update [istag]
    imagetags ImageTag create,delete,get,list,patch,update [itag]
    ");
}

#[tokio::test]
async fn old_kinds_are_announced_in_the_core_group_under_other_names() {
    let world = World::new().await;
    let core = announced(&world, "/api/v1").await;
    assert!(core.iter().any(|line| line.starts_with("legacyimagestreams ImageStream ")), "{core:?}");
    assert!(!core.iter().any(|line| line.starts_with("imagestreams ")), "{core:?}");
    let old = announced(&world, "/oapi/v1").await;
    assert!(old.iter().any(|line| line.starts_with("imagestreams ImageStream ")), "{old:?}");
    assert!(
        !old.iter().any(|line| line.starts_with("imagetags ") || line.starts_with("secrets ")),
        "{old:?}"
    );
}

#[tokio::test]
async fn both_forms_of_discovery_say_the_same() {
    let world = World::new().await;
    let ann = user("ann");
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let reply = world.send(&ann, "GET", "/apis", &[("accept", accept)], "").await;
    assert_eq!(reply.headers["content-type"], accept);
    let etag = reply.headers["etag"].to_str().unwrap().to_owned();
    let cached = [("accept", accept), ("if-none-match", etag.as_str())];
    assert_eq!(world.send(&ann, "GET", "/apis", &cached, "").await.status, StatusCode::NOT_MODIFIED);
    let groups = world.get(&ann, "/apis").await.body;
    assert_eq!(groups["kind"], "APIGroupList");
    let mut aggregated = 0;
    for (item, group) in
        reply.body["items"].as_array().unwrap().iter().zip(groups["groups"].as_array().unwrap())
    {
        assert_eq!(item["metadata"]["name"], group["name"]);
        let path = format!("/apis/{}", group["preferredVersion"]["groupVersion"].as_str().unwrap());
        let mut names: Vec<String> = Vec::new();
        for resource in item["versions"][0]["resources"].as_array().unwrap() {
            let name = resource["resource"].as_str().unwrap();
            names.push(name.to_owned());
            let subs = resource["subresources"].as_array().cloned().unwrap_or_default();
            names.extend(subs.iter().map(|sub| format!("{name}/{}", sub["subresource"].as_str().unwrap())));
            assert!(resource["responseKind"]["kind"].as_str().is_some_and(|kind| !kind.is_empty()));
        }
        names.sort();
        let listed = announced(&world, &path).await;
        let mut listed: Vec<&str> = listed.iter().map(|line| line.split(' ').next().unwrap()).collect();
        listed.sort_unstable();
        assert_eq!(names, listed, "{path}");
        aggregated += names.len();
    }
    assert!(aggregated > 20);
}

#[tokio::test]
async fn clients_find_what_they_probe_in_openapi() {
    let world = World::new().await;
    let ann = user("ann");
    let index = world.get(&ann, "/openapi/v3").await.body;
    let urls: Vec<&Value> = index["paths"].as_object().unwrap().values().collect();
    for url in urls {
        let url = url["serverRelativeURL"].as_str().unwrap();
        let document = world.get(&ann, url).await.body;
        let patches = document["paths"].as_object().unwrap().iter().filter_map(|(path, item)| {
            let patch = item.get("patch")?;
            Some((path, patch))
        });
        for (path, patch) in patches {
            let kind = &patch["x-kubernetes-group-version-kind"];
            assert!(kind["kind"].is_string(), "{path}");
            let names: Vec<&str> =
                patch["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
            assert!(names.contains(&"fieldValidation") && names.contains(&"dryRun"), "{path}");
            let body = &patch["requestBody"]["content"];
            assert!(body.get("application/strategic-merge-patch+json").is_some(), "{path}");
            let mut schemas = document["components"]["schemas"].as_object().unwrap().values();
            let is_kind = |schema: &Value| {
                let kinds = schema["x-kubernetes-group-version-kind"].as_array();
                kinds.is_some_and(|kinds| kinds.contains(kind))
            };
            assert!(schemas.any(is_kind), "{path}: {kind}");
        }
    }
    let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let v2 = world.open(&ann, "GET", "/openapi/v2", &[("accept", accept)], "").await;
    assert_eq!(v2.headers()["content-type"], "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
}

#[tokio::test]
async fn the_configuration_of_the_cluster_can_be_read() {
    let world = World::with(|config| config.project_requests.message = Some("Ask ann".to_owned())).await;
    let read = async |path: &str| world.get(&admin(), &format!("/apis/config.openshift.io/v1/{path}")).await;
    assert_eq!(read("projects/cluster").await.body["spec"]["projectRequestMessage"], "Ask ann");
    let tokens = json!({"accessTokenMaxAgeSeconds": 86_400});
    assert_eq!(read("oauths/cluster").await.body["spec"]["tokenConfig"], tokens);
    let version = read("clusterversions/version").await.body;
    assert_eq!(version["status"]["history"][0]["state"], "Completed");
    assert_eq!(version["status"]["history"][0]["version"], "3.2.0");
    let image = read("images/cluster").await.body;
    assert_eq!(image["status"]["internalRegistryHostname"], "172.30.0.1:5000");
    assert_eq!(read("ingresses/cluster").await.body["spec"]["domain"], "apps.example.com");
    assert_eq!(read("images").await.body["items"][0]["metadata"]["name"], "cluster");
    assert_eq!(read("images/other").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        world.get(&user("ann"), "/apis/config.openshift.io/v1/images").await.status,
        StatusCode::FORBIDDEN
    );
    // Unqualified names go to the first group that has them, so this one comes last.
    let groups = world.get(&admin(), "/apis").await.body;
    assert_eq!(groups["groups"].as_array().unwrap().last().unwrap()["name"], "config.openshift.io");
}

#[tokio::test]
async fn health_names_its_checks() {
    let world = World::new().await;
    let anonymous = pierhead_auth::Subject::anonymous();
    let reply = world.get(&anonymous, "/readyz?verbose").await.body;
    assert_eq!(reply, "[+]ping ok\n[+]store ok\nreadyz check passed\n");
}

#[tokio::test]
async fn strangers_may_do_nothing_to_any_kind() {
    let world = World::new().await;
    let stranger = pierhead_auth::Subject::anonymous();
    let mut open = Vec::new();
    let groups = world.get(&admin(), "/apis").await.body;
    let mut prefixes = vec!["/api/v1".to_owned(), "/oapi/v1".to_owned()];
    for group in groups["groups"].as_array().unwrap() {
        prefixes.push(format!("/apis/{}", group["preferredVersion"]["groupVersion"].as_str().unwrap()));
    }
    for prefix in prefixes {
        let list = world.get(&admin(), &prefix).await.body;
        for resource in list["resources"].as_array().unwrap() {
            let name = resource["name"].as_str().unwrap();
            let Some(plural) = (!name.contains('/')).then_some(name) else { continue };
            let namespace = if resource["namespaced"] == true { "/namespaces/default" } else { "" };
            for verb in resource["verbs"].as_array().unwrap() {
                let (method, path) = match verb.as_str().unwrap() {
                    "create" => ("POST", format!("{prefix}{namespace}/{plural}")),
                    "list" => ("GET", format!("{prefix}{namespace}/{plural}")),
                    "watch" => ("GET", format!("{prefix}{namespace}/{plural}?watch=true&timeoutSeconds=1")),
                    "deletecollection" => ("DELETE", format!("{prefix}{namespace}/{plural}")),
                    "get" => ("GET", format!("{prefix}{namespace}/{plural}/x")),
                    "update" => ("PUT", format!("{prefix}{namespace}/{plural}/x")),
                    "patch" => ("PATCH", format!("{prefix}{namespace}/{plural}/x")),
                    _ => ("DELETE", format!("{prefix}{namespace}/{plural}/x")),
                };
                let status = world.send(&stranger, method, &path, &[], "{}").await.status;
                if status != StatusCode::FORBIDDEN {
                    open.push(format!("{method} {path}: {}", status.as_u16()));
                }
            }
        }
    }
    // What the rules of 2016 give everybody: questions about oneself, and ending a token one holds.
    insta::assert_debug_snapshot!(open, @r#"
    [
        "DELETE /api/v1/legacyoauthaccesstokens/x: 404",
        "DELETE /api/v1/legacyoauthauthorizetokens/x: 404",
        "POST /api/v1/namespaces/default/legacyselfsubjectrulesreviews: 201",
        "DELETE /oapi/v1/oauthaccesstokens/x: 404",
        "DELETE /oapi/v1/oauthauthorizetokens/x: 404",
        "POST /oapi/v1/namespaces/default/selfsubjectrulesreviews: 201",
        "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews: 422",
        "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews: 400",
        "POST /apis/authorization.openshift.io/v1/namespaces/default/selfsubjectrulesreviews: 201",
        "DELETE /apis/oauth.openshift.io/v1/oauthaccesstokens/x: 404",
        "DELETE /apis/oauth.openshift.io/v1/oauthauthorizetokens/x: 404",
    ]
    "#);
}
