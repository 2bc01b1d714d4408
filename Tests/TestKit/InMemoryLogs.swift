// SPDX-License-Identifier: Apache-2.0
// A log store for tests: everything in memory, nothing clever.

import Base
import Telemetry

/// Keeps lines in the order in which they were added and answers requests by looking at all of
/// them. It ignores hints, so that engines are seen to check everything themselves.
package struct InMemoryLogs: LogReading {
    package struct Line: Sendable {
        package var stream: Labels
        package var nanos: Int64
        package var text: [UInt8]
        package var metadata: Labels
    }
    private var lines: [Line] = []
    /// Rows per batch.
    package var batchRows = 7

    package init() {}

    package mutating func add(
        _ stream: Labels, nanos: Int64, _ text: String, metadata: Labels = .empty
    ) {
        lines.append(Line(stream: stream, nanos: nanos, text: Array(text.utf8), metadata: metadata))
    }

    private func selected(_ request: LogRequest) -> [Line] {
        let found = lines.filter {
            request.range.contains($0.nanos) && request.matchers.match($0.stream)
        }
        let order = found.indices.sorted { a, b in
            let x = found[a].nanos, y = found[b].nanos
            if x == y { return request.order == .newestFirst ? a > b : a < b }
            return request.order == .newestFirst ? x > y : x < y
        }
        return order.map { found[$0] }
    }

    package func read(
        _ request: LogRequest, _ context: ReadContext, _ body: (LogBatch) throws -> Bool
    ) throws {
        let rows = selected(request)
        var start = 0
        while start < rows.count {
            try context.check()
            let end = min(start + batchRows, rows.count)
            let batch = InMemoryLogs.batch(rows[start..<end])
            try context.count(samples: batch.rowCount, bytes: batch.arena.count)
            if try !body(batch) { return }
            start = end
        }
    }

    private static func batch(_ rows: ArraySlice<Line>) -> LogBatch {
        var batch = LogBatch()
        var streams: [Labels: UInt32] = [:]
        for row in rows {
            let stream = streams[row.stream] ?? batch.addStream(row.stream)
            streams[row.stream] = stream
            let line = row.text.withUnsafeBytes { batch.arena.keep($0) }
            let metadata =
                row.metadata.isEmpty
                ? ByteSlice.empty : row.metadata.bytes.withUnsafeBytes { batch.arena.keep($0) }
            batch.addRow(stream: stream, nanos: row.nanos, line: line, metadata: metadata)
        }
        return batch
    }

    package func streams(_ request: LogRequest, _ context: ReadContext) throws -> [Labels] {
        Set(selected(request).map(\.stream)).sorted()
    }

    package func labelNames(_ request: LogRequest, _ context: ReadContext) throws -> [String] {
        Set(selected(request).flatMap { $0.stream.pairs.map(\.name) }).sorted()
    }

    package func labelValues(
        _ name: String, _ request: LogRequest, _ context: ReadContext
    ) throws -> [String] {
        Set(selected(request).compactMap { $0.stream[name] }).sorted()
    }

    package func rows(
        tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
    ) throws -> LogBatch {
        InMemoryLogs.batch(
            lines.filter { $0.stream.hash == streamHash && range.contains($0.nanos) }[...])
    }
}
