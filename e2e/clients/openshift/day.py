"""A day with OpenShift's Python client, as Ansible modules use it: logs in with a password, and says what is to be there.

Arguments: the API's URL, the file of its authority, a user and their password. Prints `fine` at the end; anything odd is
an exception.
"""

import sys

from kubernetes.client import ApiClient
from openshift.dynamic import DynamicClient
from openshift.dynamic.exceptions import ConflictError, ForbiddenError, NotFoundError
from openshift.helper.userpassauth import OCPLoginConfiguration, OCPLoginException


def login(host, authority, user, password):
    configuration = OCPLoginConfiguration(host=host, ocp_username=user, ocp_password=password)
    configuration.ssl_ca_cert = authority
    configuration.get_token()
    assert configuration.api_key_expires > 0 and configuration.api_key_scope == "user:full", vars(configuration)
    return configuration


def present(client, definition, namespace=None):
    """Creates what is not there and patches what is; answers whether anything changed."""
    resource = client.resources.get(api_version=definition["apiVersion"], kind=definition["kind"])
    name = definition["metadata"]["name"]
    try:
        before = resource.get(name=name, namespace=namespace)
    except NotFoundError:
        resource.create(body=definition, namespace=namespace)
        return True
    except ForbiddenError:
        assert definition["kind"] == "Project", definition
        requests = client.resources.get(api_version="project.openshift.io/v1", kind="ProjectRequest")
        requests.create(body={**definition, "kind": "ProjectRequest"})
        return True
    after = resource.patch(
        body=definition, name=name, namespace=namespace, content_type="application/merge-patch+json"
    )
    return before.metadata.resourceVersion != after.metadata.resourceVersion


def absent(client, version, kind, name, namespace=None):
    resource = client.resources.get(api_version=version, kind=kind)
    try:
        resource.delete(name=name, namespace=namespace, body={"propagationPolicy": "Foreground"})
    except NotFoundError:
        return False
    return True


def playbook(project):
    def named(version, kind, name, **rest):
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **rest}

    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "example.com/web:1"}]},
    }
    subjects = [{"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}]
    role = {"kind": "ClusterRole", "name": "edit", "apiGroup": "rbac.authorization.k8s.io"}
    return [
        (None, named("project.openshift.io/v1", "Project", project)),
        (project, named("v1", "ConfigMap", "settings", data={"colour": "blue"})),
        (project, named("v1", "Secret", "password", type="Opaque", data={"p": "dw=="})),
        (project, named("v1", "ServiceAccount", "robot")),
        (project, named("rbac.authorization.k8s.io/v1", "RoleBinding", "editors", roleRef=role, subjects=subjects)),
        (project, named("v1", "Service", "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]})),
        (project, named("image.openshift.io/v1", "ImageStream", "web", spec={"lookupPolicy": {"local": True}})),
        (project, named("route.openshift.io/v1", "Route", "web", spec={"to": {"kind": "Service", "name": "web"}})),
        (
            project,
            named(
                "apps.openshift.io/v1",
                "DeploymentConfig",
                "web",
                spec={"replicas": 0, "selector": {"app": "web"}, "template": template},
            ),
        ),
    ]


def plays(client, project):
    play = playbook(project)
    changed = [present(client, definition, namespace) for namespace, definition in play]
    assert all(changed), changed
    # Said again, nothing changes; what has a controller may be changed by that.
    for namespace, definition in play:
        if definition["kind"] in ("ConfigMap", "Secret", "Service", "RoleBinding", "Project"):
            assert not present(client, definition, namespace), definition
    maps = client.resources.get(api_version="v1", kind="ConfigMap")
    assert present(client, {**play[1][1], "data": {"colour": "green"}}, project)
    assert maps.get(name="settings", namespace=project).to_dict()["data"] == {"colour": "green"}


def applies(client, project):
    maps = client.resources.get(api_version="v1", kind="ConfigMap")
    body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "applied"}, "data": {"a": "1", "b": "2"}}
    client.apply(maps, body=body, namespace=project)
    body["data"] = {"a": "3"}
    applied = client.apply(maps, body=body, namespace=project)
    assert applied.to_dict()["data"] == {"a": "3"}, applied
    services = client.resources.get(api_version="v1", kind="Service")
    service = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "applied"},
        "spec": {"ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}]},
    }
    client.apply(services, body=service, namespace=project)
    service["spec"]["ports"] = [{"name": "https", "port": 443, "targetPort": 8443}]
    applied = client.apply(services, body=service, namespace=project)
    ports = [(port.name, port.port, port.targetPort) for port in applied.spec.ports]
    assert ports == [("https", 443, 8443)], ports


def looks(client, project):
    projects = client.resources.get(api_version="project.openshift.io/v1", kind="Project")
    assert project in [each.metadata.name for each in projects.get().items]
    routes = client.resources.get(api_version="route.openshift.io/v1", kind="Route")
    for event in routes.watch(namespace=project, timeout=20):
        route = event["object"]
        if any(ingress.host == route.spec.host for ingress in route.status.ingress or []):
            break
    else:
        raise AssertionError("the route was not admitted")
    streams = client.resources.get(api_version="image.openshift.io/v1", kind="ImageStream")
    stream = streams.get(name="web", namespace=project)
    stream.spec.lookupPolicy.local = False
    replaced = streams.replace(body=stream.to_dict(), namespace=project)
    assert replaced.spec.lookupPolicy.local is False, replaced
    try:
        streams.replace(body=stream.to_dict(), namespace=project)
        raise AssertionError("an old version replaced a newer one")
    except ConflictError as error:
        assert error.reason == "Conflict", error
    found = client.resources.search(kind="RoleBinding")
    groups = {each.group for each in found}
    assert {"rbac.authorization.k8s.io", "authorization.openshift.io"} <= groups, groups
    users = client.resources.get(api_version="user.openshift.io/v1", kind="User")
    assert users.get(name="~").metadata.name == "ann"


def main(host, authority, user, password):
    project = "python-openshift"
    try:
        login(host, authority, " ", " ")
        raise AssertionError("an empty password is a password")
    except OCPLoginException as error:
        assert "Authorization failed" in str(error), error
    configuration = login(host, authority, user, password)
    client = DynamicClient(ApiClient(configuration))
    assert client.version["kubernetes"]["major"] == "1", client.version
    plays(client, project)
    applies(client, project)
    looks(client, project)
    assert absent(client, "image.openshift.io/v1", "ImageStream", "web", project)
    assert not absent(client, "image.openshift.io/v1", "ImageStream", "web", project)
    assert absent(client, "project.openshift.io/v1", "Project", project)
    print("fine")


main(*sys.argv[1:])
