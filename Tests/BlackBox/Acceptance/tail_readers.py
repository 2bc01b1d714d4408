# SPDX-License-Identifier: Apache-2.0
# Readers of live tails: quick ones, one that reads slowly, one that is stopped, fifty at once.

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import threading
import time
import urllib.parse

import websocket

from acceptance import Table, get, post, wait_until


def tail_url(tern, query, **parameters):
    return tern.replace("http:", "ws:") + "/loki/api/v1/tail?" + urllib.parse.urlencode({"query": query} | parameters)


def push(tern, labels, lines, headers=None):
    """Pushes (nanoseconds, text) lines of one stream; the seconds it took."""
    body = {"streams": [{"stream": labels, "values": [[str(nanoseconds), text] for nanoseconds, text in lines]}]}
    begin = time.monotonic()
    status, text = post(tern + "/loki/api/v1/push", json.dumps(body).encode(), {"Content-Type": "application/json"} | (headers or {}))
    if status != 204:
        raise RuntimeError(f"push: {status} {text}")
    return time.monotonic() - begin


class Reader(threading.Thread):
    """Takes frames until it is told to stop; counts lines and reported drops."""

    def __init__(self, url, pause=0.0, headers=None, socket_options=()):
        super().__init__(daemon=True)
        self.socket = websocket.create_connection(url, timeout=15, header=headers or [], sockopt=socket_options)
        self.pause = pause
        self.lines = []
        self.dropped = 0
        self.largest = 0
        self.flags = None
        self.tenants = set()
        self.ended = None
        self.halt = False
        self.start()

    def run(self):
        try:
            while not self.halt:
                text = self.socket.recv()
                if not text:
                    self.ended = "closed"
                    return
                frame = json.loads(text)
                self.flags = frame.get("encodingFlags")
                entries = [(int(value[0]), value[1], *value[2:]) for stream in frame["streams"] for value in stream["values"]]
                self.tenants |= {stream["stream"].get("__tenant_id__") for stream in frame["streams"]}
                self.lines += entries
                self.largest = max(self.largest, len(entries))
                self.dropped += len(frame.get("dropped_entries") or [])
                if self.pause:
                    time.sleep(self.pause)
        except (OSError, websocket.WebSocketException) as error:
            self.ended = str(error)

    def close(self):
        self.halt = True
        try:
            self.socket.close(timeout=1)
        except (OSError, websocket.WebSocketException):
            pass


def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def metric(tern, name):
    text = get(tern + "/metrics")[1]
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " ")), None)


