// SPDX-License-Identifier: Apache-2.0
// Metric queries over a reader that counts rows by the dozen.

import Base
import LogQL
import PromQL
import Synchronization
import Telemetry
import TestKit
import Testing

/// Offers rows of one stream that follow each other for counting, a few at a time, where their metadata
/// does not matter or is the same, and hands over the others.
private struct CountingLogs: LogReading {
    var logs: InMemoryLogs
    /// Rows of a block.
    let size: Int
    let counted: @Sendable (Int) -> Void

    func count(
        _ request: LogRequest, _ context: ReadContext, _ counting: RowCounting,
        _ body: (LogBatch) throws -> Bool
    ) throws {
        for stream in try logs.streams(request, context) {
            var own = logs
            own.batchRows = size
            var exact = request
            exact.matchers = stream.pairs.map { LabelMatcher(equal: $0.name, $0.value) }
            try own.read(exact, context) { batch in
                guard let first = batch.nanos.first, let last = batch.nanos.last,
                    batch.arena.labels(batch.streams[0]) == stream
                else { return true }
                var common: [UInt8] = []
                switch counting.likeness(stream, first, last) {
                case .never: return try body(batch)
                case .none: break
                case .metadata(let names):
                    let all = Set(
                        batch.metadata.map { slice in
                            let labels = Labels(canonical: Array(batch.arena[slice.range]))
                            return Labels(
                                labels.pairs.filter { names?.contains($0.name) ?? true })
                        })
                    guard all.count == 1, let only = all.first else { return try body(batch) }
                    common = only.bytes
                }
                counted(batch.rowCount)
                let bytes = batch.lines.reduce(0) { $0 + Int($1.count) }
                try counting.count(
                    RowCounting.Rows(
                        stream: stream, metadata: common, nanos: first, count: batch.rowCount,
                        byteCount: bytes))
                return true
            }
        }
    }

    func read(
        _ request: LogRequest, _ context: ReadContext, _ body: (LogBatch) throws -> Bool
    ) throws { try logs.read(request, context, body) }
    func streams(_ request: LogRequest, _ context: ReadContext) throws -> [Labels] {
        try logs.streams(request, context)
    }
    func labelNames(_ request: LogRequest, _ context: ReadContext) throws -> [String] {
        try logs.labelNames(request, context)
    }
    func labelValues(
        _ name: String, _ request: LogRequest, _ context: ReadContext
    ) throws -> [String] { try logs.labelValues(name, request, context) }
    func rows(
        tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
    ) throws -> LogBatch {
        try logs.rows(tenant: tenant, streamHash: streamHash, range: range, context)
    }
}

@Suite struct CountingTests {
    private static let second: Int64 = 1_000_000_000

    private func logs() -> InMemoryLogs {
        var logs = InMemoryLogs()
        for i in 0..<600 {
            let pod = ["a", "b", "c", "d"][i % 4]
            logs.add(
                Labels([("app", "x"), ("pod", pod)]), nanos: Int64(i) * CountingTests.second,
                String(repeating: "x", count: i % 17),
                metadata: i % 4 == 1
                    ? Labels([("level", ["info", "error"][i / 4 % 2])])
                    : i % 4 == 3 ? Labels([("level", "warn"), ("pod", "e")]) : .empty)
        }
        return logs
    }

