// SPDX-License-Identifier: Apache-2.0
// Metrics of traces, by collecting everything first.

import Telemetry
import TestKit

struct NaiveSeries {
    var labels: [MetricsPair]
    /// Nil where there is no sample.
    var values: [Double?]

    struct MetricsPair: Equatable {
        var name: String
        var value: AttributeValue
    }

    var key: String {
        labels.filter { $0.name != "__name__" }.sorted { $0.name < $1.name }
            .map { "\($0.name)=\($0.value)" }.joined(separator: ",")
    }
    var name: String? {
        labels.first { $0.name == "__name__" }.map { "\($0.value)" }
    }

    /// The order of answers, as far as labels differ in values of one type or in names.
    func precedes(_ other: NaiveSeries) -> Bool {
        if labels.count != other.labels.count { return labels.count < other.labels.count }
        for (a, b) in zip(labels, other.labels) {
            if a.name != b.name { return a.name < b.name }
            if a.value != b.value { return order(a.value) < order(b.value) }
        }
        return false
    }

    private func order(_ value: AttributeValue) -> String {
        switch value {
        case .empty: "0"
        case .string(let text): "1" + text
        case .bool(let flag): flag ? "2t" : "2f"
        case .int(let number): "3" + String(number)
        case .double(let number): "4\(number)"
        case .array(let items): "6" + items.map(order).joined(separator: "\u{0}")
        default: "9"
        }
    }
}

struct NaiveFirstStage {
    var stages: [NaiveStage]
    var function: String
    var measured: NaiveAttribute?
    var quantiles: [Double] = []
    var grouping: [NaiveAttribute] = []

    var text: String {
        var inside = measured.map(\.text) ?? ""
        for quantile in quantiles { inside += ", \(quantile)" }
        let by =
            grouping.isEmpty
            ? "" : " by (" + grouping.map(\.text).joined(separator: ", ") + ")"
        return naiveText(stages) + " | \(function)(\(inside))" + by
    }
}

indirect enum NaiveMetric {
    case first(NaiveFirstStage)
    case number(NaiveValue, text: String)
    case math(String, NaiveMetric, NaiveMetric)
    case top(NaiveMetric, Int, isTop: Bool)
    case threshold(NaiveMetric, String, Double)

    var text: String {
        switch self {
        case .first(let stage): stage.text
        case .number(_, let text): text
        case .math(let operation, let left, let right):
            left.operand + " " + operation + " " + right.operand
        case .top(let inner, let count, let isTop):
            inner.text + (isTop ? " | topk(\(count))" : " | bottomk(\(count))")
        case .threshold(let inner, let operation, let bound): inner.text + " \(operation) \(bound)"
        }
    }

    private var operand: String { if case .number = self { text } else { "(" + text + ")" } }

    var holdsSeries: Bool {
        switch self {
        case .number: false
        case .math(_, let left, let right): left.holdsSeries || right.holdsSeries
        default: true
        }
    }
}

/// Intervals by their ends: `(end - step, end]`.
struct NaiveMetrics {
    let traces: [NaiveTrace]
    let ends: [Int64]
    let step: Int64

    func interval(_ nanos: Int64) -> Int? {
        ends.firstIndex { nanos > $0 - step && nanos <= $0 }
    }

    func value(_ metric: NaiveMetric) -> [NaiveSeries] {
        switch metric {
        case .number: return []
        case .first(let stage): return first(stage)
        case .threshold(let inner, let operation, let bound):
            return value(inner).map { series in
                var kept = series
                kept.values = series.values.map { value in
                    value.flatMap { naiveHolds(operation, .float($0), .float(bound)) ? $0 : nil }
                }
                return kept
            }.filter { $0.values.contains { $0 != nil } }
        case .top(let inner, let count, let isTop):
            return ranked(value(inner), count, isTop)
        case .math(let operation, let left, let right):
            return math(operation, left, right)
        }
    }

    // MARK: first stage

    private func first(_ stage: NaiveFirstStage) -> [NaiveSeries] {
        var groups: [(labels: [NaiveSeries.MetricsPair], numbers: [[Double]])] = []
        func add(_ labels: [NaiveSeries.MetricsPair], _ interval: Int, _ number: Double) {
            let known = groups.firstIndex { "\($0.labels)" == "\(labels)" }
            if known == nil {
                groups.append((labels, [[Double]](repeating: [], count: ends.count)))
            }
            groups[known ?? groups.count - 1].numbers[interval].append(number)
        }
        if ["rate", "count_over_time"].contains(stage.function), stage.grouping.isEmpty {
            groups.append(([], [[Double]](repeating: [], count: ends.count)))
        }
        for trace in traces {
            for set in trace.run(stage.stages) {
                for i in set.spans {
                    guard let interval = interval(trace.spans[i].start) else { continue }
                    let labels = labels(stage.grouping, trace, i)
                    guard let measured = stage.measured else {
                        add(labels, interval, 1)
                        continue
                    }
                    for item in trace.value(measured, i).items {
                        guard var number = item.number, !number.isNaN else { continue }
                        var all = labels
                        if case .duration = item { number /= 1e9 }
                        if stage.function == "histogram_over_time" {
                            all.removeAll { $0.value == .string("nil") }
                            all.append(.init(name: "__bucket", value: .double(bucket(item))))
                        }
                        add(all, interval, number)
                    }
                }
            }
        }
        return groups.flatMap { series(stage, $0.labels, $0.numbers) }
    }

