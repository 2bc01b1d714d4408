# SPDX-License-Identifier: Apache-2.0
# The Python side of side-by-side.sh: what two servers with one configuration stored and told, compared.
#
# hook:     records what the Alertmanagers send, a JSON line per message.
# rules, targets, metadata: what both servers say at this moment; exit 1 when it is not the same.
# compare:  series, values, ends of series.
# received: the messages that `hook` recorded.
#
# Two servers scrape the same target at different moments of the interval, so that samples are compared with their neighbours: a
# sample's value must lie between the smallest and the largest of the other server's two samples before and two after it. That is
# exact for counters and for what does not change; a gauge may move out of it between two scrapes, and only the gauges in MOVING
# may.

import argparse
import bisect
import http.server
import json
import math
import re
import statistics
import time

from acceptance import Table, fail, get_json

INTERVAL = 15
# Discovery looks every five seconds at what changed, in both servers.
DISCOVERY = 6
# An end of a scraped series is seen at the next scrape; what a rule writes, at the next evaluation after it.
SCRAPED_SLACK = INTERVAL + DISCOVERY
RULED_SLACK = 2 * INTERVAL + DISCOVERY
# The Alertmanagers' group_wait and group_interval, which both may have to be waited for.
GROUP_WAIT = 7
# What is sent before the Alertmanagers have been discovered is dropped, and sent again after --rules.alert.resend-delay.
RESEND = 60

# Gauges whose value at one moment says nothing about another moment, by pattern of the name, with the reason. Counters and
# histograms are never among them; the ranges that both servers saw must overlap.
MOVING = [
    ("scrape_duration_seconds", "each server measures its own scrape"),
    ("probe_(duration_seconds|dns_lookup_time_seconds|http_duration_seconds)", "each scrape is a probe of its own"),
    ("node_scrape_collector_duration_seconds", "each scrape collects anew"),
    ("go_(memstats_.*|goroutines|threads|gc_duration_seconds)", "state of a Go process between two collections"),
    ("process_(resident|virtual)_memory_bytes|process_open_fds", "state of a process"),
    ("node_(memory|sockstat|filefd|procs|load|timex|hwmon|cooling|cpu_scaling|udp_queues|entropy|pressure)_?.*", "state of the kernel"),
    ("node_(filesystem_(free|avail)_bytes|filesystem_files_free|disk_io_now|netstat_Tcp_CurrEstab|nf_conntrack_entries|time_seconds)",
     "state of the kernel"),
    ("etcd_(mvcc_db|debugging|server_slow|network|grpc|disk)_.*", "state of etcd's database and connections"),
    (".*(_in_flight|_inflight).*", "requests at this moment, its own scrape among them"),
]

# Series of rules over two servers' different sample times: each server's samples must be what its own query answers for their
# times. Those of the first list must agree in the mean too; the other is a counter of few steps, where it matters which of them
# lie inside a range.
RATES = ["instance:node_cpu:rate1m", "etcd:disk_wal_fsync:p99"]
STEPS = ["job:work_done:increase2m"]


def hook(options):
    received = open(options.received, "a", encoding="utf-8")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.write(json.dumps({"at": time.time(), "body": body}) + "\n")
            received.flush()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()


def without(entry, *names):
    return {name: value for name, value in entry.items() if name not in names}


def rules_of(server):
    """Groups and rules without what differs by time, and /api/v1/alerts."""
    groups = []
    for group in get_json(server + "/api/v1/rules")["data"]["groups"]:
        group = without(group, "evaluationTime", "lastEvaluation")
        group["rules"] = [without(rule, "evaluationTime", "lastEvaluation") for rule in group["rules"]]
        for rule in group["rules"]:
            if rule["name"] == "Broken":
                # The text names two of several equal series, in no order.
                rule["lastError"] = rule["lastError"].split("{")[0]
            alerts = [without(alert, "activeAt") for alert in rule.get("alerts", [])]
            if "alerts" in rule:
                rule["alerts"] = sorted(alerts, key=json.dumps)
        groups.append(group)
    alerts = [without(one, "activeAt") for one in get_json(server + "/api/v1/alerts")["data"]["alerts"]]
    return {
        "groups": sorted(groups, key=lambda group: group["name"]),
        "alerts": sorted(alerts, key=json.dumps),
    }


