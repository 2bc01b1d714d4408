# SPDX-License-Identifier: Apache-2.0
# Writes series to Tern and to one Prometheus, asks another that reads Tern, and compares.

import argparse
import math
import random
import time
import urllib.request

from acceptance import Table, get, get_json
from remote_write import field, snappy, varint, write

QUERIES = [
    "demo",
    "sum by (job) (demo)",
    "rate(demo[2m])",
    'demo{job=~"job-[12]",instance!="0"}',
    "absent(demo_not_there)",
    "max_over_time(demo[5m]) - min_over_time(demo[5m])",
]


def read(url, types, start, end):
    query = b"\x08" + varint(start) + b"\x10" + varint(end)
    query += field(3, field(2, b"__name__") + field(3, b"demo"))
    body = snappy(field(1, query) + b"".join(b"\x10" + varint(one) for one in types))
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    request = urllib.request.Request(url + "/api/v1/read", data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers["Content-Type"], answer.read()


def matrix(url, query, start, end):
    # Five seconds off the samples: whether a range includes its start has changed since 2.42.
    parameters = {"query": query, "start": start / 1000 + 5, "end": end / 1000 + 5, "step": 15}
    data = get_json(url + "/api/v1/query_range", parameters)["data"]["result"]
    return {tuple(sorted(one["metric"].items())): one["values"] for one in data}


def same(a, b):
    if a.keys() != b.keys():
        return False
    for key, values in a.items():
        if len(values) != len(b[key]):
            return False
        for (t, v), (u, w) in zip(values, b[key]):
            if t != u or not (v == w or math.isclose(float(v), float(w), rel_tol=1e-9)):
                return False
    return True


def main():
    parser = argparse.ArgumentParser()
    for name in ["tern", "reader", "holder", "results"]:
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    table = Table(options.results)
    chance = random.Random(1)
    end = int(time.time()) * 1000
    times = [end - (99 - i) * 15000 + chance.choice([0, 0, 0, 1, 7]) for i in range(100)]
    all_series = []
    for i in range(9):
        labels = {"__name__": "demo", "job": f"job-{i % 3}", "instance": str(i)}
        total, samples = 0.0, []
        for at in times:
            total += chance.choice([0, 1, 2.5, chance.random()])
            samples.append((at, total))
        all_series.append((labels, samples))
    write(options.tern, all_series)
    write(options.holder, all_series)
    for query in QUERIES:
        read_back = matrix(options.reader, query, times[20], end)
        own = matrix(options.tern, query, times[20], end)
        table.check(f"read by Prometheus: {query}", same(read_back, own) and own, f"{len(own)} series")
    kind, chunks = read(options.tern, [1], 0, end + 1000)
    table.check("streamed content type", "ChunkedReadResponse" in kind, kind)
    _, theirs = read(options.holder, [1], 0, end + 1000)
    table.check("streamed frames equal Prometheus'", chunks == theirs, f"{len(chunks)} and {len(theirs)} bytes")
    _, ours = read(options.tern, [], 0, end + 1000)
    table.check("samples are the default", len(ours) > 1000, f"{len(ours)} bytes")
    pages = [get(url + "/federate", {"match[]": "demo"})[1] for url in (options.tern, options.holder)]
    table.check("federation equals Prometheus'", sorted(pages[0].split("\n")) == sorted(pages[1].split("\n")), pages[0][:80])


main()
