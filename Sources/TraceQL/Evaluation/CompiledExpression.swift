// SPDX-License-Identifier: Apache-2.0
// Expressions over spans, ready to be asked many times.

import Base
import Telemetry

/// A compiled `FieldExpression`: patterns and texts are prepared once.
indirect enum CompiledExpression {
    case constant(Static, SharedBytes?)
    case attribute(Attribute, name: SharedBytes)
    case not(CompiledExpression)
    case negate(CompiledExpression)
    /// Whether the span has no parent, or with false has one.
    case isRoot(Bool)
    case both(CompiledExpression, CompiledExpression)
    case either(CompiledExpression, CompiledExpression)
    /// `!= nil`, or with `isNegated` `= nil`.
    case exists(CompiledExpression, isNegated: Bool)
    case compare(FieldOperator, CompiledExpression, CompiledExpression, RegularExpression?)
    case arithmetic(FieldOperator, CompiledExpression, CompiledExpression)

    init(_ expression: FieldExpression) throws {
        switch expression {
        case .constant(let value):
            var text: SharedBytes?
            if case .string(let string) = value { text = SharedBytes(Array(string.utf8)) }
            self = .constant(value, text)
        case .attribute(let attribute):
            self = .attribute(attribute, name: SharedBytes(Array(attribute.name.utf8)))
        case .not(let inner): self = .not(try CompiledExpression(inner))
        case .negate(let inner): self = .negate(try CompiledExpression(inner))
        case .binary(let operation, let left, let right):
            self = try CompiledExpression.binary(operation, left, right)
        }
    }

    private static func binary(
        _ operation: FieldOperator, _ left: FieldExpression, _ right: FieldExpression
    ) throws -> CompiledExpression {
        for (side, other) in [(left, right), (right, left)] {
            if case .constant(.null) = side {
                return .exists(try CompiledExpression(other), isNegated: operation == .equal)
            }
        }
        if let isRoot = FieldExpression.asksForRoot(operation, left, right) {
            return .isRoot(isRoot)
        }
        let a = try CompiledExpression(left, comparedWith: operation.isOrder ? right : nil)
        let b = try CompiledExpression(right, comparedWith: operation.isOrder ? left : nil)
        switch operation {
        case .and: return .both(a, b)
        case .or: return .either(a, b)
        case .matches, .notMatches:
            guard case .constant(.string(let pattern)) = right else {
                throw TraceQLValidationError("the pattern of \(operation.rawValue) must be a text")
            }
            return .compare(
                operation, a, b, try RegularExpression(pattern, [.dotMatchesNewline]))
        default:
            return operation.isComparison
                ? .compare(operation, a, b, nil) : .arithmetic(operation, a, b)
        }
    }

    /// A text that is compared with identifiers gets their form.
    private init(_ expression: FieldExpression, comparedWith other: FieldExpression?) throws {
        guard case .constant(.string(let text)) = expression,
            case .attribute(let attribute)? = other
        else {
            self = try CompiledExpression(expression)
            return
        }
        let canonical = attribute.canonicalIdentifier(text)
        self = .constant(.string(canonical), SharedBytes(Array(canonical.utf8)))
    }
}

extension FieldOperator {
    /// Comparisons but those with patterns.
    fileprivate var isOrder: Bool {
        isComparison && self != .matches && self != .notMatches
    }
}

extension Attribute {
    /// Identifiers compare whatever their case and leading zeros.
    func canonicalIdentifier(_ text: String) -> String {
        switch intrinsic {
        case .traceID, .linkTraceID: TraceID(hex: text)?.description ?? text
        case .spanID, .parentID, .linkSpanID: SpanID(hex: text)?.description ?? text
        default: text
        }
    }
}

extension FieldExpression {
    /// What a comparison with `nestedSetParent` asks when only roots have -1 and all others more:
    /// `nestedSetParent < 0`. True for roots, false for all others, nil when it asks for more.
    static func asksForRoot(
        _ operation: FieldOperator, _ left: FieldExpression, _ right: FieldExpression
    ) -> Bool? {
        guard case .attribute(let attribute) = left, attribute.intrinsic == .nestedSetParent,
            !attribute.isParent
        else { return nil }
        switch (operation, right) {
        case (.less, .constant(.int(0))), (.equal, .constant(.int(-1))),
            (.lessOrEqual, .constant(.int(-1))):
            return true
        case (.greaterOrEqual, .constant(.int(0))), (.notEqual, .constant(.int(-1))),
            (.greater, .constant(.int(-1))):
            return false
        default: return nil
        }
    }

    /// Whether a span alone cannot decide it.
    var needsTrace: Bool {
        switch self {
        case .constant: false
        case .attribute(let attribute): attribute.intrinsic?.needsTrace ?? false
        case .not(let inner), .negate(let inner): inner.needsTrace
        case .binary(let operation, let left, let right):
            FieldExpression.asksForRoot(operation, left, right) == nil
                && (left.needsTrace || right.needsTrace)
        }
    }

    /// All attributes that are read, in order.
    var attributes: [Attribute] {
        switch self {
        case .constant: []
        case .attribute(let attribute): [attribute]
        case .not(let inner), .negate(let inner): inner.attributes
        case .binary(_, let left, let right): left.attributes + right.attributes
        }
    }
}
