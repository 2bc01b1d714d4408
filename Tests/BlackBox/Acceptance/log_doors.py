# SPDX-License-Identifier: Apache-2.0
# Senders of log-doors.sh that are Python, and what becomes of what all of them send.

import argparse
import gzip
import hashlib
import os
import socket
import struct
import sys
import time

from acceptance import Table, get, get_json, wait_until


def lines(tern, query, seconds=20, want=1):
    """(labels with metadata, line) of a query, once there are `want` of them or time is up."""

    def ask():
        data = get_json(
            f"{tern}/loki/api/v1/query_range", {"query": query, "since": "24h", "limit": "5000"})["data"]["result"]
        found = [(one["stream"], value[1]) for one in data for value in one["values"]]
        return found if len(found) >= want else None

    return wait_until(ask, seconds) or []


def count(table, tern, name, query, want, seconds=30):
    """Waits for exactly so many lines."""
    asked = f"sum(count_over_time({query}[24h]))"

    def ask():
        data = get_json(f"{tern}/loki/api/v1/query", {"query": asked})["data"]["result"]
        return int(data[0]["value"][1]) if data else 0

    got = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end and (got := ask()) < want:
        time.sleep(0.25)
    table.check(name, got == want, f"{got} lines" if got == want else f"{asked}: {got}, wanted {want}")


def one(table, tern, name, query, line, **labels):
    """A line with these labels or metadata."""
    found = lines(tern, query)
    ok = any(text == line and all(of.get(k) == v for k, v in labels.items()) for of, text in found)
    table.check(name, ok, "" if ok else f"{query}: {found[:2]}, wanted {line!r} {labels}")


def journal():
    """An export of 3000 entries."""
    out = sys.stdout.buffer
    start = int(time.time() * 1e6) - 3_000_000
    machine, boot = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
    for i in range(3000):
        out.write(
            f"__CURSOR=s={machine};i={i:x};b={boot};m={i:x};t={start + i:x};x=1\n"
            f"__REALTIME_TIMESTAMP={start + i}\n__MONOTONIC_TIMESTAMP={i + 1}\n_BOOT_ID={boot}\n_MACHINE_ID={machine}\n"
            f"_HOSTNAME=journalbox\nPRIORITY={i % 8}\n_SYSTEMD_UNIT=web.service\nSYSLOG_IDENTIFIER=web\n_PID={i}\n".encode())
        if i % 100 == 0:
            message = f"entry {i}\nwith two lines".encode()
            out.write(b"MESSAGE\n" + struct.pack("<Q", len(message)) + message + b"\n")
        else:
            out.write(f"MESSAGE=entry {i}\n".encode())
        out.write(b"\n")


def elasticsearch(table, tern):
    import elasticsearch as library
    from elasticsearch.helpers import BulkIndexError, bulk, streaming_bulk

    name = f"elasticsearch-py {library.__versionstr__}"
    app = f"es{library.__version__[0]}"
    # The last second, so that the range of later queries holds them.
    stamp = lambda i: time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 60)) + f".{i:06d}Z"
    with library.Elasticsearch(tern, http_compress=True) as client:
        table.check(f"{name}: ping and info", client.ping() and client.info()["version"]["number"].startswith("8."))
        documents = (
            {"_index": "shop", "@timestamp": stamp(i), "message": f"order {i}", "app": app, "log": {"level": "warn"}, "n": i}
            for i in range(2500))
        done, errors = bulk(client, documents, chunk_size=500)
        table.check(f"{name}: bulk", (done, errors) == (2500, []), f"{done} {errors}")
        answer = client.index(index="shop", document={"message": "single", "app": app})
        table.check(f"{name}: index", answer["result"] == "created")
        try:
            bulk(client, [{"_index": "shop", "_op_type": "delete", "_id": "1"}, {"_index": "shop", "message": "kept", "app": app}])
            table.check(f"{name}: delete is refused by item", False)
        except BulkIndexError as error:
            table.check(f"{name}: delete is refused by item", len(error.errors) == 1 and error.errors[0]["delete"]["status"] == 400)
        outcomes = [ok for ok, _ in streaming_bulk(
            client, [{"_index": "shop", "@timestamp": "1999-01-01T00:00:00Z", "message": "old", "app": app}],
            raise_on_error=False)]
        table.check(f"{name}: too old is refused by item", outcomes == [False])
    with library.Elasticsearch(f"{tern}/elasticsearch") as client:
        table.check(f"{name}: under /elasticsearch", client.options().bulk(
            operations=[{"create": {"_index": "shop"}}, {"message": "prefixed", "app": app}])["errors"] is False)


