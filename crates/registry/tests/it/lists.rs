//! Lists in pages.

use http::StatusCode;
use serde_json::{Value, json};

use crate::site::Site;

/// Follows links from `path` to the end and answers what each page held.
async fn pages(site: &Site, user: &str, path: &str, field: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), path.to_owned());
    loop {
        let answer = site.get(user, &next).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{next}: {}", answer.text());
        let items = answer.json().get(field).cloned().unwrap_or_default();
        pages.push(serde_json::from_value(items).unwrap());
        let link = answer.header("link");
        let Some((target, relation)) = link.strip_prefix('<').and_then(|link| link.split_once('>')) else {
            return pages;
        };
        assert_eq!(relation, "; rel=\"next\"");
        target.clone_into(&mut next);
    }
}

#[tokio::test]
async fn tags_come_in_order_and_once() {
    let site = Site::start().await;
    // Names that begin like others are the ones that listings lose.
    let mut tags = vec!["a", "a-b", "a.b", "a_b", "aa", "b", "A", "1", "10", "2"];
    for tag in &tags {
        site.push_image("developer", "shop/front", tag, b"layer").await;
    }
    tags.sort_unstable();
    for limit in [1, 3, 10, 11] {
        let pages = pages(&site, "puller", &format!("/v2/shop/front/tags/list?n={limit}"), "tags").await;
        assert_eq!(pages.concat(), tags, "n={limit}");
        assert!(pages.iter().all(|page| page.len() <= limit), "n={limit}");
    }
    assert_eq!(pages(&site, "puller", "/v2/shop/front/tags/list", "tags").await, [tags.clone()]);
    let after = pages(&site, "puller", "/v2/shop/front/tags/list?last=a.b", "tags").await.concat();
    assert_eq!(after, ["a_b", "aa", "b"]);
    let none = site.get("puller", "/v2/shop/front/tags/list?n=0").send().await;
    assert_eq!((none.json()["tags"].clone(), none.header("link")), (json!([]), ""));
    let bad = site.get("puller", "/v2/shop/front/tags/list?n=-1").send().await;
    assert_eq!((bad.status, bad.code().as_str()), (StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID"));
}

#[tokio::test]
async fn the_catalog_is_for_those_who_see_the_cluster() {
    let site = Site::start().await;
    for (user, repository) in
        [("developer", "shop/front"), ("developer", "shop/back"), ("stranger", "other/x")]
    {
        site.push_image(user, repository, "v1", b"layer").await;
    }
    let pages = pages(&site, "admin", "/v2/_catalog?n=2", "repositories").await;
    assert_eq!(pages, [vec!["other/x", "shop/back"], vec!["shop/front"]]);
    let denied = site.get("developer", "/v2/_catalog").send().await;
    assert_eq!(denied.status, StatusCode::UNAUTHORIZED);
    let zero = site.get("admin", "/v2/_catalog?n=0").send().await;
    assert_eq!((zero.status, zero.code().as_str()), (StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID"));
}

#[tokio::test]
async fn nobody_refers_to_what_does_not_exist() {
    let site = Site::start().await;
    let path = format!("/v2/shop/never/referrers/sha256:{}", "0".repeat(64));
    let answer = site.get("developer", &path).send().await;
    assert_eq!(answer.status, StatusCode::OK);
    let index: Value = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [],
    });
    assert_eq!(answer.json(), index);
}
