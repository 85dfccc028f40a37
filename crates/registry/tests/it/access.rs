//! Who may do what, and how little those learn who may not.

use http::{Method, StatusCode};
use pierhead_oci::Digest;
use serde_json::json;

use crate::site::{Answer, Site, token};

#[tokio::test]
async fn nobody_is_told_where_to_get_a_token() {
    let site = Site::start().await;
    let answer = site.get("", "/v2/").send().await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let realm = "Bearer realm=\"http://registry.example.com:5000/openshift/token\"";
    assert_eq!(answer.header("www-authenticate"), realm);
    assert_eq!(answer.code(), "UNAUTHORIZED");

    let answer = site.get("", "/v2/").header("x-forwarded-proto", "https").header("x-forwarded-host", "r.io");
    let answer = answer.send().await;
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"https://r.io/openshift/token\"");

    let detail = site.get("", "/v2/shop/front/tags/list").send().await.json();
    let access = json!([{ "Type": "repository", "Class": "", "Name": "shop/front", "Action": "pull" }]);
    assert_eq!(detail.pointer("/errors/0/detail"), Some(&access));
    assert_eq!(site.get("", "/healthz").send().await.status, StatusCode::OK);
    assert_eq!(site.get("", "/").send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_token_is_the_password() {
    let site = Site::start().await;
    let basic =
        |encoded: &str| site.get("", "/openshift/token").header("authorization", &format!("Basic {encoded}"));
    // `any:sha256~developer`, `any:sha256~nobody`, `any:`.
    let granted = basic("YW55OnNoYTI1Nn5kZXZlbG9wZXI=").send().await;
    let token = token("developer");
    assert_eq!(granted.json(), json!({ "access_token": token, "token": token }));
    for refused in ["YW55OnNoYTI1Nn5ub2JvZHk=", "YW55Og==", "%"] {
        let answer = basic(refused).send().await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::UNAUTHORIZED, 0), "{refused}");
    }
    let anonymous = site.get("", "/openshift/token").send().await;
    assert_eq!(anonymous.json(), json!({ "access_token": "anonymous", "token": "anonymous" }));
    let post = site.post("", "/openshift/token").body("grant_type=password").send().await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
    let bad_scope = site.get("", "/openshift/token?scope=repository:front:pull").send().await;
    assert_eq!(bad_scope.status, StatusCode::UNAUTHORIZED);

    let login =
        site.get("", "/v2/").header("authorization", "Basic YW55OnNoYTI1Nn5kZXZlbG9wZXI=").send().await;
    assert_eq!((login.status, login.text()), (StatusCode::OK, "{}"));
    assert_eq!(site.get("anonymous", "/v2/").send().await.status, StatusCode::OK);
    let gone = site.get("nobody", "/v2/").send().await;
    assert_eq!(gone.header("www-authenticate"), "Basic realm=openshift,error=\"access denied\"");
    let empty = site.get("", "/v2/").header("authorization", "Basic YW55Og==").send().await;
    assert_eq!(
        empty.header("www-authenticate"),
        "Basic realm=openshift,error=\"failed to decode credentials\""
    );
}

