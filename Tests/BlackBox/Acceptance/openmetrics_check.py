# SPDX-License-Identifier: Apache-2.0
# Prometheus and Tern scrape the same target: after each change of the target both must hold the same series and values.

import argparse
import json
import math
import time

from acceptance import Table, get, get_json, wait_until

# What both are asked after each phase. A scrape's duration differs by nature: only its presence is compared.
QUERIES = [
    '{job=~"shop|limited|kept|text"}',
    "up",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "count by (job, instance) (scrape_duration_seconds)",
    "max_over_time(scrape_series_added[5m])",
]


def values(url, query):
    rows = {}
    for one in get_json(url + "/api/v1/query", {"query": query, "time": f"{time.time():.3f}"})["data"]["result"]:
        labels = one["metric"]
        if query.startswith("{") and labels["__name__"].startswith("scrape_"):
            continue  # asked for by name below
        value = float(one["value"][1])
        rows[json.dumps(labels, sort_keys=True)] = "NaN" if math.isnan(value) else value
    return rows


def exemplars(url):
    answer = get_json(url + "/api/v1/query_exemplars", {
        "query": '{job="shop"}', "start": f"{time.time() - 600:.3f}", "end": f"{time.time() + 5:.3f}"})["data"]
    return sorted({
        (json.dumps(series["seriesLabels"], sort_keys=True), one["labels"].get("trace_id"), float(one["value"]))
        for series in answer for one in series["exemplars"]})


def main():
    parser = argparse.ArgumentParser()
    for flag in ("target", "prometheus", "tern", "results"):
        parser.add_argument("--" + flag)
    options = parser.parse_args()
    table = Table(options.results)

    def compare(label):
        for query in QUERIES:
            # Both scrape every second, at their own offsets: the answers settle within two scrapes.
            def settled():
                theirs, ours = values(options.prometheus, query), values(options.tern, query)
                return (theirs, ours) if theirs == ours and theirs else None
            theirs, ours = wait_until(settled, 15) or (values(options.prometheus, query), values(options.tern, query))
            differing = sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
            table.check(f"{label}: {query}", not differing and bool(theirs), f"{len(theirs)} series" if not differing else
                        f"{len(differing)} differ, first {differing[0]}: {ours.get(differing[0])} instead of {theirs.get(differing[0])}")

    compare("first scrapes")
    theirs = wait_until(lambda: exemplars(options.prometheus), 10)
    ours = wait_until(lambda: exemplars(options.tern) == theirs and theirs, 10) or exemplars(options.tern)
    table.check("OpenMetrics exemplars are the same", ours == theirs and bool(ours), f"{len(ours or [])} and {len(theirs or [])}")

    get(options.target + "/phase/1")
    time.sleep(3)
    compare("values changed, a series removed")
    gone = values(options.tern, 'shop_queue_depth{queue="in"}')
    table.check("the removed series is gone at once", gone == {}, gone)

    get(options.target + "/phase/2")
    time.sleep(3)
    compare("the target answers 500")
    gone = values(options.tern, '{__name__=~"shop_.+",job="shop"}')
    table.check("the series of a failing target are gone at once", gone == {}, len(gone))

    get(options.target + "/phase/3")
    time.sleep(3)
    compare("the target is back")

    def types(url):
        return {name: sorted({(row["type"], row["help"]) for row in rows})
                for name, rows in get_json(url + "/api/v1/metadata")["data"].items() if name.startswith("shop_")}
    theirs, ours = types(options.prometheus), types(options.tern)
    differing = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    table.check("metadata: type and help are the same", not differing and bool(theirs),
                f"{len(theirs)} families" if not differing else f"{differing[0]}: {ours.get(differing[0])} instead of {theirs.get(differing[0])}")

    def targets(url):
        return sorted((one["labels"]["job"], one["labels"]["instance"], one["health"]) for one in
                      get_json(url + "/api/v1/targets", {"state": "active"})["data"]["activeTargets"])
    status, _ = get(options.tern + "/api/v1/targets")
    if status == 404:
        table.row("SKIP", "targets: this build has no /api/v1/targets")
    else:
        theirs, ours = targets(options.prometheus), targets(options.tern)
        table.check("targets: the same targets with the same health", theirs == ours, (ours, theirs))


main()
