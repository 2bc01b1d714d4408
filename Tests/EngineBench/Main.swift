// SPDX-License-Identifier: Apache-2.0
// What PromQL costs without HTTP: for profiles, and for figures before and after a change.

import Base
import Glibc
import MetricStore
import PromQL
import Telemetry
import TestKit

/// One measured piece of work; each run gets a fresh context.
struct Case {
    var name: String
    var run: (ReadContext) throws -> Int

    /// All cases, or those whose names start with one of the arguments.
    static func all(_ engine: PromQLEngine, _ store: MetricStore) -> [Case] {
        func instant(_ name: String, _ query: String) -> Case {
            Case(name: name) { context in
                size(
                    try engine.query(query, at: Millis(Fleet.end), context: context).value)
            }
        }
        func range(_ name: String, _ query: String, minutes: Int64 = 60) -> Case {
            Case(name: name) { context in
                size(
                    try engine.queryRange(
                        query, start: Millis(Fleet.end - minutes * 60_000),
                        end: Millis(Fleet.end), stepMillis: 15_000, context: context
                    ).value)
            }
        }
        let cpu = "node_cpu_seconds_total"
        return [
            instant("raw-instant", cpu),
            range("raw-range", cpu),
            range("rate-range", "rate(\(cpu)[5m])"),
            instant("sum-instant", "sum by (mode) (\(cpu))"),
            range("sum-raw", "sum by (mode) (\(cpu))"),
            range("sum-rate", "sum by (mode) (rate(\(cpu)[5m]))"),
            range("sum-rate-4h", "sum by (mode) (rate(\(cpu)[5m]))", minutes: 230),
            range("max-over-time", "max by (instance) (max_over_time(\(cpu)[5m]))"),
            range("avg-over-time", "avg by (instance) (avg_over_time(\(cpu)[5m]))"),
            range("topk-rate", "topk(10, rate(\(cpu)[5m]))"),
            range("quantile", "quantile by (mode) (0.9, rate(\(cpu)[5m]))"),
            range(
                "join", "\(cpu) * on (instance) group_left (nodename) node_uname_info"),
            range(
                "ratio",
                "sum by (instance) (rate(\(cpu){mode=\"idle\"}[5m])) "
                    + "/ sum by (instance) (rate(\(cpu)[5m]))"),
            range("twice", "rate(\(cpu){cpu=\"0\"}[5m]) / rate(\(cpu){cpu=\"0\"}[5m])"),
            range("one-to-one", "\(cpu) - \(cpu) offset 5m"),
            range(
                "histogram-quantile",
                "histogram_quantile(0.9, sum by (le, handler) "
                    + "(rate(request_duration_seconds_bucket[5m])))"),
            range(
                "histogram-each",
                "histogram_quantile(0.9, rate(request_duration_seconds_bucket[5m]))"),
            range(
                "label-replace",
                "label_replace(\(cpu), \"host\", \"$1\", \"instance\", \"(.*):.*\")"),
            range("and", "\(cpu) and on (instance) node_uname_info"),
            instant("regex-wide", #"wide{path=~".*item-.*99"}"#),
            instant("count-wide", "count(wide)"),
            instant("group-by-name", #"group by (__name__) ({__name__!=""})"#),
            instant("count-by-name", #"count by (__name__) ({__name__!=""})"#),
            Case(name: "label-values") { context in
                try store.labelValues(
                    "instance",
                    SeriesRequest(
                        tenant: .anonymous,
                        matchers: [LabelMatcher(equal: "__name__", cpu)],
                        range: MillisRange(
                            first: Millis(Fleet.end - 3_600_000), last: Millis(Fleet.end))),
                    context
                ).count
            },
            Case(name: "label-values-wide") { context in
                try store.labelValues(
                    "path",
                    SeriesRequest(
                        tenant: .anonymous,
                        matchers: [try LabelMatcher("path", .matches, ".*9.*")],
                        range: .all), context
                ).count
            },
        ]
    }

    static func size(_ value: QueryValue) -> Int {
        switch value {
        case .scalar, .string: 1
        case .vector(let samples): samples.count
        case .matrix(let series): series.reduce(0) { $0 + $1.floats.count }
        }
    }
}

func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// `BENCH_SECONDS`: how long each case is repeated, for profiles. `BENCH_HELPERS`: threads that help
/// with slices, 0 by default; −1 = nothing is cut. `BENCH_DATA`: `fleet`, or `head` or `parts` for a
/// `Crowd` in one of the two.
private let measuredSeconds = getenv("BENCH_SECONDS").map { atof($0) } ?? 1

func padded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.utf8.count)) + text
}

@main
struct Main {
    static func main() throws {
        let wanted = Array(CommandLine.arguments.dropFirst())
        let filled = seconds(CLOCK_PROCESS_CPUTIME_ID)
        let data = getenv("BENCH_DATA").map { String(cString: $0) } ?? "fleet"
        let store: MetricStore
        switch data {
        case "head", "parts": store = try Crowd(inParts: data == "parts").store
        default: store = try Fleet().store
        }
        print("filled in \(Int(seconds(CLOCK_PROCESS_CPUTIME_ID) - filled)) CPU s")
        var options = PromQLOptions()
        if let helpers = getenv("BENCH_HELPERS").map({ atoi($0) }) {
            if helpers < 0 {
                options.slicing.leastWork = .max
            } else if helpers > 0 {
                options.slicing.helpers = WorkerPool(
                    name: "helper", threads: Int(helpers), queueLimit: 0)
            }
        }
        options.parser.experimentalFunctions = true
        options.parser.fillModifiers = true
        let engine = PromQLEngine(reader: store, options: options)
        if wanted.first == "cancelled" {
            try Cancellation(engine).report(Array(wanted.dropFirst()))
            return
        }
        let titles = ["wall ms", "cpu ms", "objects", "peak KiB", "values"]
        print(padded("case", 20) + titles.map { padded($0, 12) }.joined())
        let cases = data == "fleet" ? Case.all(engine, store) : try Crowd.cases(engine, store)
        for one in cases
        where wanted.isEmpty || wanted.contains(where: one.name.hasPrefix) {
            try report(one)
        }
    }

    private static func report(_ one: Case) throws {
        let first = ReadContext()
        var values = 0
        let objects = try AllocationCount.during { values = try one.run(first) }
        var best = (wall: Double.infinity, cpu: Double.infinity)
        let begin = seconds(CLOCK_MONOTONIC)
        var runs = 0
        while runs < 3 || seconds(CLOCK_MONOTONIC) - begin < measuredSeconds {
            let wall = seconds(CLOCK_MONOTONIC)
            let cpu = seconds(CLOCK_PROCESS_CPUTIME_ID)
            _ = try one.run(ReadContext())
            best.cpu = min(best.cpu, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu)
            best.wall = min(best.wall, seconds(CLOCK_MONOTONIC) - wall)
            runs += 1
        }
        func millis(_ seconds: Double) -> String { "\((seconds * 1e5).rounded() / 100)" }
        let figures = [
            millis(best.wall), millis(best.cpu), "\(objects)", "\(first.peakBytes / 1024)",
            "\(values)",
        ]
        print(padded(one.name, 20) + figures.map { padded($0, 12) }.joined())
    }
}