def targets_of(server):
    """Active targets as discovered and as relabelled, with their health."""
    found = []
    for target in get_json(server + "/api/v1/targets", [("state", "active")])["data"]["activeTargets"]:
        fields = ("scrapePool", "labels", "discoveredLabels", "health", "scrapeInterval", "scrapeTimeout")
        entry = {name: target[name] for name in fields}
        entry["scrapeUrl"] = target["scrapeUrl"]
        # 2.42 shows there what `labelmap` and `labeldrop` made of discovered labels; later versions show them as they came.
        if target["scrapePool"] == "small":
            del entry["discoveredLabels"]
            found.append(entry)
            continue
        # Prometheus 3 marks every target with its histogram settings; 2.42 does not know them.
        for name in list(entry["discoveredLabels"]):
            if re.fullmatch("__(scrape_native|always_scrape_classic|convert_classic)_.*", name):
                del entry["discoveredLabels"][name]
        found.append(entry)
    return sorted(found, key=lambda entry: json.dumps(entry, sort_keys=True))


def metadata_of(server):
    """Type and help by metric, of all targets."""
    found = {}
    for name, entries in get_json(server + "/api/v1/metadata")["data"].items():
        found[name] = sorted({(one["type"], one["help"]) for one in entries})
    return found


def same(what, theirs, ours):
    """Ends with the place of the first difference."""
    a, b = json.dumps(theirs, sort_keys=True), json.dumps(ours, sort_keys=True)
    if a != b:
        place = next((i for i, pair in enumerate(zip(a, b)) if pair[0] != pair[1]), min(len(a), len(b)))
        raise SystemExit(f"…{a[max(0, place - 150):place + 100]}… but …{b[max(0, place - 50):place + 150]}…")
    if not theirs:
        raise SystemExit("nothing there")
    print(what)


def labels_key(labels):
    """Labels as one text. Bounds and quantiles as numbers: 2.42 keeps the target's spelling (`1`), Prometheus 3 and Tern write `1.0`."""
    shown = dict(labels)
    for name in ("le", "quantile"):
        if name in shown:
            shown[name] = repr(float(shown[name]))
    return json.dumps(shown, sort_keys=True)


def name_of(key):
    return json.loads(key)["__name__"]


def samples_of(server, start, end):
    """Labels → sorted times and values of all series in the window."""
    seconds = math.ceil(end - start)
    found = {}
    jobs = sorted({json.loads(key).get("job", "") for key in instant(server, end, f'last_over_time({{__name__!=""}}[{seconds}s])', named=False)})
    for job in jobs:
        answer = get_json(server + "/api/v1/query", {"query": f'{{__name__!="", job="{job}"}}[{seconds}s]', "time": f"{end:.3f}"})
        for series in answer["data"]["result"]:
            pairs = [(float(at), float(value)) for at, value in series["values"]]
            key = labels_key(series["metric"])
            if key in found:
                raise RuntimeError(f"twice: {key}")
            found[key] = ([at for at, _ in pairs], [value for _, value in pairs])
    return found


def instant(server, at, query='{__name__!=""}', named=True):
    """Labels of what a query answers for one moment."""
    result = get_json(server + "/api/v1/query", {"query": query, "time": f"{at:.3f}"})["data"]["result"]
    return {labels_key(one["metric"]) for one in result}


def is_ruled(name):
    return ":" in name or name.startswith("ALERTS")


def slack_of(name):
    return RULED_SLACK if is_ruled(name) else SCRAPED_SLACK


def stretches(times, step):
    """Begin and end of each stretch of samples without a gap."""
    found = []
    for at in times:
        if found and at - found[-1][1] <= 1.6 * step:
            found[-1][1] = at
        else:
            found.append([at, at])
    return found


def step_of(times):
    gaps = [b - a for a, b in zip(times, times[1:])]
    return 30 if gaps and statistics.median(gaps) > 22 else INTERVAL


def neighbours(times, values, at, width, step):
    """The other server's samples before and after; None at an edge, where there is none on one side or the series paused."""
    right = bisect.bisect_left(times, at)
    if right == 0 or right == len(times) or times[right] - times[right - 1] > 1.6 * step:
        return None
    return values[max(0, right - width):right + width]


def is_reset(value, others):
    """Whether a counter that began anew among the neighbours may have gone on to `value` before, or have begun by it."""
    return any(b < a and (value >= a or value <= b) for a, b in zip(others, others[1:]))


def lies_within(value, others):
    if math.isnan(value):
        return any(math.isnan(one) for one in others)
    numbers = [one for one in others if not math.isnan(one)]
    if not numbers:
        return False
    low, high = min(numbers), max(numbers)
    if low == high or math.isinf(value):
        return low <= value <= high
    room = 1e-9 * max(abs(low), abs(high))
    return low - room <= value <= high + room


