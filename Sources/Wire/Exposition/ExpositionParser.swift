// SPDX-License-Identifier: Apache-2.0
// Pull parser of the text exposition formats.

import Base
import Telemetry

/// The two grammars of text exposition.
package enum ExpositionFormat: Sendable {
    /// Prometheus text 0.0.4, and 1.0.0 with its quoted UTF-8 names.
    case text
    /// OpenMetrics 1.0.0 and 0.0.1.
    case openMetrics
}

/// Why an exposition cannot be read. The text is that of Prometheus' scrape parser.
package struct ExpositionError: Error, Equatable, Sendable, CustomStringConvertible {
    package var message: String
    /// Bytes before the entry in which reading failed.
    package var offset: Int
    package var description: String { message }

    package init(_ message: String, offset: Int) {
        self.message = message
        self.offset = offset
    }
}

/// Hands over an exposition entry by entry, as Prometheus' scraper accepts it.
///
/// Everything is borrowed from the text, which somebody else keeps alive; labels are made only
/// when asked for, so that a scrape loop can look a series up by its raw text first:
///
///     while let entry = try parser.next() {
///         if entry == .series { … parser.seriesText, parser.value, parser.timestampMillis … }
///     }
///
/// Source: prometheus/prometheus `model/textparse/promparse.go`, `openmetricsparse.go`.
package struct ExpositionParser {
    package enum Entry: UInt8, Sendable {
        case help, type, unit, comment, series
    }

    /// A label as it stands in the text.
    struct LabelSpan {
        var nameStart: Int
        var nameEnd: Int
        var valueStart: Int
        var valueEnd: Int
        var nameHasEscape: Bool
        var valueHasEscape: Bool
    }

    package let format: ExpositionFormat
    var lexer: ExpositionLexer
    /// First byte of the current entry.
    var entryStart = 0

    /// Name of the family in the last metadata entry: raw, escapes and all.
    private(set) var metaName = 0..<0
    private var metaNameHasEscape = false
    /// Name of the family in the last TYPE line.
    var typeName = 0..<0
    private var metaText = 0..<0
    /// Type that the last TYPE line stated. It holds until the next one.
    package private(set) var type = MetricType.unknown

    private var series = 0..<0
    /// Nil stands for "not set", which only a name inside braces can leave.
    private(set) var name: Range<Int>?
    private var nameHasEscape = false
    private(set) var labels: [LabelSpan] = []

    /// Value of the current series; every NaN is the ordinary one.
    package private(set) var value = 0.0
    /// The timestamp that the line states.
    package private(set) var timestampMillis: Int64?

    package private(set) var hasExemplar = false
    package private(set) var exemplarValue = 0.0
    package private(set) var exemplarMillis: Int64?
    private(set) var exemplar: [LabelSpan] = []

    private var scratch: [UInt8] = []
    /// Start times of the family that `starts.family` names.
    var starts = StartTimes()

    package init(_ bytes: UnsafeRawBufferPointer, _ format: ExpositionFormat) {
        self.format = format
        lexer = ExpositionLexer(bytes, endsAsLine: format == .text)
        labels.reserveCapacity(16)
        // Text 0.0.4 has no start times: a `_created` series is a series there.
        starts.mayExist = format == .openMetrics && StartTimes.occur(in: bytes)
    }

    @inline(__always) private mutating func token() -> ExpositionLexer.Token {
        format == .text ? lexer.nextText() : lexer.nextOpenMetrics()
    }

    // MARK: entries

    /// Reads the next entry; nil at the end (of OpenMetrics: at `# EOF`).
    package mutating func next() throws(ExpositionError) -> Entry? {
        while true {
            entryStart = lexer.offset
            switch token() {
            case .linebreak where format == .text: continue
            case .eof:
                if format == .text { return nil }
                throw failure("data does not end with # EOF")
            case .eofWord:
                guard token() == .eof else { throw failure("unexpected data after # EOF") }
                return nil
            case .help: return try metadata(.help)
            case .type: return try metadata(.type)
            case .unit: return try metadata(.unit)
            case .comment:
                metaText = lexer.start..<lexer.offset
                let end = token()
                guard end == .linebreak else {
                    throw unexpected("linebreak expected after comment", end)
                }
                return .comment
            case .braceOpen:
                name = nil
                labels.removeAll(keepingCapacity: true)
                try parseLabels()
                series = entryStart..<lexer.offset
                try parseEnd(token())
                return .series
            case .metricName:
                name = entryStart..<lexer.offset
                // Blank lines were skipped, but blanks before the name belong to the entry.
                if format == .text { name = lexer.start..<lexer.offset }
                nameHasEscape = false
                labels.removeAll(keepingCapacity: true)
                series = entryStart..<lexer.offset
                var following = token()
                if following == .braceOpen {
                    try parseLabels()
                    series = entryStart..<lexer.offset
                    following = token()
                }
                try parseEnd(following)
                return .series
            case let other: throw unexpected("expected a valid start token", other)
            }
        }
    }

    private mutating func metadata(_ entry: Entry) throws(ExpositionError) -> Entry {
        let word = entry == .help ? "HELP" : entry == .type ? "TYPE" : "UNIT"
        let nameToken = token()
        guard nameToken == .metricName else {
            throw unexpected("expected metric name after \(word)", nameToken)
        }
        metaName = lexer.start..<lexer.offset
        metaNameHasEscape = false
        if lexer.byte(lexer.start) == UInt8(ascii: "\"") {
            metaName = lexer.start &+ 1..<lexer.offset &- 1
            metaNameHasEscape = lexer.hasEscape
        }
        guard token() == .text else { throw failure("expected text in \(word)") }
        // One blank before the text; OpenMetrics' token has the newline as well.
        let end = format == .text ? lexer.offset : lexer.offset &- 1
        metaText = min(lexer.start &+ 1, end)..<end
        if format == .text {
            let text = lexer.slice(metaText.lowerBound, metaText.upperBound)
            if !text.contains(where: { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }) {
                metaText = end..<end
            }
        }
        switch entry {
        case .type: try readType()
        case .help:
            let text = rawText
            guard isValidUTF8(text) else {
                throw failure("help text \(quoted(text)) is not a valid utf8 string")
            }
        case .unit: try checkUnit()
        case .comment, .series: break
        }
        if format == .text {
            let end = token()
            guard end == .linebreak else {
                throw unexpected("linebreak expected after metadata", end)
            }
        }
        return entry
    }

    private mutating func readType() throws(ExpositionError) {
        let text = rawText
        for candidate in MetricType.allCases where equals(text, candidate.text) {
            if format == .openMetrics || ExpositionParser.textTypes.contains(candidate) {
                type = candidate
                typeName = metaName
                return
            }
        }
        if format == .text, equals(text, "untyped") {
            type = .unknown
            typeName = metaName
            return
        }
        throw failure("invalid metric type \(quoted(text))")
    }

    /// Types that the text format knows, `untyped` aside.
    private static let textTypes: Set<MetricType> = [.counter, .gauge, .histogram, .summary]

    private func equals(_ bytes: UnsafeRawBufferPointer, _ text: String) -> Bool {
        bytes.elementsEqual(text.utf8)
    }

    private func checkUnit() throws(ExpositionError) {
        let unit = rawText
        let name = lexer.slice(metaName.lowerBound, metaName.upperBound)
        if unit.isEmpty { return }
        guard name.count > unit.count,
            equalBytes(UnsafeRawBufferPointer(rebasing: name.suffix(unit.count)), unit),
            name[name.count - unit.count - 1] == UInt8(ascii: "_")
        else {
            throw failure("unit \(quoted(unit)) not a suffix of metric \(quoted(name))")
        }
    }

    // MARK: series

    /// Labels in braces, up to and with the closing one.
    private mutating func parseLabels() throws(ExpositionError) {
        var next = token()
        while true {
            guard next != .braceClose else { return }
            guard next == .labelName || next == .quotedString else {
                throw unexpected("expected label name", next)
            }
            let isQuoted = next == .quotedString
            var span = LabelSpan(
                nameStart: lexer.start, nameEnd: lexer.offset, valueStart: 0, valueEnd: 0,
                nameHasEscape: isQuoted && lexer.hasEscape, valueHasEscape: false)
            if isQuoted {
                span.nameStart &+= 1
                span.nameEnd &-= 1
            }
            next = token()
            if isQuoted, next == .comma || next == .braceClose {
                // A lone quoted string is the metric's name.
                guard name == nil else {
                    throw failure("metric name already set while parsing: \(entryText)")
                }
                name = span.nameStart..<span.nameEnd
                nameHasEscape = span.nameHasEscape
                try checkUTF8(span.nameStart, span.nameEnd, "metric name")
                if next == .braceClose { return }
                next = token()
                continue
            }
            if isQuoted { try checkUTF8(span.nameStart, span.nameEnd, "label name") }
            try parseValue(&span, after: next)
            labels.append(span)
            next = token()
            if next == .comma {
                next = token()
            } else if format == .openMetrics, next != .braceClose {
                throw unexpected("expected comma or brace close", next)
            }
        }
    }

    /// The equal sign, which is `next`, and the value after a label's name.
    @inline(__always) private mutating func parseValue(
        _ span: inout LabelSpan, after next: ExpositionLexer.Token
    ) throws(ExpositionError) {
        guard next == .equal else { throw unexpected("expected equal", next) }
        let value = token()
        guard value == .labelValue else { throw unexpected("expected label value", value) }
        let text = lexer.token
        guard isValidUTF8(text) else {
            throw failure("invalid UTF-8 label value: \(quoted(text))")
        }
        span.valueStart = lexer.start &+ 1
        span.valueEnd = lexer.offset &- 1
        span.valueHasEscape = lexer.hasEscape
    }

    private func checkUTF8(
        _ start: Int, _ end: Int, _ what: StaticString
    ) throws(ExpositionError) {
        let text = lexer.slice(start, end)
        guard isValidUTF8(text) else { throw failure("invalid UTF-8 \(what): \(quoted(text))") }
    }

    /// Value, timestamp and exemplar; `next` is the token after the series.
    private mutating func parseEnd(_ next: ExpositionLexer.Token) throws(ExpositionError) {
        guard let name, !name.isEmpty else {
            throw failure("metric name not set while parsing: \(entryText)")
        }
        value = try float(next, after: "metric")
        timestampMillis = nil
        hasExemplar = false
        let after = token()
        switch after {
        case .linebreak: return
        case .timestamp where format == .text:
            timestampMillis = try integerMillis()
            let end = token()
            guard end == .linebreak else {
                throw unexpected("expected next entry after timestamp", end)
            }
        case .timestamp:
            timestampMillis = try seconds("invalid timestamp")
            let end = token()
            switch end {
            case .linebreak: return
            case .comment: try parseExemplar()
            default: throw unexpected("expected next entry after timestamp", end)
            }
        case .comment: try parseExemplar()
        case .eof: throw failure("data does not end with # EOF")
        default: throw unexpected("expected timestamp or new record", after)
        }
    }

    private mutating func parseExemplar() throws(ExpositionError) {
        exemplar.removeAll(keepingCapacity: true)
        var next = token()
        while next != .braceClose {
            guard next == .labelName || next == .quotedString else {
                throw unexpected("expected label name", next)
            }
            var span = LabelSpan(
                nameStart: lexer.start, nameEnd: lexer.offset, valueStart: 0, valueEnd: 0,
                nameHasEscape: false, valueHasEscape: false)
            if next == .quotedString {
                span.nameStart &+= 1
                span.nameEnd &-= 1
                span.nameHasEscape = lexer.hasEscape
                try checkUTF8(span.nameStart, span.nameEnd, "label name")
            }
            next = token()
            try parseValue(&span, after: next)
            exemplar.append(span)
            next = token()
            if next == .comma {
                next = token()
            } else if next != .braceClose {
                throw unexpected("expected comma or brace close", next)
            }
        }
        next = token()
        exemplarValue = try float(next, after: "exemplar labels")
        exemplarMillis = nil
        let after = token()
        switch after {
        case .linebreak: break
        case .timestamp:
            exemplarMillis = try seconds("invalid exemplar timestamp")
            let end = token()
            guard end == .linebreak else {
                throw unexpected("expected next entry after exemplar timestamp", end)
            }
        case .eof: throw failure("data does not end with # EOF")
        default: throw unexpected("expected timestamp or comment", after)
        }
        hasExemplar = true
    }

    // MARK: numbers

    private func float(
        _ token: ExpositionLexer.Token, after what: StaticString
    ) throws(ExpositionError) -> Double {
        guard token == .value else { throw unexpected("expected value after \(what)", token) }
        let value = try float()
        return value.isNaN ? Double(bitPattern: StaleMarker.ordinaryNaNBits) : value
    }

    /// The token as a number; OpenMetrics' tokens start with a space.
    private func float() throws(ExpositionError) -> Double {
        let text = lexer.slice(
            format == .text ? lexer.start : lexer.start &+ 1, lexer.offset)
        switch floatOrError(text) {
        case .success(let value):
            // The hexadecimal form is the only one with such a letter.
            if text.contains(where: { $0 | 0x20 == UInt8(ascii: "p") }) { break }
            return value
        case .failure(let error):
            if text.contains(where: { $0 | 0x20 == UInt8(ascii: "p") || $0 == UInt8(ascii: "_") }) {
                break
            }
            throw failure(
                "strconv.ParseFloat: parsing \(quoted(text)): \(error.text) while parsing: "
                    + entryText)
        }
        throw failure("unsupported character in float while parsing: \(entryText)")
    }

    /// The token as seconds, in milliseconds; what exceeds 64 bits is cut to the ends.
    private func seconds(_ invalid: StaticString) throws(ExpositionError) -> Int64 {
        let seconds = try float()
        guard seconds.isFinite else {
            let text = seconds.isNaN ? "NaN" : seconds > 0 ? "+Inf" : "-Inf"
            throw failure("\(invalid) \(text)")
        }
        let millis = seconds * 1000
        if millis >= 0x1p63 { return .max }
        return millis <= -0x1p63 ? .min : Int64(millis)
    }

    private func integerMillis() throws(ExpositionError) -> Int64 {
        let text = lexer.token
        var i = 0
        let negative = text[0] == UInt8(ascii: "-")
        if negative { i = 1 }
        var result: Int64 = 0
        var overflow = false
        while i < text.count {
            let digit = Int64(text[i] &- UInt8(ascii: "0"))
            let (product, over) = result.multipliedReportingOverflow(by: 10)
            let (sum, overSum) =
                negative
                ? product.subtractingReportingOverflow(digit)
                : product.addingReportingOverflow(digit)
            overflow = overflow || over || overSum
            result = sum
            i &+= 1
        }
        guard !overflow else {
            throw failure(
                "strconv.ParseInt: parsing \(quoted(text)): value out of range while parsing: "
                    + entryText)
        }
        return result
    }

    // MARK: what the current entry holds

    private var rawText: UnsafeRawBufferPointer {
        lexer.slice(metaText.lowerBound, metaText.upperBound)
    }

    /// The series as written, from its first byte to the closing brace. Two lines with the same
    /// text are the same series, as long as their family's type is the same.
    package var seriesText: UnsafeRawBufferPointer {
        lexer.slice(series.lowerBound, series.upperBound)
    }

    /// Text of a comment line, its `#` included.
    package var comment: UnsafeRawBufferPointer { rawText }

    /// Calls `body` with the metadata entry's family name and text, escapes resolved.
    package mutating func withMetadata<R>(
        _ body: (_ family: UnsafeRawBufferPointer, _ text: UnsafeRawBufferPointer) -> R
    ) -> R {
        scratch.removeAll(keepingCapacity: true)
        unescape(lexer.slice(metaName.lowerBound, metaName.upperBound), into: &scratch)
        let split = scratch.count
        unescape(rawText, into: &scratch, quotes: format == .openMetrics)
        return scratch.withUnsafeBytes { all in
            body(
                UnsafeRawBufferPointer(rebasing: all[..<split]),
                UnsafeRawBufferPointer(rebasing: all[split...]))
        }
    }

    /// Adds the labels of the current series. Values of `le` and `quantile` get one notation per
    /// number, so that `le="1"` and `le="1.0"` are one series.
    package mutating func appendLabels(to buffer: inout LabelSetBuffer) {
        guard let name else { return }
        append(
            "__name__", name.lowerBound, name.upperBound, hasEscape: nameHasEscape, to: &buffer)
        for span in labels { append(span, to: &buffer, normalise: true) }
    }

    /// Adds the labels of the current exemplar.
    package mutating func appendExemplarLabels(to buffer: inout LabelSetBuffer) {
        for span in exemplar { append(span, to: &buffer, normalise: false) }
    }

    private mutating func append(
        _ name: StaticString, _ start: Int, _ end: Int, hasEscape: Bool,
        to buffer: inout LabelSetBuffer
    ) {
        guard hasEscape else {
            buffer.append(name, lexer.slice(start, end))
            return
        }
        scratch.removeAll(keepingCapacity: true)
        unescape(lexer.slice(start, end), into: &scratch)
        scratch.withUnsafeBytes { buffer.append(name, $0) }
    }

    @inline(__always) private mutating func append(
        _ span: LabelSpan, to buffer: inout LabelSetBuffer, normalise: Bool
    ) {
        let name = lexer.slice(span.nameStart, span.nameEnd)
        let value = lexer.slice(span.valueStart, span.valueEnd)
        if normalise,
            type == .histogram && isWord(name, "le")
                || type == .summary && isWord(name, "quantile"), !isNormal(value),
            let number = parseFloat(value)
        {
            scratch.removeAll(keepingCapacity: true)
            appendOpenMetricsFloat(number, into: &scratch)
            scratch.withUnsafeBytes { buffer.append(name, $0) }
        } else if !span.nameHasEscape, !span.valueHasEscape {
            buffer.append(name, value)
        } else {
            scratch.removeAll(keepingCapacity: true)
            unescape(name, into: &scratch)
            let split = scratch.count
            unescape(value, into: &scratch)
            scratch.withUnsafeBytes { all in
                buffer.append(
                    UnsafeRawBufferPointer(rebasing: all[..<split]),
                    UnsafeRawBufferPointer(rebasing: all[split...]))
            }
        }
    }

    @inline(__always) func isWord(
        _ name: UnsafeRawBufferPointer, _ word: StaticString
    ) -> Bool {
        guard name.count == word.utf8CodeUnitCount else { return false }
        for i in 0..<name.count where name[i] != word.utf8Start[i] { return false }
        return true
    }

    /// Whether a bound is surely in the notation that `appendOpenMetricsFloat` makes: up to six
    /// digits without a leading zero, a point, and decimals that do not end in a zero (or `0`
    /// alone).
    private func isNormal(_ value: UnsafeRawBufferPointer) -> Bool {
        var i = 0
        while i < value.count, value[i] &- UInt8(ascii: "0") < 10 { i &+= 1 }
        guard i > 0, i <= 6, i < value.count, value[i] == UInt8(ascii: "."),
            value[0] != UInt8(ascii: "0") || i == 1
        else { return false }
        let first = i &+ 1
        i = first
        while i < value.count, value[i] &- UInt8(ascii: "0") < 10 { i &+= 1 }
        guard i == value.count, i > first, i <= 15 else { return false }
        if value[i &- 1] == UInt8(ascii: "0") { return i == first &+ 1 }
        // Below 1e-4 the notation has an exponent.
        return value[0] != UInt8(ascii: "0") || value[first] != UInt8(ascii: "0")
    }

    // MARK: errors

    func failure(_ message: String) -> ExpositionError {
        ExpositionError(message, offset: entryStart)
    }

    /// The entry up to the current token's end, in quotes.
    private var entryText: String { quoted(from: entryStart, to: lexer.offset) }

    @inline(never) private func unexpected(
        _ expected: String, _ token: ExpositionLexer.Token
    ) -> ExpositionError {
        let end = min(lexer.total, lexer.offset &+ 1)
        return failure(
            "\(expected), got \(quoted(from: lexer.start, to: end)) (\"\(token.name)\") while "
                + "parsing: \(quoted(from: entryStart, to: end))")
    }

    private func quoted(from start: Int, to end: Int) -> String {
        let bytes = (start..<max(start, end)).map { lexer.byte($0) }
        return bytes.withUnsafeBytes { quoted($0) }
    }

    private func quoted(_ bytes: UnsafeRawBufferPointer) -> String {
        var out: [UInt8] = []
        appendQuoted(bytes, into: &out)
        return String(decoding: out, as: UTF8.self)
    }
}

