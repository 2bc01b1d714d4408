# SPDX-License-Identifier: Apache-2.0
# The Python side of rules.sh: pushes lines, spans and samples, and looks for what rules make of them.
#
# live:       lines and spans of now; recorded series, alerts, what the Alertmanager received.
# past:       samples, lines and spans of a stretch of the past.
# backfilled: what the rules recorded over that stretch.

import argparse
import json
import secrets
import time

from acceptance import Table, fail, get_json, post, wait_until


def push_lines(tern, app, lines):
    """`lines` are (seconds since the epoch, text)."""
    values = [[str(int(at * 1e9) + index), text] for index, (at, text) in enumerate(lines)]
    body = {"streams": [{"stream": {"app": app}, "values": values}]}
    status, text = post(tern + "/loki/api/v1/push", json.dumps(body).encode(), {"Content-Type": "application/json"})
    if status != 204:
        fail(f"lines: {status} {text}")


def push_traces(tern, service, route, moments, failed):
    """A trace of two spans for each moment, the second one at `route`, failed or not."""
    spans = []
    for at in moments:
        trace, root = secrets.token_hex(16), secrets.token_hex(8)
        begin, end = str(int(at * 1e9)), str(int(at * 1e9) + 20_000_000)
        common = {"traceId": trace, "startTimeUnixNano": begin, "endTimeUnixNano": end}
        attributes = [{"key": "http.route", "value": {"stringValue": route}}]
        spans.append(common | {"spanId": root, "name": "root"})
        spans.append(common | {
            "spanId": secrets.token_hex(8), "parentSpanId": root, "name": "child", "attributes": attributes,
            "status": {"code": 2 if failed else 1},
        })
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
    status, text = post(tern + "/v1/traces", json.dumps(body).encode(), {"Content-Type": "application/json"})
    if status != 200:
        fail(f"spans: {status} {text}")


def query(tern, text, at=None):
    """Labels as text → value."""
    parameters = [("query", text)] + ([("time", at)] if at else [])
    result = get_json(tern + "/api/v1/query", parameters)["data"]["result"]
    return {json.dumps(one["metric"], sort_keys=True): float(one["value"][1]) for one in result}


def labels(**pairs):
    return json.dumps(pairs, sort_keys=True)


def received(alertmanager, name):
    for alert in get_json(alertmanager + "/api/v2/alerts"):
        if alert["labels"]["alertname"] == name:
            return alert
    return None


def live(options, table):
    tern = options.tern
    now = time.time()
    push_lines(tern, "payment", [(now, 'level=error msg="card declined"')] * 3 + [(now, 'level=warn msg="card declined"')]
               + [(now, 'level=info msg="paid"')] * 5)
    push_traces(tern, "shop", "/pay", [now] * 3, failed=True)
    push_traces(tern, "shop", "/pay", [now] * 4, failed=False)
    push_traces(tern, "shop", "/other", [now] * 5, failed=True)
    name = "app:declined:count20s"
    wanted = {labels(__name__=name, app="payment", level=level, source="logs"): count for level, count in (("error", 3), ("warn", 1))}
    got = wait_until(lambda: query(tern, name) == wanted and wanted, 10) or query(tern, name)
    table.check("a LogQL rule records series", got == wanted, got)
    # The evaluations that fell into the push may have seen a part of it: the largest counts.
    name = "service:failed_traces:count"
    wanted = {labels(service="shop"): 3}
    ask = f"max_over_time({name}[30s])"
    got = wait_until(lambda: query(tern, ask) == wanted and wanted, 12) or query(tern, ask)
    table.check("a TraceQL rule records series", got == wanted, got)
    alert = wait_until(lambda: received(options.alertmanager, "Declined"), 15)
    told = alert and (alert["labels"], alert["annotations"])
    wanted = ({"alertname": "Declined", "app": "payment", "severity": "page"}, {"summary": "payment: 4 cards declined", "recorded": "4"})
    table.check("a LogQL alert is received", told == wanted, told)
    alert = wait_until(lambda: received(options.alertmanager, "TracesFail"), 15)
    told = alert and (alert["labels"], alert["annotations"])
    wanted = ({"alertname": "TracesFail", "service": "shop", "severity": "page"}, {"summary": "shop: 3 traces failed"})
    table.check("a TraceQL alert is received", told == wanted, told)
    ended = wait_until(lambda: not received(options.alertmanager, "Declined") and not received(options.alertmanager, "TracesFail"), 45)
    table.check("both are resolved", ended)
    gone = wait_until(lambda: not query(tern, "ALERTS") and not query(tern, "app:declined:count20s"), 15)
    table.check("their series are stale", gone, query(tern, "ALERTS"))
    groups = get_json(tern + "/api/v1/rules")["data"]["groups"]
    shown = [(group["name"], group.get("language"), [rule["health"] for rule in group["rules"]]) for group in groups]
    table.check("rules are shown with their language", shown == [("lines", "logql", ["ok"] * 2), ("traces", "traceql", ["ok"] * 2)], shown)


def past(options, _):
    """Counters that grow by 3 and by 6 in 15 s, a line every 10 s, a trace every 20 s, from 10 minutes before the stretch on."""
    tern, begin, end = options.tern, options.start - 600, options.end + 60
    rows = ["# TYPE work_total counter"]
    for at in range(begin, end, 15):
        for job, step in (("a", 3), ("b", 6)):
            rows.append(f'work_total{{job="{job}"}} {(at - begin) // 15 * step} {at * 1000}')
    status, text = post(tern + "/api/v1/import/prometheus", ("\n".join(rows) + "\n").encode())
    if status != 204:
        fail(f"samples: {status} {text}")
    push_lines(tern, "history", [(at + 1, f"line at {at}") for at in range(begin, end, 10)])
    push_traces(tern, "old", "/history", [at + 1 for at in range(begin, end, 20)], failed=False)


def backfilled(options, table):
    """One sample a minute for each rule, with the values that the data must have."""
    tern, count = options.tern, (options.end - options.start) // 60 + 1
    wanted = {
        "job:work:rate5m": {labels(job="a"): 0.2, labels(job="b"): 0.4},
        "job:work:per_minute": {labels(job="a", unit="minute"): 12, labels(job="b", unit="minute"): 24},
        "app:lines:count1m": {labels(app="history"): 6},
        "service:past_traces:count": {labels(service="old"): 3},
    }
    for name, series in wanted.items():
        found = {}
        for one in get_json(tern + "/api/v1/query", [("query", f"{name}[{options.end - options.start + 60}s]"), ("time", options.end)])["data"]["result"]:
            found[json.dumps({key: value for key, value in one["metric"].items() if key != "__name__"}, sort_keys=True)] = one["values"]
        fits = found.keys() == series.keys() and all(
            [at for at, _ in values] == list(range(options.start, options.end + 1, 60))
            and all(abs(float(value) - series[key]) < 1e-9 for _, value in values)
            for key, values in found.items())
        table.check(f"back-filled {name}", fits, f"{len(found)} series of {count} samples" if fits else {key: values[:3] for key, values in found.items()})
    alerts = query(tern, 'ALERTS{alertname="PassedOver"}', options.end)
    table.check("alerts are passed over", not alerts, alerts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["live", "past", "backfilled"])
    for flag in ("tern", "alertmanager", "results"):
        parser.add_argument("--" + flag)
    for flag in ("start", "end"):
        parser.add_argument("--" + flag, type=int)
    options = parser.parse_args()
    {"live": live, "past": past, "backfilled": backfilled}[options.what](options, Table(options.results))


if __name__ == "__main__":
    main()
