# SPDX-License-Identifier: Apache-2.0
# Asks Prometheus and Tern the same queries at the same times and compares labels and numbers.
#
# plan:    chooses the times. Debian's Prometheus 2.42 takes ranges closed on both sides, later versions and Tern leave the left
#          side open, so an evaluation time at which some sample lies exactly at a boundary would differ for a good reason. All
#          ranges and steps are whole seconds: the evaluation's millisecond within the second is the one farthest from any sample's.
# compare: asks each query as instant query at the window's middle and end and as range query over the window.

import argparse
import json
import math
import time

from acceptance import Table, fail, get_json, wait_until

# Longest look back of any query in the file, and longest look ahead (a negative offset), in seconds.
LONGEST_RANGE = 240
LONGEST_AHEAD = 5


def samples_until(url, end):
    """Number of samples of all series in the last 20 s before `end`."""
    query = '{job=~".+"}[20s]'
    result = get_json(url + "/api/v1/query", {"query": query, "time": end})["data"]["result"]
    return sum(len(series["values"]) for series in result)


def sample_milliseconds(url, end, seconds):
    """The set of milliseconds within the second at which samples were scraped."""
    answer = get_json(url + "/api/v1/query", {"query": f"up[{seconds}s]", "time": end})
    return {
        round(float(at) * 1000) % 1000
        for series in answer["data"]["result"]
        for at, _ in series["values"]
    }


def plan(options):
    end_second = int(time.time()) - 3 - LONGEST_AHEAD
    start_second = end_second - options.seconds + LONGEST_RANGE + 10
    taken = sample_milliseconds(options.prometheus, end_second + 2, options.seconds + 10)
    if not taken:
        fail("Prometheus has no samples")

    def distance(phase):
        return min(min(abs(phase - one), 1000 - abs(phase - one)) for one in taken)

    phase = max(range(1000), key=distance)
    if distance(phase) == 0:
        fail("samples at every millisecond of the second: no time without a sample at a boundary")
    start, end = start_second + phase / 1000, end_second + phase / 1000
    if end - start < 60:
        fail("the run is too short for the longest range; give it more minutes")

    def caught_up():
        until = end + LONGEST_AHEAD
        theirs, ours = samples_until(options.prometheus, until), samples_until(options.tern, until)
        return (theirs, ours, theirs == ours)

    theirs, ours, _ = wait_until(lambda: (lambda counts: counts[2] and counts)(caught_up()), 60) or caught_up()
    Table(options.results).check(
        f"{options.label}: all samples arrived", theirs == ours and ours > 0,
        f"{ours} of {theirs} in the last 20 s",
    )
    with open(options.plan, "w", encoding="utf-8") as file:
        json.dump({"start": start, "end": end}, file)


def queries(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            word, _, rest = line.partition(" ")
            yield (word, rest) if word in ("empty", "instant") else ("", line)


def same_number(theirs, ours, tolerance=1e-9):
    a, b = float(theirs), float(ours)
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= tolerance * max(abs(a), abs(b))


def as_series(data):
    """Labels → list of (time, value text), whatever the result type."""
    kind, result = data["resultType"], data["result"]
    if kind in ("scalar", "string"):
        return {kind: [tuple(result)]}
    return {
        json.dumps(one["metric"], sort_keys=True): [
            tuple(pair) for pair in one.get("values", [one.get("value")])
        ]
        for one in result
    }


def difference(theirs, ours):
    """None when both answers agree, else the first thing that differs."""
    if theirs["resultType"] != ours["resultType"]:
        return f"type {ours['resultType']} instead of {theirs['resultType']}"
    a, b = as_series(theirs), as_series(ours)
    if a.keys() != b.keys():
        missing, extra = sorted(a.keys() - b.keys()), sorted(b.keys() - a.keys())
        return f"{len(missing)} series missing {missing[:1]}, {len(extra)} extra {extra[:1]}"
    for labels in sorted(a):
        if len(a[labels]) != len(b[labels]):
            return f"{labels}: {len(b[labels])} points instead of {len(a[labels])}"
        for (at, value), (our_at, our_value) in zip(a[labels], b[labels]):
            if abs(at - our_at) > 1e-9:
                return f"{labels}: time {our_at} instead of {at}"
            if theirs["resultType"] == "string" and value == our_value:
                continue
            if not same_number(value, our_value):
                return f"{labels} at {at}: {our_value} instead of {value}"
    return None


def compare(options):
    with open(options.plan, encoding="utf-8") as file:
        times = json.load(file)
    start, end = times["start"], times["end"]
    middle = end - int((end - start) / 2)
    table = Table(options.results)
    asked = numbers = 0
    failures = []
    file_queries = list(queries(options.queries))
    for word, query in file_queries:
        forms = [("instant", {"query": query, "time": f"{at:.3f}"}) for at in (middle, end)]
        if word != "instant":
            parameters = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": "7"}
            forms.append(("range", parameters))
        for form, parameters in forms:
            path = "/api/v1/query" + ("_range" if form == "range" else "")
            asked += 1
            try:
                theirs = get_json(options.prometheus + path, parameters)["data"]
                ours = get_json(options.tern + path, parameters)["data"]
            except RuntimeError as error:
                failures.append((query, form, str(error)))
                continue
            points = sum(len(values) for values in as_series(theirs).values())
            numbers += points
            found = difference(theirs, ours)
            if found is None and (points == 0) != (word == "empty"):
                found = "empty" if points == 0 else "not empty"
            if found:
                failures.append((query, form, found))
    for query, form, found in failures:
        table.row("FAIL", f"{options.label}: {form} {query}", found)
    table.check(
        f"{options.label}: {len(file_queries)} queries as instant and range", not failures,
        f"{asked} requests, {numbers} numbers compared, {len(failures)} differ",
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["plan", "compare"])
    for flag in ("prometheus", "tern", "plan", "results", "label", "queries"):
        parser.add_argument("--" + flag)
    parser.add_argument("--seconds", type=int, default=0)
    options = parser.parse_args()
    plan(options) if options.what == "plan" else compare(options)


if __name__ == "__main__":
    main()
