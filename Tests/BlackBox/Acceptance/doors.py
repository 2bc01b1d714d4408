# SPDX-License-Identifier: Apache-2.0
# Senders of doors.sh and what becomes of what they send.

import argparse
import socket
import time

from acceptance import Table, get_json, post, wait_until


def vector(tern, query):
    """Instant vector as {labels without __name__, sorted: value}."""
    data = get_json(f"{tern}/api/v1/query", {"query": query})["data"]["result"]
    return {
        tuple(sorted((k, v) for k, v in one["metric"].items() if k != "__name__")): float(one["value"][1])
        for one in data
        if "value" in one
    }


def check(table, name, tern, query, want, seconds=15):
    """Waits for a query to give exactly what is wanted."""
    got = wait_until(lambda: (v := vector(tern, query)) == want and v, seconds)
    if not got:
        got = vector(tern, query)
    table.check(name, got == want, "" if got == want else f"{query}: {got}, wanted {want}")


def influx2(table, tern):
    from influxdb_client import InfluxDBClient, Point, WritePrecision
    from influxdb_client.client.write_api import SYNCHRONOUS, WriteOptions

    with InfluxDBClient(url=tern, token="t", org="o", enable_gzip=True) as client:
        table.check("influxdb-client: ping", client.ping())
        point = (
            Point("boiler").tag("site", "north, gate").field("temp", 61.5).field("pumps", 3).field("on", True)
            .field("note", 'say "hi", x=1').time(int(time.time() * 1000), WritePrecision.MS)
        )
        client.write_api(write_options=SYNCHRONOUS).write(bucket="plant", record=point, write_precision=WritePrecision.MS)
        with client.write_api(write_options=WriteOptions(batch_size=500, flush_interval=200)) as batching:
            now = time.time_ns()
            for i in range(2000):
                batching.write(bucket="plant", record=f"many,n={i % 50} v={i}i {now - (2000 - i) * 1_000_000}")
    site = (("db", "plant"), ("site", "north, gate"))
    for field, value in (("temp", 61.5), ("pumps", 3), ("on", 1)):
        check(table, f"influxdb-client: field {field}", tern, f"boiler_{field}", {site: value})
    check(table, "influxdb-client: batches", tern, "sum(count_over_time(many_v[1m]))", {(): 2000})


def influx1(table, tern):
    from influxdb import InfluxDBClient

    host, port = tern.removeprefix("http://").split(":")
    client = InfluxDBClient(host, int(port), database="one")
    client.create_database("one")
    written = client.write_points(
        [{"measurement": "disk", "tags": {"host": "a"}, "fields": {"free": 12, "path": "/"}}], time_precision="s")
    table.check("influxdb: write_points", written)
    check(table, "influxdb: found", tern, "disk_free", {(("db", "one"), ("host", "a")): 12})
    names = [one["name"] for one in client.get_list_database()]
    table.check("influxdb: databases", "one" in names, names)


def graphite(table, tern, port):
    import graphyte

    sender = graphyte.Sender("127.0.0.1", port=port, prefix="sys", log_sends=False)
    sender.send("load.short", 1.25)
    sender.send("disk.used", 42, tags={"dc": "eu", "rack": "a1"})
    sender.stop()
    check(table, "graphyte: path", tern, '{__name__="sys.load.short"}', {(): 1.25})
    check(table, "graphyte: tags", tern, '{"sys.disk.used", dc="eu"}', {(("dc", "eu"), ("rack", "a1")): 42})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"sys.udp 5\nsys.udp;a=b 6", ("127.0.0.1", port))
    check(table, "graphite: UDP", tern, '{"sys.udp"}', {(): 5, (("a", "b"),): 6})
    names = wait_until(lambda: [n for n in get_json(f"{tern}/api/v1/label/__name__/values")["data"] if n.startswith("collectd.box.")])
    table.check("collectd: write_graphite", len(names or []) >= 5, f"{len(names or [])} series such as {(names or ['none'])[0]}")


