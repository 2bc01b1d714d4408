// SPDX-License-Identifier: Apache-2.0
// Metric queries end to end.

import Base
import LogQL
import PromQL
import Telemetry
import Testing
import TestKit

@Suite struct MetricQueryTests {
    private static let second: Int64 = 1_000_000_000

    /// Two pods that log a number every ten seconds from 10 s to 60 s.
    private func logs() -> InMemoryLogs {
        var logs = InMemoryLogs()
        for i in 1...6 {
            let nanos = Int64(i) * 10 * MetricQueryTests.second
            logs.add(Labels([("app", "x"), ("pod", "a")]), nanos: nanos, "v=\(i) d=\(i)ms s=1kB")
            if i % 2 == 0 {
                logs.add(
                    Labels([("app", "x"), ("pod", "b")]), nanos: nanos, "v=\(10 * i) d=1s s=2kB")
            }
        }
        return logs
    }

    private func instant(_ text: String, at seconds: Int64 = 60) throws -> String {
        let result = try LogQLEngine(reader: logs()).queryInstant(
            try LogQLParser.parseMetricQuery(text), tenant: .anonymous,
            atNanos: seconds * MetricQueryTests.second, ReadContext())
        switch result.value {
        case .scalar(let number): return floatText(number)
        case .series(let series):
            return series.map { "\($0.labels) \(floatText($0.column.values[0]))" }
                .joined(separator: " ")
        }
    }

