// SPDX-License-Identifier: Apache-2.0
// Random well-typed queries over the series of `FuzzData`.

import Base

/// Writes queries whose value does not hang on the order of additions: what compares or rounds gets
/// operands that are exact in both evaluators.
struct QueryGenerator {
    var random: SplitMix64

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    private mutating func below(_ n: Int) -> Int { Int.random(in: 0..<n, using: &random) }
    private mutating func pick(_ texts: [String]) -> String { texts[below(texts.count)] }
    private mutating func chance(_ n: Int) -> Bool { below(n) == 0 }

    mutating func query() -> String {
        switch below(10) {
        case 0: scalar(2)
        case 1, 2: histogram(3)
        default: floats(4)
        }
    }

    // MARK: Selectors

    private mutating func selector(_ name: String) -> String {
        var conditions: [String] = []
        if chance(3) {
            conditions.append(
                pick([
                    #"job="api""#, #"job!="db""#, #"job=~"a.*|x""#, #"instance!~"i[12]""#,
                    #"instance="i0""#, #"zone="""#, #"job=~".+""#, #"instance=~"i0|i1""#,
                ]))
        }
        return name + (conditions.isEmpty ? "" : "{\(conditions.joined(separator: ","))}")
    }

    private mutating func shift() -> String {
        var text = ""
        if chance(6) { text += " @ \(below(3600))" + pick([".000", ".500", ""]) }
        if chance(12), text.isEmpty { text += pick([" @ start()", " @ end()"]) }
        if chance(5) { text += " offset " + pick(["1m", "7m", "-90s", "15s"]) }
        return text
    }

    private mutating func floatName() -> String {
        pick(["gauge", "level", "requests_total", "target_info", "gauge", "requests_total"])
    }

    private mutating func span() -> String { pick(["1m", "2m30s", "5m", "5m", "17m", "45s"]) }

    private mutating func range(_ name: String) -> String {
        selector(name) + "[\(span())]" + shift()
    }

    /// A range over floats; a subquery now and then.
    private mutating func floatRange(_ depth: Int, exact: Bool) -> String {
        if depth > 1, chance(4) {
            let step = pick(["", "1m", "30s", "77s"])
            return "(" + floats(depth - 1, exact: exact) + ")[\(pick(["5m", "11m"])):\(step)]"
                + shift()
        }
        return range(floatName())
    }

    private mutating func labels() -> String {
        pick(["", "job", "instance", "job, instance", "job, zone", "code", "version, job"])
    }

    private mutating func grouping() -> String {
        if chance(4) { return "" }
        return " \(pick(["by", "without"])) (\(labels())) "
    }

    private mutating func number() -> String {
        pick(["0", "1", "2", "0.5", "-3", "10", "1e3", "7.25", "0.1"])
    }

    // MARK: Scalars

    private mutating func scalar(_ depth: Int) -> String {
        switch depth > 0 ? below(6) : below(2) {
        case 0, 1: number()
        case 2: "time()"
        case 3: "scalar(\(floats(depth - 1)))"
        case 4: "(\(scalar(depth - 1)) \(pick(["+", "-", "*"])) \(scalar(depth - 1)))"
        default: "-\(scalar(0))"
        }
    }

    // MARK: Floats

    private mutating func matching() -> String {
        switch below(5) {
        case 0: " "
        case 1: " on (job, instance) "
        case 2: " on (job) "
        case 3: " ignoring (zone, code, version) "
        default: " ignoring (code) "
        }
    }

    /// A vector of floats. Exact: equal bit for bit however it is computed.
    private mutating func floats(_ depth: Int, exact: Bool = false) -> String {
        if depth <= 0 {
            let name = chance(12) ? "odd" : floatName()
            return selector(name) + shift()
        }
        return exact || chance(3) ? exactFloats(depth) : anyFloats(depth)
    }

    /// The right side of an operation; sometimes it says again what the left one says.
    private mutating func other(_ left: String, _ depth: Int, exact: Bool = false) -> String {
        switch below(6) {
        case 0: left
        case 1: pick(["max", "count"]) + " by (\(labels())) (\(left))"
        case 2: "max by (job) (\(selector(floatName())))"
        default: floats(depth, exact: exact)
        }
    }

