# SPDX-License-Identifier: Apache-2.0
# A scrape target whose values change only when asked to, so that two scrapers see the same: PyPI's prometheus-client, text
# or OpenMetrics by the request's Accept, text only at /text. /phase/N moves on: 1 changes values and removes a series, 2 answers 500, 3 recovers.

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest, make_wsgi_app

registry = CollectorRegistry()
orders = Counter("shop_orders", "Orders taken.", ["outcome", "pod"], registry=registry)
depth = Gauge("shop_queue_depth", "Orders waiting, with \"quotes\", a \\ and a\nnewline.", ["queue"], registry=registry)
duration = Histogram("shop_request_seconds", "Time of a request.", ["path"], buckets=(0.05, 0.1, 0.5, 1, 2.5), registry=registry)
size = Summary("shop_reply_bytes", "Size of a reply.", registry=registry)
build = Info("shop_build", "Build of the shop.", registry=registry)
state = Enum("shop_state", "State of the shop.", states=["starting", "open", "closed"], registry=registry)
odd = Gauge("shop_odd_values", "Values at the edge.", ["kind"], registry=registry)

build.info({"version": "1.4.2", "commit": "c0ffee"})
phase = 0


def work(round_number):
    """Everything one phase changes."""
    for outcome, count in (("paid", 7), ("refused", 2)):
        orders.labels(outcome, "pod-1").inc(count, exemplar={"trace_id": f"{round_number + 1:032x}"})
    depth.labels("in").set(12.5 - round_number)
    depth.labels("out / \"slow\"").set(-3)
    for number, seconds in enumerate((0.01, 0.07, 0.3, 0.9, 2, 40)):
        duration.labels("/checkout").observe(seconds, exemplar={"trace_id": f"{number + 16 * (round_number + 1):032x}"})
    size.observe(512)
    state.state("open" if round_number else "starting")
    for kind, value in (("nan", float("nan")), ("inf", float("inf")), ("minus inf", float("-inf")), ("tiny", 5e-324), ("big", 1.7e308)):
        odd.labels(kind).set(value)


work(0)
exposition = make_wsgi_app(registry)


def application(environment, respond):
    global phase
    path = environment["PATH_INFO"]
    if path.startswith("/phase/"):
        phase = int(path.rsplit("/", 1)[1])
        if phase == 1:
            work(1)
            depth.remove("in")
        respond("200 OK", [("Content-Type", "text/plain")])
        return [b"ok\n"]
    if phase == 2:
        respond("500 Internal Server Error", [("Content-Type", "text/plain")])
        return [b"down\n"]
    if path == "/text":
        respond("200 OK", [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")])
        return [generate_latest(registry)]
    return exposition(environment, respond)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


make_server("127.0.0.1", int(sys.argv[1]), application, handler_class=Quiet).serve_forever()
