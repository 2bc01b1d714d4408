# SPDX-License-Identifier: Apache-2.0
# The Python side of alerts.sh: what servers say about rules and alerts, in a form that can be compared.

import json
import sys

from acceptance import get_json


def received(alertmanager):
    """Active alerts of an Alertmanager: labels, annotations and the path of the link."""
    found = []
    for alert in get_json(alertmanager + "/api/v2/alerts"):
        link = alert["generatorURL"].split("/graph", 1)[-1]
        found.append([alert["labels"], alert["annotations"], link])
    return sorted(found, key=json.dumps)


def rules(server):
    """Groups and rules of a server without what depends on the time. Fields one of them does not have are left out."""
    groups = []
    for group in get_json(server + "/api/v1/rules")["data"]["groups"]:
        for rule in group["rules"]:
            for name in ("evaluationTime", "lastEvaluation", "keepFiringFor"):
                rule.pop(name, None)
            for alert in rule.get("alerts", []):
                alert.pop("activeAt", None)
            # Prometheus has no order of its own here.
            rule.get("alerts", []).sort(key=json.dumps)
        for name in ("evaluationTime", "lastEvaluation", "file"):
            group.pop(name, None)
        groups.append(group)
    return sorted(groups, key=lambda group: group["name"])


def series(server, query):
    """Labels of a query's result."""
    result = get_json(server + "/api/v1/query", [("query", query)])["data"]["result"]
    return sorted((entry["metric"] for entry in result), key=json.dumps)


def main():
    kind, *arguments = sys.argv[1:]
    if kind == "same":
        what, first, second = arguments[:3]
        ask = {"received": received, "rules": rules}.get(what) or (lambda server: series(server, what))
        a, b = ask(first), ask(second)
        if a != b:
            x, y = json.dumps(a, sort_keys=True), json.dumps(b, sort_keys=True)
            place = next((i for i, pair in enumerate(zip(x, y)) if pair[0] != pair[1]), min(len(x), len(y)))
            sys.exit(f"…{x[max(0, place - 150):place + 150]}… but …{y[max(0, place - 30):place + 150]}…")
        if not a:
            sys.exit("nothing there")
        print(f"{len(a)} alike")
    elif kind == "received":
        alertmanager, name = arguments
        if not any(labels["alertname"] == name for labels, _, _ in received(alertmanager)):
            sys.exit(f"{name} not received")
    elif kind == "gone":
        alertmanager, name = arguments
        if any(labels["alertname"] == name for labels, _, _ in received(alertmanager)):
            sys.exit(f"{name} still active")
    elif kind == "state":
        server, name, wanted = arguments
        for group in get_json(server + "/api/v1/rules", [("rule_name[]", name)])["data"]["groups"]:
            for rule in group["rules"]:
                if rule["name"] == name and rule["state"] == wanted:
                    return
        sys.exit(f"{name} is not {wanted}")
    elif kind == "since":
        server, name = arguments
        for alert in get_json(server + "/api/v1/alerts")["data"]["alerts"]:
            if alert["labels"]["alertname"] == name:
                print(alert["activeAt"])
                return
        sys.exit(f"{name} is not active")
    else:
        sys.exit(f"unknown command {kind}")


main()
