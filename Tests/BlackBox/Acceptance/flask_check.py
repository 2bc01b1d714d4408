# SPDX-License-Identifier: Apache-2.0
# Drives the Flask shop and checks that one trace id leads to its spans, log lines and exemplars, and that the metrics,
# log and trace query languages find the same request.

import argparse
import subprocess
import urllib.error
import urllib.request

from acceptance import Table, get, get_json, wait_until

REQUESTS = 20


def trace_identifier(url):
    """Asks the shop and returns the trace id it reports; a 500 of the shop is an answer too."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.headers["X-Trace-Id"]
    except urllib.error.HTTPError as error:
        return error.headers["X-Trace-Id"]


def main():
    parser = argparse.ArgumentParser()
    for flag in ("shop", "tern", "results", "protocol", "binary"):
        parser.add_argument("--" + flag)
    options = parser.parse_args()
    table = Table(options.results)
    label, service = options.protocol, "shop-" + options.protocol

    def check(name, passed, detail=""):
        table.check(f"{label}: {name}", passed, detail)

    paid = [trace_identifier(f"{options.shop}/checkout/{order}") for order in range(REQUESTS)]
    refused = trace_identifier(f"{options.shop}/fail/99")
    status, text = get(options.shop + "/flush")
    check("the SDK exported everything", (status, text) == (200, "True"), text)

    def correlated(identifier):
        return get_json(f"{options.tern}/api/v1/correlate/trace/{identifier}")["data"]

    # The last measurement of each histogram bucket is the one the SDK keeps as its exemplar: the request that has one is
    # found by asking, not assumed.
    def with_exemplar():
        answers = [correlated(identifier) for identifier in reversed(paid)]
        return next((one for one in answers if one["exemplars"]), None) or answers[0]

    trace = wait_until(with_exemplar, 20)
    identifier = trace["traceID"]
    spans = {span["name"]: span for span in trace["spans"]}
    names = sorted(spans)
    expected = ["GET /checkout/<int:order>", "charge card", "reserve stock", "sign request"]
    check("the trace has its four spans", names == sorted(expected), names)
    if names == sorted(expected):
        root = spans["GET /checkout/<int:order>"]
        check("the root is the server span", root["parentSpanID"] in ("", None, "0" * 16) and root["kind"] == "server"
              and trace["rootName"] == root["name"], (root["kind"], root["parentSpanID"], trace["rootName"]))
        check("children name their parents",
              spans["charge card"]["parentSpanID"] == root["spanID"]
              and spans["reserve stock"]["parentSpanID"] == root["spanID"]
              and spans["sign request"]["parentSpanID"] == spans["charge card"]["spanID"])
        check("attributes survive", str(spans["reserve stock"]["attributes"].get("shop.order")).isdigit(),
              spans["reserve stock"]["attributes"])
        check("every span says its service", {span["service"] for span in trace["spans"]} == {service}, trace["services"])
    lines = [log["line"] for log in trace["logs"]]
    check("the trace has its two log lines",
          len(lines) == 2 and any("reserved stock" in line for line in lines) and any("was slow" in line for line in lines),
          lines)
    if len(lines) == 2 and names == sorted(expected):
        owners = {log["spanID"] for log in trace["logs"]}
        check("log lines name their spans", owners == {spans["reserve stock"]["spanID"], spans["charge card"]["spanID"]}, owners)
    exemplars = trace["exemplars"]
    check("the trace has an exemplar of the histogram",
          any(one["labels"].get("__name__", "").startswith("shop_checkout_duration_seconds") for one in exemplars),
          [one["labels"].get("__name__") for one in exemplars] or "none")

    failed = correlated(refused)
    check("the failed request has its error spans", failed["errorCount"] >= 1
          and any(span["status"] == "error" and "refused" in (span["statusMessage"] or "") for span in failed["spans"]),
          (failed["errorCount"], [(span["name"], span["status"], span["statusMessage"]) for span in failed["spans"]]))
    check("the failed request has its log line", any("failed" in log["line"] for log in failed["logs"]))

    def metric(query):
        result = get_json(options.tern + "/api/v1/query", {"query": query})["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    value = metric(f'shop_orders_total{{job="{service}",outcome="paid"}}')
    check("the counter counts the requests", value == REQUESTS, value)
    value = metric(f'shop_checkout_duration_seconds_count{{job="{service}"}}')
    check("the histogram counts the requests", value == REQUESTS, value)
    value = metric(f'histogram_quantile(0.9, shop_checkout_duration_seconds_bucket{{job="{service}"}})')
    check("histogram_quantile answers", value is not None and value > 0, value)
    value = metric(f'target_info{{job="{service}",service_version="1.4.2"}}')
    check("target_info carries the resource", value == 1, value)
    found = get_json(options.tern + "/api/v1/query_exemplars", {
        "query": f'shop_checkout_duration_seconds_bucket{{job="{service}"}}',
        "start": trace_seconds(trace) - 3600, "end": trace_seconds(trace) + 3600})["data"]
    ids = {exemplar["labels"].get("trace_id") for series in found for exemplar in series["exemplars"]}
    check("query_exemplars names traces of this run", bool(ids & set(paid)), f"{len(ids)} trace ids")

    answer = get_json(options.tern + "/loki/api/v1/query_range", {
        "query": f'{{service_name="{service}"}} | trace_id="{identifier}"', "limit": 10})["data"]["result"]
    found = [value[1] for stream in answer for value in stream["values"]]
    check("LogQL finds the lines by trace id", sorted(found) == sorted(lines), found)
    answer = get_json(options.tern + "/loki/api/v1/query_range", {
        "query": f'{{service_name="{service}"}} | detected_level="error"', "limit": 10})["data"]["result"]
    found = [value[1] for stream in answer for value in stream["values"]]
    check("LogQL finds the error line by level", len(found) == 1 and "failed" in found[0], found)
    answer = get_json(options.tern + "/api/search", {
        "q": f'{{resource.service.name="{service}" && status=error}}', "limit": 10})["traces"]
    check("TraceQL finds the failed request", [one["traceID"].zfill(32) for one in answer] == [refused], answer)
    answer = get_json(options.tern + "/api/search", {
        "q": f'{{resource.service.name="{service}" && kind=client && span.peer.service="payments"}}', "limit": 50})["traces"]
    check("TraceQL finds every payment", {one["traceID"].zfill(32) for one in answer} == set(paid), len(answer))

    rows = get_json(options.tern + "/api/v1/correlate/services")["data"]
    row = next((one for one in rows if one["name"] == service), None)
    check("the service list has the service's spans and lines",
          bool(row) and row["spanCount"] == REQUESTS * 4 + 2 and row["logLineCount"] == REQUESTS * 2 + 1,
          row and (row["spanCount"], row["logLineCount"]))

    printed = subprocess.run([options.binary, "trace", identifier, "--url", options.tern], capture_output=True, text=True,
                             timeout=60)
    wanted = ["charge card", "reserve stock", "sign request", "reserved stock for order", "was slow", service]
    missing = [word for word in wanted if word not in printed.stdout]
    check("`tern trace` prints spans and lines", printed.returncode == 0 and not missing,
          missing or printed.stdout.splitlines()[0])


def trace_seconds(trace):
    return int(trace["startTimeUnixNano"]) // 1_000_000_000


main()
