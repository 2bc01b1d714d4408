// SPDX-License-Identifier: Apache-2.0
// Metric queries.

import Base
import PromQL
import Telemetry

extension Parser {
    /// A query or a part of one, operators included.
    mutating func expression() throws(LogQLSyntaxError) -> LogQLExpression {
        try binary(minimumPrecedence: 1)
    }

    private func binaryOperation() -> BinaryOperator? {
        guard token.kind == .symbol || token.kind == .keyword else { return nil }
        return BinaryOperator(rawValue: token.text)
    }

    /// Precedence climbing; `^` binds to the right, everything else to the left.
    private mutating func binary(
        minimumPrecedence: Int
    ) throws(LogQLSyntaxError) -> LogQLExpression {
        var left = try operand()
        while let operation = binaryOperation(), binding(operation) >= minimumPrecedence {
            next()
            binaryOperations += 1
            if binaryOperations > SyntaxLimits.binaryOperations {
                throw LogQLSyntaxError(
                    "query has more than \(SyntaxLimits.binaryOperations) binary operations")
            }
            let modifiers = try binaryModifiers(operation)
            try enter()
            let right = try binary(
                minimumPrecedence: binding(operation) + (operation == .power ? 0 : 1))
            leave()
            left = .metric(try combine(operation, modifiers, left, right))
        }
        return left
    }

    private mutating func binaryModifiers(
        _ operation: BinaryOperator
    ) throws(LogQLSyntaxError) -> BinaryModifiers {
        var modifiers = BinaryModifiers()
        if operation.isSet { modifiers.matching.cardinality = .manyToMany }
        if takeKeyword("bool") { modifiers.returnsBool = true }
        guard token.isKeyword("on") || token.isKeyword("ignoring") else { return modifiers }
        modifiers.matching.isOn = next().text == "on"
        modifiers.matching.labels = try labelList()
        guard token.isKeyword("group_left") || token.isKeyword("group_right") else {
            return modifiers
        }
        modifiers.matching.cardinality = next().text == "group_left" ? .manyToOne : .oneToMany
        // `group_left (` may also begin the right side in parentheses.
        if token.isSymbol("("),
            lookAhead(1).isSymbol(")")
                || (lookAhead(1).kind == .identifier
                    && (lookAhead(2).isSymbol(",") || lookAhead(2).isSymbol(")")))
        {
            modifiers.matching.include = try labelList()
        }
        return modifiers
    }

    /// `(a, b)`.
    mutating func labelList() throws(LogQLSyntaxError) -> [String] {
        try expectSymbol("(")
        var labels: [String] = []
        if takeSymbol(")") { return labels }
        while true {
            guard token.kind == .identifier else {
                throw labels.isEmpty ? unexpected("IDENTIFIER", ")") : unexpected("IDENTIFIER")
            }
            labels.append(next().text)
            if takeSymbol(")") { return labels }
            guard takeSymbol(",") else { throw unexpected(")", ",") }
        }
    }

    private mutating func operand() throws(LogQLSyntaxError) -> LogQLExpression {
        switch token.kind {
        case .symbol where token.text == "{":
            let matchers = try selector()
            return try analysis(of: LogSelector(matchers: matchers, stages: try stages()))
        case .symbol where token.text == "(":
            next()
            try enter()
            var inner = try expression()
            leave()
            guard takeSymbol(")") else { throw unexpected() }
            // A pipeline may follow a log query in parentheses.
            if case .log(var selector) = inner {
                selector.stages += try stages()
                inner = try analysis(of: selector)
            }
            return inner
        case .number: return .metric(.literal(try number()))
        case .symbol where token.text == "+" || token.text == "-":
            return .metric(.literal(try number()))
        case .function:
            if let operation = RangeOperation(rawValue: token.text) {
                return .metric(.range(try rangeAggregation(operation)))
            }
            if let operation = AggregationOperation(rawValue: token.text) {
                return .metric(try aggregation(operation))
            }
            if token.text == "label_replace" { return .metric(try labelReplace()) }
            if token.text == "vector" {
                next()
                try expectSymbol("(")
                let value = try number()
                try expectSymbol(")")
                return .metric(.vector(value))
            }
            throw unexpected()
        default: throw unexpected()
        }
    }

    // MARK: range aggregations

