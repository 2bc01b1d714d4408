# SPDX-License-Identifier: Apache-2.0
# Writes the same random data of three demo targets to Prometheus and Tern, asks both the compliance queries, and compares.
#
# Scrapes lie beside the whole seconds, and evaluations beside the scrapes, so that no sample lies exactly at a boundary: Debian's
# Prometheus 2.42 takes ranges and look-back closed on both sides, later versions and Tern leave the left side open. Every range
# begins after the first sample: a counter that begins inside a range is extended to zero in another order since 3.0.

import argparse
import json
import random
import struct
import time

from acceptance import Table, get
from prometheus_compare import as_series, difference
from remote_write import write

STEP = 5
PHASE_MILLIS = 1234
HOURS = 2
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]

# Queries whose answers differ because Prometheus itself changed after 2.42, with the change.
CHANGED = {
    'label_join(demo_num_cpus, "~invalid", "-", "instance")': "3.0: any UTF-8 text is a label name, so this is no error any more",
}


def demo_series(seed, start):
    """Labels and samples of three targets, with restarts, gaps and ends of series."""
    rng = random.Random(seed)
    times = range(start, start + HOURS * 3600, STEP)
    for port in (10000, 10001, 10002):
        place = {"instance": f"demo.promlabs.com:{port}", "job": "demo"}
        restarts = {rng.randrange(len(times)) for _ in range(3)}

        def series(name, values, **labels):
            samples = [(at * 1000 + PHASE_MILLIS, value) for at, value in zip(times, values) if value is not None]
            return {"__name__": name, **place, **labels}, samples

        def counter(rate):
            total, values = 0.0, []
            for step in range(len(times)):
                total = 0.0 if step in restarts else total + rng.uniform(0, 2 * rate)
                values.append(total)
            return values

        def walk(level, swing):
            value, values = level, []
            for _ in times:
                value = max(0.0, value + rng.uniform(-swing, swing))
                values.append(round(value))
            return values

        for mode in ("idle", "user", "system"):
            yield series("demo_cpu_usage_seconds_total", counter(2.0), mode=mode)
        for kind in ("buffers", "cached", "free", "used"):
            yield series("demo_memory_usage_bytes", walk(2e9, 1e7), type=kind)
        yield series("demo_disk_usage_bytes", walk(4e10, 1e7))
        yield series("demo_disk_total_bytes", [5e10] * len(times))
        yield series("demo_num_cpus", [4.0] * len(times))
        batches = [at - at % 300 - rng.randrange(3) for at in times]
        yield series("demo_batch_last_success_timestamp_seconds", [float(at) for at in batches])
        intermittent, shown = [], True
        for _ in times:
            if rng.random() < 0.05:
                shown = not shown
                intermittent.append(None if shown else STALE)
            else:
                intermittent.append(1.0 if shown else None)
        yield series("demo_intermittent_metric", intermittent)
        yield series("up", [1.0] * len(times))
        for path, method, status in (("/api/foo", "GET", "200"), ("/api/bar", "POST", "500")):
            bounds = [0.0001 * 1.5**i for i in range(26)]
            counts, columns = [0] * (len(bounds) + 1), [[] for _ in range(len(bounds) + 1)]
            total, sums = 0.0, []
            for step in range(len(times)):
                if step in restarts:
                    counts, total = [0] * len(counts), 0.0
                for _ in range(rng.randrange(8)):
                    seconds = rng.expovariate(200)
                    total += seconds
                    for i, bound in enumerate(bounds + [float("inf")]):
                        counts[i] += seconds <= bound
                for column, count in zip(columns, counts):
                    column.append(float(count))
                sums.append(total)
            labels = {"path": path, "method": method, "status": status}
            name = "demo_api_request_duration_seconds"
            for bound, column in zip([repr(b) for b in bounds] + ["+Inf"], columns):
                yield series(name + "_bucket", column, le=bound, **labels)
            yield series(name + "_sum", sums, **labels)
            yield series(name + "_count", columns[-1], **labels)


def load(options, start):
    """Sends the data in slices of ten minutes, in order of time."""
    data = list(demo_series(options.seed, start))
    for begin in range(start, start + HOURS * 3600, 600):
        window = range(begin * 1000, (begin + 600) * 1000)
        part = [(labels, [s for s in samples if s[0] in window]) for labels, samples in data]
        part = [one for one in part if one[1]]
        for url in (options.prometheus, options.tern):
            write(url, part)
    return len(data), sum(len(samples) for _, samples in data)


def ask(url, path, parameters):
    status, text = get(url + path, parameters)
    body = json.loads(text)
    return (body["data"], None) if status == 200 else (None, body.get("error", text))


def main():
    parser = argparse.ArgumentParser()
    for flag in ("prometheus", "tern", "queries", "results"):
        parser.add_argument("--" + flag, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    table = Table(options.results)

    start = int(time.time()) // STEP * STEP - HOURS * 3600 - 60
    count, samples = load(options, start)
    last = start + HOURS * 3600 - STEP
    instants = [last - 1800 + 2.5, last + 2.5, last - 3000 + 2.5]
    with open(options.queries, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    asked = numbers = refused = 0
    failures, explained = [], {}
    for row in rows:
        query = row["query"]
        forms = [("/api/v1/query", {"query": query, "time": f"{at:.3f}"}) for at in instants]
        span = {"start": f"{last - 1200 + 2.5:.3f}", "end": f"{last + 2.5:.3f}", "step": "10"}
        forms.append(("/api/v1/query_range", {"query": query, **span}))
        for path, parameters in forms:
            asked += 1
            theirs, their_error = ask(options.prometheus, path, parameters)
            ours, our_error = ask(options.tern, path, parameters)
            found = None
            if their_error is None and our_error is None:
                numbers += sum(len(values) for values in as_series(theirs).values())
                found = difference(theirs, ours)
            elif (their_error is None) != (our_error is None):
                found = f"Prometheus: {their_error or 'answers'}; Tern: {our_error or 'answers'}"
            else:
                refused += 1
            if found and query in CHANGED:
                explained[query] = CHANGED[query]
            elif found:
                failures.append((query, path, found))
    for query, path, found in failures:
        table.row("FAIL", f"{path} {query}", found)
    for query, reason in sorted(explained.items()):
        table.row("PASS", f"differs as Prometheus does: {query}", reason)
    table.check(
        f"{len(rows)} compliance queries as three instants and a range", not failures and numbers > 0,
        f"{count} series, {samples} samples; {asked} requests, {numbers} numbers compared, {refused} refused by both, "
        f"{len(explained)} queries explained, {len(failures)} requests differ",
    )


main()