def forward(port, messages, key=None):
    """Sends messages and returns the acknowledged chunks; proves the key first where there is one."""
    import msgpack

    chunks, unpacker = [], msgpack.Unpacker()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        if key is not None:
            unpacker.feed(connection.recv(4096))
            hello = unpacker.unpack()
            nonce, salt = hello[1]["nonce"].encode(), os.urandom(16).hex().encode()
            digest = hashlib.sha512(salt + b"client" + nonce + key).hexdigest()
            connection.sendall(msgpack.packb(["PING", "client", salt, digest, "", ""]))
            unpacker.feed(connection.recv(4096))
            pong = unpacker.unpack()
            want = hashlib.sha512(salt + pong[3].encode() + nonce + key).hexdigest()
            if not (pong[0] == "PONG" and pong[1] and pong[4] == want):
                raise RuntimeError(f"not trusted: {pong}")
        for message in messages:
            connection.sendall(msgpack.packb(message))
        while len(chunks) < len(messages) and (some := connection.recv(4096)):
            unpacker.feed(some)
            chunks += [answer["ack"] for answer in unpacker]
    return chunks


def fluent(table, tern, port):
    import msgpack
    from fluent import asyncsender, sender

    plain = sender.FluentSender("plain", host="127.0.0.1", port=port, nanosecond_precision=True)
    sent = all(plain.emit("web", {"message": f"fluent {i}", "app": "fluent-logger", "nested": {"a": i}}) for i in range(500))
    plain.close()
    table.check("fluent-logger: sent", sent, str(plain.last_error or ""))
    quick = asyncsender.FluentSender("quick", host="127.0.0.1", port=port)
    for i in range(500):
        quick.emit("web", {"message": f"fluent async {i}", "app": "fluent-async"})
    quick.close()
    now = int(time.time())
    entries = [[now, {"message": f"packed {i}", "app": "forward"}] for i in range(100)]
    packed = b"".join(msgpack.packb(entry) for entry in entries)
    chunks = forward(port, [
        ["f.forward", entries, {"chunk": "c1"}],
        ["f.packed", packed, {"chunk": "c2", "size": 100}],
        ["f.gzip", gzip.compress(packed[:0]) + gzip.compress(packed), {"chunk": "c3", "compressed": "gzip"}],
        ["f.event", now, {"message": "one event", "app": "forward"}, {"chunk": "c4"}],
    ])
    table.check("forward: every chunk is acknowledged", chunks == ["c1", "c2", "c3", "c4"], str(chunks))