    static let cases: [(query: String, answer: String)] = [
        (#"count_over_time({app="x"}[1m])"#, #"{app="x", pod="a"} 6 {app="x", pod="b"} 3"#),
        (#"sum(count_over_time({app="x"}[1m]))"#, "{} 9"),
        (#"sum by (pod) (rate({app="x"}[30s]))"#, #"{pod="a"} 0.1 {pod="b"} 0.06666666666666667"#),
        (#"bytes_over_time({pod="a"}[20s])"#, #"{app="x", pod="a"} 30"#),
        (
            #"sum_over_time({pod="a"} | logfmt | unwrap v [30s])"#,
            #"{app="x", d="4ms", pod="a", s="1kB"} 4 {app="x", d="5ms", pod="a", s="1kB"} 5 {app="x", d="6ms", pod="a", s="1kB"} 6"#
        ),
        (#"sum(sum_over_time({app="x"} | logfmt | unwrap v [30s]))"#, "{} 115"),
        (
            #"max_over_time({app="x"} | logfmt | unwrap v [1m]) by (pod)"#,
            #"{pod="a"} 6 {pod="b"} 60"#
        ),
        (
            #"quantile_over_time(0.5, {app="x"} | logfmt | unwrap duration(d) [1m]) by (pod)"#,
            #"{pod="a"} 0.0035 {pod="b"} 1"#
        ),
        (#"sum(sum_over_time({app="x"} | logfmt | unwrap bytes(s) [10s]))"#, "{} 3000"),
        (
            #"avg_over_time({app="x"} | logfmt | unwrap v | v > 3 [1m]) by (pod)"#,
            #"{pod="a"} 5 {pod="b"} 40"#
        ),
        (#"absent_over_time({app="y", pod=~".+"}[1m])"#, #"{app="y"} 1"#),
        (#"absent_over_time({app="x"}[1m])"#, ""),
        (#"topk(1, count_over_time({app="x"}[1m]))"#, #"{app="x", pod="a"} 6"#),
        (#"approx_topk(1, count_over_time({app="x"}[1m]))"#, #"{app="x", pod="a"} 6"#),
        (#"sort(count_over_time({app="x"}[1m]))"#, #"{app="x", pod="b"} 3 {app="x", pod="a"} 6"#),
        (
            #"count_over_time({app="x"}[1m]) / on (app) group_left sum by (app) (count_over_time({pod="b"}[1m]))"#,
            #"{app="x", pod="a"} 2 {app="x", pod="b"} 1"#
        ),
        (#"count_over_time({app="x"}[1m]) > 4"#, #"{app="x", pod="a"} 6"#),
        (#"count_over_time({app="x"}[1m]) / 0"#, #"{app="x", pod="a"} NaN {app="x", pod="b"} NaN"#),
        (#"sum(count_over_time({app="none"}[1m])) or vector(0)"#, "{} 0"),
        (#"label_replace(vector(1), "who", "$1", "app", "(.*)")"#, "{} 1"),
        (
            #"label_replace(count_over_time({pod="b"}[1m]), "who", "pod-$1", "pod", "(.*)")"#,
            #"{app="x", pod="b", who="pod-b"} 3"#
        ),
        ("2 ^ 3 ^ 2", "512"), ("1 + 2 * 3 == bool 7", "1"), ("1 / 0", "NaN"),
        ("vector(1) + vector(1)", "{} 2"),
        (#"count_over_time({pod="a"}[20s] offset 30s)"#, #"{app="x", pod="a"} 2"#),
    ]

    @Test func queriesGiveTheirNumbers() throws {
        var problems: [String] = []
        for (query, expected) in MetricQueryTests.cases {
            let found = try instant(query)
            if found != expected { problems.append("\(query): \(found), not \(expected)") }
        }
        for problem in problems { print("  " + problem) }
        #expect(problems.isEmpty)
    }

    @Test func windowsAreOpenAtTheirStart() throws {
        let steps = try EvaluationSteps(
            startNanos: 10 * MetricQueryTests.second, endNanos: 90 * MetricQueryTests.second,
            stepNanos: 20 * MetricQueryTests.second)
        let result = try LogQLEngine(reader: logs()).queryRange(
            try LogQLParser.parseMetricQuery(#"count_over_time({pod="a"}[20s])"#),
            tenant: .anonymous, steps, ReadContext())
        guard case .series(let series) = result.value else {
            Issue.record("not a vector")
            return
        }
        #expect(series.count == 1)
        #expect(series[0].column.kinds == [.float, .float, .float, .float, .none])
        #expect(series[0].column.values.prefix(4) == [1, 2, 2, 1])
    }

    @Test func failedLinesFailTheQueryUnlessSkipped() throws {
        #expect(throws: PipelineError.self) {
            try instant(#"sum by (level) (count_over_time({app="x"} | json [1m]))"#)
        }
        #expect(throws: PipelineError.self) {
            try instant(#"count_over_time({app="x"} | json [1m])"#)
        }
        #expect(try instant(#"sum(count_over_time({app="x"} | json | __error__="" [1m]))"#) == "")
        // Nobody asked for what is in the lines, so nobody looks, as in Loki.
        #expect(try instant(#"sum(count_over_time({app="x"} | json [1m]))"#) == "{} 9")
    }

    @Test func parsersStopWhenAllThatIsWantedIsFound() throws {
        var logs = InMemoryLogs()
        let stream = Labels([("app", "x")])
        logs.add(stream, nanos: 1, #"{"level":"a","n":{"v":1},"level":"b" broken"#)
        logs.add(stream, nanos: 2, #"{"n":{"v":2},"level":"a"}"#)
        logs.add(stream, nanos: 3, #"{"app":"y","level":"b"}"#)
        func ask(_ text: String) throws -> String {
            let result = try LogQLEngine(reader: logs).queryInstant(
                try LogQLParser.parseMetricQuery(text), tenant: .anonymous, atNanos: 10,
                ReadContext())
            guard case .series(let series) = result.value else { return "" }
            return series.map { "\($0.labels) \(floatText($0.column.values[0]))" }
                .joined(separator: " ")
        }
        #expect(
            try ask(#"sum by (app, level) (count_over_time({app="x"} | json [10ms]))"#)
                == #"{app="x", level="a"} 2 {app="x", level="b"} 1"#)
        #expect(
            try ask(#"sum by (level) (sum_over_time({app="x"} | json | unwrap n_v [10ms]))"#)
                == #"{level="a"} 3"#)
        // A label that a later field could still change is waited for.
        #expect(throws: PipelineError.self) {
            try ask(#"sum by (app_extracted) (count_over_time({app="x"} | json [10ms]))"#)
        }
    }

    @Test func seriesBeyondTheMemoryAreLeftOutWithAWarning() throws {
        var logs = InMemoryLogs()
        let stream = Labels([("app", "x")])
        for i in 0..<10_000 {
            logs.add(stream, nanos: Int64(i), "line", metadata: Labels([("id", "\(i % 5000)")]))
        }
        func ask(_ text: String, _ context: ReadContext) throws -> [MetricSeries] {
            let result = try LogQLEngine(reader: logs).queryInstant(
                try LogQLParser.parseMetricQuery(text), tenant: .anonymous, atNanos: 10_000,
                context)
            guard case .series(let series) = result.value else { return [] }
            return series
        }
        let context = ReadContext(memoryLimitBytes: 400_000)
        let some = try ask(#"count_over_time({app="x"}[1s])"#, context)
        #expect(some.count > 100 && some.count < 5000)
        #expect(some.allSatisfy { $0.column.values[0] == 2 })
        #expect(context.warnings.first?.contains("more series than the \(some.count)") == true)
        // Summed up, the same lines take no memory.
        let summed = ReadContext(memoryLimitBytes: 400_000)
        #expect(try ask(#"sum by (app) (count_over_time({app="x"}[1s]))"#, summed).count == 1)
        #expect(summed.warnings.isEmpty)
    }

    @Test func stepsAreBounded() {
        #expect(throws: LogQLQueryError.self) {
            try EvaluationSteps(startNanos: 0, endNanos: 11_001, stepNanos: 1)
        }
        #expect(throws: LogQLQueryError.self) {
            try EvaluationSteps(startNanos: 0, endNanos: 10, stepNanos: 0)
        }
        #expect(throws: LogQLQueryError.self) {
            try EvaluationSteps(startNanos: .min, endNanos: .max, stepNanos: 1)
        }
    }
}