    private mutating func exactFloats(_ depth: Int) -> String {
        let d = depth - 1
        switch below(13) {
        case 0, 1: return floats(0)
        case 2:
            return pick([
                "last_over_time", "first_over_time", "min_over_time", "max_over_time",
                "count_over_time", "changes", "resets", "present_over_time",
            ]) + "(\(floatRange(depth, exact: true)))"
        case 3:
            return pick(["min", "max", "count", "group"]) + grouping()
                + "(\(floats(d, exact: true)))"
        case 4:
            return pick(["abs", "ceil", "floor", "sgn", "round", "-", ""])
                + "(\(floats(d, exact: true)))"
        case 5: return "clamp(\(floats(d, exact: true)), -5, \(number()))"
        case 6:
            let comparison = pick(["==", "!=", ">", "<", ">=", "<="]) + pick([" ", " bool "])
            return "(\(floats(d, exact: true)) \(comparison) \(number()))"
        case 7:
            let comparison = pick(["==", "!=", ">", "<", ">=", "<="]) + pick([" ", " bool "])
            let left = floats(d, exact: true)
            return "(\(left) \(comparison)\(matching())\(other(left, d, exact: true)))"
        case 8:
            let operation = pick(["and", "or", "unless"])
            let left = floats(d, exact: true)
            return "(\(left) \(operation)\(matching())\(other(left, d, exact: true)))"
        case 9:
            return
                "\(pick(["topk", "bottomk"]))\(grouping())(\(1 + below(3)), \(selector("gauge")))"
        case 10: return "count_values\(grouping())(\"value\", \(selector("level")))"
        case 11: return "timestamp(\(selector(floatName()))\(shift()))"
        default:
            return pick([
                "absent(\(selector("gauge")))", "absent(nothing{job=\"x\"})",
                "absent_over_time(\(range("level")))", "vector(\(number()))",
                "label_replace(\(floats(d, exact: true)), \"zone\", \"z-$1\", \"job\", \"(.*)\")",
                "label_replace(\(floats(d, exact: true)), \"tier\", \"$1\", \"instance\", \"([a-z])(.*)\")",
                "label_join(\(floats(d, exact: true)), \"both\", \"-\", \"job\", \"instance\")",
                "histogram_count(\(histogram(1)))",
            ])
        }
    }

    private mutating func anyFloats(_ depth: Int) -> String {
        let d = depth - 1
        switch below(13) {
        case 0, 1, 2:
            return pick(["rate", "increase", "irate"]) + "(\(range("requests_total")))"
        case 3:
            return pick([
                "delta", "idelta", "sum_over_time", "avg_over_time", "stddev_over_time",
                "stdvar_over_time", "deriv", "mad_over_time",
            ]) + "(\(floatRange(depth, exact: false)))"
        case 4:
            return
                "quantile_over_time(\(pick(["0.5", "0.9", "-1", "2", "0"])), \(range(floatName())))"
        case 5: return "predict_linear(\(range("gauge")), 600)"
        case 6, 7:
            return pick(["sum", "avg", "sum", "stddev", "stdvar"]) + grouping() + "(\(floats(d)))"
        case 8: return "quantile\(grouping())(\(pick(["0.5", "0.99"])), \(floats(d)))"
        case 9: return "(\(floats(d)) \(pick(["+", "-", "*"])) \(scalar(d)))"
        case 10:
            let left = floats(d)
            return "(\(left) \(pick(["+", "-", "*"]))\(matching())\(other(left, d)))"
        case 11:
            return "(\(floats(d)) * on (job, instance) group_left (version) target_info)"
        default:
            let q = pick(["0.5", "0.9", "0.99", "0", "1", "-1", "1.5"])
            return pick([
                "histogram_quantile(\(q), sum by (le, job) (rate(latency_bucket[\(span())])))",
                "histogram_quantile(\(q), \(selector("latency_bucket")))",
                "histogram_quantile(\(q), \(histogram(2)))", "histogram_sum(\(histogram(2)))",
                "histogram_avg(\(histogram(2)))",
                "(\(floats(d)) / \(pick(["2", "-4", "0.5"])))",
                "(target_info * on (job, instance) group_right () \(floats(d)))",
            ])
        }
    }

    // MARK: Histograms

    private mutating func histogram(_ depth: Int) -> String {
        let name = pick(["native", "native", "custom"])
        if depth <= 0 { return selector(name) + shift() }
        let d = depth - 1
        switch below(8) {
        case 0: return selector(name) + shift()
        case 1, 2:
            return pick(["rate", "increase", "irate"]) + "(\(range(name)))"
        case 3: return pick(["sum", "avg", "sum"]) + grouping() + "(\(histogram(d)))"
        case 4:
            return pick(["last_over_time", "sum_over_time", "avg_over_time", "first_over_time"])
                + "(\(range(name)))"
        case 5: return "(\(histogram(d)) \(pick(["*", "/"])) \(pick(["2", "0.5", "3"])))"
        case 6:
            let left = histogram(d), right = chance(4) ? left : histogram(d)
            return "(\(left) \(pick(["+", "-"]))\(matching())\(right))"
        default: return pick(["count", "group"]) + grouping() + "(\(histogram(d)))"
        }
    }
}
