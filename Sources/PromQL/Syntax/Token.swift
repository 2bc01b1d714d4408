// SPDX-License-Identifier: Apache-2.0
// The words of PromQL.

import Base

/// Words with a meaning of their own in some places, and metric names in others.
enum Keyword: String, Sendable {
    case offset, smoothed, anchored, by, without, on, ignoring
    case groupLeft = "group_left"
    case groupRight = "group_right"
    case fill
    case fillLeft = "fill_left"
    case fillRight = "fill_right"
    case bool
    // These read as functions as well.
    case start, end, step, range
    case maxOf = "max_of"
    case minOf = "min_of"

    /// Whether the word may stand where a metric name may.
    var isMetricName: Bool {
        switch self {
        case .on, .ignoring, .groupLeft, .groupRight, .bool: false
        default: true
        }
    }
    var isFunctionName: Bool {
        switch self {
        case .start, .end, .step, .range, .maxOf, .minOf: true
        default: false
        }
    }
}

struct Token: Sendable {
    enum Kind: Sendable, Equatable {
        case end, error
        case identifier, metricIdentifier, string, number, duration
        case comma, colon, equal, matchesRegex, notMatchesRegex, at
        case leftParen, rightParen, leftBrace, rightBrace, leftBracket, rightBracket
        case binary(BinaryOperator)
        case aggregation(AggregationOperator)
        case keyword(Keyword)
    }
    var kind: Kind
    var range: SourceRange
    /// The token as written; the message of an error.
    var text: String

    /// How messages name the token.
    var description: String {
        switch kind {
        case .end: "end of input"
        case .error: text
        case .identifier: "identifier " + quotedText(text)
        case .metricIdentifier: "metric identifier " + quotedText(text)
        case .string: "string " + Token.shortened(text)
        case .number: "number " + Token.shortened(text)
        case .duration: "duration " + Token.shortened(text)
        case .binary, .at, .matchesRegex, .notMatchesRegex: "<op:\(text)>"
        case .aggregation: "<aggr:\(text)>"
        case .keyword(let keyword) where !keyword.isFunctionName: "<\(text)>"
        default: Token.shortened(text)
        }
    }

    /// Go's `%.10q...` for long texts.
    private static func shortened(_ text: String) -> String {
        text.utf8.count > 10
            ? quotedText(String(text.unicodeScalars.prefix(10).map(Character.init))) + "..."
            : quotedText(text)
    }

    static func word(_ text: String) -> Kind? {
        let lower = text.lowercased()
        if let aggregation = AggregationOperator(rawValue: lower) {
            return .aggregation(aggregation)
        }
        if let keyword = Keyword(rawValue: lower) { return .keyword(keyword) }
        switch lower {
        case "and": return .binary(.and)
        case "or": return .binary(.or)
        case "unless": return .binary(.unless)
        case "atan2": return .binary(.atan2)
        case "inf", "nan": return .number
        default: return nil
        }
    }
}
