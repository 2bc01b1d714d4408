// SPDX-License-Identifier: Apache-2.0
// Series with their samples on one line, as rule unit tests and test scripts write them.

import Base
import Telemetry

/// One sample of a series in test notation.
package enum SeriesItem: Sendable {
    case missing
    case float(Double)
    /// `hasHint`: whether a counter-reset hint was written out.
    case histogram(NativeHistogram, hasHint: Bool)
}

/// Parses `metric{label="value"} 1 2x3 4+5x6 _ stale {{schema:0 buckets:[1 2]}}`.
///
/// - Throws: `ParseError` with the texts of prometheus/prometheus `promql/parser`.
package func parseSeriesNotation(
    _ text: String
) throws(ParseError) -> (labels: Labels, items: [SeriesItem]) {
    do {
        var reader = SeriesNotationReader(text)
        return try reader.read()
    } catch let fault {
        throw ParseError([fault], query: text)
    }
}

private struct SeriesNotationReader {
    /// Most samples of one line.
    private static let maxItems = 10_000_000
    private var lexer: Lexer
    private var items: [SeriesItem] = []

    init(_ text: String) { lexer = Lexer(text) }

    // MARK: Labels

    mutating func read() throws(ParseFault) -> (labels: Labels, items: [SeriesItem]) {
        var builder = LabelsBuilder()
        try readMetric(into: &builder)
        try readItems()
        return (builder.labels(), items)
    }

    private mutating func readMetric(into builder: inout LabelsBuilder) throws(ParseFault) {
        while let byte = lexer.peek(), isSpace(byte) { lexer.position += 1 }
        guard let first = lexer.peek() else { return }
        if isAlpha(first) || first == UInt8(ascii: ":") {
            builder.set(Labels.metricName, try token().text)
        }
        guard lexer.peek() == UInt8(ascii: "{") else { return }
        _ = try token()
        var next = try token()
        while next.kind != .rightBrace {
            try readLabel(next, into: &builder)
            next = try token()
            if next.kind == .comma {
                next = try token()
            } else if next.kind != .rightBrace {
                throw unexpected(next, "label set", "\",\" or \"}\"")
            }
        }
    }

    private mutating func readLabel(
        _ name: Token, into builder: inout LabelsBuilder
    ) throws(ParseFault) {
        guard name.kind == .identifier || name.kind == .string else {
            throw unexpected(name, "label set", "identifier or \"}\"")
        }
        let isQuoted = name.kind == .string
        let text = isQuoted ? try unquote(name) : name.text
        let saved = lexer
        let equal = try token()
        guard equal.kind == .equal else {
            if isQuoted {
                lexer = saved
                builder.set(Labels.metricName, text)
                return
            }
            throw unexpected(equal, "label set", "\"=\"")
        }
        let value = try token()
        guard value.kind == .string else { throw unexpected(value, "label set", "string") }
        builder.set(text, try unquote(value))
    }

    private mutating func token() throws(ParseFault) -> Token {
        let token = lexer.next()
        if token.kind == .error { throw ParseFault(token.range, token.text) }
        return token
    }

