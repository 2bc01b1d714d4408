// SPDX-License-Identifier: Apache-2.0
// Aggregations that pick some of their input series.

import Base
import Telemetry

/// `topk`, `bottomk`, `limitk` and `limit_ratio`. All input is read before the labels of the output
/// are known; only picked samples are held.
package final class SelectiveOperator: VectorOperator {
    private let input: any VectorOperator
    private let operation: AggregationOperator
    private let grouping: Grouping
    /// k or the ratio at each step.
    private let parameter: [Double]
    private let steps: Int
    private let scope: EvaluationScope
    private let position: SourceRange
    private let parameterPosition: SourceRange
    private var picked: [StepColumn] = []
    private var next = 0
    /// Of the picked columns.
    private var reservedBytes = 0

    /// A candidate at one step; there may be one per series and step, and heaps move them.
    private struct Candidate {
        var value: Double
        var series: Int32
        /// Number in `histograms`, −1 of a float.
        var histogram: Int32 = -1
    }
    /// Of candidates, where histograms can be picked.
    private var histograms: [NativeHistogram] = []

    package init(
        _ input: any VectorOperator, _ operation: AggregationOperator, by grouping: Grouping,
        parameter: [Double], steps: Int, scope: EvaluationScope,
        at position: SourceRange = SourceRange(0, 0),
        parameterAt parameterPosition: SourceRange = SourceRange(0, 0)
    ) {
        self.parameterPosition = parameterPosition
        self.input = input
        self.operation = operation
        self.grouping = grouping
        self.parameter = parameter
        self.steps = steps
        self.scope = scope
        self.position = position
    }

    deinit { scope.context.release(reservedBytes) }

    package func series() throws -> [OutputSeries] {
        let series = try input.series()
        guard try checkParameter() else {
            if scope.counts != nil { try drain(series.count) }
            return []
        }
        var known: [Labels: Int] = [:]
        // One list of candidates per group and step, and what a value must surpass to get into it:
        // NaN as long as there is room.
        var lists: [[[Candidate]]] = []
        var bounds: [[Double]] = []
        let isTop = operation == .topk
        let isBounded = isTop || operation == .bottomk
        var scratch = StepColumn(steps: steps)
        for (index, item) in series.enumerated() {
            try scope.context.check()
            try input.next(into: &scratch)
            let key = grouping.key(item.labels)
            let group = known[key] ?? lists.count
            if group == lists.count {
                known[key] = group
                try scope.context.reserve(
                    steps * (MemoryLayout<[Candidate]>.stride + MemoryLayout<Double>.stride))
                lists.append([[Candidate]](repeating: [], count: steps))
                bounds.append([Double](repeating: .nan, count: steps))
            }
            let offset = Double(item.labels.hash) / Double(UInt64.max)
            for step in 0..<steps where scratch.kinds[step] != .none {
                if step & 127 == 127 { try scope.context.check() }
                if isBounded, scratch.kinds[step] == .float {
                    let value = scratch.values[step], bound = bounds[group][step]
                    if isTop ? value <= bound : value >= bound { continue }
                }
                let candidate = Candidate(
                    value: scratch.values[step], series: Int32(truncatingIfNeeded: index))
                try offer(
                    candidate, scratch.histogram(step), step: step, offset: offset,
                    to: &lists[group][step])
                if isBounded, let worst = lists[group][step].first,
                    Double(lists[group][step].count) + 1 > parameter[step]
                {
                    bounds[group][step] = worst.value
                }
            }
        }
        if isBounded {
            for group in lists.indices {
                for step in 0..<steps where lists[group][step].count > 1 {
                    try scope.context.sort(&lists[group][step], by: comesBefore)
                }
            }
        }
        return try assemble(series, lists)
    }

    /// Reads what nothing is picked from, for those who count.
    private func drain(_ count: Int) throws {
        var scratch = StepColumn(steps: steps)
        for _ in 0..<count {
            try scope.context.check()
            try input.next(into: &scratch)
        }
    }

    /// Whether anything can be picked at all.
    private func checkParameter() throws -> Bool {
        guard !parameter.isEmpty else { return false }
        // Comparisons with NaN are false, so these are the extremes of the numbers.
        let highest = parameter.reduce(-Double.infinity) { $1 > $0 ? $1 : $0 }
        let lowest = parameter.reduce(Double.infinity) { $1 < $0 ? $1 : $0 }
        let hasNaN = parameter.contains(where: \.isNaN)
        if operation == .limitRatio {
            if highest == 0, lowest == 0, !hasNaN { return false }
            if hasNaN { throw QueryError("Ratio value is NaN") }
            if highest > 1 {
                scope.annotations.warn(
                    MessageText.invalidRatio(highest, cappedTo: 1), at: parameterPosition)
            }
            if lowest < -1 {
                scope.annotations.warn(
                    MessageText.invalidRatio(lowest, cappedTo: -1), at: parameterPosition)
            }
            return true
        }
        if highest < 1, !hasNaN { return false }
        if hasNaN { throw QueryError("Parameter value is NaN") }
        if lowest <= -9_223_372_036_854_775_808 {
            throw QueryError("Scalar value \(floatGeneralText(lowest)) underflows int64")
        }
        if highest >= 9_223_372_036_854_775_808 {
            throw QueryError("Scalar value \(floatGeneralText(highest)) overflows int64")
        }
        return true
    }

    private func offer(
        _ candidate: Candidate, _ histogram: NativeHistogram?, step: Int, offset: Double,
        to list: inout [Candidate]
    ) throws {
        let limit = parameter[step]
        func append() throws {
            var candidate = candidate
            if let histogram {
                candidate.histogram = Int32(truncatingIfNeeded: histograms.count)
                histograms.append(histogram)
                try scope.context.reserve(MemoryLayout<NativeHistogram>.stride)
            }
            list.append(candidate)
        }
        switch operation {
        case .limitRatio:
            let ratio = Swift.min(1, Swift.max(-1, limit))
            if ratio > 0 && offset < ratio || ratio < 0 && offset >= 1 + ratio {
                try append()
            }
        case .limitk:
            if Double(list.count) + 1 <= limit { try append() }
        default:
            guard limit >= 1 else { return }
            if histogram != nil {
                scope.annotations.inform(
                    "ignored histogram in \(operation.rawValue) aggregation", at: position)
                return
            }
            insert(candidate, limit: limit, into: &list)
        }
        if list.count & 1023 == 1023 {
            try scope.context.reserve(1024 * MemoryLayout<Candidate>.stride)
        }
    }

    /// Whether `a` comes before `b` in the result. NaN comes last either way.
    private func precedes(_ a: Double, _ b: Double) -> Bool {
        if a.isNaN { return false }
        if b.isNaN { return true }
        return operation == .topk ? a > b : a < b
    }

    /// Whether `a` is better than `b`: of equal values that of the earlier series.
    private func comesBefore(_ a: Candidate, _ b: Candidate) -> Bool {
        precedes(a.value, b.value) || !precedes(b.value, a.value) && a.series < b.series
    }

    /// Keeps the best. A full list is a heap with the worst at its head, so that a large number to
    /// keep costs its logarithm per candidate.
    private func insert(_ candidate: Candidate, limit: Double, into list: inout [Candidate]) {
        guard Double(list.count) + 1 > limit else {
            list.append(candidate)
            if Double(list.count) + 1 > limit {
                for index in stride(from: list.count / 2 - 1, through: 0, by: -1) {
                    sink(index, in: &list)
                }
            }
            return
        }
        guard let worst = list.first, comesBefore(candidate, worst) else { return }
        list[0] = candidate
        sink(0, in: &list)
    }

    /// Moves an element of a heap down to where it belongs.
    private func sink(_ start: Int, in list: inout [Candidate]) {
        var index = start
        while true {
            var worst = index
            let child = 2 * index + 1
            if child < list.count, comesBefore(list[worst], list[child]) { worst = child }
            if child + 1 < list.count, comesBefore(list[worst], list[child + 1]) {
                worst = child + 1
            }
            if worst == index { return }
            list.swapAt(index, worst)
            index = worst
        }
    }

    /// Columns of the picked series: in the order of the result for a single step, of the input
    /// otherwise.
    private func assemble(
        _ series: [OutputSeries], _ lists: [[[Candidate]]]
    ) throws -> [OutputSeries] {
        // −1 = not picked.
        var outputOfSeries = [Int](repeating: -1, count: series.count)
        var order: [Int] = []
        let bytes = StepColumn.byteCount(steps: steps)
        for group in lists {
            for list in group {
                try scope.context.check()
                for candidate in list where outputOfSeries[Int(candidate.series)] < 0 {
                    outputOfSeries[Int(candidate.series)] = order.count
                    order.append(Int(candidate.series))
                    reservedBytes += bytes
                    try scope.context.reserve(bytes)
                    picked.append(StepColumn(steps: steps))
                }
            }
        }
        for group in lists {
            for (step, list) in group.enumerated() {
                try scope.context.check()
                for candidate in list {
                    let output = outputOfSeries[Int(candidate.series)]
                    if candidate.histogram >= 0 {
                        picked[output].set(step, histograms[Int(candidate.histogram)])
                    } else {
                        picked[output].set(step, candidate.value)
                    }
                }
            }
        }
        return order.map { series[$0] }
    }

    package func next(into column: inout StepColumn) {
        column = picked[next]
        picked[next] = StepColumn(steps: 0)
        next += 1
        let bytes = StepColumn.byteCount(steps: steps)
        reservedBytes -= bytes
        scope.context.release(bytes)
    }
}
