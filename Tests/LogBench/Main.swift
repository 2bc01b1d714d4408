// SPDX-License-Identifier: Apache-2.0
// What taking and searching log lines costs without HTTP: for profiles, and for figures before and
// after a change.

import Base
import Correlation
import Glibc
import Ingest
import LogStore
import MetricStore
import Storage
import Telemetry
import TestKit
import TraceStore
import Wire

/// Loki pushes of the shop's lines go through decompression, decoder and pipeline into a real data
/// directory, on one thread; then they are sealed and searched. `BENCH_LINES` (400,000): the size of
/// the data. `BENCH_SEALS` (1): into how many parts, which are then merged. `BENCH_SCAN` (1): 0 leaves
/// out the searches. zstd's level 3 over the same lines, in pieces
/// of 1 MiB, is the measure.
@main
struct Main {
    static func main() async throws {
        try await withTemporaryDirectory { try await measure(in: $0) }
    }

    private static func measure(in path: String) async throws {
        // As the server sets it.
        Allocator.limitHeaps(4, keptBytes: 8 << 20)
        let lines = getenv("BENCH_LINES").map { Int(atoi($0)) } ?? 400_000
        let clock = SystemClock()
        let spacing: Int64 = 2_000_000
        let start = (clock.wallNanos / 86_400_000_000_000 - 2) * 86_400_000_000_000
        let shape = LogShape(
            timeline: Timeline(seed: 1, startNanos: start), lineEveryNanos: spacing,
            batchLines: 1000)
        let logs = LogStore()
        let correlation = Correlation()
        let kernel = try Kernel.open(
            KernelConfiguration(path: path),
            stores: [MetricStore(MetricStoreConfiguration()), logs, TraceStore(), correlation])
        kernel.start()
        let pipeline = IngestPipeline(
            kernel: kernel, metrics: MetricStore(MetricStoreConfiguration()), logs: logs,
            traces: TraceStore(), observers: [correlation], clock: clock, limits: IngestLimits())

        let seals = max(1, getenv("BENCH_SEALS").map { Int(atoi($0)) } ?? 1)
        var decoding = 0.0, writing = 0.0, zstd = 0.0, sealing = 0.0
        var raw = 0, packed = 0
        var piece: [UInt8] = []
        let batches = shape.batchCount(lines: lines)
        for index in 0..<batches {
            let batch = shape.batch(index, lines: lines)
            let body = Snappy.compress(LokiPush.encodeProtobuf(batch))
            for line in batch.lines { piece.append(contentsOf: batch.arena[line.range] + [10]) }
            let before = cpu()
            if piece.count >= 1 << 20 || index == shape.batchCount(lines: lines) - 1 {
                packed += Zstd.compress(piece, level: 3).count
                raw += piece.count
                piece.removeAll(keepingCapacity: true)
            }
            let begin = cpu()
            let plain = try body.withUnsafeBytes { try Snappy.decompress($0, limit: 32 << 20) }
            var decoded = try plain.withUnsafeBytes { try LokiPush.decodeProtobuf($0) }
            let middle = cpu()
            _ = try await pipeline.write(logs: decoded.takeBatch(), tenant: .anonymous)
            let end = cpu()
            zstd += begin - before
            decoding += middle - begin
            writing += end - middle
            if (index + 1) * seals / batches > index * seals / batches {
                let beforeSeal = cpu()
                try await kernel.sealNow()
                sealing += cpu() - beforeSeal
            }
        }
        let beforeMerge = cpu()
        try await kernel.compactNow()
        let merging = cpu() - beforeMerge
        let megabytes = Double(raw) / 1e6
        func show(_ name: String, _ seconds: Double) {
            let perLine = Int(seconds * 1e9 / Double(lines))
            let ratio = (seconds / zstd * 100).rounded() / 100
            print("\(name) \(perLine) ns/line, \(ratio) of zstd -3")
        }
        print("\(lines) lines, \(Int(megabytes)) MB raw")
        show("zstd -3              ", zstd)
        show("decompress and decode", decoding)
        show("admit, log, append   ", writing)
        show("seal                 ", sealing)
        if seals > 1 { show("merge                ", merging) }
        show("together             ", decoding + writing + sealing + merging)
        let parts = kernel.status.parts[.logs]?.bytes ?? 0
        print("parts \(parts) bytes, \(Double(parts) / Double(packed)) of zstd -3")
        let index = kernel.status.parts[.correlation]?.bytes ?? 0
        print("correlation index \(index) bytes, \(Double(index) / Double(packed)) of zstd -3")
        if getenv("BENCH_SCAN").map({ atoi($0) }) ?? 1 != 0 { try scan(logs, megabytes) }
        await kernel.stop(flush: false)
        pipeline.stop()
    }

    /// What a search costs, and what became of the blocks.
    private static func scan(_ logs: LogStore, _ megabytes: Double) throws {
        func timed(
            _ name: String, conditions: [LabelMatcher] = [], limit: Int = 0,
            _ filters: [LineFilter]
        ) throws {
            var request = LogRequest(
                tenant: .anonymous, matchers: [], range: .all,
                order: limit > 0 ? .newestFirst : .any, filters: filters, limit: limit)
            request.conditions = conditions
            try show(name, megabytes) { context in
                var rows = 0
                try logs.read(request, context) { batch in
                    rows += batch.rowCount
                    return limit == 0 || rows < limit
                }
                return rows
            }
        }
        var trace = TraceID.zero
        try logs.read(LogRequest(tenant: .anonymous, matchers: [], range: .all), ReadContext()) {
            if let found = $0.traceIDs.first(where: { !$0.isZero }) { trace = found }
            return trace.isZero
        }
        try timed("everything", [])
        try timed("absent word", [LineFilter(.contains, "kaleidoscope")])
        try timed("absent letters of ids", [LineFilter(.contains, "facade")])
        try timed("absent id", [LineFilter(.contains, "4bf92f3577b34da6a3ce929d0e0e4736")])
        try timed("present id", [LineFilter(.contains, trace.description)])
        try timed(
            "present id in metadata",
            conditions: [LabelMatcher(equal: "trace_id", trace.description)], [])
        try timed("absent with digits", [LineFilter(.contains, "order=99999999")])
        try timed("absent digits", [LineFilter(.contains, "99999999")])
        try timed("common word", [LineFilter(.contains, "error")])
        try timed("newest 100", limit: 100, [])
        try timed("newest 100 with a word", limit: 100, [LineFilter(.contains, "error")])
        try show("count by header", megabytes) { context in
            var rows = 0
            let counting = RowCounting { _, _, _ in
                .none
            } count: {
                rows += $0.count
            }
            try logs.count(
                LogRequest(tenant: .anonymous, matchers: [], range: .all), context, counting
            ) { batch in
                rows += batch.rowCount
                return true
            }
            return rows
        }
    }

    private static func show(
        _ name: String, _ megabytes: Double, _ body: (ReadContext) throws -> Int
    ) throws {
        // The first turn brings frames into the cache, as far as they fit.
        _ = try body(ReadContext())
        let turns = 5
        var rows = 0
        var context = ReadContext()
        let begin = cpu()
        for _ in 0..<turns {
            context = ReadContext()
            rows = try body(context)
        }
        let seconds = (cpu() - begin) / Double(turns)
        let fates = BlockFate.allCases.filter { context.blockCount($0) > 0 }
            .map { "\($0) \(context.blockCount($0))" }.joined(separator: ", ")
        print(
            "\(name): \(rows) rows, \(Int(megabytes / seconds)) MB/s, \(Int(seconds * 1e6)) us, \(fates)"
        )
    }

    private static func cpu() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