    @Test(arguments: [
        (#"count_over_time({app="x"}[1m])"#, true),
        (#"count_over_time({pod="b"}[1m])"#, false),
        (#"sum(count_over_time({app="x"}[1m]))"#, true),
        (#"sum by (pod) (rate({app="x"}[2m]))"#, true),
        (#"sum by (level) (rate({app="x"}[2m]))"#, true),
        (#"sum by (level) (rate({pod="b"}[2m]))"#, false),
        (#"count_over_time({pod="d"}[1m])"#, true),
        (#"sum by (level) (rate({pod="d"}[2m]))"#, true),
        (#"sum by (level, pod_extracted) (rate({pod="d"} | drop __error__ [2m]))"#, true),
        (#"sum by (pod_extracted) (bytes_rate({app="x"}[2m]))"#, true),
        (#"sum by (level) (rate({pod="d"} | drop __error__, level [2m]))"#, false),
        (#"sum without (pod) (bytes_rate({app="x"}[2m]))"#, true),
        (#"sum by (pod) (bytes_over_time({app="x"}[30s] offset 45s))"#, true),
        (#"count_over_time({app="x"} |= "x" [1m])"#, false),
    ])
    func blocksCountLikeTheirLines(query: String, counts: Bool) throws {
        let expression = try LogQLParser.parseMetricQuery(query)
        for step in [15, 60, 200] as [Int64] {
            let steps = try EvaluationSteps(
                startNanos: 20 * CountingTests.second, endNanos: 700 * CountingTests.second,
                stepNanos: step * CountingTests.second)
            let counter = ManualCount()
            let counting = CountingLogs(logs: logs(), size: 4) { counter.add($0) }
            func answer(_ reader: any LogReading) throws -> [String] {
                let result = try LogQLEngine(reader: reader).queryRange(
                    expression, tenant: .anonymous, steps, ReadContext())
                guard case .series(let series) = result.value else { return [] }
                return series.map { "\($0.labels) \($0.column.values) \($0.column.kinds)" }
            }
            #expect(try answer(counting) == answer(logs()))
            #expect((counter.value > 0) == counts)
        }
    }

    @Test func volumesAndTotalsCountLikeTheirLines() throws {
        let request = LogRequest(
            tenant: .anonymous, matchers: [],
            range: NanosRange(first: Nanos(3), last: Nanos(500 * CountingTests.second)))
        let steps = try EvaluationSteps(
            startNanos: 0, endNanos: 500 * CountingTests.second,
            stepNanos: 60 * CountingTests.second)
        let counter = ManualCount()
        let counting = LogQLEngine(
            reader: CountingLogs(logs: logs(), size: 4) { counter.add($0) })
        let reading = LogQLEngine(reader: logs())
        for steps in [nil, steps] {
            for byLabels in [false, true] {
                let wanted = VolumeRequest(
                    request, targetLabels: [], byLabels: byLabels, steps: steps)
                #expect(
                    try counting.volumes(wanted, ReadContext())
                        == reading.volumes(wanted, ReadContext()))
            }
        }
        let a = try counting.totals(request, ReadContext())
        let b = try reading.totals(request, ReadContext())
        #expect(a.lines == 500 && a.lines == b.lines && a.bytes == b.bytes && a.streams == 4)
        #expect(counter.value > 1000)
    }
}

/// A number that closures add to.
private final class ManualCount: Sendable {
    private let state = Mutex(0)
    func add(_ n: Int) { state.withLock { $0 += n } }
    var value: Int { state.withLock { $0 } }
}

/// Remembers what it was asked for.
private final class AskedLogs: LogReading {
    let logs: InMemoryLogs
    private let state = Mutex<[LabelMatcher]>([])
    private let numberState = Mutex<[NumberCondition]>([])
    var conditions: [LabelMatcher] { state.withLock { $0 } }
    var numbers: [NumberCondition] { numberState.withLock { $0 } }

    init(_ logs: InMemoryLogs) { self.logs = logs }

    func read(
        _ request: LogRequest, _ context: ReadContext, _ body: (LogBatch) throws -> Bool
    ) throws {
        state.withLock { $0 = request.conditions }
        numberState.withLock { $0 = request.numbers }
        try logs.read(request, context, body)
    }
    func streams(_ request: LogRequest, _ context: ReadContext) throws -> [Labels] { [] }
    func labelNames(_ request: LogRequest, _ context: ReadContext) throws -> [String] { [] }
    func labelValues(
        _ name: String, _ request: LogRequest, _ context: ReadContext
    ) throws -> [String] { [] }
    func rows(
        tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
    ) throws -> LogBatch { LogBatch() }
}

@Suite struct PushedConditionTests {
    @Test(arguments: [
        (#"{app="x"} | level="error""#, ["level"]),
        (
            #"{app="x"} |= "x" | level=~"e.*" and pod!="a" | line_format "y" | trace_id="1""#,
            ["level", "pod", "trace_id"]
        ),
        (#"{app="x"} | level="error" or pod="a" | a="b""#, ["a"]),
        (#"{app="x"} | json | level="error""#, []),
        (#"{app="x"} | a="b" | label_format a=c | a="d""#, ["a"]),
        (#"{app="x"} | __error__="" | a_extracted="b" | a > 5"#, []),
    ])
    func conditionsBeforeLabelsChangeAreHandedDown(query: String, names: [String]) throws {
        let logs = AskedLogs(InMemoryLogs())
        let selector = try LogQLParser.parseLogQuery(query)
        _ = try LogQLEngine(reader: logs).queryLogs(
            LogQuery(selector, tenant: .anonymous, startNanos: 0, endNanos: 1, limit: 0),
            ReadContext())
        #expect(logs.conditions.map(\.name) == names)
    }

    @Test(arguments: [
        (#"{app="x"} | a > 5"#, [NumberCondition("a", .greater, 5)]),
        (
            #"{app="x"} |= "x" | a >= 5 and b = 2.5 | line_format "y" | c != 1KB"#,
            [
                NumberCondition("a", .greaterOrEqual, 5), NumberCondition("b", .equal, 2.5),
                NumberCondition("c", .notEqual, 1000, takesMinus: false),
            ]
        ),
        (#"{app="x"} | a < 5 or b <= 2 | c < 3"#, [NumberCondition("c", .less, 3)]),
        (#"{app="x"} | a > 5s | __error__ > 3 | a_extracted > 2"#, []),
        (
            #"{app="x"} | a <= 1 | json | b > 3"#, [NumberCondition("a", .lessOrEqual, 1)]
        ),
        (#"{app="x"} | drop b | a > 5"#, []),
    ])
    func numbersBeforeLabelsChangeAreHandedDown(
        query: String, numbers: [NumberCondition]
    ) throws {
        let logs = AskedLogs(InMemoryLogs())
        let selector = try LogQLParser.parseLogQuery(query)
        _ = try LogQLEngine(reader: logs).queryLogs(
            LogQuery(selector, tenant: .anonymous, startNanos: 0, endNanos: 1, limit: 0),
            ReadContext())
        #expect(logs.numbers == numbers)
        let metric = try LogQLParser.parseMetricQuery("count_over_time(\(query) [1m])")
        _ = try LogQLEngine(reader: logs).queryInstant(
            metric, tenant: .anonymous, atNanos: 1, ReadContext())
        #expect(logs.numbers == numbers)
    }
}