def find(table, tern):
    one(table, tern, "logger: newer format over UDP", '{app_name="logger-udp"}', "logger over udp", facility="auth", severity="err",
        msg_id="ID7", test_1_k="v", detected_level="error")
    one(table, tern, "logger: older format over UDP", '{app_name="logger-old"}', "logger over udp, older format", facility="daemon",
        detected_level="warn")
    count(table, tern, "logger: TCP, line ends", '{app_name="logger-tcp"}', 200)
    count(table, tern, "logger: TCP, octets counted", '{app_name="logger-counted"}', 200)
    # The kernel may have dropped some of a burst of datagrams.
    got = len(lines(tern, '{hostname="rsyslog-udp",app_name="relay"}', want=300, seconds=5) or lines(
        tern, '{hostname="rsyslog-udp",app_name="relay"}'))
    table.check("rsyslog: omfwd udp", 0 < got <= 300, f"{got} of 300 datagrams")
    for name in ("tcp", "counted", "tls", "old"):
        count(table, tern, f"rsyslog: omfwd {name}", f'{{hostname="rsyslog-{name}",app_name="relay"}}', 300)
    one(table, tern, "rsyslog: text is whole", '{hostname="rsyslog-tls"} |= "line\\" 300"', 'relayed "line" 300', facility="local1",
        severity="warning")
    count(table, tern, "rsyslog: omelasticsearch", '{app="relay"} | severity="warning"', 300)
    for name in ("tcp", "tls"):
        count(table, tern, f"syslog-ng: {name}", f'{{hostname="syslog-ng-{name}",app_name="relay"}}', 300)
    for app in ("es8", "es9"):
        count(table, tern, f"{app}: every document is found", f'{{app="{app}"}}', 2503)
    one(table, tern, "es9: fields are metadata", '{app="es9"} |= "order 2499"', "order 2499", log_level="warn", n="2499",
        _index="shop", detected_level="warn")
    for app, want in (("fluent-logger", 500), ("fluent-async", 500), ("forward", 301)):
        count(table, tern, f"{app}: every event is found", f'{{app="{app}"}}', want)
    one(table, tern, "fluent-logger: maps are flattened", '{app="fluent-logger"} |= "fluent 499"', "fluent 499", tag="plain.web",
        nested_a="499")
    count(table, tern, "systemd-journal-upload: every entry is found", '{systemd_unit="web.service"}', 3000)
    one(table, tern, "systemd-journal-upload: binary fields", '{hostname="journalbox"} |= "entry 2900"',
        "entry 2900\nwith two lines", service_name="web", pid="2900", priority="4", detected_level="warn")
    one(table, tern, "JSON lines: the stream chosen", '{svc="curl"} |= "json"', "json line")
    one(table, tern, "Falco: by output field", '{job="falco"} | proc_name="sh"', "shell spawned", detected_level="critical")
    one(table, tern, "audit: by user", '{job="kubernetes-audit"} | user="eve" | json | line_format "{{.verb}}"', "delete",
        detected_level="warn")
    one(table, tern, "Trivy: by id", '{job="trivy",artifact="app:1"} | id="CVE-1" | json | line_format "{{.Severity}}"', "HIGH")


def again(table, tern):
    def sent():
        text = get(f"{tern}/metrics")[1]
        return 'tern_log_door_lines_total{door="journald"} 6000' in text

    table.check("systemd-journal-upload: sent again", bool(wait_until(sent, 30)))
    count(table, tern, "systemd-journal-upload: stored once", '{systemd_unit="web.service"}', 3000)


def restart(table, tern, port):
    for name, query, want in (
        ("elasticsearch-py", '{app="es9"}', 2503), ("rsyslog", '{hostname="rsyslog-tls"}', 300),
        ("syslog-ng", '{hostname="syslog-ng-tls"}', 300), ("forward", '{app="forward"}', 301),
        ("systemd-journal-upload", '{systemd_unit="web.service"}', 3000),
    ):
        count(table, tern, f"after kill -9: {name}", query, want)
    event = ["f.key", int(time.time()), {"message": "with a key", "app": "keyed"}, {"chunk": "k1"}]
    table.check("forward: shared key", forward(port, [event], b"akeyfortests") == ["k1"])
    try:
        refused = forward(port, [event], b"another") == []
    except (RuntimeError, OSError, ValueError) as error:
        refused = True
    except Exception as error:  # The library's own end of data.
        refused = type(error).__name__ == "OutOfData"
    table.check("forward: another key is refused", refused)
    count(table, tern, "forward: keyed event is found", '{app="keyed"}', 1)


parser = argparse.ArgumentParser()
parser.add_argument("--phase", choices=("journal", "elasticsearch", "fluent", "find", "again", "restart"), required=True)
parser.add_argument("--tern")
parser.add_argument("--fluent", type=int)
parser.add_argument("--results")
given = parser.parse_args()
if given.phase == "journal":
    journal()
else:
    table = Table(given.results)
    if given.phase == "elasticsearch":
        elasticsearch(table, given.tern)
    elif given.phase == "fluent":
        fluent(table, given.tern, given.fluent)
    elif given.phase == "find":
        find(table, given.tern)
    elif given.phase == "again":
        again(table, given.tern)
    else:
        restart(table, given.tern, given.fluent)
