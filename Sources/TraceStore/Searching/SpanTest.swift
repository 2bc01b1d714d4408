// SPDX-License-Identifier: Apache-2.0
// One condition of a search, ready to be asked many times.

import Base
import Telemetry

/// A compiled `SpanCondition`. Answers "may match": true whenever the store cannot be sure, since
/// engines look again. Regular expressions are tried unanchored, which can only say yes more often.
struct SpanTest: Sendable {
    let subject: SpanCondition.Subject
    let operation: SpanCondition.Operation
    private let text: [UInt8]?
    private let int: Int64?
    private let double: Double?
    private let flag: Bool?
    private let expression: RegularExpression?
    /// The value is of a kind that this test does not compare.
    private let undecided: Bool

    init(_ condition: SpanCondition) {
        subject = condition.subject
        operation = condition.operation
        var text: [UInt8]?, int: Int64?, double: Double?, flag: Bool?
        switch condition.value {
        case .string(let value): text = Array(value.utf8)
        case .int(let value): int = value
        case .double(let value): double = value
        case .bool(let value): flag = value
        case .empty, .bytes, .array, .map: break
        }
        var expression: RegularExpression?
        if condition.operation == .matches || condition.operation == .notMatches,
            case .string(let pattern) = condition.value
        {
            // A pattern that does not compile is the engine's to report; here it matches all.
            expression = try? RegularExpression(pattern, [.dotMatchesNewline])
        }
        self.text = text
        self.int = int
        self.double = double
        self.flag = flag
        self.expression = expression
        let isRegex = condition.operation == .matches || condition.operation == .notMatches
        undecided =
            condition.operation != .exists
            && (isRegex
                ? expression == nil : text == nil && int == nil && double == nil && flag == nil)
    }

    /// The value as a trace id.
    var traceID: TraceID? {
        text.flatMap { $0.withUnsafeBytes { TraceID(hex: $0) } }
    }

    /// Whether the directory's strings are asked: for attributes, if a column has the key.
    func comparesStrings(hasKey: Bool) -> Bool {
        switch subject {
        case .attribute: hasKey
        case .intrinsic(.name), .intrinsic(.eventName): true
        case .intrinsic: false
        }
    }

    /// The one whole number that matches, when the condition is equality with it.
    var onlyInt: Int64? { operation == .equal && !undecided && double == nil ? int : nil }

    /// The one string that matches, when the condition is equality with it.
    var onlyText: [UInt8]? { operation == .equal && !undecided ? text : nil }

    /// The key of the one value that matches in the filters of columns of its type.
    var filterKey: (key: UInt64, type: AttributeType)? {
        if let onlyText { return (keyInFilter(text: onlyText), .string) }
        if let onlyInt { return (keyInFilter(int: UInt64(bitPattern: onlyInt)), .int) }
        return nil
    }

    /// Whether a span without the attribute may match.
    var matchesAbsent: Bool {
        switch operation {
        case .notEqual, .notMatches: true
        case .exists: flag == false
        default: undecided
        }
    }

    func matches(string value: UnsafeRawBufferPointer) -> Bool {
        if undecided { return true }
        switch operation {
        case .exists: return true
        case .matches: return expression?.matchesAnywhere(value) ?? true
        case .notMatches: return true
        case .notEqual: return text.map { !$0.elementsEqual(value) } ?? true
        default:
            guard let text else { return false }
            return decide(text.withUnsafeBytes { compareBytes(value, $0) })
        }
    }

    func matches(string value: [UInt8]) -> Bool { value.withUnsafeBytes { matches(string: $0) } }

    func matches(int value: Int64) -> Bool {
        if undecided { return true }
        switch operation {
        case .exists, .notMatches: return true
        case .matches: return false
        default: break
        }
        if let int { return decide(value < int ? -1 : (value == int ? 0 : 1)) }
        guard let double else { return operation == .notEqual }
        // Beyond 2^53 the conversion rounds, so nothing is excluded there.
        if value.magnitude > 1 << 53 { return true }
        return compare(Double(value), double)
    }

    func matches(double value: Double) -> Bool {
        if undecided { return true }
        switch operation {
        case .exists, .notMatches: return true
        case .matches: return false
        default: break
        }
        if let double { return compare(value, double) }
        guard let int else { return operation == .notEqual }
        if int.magnitude > 1 << 53 { return true }
        return compare(value, Double(int))
    }

    func matches(bool value: Bool) -> Bool {
        if undecided { return true }
        switch operation {
        case .exists, .notMatches: return true
        case .matches: return false
        default: break
        }
        guard let flag else { return operation == .notEqual }
        return decide(value == flag ? 0 : (value ? 1 : -1))
    }

    /// Whether a number inside `low...high` may match.
    func mayMatch(low: Double, high: Double) -> Bool {
        guard let bound = double ?? int.map(Double.init) else {
            return undecided || operation == .notEqual || operation == .exists
                || operation == .notMatches
        }
        // Rounding to doubles may move both sides by one step: compare inclusively.
        switch operation {
        case .equal: return low <= bound && bound <= high
        case .less, .lessOrEqual: return low <= bound
        case .greater, .greaterOrEqual: return high >= bound
        case .notEqual, .exists, .notMatches, .matches: return true
        }
    }

    private func compare(_ a: Double, _ b: Double) -> Bool {
        switch operation {
        case .equal: a == b
        case .notEqual: a != b
        case .less: a < b
        case .lessOrEqual: a <= b
        case .greater: a > b
        case .greaterOrEqual: a >= b
        case .matches, .notMatches, .exists: true
        }
    }

    private func decide(_ order: Int) -> Bool {
        switch operation {
        case .equal: order == 0
        case .notEqual: order != 0
        case .less: order < 0
        case .lessOrEqual: order <= 0
        case .greater: order > 0
        case .greaterOrEqual: order >= 0
        case .matches, .notMatches, .exists: true
        }
    }

    /// Tests an encoded attribute value.
    func matches(encoded value: UnsafeRawBufferPointer) -> Bool {
        var reader = ByteReader(value)
        guard let raw = try? reader.u8(), let type = AttributeType(rawValue: raw) else {
            return true
        }
        switch type {
        case .string: return (try? reader.lengthPrefixed()).map { matches(string: $0) } ?? true
        case .int: return (try? reader.zigzag()).map { matches(int: $0) } ?? true
        case .double: return (try? reader.double()).map { matches(double: $0) } ?? true
        case .bool: return (try? reader.u8()).map { matches(bool: $0 != 0) } ?? true
        // Elements of arrays may be compared one by one: not decided here.
        case .empty, .bytes, .array, .map: return true
        }
    }

    /// Tests the values of one key in an attribute list; of repeated keys any may match.
    func matches(list: UnsafeRawBufferPointer, key: String) -> Bool {
        var found = false, hit = false
        do {
            try AttributeCoding.forEach(in: list) { name, value in
                guard !hit, name.elementsEqual(key.utf8) else { return }
                found = true
                if matches(encoded: value) { hit = true }
            }
        } catch { return true }
        return hit || (!found && matchesAbsent)
    }
}