#[tokio::test]
async fn a_revoked_token_stops_at_once() {
    let site = Site::start().await;
    let path = "/v2/shop/front/blobs/uploads/";
    let location = site.post("developer", path).send().await.location();
    let name = pierhead_auth::oauth_object_name(&token("developer")).unwrap();
    site.delete_object("oauthaccesstokens.oauth.openshift.io", "", &name).await;
    let answer = site.request("developer", Method::PATCH, &location).body("x").send().await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

/// What an answer tells, with the name that was asked for taken out.
fn told(answer: &Answer, repository: &str) -> (StatusCode, String, String) {
    let text = answer.text().replace(repository, "REPOSITORY");
    let headers: Vec<_> = answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    (answer.status, headers.join("\n"), text)
}

#[tokio::test]
async fn what_is_foreign_looks_like_what_never_was() {
    let site = Site::start().await;
    let manifest = site.push_image("developer", "shop/front", "v1", b"layer").await;
    let (image, layer) = (Digest::sha256(&manifest), Digest::sha256(b"layer"));
    let paths = [
        (Method::GET, "tags/list".to_owned()),
        (Method::GET, "manifests/v1".to_owned()),
        (Method::HEAD, "manifests/v1".to_owned()),
        (Method::GET, format!("manifests/{image}")),
        (Method::GET, format!("blobs/{layer}")),
        (Method::HEAD, format!("blobs/{layer}")),
        (Method::GET, format!("referrers/{image}")),
        (Method::POST, "blobs/uploads/".to_owned()),
        (Method::PUT, "manifests/v2".to_owned()),
        (Method::DELETE, "manifests/v1".to_owned()),
    ];
    for user in ["stranger", "anonymous"] {
        for (method, path) in &paths {
            let ask = async |repository: &str| {
                let answer =
                    site.request(user, method.clone(), &format!("/v2/{repository}/{path}")).send().await;
                told(&answer, repository)
            };
            let foreign = ask("shop/front").await;
            assert_eq!(foreign.0, StatusCode::UNAUTHORIZED, "{user} {method} {path}");
            assert_eq!(foreign, ask("shop/never").await, "{user} {method} {path}");
        }
    }
    // Their own repository has the foreign layer neither.
    site.push_image("stranger", "other/back", "v1", b"own layer").await;
    let answer = site.get("stranger", &format!("/v2/other/back/blobs/{layer}")).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"));
    let answer = site.get("stranger", &format!("/v2/other/back/manifests/{image}")).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"));
}

#[tokio::test]
async fn blobs_are_mounted_from_where_one_may_read() {
    let site = Site::start().await;
    site.push_image("developer", "shop/front", "v1", b"layer").await;
    let layer = Digest::sha256(b"layer");
    let mount = async |user: &str, to: &str, from: &str| {
        let path = format!("/v2/{to}/blobs/uploads/?mount={layer}{from}");
        site.post(user, &path).send().await.status
    };
    let refused = ["&from=shop/front", "&from=shop/never", "&from=never/never", "&from=Bad", ""];
    for from in refused {
        assert_eq!(mount("stranger", "other/back", from).await, StatusCode::ACCEPTED, "{from}");
    }
    assert_eq!(mount("developer", "shop/back", "&from=shop/never").await, StatusCode::ACCEPTED);
    assert_eq!(mount("developer", "shop/back", "&from=shop/front").await, StatusCode::CREATED);
    assert_eq!(mount("developer", "shop/side", "").await, StatusCode::CREATED);
    let answer = site.get("developer", &format!("/v2/shop/side/blobs/{layer}")).send().await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "layer"));
    assert_eq!(mount("puller", "shop/back", "&from=shop/front").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn other_spellings_open_no_door() {
    let site = Site::start().await;
    site.push_image("developer", "shop/front", "v1", b"layer").await;
    for path in [
        "/v2/shop/front/manifests/v1/",
        "/v2//shop/front/manifests/v1",
        "/v2/shop//front/manifests/v1",
        "/v2/shop/front/manifests//v1",
        "/v2/./shop/front/manifests/v1",
        "/v2/other/../shop/front/manifests/v1",
        "/v2/shop%2Ffront/manifests/v1",
        "/v2/shop/front%2Fmanifests/v1",
        "/v2/Shop/front/manifests/v1",
        "/v2/shop/front/manifests/v1;x",
        "/v2/shop/front/manifests/v1%00",
        "/V2/shop/front/manifests/v1",
        "/v2/shop/front/MANIFESTS/v1",
        "/v2/shop/front/manifests/%76%31",
        "//v2/shop/front/manifests/v1",
    ] {
        for user in ["developer", "anonymous", ""] {
            let status = site.get(user, path).send().await.status;
            assert!(status.is_client_error(), "{user} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn methods_are_listed_where_one_is_wrong() {
    let site = Site::start().await;
    for (path, allowed) in [
        ("/v2/", "GET, HEAD"),
        ("/v2/_catalog", "GET, HEAD"),
        ("/v2/shop/front/tags/list", "GET, HEAD"),
        ("/v2/shop/front/manifests/v1", "GET, HEAD, PUT, DELETE"),
        ("/v2/shop/front/blobs/uploads/", "POST"),
    ] {
        let answer = site.request("developer", Method::OPTIONS, path).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"));
        assert_eq!(answer.header("allow"), allowed, "{path}");
    }
    assert!(site.metrics.encode().contains("code=\"405\",handler=\"manifest\",method=\"other\"} 1"));
}

#[tokio::test]
async fn paths_have_a_limit() {
    let site = Site::start().await;
    let prefix = "/v2/shop/front/tags/list?last=";
    let longest = format!("{prefix}{}", "a".repeat((8 << 10) - prefix.len()));
    assert_eq!(site.get("developer", &longest).send().await.code(), "NAME_UNKNOWN");
    let answer = site.get("developer", &format!("{longest}a")).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::URI_TOO_LONG, "UNSUPPORTED"));
}
