// SPDX-License-Identifier: Apache-2.0
// `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`.

import Base
import Telemetry

/// Statistics of histograms, classic (one series per bucket) and native (one sample each).
///
/// Output `k` of group `g` is statistic `k`: several for `histogram_quantiles`, else one.
package final class HistogramStatisticOperator: GatheringOperator {
    package enum Statistic {
        case quantile([Double])
        /// The quantile with its label value.
        case labelledQuantile([Double], name: String, text: String)
        case fraction([Double], [Double])
    }
    private let statistics: [Statistic]
    private let position: SourceRange
    private let grid: StepGrid

    /// A set of series that differ in `le` only.
    private struct Group {
        var buckets: [(upperBound: Double, input: Int)] = []
        var native: Int?
        var lastInput = 0
        var metric = ""
    }
    private var groups: [Group] = []
    private var bounds: [Double?] = []
    private var boundTexts: [String] = []
    private var metrics: [String] = []
    private var columns: [Int: StepColumn] = [:]
    /// Groups that still need the column of an input.
    private var pendingGroups: [Int] = []

    package init(
        _ input: any VectorOperator, _ statistics: [Statistic], _ grid: StepGrid,
        scope: EvaluationScope, at position: SourceRange
    ) {
        self.statistics = statistics
        self.position = position
        self.grid = grid
        super.init(input, steps: grid.count, scope: scope)
    }

    override func prepare(_ series: [OutputSeries]) throws {
        var known: [Labels: Int] = [:]
        var keys: [Labels] = []
        func group(_ key: Labels) -> Int {
            if let existing = known[key] { return existing }
            known[key] = groups.count
            groups.append(Group())
            groups[groups.count - 1].metric =
                scope.delayedNameRemoval ? key[Labels.metricName] ?? "" : ""
            keys.append(key)
            return groups.count - 1
        }
        for (index, item) in series.enumerated() {
            if index & 255 == 255 { try scope.context.check() }
            let text = item.labels["le"] ?? ""
            let bound = text.isEmpty ? nil : parseFloat(text)
            bounds.append(bound)
            boundTexts.append(text)
            metrics.append(scope.delayedNameRemoval ? item.labels[Labels.metricName] ?? "" : "")
            // A native histogram keeps all labels, so a series may belong to two groups.
            let own = group(item.labels)
            groups[own].native = index
            groups[own].lastInput = max(groups[own].lastInput, index)
            guard let bound else { continue }
            let classic = group(item.labels.without(["le"]))
            groups[classic].buckets.append((bound, index))
            groups[classic].lastInput = max(groups[classic].lastInput, index)
        }
        pendingGroups = bounds.map { $0 == nil ? 1 : 2 }
        for (index, key) in keys.enumerated() {
            if index & 255 == 255 { try scope.context.check() }
            for statistic in statistics {
                var labels = scope.delayedNameRemoval ? key : key.withoutName
                if case .labelledQuantile(_, let name, let text) = statistic {
                    labels = labels.setting(name, text)
                }
                outputs.append(
                    Output(
                        series: OutputSeries(labels, dropName: true),
                        inputsNeeded: groups[index].lastInput + 1))
            }
        }
    }

    override func consume(_ index: Int, _ column: StepColumn) throws {
        if bounds[index] == nil, column.kinds.contains(.float) {
            let text = MessageText.named(
                "bucket label \"le\" is missing or has a malformed value of "
                    + quotedText(boundTexts[index]), metrics[index])
            scope.annotations.warn(text, at: position)
        }
        if column.isEmpty { return }
        try scope.context.reserve(StepColumn.byteCount(steps: steps))
        columns[index] = column
    }

    override func produce(_ index: Int, into column: inout StepColumn) throws {
        column.clear()
        let group = groups[index / statistics.count]
        let statistic = statistics[index % statistics.count]
        let native = group.native.flatMap { columns[$0] }
        var found: [ClassicBucket] = []
        for step in 0..<steps {
            if step & 255 == 255 { try scope.context.check() }
            found.removeAll(keepingCapacity: true)
            for bucket in group.buckets {
                if let input = columns[bucket.input], input.kinds[step] == .float {
                    found.append(
                        ClassicBucket(upperBound: bucket.upperBound, count: input.values[step]))
                }
            }
            if let histogram = native?.histogram(step) {
                if found.isEmpty {
                    column.set(step, value(statistic, of: histogram, step, group.metric))
                } else {
                    scope.annotations.warn(
                        MessageText.named(
                            "vector contains a mix of classic and native histograms",
                            group.metric),
                        at: position)
                }
                continue
            }
            if !found.isEmpty {
                column.set(step, value(statistic, of: found, step, group.metric))
            }
        }
        if (index + 1) % statistics.count == 0 { letGo(group) }
    }

    /// Frees the columns that no later output needs.
    private func letGo(_ group: Group) {
        for input in group.buckets.map(\.input) + [group.native].compactMap({ $0 }) {
            pendingGroups[input] -= 1
            if pendingGroups[input] == 0, columns.removeValue(forKey: input) != nil {
                scope.context.release(StepColumn.byteCount(steps: steps))
            }
        }
    }

    private func value(
        _ statistic: Statistic, of histogram: NativeHistogram, _ step: Int, _ metric: String
    ) -> Double {
        func note(_ kind: NativeHistogram.NaNNote) {
            let text =
                switch kind {
                case .result:
                    "input to histogram_quantile has NaN observations, result is NaN"
                case .skewed:
                    "input to histogram_quantile has NaN observations, result is skewed higher"
                case .excluded:
                    "input to histogram_fraction has NaN observations, which are excluded from "
                        + "all fractions"
                }
            scope.annotations.inform(MessageText.named(text, metric), at: position)
        }
        switch statistic {
        case .quantile(let q), .labelledQuantile(let q, _, _):
            return histogram.quantile(q[step], note: note)
        case .fraction(let lower, let upper):
            return histogram.fraction(from: lower[step], to: upper[step], note: note)
        }
    }

    private func value(
        _ statistic: Statistic, of buckets: [ClassicBucket], _ step: Int, _ metric: String
    ) -> Double {
        var histogram = ClassicHistogram(buckets)
        switch statistic {
        case .quantile(let q), .labelledQuantile(let q, _, _):
            let (value, repair) = histogram.quantile(q[step])
            if repair.isForced { noteForced(repair, step, metric) }
            return value
        case .fraction(let lower, let upper):
            return histogram.fraction(from: lower[step], to: upper[step])
        }
    }

    private func noteForced(_ repair: MonotonicityRepair, _ step: Int, _ metric: String) {
        let text =
            "input to histogram_quantile needed to be fixed for monotonicity (see "
            + "https://prometheus.io/docs/prometheus/latest/querying/functions/"
            + "#histogram_quantile)"
        let millis = grid.millis(step)
        scope.annotations.addForcedMonotonicity(
            MessageText.named(text, metric),
            Annotations.MonotonicityDetail(
                firstMillis: millis, lastMillis: millis, minBucket: repair.minBucket,
                maxBucket: repair.maxBucket, maxDifference: repair.maxDifference),
            at: position)
    }
}

