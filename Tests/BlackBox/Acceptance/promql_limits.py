# SPDX-License-Identifier: Apache-2.0
# What promql-limits.sh asks of the server.

import argparse
import http.client
import json
import random
import select
import threading
import time
import urllib.parse

from acceptance import Table, get, get_json, wait_until
from remote_write import write

LIMIT = 512 << 20
POINTS = 11_000
CANCELLED = 1000
# Places in a query at which its client leaves, and how long the query may then go on.
PLACES = 10
PATIENCE = 0.05


def load(url, count, now):
    """One sample each of many series."""
    for first in range(0, count, 5000):
        numbers = range(first, min(count, first + 5000))
        write(url, [({"__name__": "wide", "n": f"{n:06}"}, [(now * 1000, float(n))]) for n in numbers])


def load_long(url, count, now):
    """A day of samples, one a second, of a few series."""
    for n in range(count):
        for first in range(now - 86_400, now, 10_800):
            samples = [(second * 1000, second % 977 + n / 7) for second in range(first, min(first + 10_800, now))]
            write(url, [({"__name__": "long", "n": f"{n}"}, samples)])


def metric(url, name):
    """The value of a series of /metrics."""
    _, page = get(url + "/metrics")
    for line in page.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise RuntimeError(f"/metrics has no {name}")