/// Resolves `\\`, `\n` and, where `quotes` is set, `\"`; other backslashes stay.
func unescape(
    _ text: UnsafeRawBufferPointer, into out: inout [UInt8], quotes: Bool = true
) {
    var i = 0
    var start = 0
    while i < text.count {
        guard text[i] == UInt8(ascii: "\\"), i &+ 1 < text.count else {
            i &+= 1
            continue
        }
        let escaped = text[i &+ 1]
        let resolved: UInt8
        switch escaped {
        case UInt8(ascii: "\\"): resolved = escaped
        case UInt8(ascii: "n"): resolved = UInt8(ascii: "\n")
        case UInt8(ascii: "\"") where quotes: resolved = escaped
        default:
            i &+= 1
            continue
        }
        out.append(contentsOf: text[start..<i])
        out.append(resolved)
        i &+= 2
        start = i
    }
    out.append(contentsOf: text[start..<text.count])
}

/// Appends a number as OpenMetrics writes label values: Go's `%g` with at least one decimal.
///
/// Source: prometheus/prometheus `model/labels`, `FormatOpenMetricsFloat`.
package func appendOpenMetricsFloat(_ value: Double, into out: inout [UInt8]) {
    let start = out.count
    appendFloatGeneral(value, into: &out)
    guard value.isFinite else { return }
    let hasMark = out[start...].contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "e") }
    if !hasMark { out.append(contentsOf: ".0".utf8) }
}
