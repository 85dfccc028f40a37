//! Documents as clients send them survive being read and written, and nothing in them is unknown.

use pierhead_api::{
    Object, authn, authorization, authz, core, image, meta, oauth, project, rbac, route, user,
};
use pierhead_api::{from_value, from_value_strict, to_value};
use serde_json::{Value, json};

/// Reading `document` finds nothing unknown, and writing it gives `document` again, except for members the server
/// always writes.
#[track_caller]
fn check<T: Object>(mut document: Value) {
    let envelope = document.as_object_mut().unwrap();
    envelope.insert("apiVersion".into(), T::api_version().into());
    envelope.insert("kind".into(), T::KIND.into());
    let (object, unknown) = from_value_strict::<T>(&document).unwrap();
    assert!(unknown.is_empty(), "{}: unknown {unknown:?}", T::KIND);
    let written = to_value(&object);
    assert_contains(&written, &document, T::KIND);
    let again = to_value(&from_value::<T>(&written).unwrap());
    assert_eq!(again, written, "{}: reading what was written", T::KIND);
}

#[track_caller]
fn assert_contains(written: &Value, expected: &Value, path: &str) {
    match (written, expected) {
        (Value::Object(written), Value::Object(expected)) => {
            for (name, value) in expected {
                let path = format!("{path}.{name}");
                let found = written.get(name).unwrap_or_else(|| panic!("{path} was not written"));
                assert_contains(found, value, &path);
            }
        }
        (Value::Array(written), Value::Array(expected)) => {
            assert_eq!(written.len(), expected.len(), "{path}");
            for (index, (found, value)) in written.iter().zip(expected).enumerate() {
                assert_contains(found, value, &format!("{path}[{index}]"));
            }
        }
        _ => assert_eq!(written, expected, "{path}"),
    }
}

fn metadata() -> Value {
    json!({
        "name": "x", "namespace": "shop", "uid": "c3a9f7e0-0000-4000-8000-000000000000", "resourceVersion": "42",
        "generation": 2, "creationTimestamp": "2016-05-01T12:00:00Z", "labels": {"a": "b"},
        "annotations": {"c": "d"}, "finalizers": ["example.com/x"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "u", "controller": true}],
    })
}