    private func unquote(_ token: Token) throws(ParseFault) -> String {
        guard let bytes = unquotedBytes(token.text.utf8) else {
            throw ParseFault(
                token.range, "error unquoting string \(quotedText(token.text)): invalid syntax")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func unexpected(
        _ token: Token, _ context: String, _ expected: String
    ) -> ParseFault {
        ParseFault(
            token.range, "unexpected \(token.description) in \(context), expected \(expected)")
    }

    // MARK: Samples

    private func unexpectedHere(_ context: String = "series values") -> ParseFault {
        let end = lexer.position + lexer.characterLength(at: lexer.position)
        let range = SourceRange(lexer.position, end)
        if lexer.peek() == nil { return ParseFault(range, "unexpected end of input in \(context)") }
        return ParseFault(
            range,
            "unexpected \(quotedText(lexer.written(lexer.position, end))) in \(context)")
    }

    private mutating func skipBlanks() -> Bool {
        let begin = lexer.position
        while let byte = lexer.peek(), isSpace(byte) { lexer.position += 1 }
        return lexer.position > begin
    }

    private mutating func readItems() throws(ParseFault) {
        while lexer.peek() != nil {
            guard skipBlanks() else { throw unexpectedHere() }
            guard let byte = lexer.peek() else { return }
            if byte == UInt8(ascii: "_") {
                lexer.position += 1
                try append(count: lexer.accept("x") ? try count() : 1) { _ in .missing }
            } else if byte == UInt8(ascii: "{") {
                try readHistograms()
            } else {
                try readFloats()
            }
        }
    }

    private mutating func append(
        count: Int, _ make: (Int) -> SeriesItem
    ) throws(ParseFault) {
        if count > SeriesNotationReader.maxItems - items.count {
            throw ParseFault(
                SourceRange(lexer.position, lexer.position),
                "more than \(SeriesNotationReader.maxItems) samples in one series")
        }
        for index in 0..<count { items.append(make(index)) }
    }

    private mutating func count() throws(ParseFault) -> Int {
        let begin = lexer.position
        while lexer.accept("0123456789") {}
        let text = lexer.written(begin, lexer.position)
        guard let count = Int(text) else {
            throw text.isEmpty
                ? unexpectedHere()
                : ParseFault(
                    SourceRange(begin, lexer.position),
                    "invalid repetition in series values: strconv.ParseUint: parsing "
                        + "\(quotedText(text)): value out of range")
        }
        return count
    }

    private mutating func readFloats() throws(ParseFault) {
        if let byte = lexer.peek(), isAlpha(byte) {
            let begin = lexer.position
            while let next = lexer.peek(), isAlpha(next), next != UInt8(ascii: "x") {
                lexer.position += 1
            }
            let word = lexer.written(begin, lexer.position)
            if word != "stale" { lexer.position = begin }
            if word == "stale" {
                let n = lexer.accept("x") ? try repetitions() : 1
                return try append(count: n) { _ in .float(StaleMarker.value) }
            }
        }
        var value = try signedNumber()
        if lexer.accept("x") {
            let constant = value
            return try append(count: try repetitions()) { _ in .float(constant) }
        }
        guard lexer.isNext(in: "+-") else {
            let single = value
            return try append(count: 1) { _ in .float(single) }
        }
        let increment = try signedNumber()
        guard lexer.accept("x") else { throw unexpectedHere() }
        let n = try repetitions()
        try append(count: n) { _ in
            defer { value += increment }
            return .float(value)
        }
    }

    /// `xN` means the value itself and N more.
    private mutating func repetitions() throws(ParseFault) -> Int {
        let n = try count()
        return n < Int.max ? n + 1 : n
    }

    private mutating func signedNumber() throws(ParseFault) -> Double {
        var sign = 1.0
        if lexer.accept("-") { sign = -1 } else { _ = lexer.accept("+") }
        return sign * (try number())
    }

    private mutating func number() throws(ParseFault) -> Double {
        let begin = lexer.position
        if let byte = lexer.peek(), isAlpha(byte) {
            while let next = lexer.peek(), isAlpha(next), next != UInt8(ascii: "x") {
                lexer.position += 1
            }
            switch lexer.written(begin, lexer.position).lowercased() {
            case "inf": return .infinity
            case "nan": return .nan
            default:
                lexer.position = begin
                throw unexpectedHere()
            }
        }
        while lexer.accept("0123456789_") {}
        if lexer.accept(".") { while lexer.accept("0123456789_") {} }
        let beforeExponent = lexer.position
        if lexer.accept("eE") {
            _ = lexer.accept("+-")
            let digits = lexer.position
            while lexer.accept("0123456789") {}
            if lexer.position == digits { lexer.position = beforeExponent }
        }
        let text = lexer.written(begin, lexer.position)
        if text.isEmpty { throw unexpectedHere() }
        do throws(NumberSyntaxError) {
            return try parseNumberLiteral(text)
        } catch {
            throw ParseFault(
                SourceRange(begin, lexer.position), "error parsing number: \(error.message)")
        }
    }

    // MARK: Histograms

    private mutating func readHistograms() throws(ParseFault) {
        let (first, hasHint) = try histogram()
        if lexer.accept("x") {
            return try append(count: try repetitions()) { _ in
                .histogram(first, hasHint: hasHint)
            }
        }
        guard lexer.isNext(in: "+-") else {
            return try append(count: 1) { _ in .histogram(first, hasHint: hasHint) }
        }
        let isAddition = lexer.accept("+")
        if !isAddition { _ = lexer.accept("-") }
        let (increment, incrementHasHint) = try histogram()
        guard lexer.accept("x") else { throw unexpectedHere() }
        let n = try repetitions()
        var current = first
        for index in 0..<n {
            if index > 0 {
                if current.schema > increment.schema {
                    throw combinationFault(
                        "cannot merge from schema \(increment.schema) to \(current.schema)")
                }
                do throws(IncompatibleHistograms) {
                    if isAddition {
                        try current.add(increment)
                    } else {
                        try current.subtract(increment)
                    }
                } catch {
                    throw combinationFault("cannot mix exponential and custom buckets")
                }
            }
            let value = current
            try append(count: 1) { _ in .histogram(value, hasHint: incrementHasHint) }
        }
    }

    private func combinationFault(_ reason: String) -> ParseFault {
        ParseFault(
            SourceRange(lexer.position - 1, lexer.position),
            "error combining histograms: \(reason)")
    }

    private mutating func histogram() throws(ParseFault) -> (NativeHistogram, hasHint: Bool) {
        guard lexer.accept("{"), lexer.accept("{") else { throw unexpectedHere() }
        var fields = HistogramFields()
        _ = skipBlanks()
        while !lexer.isNext(in: "}") {
            try readField(into: &fields)
            let separated = skipBlanks()
            if !separated, !lexer.isNext(in: "}") {
                throw unexpectedHere("histogram description")
            }
        }
        guard lexer.accept("}"), lexer.accept("}") else {
            throw unexpectedHere("histogram description")
        }
        return (fields.histogram, fields.hint != nil)
    }

    private struct HistogramFields {
        var seen: Set<String> = []
        var numbers: [String: Double] = [:]
        var integers: [String: Int32] = [:]
        var lists: [String: [Double]] = [:]
        var hint: NativeHistogram.CounterReset?

        var histogram: NativeHistogram {
            var result = NativeHistogram()
            result.schema = integers["schema"] ?? 0
            result.count = numbers["count"] ?? 0
            result.sum = numbers["sum"] ?? 0
            result.zeroCount = numbers["z_bucket"] ?? 0
            result.zeroThreshold = numbers["z_bucket_w"] ?? 0
            result.customBounds = lists["custom_values"] ?? []
            result.counterReset = hint ?? .unknown
            result.positiveBuckets = lists["buckets"] ?? []
            result.negativeBuckets = lists["n_buckets"] ?? []
            result.positiveSpans = spans(result.positiveBuckets, integers["offset"])
            result.negativeSpans = spans(result.negativeBuckets, integers["n_offset"])
            return result
        }

        private func spans(_ buckets: [Double], _ offset: Int32?) -> [NativeHistogram.Span] {
            buckets.isEmpty
                ? []
                : [NativeHistogram.Span(offset: offset ?? 0, length: UInt32(buckets.count))]
        }
    }

    private static let hints: [String: NativeHistogram.CounterReset] = [
        "unknown": .unknown, "reset": .reset, "not_reset": .notReset, "gauge": .gauge,
    ]

    private mutating func readField(into fields: inout HistogramFields) throws(ParseFault) {
        let begin = lexer.position
        while let byte = lexer.peek(), isAlpha(byte) { lexer.position += 1 }
        let key = lexer.written(begin, lexer.position)
        if key.isEmpty { throw unexpectedHere("histogram description") }
        let range = SourceRange(begin, lexer.position)
        let known = [
            "schema", "count", "sum", "z_bucket", "z_bucket_w", "offset", "n_offset", "buckets",
            "n_buckets", "custom_values", "counter_reset_hint",
        ]
        guard known.contains(key) else {
            throw ParseFault(range, "bad histogram descriptor found: \(quotedText(key))")
        }
        guard lexer.accept(":") else {
            throw ParseFault(range, "missing `:` for histogram descriptor")
        }
        guard fields.seen.insert(key).inserted else {
            throw ParseFault(
                SourceRange(0, 0), "duplicate key \(quotedText(key)) in histogram")
        }
        switch key {
        case "schema", "offset", "n_offset":
            fields.integers[key] = try integer()
        case "buckets", "n_buckets", "custom_values": fields.lists[key] = try list()
        case "counter_reset_hint":
            let start = lexer.position
            while let byte = lexer.peek(), isAlpha(byte) { lexer.position += 1 }
            let word = lexer.written(start, lexer.position)
            guard let hint = SeriesNotationReader.hints[word] else {
                throw ParseFault(
                    SourceRange(start, lexer.position),
                    "bad histogram descriptor found: \(quotedText(word))")
            }
            fields.hint = hint
        default: fields.numbers[key] = try signedNumber()
        }
    }

    private mutating func integer() throws(ParseFault) -> Int32 {
        let begin = lexer.position
        _ = lexer.accept("-")
        while lexer.accept("0123456789") {}
        guard let value = Int32(lexer.written(begin, lexer.position)) else {
            lexer.position = begin
            throw unexpectedHere()
        }
        return value
    }

    private mutating func list() throws(ParseFault) -> [Double] {
        guard lexer.accept("[") else { throw unexpectedHere() }
        var values: [Double] = []
        while !lexer.accept("]") {
            values.append(try signedNumber())
            _ = skipBlanks()
        }
        return values
    }
}
