// SPDX-License-Identifier: Apache-2.0
// Streaming JSON output.

/// Writes JSON into a byte buffer: commas and colons by itself, no tree in between.
///
/// The caller opens and closes what it opens; that is checked in debug builds. Strings that are
/// not valid UTF-8 come out with U+FFFD in place of each bad sequence, since JSON is text.
package struct JSONWriter: Sendable {
    package var bytes: [UInt8]
    /// Whether a comma is due before the next value at this level.
    private var needsComma = false

    package init(reserving capacity: Int = 1024) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Takes what is written so far; more may follow.
    ///
    /// - Parameter capacity: bytes to make room for.
    package mutating func takeBytes(reserving capacity: Int) -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &bytes)
        bytes.reserveCapacity(capacity)
        return taken
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    package mutating func beginObject() {
        separate()
        bytes.append(UInt8(ascii: "{"))
        needsComma = false
    }
    package mutating func endObject() {
        bytes.append(UInt8(ascii: "}"))
        needsComma = true
    }
    package mutating func beginArray() {
        separate()
        bytes.append(UInt8(ascii: "["))
        needsComma = false
    }
    package mutating func endArray() {
        bytes.append(UInt8(ascii: "]"))
        needsComma = true
    }

    /// A member's name; the next call writes its value.
    package mutating func key(_ name: String) {
        string(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }
    package mutating func key(_ name: UnsafeRawBufferPointer) {
        string(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    package mutating func string(_ text: String) {
        var text = text
        text.withUTF8 { string(UnsafeRawBufferPointer($0)) }
    }

    /// Text as bytes, escaped as JSON demands and repaired where it is not UTF-8.
    package mutating func string(_ text: UnsafeRawBufferPointer) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        appendEscaped(text)
        bytes.append(UInt8(ascii: "\""))
    }

    /// The escaped inside of a string, for those who write the quotes themselves.
    package mutating func appendEscaped(_ text: UnsafeRawBufferPointer) {
        var start = 0
        var i = 0
        while i < text.count {
            if text.count &- i >= 8,
                !needsEscape(text.loadUnaligned(fromByteOffset: i, as: UInt64.self))
            {
                i &+= 8
                continue
            }
            let byte = text[i]
            if byte >= 0x20, byte < 0x80, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                i += 1
                continue
            }
            if byte >= 0x80 {
                let length = validUTF8Length(text, at: i)
                if length > 0 {
                    i += length
                    continue
                }
            }
            bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: text[start..<i]))
            appendEscape(byte)
            i += 1
            start = i
        }
        bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: text[start..<text.count]))
    }

    private mutating func appendEscape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): bytes.append(contentsOf: #"\""#.utf8)
        case UInt8(ascii: "\\"): bytes.append(contentsOf: #"\\"#.utf8)
        case UInt8(ascii: "\n"): bytes.append(contentsOf: #"\n"#.utf8)
        case UInt8(ascii: "\r"): bytes.append(contentsOf: #"\r"#.utf8)
        case UInt8(ascii: "\t"): bytes.append(contentsOf: #"\t"#.utf8)
        case 0..<0x20:
            let digits = Array("0123456789abcdef".utf8)
            bytes.append(contentsOf: #"\u00"#.utf8)
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        default: bytes.append(contentsOf: [0xef, 0xbf, 0xbd])
        }
    }

    package mutating func int(_ value: Int64) {
        separate()
        appendDecimal(value, into: &bytes)
    }
    package mutating func int(_ value: Int) { int(Int64(value)) }
    /// A string that holds a number, as Prometheus writes sample values; see `writeFloat`.
    package mutating func floatString(_ value: Double) {
        written(capacity: floatTextCapacity + 2) { out in
            out[0] = UInt8(ascii: "\"")
            let count = writeFloat(value, to: out + 1)
            out[count + 1] = UInt8(ascii: "\"")
            return count + 2
        }
    }
    /// Milliseconds as a number of seconds; see `writeSeconds`.
    package mutating func seconds(millis: Int64) {
        written(capacity: secondsTextCapacity) { writeSeconds(millis: millis, to: $0) }
    }
    /// A value, or several with commas between them, that `body` writes.
    ///
    /// - Parameters:
    ///   - capacity: bytes that `body` may write, a few thousand at most.
    ///   - body: gets the memory and returns how many bytes it wrote.
    @inline(__always)
    package mutating func written(
        capacity: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Int
    ) {
        separate()
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: capacity) { scratch in
            guard let base = scratch.baseAddress else { return }
            let count = body(base)
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: scratch[..<count]))
        }
    }
    package mutating func bool(_ value: Bool) {
        separate()
        bytes.append(contentsOf: (value ? "true" : "false").utf8)
    }
    package mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
    }
    /// A value that is JSON already.
    package mutating func raw(_ json: [UInt8]) {
        separate()
        bytes.append(contentsOf: json)
    }
    /// A value that is JSON already.
    package mutating func raw(_ json: String) {
        separate()
        bytes.append(contentsOf: json.utf8)
    }

    /// A whole string member.
    package mutating func member(_ name: String, _ value: String) {
        key(name)
        string(value)
    }
    /// A whole integer member.
    package mutating func member(_ name: String, _ value: Int) {
        key(name)
        int(value)
    }
    /// A whole boolean member.
    package mutating func member(_ name: String, _ value: Bool) {
        key(name)
        bool(value)
    }
}

