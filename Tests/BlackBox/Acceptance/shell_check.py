# SPDX-License-Identifier: Apache-2.0
"""Drives `tern shell` on pseudo-terminals. See shell.sh."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pexpect
import pyte

arguments = argparse.ArgumentParser()
for name in ["tern", "binary", "results", "scratch", "screens", "update", "demo-port"]:
    arguments.add_argument("--" + name, required=True)
arguments.add_argument("--only", default="")
arguments = arguments.parse_args()

START = 1796032800  # 2026-11-30T10:00:00Z
HOUR = "2026-11-30T10:00..11:00"
HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x1b[6n\x1b[?1049h\x9b2J\u202etxet\u2028\x08\x08\x7f\r"


def record(result, name, detail=""):
    with open(arguments.results, "a") as file:
        file.write(f"{result}\t{name}\t{detail}\n")


def check(name, condition, detail=""):
    record("PASS" if condition else "FAIL", name, str(detail).replace("\n", " ").replace("\t", " ")[:150])


def request(path, body=None, kind="application/json"):
    call = urllib.request.Request(arguments.tern + path, data=body)
    if body is not None:
        call.add_header("Content-Type", kind)
    with urllib.request.urlopen(call, timeout=60) as answer:
        return answer.read()


def counter(route):
    """Requests that the server has answered on a route."""
    total = 0.0
    for line in request("/metrics").decode().splitlines():
        if line.startswith("tern_http_requests_total{") and f'route="{route}"' in line:
            total += float(line.rsplit(" ", 1)[1])
    return int(total)


def active():
    return json.loads(request("/api/v1/status/active_queries"))["data"]


# Data -----------------------------------------------------------------------------------------------------------------------------


def push(streams):
    request("/loki/api/v1/push", json.dumps({"streams": streams}).encode())


def attribute(name, value):
    kind = "intValue" if isinstance(value, int) else "stringValue"
    return {"key": name, "value": {kind: str(value) if isinstance(value, int) else value}}


def fill():
    page = ["# TYPE shop_requests counter", "# HELP shop_requests Requests of the shop by outcome."]
    for service, slope in [("cart", 2), ("checkout", 1), ("日本", 3)]:
        for i in range(121):
            page.append(f'shop_requests_total{{service="{service}",outcome="ok"}} {i * 30 * slope + (i * i if service == "checkout" else 0)} {START + i * 30}')
    page += ["# TYPE shop_seconds histogram"]
    for i in range(121):
        below = 0
        for place, bound in enumerate(["0.1", "0.5", "1.0", "+Inf"]):
            below += i * (4 - place) + (i * i // 30 if place == 2 else 0)
            page.append(f'shop_seconds_bucket{{le="{bound}"}} {below} {START + i * 30}')
    page += ["# TYPE hostile gauge"]
    text = HOSTILE.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    page.append(f'hostile{{label="{text}"}} 1 {START + 3590}')
    page.append("# EOF\n")
    request("/api/v1/import/prometheus", "\n".join(page).encode(), "application/openmetrics-text; version=1.0.0")

    lines = []
    for i in range(60):
        level = "error" if i % 10 == 7 else "warn" if i % 10 == 3 else "info"
        lines.append([str((START + 600 + i * 40) * 10**9), f"level={level} request {i} took {i * 7 % 90} ms", {"detected_level": level}])
    push([{"stream": {"service_name": "checkout", "env": "prod"}, "values": lines}])
    push([{"stream": {"service_name": "hostile"}, "values": [[str((START + 3000) * 10**9), HOSTILE + "end"]]}])
    for part in range(20):
        push([{"stream": {"service_name": "big"}, "values": [
            [str(START * 10**9 + (part * 1000 + i) * 10**6), f"line {part * 1000 + i} of many"] for i in range(1000)]}])

    begin = (START + 1800) * 10**9

    def span(number, parent, name, start, length, kind=2, **more):
        body = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": f"{number:016x}", "name": name, "kind": kind,
                "startTimeUnixNano": str(begin + start * 10**6), "endTimeUnixNano": str(begin + (start + length) * 10**6)}
        if parent:
            body["parentSpanId"] = f"{parent:016x}"
        return body | more

    def resource(service, spans):
        return {"resource": {"attributes": [attribute("service.name", service)]}, "scopeSpans": [{"spans": spans}]}

    failed = {"status": {"code": 2, "message": "card refused"},
              "attributes": [attribute("code.file.path", "pay/card.go"), attribute("code.line.number", 42)]}
    request("/v1/traces", json.dumps({"resourceSpans": [
        resource("front", [span(1, 0, "POST /order", 0, 200), span(5, 1, "checkout/PlaceOrder", 8, 184, kind=3)]),
        resource("checkout", [span(2, 5, "PlaceOrder", 10, 180), span(4, 2, "SELECT order", 15, 30, kind=3),
                              span(6, 2, "payment/Charge", 58, 104, kind=3)]),
        resource("payment", [span(3, 6, "Charge", 60, 100, **failed)]),
    ]}).encode())
    push([{"stream": {"service_name": "payment"}, "values": [
        [str(begin + 100 * 10**6), "charging card", {"trace_id": "5b8efff798038103d269b633813fc60c", "span_id": f"{3:016x}", "detected_level": "info"}],
        [str(begin + 150 * 10**6), "card of order 9 refused", {"trace_id": "5b8efff798038103d269b633813fc60c", "span_id": f"{3:016x}", "detected_level": "error"}]]}])


# The shell ------------------------------------------------------------------------------------------------------------------------


class Shell:
    """A shell on a pseudo-terminal whose screen is emulated."""

    def __init__(self, columns=80, rows=24, **environment):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.Stream(self.screen)
        self.raw = ""
        variables = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PATH": os.environ["PATH"], "HOME": arguments.scratch,
                     "XDG_STATE_HOME": os.path.join(arguments.scratch, "state"), "EDITOR": "printf 'vector(5)\\n' >"} | environment
        self.child = pexpect.spawn(arguments.binary, ["shell", "--url", arguments.tern], dimensions=(rows, columns), env=variables,
                                   encoding="utf-8", codec_errors="replace", timeout=30)
        # pexpect waits 50 ms before it sends anything: that would be counted as latency.
        self.child.delaybeforesend = None
        self.wait_prompt()

    def feed(self, seconds=0.0):
        """Takes what has come; waits so long for more."""
        end = time.time() + seconds
        while True:
            try:
                text = self.child.read_nonblocking(65536, timeout=max(0.02, min(0.1, end - time.time())))
                self.raw += text
                self.stream.feed(text)
            except pexpect.TIMEOUT:
                if time.time() >= end:
                    return
            except pexpect.EOF:
                return

    def until(self, holds, seconds=30):
        end = time.time() + seconds
        while not holds():
            if time.time() > end:
                return False
            self.feed(0.05)
        return True

    def display(self):
        lines = [line.rstrip() for line in self.screen.display]
        # pyte puts an empty cell after each wide character; Python joins them without.
        while lines and not lines[-1]:
            lines.pop()
        return "\n".join(lines) + "\n"

    def at_prompt(self):
        line = self.screen.display[self.screen.cursor.y].rstrip()
        return re.match(r"^(tern|metrics|logs|traces) \[[^\]]*\]>$", line) is not None

    def wait_prompt(self):
        if not self.until(self.at_prompt):
            raise RuntimeError("no prompt: " + self.display())

    def send(self, text):
        self.child.send(text)

    def run(self, text):
        self.send(text + "\r")
        self.feed(0.15)
        self.wait_prompt()

    def fresh(self, text):
        """Runs a line on an empty screen and returns what is on it afterwards."""
        self.send("\x0c")
        self.feed(0.1)
        self.raw = ""
        self.run(text)
        return self.display()

    def close(self):
        self.send("\\q\r")
        self.child.expect(pexpect.EOF, timeout=10)
        self.child.close()
        return self.child.exitstatus


def golden(name, text):
    path = os.path.join(arguments.screens, name + ".txt")
    text = text.replace(arguments.tern, "http://127.0.0.1:4100")
    if "-json-" in name:
        # What a query took differs each time.
        text = text.replace("\n", "").split('"stats"')[0] + "\n"
        text = re.sub(r'("(?:total|postFilter)Chunks\w*":)\d+', r"\g<1>0", text).replace('"usedBloomFilters":true', '"usedBloomFilters":false')
    if arguments.update == "yes":
        os.makedirs(arguments.screens, exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        record("PASS", "screen " + name, "written")
        return
    if not os.path.exists(path):
        record("FAIL", "screen " + name, "no " + path)
        return
    with open(path) as file:
        expected = file.read()
    if text == expected:
        record("PASS", "screen " + name)
    else:
        pairs = zip(text.split("\n") + [""] * 60, expected.split("\n") + [""] * 60)
        at, (got, want) = next((i, p) for i, p in enumerate(pairs) if p[0] != p[1])
        record("FAIL", "screen " + name, f"line {at + 1}: {got[:60]!r} for {want[:60]!r}")
        print(f"--- {name}\n{text}")


QUERY = 'sum by (service) (shop_requests_total)'
LOGS = '{service_name="checkout"} |= "request 5"'
KINDS = ["table", "wide", "json", "jsonl", "csv", "tsv", "markdown", "raw", "logfmt"]


def screens(columns, rows):
    size = f"{columns}x{rows}"
    shell = Shell(columns, rows)
    shell.run("\\pager off")
    shell.run("\\since " + HOUR)
    for kind in KINDS:
        shell.run("\\o " + kind)
        golden(f"metrics-{kind}-{size}", shell.fresh(QUERY))
        # On the small screen there would be nothing but what the query took.
        if kind != "json" or rows > 24:
            golden(f"logs-{kind}-{size}", shell.fresh(LOGS))
    shell.run("\\o chart")
    golden(f"lines-{size}", shell.fresh("rate(shop_requests_total[5m])"))
    golden(f"heatmap-{size}", shell.fresh("sum by (le) (rate(shop_seconds_bucket[5m]))"))
    golden(f"volume-{size}", shell.fresh('{service_name="checkout"}'))
    shell.run("\\o table")
    shell.run("\\range")
    golden(f"range-{size}", shell.fresh("rate(shop_requests_total[5m])"))
    shell.run("\\instant")
    golden(f"vertical-{size}", shell.fresh("\\services"))
    golden(f"waterfall-{size}", shell.fresh("\\trace 5b8efff798038103d269b633813fc60c"))
    golden(f"service-{size}", shell.fresh("\\service payment"))
    golden(f"tree-{size}", shell.fresh("\\tree"))
    golden(f"describe-{size}", shell.fresh("\\d shop_requests_total"))
    golden(f"traces-{size}", shell.fresh("{ status = error }"))
    golden(f"logs-of-service-{size}", shell.fresh("\\logs payment"))
    golden(f"fault-{size}", shell.fresh("sum by (job) (up) up"))
    golden(f"help-{size}", shell.fresh("\\help rate"))
    shell.send("\x0csum by (service) (rate(shop_re\t")
    shell.until(lambda: "loading" not in shell.display() and "shop_requests_total" in shell.display().split("\n", 1)[1], 10)
    shell.feed(0.3)
    golden(f"completion-{size}", shell.display())
    shell.send("\x03")
    shell.wait_prompt()
    check(f"leaves at {size}", shell.close() == 0)


ALLOWED = re.compile(r"\x1b\[(?:[0-9;]*m|\d*[ABCDHJK]|H|J|K|2J|\?2004[hl]|\?1049[hl]|\?25[hl])")


def harmless(raw):
    """What is left of terminal bytes that could do something, besides what the shell itself draws with."""
    rest = ALLOWED.sub("", raw)
    return [c for c in rest if (ord(c) < 0x20 and c not in "\r\n\t") or 0x7f <= ord(c) < 0xa0 or c in "\u202e\u2028"]


def hostile():
    shell = Shell()
    shell.run("\\pager off")
    shell.run("\\since " + HOUR)
    queries = ["hostile", '{service_name="hostile"}', "\\streams", "\\labels label", "\\series hostile", "\\d hostile"]
    bad = []
    for kind in KINDS + ["chart"]:
        shell.run("\\o " + kind)
        for query in queries:
            shell.fresh(query)
            left = harmless(shell.raw)
            if left:
                bad.append((kind, query, left[:3]))
            # The alternate screen is the pager's and live views' alone.
            if "\x1b[?1049h" in shell.raw:
                bad.append((kind, query, "alternate screen"))
    check("hostile bytes drive nothing in any form", not bad, bad[:3])
    check("the title is left alone", "owned" not in shell.screen.title, shell.screen.title)
    shell.close()


def plain_terminals():
    shell = Shell(NO_COLOR="1")
    shell.run("\\since " + HOUR)
    shell.fresh(QUERY)
    check("NO_COLOR: no colour", not re.search(r"\x1b\[[0-9;]*m", shell.raw), repr(shell.raw[:80]))
    shell.close()
    shell = Shell(LANG="C", LC_ALL="C")
    shell.run("\\since " + HOUR)
    shell.run("\\pager off")
    text = shell.fresh("\\trace 5b8efff798038103d269b633813fc60c")
    shell.run("\\o chart")
    text += shell.fresh("rate(shop_requests_total[5m])")
    check("no UTF-8 locale: ASCII alone", text.isascii() and "\\u{65e5}" in text, next((c for c in text if not c.isascii()), ""))
    golden("ascii-lines-80x24", shell.display())
    shell.close()
    # A dumb terminal has no prompt at the cursor to wait for after a redraw: bytes are looked at as they come.
    child = pexpect.spawn(arguments.binary, ["shell", "--url", arguments.tern], dimensions=(24, 80), encoding="utf-8", timeout=20, echo=False,
                          env={"TERM": "dumb", "LANG": "C.UTF-8", "HOME": arguments.scratch, "XDG_STATE_HOME": arguments.scratch + "/dumb"})
    child.expect_exact("]> ")
    for line in ["\\since " + HOUR, QUERY, "\\trace 5b8efff798038103d269b633813fc60c", "\\q"]:
        child.send(line + "\n")
        child.expect_exact("]> ") if line != "\\q" else child.expect(pexpect.EOF)
        if line == QUERY:
            answer = child.before
    check("TERM=dumb: no control sequences", "\x1b" not in answer and "cart" in answer, answer[:80])
    child.close()


def cancel():
    shell = Shell()
    shell.send("count_over_time(sum(vector(1))[20d:200ms])\r")
    seen = shell.until(lambda: any("200ms" in q["query"] for q in active()), 10)
    shell.feed(0.7)
    progress = "Ctrl-C cancels" in shell.display()
    began = time.time()
    shell.send("\x03")
    shell.wait_prompt()
    prompt = time.time() - began
    end = time.time() + 5
    while any("200ms" in q["query"] for q in active()) and time.time() < end:
        time.sleep(0.02)
    gone = not any("200ms" in q["query"] for q in active())
    check("a long query is seen on the server", seen)
    check("a line tells how long it runs", progress)
    check("Ctrl-C ends it on the server and returns to the prompt", gone and "cancelled" in shell.display(), f"prompt after {prompt:.2f} s")
    text = shell.fresh("vector(7)")
    check("the shell goes on afterwards", "7" in text, text[-60:])
    shell.close()


def back_pressure():
    route = "/loki/api/v1/query_range"
    shell = Shell()
    shell.run("\\since " + HOUR)
    shell.run("\\volume off")
    shell.run("\\limit 0")
    before = counter(route)
    shell.send('{service_name="big"}\r')
    shell.until(lambda: "space b j k" in shell.display(), 20)
    shell.feed(1.0)
    first = counter(route) - before
    time.sleep(1.5)
    shell.feed()
    still = counter(route) - before
    check("a pager that waits asks for nothing", first == still == 1, f"{first}, later {still} of 20 pages")
    golden("pager-80x24", shell.display())
    for _ in range(3):
        shell.send("G")
        shell.feed(0.7)
    more = counter(route) - before
    check("scrolling asks for the next pages", 2 <= more <= 5, f"{more} pages")
    shell.send("q")
    shell.wait_prompt()
    time.sleep(0.5)
    check("leaving the pager asks for no more", counter(route) - before == more, f"{more} of 20 pages")
    shell.close()
    # In a pipe: the reader's pace is the server's.
    before = counter(route)
    child = subprocess.Popen([arguments.binary, "query", "logs", "--url", arguments.tern, "--from", str(START), "--to", str(START + 3600),
                              "--limit", "0", "-o", "raw", '{service_name="big"}'], stdout=subprocess.PIPE)
    time.sleep(1.5)
    held = counter(route) - before
    count = sum(1 for _ in child.stdout)
    child.wait()
    check("a pipe that nobody reads holds the server up", held < 20, f"{held} of 21 pages")
    check("all lines come once, in order", count == 20000 and child.returncode == 0, f"{count} lines")


def verbs():
    shell = Shell()
    shell.run("\\pager off")
    shell.run("\\since " + HOUR)
    for line, want in [("\\metrics checkout", "metric"), ("\\traces front", "5b8efff798038103d269b633813fc60c"), ("\\streams", "big"),
                       ("\\cardinality", "series"), ("\\targets", "no result"), ("\\rules", "no result"), ("\\alerts", "no result"),
                       ("\\queries", ""), ("\\labels service", "cart"), ("\\explain sum(shop_requests_total)", "whole query"),
                       ("\\stats", "samples"), ("\\?", "leave"), ("\\save shop sum(shop_requests_total{service=\"$s\"})", ""),
                       ("\\saved", "shop"), ("\\run shop s=cart", "7200"), ("\\tz +02:00", ""), ("\\timing on", "timing: on"), ("\\x on", "blocks: on"),
                       ("\\e vector(1)", "5"), ("5b8efff798038103d269b633813fc60c", "POST /order"), ("\\nonsense", "unknown command")]:
        text = shell.fresh(line)
        if line == "\\stats":
            shell.fresh(QUERY)
            text = shell.fresh(line)
        check(f"shell: {line.split(' ')[0]}", want in text and "error:" not in text.replace("unknown", "") or line == "\\nonsense" and want in text, text[-90:])
    with open(arguments.scratch + "/queries.txt", "w") as file:
        file.write("sum(\n  shop_requests_total\n)\n\\o csv\nvector(3)\n")
    text = shell.fresh("\\i " + arguments.scratch + "/queries.txt")
    check("shell: \\i runs texts over several lines", "3" in text, text[-80:])
    shell.run("\\o table")
    shell.run("\\o " + arguments.scratch + "/answer.txt")
    shell.run("vector(42)")
    shell.run("\\o")
    with open(arguments.scratch + "/answer.txt") as file:
        check("shell: \\o FILE", "42" in file.read())
    history = shell.fresh("vector(42)")
    shell.send("\x12shop_req")
    shell.feed(0.3)
    check("shell: Ctrl-R finds a line", "(search) shop_req" in shell.display(), history[-10:])
    shell.send("\x03\x03")
    shell.wait_prompt()
    shell.run("\\since 1h")
    shell.send("\\watch 0.3 vector(time())\r")
    found = shell.until(lambda: "every 0.3 s" in shell.display(), 10)
    shell.feed(1.0)
    reverse = "\x1b[7m" in shell.raw
    shell.send("q")
    shell.wait_prompt()
    check("shell: \\watch redraws and marks changes", found and reverse)
    shell.send("\\top\r")
    found = shell.until(lambda: "targets down" in shell.display(), 10)
    shell.send("q")
    shell.wait_prompt()
    check("shell: \\top", found)
    shell.run("\\since 1h")
    shell.run("\\limit 5")
    shell.send('\\tail {service_name="live"}\r')
    shell.until(lambda: "space pauses" in shell.display(), 10)
    shell.feed(0.5)

    def say(text):
        push([{"stream": {"service_name": "live"}, "values": [[str(time.time_ns()), text]]}])

    say("first line")
    seen = shell.until(lambda: "first line" in shell.display(), 10)
    shell.send(" ")
    shell.until(lambda: "paused" in shell.display(), 5)
    say("while paused")
    waits = shell.until(lambda: "1 waiting" in shell.display(), 10) and "while paused" not in shell.display()
    shell.send(" ")
    comes = shell.until(lambda: "while paused" in shell.display(), 5)
    shell.send("q")
    shell.wait_prompt()
    tails = counter("/loki/api/v1/tail")
    check("shell: \\tail shows, pauses and goes on", seen and waits and comes, f"{seen} {waits} {comes} {tails}")
    text = shell.fresh("\\why")
    if "404" in text or "not found" in text:
        record("SKIP", "shell: \\why", "this server does not diagnose")
    else:
        check("shell: \\why", "window" in text, text[-80:])
    shell.close()


def completion_speed():
    page = ["# TYPE many gauge"]
    for i in range(100_000):
        page.append(f"many_{i % 977}_component_{i}_bytes 1 {START + 3590}")
    page.append("# EOF\n")
    for part in range(0, 100_000, 20_000):
        body = "\n".join(["# TYPE many gauge"] + page[1 + part:1 + part + 20_000] + ["# EOF\n"])
        request("/api/v1/import/prometheus", body.encode(), "application/openmetrics-text; version=1.0.0")
    shell = Shell()
    shell.run("\\since " + HOUR)
    shell.send("rate(many_1\t")
    loaded = shell.until(lambda: "fit, the best first" in shell.display(), 60)
    times = []
    for turn in range(8):
        for key in "2_component_5":
            began = time.perf_counter()
            shell.raw = ""
            shell.send(key)
            while "fit" not in shell.raw and "bytes" not in shell.raw and time.perf_counter() - began < 2:
                try:
                    shell.raw += shell.child.read_nonblocking(65536, timeout=1)
                except pexpect.TIMEOUT:
                    break
            times.append(time.perf_counter() - began)
        for _ in "2_component_5":
            shell.send("\x7f")
        time.sleep(0.5)
        shell.feed(0.3)
    times.sort()
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))] * 1000
    record("PASS" if loaded else "FAIL", "completion with 100,000 names", f"a key: p50 {times[len(times) // 2] * 1000:.1f} ms, p99 {p99:.1f} ms")
    shell.send("\x03")
    shell.wait_prompt()
    shell.close()


def one_shot():
    def run(*words, stdin=b""):
        done = subprocess.run([arguments.binary, *words], input=stdin, capture_output=True, timeout=60)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    window = ["--url", arguments.tern, "--from", str(START), "--to", str(START + 3600)]
    code, out, _ = run("query", "metrics", *window, QUERY)
    check("a pipe gets TSV", code == 0 and out.startswith("series\tvalue\n"), out[:60])
    code, out, _ = run("query", "metrics", *window, "-o", "chart", "--step", "1m", "rate(shop_requests_total[5m])")
    check("charts in pipes", code == 0 and "min" in out, out[-60:])
    code, out, _ = run("service", *window, "payment")
    check("tern service", code == 0 and "Charge" in out, out[:60])
    lines = b"2026-11-24T10:00:00Z level=info a\n2026-11-24T10:00:01Z level=error b\n" * 100
    code, out, _ = run("query", "logs", "--stdin", "-o", "raw", '|= "error"', stdin=lines)
    check("LogQL over standard input", code == 0 and out.count("\n") == 100, out[:40])
    code, out, _ = run("query", "logs", "--stdin", "-o", "raw", 'sum by (level) (count_over_time({source="stdin"} | logfmt [1m]))', stdin=lines)
    check("LogQL metrics over standard input", code == 0 and out == "100\n100\n", out)
    code, _, err = run("query", "metrics", "--url", arguments.tern, "sum(")
    check("exit 1 for an error", code == 1 and "parse error" in err, f"{code} {err}")
    code, _, err = run("query", "metrics", "--since", "nonsense", "up")
    check("exit 2 for usage", code == 2, f"{code} {err}")
    for name in ["bash", "zsh", "fish"]:
        code, out, _ = run("completions", name)
        check(f"completions for {name}", code == 0 and "tern" in out and len(out) > 1000, len(out))
    child = subprocess.Popen([arguments.binary, "query", "metrics", "--url", arguments.tern, "count_over_time(sum(vector(1))[20d:200ms])"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    check("exit 5 when cancelled", child.wait(timeout=20) == 5, child.returncode)
    child = subprocess.Popen([arguments.binary, "tail", "--url", arguments.tern, "-o", "raw", "--limit", "1", '{service_name="piped"}'],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    push([{"stream": {"service_name": "piped"}, "values": [[str(time.time_ns()), "hello tail"]]}])
    line = child.stdout.readline().decode()
    child.send_signal(signal.SIGINT)
    check("tern tail in a pipe", line == "hello tail\n" and child.wait(timeout=20) == 0, f"{line!r} {child.returncode}")


def demo():
    address = "127.0.0.1:" + vars(arguments)["demo_port"]
    child = pexpect.spawn(arguments.binary, ["demo", "--web.listen-address", address, "--history", "5m"], encoding="utf-8", timeout=120,
                          dimensions=(40, 200))
    child.expect_exact("Ctrl-C ends the demo.")
    text = child.before
    commands = [line.strip() for line in text.splitlines() if line.strip().startswith("tern ") and "--url" in line]
    check("the demo prints its commands", len(commands) == 3, len(commands))
    for command in commands[:3]:
        done = subprocess.run(["bash", "-c", command.replace("tern ", arguments.binary + " ", 1)], capture_output=True, timeout=60)
        out = done.stdout.decode()
        if "tern why" in command and done.returncode == 1 and ("404" in done.stderr.decode() or "not found" in done.stderr.decode()):
            record("SKIP", "demo: tern why", "this server does not diagnose")
            continue
        check("demo: " + " ".join(command.split()[:2]), done.returncode == 0 and "payment" in out, (out or done.stderr.decode())[:100])
    child.sendintr()
    child.expect(pexpect.EOF, timeout=40)
    child.close()
    folder = re.search(r"its data in (\S+)", text)
    check("the demo cleans up", child.exitstatus == 0 and folder is not None and not os.path.exists(folder.group(1)), child.exitstatus)


fill()
time.sleep(1)
def small_screens():
    screens(80, 24)


def large_screens():
    screens(200, 60)


for step in [small_screens, large_screens, hostile, plain_terminals, cancel, back_pressure, verbs, one_shot, completion_speed, demo]:
    name = step.__name__
    if arguments.only and name not in arguments.only.split(","):
        continue
    try:
        step()
    except Exception as error:
        record("FAIL", "step " + name, f"{type(error).__name__}: {error}".replace("\n", " | ").replace("\t", " ")[:400])
sys.exit(0)
