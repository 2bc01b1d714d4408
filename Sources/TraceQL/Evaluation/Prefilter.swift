// SPDX-License-Identifier: Apache-2.0
// What one span tells about whether its trace may answer.

import Base
import Telemetry

/// Conditions for the reader, and the exact test for what comes back.
struct Prefilter {
    var conditions: [SpanCondition] = []
    var matchAll = true
    /// A span is a candidate when one of these holds; empty = every span is.
    var filters: [CompiledExpression] = []

    /// - Parameter pipeline: its first stage that names spans decides; later ones only take away.
    init(_ pipeline: SpansetPipeline) throws {
        var leaves: [FieldExpression?] = []
        Prefilter.collect(pipeline, &leaves)
        let known = leaves.compactMap { $0 }
        guard known.count == leaves.count else { return }
        if !known.contains(where: \.needsTrace) {
            filters = try known.map { try CompiledExpression($0) }
        }
        if known.count == 1 {
            (conditions, matchAll) = Prefilter.conditions(known[0])
        } else {
            // Any of the leaves may be the one: one necessary condition of each.
            matchAll = false
            for leaf in known {
                let (parts, all) = Prefilter.conditions(leaf)
                if parts.isEmpty {
                    conditions = []
                    return
                }
                conditions += all ? [parts[0]] : parts
            }
        }
    }

    /// Filters of which each span of the answer satisfies one; nil stands for all spans.
    private static func collect(_ pipeline: SpansetPipeline, _ leaves: inout [FieldExpression?]) {
        for stage in pipeline.stages {
            switch stage {
            case .spanset(let expression): return collect(expression, &leaves)
            case .scalarFilter(_, let left, let right):
                // The spans of pipelines inside are the answer.
                if left.holdsPipeline || right.holdsPipeline {
                    collect(left, &leaves)
                    return collect(right, &leaves)
                }
            case .scalar(let expression) where expression.holdsPipeline:
                return collect(expression, &leaves)
            case .scalar, .select, .group, .coalesce: continue
            }
        }
        leaves.append(nil)
    }

    private static func collect(_ scalar: ScalarExpression, _ leaves: inout [FieldExpression?]) {
        switch scalar {
        case .constant, .aggregate: return
        case .pipeline(let pipeline): collect(pipeline, &leaves)
        case .binary(_, let left, let right):
            collect(left, &leaves)
            collect(right, &leaves)
        }
    }

    private static func collect(
        _ expression: SpansetExpression, _ leaves: inout [FieldExpression?]
    ) {
        switch expression {
        case .filter(let condition): leaves.append(condition)
        case .pipeline(let pipeline): collect(pipeline, &leaves)
        case .binary(let operation, let left, let right):
            // The answer of a structural operator, negated or not, are spans of its right side.
            if operation.answersBothSides { collect(left, &leaves) }
            collect(right, &leaves)
        }
    }

    /// Conditions of which all are necessary, or with `matchAll` false of which one is; none when
    /// nothing can be said.
    static func conditions(
        _ expression: FieldExpression
    ) -> (conditions: [SpanCondition], matchAll: Bool) {
        switch expression {
        case .binary(.and, let left, let right):
            let a = conditions(left), b = conditions(right)
            // A disjunction cannot be part of a conjunction of simple conditions.
            switch (a.matchAll, b.matchAll) {
            case (true, true): return (a.conditions + b.conditions, true)
            case (true, false): return a.conditions.isEmpty ? b : a
            case (false, true): return b.conditions.isEmpty ? a : b
            case (false, false): return a
            }
        case .binary(.or, let left, let right):
            let a = conditions(left), b = conditions(right)
            guard !a.conditions.isEmpty, !b.conditions.isEmpty else { return ([], true) }
            let x = a.matchAll ? [a.conditions[0]] : a.conditions
            let y = b.matchAll ? [b.conditions[0]] : b.conditions
            return (x + y, false)
        case .binary(let operation, let left, let right)
        where FieldExpression.asksForRoot(operation, left, right) == true:
            return ([SpanCondition(.intrinsic(.parentID), .equal, .string(""))], true)
        case .binary(let operation, .attribute(let attribute), .constant(let value)):
            return (condition(attribute, operation, value).map { [$0] } ?? [], true)
        case .binary(let operation, .constant(let value), .attribute(let attribute)):
            return (
                operation.mirrored.flatMap { condition(attribute, $0, value) }.map { [$0] } ?? [],
                true
            )
        case .attribute(let attribute):
            return (condition(attribute, .equal, .bool(true)).map { [$0] } ?? [], true)
        default: return ([], true)
        }
    }

    private static func condition(
        _ attribute: Attribute, _ operation: FieldOperator, _ value: Static
    ) -> SpanCondition? {
        // What only whole traces know is decided when they are read.
        guard attribute.intrinsic?.needsTrace != true, let subject = attribute.subject else {
            return nil
        }
        if value == .null {
            return operation == .notEqual
                ? SpanCondition(subject, .exists, .bool(true)) : nil
        }
        let shared: SpanCondition.Operation
        switch operation {
        case .equal: shared = .equal
        case .notEqual: shared = .notEqual
        case .less: shared = .less
        case .lessOrEqual: shared = .lessOrEqual
        case .greater: shared = .greater
        case .greaterOrEqual: shared = .greaterOrEqual
        case .matches: shared = .matches
        case .notMatches: shared = .notMatches
        default: return nil
        }
        let sharedValue: AttributeValue
        switch value {
        case .null: return nil
        case .bool(let flag): sharedValue = .bool(flag)
        case .int(let number), .duration(let number), .status(let number), .kind(let number):
            sharedValue = .int(number)
        case .float(let number): sharedValue = .double(number)
        case .string(let text): sharedValue = .string(attribute.canonicalIdentifier(text))
        }
        return SpanCondition(subject, shared, sharedValue)
    }
}

extension ScalarExpression {
    fileprivate var holdsPipeline: Bool {
        switch self {
        case .constant, .aggregate: false
        case .pipeline: true
        case .binary(_, let left, let right): left.holdsPipeline || right.holdsPipeline
        }
    }
}

extension FieldOperator {
    /// The comparison with its sides exchanged.
    fileprivate var mirrored: FieldOperator? {
        switch self {
        case .equal, .notEqual: self
        case .less: .greater
        case .lessOrEqual: .greaterOrEqual
        case .greater: .less
        case .greaterOrEqual: .lessOrEqual
        default: nil
        }
    }
}

extension Attribute {
    /// What readers call it; nil where they do not know it.
    package var subject: SpanCondition.Subject? {
        guard let intrinsic else { return isParent ? nil : .attribute(scope, name) }
        switch intrinsic {
        case .duration: return .intrinsic(.duration)
        case .name: return .intrinsic(.name)
        case .status: return .intrinsic(.status)
        case .statusMessage: return .intrinsic(.statusMessage)
        case .kind: return .intrinsic(.kind)
        case .traceID: return .intrinsic(.traceID)
        case .spanID: return .intrinsic(.spanID)
        case .parentID: return .intrinsic(.parentID)
        case .rootName: return .intrinsic(.rootName)
        case .rootServiceName: return .intrinsic(.rootService)
        case .traceDuration: return .intrinsic(.traceDuration)
        case .eventName: return .intrinsic(.eventName)
        case .instrumentationName: return .intrinsic(.instrumentationName)
        case .instrumentationVersion: return .intrinsic(.instrumentationVersion)
        case .parent, .nestedSetLeft, .nestedSetRight, .nestedSetParent, .childCount,
            .eventTimeSinceStart, .linkTraceID, .linkSpanID:
            return nil
        }
    }
}
