// SPDX-License-Identifier: Apache-2.0
// Whole numbers from text.

/// A whole number in decimal digits after an optional sign, as `Int64(String)` takes it, without a
/// string; nil for anything else and for what does not fit.
@inlinable package func parseInteger<Number: FixedWidthInteger>(
    _ text: UnsafeRawBufferPointer, as type: Number.Type = Number.self
) -> Number? {
    var digits = text[...]
    var isNegative = false
    if let first = digits.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
        isNegative = first == UInt8(ascii: "-")
        digits = digits.dropFirst()
    }
    if digits.isEmpty { return nil }
    var number: Number = 0
    for byte in digits {
        let digit = byte &- UInt8(ascii: "0")
        guard digit < 10 else { return nil }
        let (tens, first) = number.multipliedReportingOverflow(by: 10)
        let (sum, second) =
            isNegative
            ? tens.subtractingReportingOverflow(Number(truncatingIfNeeded: digit))
            : tens.addingReportingOverflow(Number(truncatingIfNeeded: digit))
        if first || second { return nil }
        number = sum
    }
    return number
}
