// SPDX-License-Identifier: Apache-2.0
// Every sample of a window, with its value.

import Base
import Telemetry
import TestKit

extension CrashCheck {
    /// Steps per query: some 85,000 samples.
    private static let querySteps = 200

    func checkMetrics(_ batches: Range<Int>, _ findings: inout CrashFindings) async throws {
        guard !batches.isEmpty else { return }
        let shape = run.metrics
        let ledger = run.ledger(.metrics)
        var places: [Labels: Int] = [:]
        for (i, labels) in shape.series.enumerated() { places[labels] = i }
        let first = batches.lowerBound / shape.batchesPerStep
        let last = (batches.upperBound - 1) / shape.batchesPerStep
        var found: [Int: Int] = [:]
        var surplus: [Int: Int] = [:]
        for from in stride(from: first, through: last, by: Self.querySteps) {
            let to = min(last, from + Self.querySteps - 1)
            let answer = try await series(from: from, to: to)
            for one in answer {
                let labels = one.labels
                guard let series = places[labels] else {
                    findings.signals[0].phantom += one.points.count
                    findings.note("unknown series \(labels)")
                    continue
                }
                var before: Int64?
                for point in one.points {
                    let offset = point.millis - shape.millis(step: 0)
                    let step = Int(offset / shape.stepMillis)
                    let batch =
                        step * shape.batchesPerStep + series / shape.batchSamples
                    if offset % shape.stepMillis != 0 || before == point.millis
                        || point.value != shape.value(series: series, step: step)
                    {
                        surplus[batch, default: 0] += 1
                        findings.note("sample \(point) of \(labels) was never sent")
                    } else {
                        found[batch, default: 0] += 1
                    }
                    before = point.millis
                }
            }
        }
        for batch in batches {
            findings.add(
                ledger.judge(
                    batch, expected: shape.place(batch: batch).series.count,
                    found: found[batch] ?? 0, surplus: surplus[batch] ?? 0),
                .metrics, batch: batch)
        }
    }

    /// Raw samples of the run at some steps, by a range selector.
    private func series(from: Int, to: Int) async throws -> [RawSeries] {
        let shape = run.metrics
        return try await RawSeries.read(
            "{cluster=\"\(shape.timeline.cluster)\"}",
            millis: shape.millis(step: from)...shape.millis(step: to), client)
    }
}