class Values:
    """Samples by metric: how many were compared, how many lie outside their neighbours."""

    def __init__(self, types, start, end):
        self.types = types
        self.start, self.end = start, end
        self.compared = {}
        self.outside = {}
        self.example = {}

    def add(self, name, key, mine, other, room=0):
        times, values = mine
        # What rules write is two steps away from the target: scrape and evaluation.
        width, step = 3 if is_ruled(name) else 2, step_of(other[0])
        for at, value in zip(times, values):
            around = neighbours(*other, at, width, step)
            # At the edges of the window some neighbours lie outside it.
            if around is None or min(at - self.start, self.end - at) < width * step:
                continue
            self.compared[name] = self.compared.get(name, 0) + 1
            fits = lies_within(value, around) or any(abs(value - one) <= room for one in around)
            fits = fits or is_cumulative(name, self.types) and is_reset(value, around)
            if not fits:
                self.outside[name] = self.outside.get(name, 0) + 1
                start = times[0]
                shown = ", ".join(f"{t - start:.0f}: {v}" for t, v in zip(*other) if abs(t - at) < 60)
                self.example.setdefault(name, f"{key} at {at - start:.0f}: {value}, around it {shown}")


def is_cumulative(name, types):
    """Whether it only grows, by the type that the target gives."""
    if types.get(name) == "counter":
        return True
    base = re.sub("_(bucket|sum|count|total)$", "", name)
    return types.get(name) is None and types.get(base) in ("histogram", "summary", "counter")


def reason_for(name, types):
    if is_cumulative(name, types):
        return None
    return next((reason for pattern, reason in MOVING if re.fullmatch(pattern, name)), None)


def compare_sets(table, theirs, ours):
    """The same labels, and each stretch of a series begins and ends at the same time within its slack."""
    start = min(times[0] for times, _ in theirs.values())
    end = max(times[-1] for times, _ in theirs.values())
    brief, missing, moved, pieces = [], [], [], 0
    for key in sorted(theirs.keys() | ours.keys()):
        name = name_of(key)
        both = [one.get(key, ([], []))[0] for one in (theirs, ours)]
        step = max(step_of(times) for times in both)
        a, b = (stretches(times, step) for times in both)
        slack = slack_of(name) + step - INTERVAL
        inner = lambda at: start + slack < at < end - slack
        # What lived for less than an interval may be seen by one of them alone.
        keep = lambda one, others: one[1] - one[0] >= step or any(
            other[0] - slack <= one[1] and one[0] <= other[1] + slack for other in others)
        kept_a, kept_b = [one for one in a if keep(one, b)], [one for one in b if keep(one, a)]
        brief += [key] * (len(a) + len(b) - len(kept_a) - len(kept_b))
        # At the edges of the window one of them may have a stretch that the other has not any more, or not yet.
        middle = lambda all: [one for one in all if inner(one[0]) or inner(one[1])
                              or (one[0] <= start + slack and one[1] >= end - slack)]
        kept_a, kept_b = middle(kept_a), middle(kept_b)
        pieces += len(kept_a)
        if len(kept_a) != len(kept_b):
            edge = [one for one in kept_a + kept_b if one[1] <= start + 2 * slack or one[0] >= end - 2 * slack]
            if not edge or abs(len(kept_a) - len(kept_b)) > len(edge):
                missing.append(f"{key}: {shown(kept_a, start)} in Prometheus, {shown(kept_b, start)} in Tern")
            continue
        for one, other in zip(kept_a, kept_b):
            for x, y in zip(one, other):
                if (inner(x) or inner(y)) and abs(x - y) > slack:
                    moved.append(f"{key}: {shown(kept_a, start)} in Prometheus, {shown(kept_b, start)} in Tern")
                    break
    table.check("series sets", not missing, f"{len(theirs)} and {len(ours)} series, {pieces} stretches, "
                f"{len(brief)} brief ones in one alone; {len(missing)} differ {missing[:2]}")
    table.check("series begin and end together", not moved, f"{len(moved)} differ {moved[:2]}")
    for line in missing[:40] + moved[:40]:
        print("  " + line)
    for key in brief[:10]:
        print("  brief: " + key)


def shown(pieces, start):
    return [f"{one[0] - start:.0f}-{one[1] - start:.0f}" for one in pieces]


