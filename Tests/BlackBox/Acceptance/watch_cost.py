# SPDX-License-Identifier: Apache-2.0
# watch_cost.py URL PID SERVICES RESULTS: fills a server and measures the built-in rules.

import math
import os
import sys
import time

from acceptance import Table, get, get_json
from remote_write import write

REPEATS = 5
FIGURES = {
    "tern_watch:requests:rate5m": 20,
    "tern_watch:errors:rate5m": 0.1,
    "tern_watch:error_ratio:rate5m": 0.005,
    "tern_watch:latency_p95:rate5m": 0.2,
}


def series(service, now):
    """A day of the figures by the minute, and ten minutes of five operations' span metrics."""
    for name, base in FIGURES.items():
        yield (
            {"__name__": name, "service": service},
            [((now - 60 * i) * 1000, base * (1 + 0.2 * math.sin(i / 200) + i * 37 % 100 / 1000)) for i in range(1440, 0, -1)],
        )
    for operation in range(5):
        labels = {"service": service, "span_name": f"operation {operation}", "span_kind": "SPAN_KIND_SERVER"}

        def counter(name, rate, **more):
            times = [((now - 60 * (10 - i)) * 1000, 60.0 * i * rate) for i in range(11)]
            return {"__name__": name, **labels, **more}, times

        yield counter("traces_spanmetrics_calls_total", 1, status_code="STATUS_CODE_UNSET")
        yield counter("traces_spanmetrics_calls_total", 0.01, status_code="STATUS_CODE_ERROR")
        for bucket in range(14):
            le = "+Inf" if bucket == 13 else str(0.002 * 2**bucket)
            rate = min(1, bucket / 9)
            yield counter("traces_spanmetrics_latency_bucket", rate, status_code="STATUS_CODE_UNSET", le=le)


def cpu_seconds(process):
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(url, process, services, results):
    table = Table(results)
    now = int(time.time()) // 60 * 60
    for number in range(int(services)):
        write(url, list(series(f"service-{number:04}", now)))
    group = get_json(url + "/api/v1/rules", [("rule_group[]", "tern_watch")])["data"]["groups"][0]
    total = 0
    for rule in group["rules"]:
        before = cpu_seconds(process)
        statuses = {get(url + "/api/v1/query", {"query": rule["query"]})[0] for _ in range(REPEATS)}
        cost = (cpu_seconds(process) - before) / REPEATS * 1000
        total += cost
        table.check(rule["name"], statuses == {200}, f"{cost:.0f} ms CPU")
    print(f"{services} services: {total:.0f} ms CPU a minute")


main(*sys.argv[1:])
