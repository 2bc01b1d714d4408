// SPDX-License-Identifier: Apache-2.0
// A JSON string as it lies in the input, and its unescaping.

/// The inside of a JSON string, borrowed from the reader's input: valid as long as that is.
///
/// Escapes were checked when the string was read, so unescaping cannot fail. Bytes that are not
/// UTF-8 are kept as they are: log lines may hold anything. A surrogate without its other half
/// becomes U+FFFD.
package struct JSONText {
    /// The bytes between the quotes.
    package let raw: UnsafeRawBufferPointer
    /// Whether `raw` differs from what it stands for.
    package let hasEscapes: Bool

    package init(raw: UnsafeRawBufferPointer, hasEscapes: Bool = false) {
        self.raw = raw
        self.hasEscapes = hasEscapes
    }

    /// Appends what the string stands for. Never longer than `raw`.
    package func append(to out: inout [UInt8]) {
        if hasEscapes {
            appendUnescapedJSON(raw, to: &out)
        } else {
            out.append(contentsOf: raw)
        }
    }

    /// Calls `body` with what the string stands for; `scratch` is used when there are escapes.
    package func withBytes<R>(
        scratch: inout [UInt8], _ body: (UnsafeRawBufferPointer) throws -> R
    ) rethrows -> R {
        guard hasEscapes else { return try body(raw) }
        scratch.removeAll(keepingCapacity: true)
        appendUnescapedJSON(raw, to: &scratch)
        return try scratch.withUnsafeBytes { try body($0) }
    }

    /// Whether the string stands for exactly `text`. Does not allocate unless there are escapes.
    package func equals(_ text: StaticString) -> Bool {
        let wanted = text.bytes
        guard hasEscapes else { return equalBytes(raw, wanted) }
        // An escape stands for at most a sixth of its length.
        guard raw.count > wanted.count else { return false }
        var scratch: [UInt8] = []
        return withBytes(scratch: &scratch) { equalBytes($0, wanted) }
    }

    /// As a string, invalid UTF-8 repaired: for messages and answers, not for the data path.
    package var string: String {
        var scratch: [UInt8] = []
        return withBytes(scratch: &scratch) { String(decoding: $0, as: UTF8.self) }
    }
}

/// Appends a string's inside with its escapes resolved. What is not a valid escape is copied.
package func appendUnescapedJSON(_ raw: UnsafeRawBufferPointer, to out: inout [UInt8]) {
    var i = 0
    while i < raw.count {
        let rest = UnsafeRawBufferPointer(rebasing: raw[i...])
        let plain = findEither(UInt8(ascii: "\\"), UInt8(ascii: "\\"), in: rest)
        out.append(contentsOf: rest[..<plain])
        i &+= plain
        guard i &+ 1 < raw.count else {
            out.append(contentsOf: raw[i...])
            return
        }
        let escape = raw[i &+ 1]
        i &+= 2
        switch escape {
        case UInt8(ascii: "n"): out.append(0x0a)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "r"): out.append(0x0d)
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "f"): out.append(0x0c)
        case UInt8(ascii: "u"):
            guard let unit = hexUnit(raw, at: i) else {
                out.append(escape)
                continue
            }
            i &+= 4
            var scalar = unit
            if unit &>> 10 == 0x36, i &+ 1 < raw.count, raw[i] == UInt8(ascii: "\\"),
                raw[i &+ 1] == UInt8(ascii: "u"), let low = hexUnit(raw, at: i &+ 2),
                low &>> 10 == 0x37
            {
                scalar = 0x10000 &+ (unit & 0x3ff) &<< 10 &+ (low & 0x3ff)
                i &+= 6
            } else if unit &>> 11 == 0x1b {
                scalar = 0xfffd
            }
            appendUTF8(scalar, to: &out)
        default: out.append(escape)  // quote, backslash, slash
        }
    }
}

/// Four hexadecimal digits at `i`, or nil.
func hexUnit(_ bytes: UnsafeRawBufferPointer, at i: Int) -> UInt32? {
    guard i &+ 4 <= bytes.count else { return nil }
    var value: UInt32 = 0
    for byte in bytes[i..<(i &+ 4)] {
        let digit: UInt8
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte &- UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte &- UInt8(ascii: "a") &+ 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte &- UInt8(ascii: "A") &+ 10
        default: return nil
        }
        value = value &<< 4 | UInt32(digit)
    }
    return value
}

/// Appends the UTF-8 of a scalar; surrogates and values above U+10FFFF become U+FFFD.
package func appendUTF8(_ scalar: UInt32, to out: inout [UInt8]) {
    switch scalar {
    case 0..<0x80: out.append(UInt8(scalar))
    case 0x80..<0x800:
        out.append(0xc0 | UInt8(scalar &>> 6))
        out.append(0x80 | UInt8(scalar & 0x3f))
    case 0x800..<0xd800, 0xe000..<0x10000:
        out.append(0xe0 | UInt8(scalar &>> 12))
        out.append(0x80 | UInt8(scalar &>> 6 & 0x3f))
        out.append(0x80 | UInt8(scalar & 0x3f))
    case 0x10000..<0x110000:
        out.append(0xf0 | UInt8(scalar &>> 18))
        out.append(0x80 | UInt8(scalar &>> 12 & 0x3f))
        out.append(0x80 | UInt8(scalar &>> 6 & 0x3f))
        out.append(0x80 | UInt8(scalar & 0x3f))
    default: out.append(contentsOf: [0xef, 0xbf, 0xbd])
    }
}