    private mutating func rangeAggregation(
        _ operation: RangeOperation
    ) throws(LogQLSyntaxError) -> RangeAggregation {
        next()
        try expectSymbol("(")
        var parameter: Double?
        if token.kind == .number {
            parameter = try number()
            try expectSymbol(",")
        } else if !token.isSymbol("{"), !token.isSymbol("(") {
            throw unexpected("NUMBER", "{", "(")
        }
        var range = LogRangeParts()
        try logRange(into: &range)
        guard let nanos = range.rangeNanos else { throw unexpected() }
        guard takeSymbol(")") else { throw unexpected() }
        let grouping = try self.grouping()
        let result = RangeAggregation(
            operation: operation, parameter: parameter,
            selector: LogSelector(matchers: range.matchers, stages: range.stages),
            unwrap: range.unwrap, rangeNanos: nanos, offsetNanos: range.offsetNanos,
            grouping: grouping)
        try check(result)
        return result
    }

    private func check(_ range: RangeAggregation) throws(LogQLSyntaxError) {
        let name = range.operation.rawValue
        if range.grouping != nil, !range.operation.allowsGrouping {
            throw LogQLSyntaxError("grouping not allowed for \(name) aggregation")
        }
        switch range.operation.unwrapRule {
        case .required where range.unwrap == nil:
            throw LogQLSyntaxError("invalid aggregation \(name) without unwrap")
        case .forbidden where range.unwrap != nil:
            throw LogQLSyntaxError("invalid aggregation \(name) with unwrap")
        default: break
        }
        if range.operation == .quantileOverTime, range.parameter == nil {
            throw LogQLSyntaxError("parameter required for operation \(name)")
        }
        if range.operation != .quantileOverTime, let parameter = range.parameter {
            throw LogQLSyntaxError(
                "parameter \(floatText(parameter)) not supported for operation \(name)")
        }
        if range.rangeNanos <= 0 {
            throw LogQLSyntaxError("the range of \(name) must be greater than 0")
        }
    }

    /// What stands inside the parentheses of a range aggregation; the range may come anywhere.
    private struct LogRangeParts {
        var matchers: [LabelMatcher] = []
        var stages: [StageSyntax] = []
        var unwrap: UnwrapSyntax?
        var rangeNanos: Int64?
        var offsetNanos: Int64 = 0
    }

    private mutating func logRange(into parts: inout LogRangeParts) throws(LogQLSyntaxError) {
        if token.isSymbol("(") {
            next()
            try enter()
            try logRange(into: &parts)
            leave()
            guard takeSymbol(")") else { throw unexpected() }
        } else {
            parts.matchers = try selector()
        }
        try rangeAndOffset(into: &parts)
        if parts.unwrap == nil {
            parts.stages += try stages()
            try unwrap(into: &parts)
        }
        try rangeAndOffset(into: &parts)
    }

    private mutating func rangeAndOffset(
        into parts: inout LogRangeParts
    ) throws(LogQLSyntaxError) {
        guard token.kind == .range else { return }
        guard parts.rangeNanos == nil else { throw unexpected() }
        parts.rangeNanos = next().quantity
        if takeKeyword("offset") {
            guard token.kind == .duration else { throw unexpected("DURATION") }
            parts.offsetNanos = next().quantity
        }
    }

    private mutating func unwrap(into parts: inout LogRangeParts) throws(LogQLSyntaxError) {
        guard token.isSymbol("|"), lookAhead(1).isKeyword("unwrap") else { return }
        next()
        next()
        var unwrap = UnwrapSyntax(label: "", conversion: nil, filters: [])
        if token.kind == .function, let conversion = UnwrapSyntax.Conversion(rawValue: token.text) {
            next()
            try expectSymbol("(")
            unwrap.conversion = conversion
            unwrap.label = try expectIdentifier()
            try expectSymbol(")")
        } else {
            unwrap.label = try expectIdentifier()
        }
        while token.isSymbol("|") {
            next()
            unwrap.filters.append(try labelFilter())
        }
        parts.unwrap = unwrap
    }

    private mutating func grouping() throws(LogQLSyntaxError) -> LabelGrouping? {
        guard token.isKeyword("by") || token.isKeyword("without") else { return nil }
        let isWithout = next().text == "without"
        return LabelGrouping(isWithout: isWithout, labels: try labelList())
    }

    // MARK: vector aggregations

