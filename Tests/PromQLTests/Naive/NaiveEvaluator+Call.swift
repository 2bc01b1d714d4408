// SPDX-License-Identifier: Apache-2.0
// Functions of the naive evaluator.

import Base
import Glibc
import Telemetry

@testable import PromQL

extension NaiveEvaluator {
    func call(_ node: Call, at t: Int64) throws -> Result {
        let arguments = node.arguments
        if let kind = arguments.last?.kind, kind == .matrix || arguments.first?.kind == .matrix {
            return .vector(try rangeCall(node, at: t))
        }
        switch node.name {
        case "time": return .scalar(Double(t) / 1000)
        case "pi": return .scalar(.pi)
        case "vector":
            return .vector([([:], .float(try scalar(arguments[0], at: t)))])
        case "scalar":
            let floats = try vector(arguments[0], at: t).compactMap(\.value.float)
            return .scalar(floats.count == 1 ? floats[0] : .nan)
        case "absent":
            if try !vector(arguments[0], at: t).isEmpty { return .vector([]) }
            return .vector([(absentTags(arguments[0]), .float(1))])
        case "timestamp":
            if case .selector(let selector) = arguments[0].unwrapped {
                return .vector(
                    try unique(
                        instant(selector, at: t).map {
                            (unnamed($0.tags), .float(Double($0.sample.millis) / 1000))
                        }))
            }
            return .vector(
                try unique(
                    try vector(arguments[0], at: t).map {
                        (unnamed($0.tags), .float(Double(t) / 1000))
                    }))
        case "sort", "sort_desc":
            return .vector(try vector(arguments[0], at: t).filter { $0.value.float != nil })
        case "label_replace": return .vector(try labelReplace(node, at: t))
        case "label_join": return .vector(try labelJoin(node, at: t))
        case "histogram_quantile": return .vector(try histogramQuantile(node, at: t))
        case "histogram_count", "histogram_sum", "histogram_avg":
            return .vector(
                try unique(
                    try vector(arguments[0], at: t).compactMap { tags, value in
                        guard let histogram = value.histogram else { return nil }
                        let number =
                            switch node.name {
                            case "histogram_count": histogram.count
                            case "histogram_sum": histogram.sum
                            default: histogram.sum / histogram.count
                            }
                        return (unnamed(tags), .float(number))
                    }))
        default: return .vector(try mapped(node, at: t))
        }
    }

    private func mapped(_ node: Call, at t: Int64) throws -> NaiveVector {
        let parameters = try node.arguments.dropFirst().map { try scalar($0, at: t) }
        let input = try vector(node.arguments[0], at: t)
        if node.name == "clamp", parameters[0] > parameters[1] { return [] }
        return try unique(
            try input.compactMap { tags, value in
                guard let float = value.float else { return nil }
                return (unnamed(tags), .float(try function(node.name, float, parameters)))
            })
    }

    private func function(_ name: String, _ x: Double, _ p: [Double]) throws -> Double {
        switch name {
        case "abs": return x.magnitude
        case "ceil": return x.rounded(.up)
        case "floor": return x.rounded(.down)
        case "exp": return exp(x)
        case "ln": return log(x)
        case "log2": return log2(x)
        case "log10": return log10(x)
        case "sqrt": return x.squareRoot()
        case "sgn": return x > 0 ? 1 : x < 0 ? -1 : x
        case "sin": return sin(x)
        case "cos": return cos(x)
        case "atan": return atan(x)
        case "rad": return x * .pi / 180
        case "deg": return x * 180 / .pi
        case "clamp":
            return x.isNaN || p.contains { $0.isNaN } ? .nan : max(p[0], min(p[1], x))
        case "clamp_min": return x.isNaN || p[0].isNaN ? .nan : max(p[0], x)
        case "clamp_max": return x.isNaN || p[0].isNaN ? .nan : min(p[0], x)
        case "round":
            let inverse = 1 / (p.first ?? 1)
            return (x * inverse + 0.5).rounded(.down) / inverse
        case "minute": return Double((Int64(x) / 60) % 60)
        case "hour": return Double((Int64(x) / 3600) % 24)
        // The epoch was a Thursday.
        case "day_of_week": return Double((Int64(x) / 86_400 + 4) % 7)
        default: throw NaiveFailure(reason: "function \(name)")
        }
    }

    // MARK: Ranges

    private func rangeCall(_ node: Call, at t: Int64) throws -> NaiveVector {
        var range = node.arguments[0]
        var parameter: Double?
        if node.name == "quantile_over_time" {
            range = node.arguments[1]
            parameter = try scalar(node.arguments[0], at: t)
        } else if node.name == "predict_linear" {
            parameter = try scalar(node.arguments[1], at: t)
        }
        let windows = try windows(range, at: t)
        if node.name == "absent_over_time" {
            if windows.contains(where: { !$0.samples.isEmpty }) { return [] }
            return [(absentTags(range), .float(1))]
        }
        let keepsName = node.name == "last_over_time" || node.name == "first_over_time"
        return try unique(
            windows.compactMap { window in
                guard let value = overRange(node.name, window, parameter, at: t) else { return nil }
                return (keepsName ? window.tags : unnamed(window.tags), value)
            })
    }

    /// What the equality matchers of a selector say of the series that is not there.
    private func absentTags(_ expression: Expression) -> Tags {
        let matchers: [LabelMatcher]
        switch expression.unwrapped {
        case .selector(let node): matchers = node.matchers
        case .matrix(let node): matchers = node.selector.matchers
        default: return [:]
        }
        var tags: Tags = [:]
        for matcher in matchers where matcher.name != "__name__" {
            let isOnly = matchers.count { $0.name == matcher.name } == 1
            if matcher.operation == .equal, isOnly, !matcher.value.isEmpty {
                tags[matcher.name] = matcher.value
            }
        }
        return tags
    }

    // MARK: Labels

    private func labelReplace(_ node: Call, at t: Int64) throws -> NaiveVector {
        let input = try vector(node.arguments[0], at: t)
        let texts = try node.arguments.dropFirst().map { try string($0, at: t) }
        let (target, replacement, source, pattern) = (texts[0], texts[1], texts[2], texts[3])
        // The generator writes two patterns only: everything as one group, and a prefix letter.
        return try unique(
            input.map { tags, value in
                let old = tags[source] ?? ""
                var group: String?
                if pattern == "(.*)" { group = old }
                if pattern == "([a-z])(.*)", let first = old.first, first.isLowercase {
                    group = String(first)
                }
                guard let group else { return (tags, value) }
                var new = ""
                var rest = replacement[...]
                while let character = rest.first {
                    if rest.hasPrefix("$1") {
                        new += group
                        rest = rest.dropFirst(2)
                    } else {
                        new.append(character)
                        rest = rest.dropFirst()
                    }
                }
                var tags = tags
                tags[target] = new.isEmpty ? nil : new
                return (tags, value)
            })
    }

    private func labelJoin(_ node: Call, at t: Int64) throws -> NaiveVector {
        let input = try vector(node.arguments[0], at: t)
        let texts = try node.arguments.dropFirst().map { try string($0, at: t) }
        return try unique(
            input.map { tags, value in
                let joined = texts.dropFirst(2).map { tags[$0] ?? "" }.joined(separator: texts[1])
                var tags = tags
                tags[texts[0]] = joined.isEmpty ? nil : joined
                return (tags, value)
            })
    }
}
