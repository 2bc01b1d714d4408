// SPDX-License-Identifier: Apache-2.0
// Lines that `lab bench logs` pushes.

import Base
import Telemetry
import TestKit

/// Batches by number.
struct LineSource: Sendable {
    /// Nil behind the last.
    let batch: @Sendable (Int) -> LogBatch?
    /// A batch in the middle.
    let middle: Int

    /// The shop's lines, two days ago, 2 ms apart.
    ///
    /// - Parameter byteCount: raw bytes, about.
    static func shop(_ byteCount: Int, seed: UInt64, batchLines: Int) -> LineSource {
        let day: Int64 = 86_400_000_000_000
        let start = (SystemClock().wallNanos / day - 2) * day
        let shape = LogShape(
            timeline: Timeline(seed: seed, startNanos: start), lineEveryNanos: 2_000_000,
            batchLines: batchLines)
        let sample = shape.batch(0)
        let perBatch = sample.lines.reduce(0) { $0 + Int($1.count) + 1 }
        let count = max(1, byteCount / max(1, perBatch))
        return LineSource(batch: { $0 < count ? shape.batch($0) : nil }, middle: count / 2)
    }

    /// Public log files, each a stream with four lines a second; nil when there are none.
    static func corpora(batchLines: Int) -> LineSource? {
        let day: Int64 = 86_400_000_000_000
        let start = (SystemClock().wallNanos / day - 2) * day
        var batches: [LogBatch] = []
        for name in Corpora.names(under: "logs")
        where name.hasSuffix(".log") || name.hasSuffix(".txt") {
            guard let text = Corpora.file("logs/" + name) else { continue }
            var batch = LogBatch()
            var number: Int64 = 0
            for line in text.split(separator: UInt8(ascii: "\n")) {
                if batch.streams.isEmpty {
                    _ = batch.addStream(Labels([("file", name), ("namespace", "corpora")]))
                }
                let slice = line.withUnsafeBytes { batch.arena.keep($0) }
                batch.addRow(stream: 0, nanos: start + number * 250_000_000, line: slice)
                number += 1
                if batch.rowCount == batchLines {
                    batches.append(batch)
                    batch = LogBatch()
                }
            }
            if batch.rowCount > 0 { batches.append(batch) }
        }
        if batches.isEmpty { return nil }
        let all = batches
        return LineSource(batch: { $0 < all.count ? all[$0] : nil }, middle: all.count / 2)
    }
}