def compare_values(table, theirs, ours, types):
    start = min(times[0] for times, _ in theirs.values())
    values = Values(types, start, max(times[-1] for times, _ in theirs.values()))
    means, apart = {}, []
    for key in theirs.keys() & ours.keys():
        name = name_of(key)
        if name in RATES:
            a, b = (statistics.mean(one[key][1]) for one in (theirs, ours))
            means[key] = (a, b)
        if name in RATES + STEPS:
            continue
        low, high = (max(min(one[key][1]) for one in (theirs, ours)), min(max(one[key][1]) for one in (theirs, ours)))
        # Two servers need not take equally long over a scrape.
        if reason_for(name, types) and name != "scrape_duration_seconds" and low > high:
            apart.append(f"{key}: {theirs[key][1][:3]} and {ours[key][1][:3]}")
        room = RULED_SLACK if name == "ALERTS_FOR_STATE" else 0
        values.add(name, key, ours[key], theirs[key], room)
        values.add(name, key, theirs[key], ours[key], room)
    total, outside = sum(values.compared.values()), sum(values.outside.values())
    bad = []
    print(f"\n{'metric':<55} {'samples':>8} {'outside':>8}")
    for name in sorted(values.outside, key=lambda one: -values.outside[one]):
        reason = reason_for(name, types)
        if reason is None:
            bad.append(name)
        print(f"{name:<55} {values.compared[name]:>8} {values.outside[name]:>8}  {reason or 'NOT EXCEPTED: ' + values.example[name]}")
    table.check("values lie between their neighbours", not bad and total > 0,
                f"{total} samples of {len(values.compared)} metrics, {outside} outside, of {len(values.outside)} metrics, not excepted: {bad[:10]}")
    table.check("ranges of moving gauges overlap", not apart, f"{apart[:2]}")
    constant = sum(1 for key in theirs.keys() & ours.keys()
                   if len(set(map(repr, theirs[key][1]))) == 1 and set(map(repr, theirs[key][1])) == set(map(repr, ours[key][1])))
    table.row("PASS", "series that never change are equal", f"{constant} series")
    far = [f"{key}: {a} and {b}" for key, (a, b) in means.items()
           if not (math.isnan(a) and math.isnan(b)) and abs(a - b) > 0.1 * max(abs(a), abs(b)) + 0.002]
    table.check("rates agree in the mean", not far and means, f"{len(means)} series, within 10 %; {far[:2]}")
    with_room = sum(1 for name in values.outside if reason_for(name, types))
    print(f"{outside} of {total} samples outside ({100 * outside / max(1, total):.2f} %), {with_room} metrics excepted")


def compare_instants(table, servers, theirs, ours, start, end):
    """Which series answer at one moment: that is what a staleness marker decides."""
    count, asked, wrong = 0, 0, []
    at = start + 2 * INTERVAL
    while at < end - INTERVAL:
        a, b = (instant(server, at) for server in servers)
        asked += 1
        count += len(a | b)
        for key in a ^ b:
            times = [one for store in (theirs, ours) for one in edges(store.get(key, ([], []))[0])]
            if not any(abs(at - one) <= slack_of(name_of(key)) + INTERVAL for one in times):
                wrong.append(f"{key} at {at - start:.0f} only in {'Prometheus' if key in a else 'Tern'}")
        at += 10.01
    table.check("the same series answer at every moment", not wrong and asked > 0,
                f"{asked} moments, {count} answers, {len(wrong)} differ {wrong[:2]}")
    for line in wrong[:20]:
        print("  " + line)


def edges(times):
    return [edge for piece in stretches(times, step_of(times)) for edge in piece]


