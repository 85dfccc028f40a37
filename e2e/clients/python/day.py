"""A day with the Python client of Kubernetes: typed calls, custom objects, watches, patches and the dynamic client.

Arguments: a kubeconfig, and the project to work in. Prints `fine` at the end; anything odd is an exception.
"""

import sys
import threading
import warnings

import yaml
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException

# Nothing may be deprecated, insecure or unclosed.
warnings.simplefilter("error")

MANIFESTS = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: robot}]
"""


def refused(status, reason, call):
    try:
        call()
    except ApiException as error:
        body = yaml.safe_load(error.body)
        assert error.status == status, error
        assert (body["kind"], body["status"], body["reason"], body["code"]) == ("Status", "Failure", reason, status), body
        return body
    raise AssertionError(f"not refused with {reason}")


def looks_around(project):
    version = client.VersionApi().get_code()
    assert version.major == "1" and version.git_version.startswith("v1."), version
    groups = {group.name for group in client.ApisApi().get_api_versions().groups}
    assert {"image.openshift.io", "rbac.authorization.k8s.io"} <= groups, groups
    names = {resource.name for resource in client.CoreV1Api().get_api_resources().resources}
    assert {"configmaps", "secrets", "pods", "serviceaccounts"} <= names, names
    review = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(
            resource_attributes=client.V1ResourceAttributes(namespace=project, verb="create", resource="secrets")
        )
    )
    answer = client.AuthorizationV1Api().create_self_subject_access_review(review)
    assert answer.status.allowed is True, answer
    body = refused(403, "Forbidden", lambda: client.CoreV1Api().list_namespaced_secret("kube-system"))
    assert body["details"]["kind"] == "secrets", body
    body = refused(404, "NotFound", lambda: client.CoreV1Api().read_namespaced_secret("nothing", project))
    assert body["details"] == {"name": "nothing", "kind": "secrets"}, body


def typed_objects(project):
    core = client.CoreV1Api()
    seen, ready = [], threading.Event()
    stream = watch.Watch()

    def look():
        for event in stream.stream(core.list_namespaced_config_map, project, timeout_seconds=60):
            name = event["object"].metadata.name
            if name == "first":
                ready.set()
            if name == "settings":
                seen.append((event["type"], event["object"].data))
                if event["type"] == "DELETED":
                    stream.stop()

    core.create_namespaced_config_map(project, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="first")))
    watching = threading.Thread(target=look)
    watching.start()
    assert ready.wait(30), "the watch shows nothing"
    made = core.create_namespaced_config_map(
        project, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="settings"), data={"colour": "blue"})
    )
    assert made.metadata.uid and made.metadata.creation_timestamp.tzinfo is not None, made
    core.patch_namespaced_config_map("settings", project, {"data": {"colour": "green"}})
    stale = made
    stale.data = {"colour": "red"}
    body = refused(409, "Conflict", lambda: core.replace_namespaced_config_map("settings", project, stale))
    assert "the object has been modified" in body["message"], body
    body = refused(409, "AlreadyExists", lambda: core.create_namespaced_config_map(project, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="settings"))))
    assert body["details"]["name"] == "settings", body
    try_out = core.patch_namespaced_config_map("settings", project, {"data": {"colour": "red"}}, dry_run="All")
    assert try_out.data == {"colour": "red"}, try_out
    deleted = core.delete_namespaced_config_map("settings", project)
    assert deleted["status"] == "Success", deleted
    watching.join(30)
    blue, green = {"colour": "blue"}, {"colour": "green"}
    assert seen == [("ADDED", blue), ("MODIFIED", green), ("DELETED", green)], seen


def pages(project):
    core = client.CoreV1Api()
    for number in range(7):
        labels = {"page": "yes"}
        metadata = client.V1ObjectMeta(generate_name="page-", labels=labels)
        core.create_namespaced_config_map(project, client.V1ConfigMap(metadata=metadata, data={"n": str(number)}))
    found, token, versions = [], None, set()
    while True:
        page = core.list_namespaced_config_map(project, label_selector="page=yes", limit=3, _continue=token)
        found += [item.data["n"] for item in page.items]
        versions.add(page.metadata.resource_version)
        token = page.metadata._continue
        if not token:
            break
    assert sorted(found) == [str(number) for number in range(7)] and len(versions) == 1, (found, versions)
    core.delete_collection_namespaced_config_map(project, label_selector="page=yes")
    assert core.list_namespaced_config_map(project, label_selector="page=yes").items == []


def access(project):
    core = client.CoreV1Api()
    core.create_namespaced_service_account(project, client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="robot")))
    for document in yaml.safe_load_all(MANIFESTS):
        utils.create_from_dict(client.ApiClient(), document, namespace=project)
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600))
    token = core.create_namespaced_service_account_token("robot", project, request).status.token
    configuration = client.Configuration.get_default_copy()
    configuration.refresh_api_key_hook = None
    configuration.api_key = {"BearerToken": f"Bearer {token}"}
    with client.ApiClient(configuration) as robot:
        core_of_robot = client.CoreV1Api(robot)
        assert core_of_robot.read_namespaced_config_map("first", project).metadata.name == "first"
        body = refused(403, "Forbidden", lambda: core_of_robot.list_namespaced_secret(project))
        assert f'User "system:serviceaccount:{project}:robot" cannot list resource "secrets"' in body["message"], body
    secret = core.create_namespaced_secret(
        project, client.V1Secret(metadata=client.V1ObjectMeta(name="password"), string_data={"p": "w"})
    )
    assert secret.data == {"p": "dw=="} and secret.type == "Opaque", secret


def image_streams_as_custom_objects(project):
    custom = client.CustomObjectsApi()
    place = ("image.openshift.io", "v1", project, "imagestreams")
    body = {"apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"name": "web"}}
    made = custom.create_namespaced_custom_object(*place, body)
    assert made["status"]["dockerImageRepository"].endswith(f"/{project}/web"), made
    custom.patch_namespaced_custom_object(*place, "web", {"spec": {"lookupPolicy": {"local": True}}})
    shown = custom.get_namespaced_custom_object(*place, "web")
    assert shown["spec"]["lookupPolicy"] == {"local": True}, shown
    listed = custom.list_namespaced_custom_object(*place)
    assert listed["kind"] == "ImageStreamList" and len(listed["items"]) == 1, listed


def dynamically(project):
    everything = dynamic.DynamicClient(client.ApiClient())
    maps = everything.resources.get(api_version="v1", kind="ConfigMap")
    streams = everything.resources.get(api_version="image.openshift.io/v1", kind="ImageStream")
    assert streams.name == "imagestreams" and "is" in streams.short_names, streams
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1", "b": "2"}}
    applied = everything.server_side_apply(maps, body=body, namespace=project, field_manager="day")
    assert applied.metadata.managedFields[0].manager == "day", applied
    body["data"] = {"a": "1"}
    applied = everything.server_side_apply(maps, body=body, namespace=project, field_manager="day")
    assert applied.data.to_dict() == {"a": "1"}, applied
    other = {**body, "data": {"a": "2"}}
    refused(409, "Conflict", lambda: everything.server_side_apply(maps, body=other, namespace=project, field_manager="other"))
    forced = everything.server_side_apply(maps, body=other, namespace=project, field_manager="other", force_conflicts=True)
    assert forced.data.a == "2", forced
    for event in streams.watch(namespace=project, timeout=5):
        assert (event["type"], event["object"].metadata.name) == ("ADDED", "web"), event
        break
    streams.delete(name="web", namespace=project)
    assert streams.get(namespace=project).items == []


def main(kubeconfig, project):
    config.load_kube_config(kubeconfig)
    looks_around(project)
    typed_objects(project)
    pages(project)
    access(project)
    image_streams_as_custom_objects(project)
    dynamically(project)
    print("fine")


main(*sys.argv[1:])
