// SPDX-License-Identifier: Apache-2.0
// Whether a query's types fit.

import Base
import Telemetry

/// A query whose shape is right and that still cannot be answered.
package struct TraceQLValidationError: Error, Equatable, Sendable, CustomStringConvertible {
    package var description: String
    /// The query makes sense and is not supported.
    package var isUnsupported = false

    init(_ description: String) { self.description = description }

    static func unsupported(_ what: String) -> TraceQLValidationError {
        var error = TraceQLValidationError("\(what) not yet supported")
        error.isUnsupported = true
        return error
    }
}

extension TraceQLQuery {
    /// Senselessness is reported before lack of support.
    func validate() throws(TraceQLValidationError) {
        switch kind {
        case .search(let pipeline):
            try pipeline.checkTypes()
            try pipeline.checkSupport()
        case .metrics(let expression):
            try expression.checkTypes()
            try expression.checkSupport()
        }
    }
}

// MARK: - Types

extension FieldExpression {
    /// Types of constants, intrinsics and results; an attribute may be anything.
    var type: StaticType {
        switch self {
        case .constant(let value): value.type
        case .attribute(let attribute): attribute.intrinsic?.type ?? .unknown
        case .not: .bool
        case .negate(let inner): inner.type
        case .binary(let operation, let left, let right):
            operation.isArithmetic ? FieldExpression.arithmeticType(left.type, right.type) : .bool
        }
    }

    private static func arithmeticType(_ a: StaticType, _ b: StaticType) -> StaticType {
        if a == .unknown || b == .unknown { return .unknown }
        if a == .float || b == .float { return .float }
        return a == .duration || b == .duration ? .duration : .int
    }

    func checkTypes() throws(TraceQLValidationError) {
        switch self {
        case .constant, .attribute: return
        case .not(let inner):
            try inner.checkTypes()
            guard inner.type == .bool || inner.type == .unknown else {
                throw TraceQLValidationError("illegal operation for the given type: !\(inner.text)")
            }
        case .negate(let inner):
            try inner.checkTypes()
            guard inner.type.isNumeric || inner.type == .unknown || inner.type == .none else {
                throw TraceQLValidationError("illegal operation for the given type: -\(inner.text)")
            }
        case .binary(let operation, let left, let right):
            try left.checkTypes()
            try right.checkTypes()
            try check(operation, left, right)
        }
    }

    private func check(
        _ operation: FieldOperator, _ left: FieldExpression, _ right: FieldExpression
    ) throws(TraceQLValidationError) {
        let a = left.type, b = right.type
        if a == .null || b == .null { return try checkNull(operation, left, right) }
        guard a.fits(b) else {
            throw TraceQLValidationError("binary operations must operate on the same type: \(text)")
        }
        for side in [a, b] where !operation.accepts(side) {
            throw TraceQLValidationError("illegal operation for the given types: \(text)")
        }
        if operation == .matches || operation == .notMatches {
            guard case .constant(.string(let pattern)) = right else {
                // Patterns are compiled once, so they have to be constants.
                throw TraceQLValidationError("illegal operation for the given types: \(text)")
            }
            do {
                _ = try RegularExpression(pattern)
            } catch {
                throw TraceQLValidationError("invalid regex \(quotedText(pattern)): \(error)")
            }
        }
    }

    /// `nil` is asked for with `=` and `!=`, and only of what may be absent.
    private func checkNull(
        _ operation: FieldOperator, _ left: FieldExpression, _ right: FieldExpression
    ) throws(TraceQLValidationError) {
        guard operation == .equal || operation == .notEqual else {
            throw TraceQLValidationError("nil is only comparable with = and !=: \(text)")
        }
        for side in [left, right] {
            switch side {
            case .constant(.null): continue
            case .attribute(let attribute):
                let isServiceName =
                    attribute.scope == .resource && attribute.name == "service.name"
                if attribute.isParent || (attribute.intrinsic == nil && !isServiceName) { continue }
                throw TraceQLValidationError("\(attribute.text) cannot be compared with nil")
            default:
                throw TraceQLValidationError("only attributes are comparable with nil: \(text)")
            }
        }
    }

    /// Whether the expression depends on the span at all.
    var readsSpan: Bool {
        switch self {
        case .constant: false
        case .attribute: true
        case .not(let inner), .negate(let inner): inner.readsSpan
        case .binary(_, let left, let right): left.readsSpan || right.readsSpan
        }
    }

