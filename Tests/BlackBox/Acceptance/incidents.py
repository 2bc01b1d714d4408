# SPDX-License-Identifier: Apache-2.0
# Replays incidents of the corpora over HTTP, diagnoses them and runs the queries of the evidence.
#
# incidents.py list CORPORA PIECE          names of the incidents
# incidents.py run CORPORA INCIDENT URL    one line of JSON with what came out
# incidents.py table | rows                what many such lines say together

import csv
import datetime
import io
import json
import re
import struct
import subprocess
import sys
import tarfile
import urllib.parse

from acceptance import get, get_json, post

DAYS = ["2023-01-29", "2023-01-30"]
UNITS = {"m": "millicores", "%": "percent", "Mi": "mebibytes", "s": "seconds", "Ops": "operations_per_second", "ms": "milliseconds"}


def labels(corpora, day):
    with open(f"{corpora}/incidents/{day}/faults.json") as file:
        return json.load(file)


def archive(corpora, day, name):
    """CSV files of an archive by path, as lists of rows without their header, and the headers."""
    path = f"{corpora}/incidents/{day}/{name}.tar.zst"
    plain = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
    files = {}
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        for member in tar.getmembers():
            if member.isfile() and member.name.endswith(".csv"):
                rows = list(csv.reader(io.TextIOWrapper(tar.extractfile(member), encoding="utf-8", errors="replace")))
                files[member.name.removeprefix("./")] = (rows[0], rows[1:])
    return files


def workload(pod):
    return pod.rsplit("-", 2)[0]


def kind(operation):
    if operation.startswith("/"):
        return 2
    return 3 if re.match(r"(HTTP|SELECT|INSERT|UPDATE|DELETE) ", operation) else 1


def send(url, path, body, headers):
    status, text = post(url + path, body, headers)
    if status // 100 != 2:
        raise RuntimeError(f"{path}: {status} {text[:300]}")


def send_spans(url, rows):
    by_pod = {}
    for row in rows:
        span = {"traceId": row[0], "spanId": row[1], "name": row[4], "kind": kind(row[4]), "startTimeUnixNano": row[5], "endTimeUnixNano": row[6]}
        if row[2] != "root":
            span["parentSpanId"] = row[2]
        by_pod.setdefault(row[3], []).append(span)
    resources = []
    for pod, spans in by_pod.items():
        attributes = [{"key": "service.name", "value": {"stringValue": workload(pod)}}, {"key": "k8s.pod.name", "value": {"stringValue": pod}}]
        resources.append({"resource": {"attributes": attributes}, "scopeSpans": [{"spans": spans}]})
    send(url, "/v1/traces", json.dumps({"resourceSpans": resources}).encode(), {"Content-Type": "application/json"})


def send_lines(url, rows):
    streams = {}
    for row in rows:
        # A few lines of the corpus have lost their time.
        if int(row[1]) < 10**18:
            continue
        try:
            text = json.loads(row[7])["log"]
        except (ValueError, KeyError):
            text = row[7]
        values = streams.setdefault((row[3], row[4]), [])
        values.append([row[1], text.removesuffix("\n")])
    body = [{"stream": {"app": workload(pod), "pod": pod, "container": container}, "values": values} for (pod, container), values in streams.items()]
    send(url, "/loki/api/v1/push", json.dumps({"streams": body}).encode(), {"Content-Type": "application/json"})


