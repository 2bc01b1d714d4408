// SPDX-License-Identifier: Apache-2.0
// Second stages and arithmetic of metrics queries.

import Telemetry

/// What an expression over metrics yields.
enum MetricsValue {
    case number(Static)
    case series([SeriesColumn])
}

// MARK: - Stages

extension MetricsStage {
    func apply(_ series: [SeriesColumn], _ grid: MetricsGrid) -> [SeriesColumn] {
        switch self {
        case .topk(let count): ranked(series, grid, count) { $0 > $1 }
        case .bottomk(let count): ranked(series, grid, count) { $0 < $1 }
        case .threshold(let operation, let bound):
            series.compactMap { filtered($0, grid, operation, bound) }
        }
    }

    /// Keeps of every interval the `count` first samples. Of equal ones `topk` takes those whose
    /// labels come first and `bottomk` the others.
    private func ranked(
        _ series: [SeriesColumn], _ grid: MetricsGrid, _ count: Int64,
        _ isBefore: (Double, Double) -> Bool
    ) -> [SeriesColumn] {
        let limit = Int(clamping: count)
        guard series.count > limit else { return series }
        var isTop = true
        if case .bottomk = self { isTop = false }
        let ordered = SeriesColumn.sorted(series)
        var kept = ordered
        for index in kept.indices {
            kept[index].values = [Double](repeating: .nan, count: grid.count)
        }
        for interval in 0..<grid.count {
            let present = ordered.indices.filter { !ordered[$0].values[interval].isNaN }
            let best = present.sorted { a, b in
                let x = ordered[a].values[interval], y = ordered[b].values[interval]
                return x == y ? (isTop ? a < b : a > b) : isBefore(x, y)
            }
            for index in best.prefix(limit) {
                kept[index].values[interval] = ordered[index].values[interval]
            }
        }
        return kept.filter { !$0.values.allSatisfy(\.isNaN) }
    }

    /// A series without the samples that fail; nil when none is left.
    private func filtered(
        _ series: SeriesColumn, _ grid: MetricsGrid, _ operation: FieldOperator, _ bound: Double
    ) -> SeriesColumn? {
        func holds(_ value: Double) -> Bool {
            switch operation {
            case .equal: value == bound
            case .notEqual: value != bound
            case .less: value < bound
            case .lessOrEqual: value <= bound
            case .greater: value > bound
            case .greaterOrEqual: value >= bound
            default: false
            }
        }
        var result = series
        for index in result.values.indices where !holds(result.values[index]) {
            result.values[index] = .nan
        }
        if result.values.allSatisfy(\.isNaN) { return nil }
        result.exemplars.removeAll { exemplar in exemplar.value.map { !holds($0) } ?? false }
        return result
    }
}

// MARK: - Arithmetic

enum MetricsMath {
    /// Division by zero is no sample; neither is what lacks a side.
    static func apply(_ operation: FieldOperator, _ a: Double, _ b: Double) -> Double {
        switch operation {
        case .add: a + b
        case .subtract: a - b
        case .multiply: a * b
        case .divide: b == 0 ? .nan : a / b
        default: .nan
        }
    }

    /// A number with every sample, on whichever side it stands.
    static func scaled(
        _ series: [SeriesColumn], _ body: (Double) -> Double
    ) -> [SeriesColumn] {
        series.map { column in
            var result = column
            result.values = column.values.map(body)
            for index in result.exemplars.indices {
                result.exemplars[index].value = result.exemplars[index].value.map(body)
            }
            return result
        }
    }

    /// Series of both sides with the same labels, the name aside. A series without labels meets
    /// all of the other side. Source: grafana/tempo:pkg/traceql/ast_metrics_math.go.
    static func combined(
        _ operation: FieldOperator, _ left: [SeriesColumn], _ right: [SeriesColumn]
    ) -> [SeriesColumn] {
        let a = keyed(left), b = keyed(right)
        let unlabelled: [UInt8] = []
        let leads = b.byKey[unlabelled] != nil ? a : b
        var result: [SeriesColumn] = []
        for key in leads.keys {
            guard let x = a.byKey[key] ?? a.byKey[unlabelled],
                let y = b.byKey[key] ?? b.byKey[unlabelled]
            else { continue }
            let isLeftShared = a.byKey[key] == nil, isRightShared = b.byKey[key] == nil
            var exemplars: [SeriesColumn.Exemplar] = []
            if isRightShared || !isLeftShared { exemplars += x.exemplars }
            if isLeftShared || !isRightShared { exemplars += y.exemplars }
            result.append(
                SeriesColumn(
                    labels(operation, x.labels, y.labels),
                    zip(x.values, y.values).map { apply(operation, $0, $1) }, exemplars))
        }
        return result
    }

    private static func keyed(
        _ series: [SeriesColumn]
    ) -> (keys: [[UInt8]], byKey: [[UInt8]: SeriesColumn]) {
        var keys: [[UInt8]] = []
        var byKey: [[UInt8]: SeriesColumn] = [:]
        for column in series {
            let key = column.matchingKey
            if byKey.updateValue(column, forKey: key) == nil { keys.append(key) }
        }
        return (keys, byKey)
    }

    /// The left side's labels and those only the right one has. Two names become one that tells the
    /// operation; a single one goes.
    private static func labels(
        _ operation: FieldOperator, _ left: [MetricsLabel], _ right: [MetricsLabel]
    ) -> [MetricsLabel] {
        func name(_ labels: [MetricsLabel]) -> String? {
            for label in labels where label.name == MetricsLabel.metricName {
                if case .string(let text) = label.value { return text }
            }
            return nil
        }
        var result: [MetricsLabel] = []
        if let x = name(left), let y = name(right) {
            result.append(
                MetricsLabel(
                    MetricsLabel.metricName, .string("(\(x) \(operation.rawValue) \(y))")))
        }
        for label in left + right
        where label.name != MetricsLabel.metricName
            && !result.contains(where: { $0.name == label.name })
        { result.append(label) }
        return result
    }
}
