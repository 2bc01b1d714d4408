// SPDX-License-Identifier: Apache-2.0
// Numbers of JSON as integers and doubles, with protobuf's liberties.

extension JSONReader {
    /// An integer as a number.
    package mutating func int64() throws(MalformedJSON) -> Int64 {
        let text = try number()
        guard let value = parseInt64(text) else {
            throw malformed("a signed 64-bit integer", at: offset &- text.count)
        }
        return value
    }

    /// An integer as a number or a string, as protobuf's JSON mapping has 64-bit integers; an
    /// exponent or a zero fraction is accepted. Source: protobuf.dev, "ProtoJSON Format".
    package mutating func int64OrString() throws(MalformedJSON) -> Int64 {
        let (text, start) = try numberOrString()
        guard let value = parseInt64(text) else {
            throw malformed("a signed 64-bit integer", at: start)
        }
        return value
    }

    /// As `int64OrString` for unsigned 64-bit integers.
    package mutating func uint64OrString() throws(MalformedJSON) -> UInt64 {
        let (text, start) = try numberOrString()
        guard let value = parseUInt64(text) else {
            throw malformed("an unsigned 64-bit integer", at: start)
        }
        return value
    }

    /// A double as a number.
    package mutating func double() throws(MalformedJSON) -> Double {
        let text = try number()
        guard let value = parseDouble(text) else {
            throw malformed("a number", at: offset &- text.count)
        }
        return value
    }

    /// A double as a number or a string, where `NaN`, `Infinity` and `-Infinity` are allowed.
    package mutating func doubleOrString() throws(MalformedJSON) -> Double {
        let (text, start) = try numberOrString()
        guard let value = parseDouble(text) else { throw malformed("a number", at: start) }
        return value
    }

    private mutating func numberOrString() throws(MalformedJSON) -> (UnsafeRawBufferPointer, Int) {
        if try peek() == .string {
            let start = offset
            return (try string().raw, start)
        }
        let start = offset
        return (try number(), start)
    }
}

/// A decimal integer of 64 bits with an optional minus; forms with a fraction or an exponent count
/// when their value is integral and exact. Nil for anything else.
package func parseInt64(_ text: UnsafeRawBufferPointer) -> Int64? {
    let isNegative = text.first == UInt8(ascii: "-")
    let digits = isNegative ? UnsafeRawBufferPointer(rebasing: text.dropFirst()) : text
    if let magnitude = parseDigits(digits) {
        if isNegative {
            guard magnitude <= UInt64(Int64.max) + 1 else { return nil }
            return Int64(truncatingIfNeeded: 0 &- magnitude)
        }
        return Int64(exactly: magnitude)
    }
    return parseDouble(text).flatMap { Int64(exactly: $0) }
}

/// As `parseInt64` for unsigned integers of 64 bits.
package func parseUInt64(_ text: UnsafeRawBufferPointer) -> UInt64? {
    parseDigits(text) ?? parseDouble(text).flatMap { UInt64(exactly: $0) }
}

/// Only decimal digits, at least one, of a value below 2^64.
private func parseDigits(_ text: UnsafeRawBufferPointer) -> UInt64? {
    guard !text.isEmpty else { return nil }
    var value: UInt64 = 0
    for byte in text {
        let digit = byte &- UInt8(ascii: "0")
        guard digit < 10 else { return nil }
        if value > (UInt64.max - 9) / 10 {
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(UInt64(digit))
            if overflow || carry { return nil }
            value = sum
        } else {
            value = value &* 10 &+ UInt64(digit)
        }
    }
    return value
}

/// A JSON number, or `NaN`, `Infinity`, `-Infinity`. A magnitude beyond the range is infinite.
///
/// Up to 15 digits and a decimal exponent of at most 22 are exact in one operation; the rest goes
/// through the standard library.
package func parseDouble(_ text: UnsafeRawBufferPointer) -> Double? {
    var i = 0
    let isNegative = text.first == UInt8(ascii: "-")
    if isNegative { i = 1 }
    var mantissa: UInt64 = 0
    var digits = 0, exponent = 0
    var seenPoint = false
    while i < text.count, digits <= 15 {
        let byte = text[i]
        if byte &- UInt8(ascii: "0") < 10 {
            mantissa = mantissa &* 10 &+ UInt64(byte &- UInt8(ascii: "0"))
            digits &+= mantissa == 0 ? 0 : 1
            if seenPoint { exponent &-= 1 }
        } else if byte == UInt8(ascii: "."), !seenPoint, i > 0 {
            seenPoint = true
        } else {
            break
        }
        i &+= 1
    }
    if i == text.count, i > (isNegative ? 1 : 0), text[i &- 1] != UInt8(ascii: "."), digits <= 15,
        exponent >= -22
    {
        let magnitude = Double(mantissa) / exactPowersOfTen[-exponent]
        return isNegative ? -magnitude : magnitude
    }
    return slowDouble(text)
}

private let exactPowersOfTen: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
]

@inline(never) private func slowDouble(_ text: UnsafeRawBufferPointer) -> Double? {
    guard let first = text.first else { return nil }
    // The standard library would also take hexadecimal and "nan" and "inf" in any case.
    let isDecimal =
        (first &- UInt8(ascii: "0") < 10 || first == UInt8(ascii: "-"))
        && text.dropFirst().allSatisfy { byte in
            byte &- UInt8(ascii: "0") < 10 || byte | 0x20 == UInt8(ascii: "e")
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "+")
                || byte == UInt8(ascii: "-")
        }
    if isDecimal, text.last != UInt8(ascii: ".") {
        return Double(String(decoding: text, as: UTF8.self))
    }
    switch text.count {
    case 3 where text.elementsEqual("NaN".utf8): return .nan
    case 8 where text.elementsEqual("Infinity".utf8): return .infinity
    case 9 where text.elementsEqual("-Infinity".utf8): return -.infinity
    default: return nil
    }
}