def resident(process):
    with open(f"/proc/{process}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


def abandon(url, path, parameters, seconds):
    """Sends a request and goes away without an answer. Whether none had come by then."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    connection.request("GET", path + "?" + urllib.parse.urlencode(parameters))
    connection.sock.settimeout(seconds)
    try:
        return connection.sock.recv(1) == b""
    except TimeoutError:
        return True
    finally:
        connection.close()


def refused(options, table, now):
    """A query of about 10 GB: each of the series has a value at each of 11,000 steps."""
    wide = {"query": f"wide @ {now}", "start": now - POINTS + 1, "end": now, "step": 1}
    others, ended = [], threading.Event()

    def ask_small():
        while not ended.is_set():
            started = time.monotonic()
            answer = get_json(options.tern + "/api/v1/query", {"query": "count(wide)", "time": now})
            counted = int(answer["data"]["result"][0]["value"][1])
            others.append((time.monotonic() - started, counted == options.series))

    other = threading.Thread(target=ask_small)
    other.start()
    peak = 0
    outcome = []
    big = threading.Thread(target=lambda: outcome.append(get(options.tern + "/api/v1/query_range", wide)))
    big.start()
    while big.is_alive():
        peak = max(peak, resident(options.process))
        time.sleep(0.01)
    time.sleep(0.5)
    ended.set()
    other.join()
    status, text = outcome[0]
    error = json.loads(text).get("error", "") if text.startswith("{") else text[:200]
    need = options.series * POINTS * 16 / 1e9
    table.check(
        f"a query of {need:.1f} GB is refused with the limit named",
        status == 422 and str(LIMIT) in error and "--query.memory-limit" in error, f"{status} {error}",
    )
    right = sum(1 for _, correct in others if correct)
    table.check(
        "others go on meanwhile", others and right == len(others),
        f"{right} of {len(others)} small queries answered, the slowest in {max(t for t, _ in others) * 1000:.0f} ms",
    )
    table.check("resident memory stays below twice the limit", peak < 2 * LIMIT, f"{peak / 1e6:.0f} MB")


def cancelled(options, table, now):
    """Queries of seconds, left after some milliseconds, eight at a time."""
    slow = {"query": f"sum(count_over_time((wide @ {now})[10m:1s]))", "start": now - 300, "end": now, "step": 1}
    rng = random.Random(1)
    lengths = [rng.uniform(0.005, 0.08) for _ in range(CANCELLED)]
    left = []
    after_some = 0

    def work(mine):
        for seconds in mine:
            left.append(abandon(options.tern, "/api/v1/query_range", slow, seconds))

    for part in (lengths[: CANCELLED // 5], lengths[CANCELLED // 5 :]):
        threads = [threading.Thread(target=work, args=(part[i::8],)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        held = wait_until(lambda: metric(options.tern, "tern_query_memory_bytes") == 0, 20)
        time.sleep(1)
        after_some = after_some or resident(options.process)
    after_all = resident(options.process)
    table.check(f"{CANCELLED} queries are left before their answer", all(left), f"{sum(left)} of {len(left)}")
    table.check(
        "none of them holds memory", held and metric(options.tern, "tern_query_memory_bytes") == 0,
        f"tern_query_memory_bytes {metric(options.tern, 'tern_query_memory_bytes'):.0f}",
    )
    table.check(
        "resident memory does not grow with them", after_all - after_some < 48_000_000,
        f"{after_some / 1e6:.0f} MB after {CANCELLED // 5}, {after_all / 1e6:.0f} MB after {CANCELLED}",
    )
    started = time.monotonic()
    answer = get_json(options.tern + "/api/v1/query", {"query": "count(wide)", "time": now})
    seconds = time.monotonic() - started
    table.check(
        "the next query finds a free place", int(answer["data"]["result"][0]["value"][1]) == options.series and seconds < 10,
        f"{seconds * 1000:.0f} ms",
    )


def heavy(now):
    """Queries that stay long in one operator each: name, path, parameters."""
    steps = {"start": now, "end": now + 199, "step": 1}
    instant = {"time": now}
    digits = " or ".join(f'wide{{n=~".*{a}.*{b}.*{c}.*"}}' for a in "13" for b in "57" for c in "24")
    rows = [
        ("subquery over many series", "query", "sum(max_over_time(wide[5m:1s]))", {"time": now + 299}),
        ("count_values", "query_range", 'count_values("v", wide)', steps),
        ("join", "query_range", "count(wide * on (n) wide)", steps),
        ("many-to-one join", "query_range", "count(wide * on (m) group_left () "
         'label_replace(wide{n="000001"}, "m", "", "n", ".*"))', steps),
        ("set operator", "query_range", "count(wide and on (n) wide)", steps),
        ("fill", "query_range", 'count(wide{n=~"0.*"} + on (n) fill (1) wide{n=~".*[0-4]"})', steps),
        ("sort", "query", "sort_desc(wide)", instant),
        ("sort by label", "query", 'sort_by_label(wide, "n")', instant),
        ("topk", "query_range", "count(topk(2000, wide))", steps),
        ("quantile", "query_range", "quantile(0.9, wide)", steps),
        ("info", "query_range", "count(info(wide))", steps),
        ("label_replace", "query", 'count(label_replace(wide, "m", "$2", "n", "(..)(.*)"))', instant),
        ("histogram_quantile", "query_range",
         'count(histogram_quantile(0.9, label_replace(wide, "le", "$1", "n", ".*(.)")))', steps),
        ("regex over many values", "query", f"count({digits})", instant),
        ("selection of many series", "query", "sum by (n) (wide)", instant),
        ("JSON of a large matrix", "query_range", 'wide{n=~"00.*"}', steps),
        ("long windows", "query_range", "sum(stddev_over_time(long[12h]))",
         {"start": now - 3600, "end": now, "step": 4}),
        ("sorted windows", "query_range", "sum(quantile_over_time(0.5, long[12h]))",
         {"start": now - 3600, "end": now, "step": 60}),
        ("raw samples", "query", "long[1d]", instant),
    ]
    return [(name, "/api/v1/" + path, dict(times, query=query)) for name, path, query, times in rows]


class Watcher:
    """Looks at what the server is working on, as often as it can."""

    def __init__(self, url):
        address = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)

    def is_running(self, query):
        self.connection.request("GET", "/api/v1/status/active_queries")
        running = json.loads(self.connection.getresponse().read())["data"]
        return any(entry["query"] == query for entry in running)


def seconds_after(options, watcher, path, parameters, seconds):
    """How long a query goes on after its client has left at some place in it; None when it was answered before."""
    address = urllib.parse.urlsplit(options.tern)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    connection.request("GET", path + "?" + urllib.parse.urlencode(parameters))
    while not watcher.is_running(parameters["query"]):
        if select.select([connection.sock], [], [], 0)[0]:
            break
    time.sleep(seconds)
    is_answered = bool(select.select([connection.sock], [], [], 0)[0])
    connection.close()
    left = time.monotonic()
    while watcher.is_running(parameters["query"]):
        if time.monotonic() - left > 60:
            break
    return None if is_answered else time.monotonic() - left


def stopped(options, table, now):
    """A query ends when its client leaves, wherever in it that happens."""
    watcher = Watcher(options.tern)
    for name, path, parameters in heavy(now):
        begin = time.monotonic()
        status, text = get(options.tern + path, parameters)
        whole = time.monotonic() - begin
        if status != 200:
            table.check(f"{name}: the query runs", False, f"{status} {text[:200]}")
            continue
        places = [whole * (place + 0.5) / PLACES for place in range(PLACES)]
        times = [seconds_after(options, watcher, path, parameters, place) for place in places]
        times = sorted(t for t in times if t is not None)
        table.check(
            f"{name}: ends within {PATIENCE * 1000:.0f} ms of its client", times and times[-1] <= PATIENCE,
            f"at most {times[-1] * 1000:.0f} ms after, {len(times)} times within a query of {whole:.2f} s" if times
            else f"answered in {whole:.3f} s each time",
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tern", required=True)
    parser.add_argument("--results", required=True)
    parser.add_argument("--series", type=int, required=True)
    parser.add_argument("--process", type=int, required=True)
    options = parser.parse_args()
    table = Table(options.results)
    now = int(time.time()) - 10
    load(options.tern, options.series, now)
    load_long(options.tern, 4, now)
    stopped(options, table, now)
    refused(options, table, now)
    cancelled(options, table, now)


main()