def metric_name(title):
    name, _, unit = title.partition("(")
    name = re.sub(r"(?<=[^0-9_])([A-Z])", r"_\1", name).lower()
    if not name.startswith(("pod_", "node_")):
        name = "pod_" + name
    return name + ("_" + UNITS[unit[:-1]] if unit else "")


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def snappy(body):
    """Snappy's block format with literals only."""
    out = varint(len(body))
    for start in range(0, len(body), 65536):
        piece = body[start : start + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return out


def send_metrics(url, header, rows):
    series = {}
    for row in rows:
        for title, text in zip(header, row):
            if title in ("Time", "TimeStamp", "PodName") or text in ("", "NaN"):
                continue
            key = (metric_name(title), row[2])
            series.setdefault(key, []).append((int(row[1]) * 1000, float(text)))
    body = b""
    for (name, pod), samples in series.items():
        one = b"".join(field(1, field(1, a.encode()) + field(2, b.encode())) for a, b in [("__name__", name), ("pod", pod)])
        for millis, value in sorted(samples):
            one += field(2, varint(1 << 3 | 1) + struct.pack("<d", value) + varint(2 << 3) + varint(millis))
        body += field(1, one)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
    send(url, "/api/v1/write", snappy(body), headers)


def replay(url, files):
    """Sends an archive and returns the first and last nanosecond of each minute's spans and lines."""
    ranges = {}
    for path, (header, rows) in sorted(files.items()):
        minute = path.split("/")[-1].removesuffix(".csv")
        if path.startswith("trace/"):
            send_spans(url, rows)
            ranges.setdefault(minute, []).extend(int(row[5]) for row in rows)
        elif path.startswith("log/"):
            send_lines(url, rows)
            ranges.setdefault(minute, []).extend(int(row[1]) for row in rows if int(row[1]) >= 10**18)
        elif path == "metric/pods.csv":
            send_metrics(url, header, rows)
    return {minute: (min(times), max(times)) for minute, times in ranges.items()}


def run_query(url, language, query, start, end):
    if language == "traceql":
        series = get_json(url + "/api/metrics/query", {"q": query, "start": start, "end": end}).get("series", [])
        return float(series[0]["value"]) if series else 0.0
    path, time = ("/loki/api/v1/query", str(end)) if language == "logql" else ("/api/v1/query", f"{end // 10**9}.{end // 10**6 % 1000:03}")
    result = get_json(url + path, {"query": query, "time": time})["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def wrong_evidence(url, data):
    """Entries whose query gives another number than the entry says, and how many there are in all."""
    wrong, count = [], 0
    for suspect in data["suspects"]:
        for entry in suspect["evidence"]:
            for query, name in [("query", "window"), ("baselineQuery", "baseline")]:
                count += 1
                stretch = data[name]
                found = run_query(url, entry["language"], entry[query], int(stretch["startTimeUnixNano"]), int(stretch["endTimeUnixNano"]))
                said = entry[name] or 0.0
                if abs(found - said) > 1e-6 * max(1.0, abs(said)):
                    wrong.append(f"{entry[query]}: {found}, not {said}")
    return wrong, count


def run(corpora, incident, url):
    day, name = incident.split("/")
    label = labels(corpora, day)
    fault = next(one for one in label["faults"] if one["id"] == name)
    normal = replay(url, archive(corpora, day, "normal"))[label["normal"]["minute"].replace(":", "_")]
    replay(url, archive(corpora, day, name))
    injected = datetime.datetime.fromisoformat(fault["inject_time"].replace("Z", "+00:00"))
    last = datetime.datetime.fromisoformat(f"{day}T{fault['minutes'][-1]}:00+00:00") + datetime.timedelta(minutes=1)
    parameters = {
        "start": int(injected.timestamp()) * 10**9, "end": int(last.timestamp()) * 10**9,
        "baselineStart": normal[0], "baselineEnd": normal[1],
    }
    data = get_json(url + "/api/v1/correlate/diagnose", parameters)["data"]

    def rank(is_right):
        return next((s["rank"] for s in data["suspects"] if s["service"] == fault["service"] and is_right(s)), None)

    lines = fault.get("codeLines") or []
    places = lambda s: [c["raw"] for c in [s["code"], *(s["codeRange"] or [])] if c]
    wrong, count = wrong_evidence(url, data)
    print(json.dumps({
        "incident": incident, "type": fault["type"], "service": rank(lambda s: True), "isCode": bool(lines),
        "line": rank(lambda s: any(place in lines for place in places(s))), "seconds": data["elapsedSeconds"],
        "evidence": count, "wrong": wrong,
    }), flush=True)


def outcomes():
    return [json.loads(line) for line in sys.stdin if line.startswith("{")]


def share(some, key, most):
    hits = sum(1 for one in some if one[key] and one[key] <= most)
    return f"{hits}/{len(some)}" if some else "–"


def table():
    all_of = outcomes()
    print("| | faults | service @1 | @3 | code @1 | @3 | slowest |\n|---|---|---|---|---|---|---|")
    groups = [(day, [o for o in all_of if o["incident"].startswith(day)]) for day in DAYS]
    groups += [(name, [o for o in all_of if o["type"] == name]) for name in sorted({o["type"] for o in all_of})]
    for name, some in groups + [("all", all_of)]:
        if not some:
            continue
        code = [o for o in some if o["isCode"]]
        slowest = max(o["seconds"] for o in some)
        print(f"| {name} | {len(some)} | {share(some, 'service', 1)} | {share(some, 'service', 3)} "
              f"| {share(code, 'line', 1)} | {share(code, 'line', 3)} | {slowest:.2f} s |")


def rows():
    all_of = outcomes()
    code = [o for o in all_of if o["isCode"]]

    def row(name, some, key, most, goal):
        hits = sum(1 for one in some if one[key] and one[key] <= most)
        print("PASS" if hits >= goal * len(some) else "FAIL", name, f"{hits} of {len(some)}", sep="\t")

    row("service at rank 1", all_of, "service", 1, 0.85)
    row("service up to rank 3", all_of, "service", 3, 0.95)
    row("code up to rank 3", code, "line", 3, 0.85)
    slowest = max((o["seconds"] for o in all_of), default=0)
    print("PASS" if slowest < 2 else "FAIL", "answer within 2 s", f"{slowest:.2f} s", sep="\t")
    wrong = [text for one in all_of for text in one["wrong"]]
    print("FAIL" if wrong else "PASS", "evidence", wrong[0][:300] if wrong else f"{sum(o['evidence'] for o in all_of)} queries", sep="\t")


if __name__ == "__main__":
    command = sys.argv[1]
    if command == "list":
        for one_day in DAYS:
            for one in labels(sys.argv[2], one_day)["faults"]:
                if sys.argv[3] in one["id"]:
                    print(f"{one_day}/{one['id']}")
    elif command == "run":
        run(*sys.argv[2:5])
    else:
        {"table": table, "rows": rows}[command]()