    /// As a query spells it, parentheses added.
    var text: String {
        switch self {
        case .constant(let value): value.text
        case .attribute(let attribute): attribute.text
        case .not(let inner): "!" + inner.text
        case .negate(let inner): "-" + inner.text
        case .binary(let operation, let left, let right):
            "(\(left.text) \(operation.rawValue) \(right.text))"
        }
    }
}

extension Static {
    package var text: String {
        switch self {
        case .null: "nil"
        case .bool(let flag): flag ? "true" : "false"
        case .int(let number): String(number)
        case .float(let number): floatText(number)
        case .duration(let nanos): goDurationText(nanos: nanos)
        case .string(let text): "`\(text)`"
        case .status(let code): Static.statusNames[Int(clamping: code), default: "unset"]
        case .kind(let kind): Static.kindNames[Int(clamping: kind), default: "unspecified"]
        }
    }
    package static let statusNames = [0: "unset", 1: "ok", 2: "error"]
    package static let kindNames = [
        0: "unspecified", 1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer",
    ]
}

extension StaticType {
    fileprivate func fits(_ other: StaticType) -> Bool {
        self == other || self == .unknown || other == .unknown || self == .none || other == .none
            || (isNumeric && other.isNumeric)
    }
}

extension FieldOperator {
    fileprivate func accepts(_ type: StaticType) -> Bool {
        if type == .unknown || type == .none { return true }
        switch self {
        case .and, .or: return type == .bool
        case .equal, .notEqual: return true
        case .matches, .notMatches: return type == .string
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            return type.isNumeric || type == .string
        default: return type.isNumeric
        }
    }
}

extension SpansetExpression {
    func checkTypes() throws(TraceQLValidationError) {
        switch self {
        case .filter(nil): return
        case .filter(let expression?):
            try expression.checkTypes()
            guard
                expression.type == .bool || expression.type == .unknown || expression.type == .none
            else {
                throw TraceQLValidationError(
                    "span filter field expressions must resolve to a boolean: {\(expression.text)}")
            }
        case .pipeline(let pipeline): try pipeline.checkTypes()
        case .binary(_, let left, let right):
            try left.checkTypes()
            try right.checkTypes()
        }
    }
}

extension ScalarExpression {
    func checkTypes() throws(TraceQLValidationError) {
        switch self {
        case .constant: return
        case .aggregate(_, let expression):
            guard let expression else { return }
            try expression.checkTypes()
            guard expression.type.isNumeric || expression.type == .unknown else {
                throw TraceQLValidationError(
                    "aggregate field expressions must resolve to a number type: \(expression.text)")
            }
            guard expression.readsSpan else {
                throw TraceQLValidationError(
                    "aggregate field expressions must reference the span: \(expression.text)")
            }
        case .pipeline(let pipeline): try pipeline.checkTypes()
        case .binary(_, let left, let right):
            try left.checkTypes()
            try right.checkTypes()
        }
    }
}

extension SpansetPipeline {
    func checkTypes() throws(TraceQLValidationError) {
        for stage in stages {
            switch stage {
            case .spanset(let expression): try expression.checkTypes()
            case .scalarFilter(_, let left, let right):
                try left.checkTypes()
                try right.checkTypes()
            case .scalar(let expression): try expression.checkTypes()
            case .group(let expression):
                try expression.checkTypes()
                guard expression.readsSpan else {
                    throw TraceQLValidationError(
                        "grouping field expressions must reference the span: \(expression.text)")
                }
            case .coalesce, .select: continue
            }
        }
    }
}

// MARK: - Support

extension FieldExpression {
    fileprivate func checkSupport() throws(TraceQLValidationError) {
        switch self {
        case .constant: return
        case .attribute(let attribute): try attribute.checkSupport()
        case .not(let inner), .negate(let inner): try inner.checkSupport()
        case .binary(_, let left, let right):
            try left.checkSupport()
            try right.checkSupport()
        }
    }
}

extension Attribute {
    fileprivate func checkSupport() throws(TraceQLValidationError) {
        if isParent { throw .unsupported("parent") }
        if intrinsic == .parent { throw .unsupported("intrinsic (parent)") }
    }
}

