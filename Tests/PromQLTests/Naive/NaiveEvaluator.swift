// SPDX-License-Identifier: Apache-2.0
// PromQL the slow and plain way: one step at a time, whole series, nothing shared with the engine.

import Base
import Telemetry

@testable import PromQL

/// Evaluates syntax trees by the book. Knows what the generator of the fuzz tests writes; annotations
/// and start timestamps it does not.
struct NaiveEvaluator {
    var series: [NaiveSeries]
    var lookbackMillis: Int64 = 300_000
    var queryStart: Int64
    var queryEnd: Int64

    enum Result {
        case scalar(Double)
        case string(String)
        case vector(NaiveVector)
    }

    func evaluate(_ expression: Expression, at t: Int64) throws -> Result {
        switch expression {
        case .number(let node): return .scalar(node.value)
        case .string(let node): return .string(node.value)
        case .parenthesized(let node): return try evaluate(node.expression, at: t)
        case .selector(let node):
            return .vector(instant(node, at: t).map { ($0.tags, $0.sample.value) })
        case .unary(let node): return try negated(node, at: t)
        case .binary(let node): return try binary(node, at: t)
        case .aggregation(let node): return .vector(try aggregation(node, at: t))
        case .call(let node): return try call(node, at: t)
        case .matrix, .subquery, .duration:
            throw NaiveFailure(reason: "a range outside of a function")
        }
    }

    func vector(_ expression: Expression, at t: Int64) throws -> NaiveVector {
        guard case .vector(let vector) = try evaluate(expression, at: t) else {
            throw NaiveFailure(reason: "no vector")
        }
        return vector
    }

    func scalar(_ expression: Expression, at t: Int64) throws -> Double {
        guard case .scalar(let value) = try evaluate(expression, at: t) else {
            throw NaiveFailure(reason: "no scalar")
        }
        return value
    }

    func string(_ expression: Expression, at t: Int64) throws -> String {
        guard case .string(let text) = try evaluate(expression, at: t) else {
            throw NaiveFailure(reason: "no string")
        }
        return text
    }

    // MARK: Selectors

    private func matching(_ selector: VectorSelector) -> [NaiveSeries] {
        series.filter { one in
            selector.matchers.allSatisfy { $0.matches(one.tags[$0.name] ?? "") }
        }
    }

    private func shifted(_ t: Int64, _ anchor: TimeAnchor?, _ offset: Int64) -> Int64 {
        switch anchor {
        case .millis(let millis)?: millis - offset
        case .start?: queryStart - offset
        case .end?: queryEnd - offset
        case nil: t - offset
        }
    }

    /// The last sample after t − look-back and not after t, unless it is a stale marker.
    func instant(
        _ selector: VectorSelector, at t: Int64
    ) -> [(tags: Tags, sample: NaiveSample)] {
        let time = shifted(t, selector.anchor, selector.offsetMillis)
        return matching(selector).compactMap { one in
            let last = one.samples.last {
                $0.millis <= time && $0.millis > time - lookbackMillis
            }
            guard let last, !isStale(last.value) else { return nil }
            return (one.tags, last)
        }
    }

    func isStale(_ value: NaiveValue) -> Bool {
        switch value {
        case .float(let float): StaleMarker.isStale(float)
        case .histogram(let histogram): StaleMarker.isStale(histogram.sum)
        }
    }

    /// Samples of a range, open on the left.
    struct Window {
        var tags: Tags
        var samples: [NaiveSample]
        var start: Int64
        var end: Int64

        var floats: [Double] { samples.compactMap(\.value.float) }
        var histograms: [NaiveHistogram] { samples.compactMap(\.value.histogram) }
    }

    func windows(_ expression: Expression, at t: Int64) throws -> [Window] {
        switch expression {
        case .parenthesized(let node): return try windows(node.expression, at: t)
        case .matrix(let node):
            let end = shifted(t, node.selector.anchor, node.selector.offsetMillis)
            let start = end - node.rangeMillis
            return matching(node.selector).map { one in
                Window(
                    tags: one.tags,
                    samples: one.samples.filter {
                        $0.millis > start && $0.millis <= end && !isStale($0.value)
                    }, start: start, end: end)
            }
        case .subquery(let node): return try subquery(node, at: t)
        default: throw NaiveFailure(reason: "no range")
        }
    }

    /// Inner evaluations lie on multiples of the step, whenever the query is asked.
    private func subquery(_ node: Subquery, at t: Int64) throws -> [Window] {
        let end = shifted(t, node.anchor, node.offsetMillis)
        let start = end - node.rangeMillis
        let step = node.stepMillis == 0 ? 60_000 : node.stepMillis
        var time = start / step * step
        while time <= start { time += step }
        var order: [Tags] = []
        var collected: [Tags: [NaiveSample]] = [:]
        while time <= end {
            switch try evaluate(node.expression, at: time) {
            case .scalar(let value):
                if collected[[:]] == nil { order.append([:]) }
                collected[[:], default: []].append(
                    NaiveSample(millis: time, value: .float(value)))
            case .vector(let vector):
                for (tags, value) in try unique(vector) {
                    if collected[tags] == nil { order.append(tags) }
                    collected[tags, default: []].append(NaiveSample(millis: time, value: value))
                }
            case .string: throw NaiveFailure(reason: "a subquery of a string")
            }
            time += step
        }
        return order.map {
            Window(tags: $0, samples: collected[$0] ?? [], start: start, end: end)
        }
    }

    // MARK: Signs

    private func negated(_ node: UnaryExpression, at t: Int64) throws -> Result {
        let operand = try evaluate(node.operand, at: t)
        guard node.isNegation else { return operand }
        switch operand {
        case .scalar(let value): return .scalar(-value)
        case .string: throw NaiveFailure(reason: "a sign before a string")
        case .vector(let vector):
            return .vector(
                try unique(
                    vector.map { tags, value in
                        switch value {
                        case .float(let float): (unnamed(tags), .float(-float))
                        case .histogram(let histogram):
                            (unnamed(tags), .histogram(histogram.scaled { $0 * -1 }))
                        }
                    }))
        }
    }
}

func unnamed(_ tags: Tags) -> Tags {
    var tags = tags
    tags["__name__"] = nil
    return tags
}

/// The vector, when no two of its series have the same labels.
func unique(_ vector: NaiveVector) throws -> NaiveVector {
    if Set(vector.map(\.tags)).count != vector.count {
        throw NaiveFailure(reason: "the same labels twice")
    }
    return vector
}
