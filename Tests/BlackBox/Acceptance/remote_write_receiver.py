# SPDX-License-Identifier: Apache-2.0
# The receiver compliance suite's requests, encoded by hand and sent, and what must be answered.

import argparse
import json
import struct
import time
import urllib.error
import urllib.request

from acceptance import Table, fail
from remote_write import field, snappy, varint

SPECIAL = {"NaN": 0x7FF8000000000001, "StaleNaN": 0x7FF0000000000002, "+Inf": 0x7FF0000000000000, "-Inf": 0xFFF0000000000000}
TYPES = ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"]


def double(value):
    return struct.pack("<Q", SPECIAL[value]) if isinstance(value, str) else struct.pack("<d", value)


def number(field_number, value):
    """A varint field."""
    return varint(field_number << 3) + varint(value)


def fixed(field_number, value):
    return varint(field_number << 3 | 1) + double(value)


def zigzag(value):
    return value << 1 ^ value >> 63


class Symbols:
    def __init__(self):
        self.texts = [""]

    def reference(self, text):
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)

    def labels(self, labels):
        return b"".join(varint(self.reference(t)) for pair in sorted(labels.items()) for t in pair)


def histogram(given, millis, start):
    out = b""
    if "countInt" in given:
        out += number(1, given["countInt"])
    if "countFloat" in given:
        out += fixed(2, given["countFloat"])
    out += fixed(3, given.get("sum", 0)) + number(4, zigzag(given.get("schema", 0))) + fixed(5, given.get("zeroThreshold", 0))
    if "zeroCountInt" in given:
        out += number(6, given["zeroCountInt"])
    if "zeroCountFloat" in given:
        out += fixed(7, given["zeroCountFloat"])
    for side, spans, deltas, counts in (("negative", 8, 9, 10), ("positive", 11, 12, 13)):
        for span in given.get(side + "Spans", []):
            out += field(spans, number(1, zigzag(span.get("offset", 0))) + number(2, span.get("length", 0)))
        out += field(deltas, b"".join(varint(zigzag(d)) for d in given.get(side + "Deltas", [])))
        out += field(counts, b"".join(double(d) for d in given.get(side + "Counts", [])))
    out += number(15, millis) + field(16, b"".join(double(d) for d in given.get("customValues", []))) + number(17, start)
    return out


def message2(body, now):
    """`io.prometheus.write.v2.Request` of a case."""
    symbols = Symbols()
    series = []
    exemplars = [dict(one) for one in body.get("exemplars", [])]
    metadata = [dict(one) for one in body.get("metadata", [])]

    def exemplar(one):
        refs = symbols.labels(one.get("exemplarLabels", {}))
        return field(4, field(1, refs) + fixed(2, one.get("value", 0)) + number(3, now + one.get("offsetMs", 0)))

    def meta(one):
        kind = TYPES.index(one["type"]) if one.get("type") in TYPES else 0
        return field(5, number(1, kind) + number(3, symbols.reference(one.get("help", ""))) + number(4, symbols.reference(one.get("unit", ""))))

    def add(labels, rest):
        series.append(field(5, field(1, symbols.labels(labels)) + rest))

    for one in body.get("samples", []) + body.get("histograms", []):
        labels = one.get("labels", {})
        millis = now + one.get("offsetMs", 0)
        start = now + one["createdTimestampOffsetMs"] if "createdTimestampOffsetMs" in one else 0
        if "histogram" in one:
            rest = field(3, histogram(one["histogram"], millis, start))
        else:
            rest = field(2, fixed(1, one.get("value", 0)) + number(2, millis) + number(3, start))
        mine = [e for e in exemplars if e.get("labels", {}) == labels]
        exemplars = [e for e in exemplars if e not in mine]
        rest += b"".join(exemplar(e) for e in mine)
        named = next((m for m in metadata if m.get("labels", {}).get("__name__") == labels.get("__name__")), None)
        if named is not None:
            metadata.remove(named)
            rest += meta(named)
        add(labels, rest)
    for one in exemplars:
        add(one.get("labels", {}), exemplar(one))
    for one in metadata:
        add(one.get("labels", {}), meta(one))
    return b"".join(field(4, text.encode()) for text in symbols.texts) + b"".join(series)


def message1(body, now):
    """`prometheus.WriteRequest` of a case with samples only."""
    out = b""
    for one in body.get("samples", []):
        labels = b"".join(field(1, field(1, n.encode()) + field(2, v.encode())) for n, v in sorted(one["labels"].items()))
        out += field(1, labels + field(2, fixed(1, one["value"]) + number(2, now + one.get("offsetMs", 0))))
    return out


def send(url, body, headers):
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode(errors="replace")


def main():
    parser = argparse.ArgumentParser()
    for name in ("cases", "tern", "results"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    table = Table(given.results)
    with open(given.cases, encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines if line.strip()]
    good = 0
    began = int(time.time() * 1000)
    for place, case in enumerate(cases):
        # A time of its own for each case: cases share series.
        now = began - 60_000 * (len(cases) - place)
        build = message2 if case["protocol"] == 2 else message1
        body = bytearray(snappy(build(case["body"], now)))
        note = case.get("bodyNote") or ""
        if "first byte" in note:
            body[0] = 0xFF if "0xFF" in note else 0x30
        status, headers, text = send(given.tern + "/api/v1/write", bytes(body), case["headers"])
        expect = case["expect"]
        wrong = []
        if expect["success"] and status != 204:
            wrong.append(f"status {status} instead of 204: {text.strip()}")
        if not expect["success"] and status != expect["status"]:
            wrong.append(f"status {status} instead of {expect['status']}")
        for key in ("samples", "histograms", "exemplars"):
            written = int(headers.get(f"X-Prometheus-Remote-Write-{key.capitalize()}-Written") or 0)
            wanted = expect[key + "Written"]
            if case["protocol"] == 2 and (written != wanted if expect["success"] else written > wanted):
                wrong.append(f"{written} {key} written instead of {wanted}")
        if wrong:
            table.row("FAIL", f"receiver: {case['name']}", "; ".join(wrong))
        else:
            good += 1
    if not cases:
        fail(f"{given.cases} has no cases")
    table.check(f"receiver compliance: {good} of {len(cases)} cases", good == len(cases))


main()
