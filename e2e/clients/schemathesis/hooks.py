"""What requests made at random are to be about, and what they are not to do.

Names made at random are nobody's, and bodies made at random are refused at the first field. So most requests are moved
to the project and the names of `objects.yaml`, most bodies are given the kind and the name that their path asks for, and
patches some fields that there are; what is then in them stays as it was drawn. The others go out as they are.

No request waits for ever, or removes what the others need: a collection is deleted only as far as a label says that
nobody has; a watch or a log that goes on is the watchers' test.
"""

import zlib

import schemathesis

ENDLESS = ("watch", "follow", "sendInitialEvents", "allowWatchBookmarks", "timeoutSeconds")

PROJECT = "fuzz"
# The objects that there are from the beginning, and which stay.
KEPT = "kept"
NAMES = (KEPT, KEPT, "other", "kept:latest", "other:1")

FIELDS = ("metadata", "metadata.labels", "metadata.annotations", "spec", "status", "data", "spec.template", "rules")
OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")
POINTERS = ("/metadata/labels", "/metadata/annotations/a", "/spec", "/data/a", "/status", "/metadata/finalizers/-", "/x~1y")
# A body that names another object than its path is refused, and so is one that was read from another object.
OF_ANOTHER = ("namespace", "generateName", "resourceVersion", "uid", "creationTimestamp", "deletionTimestamp")


def lot(value, sides):
    """A number that depends on the value only, so that a request can be made again."""
    return zlib.crc32(repr(value).encode()) % sides


def moved(path_parameters):
    moved = dict(path_parameters)
    if "namespace" in moved and lot(moved["namespace"], 8):
        moved["namespace"] = PROJECT
    for name in moved.keys() - {"namespace"}:
        if lot(moved[name], 4):
            moved[name] = NAMES[lot((moved[name], name), len(NAMES))]
    return moved


def named(body, kind, name):
    metadata = body.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    for field in OF_ANOTHER:
        metadata.pop(field, None)
    metadata["name"] = name
    api = f"{kind['group']}/{kind['version']}" if kind["group"] else kind["version"]
    return {**body, "apiVersion": api, "kind": kind["kind"], "metadata": metadata}


def patch(body, kind, name):
    if isinstance(body, list):
        return [
            {"op": OPERATIONS[lot((item, place), 6)], "path": POINTERS[lot((place, item), 7)], "from": "/metadata/labels", **item}
            for place, item in enumerate(body)
            if isinstance(item, dict)
        ]
    path, value = FIELDS[lot(body, len(FIELDS))].split("."), body
    for field in reversed(path):
        value = {field: value}
    return named(value, kind, name) if lot(body, 2) else value


@schemathesis.hook
def before_call(context, case, kwargs):
    case.path_parameters = moved(case.path_parameters or {})
    names = [value for key, value in case.path_parameters.items() if key == "name"]
    kind = case.operation.definition.raw.get("x-kubernetes-group-version-kind")
    method, query = case.method.upper(), dict(case.query or {})
    if kind and isinstance(case.body, (dict, list)) and lot(case.body, 4):
        name = names[0] if names else NAMES[lot(case.body, len(NAMES))]
        if method == "PATCH":
            case.body = patch(case.body, kind, name)
        elif isinstance(case.body, dict) and method in ("POST", "PUT"):
            case.body = named(case.body, kind, name)
    for parameter in ENDLESS:
        query.pop(parameter, None)
    if method == "DELETE" and not case.path.rstrip("/").endswith("}"):
        query["labelSelector"] = "nobody/has=this"
    elif method == "DELETE" and (KEPT in names or PROJECT in names):
        query["dryRun"] = "All"
    case.query = query