    private mutating func aggregation(
        _ operation: AggregationOperation
    ) throws(LogQLSyntaxError) -> MetricExpression {
        let name = next().text
        var grouping = try self.grouping()
        try expectSymbol("(")
        try enter()
        var parameter: String?
        if token.kind == .number, lookAhead(1).isSymbol(",") {
            parameter = next().text
            next()
        }
        guard case .metric(let inner) = try expression() else { throw unexpected() }
        leave()
        guard takeSymbol(")") else { throw unexpected() }
        if grouping == nil { grouping = try self.grouping() }
        if grouping != nil {
            switch operation {
            case .approximateTopK, .sort, .sortDescending:
                throw LogQLSyntaxError("grouping not allowed for \(name) aggregation")
            default: break
            }
        }
        guard operation.needsParameter else {
            if let parameter {
                throw LogQLSyntaxError("unsupported parameter for operation \(name)(\(parameter),")
            }
            return .aggregation(operation, parameter: 0, grouping, inner)
        }
        guard let parameter else {
            throw LogQLSyntaxError("parameter required for operation \(name)")
        }
        guard let count = Int(parameter) else {
            throw LogQLSyntaxError("invalid parameter \(name)(\(parameter),")
        }
        guard count > 0 else {
            throw LogQLSyntaxError(
                "invalid parameter (must be greater than 0) \(name)(\(parameter)")
        }
        return .aggregation(operation, parameter: count, grouping, inner)
    }

    private mutating func labelReplace() throws(LogQLSyntaxError) -> MetricExpression {
        next()
        try expectSymbol("(")
        try enter()
        guard case .metric(let inner) = try expression() else { throw unexpected() }
        leave()
        var arguments: [String] = []
        for _ in 0..<4 {
            guard takeSymbol(",") else { throw unexpected() }
            arguments.append(try expectString())
        }
        try expectSymbol(")")
        let replacement = LabelReplacement(
            destination: arguments[0], replacement: arguments[1], source: arguments[2],
            pattern: arguments[3])
        do {
            _ = try RegularExpression("^(?:" + replacement.pattern + ")$")
        } catch {
            throw LogQLSyntaxError("invalid regex in label_replace: \(goRegexText(error))")
        }
        return .labelReplace(inner, replacement)
    }

    // MARK: binary operations

    private func combine(
        _ operation: BinaryOperator, _ modifiers: BinaryModifiers, _ left: LogQLExpression,
        _ right: LogQLExpression
    ) throws(LogQLSyntaxError) -> MetricExpression {
        func metric(
            _ side: String, _ expression: LogQLExpression
        ) throws(LogQLSyntaxError) -> MetricExpression {
            switch expression {
            case .metric(let metric): return metric
            case .log(let selector):
                let type = selector.stages.isEmpty ? "MatchersExpr" : "PipelineExpr"
                throw LogQLSyntaxError(
                    "unexpected type for \(side) leg of binary operation (\(operation.rawValue)): "
                        + "*syntax.\(type)")
            case .analysis:
                throw LogQLSyntaxError(
                    "unexpected type for \(side) leg of binary operation (\(operation.rawValue)): "
                        + "an analysis of log lines")
            }
        }
        let left = try metric("left", left)
        let right = try metric("right", right)
        if operation.isSet {
            for (side, leg) in [("left", left), ("right", right)] {
                guard case .literal(let value) = leg else { continue }
                throw LogQLSyntaxError(
                    "unexpected literal for \(side) leg of logical/set binary operation "
                        + "(\(operation.rawValue)): \(fixedPointText(value))")
            }
        }
        if case .literal(let x) = left, case .literal(let y) = right {
            return .literal(logQLScalar(operation, x, y))
        }
        return .binary(operation, modifiers, left, right)
    }
}

/// Binding strength, weakest first.
private func binding(_ operation: BinaryOperator) -> Int {
    switch operation {
    case .or: 1
    case .and, .unless: 2
    case .add, .subtract: 4
    case .multiply, .divide, .modulo: 5
    case .power: 6
    default: 3
    }
}

/// A number with six decimals, as Go's `%f` prints it.
func fixedPointText(_ value: Double) -> String {
    guard value.magnitude < 1e12 else { return floatPlainText(value) }
    let scaled = (value.magnitude * 1e6).rounded()
    let whole = Int64(scaled / 1e6)
    let fraction = String(Int64(scaled) - whole * 1_000_000)
    let zeros = String(repeating: "0", count: max(0, 6 - fraction.utf8.count))
    return (value < 0 ? "-" : "") + "\(whole).\(zeros)\(fraction)"
}
