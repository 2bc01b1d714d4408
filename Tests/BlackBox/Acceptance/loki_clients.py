# SPDX-License-Identifier: Apache-2.0
# Sends log lines as real clients do, then finds each by LogQL: two logging handlers from PyPI, JSON with structured metadata
# as curl sends it, snappy protobuf as Promtail and Alloy send it, and what syslog-ng has sent by its own template.

import argparse
import gzip
import json
import logging
import time

import logging_loki
import snappy
from loki_logger_handler.loki_logger_handler import LokiLoggerHandler

from acceptance import Table, get_json, post, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def lines(tern, query, **parameters):
    """(labels, line) of every entry the query returns, oldest first."""
    answer = get_json(tern + "/loki/api/v1/query_range", {"query": query, "direction": "forward", "limit": 1000} | parameters)
    # Streams come sorted by their labels; the order over all of them is that of the times.
    rows = [(int(value[0]), stream["stream"], value[1]) for stream in answer["data"]["result"] for value in stream["values"]]
    return [(labels, line) for _, labels, line in sorted(rows, key=lambda row: row[0])]


# The wire types of a push request are only strings, messages and one timestamp; logproto's field numbers are
# PushRequest.streams=1, Stream.labels=1 .entries=2, Entry.timestamp=1 .line=2 .structuredMetadata=3, LabelPair.name=1 .value=2.
def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, payload):
    payload = payload.encode() if isinstance(payload, str) else payload
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def protobuf_push(labels, entries):
    stream = field(1, labels)
    for nanoseconds, line, metadata in entries:
        seconds, rest = divmod(nanoseconds, 1_000_000_000)
        stamp = b"\x08" + varint(seconds) + b"\x10" + varint(rest)
        pairs = b"".join(field(3, field(1, name) + field(2, value)) for name, value in metadata.items())
        stream += field(2, field(1, stamp) + field(2, line) + pairs)
    return snappy.compress(field(1, stream))


