// SPDX-License-Identifier: Apache-2.0
// Values that expressions over spans yield.

import Base
import Telemetry

/// A value read from a span; text is borrowed from the batch or from the compiled query.
enum SpanValue {
    case null
    case bool(Bool)
    case int(Int64)
    case float(Double)
    /// Nanoseconds.
    case duration(Int64)
    case text(UnsafeRawBufferPointer)
    /// Text that is made on the way: identifiers.
    case string(String)
    case status(Int64)
    case kind(Int64)
    /// Several values at once: an array attribute, or one per event or link.
    case list([SpanValue])
    /// Something that exists and does not compare: bytes, maps.
    case other

    init(_ constant: Static, text: SharedBytes?) {
        switch constant {
        case .null: self = .null
        case .bool(let flag): self = .bool(flag)
        case .int(let number): self = .int(number)
        case .float(let number): self = .float(number)
        case .duration(let nanos): self = .duration(nanos)
        case .string(let string): self = text.map { .text($0.buffer) } ?? .string(string)
        case .status(let code): self = .status(code)
        case .kind(let kind): self = .kind(kind)
        }
    }

    /// Reads an encoded attribute value; what cannot be read is `.other`.
    init(encoded reader: inout ByteReader, depth: Int = 0) {
        do {
            let start = reader
            guard depth < AttributeCoding.maxDepth,
                let type = AttributeType(rawValue: try reader.u8())
            else {
                self = .other
                return
            }
            switch type {
            case .empty: self = .other
            case .string: self = .text(try reader.lengthPrefixed())
            case .bool: self = .bool(try reader.u8() != 0)
            case .int: self = .int(try reader.zigzag())
            case .double: self = .float(try reader.double())
            case .bytes, .map:
                // What follows in an array stands behind it.
                self = .other
                reader = start
                try AttributeCoding.skipValue(&reader, depth: depth)
            case .array:
                let count = try reader.length(limit: reader.remaining, "number of elements")
                var items: [SpanValue] = []
                for _ in 0..<count { items.append(SpanValue(encoded: &reader, depth: depth + 1)) }
                self = .list(items)
            }
        } catch {
            self = .other
        }
    }

    var isNull: Bool {
        if case .null = self { true } else { false }
    }

    /// Of several values one is enough.
    var isTrue: Bool {
        switch self {
        case .bool(let flag): flag
        case .list(let items): items.contains(where: \.isTrue)
        default: false
        }
    }

    /// Makes several values of one: those of all events or links of a span.
    mutating func append(_ value: SpanValue) {
        switch (self, value) {
        case (_, .null): return
        case (.null, _): self = value
        case (.list(let items), .list(let more)): self = .list(items + more)
        case (.list(let items), _): self = .list(items + [value])
        case (_, .list(let more)): self = .list([self] + more)
        default: self = .list([self, value])
        }
    }

    /// The number this is, as a constant.
    var numeric: Static? {
        switch self {
        case .int(let number): .int(number)
        case .float(let number): .float(number)
        case .duration(let nanos): .duration(nanos)
        default: nil
        }
    }

    func withText<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R? {
        switch self {
        case .text(let bytes): return body(bytes)
        case .string(var string): return string.withUTF8 { body(UnsafeRawBufferPointer($0)) }
        default: return nil
        }
    }

    /// For answers.
    var attributeValue: AttributeValue {
        switch self {
        case .null, .other: .empty
        case .bool(let flag): .bool(flag)
        case .int(let number): .int(number)
        case .float(let number): .double(number)
        case .duration(let nanos): .string(goDurationText(nanos: nanos))
        case .text(let bytes): .string(String(decoding: bytes, as: UTF8.self))
        case .string(let text): .string(text)
        case .status(let code): .string(Static.status(code).text)
        case .kind(let kind): .string(Static.kind(kind).text)
        case .list(let items): .array(items.map(\.attributeValue))
        }
    }
}

// MARK: - Comparing

extension SpanValue {
    /// Whether a comparison holds. Values of different types never compare, not even unequal; what
    /// is absent never does. Of several values one must satisfy the comparison, and
    /// none must be equal or match for `!=` and `!~`.
    static func compare(
        _ operation: FieldOperator, _ left: SpanValue, _ right: SpanValue,
        _ pattern: RegularExpression?
    ) -> Bool {
        if case .list(let items) = left {
            return compareList(operation, items) { compare($0, $1, right, pattern) }
        }
        if case .list(let items) = right {
            return compareList(operation, items) { compare($0, left, $1, pattern) }
        }
        if left.isNull || right.isNull { return false }
        if operation == .matches || operation == .notMatches {
            guard let pattern else { return false }
            return left.withText { pattern.matchesWhole($0) }.map {
                $0 == (operation == .matches)
            } ?? false
        }
        guard let order = left.order(right) else { return false }
        if order >= 2 {
            // Values without an order.
            return order == (operation == .equal ? 2 : 3)
                && (operation == .equal || operation == .notEqual)
        }
        switch operation {
        case .equal: return order == 0
        case .notEqual: return order != 0
        case .less: return order < 0
        case .lessOrEqual: return order <= 0
        case .greater: return order > 0
        case .greaterOrEqual: return order >= 0
        default: return false
        }
    }

    private static func compareList(
        _ operation: FieldOperator, _ items: [SpanValue],
        _ holds: (FieldOperator, SpanValue) -> Bool
    ) -> Bool {
        switch operation {
        case .notEqual:
            return !items.isEmpty && !items.contains { holds(.equal, $0) }
                && items.contains { holds(.notEqual, $0) }
        case .notMatches:
            return items.contains { holds(.notMatches, $0) }
                && !items.contains { holds(.matches, $0) }
        default: return items.contains { holds(operation, $0) }
        }
    }

    /// -1, 0, 1; of values that have no order 2 for equal and 3 for unequal ones; nil when they do
    /// not compare.
    private func order(_ other: SpanValue) -> Int? {
        func sign<T: Comparable>(_ a: T, _ b: T) -> Int { a < b ? -1 : a == b ? 0 : 1 }
        switch (self, other) {
        case (.bool(let a), .bool(let b)): return a == b ? 2 : 3
        case (.status(let a), .status(let b)), (.kind(let a), .kind(let b)):
            return a == b ? 2 : 3
        case (.int(let a), .int(let b)), (.duration(let a), .duration(let b)),
            (.int(let a), .duration(let b)), (.duration(let a), .int(let b)):
            return sign(a, b)
        default: break
        }
        if let a = numeric.flatMap(Arithmetic.number),
            let b = other.numeric.flatMap(Arithmetic.number)
        {
            return a.isNaN || b.isNaN ? 3 : sign(a, b)
        }
        return withText { a in other.withText { compareBytes(a, $0) } } ?? nil
    }
}
