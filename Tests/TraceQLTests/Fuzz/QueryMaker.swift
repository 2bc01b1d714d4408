// SPDX-License-Identifier: Apache-2.0
// Makes queries that the traces of `FuzzTraces` are likely to notice.

import Telemetry
import TestKit

struct QueryMaker {
    var chance: Chance

    private mutating func pick<T>(_ values: [T]) -> T { values[chance.below(values.count)] }

    // MARK: attributes

    private static let texts = [
        "name", "span:name", "statusMessage", "span:statusMessage", "rootName", "trace:rootName",
        "rootServiceName", "trace:rootService", "span:id", "span:parentID", "trace:id",
        "event:name", "link:traceID", "link:spanID", "instrumentation:name",
        "instrumentation:version",
    ]
    private static let numbers = [
        "duration", "span:duration", "traceDuration", "trace:duration", "span:childCount",
        "nestedSetLeft", "nestedSetRight", "nestedSetParent", "event:timeSinceStart",
    ]

    mutating func scoped() -> NaiveAttribute {
        if chance.happens(1, in: 8) { return .scoped(pick([.resource, .any]), "service.name") }
        return .scoped(
            pick([.any, .any, .span, .span, .resource, .event, .link, .instrumentation]),
            pick(FuzzTraces.keys))
    }

    mutating func attribute() -> NaiveAttribute {
        switch chance.below(6) {
        case 0: .intrinsic(pick(QueryMaker.texts))
        case 1: .intrinsic(pick(QueryMaker.numbers))
        case 2: .intrinsic(pick(["status", "kind", "span:status", "span:kind"]))
        default: scoped()
        }
    }

    // MARK: constants

    private mutating func number() -> NaiveExpression {
        switch chance.below(6) {
        case 0: return .constant(.duration(250_000_000), text: "250ms")
        case 1: return .constant(.duration(1_000_000_000), text: "1s")
        case 2: return .constant(.float(0.5), text: "0.5")
        case 3: return .constant(.float(2), text: "2.0")
        default:
            let value = Int64(chance.below(5)) - 1
            return .constant(.int(value), text: String(value))
        }
    }

    private mutating func text() -> NaiveExpression {
        let value = pick(
            FuzzTraces.texts + [
                "front", "cart", "GET /", "load", "broken", "lib", "1.0", "retry",
                "0000000000000002",
            ])
        return .constant(
            .text(value), text: chance.happens(1, in: 4) ? "`\(value)`" : "\"\(value)\"")
    }

    private mutating func pattern() -> NaiveExpression {
        let value = pick([
            "x", "x.*", ".*", "", "x|y", "[a-z]+", "fr.nt|bank", "GET.*", "0+2", "y$",
        ])
        return .constant(.text(value), text: "\"\(value)\"")
    }

    // MARK: expressions

    private mutating func numeric(_ depth: Int) -> NaiveExpression {
        switch chance.below(depth > 2 ? 2 : 5) {
        case 0: return number()
        case 1:
            return .attribute(
                chance.happens(1, in: 3) ? .intrinsic(pick(QueryMaker.numbers)) : scoped())
        case 2: return .minus(numeric(depth + 1))
        case 3: return .parentheses(numeric(depth + 1))
        default:
            return .binary(
                pick(["+", "-", "*", "/", "%", "^"]), numeric(depth + 1), numeric(depth + 1))
        }
    }

    mutating func condition(_ depth: Int = 0) -> NaiveExpression {
        if depth < 3 {
            switch chance.below(7) {
            case 0, 1:
                return .binary(
                    pick(["&&", "||"]), condition(depth + 1), condition(depth + 1))
            case 2: return .not(condition(depth + 1))
            case 3: return .parentheses(condition(depth + 1))
            default: break
            }
        }
        let comparison = pick(["=", "!=", "<", "<=", ">", ">="])
        switch chance.below(13) {
        case 0: return .attribute(scoped())
        case 12:
            let bound = Int64(chance.below(4)) - 2
            return .binary(
                comparison, .attribute(.intrinsic("nestedSetParent")),
                .constant(.int(bound), text: String(bound)))
        case 1:
            let null = NaiveExpression.constant(.null, text: "nil")
            let attribute = NaiveExpression.attribute(
                .scoped(pick([.any, .span, .event, .link]), pick(FuzzTraces.keys)))
            return chance.happens(3, in: 4)
                ? .binary(pick(["=", "!="]), attribute, null)
                : .binary(pick(["=", "!="]), null, attribute)
        case 2:
            let codes = ["unset", "ok", "error"]
            let code = chance.below(3)
            return .binary(
                pick(["=", "!="]), .attribute(.intrinsic(pick(["status", "span:status"]))),
                .constant(.status(code), text: codes[code]))
        case 3:
            let kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"]
            let kind = chance.below(6)
            return .binary(
                pick(["=", "!="]), .attribute(.intrinsic(pick(["kind", "span:kind"]))),
                .constant(.kind(kind), text: kinds[kind]))
        case 4:
            return .binary(
                pick(["=~", "!~"]),
                .attribute(
                    chance.happens(1, in: 2) ? .intrinsic(pick(QueryMaker.texts)) : scoped()),
                pattern())
        case 5:
            return .binary(
                comparison, .attribute(.intrinsic(pick(QueryMaker.texts))), text())
        case 6:
            return .binary(comparison, .attribute(scoped()), text())
        case 7:
            return .binary(
                pick(["=", "!="]), .attribute(scoped()),
                .constant(.bool(true), text: "true"))
        case 8: return .binary(comparison, text(), .attribute(scoped()))
        case 9: return .binary(comparison, .attribute(scoped()), .attribute(scoped()))
        default: return .binary(comparison, numeric(1), numeric(1))
        }
    }