    private func labels(
        _ grouping: [NaiveAttribute], _ trace: NaiveTrace, _ i: Int
    ) -> [NaiveSeries.MetricsPair] {
        var labels: [NaiveSeries.MetricsPair] = []
        for attribute in grouping {
            switch trace.value(attribute, i) {
            case .null, .other: continue
            case let value: labels.append(.init(name: attribute.text, value: value.answer))
            }
        }
        if labels.isEmpty, let first = grouping.first {
            labels.append(.init(name: first.text, value: .string("nil")))
        }
        return labels
    }

    /// The smallest power of two that is not below the number; of whole numbers at least 1.
    private func bucket(_ value: NaiveValue) -> Double {
        switch value {
        case .int(let number), .duration(let number):
            if number <= 0 { return 0 }
            var bound: UInt64 = 1
            while bound < UInt64(number) { bound *= 2 }
            if case .duration = value { return Double(bound) / 1e9 }
            return Double(bound)
        default:
            guard let number = value.number, number > 0 else { return 0 }
            var bound = 1.0
            while bound < number { bound *= 2 }
            while bound / 2 >= number { bound /= 2 }
            return bound
        }
    }

    private func series(
        _ stage: NaiveFirstStage, _ labels: [NaiveSeries.MetricsPair], _ numbers: [[Double]]
    ) -> [NaiveSeries] {
        if stage.function == "quantile_over_time" {
            return stage.quantiles.map { quantile in
                let label = NaiveSeries.MetricsPair(name: "p", value: .double(quantile))
                return NaiveSeries(
                    labels: labels.filter { _ in true } + [label],
                    values: numbers.map { all in
                        if all.isEmpty { return nil }
                        let rank = max(1, Int((quantile * Double(all.count)).rounded(.up)))
                        return all.sorted()[rank - 1]
                    })
            }
        }
        let values = numbers.map { all -> Double? in
            switch stage.function {
            case "rate": return Double(all.count) / (Double(step) / 1e9)
            case "count_over_time", "histogram_over_time": return Double(all.count)
            default: break
            }
            if all.isEmpty { return nil }
            switch stage.function {
            case "min_over_time": return all.min()
            case "max_over_time": return all.max()
            case "sum_over_time": return exactSum(all)
            default: return exactSum(all) / Double(all.count)
            }
        }
        let all =
            labels.isEmpty ? [.init(name: "__name__", value: .string(stage.function))] : labels
        return [NaiveSeries(labels: all, values: values)]
    }

    // MARK: later stages

    private func ranked(_ series: [NaiveSeries], _ count: Int, _ isTop: Bool) -> [NaiveSeries] {
        guard series.count > count else { return series }
        return series.map { one in
            var kept = one
            for interval in ends.indices {
                guard let own = one.values[interval] else { continue }
                let better = series.filter { other in
                    guard let value = other.values[interval] else { return false }
                    if value == own { return isTop ? other.precedes(one) : one.precedes(other) }
                    return isTop ? value > own : value < own
                }
                if better.count >= count { kept.values[interval] = nil }
            }
            return kept
        }.filter { $0.values.contains { $0 != nil } }
    }

    private func math(
        _ operation: String, _ left: NaiveMetric, _ right: NaiveMetric
    ) -> [NaiveSeries] {
        func apply(_ a: Double?, _ b: Double?) -> Double? {
            guard let a, let b, operation != "/" || b != 0 else { return nil }
            return naiveArithmetic(operation, .float(a), .float(b)).number
        }
        if case .number(let number, _) = left {
            return value(right).map { series in
                NaiveSeries(
                    labels: series.labels, values: series.values.map { apply(number.number, $0) })
            }
        }
        if case .number(let number, _) = right {
            return value(left).map { series in
                NaiveSeries(
                    labels: series.labels, values: series.values.map { apply($0, number.number) })
            }
        }
        let a = value(left), b = value(right)
        var result: [NaiveSeries] = []
        let leads = b.contains { $0.key.isEmpty } ? a : b
        for key in leads.map(\.key) {
            guard let x = a.first(where: { $0.key == key }) ?? a.first(where: { $0.key.isEmpty }),
                let y = b.first(where: { $0.key == key }) ?? b.first(where: { $0.key.isEmpty })
            else { continue }
            var labels = (x.labels + y.labels).filter { $0.name != "__name__" }
            labels = labels.enumerated().filter { place, label in
                !labels[..<place].contains { $0.name == label.name }
            }.map(\.element)
            if case .string(let p)? = x.labels.first(where: { $0.name == "__name__" })?.value,
                case .string(let q)? = y.labels.first(where: { $0.name == "__name__" })?.value
            {
                labels.insert(
                    .init(name: "__name__", value: .string("(\(p) \(operation) \(q))")), at: 0)
            }
            result.append(
                NaiveSeries(labels: labels, values: zip(x.values, y.values).map(apply)))
        }
        return result
    }
}

/// The sum without rounding on the way: partial sums that do not overlap (Shewchuk, 1997).
private func exactSum(_ numbers: [Double]) -> Double {
    var partials: [Double] = []
    for number in numbers {
        var rest = number
        var kept: [Double] = []
        for partial in partials {
            let (large, small) =
                rest.magnitude < partial.magnitude ? (partial, rest) : (rest, partial)
            let sum = large + small
            let lost = small - (sum - large)
            if lost != 0 { kept.append(lost) }
            rest = sum
        }
        partials = kept + [rest]
    }
    return partials.reduce(0, +)
}
