// SPDX-License-Identifier: Apache-2.0
// Floating-point numbers from text, by Go's rules.

import Glibc

/// Why a text is no number. The descriptions are those of Go's `strconv` package.
@usableFromInline package enum FloatParsingError: Error, Equatable, Sendable {
    case syntax
    /// Well-formed, but beyond the largest finite double.
    case range

    package var text: StaticString {
        switch self {
        case .syntax: "invalid syntax"
        case .range: "value out of range"
        }
    }
}

/// The double nearest to a decimal or hexadecimal number, or nil.
///
/// Takes what Go's `strconv.ParseFloat(s, 64)` takes without underscores: an optional sign, digits
/// with an optional point and exponent; `0x` digits with the exponent `p` that hexadecimal
/// demands; `inf` and `infinity` with an optional sign and `nan` without, in any case. What
/// overflows is no number here (`floatOrError` tells it apart); what underflows is zero.
///
/// - Complexity: O(n); a few nanoseconds up to 15 digits and a power of ten up to 22, which are
///   exact in floating point; the C library's correctly rounded conversion else.
@inlinable package func parseFloat(_ bytes: UnsafeRawBufferPointer) -> Double? {
    switch floatOrError(bytes) {
    case .success(let value): value
    case .failure: nil
    }
}

/// See `parseFloat(_:)`, for text at hand.
package func parseFloat(_ text: String) -> Double? {
    var text = text
    return text.withUTF8 { parseFloat(UnsafeRawBufferPointer($0)) }
}

/// See `parseFloat(_:)`; tells overflow from bad syntax.
@usableFromInline package func floatOrError(
    _ bytes: UnsafeRawBufferPointer
) -> Result<Double, FloatParsingError> {
    let count = bytes.count
    var i = 0
    var negative = false
    if count > 0, bytes[0] == UInt8(ascii: "-") || bytes[0] == UInt8(ascii: "+") {
        negative = bytes[0] == UInt8(ascii: "-")
        i = 1
    }
    let start = i
    // Digits without their point, as long as they fit.
    var mantissa: UInt64 = 0
    var digits = 0
    var significant = 0
    var pointAt = -1
    while i < count {
        let byte = bytes[i]
        let digit = byte &- UInt8(ascii: "0")
        if digit < 10 {
            digits &+= 1
            if significant > 0 || digit > 0 { significant &+= 1 }
            if significant <= 18 { mantissa = mantissa &* 10 &+ UInt64(digit) }
        } else if byte == UInt8(ascii: "."), pointAt < 0 {
            pointAt = digits
        } else {
            break
        }
        i &+= 1
    }
    if digits == 0 || (digits == 1 && i < count && (bytes[i] | 0x20) == UInt8(ascii: "x")) {
        return special(bytes, from: start, negative: negative)
    }
    var exponent = 0
    if i < count, (bytes[i] | 0x20) == UInt8(ascii: "e") {
        i &+= 1
        var minus = false
        if i < count, bytes[i] == UInt8(ascii: "-") || bytes[i] == UInt8(ascii: "+") {
            minus = bytes[i] == UInt8(ascii: "-")
            i &+= 1
        }
        let first = i
        while i < count, bytes[i] &- UInt8(ascii: "0") < 10 {
            // Beyond this every mantissa of a body is zero or infinite.
            if exponent < 100_000 {
                exponent = exponent &* 10 &+ Int(bytes[i] &- UInt8(ascii: "0"))
            }
            i &+= 1
        }
        if i == first { return .failure(.syntax) }
        if minus { exponent = 0 &- exponent }
    }
    guard i == count else { return .failure(.syntax) }
    if significant == 0 { return .success(negative ? -0.0 : 0.0) }
    let scale = exponent &- (pointAt < 0 ? 0 : digits &- pointAt)
    if significant <= 18, mantissa <= 1 << 53, scale >= -22, scale <= 22 {
        // Both operands are exact, so the one rounding of the result is the right one.
        let whole = Double(mantissa)
        let power = powersOfTen[scale < 0 ? 0 &- scale : scale]
        let value = scale < 0 ? whole / power : whole * power
        return .success(negative ? -value : value)
    }
    return convert(UnsafeRawBufferPointer(rebasing: bytes[start...]), negative: negative)
}

/// `inf`, `infinity`, `nan` and hexadecimal numbers.
private func special(
    _ bytes: UnsafeRawBufferPointer, from start: Int, negative: Bool
) -> Result<Double, FloatParsingError> {
    let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
    if equalsIgnoringCase(rest, "inf") || equalsIgnoringCase(rest, "infinity") {
        return .success(negative ? -.infinity : .infinity)
    }
    if start == 0, equalsIgnoringCase(rest, "nan") { return .success(.nan) }
    // 0x, digits with an optional point, p, optional sign, decimal digits.
    guard rest.count > 2, rest[0] == UInt8(ascii: "0"), rest[1] | 0x20 == UInt8(ascii: "x") else {
        return .failure(.syntax)
    }
    var i = 2
    var digits = 0
    var hasPoint = false
    while i < rest.count {
        if isHexDigit(rest[i]) {
            digits += 1
        } else if rest[i] == UInt8(ascii: "."), !hasPoint {
            hasPoint = true
        } else {
            break
        }
        i += 1
    }
    guard digits > 0, i < rest.count, rest[i] | 0x20 == UInt8(ascii: "p") else {
        return .failure(.syntax)
    }
    i += 1
    if i < rest.count, rest[i] == UInt8(ascii: "-") || rest[i] == UInt8(ascii: "+") { i += 1 }
    let first = i
    while i < rest.count, rest[i] &- UInt8(ascii: "0") < 10 { i += 1 }
    guard i > first, i == rest.count else { return .failure(.syntax) }
    return convert(rest, negative: negative)
}

private func isHexDigit(_ byte: UInt8) -> Bool {
    byte &- UInt8(ascii: "0") < 10 || (byte | 0x20) &- UInt8(ascii: "a") < 6
}

private func equalsIgnoringCase(_ bytes: UnsafeRawBufferPointer, _ word: StaticString) -> Bool {
    guard bytes.count == word.utf8CodeUnitCount else { return false }
    for i in 0..<bytes.count where bytes[i] | 0x20 != word.utf8Start[i] { return false }
    return true
}

/// The C library's conversion of text whose syntax was checked. The process never sets a locale,
/// so the decimal point is a point.
private func convert(
    _ bytes: UnsafeRawBufferPointer, negative: Bool
) -> Result<Double, FloatParsingError> {
    // It wants a terminating zero.
    let magnitude = withUnsafeTemporaryAllocation(
        byteCount: bytes.count + 1, alignment: 1
    ) { scratch -> Double in
        scratch.copyMemory(from: bytes)
        scratch[bytes.count] = 0
        guard let base = scratch.baseAddress else { return 0 }
        return strtod(base.assumingMemoryBound(to: CChar.self), nil)
    }
    if magnitude.isInfinite { return .failure(.range) }
    return .success(negative ? -magnitude : magnitude)
}

/// Powers of ten that a double holds exactly.
private let powersOfTen: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
]