/// Whether one of eight bytes is a quote, a backslash, a control character or not ASCII.
private func needsEscape(_ eight: UInt64) -> Bool {
    let ones: UInt64 = 0x0101_0101_0101_0101, tops: UInt64 = 0x8080_8080_8080_8080
    // A byte becomes zero where it is the one looked for; the borrow of a zero sets its top bit,
    // and that of the next byte at worst.
    let quotes = eight ^ (ones &* UInt64(UInt8(ascii: "\"")))
    let backslashes = eight ^ (ones &* UInt64(UInt8(ascii: "\\")))
    let found =
        eight | (quotes &- ones) & ~quotes | (backslashes &- ones) & ~backslashes
        | (eight &- ones &* 0x20) & ~eight
    return found & tops != 0
}

/// Bytes of the valid UTF-8 sequence that starts at `i` with a byte of 0x80 or above, or 0.
@usableFromInline
package func validUTF8Length(_ text: UnsafeRawBufferPointer, at i: Int) -> Int {
    let first = text[i]
    let length: Int
    var least: UInt8 = 0x80, most: UInt8 = 0xbf
    switch first {
    case 0xc2...0xdf: length = 2
    case 0xe0:
        length = 3
        least = 0xa0
    case 0xed:
        length = 3
        most = 0x9f
    case 0xe1...0xef: length = 3
    case 0xf0:
        length = 4
        least = 0x90
    case 0xf1...0xf3: length = 4
    case 0xf4:
        length = 4
        most = 0x8f
    default: return 0
    }
    guard i + length <= text.count, text[i + 1] >= least, text[i + 1] <= most else { return 0 }
    for j in 2..<max(length, 2) where text[i + j] & 0xc0 != 0x80 { return 0 }
    return length
}

/// Whether all bytes are below 0x80; eight at a time.
package func isASCII(_ text: UnsafeRawBufferPointer) -> Bool {
    var i = 0
    var seen: UInt64 = 0
    while text.count - i >= 8 {
        seen |= text.loadUnaligned(fromByteOffset: i, as: UInt64.self)
        i += 8
    }
    while i < text.count {
        seen |= UInt64(text[i])
        i += 1
    }
    return seen & 0x8080_8080_8080_8080 == 0
}

/// Whether all bytes are valid UTF-8. ASCII passes eight bytes at a time.
package func isValidUTF8(_ text: UnsafeRawBufferPointer) -> Bool {
    var i = 0
    while i < text.count {
        if text.count - i >= 8,
            text.loadUnaligned(fromByteOffset: i, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
        {
            i += 8
            continue
        }
        if text[i] < 0x80 {
            i += 1
            continue
        }
        let length = validUTF8Length(text, at: i)
        if length == 0 { return false }
        i += length
    }
    return true
}

/// Appends an integer in decimal.
package func appendDecimal(_ value: Int64, into out: inout [UInt8]) {
    if value < 0 { out.append(UInt8(ascii: "-")) }
    var rest = value.magnitude
    let start = out.count
    repeat {
        out.append(UInt8(ascii: "0") + UInt8(rest % 10))
        rest /= 10
    } while rest > 0
    out[start...].reverse()
}
