// SPDX-License-Identifier: Apache-2.0
// Log lines of a file, for LogQL without a server.

import Base
import Telemetry

/// A time that a log line begins with or carries, in nanoseconds: RFC 3339 with a `T` or a blank in
/// the first 64 bytes, or after `ts`, `time`, `timestamp` or `@timestamp` of logfmt and JSON in the
/// first 512, there also Unix seconds, milliseconds or nanoseconds.
func timeOfLine(_ line: [UInt8]) -> Int64? {
    let head = String(decoding: line.prefix(64), as: UTF8.self)
    if let first = head.first, first.isNumber || first == "[" {
        let text = head.drop { $0 == "[" }
        if let nanos = rfc3339(text.prefix { $0 != " " && $0 != "]" && $0 != "," }) { return nanos }
        let words = text.split(separator: " ", maxSplits: 2)
        if words.count >= 2 {
            let clock = words[1].prefix { $0 != "]" && $0 != "," }
            if let nanos = rfc3339(words[0] + "T" + clock) { return nanos }
        }
    }
    let text = String(decoding: line.prefix(512), as: UTF8.self)
    for name in ["@timestamp", "timestamp", "time", "ts"] {
        for lead in ["\"\(name)\":\"", "\"\(name)\": \"", "\"\(name)\":", "\(name)=\"", "\(name)="]
        {
            guard let range = text.firstRange(of: lead) else { continue }
            let value = text[range.upperBound...].prefix {
                $0 != "\"" && $0 != " " && $0 != "," && $0 != "}"
            }
            if let nanos = rfc3339(value) ?? unixNanos(value) { return nanos }
        }
    }
    return nil
}

/// RFC 3339; the zone may be missing and is UTC then.
private func rfc3339(_ text: some StringProtocol) -> Int64? {
    guard text.count >= 19, let parsed = parseRFC3339(text) ?? parseRFC3339(text + "Z") else {
        return nil
    }
    let (nanos, overflow) = parsed.seconds.multipliedReportingOverflow(by: 1_000_000_000)
    return overflow ? nil : nanos &+ parsed.nanos
}

private func unixNanos(_ text: some StringProtocol) -> Int64? {
    guard let number = Double(String(text)), number.isFinite, number > 1e8 else { return nil }
    if number >= 1e17 { return Int64(String(text)) ?? Int64(clamping: number) }
    return Int64(
        clamping: number >= 1e14 ? number * 1e3 : number >= 1e11 ? number * 1e6 : number * 1e9)
}

/// Lines in memory, in order of time, as a source for the LogQL engine. All are in one stream.
package struct LocalLines: LogReading {
    private let batches: [LogBatch]
    private let stream: Labels
    /// Time of the first and the last line; nil without lines.
    package let span: (first: Int64, last: Int64)?
    /// Rows of a batch.
    private static let batchRows = 4096

    /// Sorts the lines by their times, those of equal time as they came.
    package init(_ lines: [(nanos: Int64, text: [UInt8])], stream: Labels) {
        self.stream = stream
        let order = lines.indices.sorted { a, b in
            lines[a].nanos == lines[b].nanos ? a < b : lines[a].nanos < lines[b].nanos
        }
        span = order.first.flatMap { first in
            order.last.map { (lines[first].nanos, lines[$0].nanos) }
        }
        batches = stride(from: 0, to: order.count, by: Self.batchRows).map { start in
            LocalLines.batch(
                order[start..<min(start + Self.batchRows, order.count)].map { lines[$0] }, stream)
        }
    }

    /// A batch of lines in the order given.
    static func batch(
        _ lines: some Sequence<(nanos: Int64, text: [UInt8])>, _ stream: Labels
    ) -> LogBatch {
        var batch = LogBatch()
        let index = batch.addStream(stream)
        for line in lines {
            let slice = line.text.withUnsafeBytes { batch.arena.keep($0) }
            batch.addRow(stream: index, nanos: line.nanos, line: slice)
        }
        return batch
    }

    package func read(
        _ request: LogRequest, _ context: ReadContext, _ body: (LogBatch) throws -> Bool
    ) throws {
        guard request.matchers.match(stream) else { return }
        let isBackward = request.order == .newestFirst
        for batch in isBackward ? batches.reversed() : batches {
            try context.check()
            let rows = batch.nanos.indices.filter { request.range.contains(batch.nanos[$0]) }
            guard !rows.isEmpty else { continue }
            try context.count(samples: rows.count, bytes: batch.arena.count)
            let isWhole = rows.count == batch.rowCount && !isBackward
            guard try body(isWhole ? batch : part(of: batch, isBackward ? rows.reversed() : rows))
            else { return }
        }
    }

    private func part(of batch: LogBatch, _ rows: [Int]) -> LogBatch {
        LocalLines.batch(
            rows.map { (batch.nanos[$0], Array(batch.arena[batch.lines[$0].range])) }, stream)
    }

    package func streams(_ request: LogRequest, _ context: ReadContext) -> [Labels] { [stream] }
    package func labelNames(_ request: LogRequest, _ context: ReadContext) -> [String] {
        stream.pairs.map(\.name)
    }
    package func labelValues(
        _ name: String, _ request: LogRequest, _ context: ReadContext
    ) -> [String] { stream[name].map { [$0] } ?? [] }
    package func rows(
        tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
    ) -> LogBatch { LogBatch() }
}
