// SPDX-License-Identifier: Apache-2.0
// Aggregations of the naive evaluator.

import Telemetry

@testable import PromQL

extension NaiveEvaluator {
    func aggregation(_ node: Aggregation, at t: Int64) throws -> NaiveVector {
        let input = try vector(node.expression, at: t)
        func group(_ tags: Tags) -> Tags {
            node.without
                ? tags.filter { !node.grouping.contains($0.key) && $0.key != "__name__" }
                : tags.filter { node.grouping.contains($0.key) }
        }
        var groups: [Tags: NaiveVector] = [:]
        for sample in input { groups[group(sample.tags), default: []].append(sample) }
        var result: NaiveVector = []
        for (tags, members) in groups {
            switch node.operation {
            case .topk, .bottomk:
                guard let parameter = node.parameter else { continue }
                let k = Int(try scalar(parameter, at: t))
                if k < 1 { continue }
                let floats = members.filter {
                    $0.value.float != nil && $0.value.float?.isNaN != true
                }
                let ascending = floats.sorted { ($0.value.float ?? 0) < ($1.value.float ?? 0) }
                result +=
                    node.operation == .topk ? ascending.suffix(k) : ascending.prefix(k)
            case .countValues:
                guard let parameter = node.parameter else { continue }
                let name = try string(parameter, at: t)
                var counts: [Double: Double] = [:]
                for member in members {
                    if let value = member.value.float { counts[value, default: 0] += 1 }
                }
                for (value, count) in counts {
                    var tags = tags
                    tags[name] = "\(Int(value))"
                    result.append((tags, .float(count)))
                }
            default:
                let parameter = try node.parameter.map { try scalar($0, at: t) } ?? 0
                if let value = folded(node.operation, members.map(\.value), parameter) {
                    result.append((tags, value))
                }
            }
        }
        return result
    }

    private func folded(
        _ operation: AggregationOperator, _ values: [NaiveValue], _ parameter: Double
    ) -> NaiveValue? {
        let floats = values.compactMap(\.float), histograms = values.compactMap(\.histogram)
        switch operation {
        case .count: return .float(Double(values.count))
        case .group: return .float(1)
        case .sum, .avg:
            if histograms.isEmpty {
                let sum = CompensatedSum.of(floats)
                return .float(operation == .sum ? sum : sum / Double(floats.count))
            }
            guard floats.isEmpty, let sum = NaiveEvaluator.sum(histograms) else { return nil }
            let n = Double(histograms.count)
            return .histogram(operation == .sum ? sum : sum.scaled { $0 / n })
        case .min, .max:
            if floats.isEmpty { return nil }
            let numbers = floats.filter { !$0.isNaN }
            return .float((operation == .min ? numbers.min() : numbers.max()) ?? .nan)
        case .stddev, .stdvar:
            if floats.isEmpty { return nil }
            let variance = NaiveEvaluator.variance(floats)
            return .float(operation == .stdvar ? variance : variance.squareRoot())
        case .quantile:
            return floats.isEmpty ? nil : .float(NaiveEvaluator.quantile(parameter, floats))
        default: return nil
        }
    }

    static func sum(_ histograms: [NaiveHistogram]) -> NaiveHistogram? {
        var sum: NaiveHistogram? = histograms.first
        for histogram in histograms.dropFirst() { sum = sum?.combined(histogram, sign: 1) }
        return sum
    }

    static func variance(_ values: [Double]) -> Double {
        let mean = CompensatedSum.of(values) / Double(values.count)
        return CompensatedSum.of(values.map { ($0 - mean) * ($0 - mean) }) / Double(values.count)
    }

    /// Between the two neighbours of the rank; NaN counts as smallest.
    static func quantile(_ q: Double, _ values: [Double]) -> Double {
        if values.isEmpty || q.isNaN { return .nan }
        if q < 0 { return -.infinity }
        if q > 1 { return .infinity }
        let sorted = values.sorted { $0.isNaN ? !$1.isNaN : $0 < $1 }
        let rank = q * (Double(sorted.count) - 1)
        let below = Int(max(0, rank.rounded(.down)))
        let above = min(sorted.count - 1, below + 1)
        let weight = rank - rank.rounded(.down)
        return sorted[below] * (1 - weight) + sorted[above] * weight
    }
}
