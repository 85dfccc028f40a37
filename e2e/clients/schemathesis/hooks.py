"""What requests made at random are not to do: wait for ever, or remove what the others need.

A collection is deleted only as far as a label says that nobody has; a watch or a log that goes on is the watchers' test.
"""

import schemathesis

ENDLESS = ("watch", "follow", "sendInitialEvents", "allowWatchBookmarks", "timeoutSeconds")


@schemathesis.hook
def before_call(context, case, kwargs):
    query = dict(case.query or {})
    for name in ENDLESS:
        query.pop(name, None)
    if case.method.upper() == "DELETE" and not case.path.rstrip("/").endswith("}"):
        query["labelSelector"] = "nobody/has=this"
    case.query = query
