// SPDX-License-Identifier: Apache-2.0
// Aggregations that make one series per group.

import Base
import Glibc
import Telemetry

/// The labels that make a group.
package struct Grouping: Sendable {
    package var labels: [String]
    package var without: Bool
    package init(labels: [String], without: Bool) {
        self.labels = labels
        self.without = without
    }

    /// What stays of the labels of a series in those of its group.
    var names: LabelNameSet {
        without
            ? LabelNameSet(leavingOut: labels + [Labels.metricName])
            : LabelNameSet(keeping: labels)
    }

    package func key(_ series: Labels) -> Labels { names.apply(series) }
}

/// `sum`, `avg`, `count`, `min`, `max`, `group`, `stddev`, `stdvar` and `quantile`: folds series as
/// they arrive, so that it holds one column per group (for `quantile` one per input).
package final class AggregateOperator: GatheringOperator {
    private let operation: AggregationOperator
    private let grouping: Grouping
    /// The quantile at each step.
    private let parameter: [Double]
    private let position: SourceRange
    private var groupOfInput: [Int] = []
    private var groups: [AggregateGroup] = []
    private var inputs: [OutputSeries] = []

    package init(
        _ input: any VectorOperator, _ operation: AggregationOperator, by grouping: Grouping,
        parameter: [Double] = [], steps: Int, scope: EvaluationScope,
        at position: SourceRange = SourceRange(0, 0)
    ) {
        self.operation = operation
        self.grouping = grouping
        self.parameter = parameter
        self.position = position
        super.init(input, steps: steps, scope: scope)
    }

    override func prepare(_ series: [OutputSeries]) throws {
        inputs = series
        let names = grouping.names
        var known = LabelsTable()
        groupOfInput.reserveCapacity(series.count)
        for (index, item) in series.enumerated() {
            if index & 1023 == 1023 { try scope.context.check() }
            let group = known.number(of: item.labels, names)
            if group == outputs.count {
                let key = known.keys[group]
                try scope.reserveLabels(key.bytes.count + OutputSeries.overheadBytes)
                outputs.append(Output(series: OutputSeries(key), inputsNeeded: 0))
            }
            groupOfInput.append(group)
            outputs[group].inputsNeeded = index + 1
            if item.dropName { outputs[group].series.dropName = true }
        }
        groups = outputs.map { _ in AggregateGroup(operation) }
    }

    override func consume(_ index: Int, _ column: StepColumn) throws {
        let group = groupOfInput[index]
        if !groups[group].isStarted {
            let bytes = StepColumn.byteCount(steps: steps) * 3
            try scope.context.reserve(bytes)
            groups[group].start(steps: steps)
            groups[group].reservedBytes = bytes
        }
        if operation == .quantile {
            let bytes = StepColumn.byteCount(steps: steps)
            try scope.context.reserve(bytes)
            groups[group].reservedBytes += bytes
        }
        groups[group].fold(
            column, FoldNotes(scope.annotations, position, inputs[index].labels))
    }

    override func produce(_ index: Int, into column: inout StepColumn) throws {
        column.clear()
        try groups[index].finish(
            into: &column, quantiles: parameter,
            FoldNotes(scope.annotations, position, .empty), scope.context)
        scope.context.release(groups[index].reservedBytes)
        groups[index] = AggregateGroup(operation)
    }
}

/// What a fold of histograms says about its input.
struct FoldNotes {
    let annotations: Annotations
    let position: SourceRange
    /// Labels of the series at hand.
    private let series: Labels

    init(_ annotations: Annotations, _ position: SourceRange, _ series: Labels) {
        self.annotations = annotations
        self.position = position
        self.series = series
    }

    /// Name of the metric at hand, empty when it has none.
    private var metric: String { series[Labels.metricName] ?? "" }

    func ignoredHistogram(_ operation: AggregationOperator) {
        annotations.inform(
            "ignored histogram in \(operation.rawValue) aggregation", at: position)
    }
    func mixed() {
        annotations.warn("encountered a mix of histograms and floats for aggregation", at: position)
    }
    func incompatible() {
        annotations.warn(MessageText.mixedSchemas(metric), at: position)
    }
    func reconciled() {
        annotations.inform(MessageText.reconciled("aggregation"), at: position)
    }
    func conflictingResets() {
        annotations.warn(MessageText.resetCollision("aggregation"), at: position)
    }
}

/// The running state of one group, in columns over the steps.
struct AggregateGroup {
    let operation: AggregationOperator
    var reservedBytes = 0
    private(set) var isStarted = false
    /// Sum, extreme or sum of squared differences.
    private var values: [Double] = []
    private var compensation: [Double] = []
    /// Samples seen; for means and variances.
    private var counts: [Double] = []
    /// Mean so far, for variances and for averages whose sum would overflow.
    private var means: [Double] = []
    private var incremental: [Bool] = []
    private var histograms: [HistogramFold?] = []
    /// The inputs themselves, for quantiles.
    private var columns: [StepColumn] = []

    init(_ operation: AggregationOperator) { self.operation = operation }

    mutating func start(steps: Int) {
        isStarted = true
        counts = [Double](repeating: 0, count: steps)
        switch operation {
        case .count, .group, .quantile: break
        case .sum:
            values = counts
            compensation = counts
        case .avg, .stddev, .stdvar:
            values = counts
            compensation = counts
            means = counts
            incremental = [Bool](repeating: false, count: steps)
        default: values = counts
        }
    }

    mutating func fold(_ column: StepColumn, _ notes: FoldNotes) {
        switch operation {
        case .quantile:
            if column.kinds.contains(.histogram) { notes.ignoredHistogram(operation) }
            columns.append(column)
        case .count, .group:
            for step in counts.indices where column.kinds[step] != .none { counts[step] += 1 }
        case .sum: foldSum(column, notes)
        case .avg: foldAverage(column, notes)
        default: foldFloats(column, notes)
        }
    }

