// SPDX-License-Identifier: Apache-2.0
// Bytes of lines by label.

import Base
import Telemetry

/// What volume is counted by, and when.
package struct VolumeRequest: Sendable {
    package var request: LogRequest
    /// Labels that groups are told apart by; empty = all.
    package var targetLabels: Set<String>
    /// Whether each label counts on its own, whatever its value.
    package var byLabels: Bool
    /// Times whose step before them is counted; nil = the whole range at once.
    package var steps: EvaluationSteps?

    package init(
        _ request: LogRequest, targetLabels: Set<String>, byLabels: Bool,
        steps: EvaluationSteps? = nil
    ) {
        self.request = request
        self.targetLabels = targetLabels
        self.byLabels = byLabels
        self.steps = steps
    }
}

/// Bytes of one group.
package struct LogVolume: Sendable, Equatable {
    /// Names and values; the value is empty when labels count on their own.
    package var labels: [(name: String, value: String)]
    /// One per step, or one.
    package var bytes: [Int]
    package var total: Int { bytes.reduce(0, +) }

    package static func == (a: LogVolume, b: LogVolume) -> Bool {
        a.labels.elementsEqual(b.labels, by: ==) && a.bytes == b.bytes
    }
}

extension LogQLEngine {
    /// Volume of each group, largest first.
    ///
    /// Exact: counted from the lines themselves, or from what the reader knows of many of a stream
    /// without reading them. Groups count as memory of the query.
    ///
    /// - Throws: `QueryInterruption`, what the reader throws.
    package func volumes(
        _ wanted: VolumeRequest, _ context: ReadContext
    ) throws -> [LogVolume] {
        var numbers: [[String]: Int] = [:]
        var found: [LogVolume] = []
        let count = wanted.steps?.count ?? 1
        func groups(of stream: Labels) throws -> [Int] {
            try LogQLEngine.groups(of: stream, wanted).map { labels in
                let key = labels.flatMap { [$0.name, $0.value] }
                if let known = numbers[key] { return known }
                // A group holds a number for each step.
                try context.reserve(8 * count + 128 + 2 * key.reduce(0) { $0 + $1.utf8.count })
                numbers[key] = found.count
                found.append(
                    LogVolume(labels: labels, bytes: [Int](repeating: 0, count: count)))
                return found.count - 1
            }
        }
        let counting = RowCounting { _, first, last in
            guard let step = LogQLEngine.step(of: first, wanted.steps) else { return .never }
            return step == LogQLEngine.step(of: last, wanted.steps) ? .none : .never
        } count: { rows in
            guard let step = LogQLEngine.step(of: rows.nanos, wanted.steps) else { return }
            for group in try groups(of: rows.stream) {
                found[group].bytes[step] += rows.byteCount
            }
        }
        var request = wanted.request
        request.columns = .lines
        try reader.count(request, context, counting) { batch in
            try context.check()
            let groups = try batch.streams.map { try groups(of: batch.arena.labels($0)) }
            for row in 0..<batch.rowCount where wanted.request.range.contains(batch.nanos[row]) {
                guard let step = LogQLEngine.step(of: batch.nanos[row], wanted.steps) else {
                    continue
                }
                for group in groups[Int(batch.rowStreams[row])] {
                    found[group].bytes[step] += Int(batch.lines[row].count)
                }
            }
            return true
        }
        return found.filter { $0.total > 0 }.sorted { a, b in
            if a.total != b.total { return a.total > b.total }
            return a.labels.flatMap { [$0.name, $0.value] }
                .lexicographicallyPrecedes(b.labels.flatMap { [$0.name, $0.value] })
        }
    }

    /// The first step at or after a time.
    private static func step(of nanos: Int64, _ steps: EvaluationSteps?) -> Int? {
        guard let steps else { return 0 }
        let (past, overflow) = nanos.subtractingReportingOverflow(steps.startNanos)
        if overflow { return nil }
        if past <= 0 { return steps.stepNanos > 0 && past > -steps.stepNanos ? 0 : nil }
        let step = (past - 1) / max(steps.stepNanos, 1) + 1
        return step < steps.count ? Int(step) : nil
    }

    /// The groups a stream counts for: itself cut to the target labels, or each label.
    private static func groups(
        of stream: Labels, _ wanted: VolumeRequest
    ) -> [[(name: String, value: String)]] {
        let pairs = stream.pairs.filter {
            wanted.targetLabels.isEmpty || wanted.targetLabels.contains($0.name)
        }.map { (name: $0.name, value: $0.value) }
        if wanted.byLabels { return pairs.map { [(name: $0.name, value: "")] } }
        // A stream without one of the target labels belongs to no group.
        return pairs.count < wanted.targetLabels.count ? [] : [pairs]
    }
}

/// How much there is of what a request selects.
package struct LogTotals: Sendable, Equatable {
    package var streams = 0
    /// Blocks counted as a whole, and batches of other rows.
    package var blocks = 0
    package var lines = 0
    /// Of lines.
    package var bytes = 0
}

extension LogQLEngine {
    /// Counts streams, lines and their bytes; see `volumes`.
    ///
    /// - Throws: `QueryInterruption`, what the reader throws.
    package func totals(_ request: LogRequest, _ context: ReadContext) throws -> LogTotals {
        var totals = LogTotals()
        totals.streams = try reader.streams(request, context).count
        var request = request
        request.columns = .lines
        let counting = RowCounting { _, _, _ in
            .none
        } count: { rows in
            totals.blocks += 1
            totals.lines += rows.count
            totals.bytes += rows.byteCount
        }
        try reader.count(request, context, counting) { batch in
            totals.blocks += 1
            totals.lines += batch.rowCount
            totals.bytes += batch.lines.reduce(0) { $0 + Int($1.count) }
            return true
        }
        return totals
    }
}