extension Evaluator {
    func histogramStatistic(_ node: Call, _ grid: StepGrid) throws -> any VectorOperator {
        let statistics: [HistogramStatisticOperator.Statistic]
        let input: Expression
        switch node.name {
        case "histogram_quantile":
            input = node.arguments[1]
            let q = try scalar(node.arguments[0], grid)
            checkQuantiles(q, at: node.arguments[0].range)
            statistics = [.quantile(q)]
        case "histogram_fraction":
            input = node.arguments[2]
            statistics = [
                .fraction(
                    try scalar(node.arguments[0], grid), try scalar(node.arguments[1], grid))
            ]
        default:
            input = node.arguments[0]
            let label = string(node.arguments[1])
            statistics = try node.arguments.dropFirst(2).map { argument in
                let q = try scalar(argument, grid)
                checkQuantiles(q, at: argument.range)
                return .labelledQuantile(
                    q, name: label, text: openMetricsText(q.first ?? .nan))
            }
        }
        let result = HistogramStatisticOperator(
            try vector(input, grid), statistics, grid, scope: scope, at: input.range)
        // A group that has no histogram at all yields nothing; two that do may be the same.
        return MergeOperator(result, steps: grid.count, scope: scope)
    }

    private func checkQuantiles(_ quantiles: [Double], at position: SourceRange) {
        for q in quantiles where !(q >= 0 && q <= 1) {
            scope.annotations.warn(MessageText.invalidQuantile(q), at: position)
        }
    }

    /// A float as OpenMetrics prints label values: whole numbers with `.0`.
    private func openMetricsText(_ value: Double) -> String {
        if !value.isFinite { return floatGeneralText(value) }
        let text = floatGeneralText(value)
        return text.utf8.contains(UInt8(ascii: ".")) || text.utf8.contains(UInt8(ascii: "e"))
            ? text : text + ".0"
    }
}
