// SPDX-License-Identifier: Apache-2.0
// Metric queries that a store of parts answers without its lines.

import Base
import LogStore
import PromQL
import Storage
import Telemetry
import Testing

@testable import LogQL

@Suite struct PushdownTests {
    private static let second: Int64 = 1_000_000_000
    private static let start: Int64 = 1_700_000_000 * second

    /// Three streams over an hour, in blocks of 100 rows. Of `a` each stretch of 300 rows has one level,
    /// of `b` rows take turns, `c` has its level among its own labels.
    private func filled() throws -> LogStore {
        var configuration = LogStoreConfiguration()
        configuration.blockRows = 100
        let store = LogStore(configuration)
        var batch = LogBatch()
        for app in ["a", "b", "c"] {
            let stream = batch.addStream(
                Labels([("app", app)] + (app == "c" ? [("level", "info")] : [])))
            for number in 0..<1200 {
                let level = ["info", "warn", "error"][app == "a" ? number / 300 % 3 : number % 3]
                let metadata = Labels(
                    app == "c" ? [("pod", "p\(number % 7)")] : [("level", level), ("zone", "eu")])
                let line = Array("request \(number) of \(app) is done".utf8)
                batch.addRow(
                    stream: stream, nanos: Self.start + Int64(number) * 3 * Self.second,
                    line: line.withUnsafeBytes { batch.arena.keep($0) },
                    metadata: metadata.bytes.withUnsafeBytes { batch.arena.keep($0) })
            }
        }
        store.append(batch, tenant: .anonymous, generation: 1, sequence: 1)
        let parts = try store.seal(generation: 1).enumerated().map { index, draft in
            PartHandle(
                descriptor: PartDescriptor(
                    id: UInt64(index) + 1, signal: .logs, tenant: draft.tenant, day: draft.day,
                    level: 0, minNanos: draft.minNanos, maxNanos: draft.maxNanos,
                    rowCount: draft.rowCount, byteCount: UInt64(draft.bytes.count),
                    retentionClass: draft.retentionClass, lastSequence: 1),
                reader: try PartReader(SharedBytes(draft.bytes), name: "part-\(index)"))
        }
        store.sealed(generation: 1, parts: parts)
        return store
    }

    private func answer(
        _ query: String, _ store: LogStore, seconds: Int64
    ) throws -> (series: [String], context: ReadContext) {
        let context = ReadContext()
        let result = try LogQLEngine(reader: store).queryInstant(
            try LogQLParser.parseMetricQuery(query), tenant: .anonymous,
            atNanos: Self.start + seconds * Self.second, context)
        guard case .series(let series) = result.value else { return ([], context) }
        return (series.map { "\($0.labels) \(Int($0.column.values[0]))" }, context)
    }

    @Test(arguments: [
        (#"sum by (app) (count_over_time({app=~".+"}[1h]))"#, ["a 1200", "b 1200", "c 1200"], 36),
        (#"sum(count_over_time({app=~".+"}[1h]))"#, ["3600"], 36),
        (
            #"sum by (level) (count_over_time({app="a"}[1h]))"#,
            ["error 300", "info 600", "warn 300"], 12
        ),
        (
            #"sum by (level) (count_over_time({app=~".+"} | drop __error__ [1h]))"#,
            ["error 700", "info 2200", "warn 700"], 36
        ),
        // All of the metadata is one and the same in each block.
        (
            #"count_over_time({app="a"}[1h])"#,
            ["a error eu 300", "a info eu 600", "a warn eu 300"], 12
        ),
        (#"sum by (zone, app) (bytes_over_time({app="a"}[1h]))"#, ["a eu 28890"], 12),
    ])
    func blocksInTheRangeAreCountedWithoutTheirLines(
        query: String, values: [String], blocks: Int
    ) throws {
        let store = try filled()
        let found = try answer(query, store, seconds: 3598)
        let plain = found.series.map { text in
            text.split(whereSeparator: { "{}, ".contains($0) }).map { word in
                word.split(separator: "=").last.map { $0.filter { $0 != "\"" } } ?? ""
            }.joined(separator: " ")
        }
        #expect(plain.sorted() == values)
        #expect(found.context.blockCount(.counted) == blocks)
        #expect(found.context.blockCount(.read) == 0)
        // Neither a line nor a time was decoded.
        #expect(found.context.bytesRead == 0 && found.context.samplesRead == 0)
    }

    @Test func blocksThatReachOverTheRangeAreRead() throws {
        let store = try filled()
        // Two blocks and a half lie in the range.
        let found = try answer(
            #"sum by (level) (count_over_time({app="a"}[750s]))"#, store, seconds: 749)
        #expect(found.series == ["{level=\"info\"} 250"])
        #expect(found.context.blockCount(.counted) == 2 && found.context.blockCount(.read) == 1)
        // Of `b` all three levels, so that bytes by level need its lines.
        let bytes = try answer(
            #"sum by (level) (bytes_over_time({app="b"}[1h]))"#, store, seconds: 3598)
        #expect(bytes.series.count == 3 && bytes.context.blockCount(.read) == 12)
        // A parser reads every line.
        let parsed = try answer(
            #"sum by (level) (count_over_time({app="a"} | logfmt [1h]))"#, store, seconds: 3598)
        #expect(parsed.context.blockCount(.read) == 12)
    }
}