#[test]
fn core_kinds() {
    check::<core::Namespace>(json!({
        "metadata": metadata(), "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    }));
    check::<core::Secret>(json!({
        "metadata": metadata(), "type": "Opaque", "data": {"token": "aGVsbG8="}, "immutable": false,
    }));
    check::<core::ConfigMap>(
        json!({"metadata": metadata(), "data": {"a": "b"}, "binaryData": {"c": "AAE="}}),
    );
    check::<core::ServiceAccount>(json!({
        "metadata": metadata(), "secrets": [{"name": "x-token-1"}], "imagePullSecrets": [{"name": "x-dockercfg-1"}],
        "automountServiceAccountToken": true,
    }));
    check::<core::Service>(json!({
        "metadata": metadata(),
        "spec": {
            "clusterIP": "172.30.1.1", "clusterIPs": ["172.30.1.1"], "type": "ClusterIP", "sessionAffinity": "ClientIP",
            "selector": {"docker-registry": "default"},
            "ports": [{"name": "5000-tcp", "protocol": "TCP", "port": 5000, "targetPort": "http", "nodePort": 30000}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}},
    }));
    check::<core::Endpoints>(json!({
        "metadata": metadata(),
        "subsets": [{
            "addresses": [{"ip": "10.1.2.3", "nodeName": "n", "targetRef": {"kind": "Pod", "name": "p"}}],
            "ports": [{"port": 5000, "protocol": "TCP"}],
        }],
    }));
    check::<core::Event>(json!({
        "metadata": metadata(), "involvedObject": {"kind": "Pod", "name": "p", "namespace": "shop"},
        "reason": "Pulled", "message": "m", "source": {"component": "kubelet"}, "count": 3, "type": "Normal",
        "firstTimestamp": "2016-05-01T12:00:00Z", "lastTimestamp": null, "eventTime": "2016-05-01T12:00:00.000001Z",
        "reportingComponent": "", "reportingInstance": "",
    }));
}

#[test]
fn users_projects_and_tokens() {
    check::<user::User>(
        json!({"metadata": metadata(), "fullName": "Ann", "identities": ["p:ann"], "groups": null}),
    );
    check::<user::Identity>(json!({
        "metadata": metadata(), "providerName": "p", "providerUserName": "ann", "user": {"name": "ann", "uid": "u"},
        "extra": {"email": "ann@example.com"},
    }));
    check::<user::UserIdentityMapping>(json!({
        "metadata": metadata(), "identity": {"name": "p:ann"}, "user": {"name": "ann", "uid": "u"},
    }));
    check::<user::Group>(json!({"metadata": metadata(), "users": ["ann"]}));
    check::<project::Project>(json!({
        "metadata": metadata(), "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    }));
    check::<project::ProjectRequest>(json!({"metadata": metadata(), "displayName": "D", "description": "E"}));
    check::<oauth::OAuthClient>(json!({
        "metadata": metadata(), "secret": "s", "redirectURIs": ["https://x/"], "grantMethod": "auto",
        "respondWithChallenges": true, "accessTokenMaxAgeSeconds": 0,
        "scopeRestrictions": [{"literals": ["user:info"]}],
    }));
    check::<oauth::OAuthAccessToken>(json!({
        "metadata": metadata(), "clientName": "c", "expiresIn": 86400, "scopes": ["user:full"],
        "redirectURI": "https://x/", "userName": "ann", "userUID": "u", "authorizeToken": "sha256~x",
    }));
    check::<oauth::OAuthAuthorizeToken>(json!({
        "metadata": metadata(), "clientName": "c", "expiresIn": 300, "codeChallenge": "x",
        "codeChallengeMethod": "S256", "userName": "ann", "userUID": "u",
    }));
    check::<oauth::OAuthClientAuthorization>(json!({
        "metadata": metadata(), "clientName": "c", "userName": "ann", "userUID": "u", "scopes": ["user:info"],
    }));
}

#[test]
fn roles_and_questions() {
    check::<rbac::ClusterRole>(json!({
        "metadata": metadata(), "rules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}],
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
    }));
    check::<rbac::RoleBinding>(json!({
        "metadata": metadata(), "subjects": [{"kind": "ServiceAccount", "name": "builder", "namespace": "ci"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
    }));
    check::<authorization::Role>(json!({
        "metadata": metadata(),
        "rules": [{"verbs": ["get"], "attributeRestrictions": null, "apiGroups": null, "resources": ["pods"]}],
    }));
    check::<authorization::SubjectAccessReview>(json!({
        "namespace": "shop", "verb": "get", "resourceAPIGroup": "", "resourceAPIVersion": "", "resource": "pods",
        "resourceName": "", "path": "", "isNonResourceURL": false, "user": "ann", "groups": [], "scopes": null,
    }));
    check::<authorization::ResourceAccessReviewResponse>(json!({
        "namespace": "shop", "users": ["ann"], "groups": ["g"], "evalutionError": "",
    }));
    check::<authz::SubjectAccessReview>(json!({
        "metadata": {}, "spec": {"resourceAttributes": {"namespace": "n", "verb": "get"}, "user": "ann"},
        "status": {"allowed": true, "reason": "r"},
    }));
    check::<authn::TokenRequest>(json!({
        "metadata": metadata(), "spec": {"audiences": ["a"], "expirationSeconds": 600, "boundObjectRef": null},
        "status": {"token": "t", "expirationTimestamp": "2016-05-01T12:00:00Z"},
    }));
}

#[test]
fn routes_and_images() {
    check::<route::Route>(json!({
        "metadata": metadata(),
        "spec": {
            "host": "h", "path": "/v2", "to": {"kind": "Service", "name": "s", "weight": 100},
            "alternateBackends": [{"kind": "Service", "name": "t", "weight": 0}], "port": {"targetPort": 5000},
            "tls": {"termination": "reencrypt", "caCertificate": "c", "destinationCACertificate": "d"},
            "wildcardPolicy": "None",
        },
        "status": {"ingress": [{
            "host": "h", "routerName": "router", "routerCanonicalHostname": "r",
            "conditions": [{"type": "Admitted", "status": "True", "lastTransitionTime": "2016-05-01T12:00:00Z"}],
        }]},
    }));
    let tag = json!({
        "name": "latest", "annotations": null, "from": {"kind": "DockerImage", "name": "busybox"}, "generation": 1,
        "importPolicy": {"scheduled": true}, "referencePolicy": {"type": "Local"},
    });
    check::<image::ImageStream>(json!({
        "metadata": metadata(),
        "spec": {"lookupPolicy": {"local": false}, "tags": [tag.clone()]},
        "status": {
            "dockerImageRepository": "172.30.1.1:5000/shop/x",
            "tags": [{
                "tag": "latest",
                "items": [{
                    "created": "2016-05-01T12:00:00Z", "dockerImageReference": "r", "image": "sha256:00",
                    "generation": 1,
                }],
                "conditions": [{
                    "type": "ImportSuccess", "status": "False", "lastTransitionTime": "2016-05-01T12:00:00Z",
                    "reason": "NotFound", "generation": 1,
                }],
            }],
        },
    }));
    let image = json!({
        "metadata": metadata(), "dockerImageReference": "r", "dockerImageMetadataVersion": "1.0",
        "dockerImageMetadata": {"kind": "DockerImage", "apiVersion": "image.openshift.io/1.0", "Odd": [null]},
        "dockerImageLayers": [{"name": "sha256:00", "size": 3, "mediaType": "m"}],
        "signatures": [{"metadata": {"name": "a@b"}, "type": "atomic", "content": "AAE="}],
    });
    check::<image::Image>(image.clone());
    check::<image::ImageStreamTag>(json!({
        "metadata": metadata(), "tag": tag.clone(), "generation": 1, "lookupPolicy": {"local": false}, "image": image.clone(),
    }));
    check::<image::ImageTag>(
        json!({"metadata": metadata(), "spec": tag, "status": null, "image": image.clone()}),
    );
    check::<image::ImageStreamMapping>(json!({"metadata": metadata(), "image": image, "tag": "latest"}));
    check::<image::ImageStreamImport>(json!({
        "metadata": metadata(),
        "spec": {"import": true, "images": [{"from": {"kind": "DockerImage", "name": "a"}, "to": {"name": "latest"}}]},
        "status": {"images": [{"status": {"status": "Success"}, "tag": "latest"}]},
    }));
    check::<image::ImageStreamLayers>(json!({
        "metadata": metadata(), "blobs": {"sha256:00": {"size": null, "mediaType": "m"}},
        "images": {"sha256:00": {"layers": null, "config": null}},
    }));
}

#[test]
fn unknown_fields_and_wrong_types_are_located() {
    let document = json!({
        "kind": "Route", "metadata": {"name": "r", "colour": 1}, "spec": {"to": {"nmae": "x"}}, "extra": {},
    });
    let (_, unknown) = from_value_strict::<route::Route>(&document).unwrap();
    assert_eq!(unknown, ["metadata.colour", "spec.to.nmae", "extra"]);

    let document = json!({"spec": {"alternateBackends": [{"name": "a"}, {"weight": "heavy"}]}});
    let error = from_value::<route::Route>(&document).unwrap_err();
    assert_eq!(error.path, "spec.alternateBackends[1].weight");
    let document = json!({"data": {"a": "not base64!"}});
    assert_eq!(from_value::<core::Secret>(&document).unwrap_err().path, "data.a");
}

#[test]
fn docker_metadata_is_read_in_both_encodings() {
    for version in ["1.0", "image.openshift.io/1.0"] {
        let document = json!({
            "kind": "DockerImage", "apiVersion": version, "Id": "sha256:00", "Created": "2016-05-01T12:00:00Z",
            "Config": {"Env": ["A=b"], "Cmd": null, "ExposedPorts": {"80/tcp": {}}, "Labels": {"k": "v"}}, "Size": 7,
        });
        let metadata = image::DockerImage::from_value(&document).unwrap();
        assert_eq!(metadata.size, 7);
        assert_eq!(metadata.config.as_ref().unwrap().env, ["A=b"]);
        assert_eq!(metadata.to_value()["apiVersion"], "image.openshift.io/1.0");
    }
}

#[test]
fn lists_name_their_kind() {
    let list = meta::List::from(vec![core::Namespace::default()]);
    let document = pierhead_api::list_to_value(&list);
    assert_eq!(document["kind"], "NamespaceList");
    assert_eq!(document["items"][0]["kind"], "Namespace");
    let empty = pierhead_api::list_to_value(&meta::List::<core::Namespace>::default());
    assert_eq!(empty["items"], json!([]));
}
