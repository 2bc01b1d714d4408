// SPDX-License-Identifier: Apache-2.0
// Sample values and times as text, straight into memory.

/// Most bytes `writeFloat` writes.
package let floatTextCapacity = 32
/// Most bytes `writeSeconds` writes.
package let secondsTextCapacity = 24

/// Writes a sample value as Prometheus' JSON prints it: shortest digits, plain notation between
/// 1e-6 and 1e21, else an exponent of two digits or more; `NaN`, `+Inf`, `-Inf`.
///
/// Source: prometheus/prometheus `util/jsonutil`, Go `strconv.AppendFloat(f, 'f' or 'e', -1, 64)`.
///
/// - Parameter out: room for `floatTextCapacity` bytes.
/// - Returns: bytes written.
package func writeFloat(_ value: Double, to out: UnsafeMutablePointer<UInt8>) -> Int {
    guard value.isFinite else { return writeNonFinite(value, to: out) }
    var i = 0
    if value.sign == .minus {
        out[0] = UInt8(ascii: "-")
        i = 1
    }
    let magnitude = value.magnitude
    // Most samples are small integers, which need no search for the shortest digits.
    if magnitude < 9_007_199_254_740_992 {
        let whole = UInt64(magnitude)
        if Double(whole) == magnitude {
            let count = whole < 10 ? 1 : decimalDigitCount(whole)
            writeDigits(whole, count: count, to: out + i)
            return i &+ count
        }
    }
    let decimal = ShortestDecimal(magnitudeOf: value)
    let count = decimalDigitCount(decimal.digits)
    // Digits before the decimal point; not positive for numbers below 1.
    let point = count &+ decimal.exponent
    if magnitude < 1e-6 || magnitude >= 1e21 {
        return i &+ writeScientific(decimal.digits, count, power: point &- 1, to: out + i)
    }
    if point >= count {
        writeDigits(decimal.digits, count: count, to: out + i)
        (out + i + count).update(repeating: UInt8(ascii: "0"), count: point &- count)
        return i &+ point
    }
    if point > 0 {
        // The digits once, and those before the point moved to the front.
        writeDigits(decimal.digits, count: count, to: out + i + 1)
        for j in 0..<point { out[i &+ j] = out[i &+ j &+ 1] }
        out[i &+ point] = UInt8(ascii: ".")
        return i &+ count &+ 1
    }
    let zeros = 2 &- point
    (out + i).update(repeating: UInt8(ascii: "0"), count: zeros)
    out[i &+ 1] = UInt8(ascii: ".")
    writeDigits(decimal.digits, count: count, to: out + i + zeros)
    return i &+ zeros &+ count
}

private func writeNonFinite(_ value: Double, to out: UnsafeMutablePointer<UInt8>) -> Int {
    let text: StaticString = value.isNaN ? "NaN" : value > 0 ? "+Inf" : "-Inf"
    out.update(from: text.utf8Start, count: text.utf8CodeUnitCount)
    return text.utf8CodeUnitCount
}

/// `d.dde±dd`.
private func writeScientific(
    _ digits: UInt64, _ count: Int, power: Int, to out: UnsafeMutablePointer<UInt8>
) -> Int {
    writeDigits(digits, count: count, to: out + 1)
    out[0] = out[1]
    var i = 1
    if count > 1 {
        out[1] = UInt8(ascii: ".")
        i = count &+ 1
    }
    out[i] = UInt8(ascii: "e")
    out[i &+ 1] = UInt8(ascii: power < 0 ? "-" : "+")
    let width = power.magnitude >= 100 ? 3 : 2
    writeDigits(UInt64(power.magnitude), count: width, to: out + i + 2)
    return i &+ 2 &+ width
}

/// Writes milliseconds as the seconds of Prometheus' JSON: an integer, or three decimals when there
/// is a fraction (`1435781430.781`).
///
/// - Parameter out: room for `secondsTextCapacity` bytes.
/// - Returns: bytes written.
package func writeSeconds(millis: Int64, to out: UnsafeMutablePointer<UInt8>) -> Int {
    var i = 0
    if millis < 0 {
        out[0] = UInt8(ascii: "-")
        i = 1
    }
    let (seconds, fraction) = UInt64(millis.magnitude).quotientAndRemainder(dividingBy: 1000)
    let count = seconds < 10 ? 1 : decimalDigitCount(seconds)
    writeDigits(seconds, count: count, to: out + i)
    i &+= count
    guard fraction != 0 else { return i }
    out[i] = UInt8(ascii: ".")
    writeDigits(fraction, count: 3, to: out + i + 1)
    return i &+ 4
}
