// SPDX-License-Identifier: Apache-2.0
// Floating-point numbers as text, in the forms Go's strconv prints.

/// Decimal digits one by one: `0.d₁d₂… × 10^exponent`. For text of other than the usual forms.
private struct DecimalDigits {
    var negative: Bool
    /// ASCII; none for zero.
    var digits: [UInt8]
    /// Position of the decimal point relative to the first digit.
    var exponent: Int

    /// The shortest digits that read back as the same double.
    ///
    /// - Parameter value: finite.
    init(_ value: Double) {
        negative = value.sign == .minus
        digits = []
        let decimal = ShortestDecimal(magnitudeOf: value)
        if decimal.digits != 0 { appendDecimal(Int64(decimal.digits), into: &digits) }
        exponent = decimal.digits == 0 ? 0 : digits.count + decimal.exponent
    }

    /// Keeps at most `count` digits, rounding half up.
    mutating func round(to count: Int) {
        guard digits.count > count, count > 0 else { return }
        let up = digits[count] >= UInt8(ascii: "5")
        digits.removeSubrange(count...)
        if up {
            var i = count - 1
            while i >= 0, digits[i] == UInt8(ascii: "9") {
                digits[i] = UInt8(ascii: "0")
                i -= 1
            }
            if i >= 0 {
                digits[i] += 1
            } else {
                digits = [UInt8(ascii: "1")]
                exponent += 1
            }
        }
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
    }

    func appendPlain(into out: inout [UInt8]) {
        if negative { out.append(UInt8(ascii: "-")) }
        if exponent > 0 {
            for i in 0..<exponent { out.append(i < digits.count ? digits[i] : UInt8(ascii: "0")) }
        } else {
            out.append(UInt8(ascii: "0"))
        }
        guard digits.count > max(exponent, 0) else { return }
        out.append(UInt8(ascii: "."))
        if exponent < 0 {
            out.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: -exponent))
        }
        out.append(contentsOf: digits[max(exponent, 0)...])
    }

    func appendScientific(into out: inout [UInt8]) {
        if negative { out.append(UInt8(ascii: "-")) }
        out.append(digits.first ?? UInt8(ascii: "0"))
        if digits.count > 1 {
            out.append(UInt8(ascii: "."))
            out.append(contentsOf: digits[1...])
        }
        let power = digits.isEmpty ? 0 : exponent - 1
        out.append(UInt8(ascii: "e"))
        out.append(UInt8(ascii: power < 0 ? "-" : "+"))
        if power.magnitude < 10 { out.append(UInt8(ascii: "0")) }
        appendDecimal(Int64(power.magnitude), into: &out)
    }
}

/// Appends `NaN`, `+Inf` or `-Inf`; false when the value is finite and nothing was appended.
private func appendNonFinite(_ value: Double, into out: inout [UInt8]) -> Bool {
    if value.isFinite { return false }
    out.append(contentsOf: (value.isNaN ? "NaN" : value > 0 ? "+Inf" : "-Inf").utf8)
    return true
}

/// Appends a sample value as Prometheus' JSON prints it; see `writeFloat`.
package func appendFloat(_ value: Double, into out: inout [UInt8]) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: floatTextCapacity) { scratch in
        guard let base = scratch.baseAddress else { return }
        let count = writeFloat(value, to: base)
        out.append(contentsOf: scratch[..<count])
    }
}

/// Most samples are small integers, which need no search for shortest digits.
private func appendSmallInteger(_ value: Double, into out: inout [UInt8]) -> Bool {
    guard value.magnitude < 1e15, let whole = Int64(exactly: value),
        whole != 0 || value.sign == .plus
    else { return false }
    appendDecimal(whole, into: &out)
    return true
}

/// Appends a value without exponent whatever its size: Go's `FormatFloat(f, 'f', -1, 64)`, used for
/// label values made from numbers.
package func appendFloatPlain(_ value: Double, into out: inout [UInt8]) {
    if appendSmallInteger(value, into: &out) || appendNonFinite(value, into: &out) { return }
    DecimalDigits(value).appendPlain(into: &out)
}

/// Appends a value as Go's `%g` does: an exponent below 1e-4 and from 1e6 on (or, with `digits`,
/// from the first integer of more digits on). Used in messages.
///
/// - Parameter digits: significant digits at most (`%.2g`), nil = as many as needed.
package func appendFloatGeneral(_ value: Double, digits: Int? = nil, into out: inout [UInt8]) {
    if appendNonFinite(value, into: &out) { return }
    var decimal = DecimalDigits(value)
    var limit = 6
    if let digits {
        decimal.round(to: digits)
        limit = max(digits, 1)
        let count = decimal.digits.count
        if limit > count, count >= decimal.exponent { limit = max(count, 1) }
    }
    let power = decimal.digits.isEmpty ? 0 : decimal.exponent - 1
    if power < -4 || power >= limit {
        decimal.appendScientific(into: &out)
    } else {
        decimal.appendPlain(into: &out)
    }
}

/// The text `appendFloat` makes.
package func floatText(_ value: Double) -> String {
    var out: [UInt8] = []
    appendFloat(value, into: &out)
    return String(decoding: out, as: UTF8.self)
}

/// The text `appendFloatPlain` makes.
package func floatPlainText(_ value: Double) -> String {
    var out: [UInt8] = []
    appendFloatPlain(value, into: &out)
    return String(decoding: out, as: UTF8.self)
}

/// The text `appendFloatGeneral` makes.
package func floatGeneralText(_ value: Double, digits: Int? = nil) -> String {
    var out: [UInt8] = []
    appendFloatGeneral(value, digits: digits, into: &out)
    return String(decoding: out, as: UTF8.self)
}

/// A finite value with a fixed number of decimals, as C's `%.*f` prints it; `NaN`, `+Inf`, `-Inf`.
package func fixedText(_ value: Double, decimals: Int) -> String {
    var out: [UInt8] = []
    if appendNonFinite(value, into: &out) { return String(decoding: out, as: UTF8.self) }
    if let whole = UInt128(exactly: value.magnitude) {
        // C prints all digits of a number, not only those that identify it.
        let zeros = decimals > 0 ? "." + String(repeating: "0", count: decimals) : ""
        return (value.sign == .minus ? "-" : "") + String(whole) + zeros
    }
    var decimal = DecimalDigits(value)
    let kept = decimal.exponent + decimals
    if kept > 0 {
        decimal.round(to: kept)
    } else if kept < 0 || kept == 0 && decimal.digits.first ?? 0 < UInt8(ascii: "5") {
        decimal.digits = []
        decimal.exponent = 0
    } else {
        decimal.digits = [UInt8(ascii: "1")]
        decimal.exponent += 1
    }
    decimal.appendPlain(into: &out)
    let point = out.firstIndex(of: UInt8(ascii: "."))
    if point == nil, decimals > 0 { out.append(UInt8(ascii: ".")) }
    let present = point.map { out.count - $0 - 1 } ?? 0
    out.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: max(0, decimals - present)))
    return String(decoding: out, as: UTF8.self)
}
