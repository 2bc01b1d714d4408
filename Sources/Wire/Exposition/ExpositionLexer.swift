// SPDX-License-Identifier: Apache-2.0
// Tokens of the text exposition formats.

import Base

/// Cuts an exposition into the tokens of Prometheus' scrape parser, so that what is accepted and
/// what an error says agree with it. A value type: a copy looks ahead.
///
/// The text format ends as if a newline followed. NUL is allowed where the reference allows it: in
/// label values, help and comments.
///
/// Source: prometheus/prometheus `model/textparse/promlex.l`, `openmetricslex.l`.
struct ExpositionLexer {
    enum Token: UInt8 {
        case invalid, eof, linebreak, help, type, unit, eofWord, text, comment, metricName
        case quotedString, braceOpen, braceClose, labelName, labelValue, comma, equal, timestamp
        case value

        /// As the reference names it in errors.
        var name: StaticString {
            switch self {
            case .invalid: "INVALID"
            case .eof: "EOF"
            case .linebreak: "LINEBREAK"
            case .help: "HELP"
            case .type: "TYPE"
            case .unit: "UNIT"
            case .eofWord: "EOFWORD"
            case .text: "TEXT"
            case .comment: "COMMENT"
            case .metricName: "MNAME"
            case .quotedString: "QSTRING"
            case .braceOpen: "BOPEN"
            case .braceClose: "BCLOSE"
            case .labelName: "LNAME"
            case .labelValue: "LVALUE"
            case .comma: "COMMA"
            case .equal: "EQUAL"
            case .timestamp: "TIMESTAMP"
            case .value: "VALUE"
            }
        }
    }

    enum State: UInt8 {
        case initial, comment, metaName, metaText, labels, labelValue, value, timestamp
        case exemplarLabels, exemplarValue, exemplarTimestamp
    }

    let base: UnsafeRawPointer
    /// Bytes that are there.
    let count: Int
    /// `count`, and one more where a newline is imagined.
    let total: Int
    /// First byte of the current token.
    var start = 0
    /// Byte after it.
    var offset = 0
    var state = State.initial
    /// Whether the current quoted token holds a backslash.
    var hasEscape = false

    init(_ bytes: UnsafeRawBufferPointer, endsAsLine: Bool) {
        // A zero-length buffer may have no address; any address serves, since nothing is read.
        base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        count = bytes.count
        total = bytes.count &+ (endsAsLine ? 1 : 0)
    }

    @inline(__always) func byte(_ i: Int) -> UInt8 {
        i < count ? base.load(fromByteOffset: i, as: UInt8.self) : UInt8(ascii: "\n")
    }

    /// Bytes of the text, which must not include the imagined newline.
    @inline(__always) func slice(_ from: Int, _ to: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + from, count: min(to, count) &- from)
    }

    /// The current token's bytes.
    var token: UnsafeRawBufferPointer { slice(start, offset) }

    // MARK: pieces of both formats

    /// Bytes of `[a-zA-Z_:][a-zA-Z0-9_:]*`; moves behind it.
    @inline(__always) mutating func takeName(colons: Bool) {
        offset &+= 1
        while offset < count {
            let byte = base.load(fromByteOffset: offset, as: UInt8.self)
            let kind = nameBytes[Int(byte)]
            guard kind & 3 != 0, colons || kind & 4 == 0 else { return }
            offset &+= 1
        }
    }

    @inline(__always) func startsName(_ byte: UInt8, colons: Bool) -> Bool {
        let kind = nameBytes[Int(byte)]
        return kind & 1 != 0 && (colons || kind & 4 == 0)
    }

    /// Takes a string in double quotes; false leaves `offset` at the byte that cannot belong.
    @inline(__always) mutating func takeQuoted(nul: Bool, newline: Bool) -> Bool {
        hasEscape = false
        offset &+= 1
        while offset < total {
            let byte = self.byte(offset)
            if byte == UInt8(ascii: "\"") {
                offset &+= 1
                return true
            }
            if byte == UInt8(ascii: "\\") {
                hasEscape = true
                offset &+= 1
                guard offset < total, self.byte(offset) != UInt8(ascii: "\n") else { return false }
            } else if byte == 0 && !nul || byte == UInt8(ascii: "\n") && !newline {
                return false
            }
            offset &+= 1
        }
        offset = total
        return false
    }

    /// Takes everything up to a space or newline, and up to a tab or brace where they end it.
    @inline(__always) mutating func takeWord(tabsEnd: Bool, braceEnds: Bool) {
        while offset < count {
            let byte = base.load(fromByteOffset: offset, as: UInt8.self)
            if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\n") || byte == 0
                || tabsEnd && byte == UInt8(ascii: "\t") || braceEnds && byte == UInt8(ascii: "{")
            {
                return
            }
            offset &+= 1
        }
    }

    /// Whether the bytes at `i` are the word; what of it is there counts for `reach`.
    func matches(_ word: StaticString, at i: Int) -> Bool {
        guard i &+ word.utf8CodeUnitCount <= count else { return false }
        for j in 0..<word.utf8CodeUnitCount where byte(i &+ j) != word.utf8Start[j] { return false }
        return true
    }

    /// How many bytes of the word stand at `i`.
    func common(_ word: StaticString, at i: Int) -> Int {
        var n = 0
        while n < word.utf8CodeUnitCount, i &+ n < count, byte(i &+ n) == word.utf8Start[n] {
            n &+= 1
        }
        return n
    }
}

/// Bit 0: may start a name; bit 1: may continue one; bit 2: the colon.
private let nameBytes: [UInt8] = (0..<256).map { (i: Int) -> UInt8 in
    switch UInt8(i) {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "_"):
        3
    case UInt8(ascii: ":"): 7
    case UInt8(ascii: "0")...UInt8(ascii: "9"): 2
    default: 0
    }
}