def statsd(table, tern, port):
    from statsd import StatsClient

    client = StatsClient("127.0.0.1", port, prefix="web")
    for _ in range(10):
        client.incr("hits", 3)
    client.gauge("queue", 7)
    client.gauge("queue", -2, delta=True)
    client.set("users", "ann")
    client.set("users", "bob")
    for millis in (10, 20, 30, 40):
        client.timing("render", millis)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"dog.size:100:200:300|d|#env:prod,team:x\n", ("127.0.0.1", port))
    check(table, "statsd: counter", tern, "web_hits", {(): 30})
    check(table, "statsd: gauge", tern, "web_queue", {(): 5})
    check(table, "statsd: set", tern, "max_over_time(web_users[30s])", {(): 2})
    check(table, "statsd: timer is a histogram", tern, "histogram_count(web_render)", {(): 4})
    check(table, "statsd: timer in seconds", tern, "round(histogram_sum(web_render), 0.001)", {(): 0.1})
    check(table, "statsd: DogStatsD tags", tern, "histogram_sum(dog_size)", {(("env", "prod"), ("team", "x")): 600})


def pushgateway(table, tern):
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, delete_from_gateway, push_to_gateway, pushadd_to_gateway

    registry = CollectorRegistry()
    Gauge("job_rows", "Rows.", registry=registry).set(11)
    histogram = Histogram("job_seconds", "Duration.", registry=registry, buckets=(1, 5))
    histogram.observe(3)
    push_to_gateway(tern, job="nightly", registry=registry, grouping_key={"path": "/var/tmp"})
    key = (("job", "nightly"), ("path", "/var/tmp"))
    check(table, "prometheus-client: push_to_gateway", tern, "job_rows", {key: 11})
    check(table, "prometheus-client: histogram", tern, 'job_seconds_bucket{le="5.0"}', {(("job", "nightly"), ("le", "5.0"), ("path", "/var/tmp")): 1})
    more = CollectorRegistry()
    Counter("job_errors", "Errors.", registry=more).inc(2)
    pushadd_to_gateway(tern, job="nightly", registry=more, grouping_key={"path": "/var/tmp"})
    check(table, "prometheus-client: pushadd_to_gateway", tern, "job_errors_total", {key: 2})
    check(table, "pushed metrics go on", tern, "count_over_time(job_rows[10s]) >= bool 3", {key: 1})
    push_to_gateway(tern, job="gone", registry=registry)
    delete_from_gateway(tern, job="gone")
    check(table, "prometheus-client: delete_from_gateway", tern, 'count(job_rows)', {(): 1})
    status, text = post(f"{tern}/metrics/job/nightly", b"# TYPE job_rows counter\njob_rows 1\n")
    table.check("a push of another type is refused", status == 400 and "inconsistent" in text, f"{status} {text}")
    check(table, "its time is kept", tern, 'push_failure_time_seconds{path=""} > bool 1e9', {(("job", "nightly"),): 1})


def main():
    parser = argparse.ArgumentParser()
    for name in ("phase", "tern", "results"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("graphite", "statsd"):
        parser.add_argument(f"--{name}", required=True, type=int)
    given = parser.parse_args()
    table = Table(given.results)
    if given.phase == "restart":
        began = time.time()
        key = (("job", "nightly"), ("path", "/var/tmp"))
        check(table, "pushed metrics go on after kill -9", given.tern,
              f"job_rows and timestamp(job_rows) > {began}", {key: 11})
        check(table, "samples of all doors survived", given.tern,
              'count({__name__=~"boiler_temp|sys.udp|web_hits|curl_jobs|disk_free"})', {(): 6})
        return
    check(table, "curl: found", given.tern, "curl_jobs", {(("dc", "eu"), ("queue", "a")): 7})
    for name, part in (
        ("influxdb-client", lambda: influx2(table, given.tern)),
        ("influxdb", lambda: influx1(table, given.tern)),
        ("graphite", lambda: graphite(table, given.tern, given.graphite)),
        ("statsd", lambda: statsd(table, given.tern, given.statsd)),
        ("pushgateway", lambda: pushgateway(table, given.tern)),
    ):
        try:
            part()
        except Exception as error:  # a sender that cannot send is a result
            table.row("FAIL", name, f"{type(error).__name__}: {error}")


main()