    private mutating func foldSum(_ column: StepColumn, _ notes: FoldNotes) {
        if column.histograms.isEmpty {
            let steps = counts.count
            column.values.withUnsafeBufferPointer { floats in
                column.kinds.withUnsafeBufferPointer { kinds in
                    values.withUnsafeMutableBufferPointer { sums in
                        compensation.withUnsafeMutableBufferPointer { rests in
                            counts.withUnsafeMutableBufferPointer { counts in
                                if column.isFullOfFloats {
                                    for step in 0..<steps {
                                        compensatedAdd(
                                            floats[step], to: &sums[step], &rests[step])
                                        counts[step] += 1
                                    }
                                    return
                                }
                                for step in 0..<steps where kinds[step] == .float {
                                    compensatedAdd(floats[step], to: &sums[step], &rests[step])
                                    counts[step] += 1
                                }
                            }
                        }
                    }
                }
            }
            return
        }
        for step in counts.indices {
            switch column.kinds[step] {
            case .none: continue
            case .float:
                compensatedAdd(column.values[step], to: &values[step], &compensation[step])
                counts[step] += 1
            case .histogram: foldHistogram(column, step, notes)
            }
        }
    }

    private mutating func foldAverage(_ column: StepColumn, _ notes: FoldNotes) {
        for step in counts.indices {
            switch column.kinds[step] {
            case .none: continue
            case .float:
                let value = column.values[step]
                counts[step] += 1
                let n = counts[step]
                if n == 1 {
                    values[step] = value
                    continue
                }
                if !incremental[step] {
                    var sum = values[step], rest = compensation[step]
                    compensatedAdd(value, to: &sum, &rest)
                    if !sum.isInfinite {
                        values[step] = sum
                        compensation[step] = rest
                        continue
                    }
                    // The sum overflows, the mean need not.
                    incremental[step] = true
                    means[step] = values[step] / (n - 1)
                    compensation[step] /= n - 1
                }
                let q = (n - 1) / n
                means[step] *= q
                compensation[step] *= q
                compensatedAdd(value / n, to: &means[step], &compensation[step])
            case .histogram: foldHistogram(column, step, notes)
            }
        }
    }

    private mutating func foldHistogram(
        _ column: StepColumn, _ step: Int, _ notes: FoldNotes
    ) {
        guard let histogram = column.histogram(step) else { return }
        if histograms.isEmpty {
            histograms = [HistogramFold?](repeating: nil, count: counts.count)
        }
        if histograms[step] != nil {
            histograms[step]?.add(histogram, notes)
        } else {
            histograms[step] = HistogramFold(histogram, isAverage: operation == .avg)
        }
    }

    private mutating func foldFloats(_ column: StepColumn, _ notes: FoldNotes) {
        var sawHistogram = false
        for step in counts.indices {
            switch column.kinds[step] {
            case .none: continue
            case .histogram: sawHistogram = true
            case .float:
                let value = column.values[step]
                counts[step] += 1
                let isFirst = counts[step] == 1
                switch operation {
                case .max:
                    if isFirst || values[step] < value || values[step].isNaN {
                        values[step] = value
                    }
                case .min:
                    if isFirst || values[step] > value || values[step].isNaN {
                        values[step] = value
                    }
                default:
                    if isFirst {
                        means[step] = value
                        values[step] = value.isFinite ? 0 : .nan
                    } else {
                        let delta = value - means[step]
                        means[step] += delta / counts[step]
                        values[step] += delta * (value - means[step])
                    }
                }
            }
        }
        if sawHistogram { notes.ignoredHistogram(operation) }
    }

    mutating func finish(
        into column: inout StepColumn, quantiles: [Double], _ notes: FoldNotes,
        _ context: ReadContext
    ) throws {
        guard isStarted else { return }
        if operation == .quantile {
            try finishQuantile(into: &column, quantiles, context)
            return
        }
        for step in counts.indices {
            let folded = histograms.isEmpty ? nil : histograms[step]
            if let folded {
                if counts[step] > 0 {
                    notes.mixed()
                } else if let result = folded.result(notes) {
                    column.set(step, result)
                }
                continue
            }
            guard counts[step] > 0 else { continue }
            switch operation {
            case .sum: column.set(step, values[step] + compensation[step])
            case .avg:
                column.set(
                    step,
                    incremental[step]
                        ? means[step] + compensation[step]
                        : values[step] / counts[step] + compensation[step] / counts[step])
            case .count: column.set(step, counts[step])
            case .group: column.set(step, 1)
            case .stdvar: column.set(step, values[step] / counts[step])
            case .stddev: column.set(step, (values[step] / counts[step]).squareRoot())
            default: column.set(step, values[step])
            }
        }
    }

    private mutating func finishQuantile(
        into column: inout StepColumn, _ quantiles: [Double], _ context: ReadContext
    ) throws {
        // Some steps at once: what lies side by side in a column is read together.
        let width = 8
        var present = [[Double]](repeating: [], count: width)
        for first in stride(from: 0, to: counts.count, by: width) {
            let steps = first..<Swift.min(first + width, counts.count)
            for (number, input) in columns.enumerated() {
                if number & 4095 == 0 { try context.check() }
                for step in steps where input.kinds[step] == .float {
                    present[step - first].append(input.values[step])
                }
            }
            for step in steps where !present[step - first].isEmpty {
                try context.check()
                column.set(
                    step, interpolatedQuantile(quantiles[step], of: &present[step - first]))
                present[step - first].removeAll(keepingCapacity: true)
            }
        }
    }
}
