// SPDX-License-Identifier: Apache-2.0
// Conditions on labels.

import Base
import Telemetry

/// Keeps lines whose labels satisfy a condition.
///
/// A label that is missing is the empty text for a string comparison; every other comparison then
/// drops the line. A value that cannot be converted keeps the line and marks it with `__error__`.
final class LabelFilterStage: Stage {
    private indirect enum Condition {
        case matcher(SharedBytes, LabelMatcher)
        case number(SharedBytes, ComparisonOperation, Double)
        case duration(SharedBytes, ComparisonOperation, Int64)
        case bytes(SharedBytes, ComparisonOperation, Int64)
        case ip(SharedBytes, isNegated: Bool, IPPattern)
        case all([Condition])
        case any([Condition])
    }
    private let condition: Condition

    init(_ filter: LabelFilterSyntax) throws { condition = try LabelFilterStage.compile(filter) }

    private static func compile(_ filter: LabelFilterSyntax) throws -> Condition {
        func name(_ text: String) -> SharedBytes { SharedBytes(Array(text.utf8)) }
        switch filter {
        case .matcher(let matcher): return .matcher(name(matcher.name), matcher)
        case .number(let label, let operation, let value):
            return .number(name(label), operation, value)
        case .duration(let label, let operation, let nanos):
            return .duration(name(label), operation, nanos)
        case .bytes(let label, let operation, let count):
            return .bytes(name(label), operation, count)
        case .ip(let label, let isNegated, let text):
            guard let pattern = IPPattern(text) else {
                throw LogQLSyntaxError("ip: invalid pattern (\(text))")
            }
            return .ip(name(label), isNegated: isNegated, pattern)
        case .all(let parts): return .all(try parts.map(compile))
        case .any(let parts): return .any(try parts.map(compile))
        }
    }

    func process(_ state: LineState) -> Bool { holds(condition, state) }

    private func holds(_ condition: Condition, _ state: LineState) -> Bool {
        switch condition {
        case .matcher(let name, let matcher):
            return matcher.matches(state.value(of: name.buffer) ?? .nothing)
        case .all(let parts):
            for part in parts where !holds(part, state) { return false }
            return true
        case .any(let parts):
            for part in parts where holds(part, state) { return true }
            return false
        case .number(let name, let operation, let wanted):
            guard let text = converted(name, state) else { return false }
            guard let value = parseFloat(text) else {
                return fail(
                    state,
                    "strconv.ParseFloat: parsing \(quotedText(text.text)): invalid syntax")
            }
            return compare(value, operation, wanted)
        case .duration(let name, let operation, let wanted):
            guard let text = converted(name, state) else { return false }
            do {
                return compare(try parseGoDuration(text.text), operation, wanted)
            } catch {
                return fail(state, error.description)
            }
        case .bytes(let name, let operation, let wanted):
            guard let text = converted(name, state) else { return false }
            guard let value = ByteSize.parse(text.text) else {
                return fail(state, "unhandled size name or number: \(text.text)")
            }
            return compare(value, operation, wanted)
        case .ip(let name, let isNegated, let pattern):
            // A line that failed before is kept, so that the failure is seen.
            if state.hasError { return true }
            guard let text = state.value(of: name.buffer) else { return false }
            return pattern.occurs(in: text) != isNegated
        }
    }

    /// The value to convert. `__error__` is text and nothing else.
    private func converted(_ name: SharedBytes, _ state: LineState) -> Bytes? {
        if equalBytes(name.buffer, ErrorLabels.errorBytes.buffer) { return nil }
        return state.value(of: name.buffer)
    }

    private func fail(_ state: LineState, _ details: String) -> Bool {
        state.fail(.labelFilter, details)
        return true
    }

    @inline(__always)
    private func compare<T: Comparable>(_ a: T, _ operation: ComparisonOperation, _ b: T) -> Bool {
        switch operation {
        case .equal: a == b
        case .notEqual: a != b
        case .greater: a > b
        case .greaterOrEqual: a >= b
        case .less: a < b
        case .lessOrEqual: a <= b
        }
    }
}