def main():
    parser = argparse.ArgumentParser()
    for flag in ("tern", "results", "syslog"):
        parser.add_argument("--" + flag)
    options = parser.parse_args()
    tern, table = options.tern, Table(options.results)
    push = tern + "/loki/api/v1/push"
    check = table.check

    # python-logging-loki: one JSON push a record, its tags are stream labels.
    log = logging.getLogger("ledger")
    log.setLevel(logging.DEBUG)
    log.addHandler(logging_loki.LokiHandler(url=push, tags={"app": "ledger", "env": "acceptance"}, version="1"))
    for number in range(50):
        log.info("posted entry %d", number, extra={"tags": {"branch": f"b{number % 3}"}})
    log.error("cannot post entry %d: account closed", 50)
    found = lines(tern, '{app="ledger"} |= "entry"')
    check("python-logging-loki: every line is found", sorted(line for _, line in found) == sorted(
        [f"posted entry {number}" for number in range(50)] + ["cannot post entry 50: account closed"]), len(found))
    found = lines(tern, '{app="ledger",severity="error"}')
    check("python-logging-loki: tags are stream labels", len(found) == 1 and found[0][0].get("env") == "acceptance", found)
    answer = get_json(tern + "/loki/api/v1/query", {"query": 'sum by (branch) (count_over_time({app="ledger",branch!=""}[5m]))'})
    counts = {one["metric"]["branch"]: one["value"][1] for one in answer["data"]["result"]}
    check("python-logging-loki: counted by a label", counts == {"b0": "17", "b1": "17", "b2": "16"}, counts)

    # loki-logger-handler: gzip, JSON lines, structured metadata.
    log = logging.getLogger("vault")
    log.setLevel(logging.DEBUG)
    log.addHandler(LokiLoggerHandler(
        url=push, labels={"app": "vault"}, timeout=1, compressed=True, enable_self_errors=True,
        enable_structured_loki_metadata=True, loki_metadata={"trace_id": TRACE, "zone": "eu-1"}))
    log.warning("key rotated", extra={"key": "k7", "attempt": 3})
    found = wait_until(lambda: lines(tern, '{app="vault"} | zone="eu-1" | json | attempt > 2 | key="k7"'), 15)
    check("loki-logger-handler: found by metadata and by a JSON field", bool(found) and "key rotated" in found[0][1], found)

    # JSON as the HTTP documentation shows it, with structured metadata, plain and gzip.
    now = time.time_ns()
    body = json.dumps({"streams": [{"stream": {"app": "mail", "level": "info"}, "values": [
        [str(now), 'sent to="ada@example.org" bytes=512', {"trace_id": TRACE, "user": "ada"}],
        [str(now + 1), 'sent to="bob@example.org" bytes=2048', {"user": "bob"}]]}]}).encode()
    status, text = post(push, body, {"Content-Type": "application/json"})
    check("JSON push answers 204", status == 204, (status, text))
    status, text = post(push, gzip.compress(body), {"Content-Type": "application/json", "Content-Encoding": "gzip"})
    check("the same push again by gzip answers 204", status == 204, (status, text))
    found = lines(tern, '{app="mail"}')
    check("a line sent twice is stored once", len(found) == 2, found)
    found = lines(tern, '{app="mail"} | user="bob"')
    check("structured metadata selects", len(found) == 1 and "bob@" in found[0][1], found)
    found = lines(tern, '{app="mail"} | logfmt | bytes > 1KB')
    check("logfmt field selects", len(found) == 1 and "bob@" in found[0][1], found)
    found = lines(tern, '{app="mail"} | logfmt | line_format "{{.to}} {{.bytes}}"')
    check("line_format formats", [line for _, line in found] == ["ada@example.org 512", "bob@example.org 2048"], found)
    answer = get_json(tern + "/loki/api/v1/query", {"query": 'sum(sum_over_time({app="mail"} | logfmt | unwrap bytes [5m]))'})
    value = [one["value"][1] for one in answer["data"]["result"]]
    check("unwrap sums", value == ["2560"], value)

    # Snappy protobuf, the default of Promtail, Alloy and the OpenTelemetry Collector's loki exporter.
    now = time.time_ns()
    entries = [(now + number, f"GET /item/{number} {200 if number % 10 else 503}", {"pod": f"web-{number % 2}"})
               for number in range(500)]
    status, text = post(push, protobuf_push('{job="web", filename="/var/log/web.log"}', entries), {"Content-Type": "application/x-protobuf"})
    check("protobuf push answers 204", status == 204, (status, text))
    found = lines(tern, '{job="web"}')
    check("protobuf: every line in order", [line for _, line in found] == [line for _, line, _ in entries], len(found))
    found = lines(tern, '{filename="/var/log/web.log"} | pattern "<method> <path> <status>" | status=503 | pod="web-0"')
    check("protobuf: found by pattern and metadata", len(found) == 50, len(found))
    found = lines(tern, '{job="web"} |~ "/item/4[0-9]{2} " != "503"', limit="20")
    check("protobuf: regex, exclusion and limit", len(found) == 20, len(found))
    names = get_json(tern + "/loki/api/v1/label/app/values")["data"]
    check("label values list the applications", {"ledger", "vault", "mail"} <= set(names), names)
    series = get_json(tern + "/loki/api/v1/series", {"match[]": '{app="ledger"}'})["data"]
    check("series lists the streams", len(series) == 4, len(series))

    logs = get_json(f"{tern}/api/v1/correlate/trace/{TRACE}")["data"]["logs"]
    check("the trace id leads to lines of both clients", {log["labels"].get("app") for log in logs} == {"mail", "vault"},
          [(log["labels"].get("app"), log["line"]) for log in logs])

    # Nothing that is not JSON, not a selector or not a label may pass as success.
    entry = f'"values":[["{time.time_ns()}","x"]]'
    for name, bad in (("broken JSON", '{"streams":[{'), ("a label with a space", f'{{"streams":[{{"stream":{{"a b":"c"}},{entry}}}]}}'),
                      ("a stream without labels", f'{{"streams":[{{"stream":{{}},{entry}}}]}}')):
        status, text = post(push, bad.encode(), {"Content-Type": "application/json"})
        check(f"{name} is refused with 400", status == 400 and bool(text.strip()), (status, text.strip()))

    if options.syslog == "yes":
        found = wait_until(lambda: (lambda rows: rows if len(rows) >= 20 else None)(lines(tern, '{job="syslog"} |= "disk"')), 20) or []
        check("syslog-ng: 20 messages are found", len(found) == 20, len(found))
        check("syslog-ng: host, program and severity are labels",
              bool(found) and found[0][0].get("program") == "smartd" and found[0][0].get("severity") == "warning",
              found[0][0] if found else "")
        found = lines(tern, '{job="syslog",program="smartd"} |= "disk 7 is \\"warm\\""')
        check("syslog-ng: quotes inside the line survive", len(found) == 1, found)


main()
