// SPDX-License-Identifier: Apache-2.0
// Trace and span ids in log lines and their metadata.

import Base
import Telemetry

/// The trace a log line belongs to, and the span where it says so. Zero = none.
package struct TraceContext: Equatable, Sendable {
    package var traceID = TraceID.zero
    package var spanID = SpanID.zero

    package init(traceID: TraceID = .zero, spanID: SpanID = .zero) {
        self.traceID = traceID
        self.spanID = spanID
    }
}

/// Finds trace ids without a regular expression: the bytes `race` are searched, and what stands
/// around them decides.
///
/// Recognised, in any case and with `_`, `.`, `-` or nothing between the words: `trace_id` with 16 to
/// 32 hexadecimal digits or a UUID (also `otelTraceID`, `X-B3-TraceId` …); `dd.trace_id` with a
/// decimal number of 64 bits; `traceparent` as W3C has it; `…/traces/<id>`; and any other word with
/// `trace` in it before exactly 32 digits. Between word and id stand quotes, backslashes, colons,
/// equals signs, brackets and blanks, so that JSON (also JSON in a string), logfmt, syslog's structured
/// data and free text are all the same to it. Ids of zeros are none, and so is a UUID without such a
/// word. A span id is looked for only beside a trace id. Nothing is allocated.
package enum TraceContextScan {
    /// The first trace id of a line. About as fast as the substring search when there is none.
    package static func context(inLine line: UnsafeRawBufferPointer) -> TraceContext? {
        guard let found = first("race", in: line, { traceID(in: line, word: $0) }) else {
            return nil
        }
        if !found.spanID.isZero { return found }
        let span = first("pan", in: line) { spanID(in: line, word: $0) }
        return TraceContext(traceID: found.traceID, spanID: span ?? .zero)
    }

    /// The ids among structured metadata or labels: keys are judged as words in a line are, values
    /// must be an id and nothing else.
    package static func context(inLabels labels: UnsafeRawBufferPointer) -> TraceContext? {
        var result = TraceContext()
        var span = SpanID.zero
        forEachLabel(in: labels) { name, value in
            guard name.count >= 5 else { return }
            if let at = firstFolded("trace", in: name) {
                guard result.traceID.isZero else { return }
                let tail = UnsafeRawBufferPointer(rebasing: name[(at + 5)...])
                guard let found = id(value, kind: kind(tail, before: name, at: at), isWhole: true)
                else { return }
                result = found
            } else if span.isZero, let at = firstFolded("span", in: name),
                isFolded(UnsafeRawBufferPointer(rebasing: name[(at + 4)...]), "id")
            {
                span = spanValue(value, isDatadog: isDatadog(name, at), isWhole: true) ?? .zero
            }
        }
        if result.traceID.isZero { return nil }
        if result.spanID.isZero { result.spanID = span }
        return result
    }

    // MARK: words

    /// How the id behind a word is written.
    private enum Kind { case id, datadog, parent, other }

    private static func kind(
        _ tail: UnsafeRawBufferPointer, before line: UnsafeRawBufferPointer, at start: Int
    ) -> Kind {
        if isFolded(tail, "id") { return isDatadog(line, start) ? .datadog : .id }
        return isFolded(tail, "parent") ? .parent : .other
    }

    /// Whether `dd.` or `dd_` stands before the word.
    private static func isDatadog(_ line: UnsafeRawBufferPointer, _ start: Int) -> Bool {
        guard start >= 3, line[start - 1] == 0x2e || line[start - 1] == 0x5f,
            line[start - 2] | 0x20 == 0x64, line[start - 3] | 0x20 == 0x64
        else { return false }
        return start == 3 || !isAlphanumeric(line[start - 4])
    }

    /// Whether text is `word` but for case and `_`, `.` and `-`.
    private static func isFolded(_ text: UnsafeRawBufferPointer, _ word: StaticString) -> Bool {
        let word = word.bytes
        var n = 0
        for byte in text {
            if byte == 0x5f || byte == 0x2e || byte == 0x2d { continue }
            guard n < word.count, byte | 0x20 == word[n] else { return false }
            n &+= 1
        }
        return n == word.count
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default: false
        }
    }

    /// Offset of a word of lower-case letters in any case.
    private static func firstFolded(
        _ word: StaticString, in text: UnsafeRawBufferPointer
    ) -> Int? {
        let n = word.utf8CodeUnitCount
        let first = word.utf8Start[0]
        var i = 0
        while i &+ n <= text.count {
            if text[i] | 0x20 == first,
                equalFolded(UnsafeRawBufferPointer(rebasing: text[i..<(i &+ n)]), word.bytes)
            {
                return i
            }
            i &+= 1
        }
        return nil
    }

    /// Calls `body` with the offset of each occurrence of the word in lower or in upper case, in order
    /// of the text, until it gives something. A mixed spelling such as `rAcE` is nobody's.
    private static func first<T>(
        _ word: StaticString, in line: UnsafeRawBufferPointer, _ body: (Int) -> T?
    ) -> T? {
        var at = findWord(word, in: line, from: 0)
        while at < line.count {
            if let found = body(at) { return found }
            at = findWord(word, in: line, from: at + 1)
        }
        return nil
    }

    // MARK: lines

    /// The id behind the word whose `race` is at `at`.
    private static func traceID(in line: UnsafeRawBufferPointer, word at: Int) -> TraceContext? {
        guard at > 0, line[at - 1] | 0x20 == UInt8(ascii: "t") else { return nil }
        let wordEnd = tailEnd(line, at + 4)
        let tail = UnsafeRawBufferPointer(rebasing: line[(at + 4)..<wordEnd])
        let kind = kind(tail, before: line, at: at - 1)
        var i = wordEnd
        if i < line.count, line[i] == UInt8(ascii: "/") { i &+= 1 }
        i = separatorsEnd(line, i)
        guard i < line.count, i > wordEnd else { return nil }
        return id(UnsafeRawBufferPointer(rebasing: line[i...]), kind: kind, isWhole: false)
    }

    private static func spanID(in line: UnsafeRawBufferPointer, word at: Int) -> SpanID? {
        guard at > 0, line[at - 1] | 0x20 == UInt8(ascii: "s") else { return nil }
        let wordEnd = tailEnd(line, at + 3)
        guard isFolded(UnsafeRawBufferPointer(rebasing: line[(at + 3)..<wordEnd]), "id") else {
            return nil
        }
        // A parent's id is not this line's.
        if at > 7,
            line[at - 2] | 0x20 == UInt8(ascii: "t") || line[at - 3] | 0x20 == UInt8(ascii: "t"),
            firstFolded("parent", in: UnsafeRawBufferPointer(rebasing: line[(at - 8)..<at])) != nil
        {
            return nil
        }
        let i = separatorsEnd(line, wordEnd)
        guard i < line.count, i > wordEnd else { return nil }
        return spanValue(
            UnsafeRawBufferPointer(rebasing: line[i...]), isDatadog: isDatadog(line, at - 1),
            isWhole: false)
    }

    /// End of the word that goes on at `start`, at most 12 bytes further.
    private static func tailEnd(_ line: UnsafeRawBufferPointer, _ start: Int) -> Int {
        let limit = min(line.count, start + 12)
        var i = start
        while i < limit {
            let byte = line[i]
            guard isAlphanumeric(byte) || byte == 0x5f || byte == 0x2e || byte == 0x2d else {
                break
            }
            i &+= 1
        }
        return i
    }

    /// Steps over what may stand between word and id, at most 12 bytes.
    private static func separatorsEnd(_ line: UnsafeRawBufferPointer, _ start: Int) -> Int {
        let limit = min(line.count, start + 12)
        var i = start
        loop: while i < limit {
            switch line[i] {
            case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "\\"), UInt8(ascii: ":"),
                UInt8(ascii: "="), UInt8(ascii: " "), 0x09, UInt8(ascii: "["), UInt8(ascii: "("),
                UInt8(ascii: "{"), UInt8(ascii: ">"), UInt8(ascii: "]"), UInt8(ascii: "`"):
                i &+= 1
            default: break loop
            }
        }
        return i
    }

    // MARK: ids

    private static func id(
        _ text: UnsafeRawBufferPointer, kind: Kind, isWhole: Bool
    ) -> TraceContext? {
        if kind == .parent { return traceParent(text, isWhole: isWhole) }
        // A path to a trace, as Google writes it, ends in the id.
        if isWhole, kind == .other, let slash = text.lastIndex(of: UInt8(ascii: "/")) {
            return id(
                UnsafeRawBufferPointer(rebasing: text[(slash + 1)...]), kind: .other, isWhole: true)
        }
        let run = runLength(text, limit: 33)
        guard !isWhole || run == text.count || (kind == .id && text.count == 36) else { return nil }
        var trace: TraceID?
        switch run {
        case 32: trace = TraceID(hex: UnsafeRawBufferPointer(rebasing: text[..<32]))
        case 8 where kind == .id: trace = uuid(text, isWhole: isWhole)
        case 1...20 where kind == .datadog:
            trace = parseUInt64(UnsafeRawBufferPointer(rebasing: text[..<run]))
                .map { TraceID(high: 0, low: $0) }
        case 16..<32 where kind == .id:
            trace = TraceID(hex: UnsafeRawBufferPointer(rebasing: text[..<run]))
        default: break
        }
        guard let trace, !trace.isZero else { return nil }
        return TraceContext(traceID: trace)
    }

    /// Letters, digits and underscores at the start, counted up to `limit`.
    private static func runLength(_ text: UnsafeRawBufferPointer, limit: Int) -> Int {
        var n = 0
        while n < min(limit, text.count), isAlphanumeric(text[n]) || text[n] == 0x5f { n &+= 1 }
        return n
    }

    /// `00-<32>-<16>-<2>`; later versions may go on. Source: W3C Trace Context, section 3.2.
    private static func traceParent(
        _ text: UnsafeRawBufferPointer, isWhole: Bool
    ) -> TraceContext? {
        guard text.count >= 55, !isWhole || text.count == 55 || text[55] == 0x2d,
            text[2] == 0x2d, text[35] == 0x2d, text[52] == 0x2d,
            SpanID(hex: UnsafeRawBufferPointer(rebasing: text[..<2]))?.rawValue != 0xff,
            SpanID(hex: UnsafeRawBufferPointer(rebasing: text[..<2])) != nil,
            let trace = TraceID(hex: UnsafeRawBufferPointer(rebasing: text[3..<35])),
            let span = SpanID(hex: UnsafeRawBufferPointer(rebasing: text[36..<52])),
            !trace.isZero, !span.isZero
        else { return nil }
        return TraceContext(traceID: trace, spanID: span)
    }

    /// `8-4-4-4-12` digits.
    private static func uuid(_ text: UnsafeRawBufferPointer, isWhole: Bool) -> TraceID? {
        guard text.count >= 36, !isWhole || text.count == 36,
            text.count == 36 || !isAlphanumeric(text[36])
        else { return nil }
        var high: UInt64 = 0, low: UInt64 = 0
        for i in 0..<36 {
            if i == 8 || i == 13 || i == 18 || i == 23 {
                if text[i] != 0x2d { return nil }
                continue
            }
            guard let digit = hexDigit(text[i]) else { return nil }
            high = high &<< 4 | low &>> 60
            low = low &<< 4 | UInt64(digit)
        }
        return TraceID(high: high, low: low)
    }

    private static func spanValue(
        _ text: UnsafeRawBufferPointer, isDatadog: Bool, isWhole: Bool
    ) -> SpanID? {
        let run = runLength(text, limit: 21)
        guard run > 0, !isWhole || run == text.count else { return nil }
        let digits = UnsafeRawBufferPointer(rebasing: text[..<run])
        let id =
            isDatadog
            ? parseUInt64(digits).map { SpanID($0) } : run == 16 ? SpanID(hex: digits) : nil
        guard let id, !id.isZero else { return nil }
        return id
    }
}
