// SPDX-License-Identifier: Apache-2.0
// Conditions on labels.

import Base

/// One condition on one label. A missing label counts as the empty value.
package struct LabelMatcher: Sendable, Equatable, CustomStringConvertible {
    package enum Operation: UInt8, Sendable {
        case equal, notEqual, matches, notMatches

        package var symbol: String {
            switch self {
            case .equal: "="
            case .notEqual: "!="
            case .matches: "=~"
            case .notMatches: "!~"
            }
        }
    }

    package let name: String
    package let operation: Operation
    /// The value or, for regular expressions, the pattern as written.
    package let value: String
    /// UTF-8 of `value`.
    private let valueBytes: [UInt8]
    private let expression: LabelPattern?

    /// - Throws: `RegexError` when the pattern does not compile.
    package init(_ name: String, _ operation: Operation, _ value: String) throws(RegexError) {
        self.name = name
        self.operation = operation
        self.value = value
        valueBytes = [UInt8](value.utf8)
        switch operation {
        case .equal, .notEqual: expression = nil
        case .matches, .notMatches: expression = try LabelPattern(value)
        }
    }

    /// An equality matcher, which cannot fail to compile.
    package init(equal name: String, _ value: String) {
        self.name = name
        operation = .equal
        self.value = value
        valueBytes = [UInt8](value.utf8)
        expression = nil
    }

    package static func == (a: LabelMatcher, b: LabelMatcher) -> Bool {
        a.name == b.name && a.operation == b.operation && a.value == b.value
    }

    /// Whether a value (empty = label absent) satisfies the condition.
    package func matches(_ candidate: UnsafeRawBufferPointer) -> Bool {
        switch operation {
        case .equal: valueBytes.withUnsafeBytes { equalBytes($0, candidate) }
        case .notEqual: !valueBytes.withUnsafeBytes { equalBytes($0, candidate) }
        case .matches: expression?.matches(candidate) ?? false
        case .notMatches: !(expression?.matches(candidate) ?? false)
        }
    }

    package func matches(_ candidate: String) -> Bool {
        var candidate = candidate
        return candidate.withUTF8 { matches(UnsafeRawBufferPointer($0)) }
    }

    /// Whether a series without the label satisfies the condition.
    package var matchesEmpty: Bool { matches(UnsafeRawBufferPointer(start: nil, count: 0)) }

    /// The values that can match, when the pattern is a plain alternation such as `a|b|c` or
    /// `(a|b)-c`; for `.matches` and `.equal` only. Nil when they cannot be listed.
    package var finiteValues: [String]? {
        switch operation {
        case .equal: [value]
        case .matches: expression?.alternatives
        case .notEqual, .notMatches: nil
        }
    }

    /// A literal every matching value starts with, or an empty string.
    package var literalPrefix: String {
        switch operation {
        case .equal: value
        case .matches: expression?.prefix ?? ""
        case .notEqual, .notMatches: ""
        }
    }

    package var description: String {
        (isLegacyLabelName(name) ? name : quoted(name)) + operation.symbol + quoted(value)
    }
}

extension Array where Element == LabelMatcher {
    /// Whether canonical label bytes satisfy all conditions.
    package func match(_ labels: UnsafeRawBufferPointer) -> Bool {
        for matcher in self {
            var name = matcher.name
            let satisfied = name.withUTF8 { wanted in
                let found = labelValue(of: UnsafeRawBufferPointer(wanted), in: labels)
                return matcher.matches(found ?? UnsafeRawBufferPointer(start: nil, count: 0))
            }
            if !satisfied { return false }
        }
        return true
    }

    package func match(_ labels: Labels) -> Bool { labels.bytes.withUnsafeBytes { match($0) } }
}

/// A fully anchored pattern with its cheap cases peeled off before RE2 is asked.
private struct LabelPattern: Sendable {
    /// All matching values when the pattern is an alternation of literals.
    let alternatives: [String]?
    /// A literal start, when there is one.
    let prefix: String
    private let prefixBytes: [UInt8]
    /// The pattern itself when it needs no regular expression.
    private let literal: LiteralPattern?
    private let expression: RegularExpression

    init(_ pattern: String) throws(RegexError) {
        // Compiled always, so that a bad pattern is refused whatever it would be reduced to.
        expression = try RegularExpression(pattern, [.dotMatchesNewline])
        literal = LiteralPattern(pattern)
        alternatives = literal?.literals.map { texts in
            texts.map { String(decoding: $0, as: UTF8.self) }
        }
        prefix = literal?.prefix ?? LabelPattern.literalPrefix(pattern)
        prefixBytes = [UInt8](prefix.utf8)
    }

    func matches(_ value: UnsafeRawBufferPointer) -> Bool {
        if let literal { return literal.matches(value) }
        if !prefixBytes.isEmpty {
            let count = prefixBytes.count
            guard value.count >= count,
                prefixBytes.withUnsafeBytes({
                    equalBytes($0, UnsafeRawBufferPointer(rebasing: value[..<count]))
                })
            else { return false }
        }
        return expression.matchesWhole(value)
    }

    private static let special = Set(#"\.+*?()|[]{}^$"#.utf8)

    /// The plain characters before the first special one, kept off a following repetition.
    private static func literalPrefix(_ pattern: String) -> String {
        if pattern.utf8.contains(UInt8(ascii: "|")) || pattern.hasPrefix("(?") { return "" }
        var plain: [UInt8] = []
        var rest = Array(pattern.utf8)[...]
        while let byte = rest.first, !special.contains(byte) {
            plain.append(byte)
            rest = rest.dropFirst()
        }
        if let next = rest.first, "*?{+".utf8.contains(next) {
            // The last character is repeated or optional, so it is not part of the prefix.
            while let last = plain.popLast(), last & 0xc0 == 0x80 {}
        }
        return String(decoding: plain, as: UTF8.self)
    }
}

/// A regular expression that matches, as a whole, each of some texts and nothing else.
package func regexAlternatives(_ texts: [String]) -> String {
    let marks = Set("\\.+*?()|[]{}^$".unicodeScalars)
    var pattern = String.UnicodeScalarView()
    for (number, text) in texts.enumerated() {
        if number > 0 { pattern.append("|") }
        for scalar in text.unicodeScalars {
            if marks.contains(scalar) { pattern.append("\\") }
            pattern.append(scalar)
        }
    }
    return String(pattern)
}