extension SpansetExpression {
    fileprivate func checkSupport() throws(TraceQLValidationError) {
        switch self {
        case .filter(let expression): try expression?.checkSupport()
        case .pipeline(let pipeline): try pipeline.checkSupport()
        case .binary(_, let left, let right):
            try left.checkSupport()
            try right.checkSupport()
        }
    }
}

extension ScalarExpression {
    fileprivate func checkSupport() throws(TraceQLValidationError) {
        switch self {
        case .constant: return
        case .aggregate(_, let expression): try expression?.checkSupport()
        case .pipeline(let pipeline):
            try pipeline.checkSupport()
            // Which of several spansets gave the number could not be told.
            var isGrouped = false
            for stage in pipeline.stages {
                switch stage {
                case .group: isGrouped = true
                case .coalesce: isGrouped = false
                default: continue
                }
            }
            if isGrouped { throw .unsupported("by() without coalesce() in arithmetic") }
        case .binary(_, let left, let right):
            try left.checkSupport()
            try right.checkSupport()
        }
    }
}

extension SpansetPipeline {
    fileprivate func checkSupport() throws(TraceQLValidationError) {
        for stage in stages {
            switch stage {
            case .spanset(let expression): try expression.checkSupport()
            case .scalarFilter(_, let left, let right):
                try left.checkSupport()
                try right.checkSupport()
            case .scalar(let expression): try expression.checkSupport()
            case .group(let expression): try expression.checkSupport()
            case .select(let attributes): for item in attributes { try item.checkSupport() }
            case .coalesce: continue
            }
        }
    }
}

extension MetricsAggregation {
    fileprivate func checkCompare() throws(TraceQLValidationError) {
        guard let topN = compareParameters.first else { return }
        guard (1...1000).contains(topN) else {
            throw TraceQLValidationError(
                "compare() top number of values must be an integer from 1 to 1000")
        }
        guard compareParameters.count == 3, compareParameters[1] != 0 || compareParameters[2] != 0
        else { return }
        guard compareParameters[1] > 0, compareParameters[2] > 0 else {
            throw TraceQLValidationError(
                "compare() timestamps must be positive integer unix nanoseconds")
        }
        guard compareParameters[2] > compareParameters[1] else {
            throw TraceQLValidationError(
                "compare() end timestamp must be greater than start timestamp")
        }
    }
}

extension MetricsExpression {
    private var holdsCompare: Bool {
        switch self {
        case .pipeline(_, let aggregation, _): aggregation.function == "compare"
        case .number: false
        case .binary(_, let left, let right): left.holdsCompare || right.holdsCompare
        case .staged(let inner, _): inner.holdsCompare
        }
    }

    fileprivate func checkTypes() throws(TraceQLValidationError) {
        switch self {
        case .number: return
        case .pipeline(let pipeline, let aggregation, let stages):
            try pipeline.checkTypes()
            if let selection = aggregation.selection {
                try SpansetExpression.filter(selection).checkTypes()
            }
            try aggregation.checkCompare()
            for quantile in aggregation.quantiles where !(0...1).contains(quantile) {
                throw TraceQLValidationError("quantile must be between 0 and 1: \(quantile)")
            }
            try checkStages(stages)
        case .staged(let inner, let stages):
            try inner.checkTypes()
            try checkStages(stages)
        case .binary(_, let left, let right):
            if holdsCompare {
                throw TraceQLValidationError("compare() cannot be used in metrics math")
            }
            try left.checkTypes()
            try right.checkTypes()
        }
    }

    private func checkStages(_ stages: [MetricsStage]) throws(TraceQLValidationError) {
        if !stages.isEmpty, holdsCompare {
            throw TraceQLValidationError("compare() cannot be followed by another stage")
        }
        for stage in stages {
            switch stage {
            case .topk(let count), .bottomk(let count):
                if count <= 0 {
                    throw TraceQLValidationError("topk and bottomk need a number greater than 0")
                }
            case .threshold: continue
            }
        }
    }

    fileprivate func checkSupport() throws(TraceQLValidationError) {
        switch self {
        case .number: return
        case .pipeline(let pipeline, let aggregation, _):
            try pipeline.checkSupport()
            try aggregation.selection?.checkSupport()
            try aggregation.attribute?.checkSupport()
            for item in aggregation.grouping { try item.checkSupport() }
        case .staged(let inner, _): try inner.checkSupport()
        case .binary(_, let left, let right):
            try left.checkSupport()
            try right.checkSupport()
        }
    }
}