def compare_recorded(table, server, name, ours, expressions):
    """What a rule recorded at a time is what its query answers for that time."""
    asked, wrong = 0, []
    for record, expression in expressions:
        times = sorted({at for key, (times, _) in ours.items() if name_of(key) == record for at in times})
        for at in times[::max(1, len(times) // 20)]:
            result = get_json(server + "/api/v1/query", {"query": expression, "time": f"{at:.3f}"})["data"]["result"]
            wanted = sorted(float(one["value"][1]) for one in result)
            got = sorted(values[times.index(at)] for key, (times, values) in ours.items() if name_of(key) == record and at in times)
            asked += 1
            close = len(wanted) == len(got) and all(
                (math.isnan(x) and math.isnan(y)) or abs(x - y) <= 1e-9 * max(abs(x), abs(y), 1e-300) for x, y in zip(wanted, got))
            if not close:
                wrong.append(f"{record} at {at}: {got[:5]}, the query answers {wanted[:5]}")
    # A scrape that began before an evaluation and was stored after it is in the answer now and was not then.
    table.check(f"recorded is what the query answers, {name}", len(wrong) <= 0.03 * asked and asked > 0,
                f"{asked} evaluations, {len(wrong)} differ {wrong[:2]}")


def compare(options):
    table = Table(options.results)
    start, end = options.began + 45.0, time.time() + 5
    time.sleep(2 * INTERVAL)
    servers = (options.prometheus, options.tern)
    theirs, ours = (samples_of(server, start, end) for server in servers)
    if not theirs or not ours:
        fail("no samples")
    types = {name: entries[0][0] for name, entries in metadata_of(options.prometheus).items()}
    compare_sets(table, theirs, ours)
    compare_values(table, theirs, ours, types)
    compare_instants(table, servers, theirs, ours, start, end)
    groups = get_json(options.tern + "/api/v1/rules", [("type", "record")])["data"]["groups"]
    expressions = [(rule["name"], rule["query"]) for group in groups for rule in group["rules"] if rule["name"] in RATES + STEPS]
    compare_recorded(table, options.tern, "Tern", ours, expressions)
    compare_recorded(table, options.prometheus, "Prometheus", theirs, expressions)


def episodes(messages):
    """Labels → list of (received firing, annotations, link, received resolved or None)."""
    found = {}
    for message in messages:
        for alert in message["body"]["alerts"]:
            key = json.dumps(alert["labels"], sort_keys=True)
            told = found.setdefault(key, [])
            running = told and told[-1]["resolved"] is None
            if alert["status"] == "firing" and not running:
                told.append({
                    "firing": message["at"], "resolved": None, "annotations": alert["annotations"],
                    "link": alert["generatorURL"].split("/graph", 1)[-1],
                })
            elif alert["status"] == "resolved" and running:
                told[-1].update(resolved=message["at"], last=alert["annotations"])
            elif alert["status"] == "resolved" and not running and not told:
                raise RuntimeError(f"resolved before it fired: {key}")
    return found


def received(options):
    table = Table(options.results)
    messages = {"tern": [], "prometheus": []}
    with open(options.received, encoding="utf-8") as file:
        for line in file:
            message = json.loads(line)
            host = message["body"]["externalURL"].split("//")[1]
            for name in messages:
                if host.endswith(":" + getattr(options, name).split(":")[1]):
                    messages[name].append(message)
    theirs, ours = episodes(messages["prometheus"]), episodes(messages["tern"])
    wrong, count, apart = [], 0, 0.0
    for key in sorted(theirs.keys() | ours.keys()):
        a, b = theirs.get(key, []), ours.get(key, [])
        if len(a) != len(b):
            wrong.append(f"{key}: {len(a)} times by Prometheus, {len(b)} times by Tern")
            continue
        for one, other in zip(a, b):
            count += 1
            for what in ("annotations", "link", "last"):
                if one.get(what) != other.get(what):
                    wrong.append(f"{key}: {what} {one.get(what)} by Prometheus, {other.get(what)} by Tern")
            for what in ("firing", "resolved"):
                if (one[what] is None) != (other[what] is None):
                    wrong.append(f"{key}: {what} {one[what]} by Prometheus, {other[what]} by Tern")
                elif one[what] is not None:
                    slack = RULED_SLACK + GROUP_WAIT
                    if min(one[what], other[what]) < options.began + 2 * INTERVAL:
                        slack += RESEND
                    else:
                        apart = max(apart, abs(one[what] - other[what]))
                    if abs(one[what] - other[what]) > slack:
                        wrong.append(f"{key}: {what} {other[what] - one[what]:.0f} s later by Tern")
    for line in wrong:
        print("  " + line)
    resolved = sum(1 for told in ours.values() for one in told if one["resolved"] is not None)
    table.check("alerts received", not wrong and count > 0 and resolved > 0,
                f"{len(ours)} alerts fired {count} times, {resolved} times resolved, at most {apart:.0f} s apart; {len(wrong)} differ {wrong[:2]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["hook", "rules", "targets", "metadata", "compare", "received"])
    for flag in ("prometheus", "tern", "results", "received"):
        parser.add_argument("--" + flag)
    parser.add_argument("--port", type=int)
    parser.add_argument("--began", type=float)
    options = parser.parse_args()
    if options.what == "hook":
        hook(options)
    elif options.what == "compare":
        compare(options)
    elif options.what == "received":
        received(options)
    else:
        ask = {"rules": rules_of, "targets": targets_of, "metadata": metadata_of}[options.what]
        theirs, ours = ask(options.prometheus), ask(options.tern)
        same(f"{len(theirs)} alike", theirs, ours)


if __name__ == "__main__":
    main()