    // MARK: pipelines

    private static let operators = [
        "&&", "||", ">", "<", ">>", "<<", "~", "!>", "!<", "!>>", "!<<", "!~", "&>", "&<", "&>>",
        "&<<", "&~",
    ]

    private mutating func spanset(_ depth: Int) -> NaiveSpanset {
        switch chance.below(depth > 2 ? 2 : 5) {
        case 0 where chance.happens(1, in: 2): return .filter(nil)
        case 0, 1: return .filter(condition(1))
        case 2 where depth > 0:
            return .pipeline(
                [.spanset(spanset(depth + 1))] + (chance.happens(1, in: 2) ? [scalar(2)] : []))
        default:
            return .binary(pick(QueryMaker.operators), spanset(depth + 1), spanset(depth + 1))
        }
    }

    private mutating func scalarOperand(_ depth: Int) -> NaiveScalar {
        switch chance.below(depth > 1 ? 3 : 5) {
        case 0:
            let value = Int64(chance.below(4))
            return .constant(.int(value), text: String(value))
        case 1: return .aggregate("count", nil)
        case 2:
            let name = pick(["avg", "min", "max", "sum"])
            if chance.happens(1, in: 3) { return .aggregate(name, .attribute(scoped())) }
            return .aggregate(name, .attribute(.intrinsic(pick(QueryMaker.numbers))))
        case 3:
            return .binary(
                pick(["+", "-", "*", "/", "%", "^"]), scalarOperand(depth + 1),
                scalarOperand(depth + 1))
        default: return .aggregate("count", nil)
        }
    }

    private mutating func scalar(_ depth: Int) -> NaiveStage {
        .scalar(
            pick(["=", "!=", "<", "<=", ">", ">="]), scalarOperand(depth), scalarOperand(depth))
    }

    private mutating func pipelineScalar() -> NaiveStage {
        func one(_ maker: inout QueryMaker) -> NaiveScalar {
            .pipeline([.spanset(maker.spanset(2))], maker.scalarAggregate())
        }
        let left =
            chance.happens(1, in: 3)
            ? NaiveScalar.binary(pick(["+", "-", "*"]), one(&self), one(&self)) : one(&self)
        let right = chance.happens(1, in: 2) ? one(&self) : .constant(.int(1), text: "1")
        return .scalar(pick(["=", "!=", "<", "<=", ">", ">="]), left, right)
    }

    private mutating func scalarAggregate() -> NaiveScalar {
        chance.happens(2, in: 3)
            ? .aggregate("count", nil)
            : .aggregate(pick(["avg", "min", "max"]), .attribute(.intrinsic("duration")))
    }

    private mutating func grouping() -> NaiveExpression {
        switch chance.below(4) {
        case 0: .attribute(.intrinsic(pick(["status", "kind", "name", "rootName"])))
        case 1: .binary("+", .attribute(scoped()), number())
        default: .attribute(scoped())
        }
    }

    mutating func stages() -> [NaiveStage] {
        var stages: [NaiveStage] = []
        if chance.happens(1, in: 10) {
            stages.append(pipelineScalar())
        } else if chance.happens(1, in: 12) {
            stages.append(.by(grouping()))
        } else {
            stages.append(.spanset(spanset(0)))
        }
        for _ in 0..<chance.skewed(4) {
            switch chance.below(7) {
            case 0: stages.append(.by(grouping()))
            case 1: stages.append(.coalesce)
            case 2: stages.append(.select([attribute(), scoped()]))
            case 3, 4: stages.append(scalar(0))
            default: stages.append(.spanset(spanset(1)))
            }
        }
        return stages
    }

    // MARK: metrics

    private mutating func firstStage() -> NaiveFirstStage {
        var stage = NaiveFirstStage(stages: [], function: "rate")
        stage.stages =
            chance.happens(1, in: 2) ? [.spanset(.filter(condition(1)))] : stages()
        if chance.happens(2, in: 3) {
            stage.function = pick([
                "count_over_time", "min_over_time", "max_over_time", "sum_over_time",
                "avg_over_time", "quantile_over_time", "histogram_over_time",
            ])
        }
        if stage.function != "rate", stage.function != "count_over_time" {
            stage.measured =
                chance.happens(1, in: 2) ? scoped() : .intrinsic(pick(QueryMaker.numbers))
        }
        if stage.function == "quantile_over_time" { stage.quantiles = [0.5, 0.9, 1] }
        for _ in 0..<chance.skewed(3) {
            let next = attribute()
            if !stage.grouping.contains(next) { stage.grouping.append(next) }
        }
        return stage
    }

    mutating func metric(_ depth: Int = 0) -> NaiveMetric {
        var result: NaiveMetric
        switch chance.below(depth > 1 ? 1 : 4) {
        case 0, 1: result = .first(firstStage())
        case 2:
            let number = NaiveMetric.number(
                .float(2.5), text: "2.5")
            result =
                chance.happens(1, in: 2)
                ? .math(pick(["+", "-", "*", "/"]), metric(depth + 1), number)
                : .math(pick(["+", "-", "*", "/"]), number, metric(depth + 1))
        default: result = .math(pick(["+", "-", "*", "/"]), metric(depth + 1), metric(depth + 1))
        }
        for _ in 0..<chance.skewed(3) {
            if chance.happens(1, in: 2) {
                result = .top(result, 1 + chance.below(3), isTop: chance.happens(1, in: 2))
            } else {
                result = .threshold(
                    result, pick([">", ">=", "<", "<=", "=", "!="]), pick([0.0, 1.0, 0.3]))
            }
        }
        return result
    }
}
