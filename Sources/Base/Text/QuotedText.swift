// SPDX-License-Identifier: Apache-2.0
// Text in quotes, by Go's rules.

/// Appends text in double quotes, escaped as Go's `strconv.Quote` does: control characters by name
/// or code, bytes that are not UTF-8 as `\xNN`, everything printable as it is.
package func appendQuoted(_ text: UnsafeRawBufferPointer, into out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    var i = 0
    while i < text.count {
        let byte = text[i]
        if byte >= 0x80 {
            let length = validUTF8Length(text, at: i)
            if length == 0 {
                appendHexEscape(byte, into: &out)
                i += 1
            } else {
                appendScalar(text, at: i, length: length, into: &out)
                i += length
            }
            continue
        }
        switch byte {
        case UInt8(ascii: "\""): out.append(contentsOf: #"\""#.utf8)
        case UInt8(ascii: "\\"): out.append(contentsOf: #"\\"#.utf8)
        case 7: out.append(contentsOf: #"\a"#.utf8)
        case 8: out.append(contentsOf: #"\b"#.utf8)
        case 9: out.append(contentsOf: #"\t"#.utf8)
        case 10: out.append(contentsOf: #"\n"#.utf8)
        case 11: out.append(contentsOf: #"\v"#.utf8)
        case 12: out.append(contentsOf: #"\f"#.utf8)
        case 13: out.append(contentsOf: #"\r"#.utf8)
        case 0..<0x20, 0x7f: appendHexEscape(byte, into: &out)
        default: out.append(byte)
        }
        i += 1
    }
    out.append(UInt8(ascii: "\""))
}

private let hexDigits = Array("0123456789abcdef".utf8)

private func appendHexEscape(_ byte: UInt8, into out: inout [UInt8]) {
    out.append(contentsOf: #"\x"#.utf8)
    out.append(hexDigits[Int(byte >> 4)])
    out.append(hexDigits[Int(byte & 15)])
}

/// A scalar beyond ASCII: as it is when printable, else as `\u` or `\U`.
private func appendScalar(
    _ text: UnsafeRawBufferPointer, at start: Int, length: Int, into out: inout [UInt8]
) {
    var value = UInt32(text[start]) & (0xff >> UInt32(length + 1))
    for i in 1..<length { value = value << 6 | UInt32(text[start + i] & 0x3f) }
    var printable = true
    if let scalar = Unicode.Scalar(value) {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
            .paragraphSeparator, .spaceSeparator:
            printable = false
        default: break
        }
    }
    if printable {
        out.append(contentsOf: text[start..<start + length])
        return
    }
    let width = value > 0xffff ? 8 : 4
    out.append(contentsOf: (width == 8 ? #"\U"# : #"\u"#).utf8)
    for shift in stride(from: (width - 1) * 4, through: 0, by: -4) {
        out.append(hexDigits[Int(value >> UInt32(shift) & 15)])
    }
}

/// Text in double quotes; see `appendQuoted`.
package func quotedText(_ text: String) -> String {
    var out: [UInt8] = []
    var text = text
    text.withUTF8 { appendQuoted(UnsafeRawBufferPointer($0), into: &out) }
    return String(decoding: out, as: UTF8.self)
}

/// The content of quoted text, escapes resolved: `"…"` and `'…'` with Go's escapes, `` `…` `` as it
/// is. Nil when the text is not one whole literal. The result may hold any bytes.
package func unquotedBytes(_ text: some Collection<UInt8>) -> [UInt8]? {
    let text = Array(text)
    guard text.count >= 2, let quote = text.first, text.last == quote else { return nil }
    let inner = text[1..<text.count - 1]
    switch quote {
    case UInt8(ascii: "`"): return inner.contains(quote) ? nil : Array(inner)
    case UInt8(ascii: "\""), UInt8(ascii: "'"): break
    default: return nil
    }
    var result: [UInt8] = []
    result.reserveCapacity(inner.count)
    var rest = inner
    while let byte = rest.popFirst() {
        if byte == quote || byte == UInt8(ascii: "\n") { return nil }
        if byte != UInt8(ascii: "\\") {
            result.append(byte)
            continue
        }
        guard appendEscape(from: &rest, quote: quote, into: &result) else { return nil }
    }
    return result
}

/// Resolves the escape after a backslash; false when it is none.
private func appendEscape(
    from rest: inout ArraySlice<UInt8>, quote: UInt8, into out: inout [UInt8]
) -> Bool {
    guard let kind = rest.popFirst() else { return false }
    switch kind {
    case quote, UInt8(ascii: "\\"): out.append(kind)
    case UInt8(ascii: "a"): out.append(7)
    case UInt8(ascii: "b"): out.append(8)
    case UInt8(ascii: "t"): out.append(9)
    case UInt8(ascii: "n"): out.append(10)
    case UInt8(ascii: "v"): out.append(11)
    case UInt8(ascii: "f"): out.append(12)
    case UInt8(ascii: "r"): out.append(13)
    case UInt8(ascii: "0")...UInt8(ascii: "7"):
        guard let low = number(from: &rest, digits: 2, base: 8) else { return false }
        let value = UInt32(kind - UInt8(ascii: "0")) << 6 | low
        guard let byte = UInt8(exactly: value) else { return false }
        out.append(byte)
    case UInt8(ascii: "x"):
        guard let value = number(from: &rest, digits: 2, base: 16) else { return false }
        out.append(UInt8(truncatingIfNeeded: value))
    case UInt8(ascii: "u"), UInt8(ascii: "U"):
        let digits = kind == UInt8(ascii: "u") ? 4 : 8
        guard let value = number(from: &rest, digits: digits, base: 16),
            let scalar = Unicode.Scalar(value)
        else { return false }
        out.append(contentsOf: String(Character(scalar)).utf8)
    default: return false
    }
    return true
}

private func number(from rest: inout ArraySlice<UInt8>, digits: Int, base: UInt32) -> UInt32? {
    var value: UInt32 = 0
    for _ in 0..<digits {
        guard let byte = rest.popFirst(), let digit = hexValue(byte), digit < base else {
            return nil
        }
        value = value &* base &+ digit
    }
    return value
}

private func hexValue(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a")) + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A")) + 10
    default: nil
    }
}
