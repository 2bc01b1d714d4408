# SPDX-License-Identifier: Apache-2.0
# Writes rounds of samples to a server that forwards, and compares what the destinations hold.

import argparse
import time

from acceptance import Table, get, get_json, wait_until
from remote_write import write

SERIES = 60


def labels(i):
    return {"__name__": "forwarded", "job": f"job-{i % 4}", "instance": str(i)}


def millis(begin, number):
    # All in the past, a second apart.
    return (begin - 600 + number) * 1000 + 7


def send(options):
    for number in range(options.first, options.first + options.count):
        at = millis(options.begin, number)
        batch = [(labels(i), [(at, number * 1000.0 + i)]) for i in range(SERIES)]
        batch.append(({"__name__": "private_thing", "job": "job-0"}, [(at, float(number))]))
        write(options.tern, batch)
        time.sleep(0.02)


def samples(url, name, begin):
    parameters = {"query": name + "[20m]", "time": begin}
    result = get_json(url + "/api/v1/query", parameters)["data"]["result"]
    return {tuple(sorted(one["metric"].items())): [(t, float(v)) for t, v in one["values"]] for one in result}


def metric(url, prefix):
    return [line for line in get(url + "/metrics")[1].splitlines() if line.startswith(prefix)]


def compare(options):
    table = Table(options.results)
    names = [("other", options.other), ("prometheus", options.prometheus)]
    expected = {}
    for i in range(SERIES):
        key = dict(labels(i), region="eu")
        values = [(millis(options.begin, n) / 1000, n * 1000.0 + i) for n in range(options.count)]
        expected[tuple(sorted(key.items()))] = values

    for name, url in names:
        at = options.begin + 60
        wait_until(lambda: sum(map(len, samples(url, "forwarded", at).values())) >= SERIES * options.count, 60)
        found = samples(url, "forwarded", at)
        missing = sum(1 for key, values in expected.items() for one in values if one not in set(found.get(key, [])))
        table.check(f"{name} holds every sample once", found == expected, f"{missing} of {SERIES * options.count} missing")
        private = samples(url, "private_thing", at)
        if name == "prometheus":
            table.check("prometheus: write_relabel_configs", private == {}, str(private)[:80])
        else:
            table.check("other: series without a rule", sum(map(len, private.values())) == options.count, "")
    rest = wait_until(lambda: all(line.endswith(" 0") for line in metric(options.tern, "prometheus_remote_storage_samples_pending{")))
    table.check("nothing is pending", bool(rest), "; ".join(metric(options.tern, "prometheus_remote_storage_samples_pending{"))[:200])
    dropped = [line for line in metric(options.tern, "prometheus_remote_storage_samples_dropped_total{") if "queue_bound" in line]
    table.check("the queue dropped nothing", len(dropped) == 2 and all(line.endswith(" 0") for line in dropped), str(dropped)[:120])


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for command, names in [
        ("write", ["tern", "begin", "first", "count"]),
        ("compare", ["tern", "prometheus", "other", "begin", "count", "results"]),
    ]:
        sub = commands.add_parser(command)
        for name in names:
            sub.add_argument("--" + name, required=True, type=int if name in ("begin", "first", "count") else str)
    options = parser.parse_args()
    send(options) if options.command == "write" else compare(options)


main()
