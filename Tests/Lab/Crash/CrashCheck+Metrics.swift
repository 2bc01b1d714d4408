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
            for (labels, points) in answer {
                guard let series = places[labels] else {
                    findings.signals[0].phantom += points.count
                    findings.note("unknown series \(labels)")
                    continue
                }
                var before: Int64?
                for point in points {
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

    private struct Point {
        var millis: Int64
        var value: Double
    }

    /// Raw samples of the run at some steps, by a range selector.
    private func series(from: Int, to: Int) async throws -> [(Labels, [Point])] {
        let shape = run.metrics
        let end = shape.millis(step: to)
        let range = end - shape.millis(step: from) + shape.stepMillis
        let json = try await client.get(
            "/api/v1/query",
            [
                ("query", "{cluster=\"\(shape.timeline.cluster)\"}[\(range)ms]"),
                ("time", "\(end / 1000).\(end % 1000 / 100)\(end % 100 / 10)\(end % 10)"),
            ])
        guard json.isSuccess else {
            throw LabError("the samples were answered \(json.status): \(json.text)")
        }
        return try json.body.withUnsafeBytes { bytes in
            var result: [(Labels, [Point])] = []
            var reader = JSONReader(bytes)
            try reader.members { name, reader in
                guard name.equals("data") else { return false }
                try reader.members { name, reader in
                    guard name.equals("result") else { return false }
                    try reader.elements { reader in result.append(try Self.series(&reader)) }
                    return true
                }
                return true
            }
            return result
        }
    }

    private static func series(_ reader: inout JSONReader) throws -> (Labels, [Point]) {
        var labels = LabelsBuilder()
        var points: [Point] = []
        try reader.members { name, reader in
            if name.equals("metric") {
                try reader.members { name, reader in
                    labels.set(name.string, try reader.string().string)
                    return true
                }
            } else if name.equals("values") {
                try reader.elements { reader in
                    try reader.beginArray()
                    _ = try reader.nextElement()
                    let seconds = try reader.double()
                    _ = try reader.nextElement()
                    let value = try reader.doubleOrString()
                    _ = try reader.nextElement()
                    points.append(
                        Point(millis: Int64((seconds * 1000).rounded()), value: value))
                }
            } else {
                return false
            }
            return true
        }
        return (labels.labels(), points)
    }
}

extension JSONReader {
    /// Calls `body` for each member of an object; members that it does not take are skipped.
    mutating func members(
        _ body: (JSONText, inout JSONReader) throws -> Bool
    ) throws {
        try beginObject()
        while let name = try nextKey() {
            if try !body(name, &self) { _ = try skipValue() }
        }
    }

    /// Calls `body` for each element of an array, which it must read.
    mutating func elements(_ body: (inout JSONReader) throws -> Void) throws {
        try beginArray()
        while try nextElement() { try body(&self) }
    }
}
