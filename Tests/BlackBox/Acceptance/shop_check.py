# SPDX-License-Identifier: Apache-2.0
# Customers of the shop, its four faults one after the other, and what `tern why` and the diagnosis over HTTP say of each.
#
# shop_check.py schema DATABASE: fills the database
# shop_check.py run --tern URL --binary TERN --frontend URL --cart URL --payment URL --control PORT --database FILE --results FILE

import argparse
import json
import os
import pathlib
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import acceptance

INDEX = "CREATE INDEX IF NOT EXISTS movements_sku ON movements (sku, quantity)"
SOURCE = pathlib.Path(__file__).with_name("shop_application.py")
BASELINE, FAULT, REST, LIMIT = 45, 40, 42, 5.0


def schema(database):
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE movements (sku INTEGER, warehouse INTEGER, quantity INTEGER)")
        rows = ((number % 4001, number % 100, number % 7) for number in range(14_000))
        connection.executemany("INSERT INTO movements VALUES (?, ?, ?)", rows)
        connection.execute("CREATE INDEX movements_warehouse ON movements (warehouse)")
        connection.execute(INDEX)


def line(mark):
    """The number of the line of the shop that ends in that mark."""
    numbers = [n for n, text in enumerate(SOURCE.read_text().splitlines(), 1) if text.endswith(f"# fault: {mark}")]
    assert len(numbers) == 1, mark
    return numbers[0]


class Customers:
    """Four of them, an order each and a pause, until stopped."""

    def __init__(self, frontend):
        self.frontend, self.stopped, self.statuses, self.slowest = frontend, threading.Event(), {}, 0.0
        self.threads = [threading.Thread(target=self.buy, args=(number,), daemon=True) for number in range(4)]
        for one in self.threads:
            one.start()

    def buy(self, number):
        while not self.stopped.wait(0.8):
            started = time.monotonic()
            try:
                status, _ = acceptance.get(f"{self.frontend}/order/{number}", timeout=30)
            except OSError:
                status = "unreachable"
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.statuses[status] = self.statuses.get(status, 0) + 1
            number += 4 if number % 8 < 4 else 5

    def take(self):
        """What happened since the last call."""
        result = f"{dict(self.statuses)}, slowest {self.slowest:.2f} s"
        self.statuses, self.slowest = {}, 0.0
        return result


def set_delay(port, seconds):
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        one.sendall(f"{seconds}\n".encode())
        assert one.recv(10) == b"ok\n"


def set_setting(url, name, value):
    status, text = acceptance.post(f"{url}/settings", json.dumps({name: value}).encode(), {"Content-Type": "application/json"})
    assert status == 200, text


def execute(database, statement):
    with sqlite3.connect(database, timeout=10) as connection:
        connection.execute(statement)


def place(suspect):
    """The lines that a suspect names, as (file, line)."""
    codes = [suspect.get("code"), *(suspect.get("codeRange") or [])]
    return [(os.path.basename(code["file"]), code["line"]) for code in codes if code and code["file"]]


def brief(suspect):
    return "{service} {operation} {places} {resource} {score:.2f}: {summary}".format(places=place(suspect), **suspect)


def why(options, since):
    started = time.monotonic()
    command = [options.binary, "why", "--url", options.tern, "--since", f"{since}s"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=120)
    seconds = time.monotonic() - started
    if text.returncode:
        raise RuntimeError(text.stderr)
    return seconds, text.stdout


def run(options):
    table = acceptance.Table(options.results)
    customers = Customers(options.frontend)
    faults = [
        ("slow query", "stock", {line("slow query")}, set(),
         lambda: execute(options.database, "DROP INDEX movements_sku"), lambda: execute(options.database, INDEX)),
        ("exception", "cart", {line("exception")}, set(),
         lambda: set_setting(options.cart, "coupons", 1), lambda: set_setting(options.cart, "coupons", 0)),
        ("CPU burn", "payment", {line("CPU burn")}, {"cpu"},
         lambda: set_setting(options.payment, "rounds", 300_000), lambda: set_setting(options.payment, "rounds", 2_000)),
        ("packet delay", "shipping", set(), {"network"},
         lambda: set_delay(options.control, 0.15), lambda: set_delay(options.control, 0)),
    ]
    time.sleep(BASELINE + 5)
    quiet = time.time() - BASELINE
    print("no fault:", customers.take(), flush=True)
    for number, (name, service, lines, resources, begin, end) in enumerate(faults):
        if number:
            time.sleep(REST)
            customers.take()
        begin()
        time.sleep(FAULT)
        print(f"\n{name}: {customers.take()}", flush=True)
        # As somebody who has just heard of it: the window ends now, the stretch before it is the baseline.
        now = time.time()
        seconds, text = why(options, FAULT)
        print(text, flush=True)
        answer = ask(options, now - FAULT, now, ())
        table.check(f"{name}: tern why answers within {LIMIT:.0f} s", seconds < LIMIT, f"{seconds:.2f} s")
        judge(table, f"{name}, against the stretch before", answer, service, lines, resources)
        shown = [row for row in text.splitlines() if service in row]
        table.check(f"{name}: tern why shows {service}", shown, shown[0].strip() if shown else text[:200])
        first = answer["suspects"][0] if answer["suspects"] else None
        if lines:
            # A frame of a stack trace is shown as Python writes it.
            forms = [form for one in lines for form in (f"{SOURCE.name}:{one} ", f'{SOURCE.name}", line {one},')]
            named = [row for row in text.splitlines() if any(form in row for form in forms)]
            table.check(f"{name}: tern why shows the line", named, named[0].strip() if named else first and brief(first))
        answer = ask(options, now - FAULT, now, (("baselineStart", quiet), ("baselineEnd", quiet + BASELINE)))
        judge(table, f"{name}, against the first minute", answer, service, lines, resources)
        end()
    customers.stopped.set()


def ask(options, start, end, more):
    parameters = [("start", f"{start:.3f}"), ("end", f"{end:.3f}"), *((key, f"{value:.3f}") for key, value in more)]
    answer = acceptance.get_json(f"{options.tern}/api/v1/correlate/diagnose", parameters)["data"]
    for suspect in answer["suspects"][:4]:
        print("  ", suspect["rank"], brief(suspect), flush=True)
    print("  ", answer["elapsedSeconds"], "s", answer["coverage"]["notes"], flush=True)
    return answer


def judge(table, name, answer, service, lines, resources):
    """The first suspect must be that service, the line be named by a suspect of it among the first three, or its kind of resource."""
    suspects = answer["suspects"]
    first = suspects[0] if suspects else None
    detail = brief(first) if first else "no suspect"
    table.check(f"{name}: first suspect is {service}", first and first["service"] == service, detail)
    of_service = [one for one in suspects[:3] if one["service"] == service]
    for one in of_service:
        hit = [at for at in place(one) if at[0] == SOURCE.name and at[1] in lines]
        if hit or one["resource"] in resources:
            table.row("PASS", f"{name}: where", f"rank {one['rank']}, {hit} {one['resource'] or ''}")
            break
    else:
        table.row("FAIL", f"{name}: where", f"{lines or resources} wanted; {[brief(one) for one in of_service]}")
    table.check(f"{name}: above the threshold", first and first["score"] >= answer["incidentThreshold"], first and f"{first['score']:.2f}")


if sys.argv[1] == "schema":
    schema(sys.argv[2])
else:
    parser = argparse.ArgumentParser()
    for option in ("tern", "binary", "frontend", "cart", "payment", "database", "results"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--control", required=True, type=int)
    run(parser.parse_args(sys.argv[2:]))