def load(tern, seconds, labels, text):
    """Pushes 20 lines every 100 ms, which 50 readers in Python can follow, in a process of its own; the seconds that each push took, and how many lines there were."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(load_here, (tern, seconds, labels, text))


def load_here(tern, seconds, labels, text):
    times, count, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        now = time.time_ns()
        times.append(push(tern, labels, [(now + number, f"{count + number} {text}") for number in range(20)]))
        count += 20
        time.sleep(0.1)
    return times, count


def refused(url):
    try:
        websocket.create_connection(url, timeout=10).close()
        return 101, ""
    except websocket.WebSocketBadStatusException as error:
        return error.status_code, (error.resp_body or b"").decode()


def check_slow_reader(tern, check):
    """A reader that takes a frame a second while more lines arrive than sockets and frames hold. There are no more lines than
    reports that may wait, so that in the end each of them either came or was reported."""
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)]
    slow = Reader(tail_url(tern, '{app="flood"}', limit=1), pause=1, socket_options=options)
    wait_until(lambda: metric(tern, "tern_tails") >= 1, 10)
    text, count = "y" * 30_000, 0
    while count < 1000:
        now = time.time_ns()
        push(tern, {"app": "flood"}, [(now + number, f"{count + number} {text}") for number in range(50)])
        count += 50
    flooded = len(slow.lines)
    slow.pause = 0
    wait_until(lambda: len(slow.lines) + slow.dropped >= count, 60)
    came, dropped = len(slow.lines), slow.dropped
    check("slow reader: drops are reported", dropped > 0, f"{came} lines, {dropped} dropped of {count}")
    check("slow reader: every line came or is reported, in order", came + dropped == count and slow.lines == sorted(slow.lines),
          f"{flooded} lines while they arrived, then {came} lines, {dropped} dropped of {count}, {slow.ended}")
    slow.close()


def check_tenants(tern, check):
    """One tail of two tenants, on a server that separates them."""
    for tenant in ("red", "blue", "green"):
        push(tern, {"app": "order"}, [(time.time_ns(), f"{tenant} old")], {"X-Scope-OrgID": tenant})
    reader = Reader(tail_url(tern, '{app="order"}'), headers=["X-Scope-OrgID: red|blue"])
    chosen = Reader(tail_url(tern, '{app="order", __tenant_id__="blue"}'), headers=["X-Scope-OrgID: red|blue"])
    wait_until(lambda: len(reader.lines) >= 2 and len(chosen.lines) >= 1, 10)
    for tenant in ("green", "blue", "red"):
        push(tern, {"app": "order"}, [(time.time_ns(), f"{tenant} new")], {"X-Scope-OrgID": tenant})
    wait_until(lambda: len(reader.lines) >= 4 and len(chosen.lines) >= 2, 10)
    texts = [line[1] for line in reader.lines]
    check("two tenants: history and new lines of both, in order",
          texts == ["red old", "blue old", "blue new", "red new"] and reader.tenants == {"red", "blue"}, f"{texts} {reader.tenants}")
    texts = [line[1] for line in chosen.lines]
    check("two tenants: a matcher of __tenant_id__ chooses", texts == ["blue old", "blue new"] and chosen.tenants == {"blue"}, texts)
    reader.close()
    chosen.close()


def main():
    parser = argparse.ArgumentParser()
    for flag in ("tern", "results", "seconds", "pid"):
        parser.add_argument("--" + flag)
    parser.add_argument("--tenants", action="store_true", help="only what needs --tenancy header")
    options = parser.parse_args()
    tern, table = options.tern, Table(options.results)
    check = table.check
    if options.tenants:
        check_tenants(tern, check)
        return
    seconds = float(options.seconds)

    # History, then what arrives, in order and filtered.
    now = time.time_ns()
    push(tern, {"app": "order"}, [(now - 5000 + number, f"old {number}") for number in range(5)])
    reader = Reader(tail_url(tern, '{app="order"} |= "old" or "new"', limit=3))
    wait_until(lambda: len(reader.lines) >= 3, 10)
    check("history: the newest lines, oldest first", [line[1] for line in reader.lines] == ["old 2", "old 3", "old 4"], reader.lines)
    for number in range(20):
        push(tern, {"app": "order"}, [(time.time_ns(), f"new {number}"), (time.time_ns(), f"other {number}")])
    wait_until(lambda: len(reader.lines) >= 23, 10)
    check("new lines: all that match, in order", [line[1] for line in reader.lines[3:]] == [f"new {number}" for number in range(20)],
          reader.lines[3:])
    check("no entry was dropped", reader.dropped == 0)
    reader.close()

    reader = Reader(tail_url(tern, '{app="order"} | logfmt', limit=1), headers=["X-Loki-Response-Encoding-Flags: categorize-labels"])
    push(tern, {"app": "order"}, [(time.time_ns(), "msg=paid")])
    wait_until(lambda: len(reader.lines) >= 2, 10)
    check("categorize-labels: flag and categories", reader.flags == ["categorize-labels"]
          and reader.lines[-1][2].get("parsed") == {"msg": "paid"}, reader.lines[-1:])
    reader.close()

    # delay_for lets a late line in front.
    reader = Reader(tail_url(tern, '{app="late"}', delay_for=2))
    time.sleep(0.5)
    now = time.time_ns()
    push(tern, {"app": "late", "host": "a"}, [(now, "second")])
    push(tern, {"app": "late", "host": "b"}, [(now - 1_000_000, "first")])
    early = len(reader.lines)
    wait_until(lambda: len(reader.lines) >= 2, 10)
    check("delay_for: nothing at once, then by time", early == 0 and [line[1] for line in sorted(reader.lines)] == ["first", "second"],
          reader.lines)
    reader.close()

    for query, text in (("rate({a=\"b\"}[1m])", "only log selector is supported"), ("{a=", "parse error")):
        status, body = refused(tail_url(tern, query))
        check(f"refused before the upgrade: {query}", status == 400 and text in body, f"{status} {body}")
    status, body = refused(tail_url(tern, '{a="b"}', delay_for=6))
    check("refused before the upgrade: delay_for=6", status == 400 and body.strip() == "delay_for can't be greater than 5", body)

    # Load without readers, then with fifty, a slow one and a stopped one.
    text = "x" * 1000
    alone, _ = load(tern, seconds / 2, {"app": "load"}, text)
    before = resident(options.pid)
    readers = [Reader(tail_url(tern, '{app="load"} |= "x"', limit=1)) for _ in range(50)]
    slow = Reader(tail_url(tern, '{app="load"}', limit=1), pause=0.5)
    # Connected, and then never read.
    stopped = websocket.create_connection(tail_url(tern, '{app="load"}', limit=1), timeout=15)
    check("52 tails run", wait_until(lambda: metric(tern, "tern_tails") == 52, 10), metric(tern, "tern_tails"))
    watched, count = load(tern, seconds, {"app": "load"}, text)
    peak = resident(options.pid)
    wait_until(lambda: all(len(one.lines) + one.dropped >= count for one in readers), 60)
    complete = sum(1 for one in readers if len(one.lines) >= count)
    check("50 readers: every line came or is reported", all(len(one.lines) + one.dropped >= count for one in readers),
          f"{complete} of 50 have all {count} lines; " + str([(len(one.lines), one.dropped, one.ended) for one in readers][:5]))
    check("at most 100 entries a frame", max(one.largest for one in readers) <= 100, max(one.largest for one in readers))
    a, b = statistics.median(alone), statistics.median(watched)
    table.row("PASS", "ingest beside 52 readers", f"median push {a * 1000:.1f} ms alone, {b * 1000:.1f} ms watched")
    check("memory stays bounded", peak - before < 400 << 20, f"{before >> 20} MiB before, {peak >> 20} MiB after")
    feed = metric(tern, "tern_tail_feed_bytes")
    check("the list of batches stays bounded", feed is not None and feed <= 33 << 20, feed)
    check_slow_reader(tern, check)

    # The server says goodbye to a reader that stays silent; this takes a minute.
    for one in readers + [slow]:
        one.close()
    gone = wait_until(lambda: metric(tern, "tern_tails") == 0, 90)
    check("stopped reader: given up after a minute of silence", gone, metric(tern, "tern_tails"))
    stopped.close()


if __name__ == "__main__":
    main()
