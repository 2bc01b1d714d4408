// SPDX-License-Identifier: Apache-2.0
// Spanset expressions and pipelines.

import Telemetry

extension Parser {
    /// What parentheses between spansets turn out to hold.
    private enum Operand {
        case spanset(SpansetExpression)
        case scalar(ScalarExpression)
    }

    /// Stages up to the first word that begins none. A pipeline that ends with a number has
    /// `.scalar` as its last stage, which is only right inside parentheses.
    mutating func pipeline() throws(TraceQLSyntaxError) -> SpansetPipeline {
        try enter()
        defer { leave() }
        var stages: [PipelineStage] = [try stage(isFirst: true)]
        while isSymbol("|") {
            let following = lookAhead(1)
            if following.kind == .identifier, Parser.metricsFunctions.contains(following.text) {
                break
            }
            if case .scalar? = stages.last { throw unexpected() }
            next()
            stages.append(try stage(isFirst: false))
        }
        return SpansetPipeline(stages: stages)
    }

    private mutating func stage(isFirst: Bool) throws(TraceQLSyntaxError) -> PipelineStage {
        if token.kind == .symbol {
            if token.text == "-" { return try scalarStage(try scalarOperand()) }
            guard token.text == "{" || token.text == "(" else { throw unexpected() }
            switch try spansetOrScalar(minimum: 1) {
            case .spanset(let expression): return .spanset(expression)
            case .scalar(let left): return try scalarStage(left)
            }
        }
        switch token.kind {
        case .int, .float, .duration: return try scalarStage(try scalarOperand())
        case .identifier: break
        default: throw unexpected()
        }
        switch token.text {
        case "by":
            next()
            try expectSymbol("(")
            let expression = try fieldExpression()
            try expectSymbol(")")
            return .group(expression)
        case "coalesce":
            guard !isFirst else { throw unexpected() }
            next()
            try expectSymbol("(")
            try expectSymbol(")")
            return .coalesce
        case "select":
            next()
            try expectSymbol("(")
            let attributes = try attributeList()
            try expectSymbol(")")
            return .select(attributes)
        default:
            guard SpanAggregate(rawValue: token.text) != nil else { throw unexpected() }
            return try scalarStage(try scalarOperand())
        }
    }

    mutating func attributeList() throws(TraceQLSyntaxError) -> [Attribute] {
        var result: [Attribute] = []
        repeat {
            guard token.kind == .attribute, let attribute = token.attribute else {
                throw unexpected()
            }
            next()
            result.append(attribute)
        } while takeSymbol(",")
        return result
    }

    // MARK: spansets

    private mutating func spansetOrScalar(minimum: Int) throws(TraceQLSyntaxError) -> Operand {
        try enter()
        defer { leave() }
        let first = try spansetOperand()
        guard case .spanset(var left) = first else { return first }
        while token.kind == .symbol, let operation = SpansetOperator(rawValue: token.text),
            operation.precedence >= minimum
        {
            next()
            try countOperator()
            guard token.kind == .symbol, token.text == "{" || token.text == "(" else {
                throw unexpected()
            }
            guard
                case .spanset(let right) = try spansetOrScalar(
                    minimum: operation.precedence + 1)
            else { throw unexpected() }
            left = .binary(operation, left, right)
        }
        return .spanset(left)
    }

    private mutating func spansetOperand() throws(TraceQLSyntaxError) -> Operand {
        if takeSymbol("{") {
            if takeSymbol("}") { return .spanset(.filter(nil)) }
            let expression = try fieldExpression()
            try expectSymbol("}")
            return .spanset(.filter(expression))
        }
        try expectSymbol("(")
        let inner = try pipeline()
        try expectSymbol(")")
        if case .scalar? = inner.stages.last { return .scalar(Parser.scalar(inner)) }
        if inner.stages.count == 1, case .spanset(let expression) = inner.stages[0] {
            return .spanset(expression)
        }
        return .spanset(.pipeline(inner))
    }

    // MARK: scalars

    /// Arithmetic behind a first operand, and the comparison that makes a filter of it.
    private mutating func scalarStage(
        _ first: ScalarExpression
    ) throws(TraceQLSyntaxError) -> PipelineStage {
        let left = try scalarExpression(first, minimum: 3)
        guard token.kind == .symbol, let operation = FieldOperator(rawValue: token.text),
            operation.isComparison, operation != .matches, operation != .notMatches
        else {
            // A bare number may only end a pipeline in parentheses.
            guard isSymbol(")") else { throw unexpected() }
            return .scalar(left)
        }
        next()
        let right = try scalarExpression(try scalarOperand(), minimum: 3)
        guard left.holdsAggregate || right.holdsAggregate else { throw unexpected() }
        return .scalarFilter(operation, left, right)
    }

    private mutating func scalarExpression(
        _ first: ScalarExpression, minimum: Int
    ) throws(TraceQLSyntaxError) -> ScalarExpression {
        try enter()
        defer { leave() }
        var left = first
        while token.kind == .symbol, let operation = FieldOperator(rawValue: token.text),
            operation.isArithmetic, operation.precedence >= minimum
        {
            next()
            try countOperator()
            let right = try scalarExpression(
                try scalarOperand(),
                minimum: operation.precedence + (operation == .power ? 0 : 1))
            left = .binary(operation, left, right)
        }
        return left
    }

    /// Parentheses around a number alone are no pipeline.
    private static func scalar(_ pipeline: SpansetPipeline) -> ScalarExpression {
        if pipeline.stages.count == 1, case .scalar(let only) = pipeline.stages[0] { return only }
        return .pipeline(pipeline)
    }

    private mutating func scalarOperand() throws(TraceQLSyntaxError) -> ScalarExpression {
        if token.kind == .identifier, let aggregate = SpanAggregate(rawValue: token.text) {
            next()
            try expectSymbol("(")
            if aggregate == .count {
                try expectSymbol(")")
                return .aggregate(.count, nil)
            }
            let expression = try fieldExpression()
            try expectSymbol(")")
            return .aggregate(aggregate, expression)
        }
        if isSymbol("(") {
            next()
            try enter()
            defer { leave() }
            if token.value != nil || isSymbol("-") {
                let inner = try scalarExpression(try scalarOperand(), minimum: 3)
                try expectSymbol(")")
                return inner
            }
            let inner = try pipeline()
            try expectSymbol(")")
            guard case .scalar? = inner.stages.last else { throw unexpected() }
            return Parser.scalar(inner)
        }
        switch try constant() {
        case .int(let value): return .constant(.int(value))
        case .float(let value): return .constant(.float(value))
        case .duration(let nanos): return .constant(.duration(nanos))
        default:
            position -= 1
            throw unexpected()
        }
    }
}

extension ScalarExpression {
    fileprivate var holdsAggregate: Bool {
        switch self {
        case .constant: false
        case .aggregate, .pipeline: true
        case .binary(_, let left, let right): left.holdsAggregate || right.holdsAggregate
        }
    }
}
