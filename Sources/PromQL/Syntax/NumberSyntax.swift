// SPDX-License-Identifier: Apache-2.0
// Number literals by Go's rules.

import Base

/// Why a text is no number, in the words of Go's strconv.
struct NumberSyntaxError: Error {
    var message: String
}

/// The value of a number literal: integers in base 10, 16 (`0x`), 8 (`0`, `0o`) and 2 (`0b`),
/// decimals with exponent, `Inf`, `NaN`; underscores between digits.
///
/// Source: Go `strconv.ParseInt(s, 0, 64)`, then `strconv.ParseFloat(s, 64)`.
func parseNumberLiteral(_ text: String) throws(NumberSyntaxError) -> Double {
    if let integer = parseIntegerLiteral(text) { return Double(integer) }
    let plain = text.replacingUnderscores()
    guard let plain, !plain.lowercased().hasPrefix("0x") || plain.lowercased().contains("p"),
        let value = Double(plain)
    else {
        throw NumberSyntaxError(
            message: "strconv.ParseFloat: parsing \(quotedText(text)): invalid syntax")
    }
    if value.isInfinite, !plain.lowercased().contains("inf") {
        throw NumberSyntaxError(
            message: "strconv.ParseFloat: parsing \(quotedText(text)): value out of range")
    }
    return value
}

private func parseIntegerLiteral(_ text: String) -> Int64? {
    guard let plain = text.replacingUnderscores() else { return nil }
    let lower = plain.lowercased()
    if lower.hasPrefix("0x") { return Int64(lower.dropFirst(2), radix: 16) }
    if lower.hasPrefix("0b") { return Int64(lower.dropFirst(2), radix: 2) }
    if lower.hasPrefix("0o") { return Int64(lower.dropFirst(2), radix: 8) }
    if lower.hasPrefix("0"), lower.utf8.count > 1 { return Int64(lower.dropFirst(), radix: 8) }
    return Int64(lower)
}

extension String {
    /// The text without underscores, nil when one does not stand between digits or after the
    /// prefix of a base.
    fileprivate func replacingUnderscores() -> String? {
        guard utf8.contains(UInt8(ascii: "_")) else { return self }
        var result: [UInt8] = []
        let bytes = Array(utf8)
        let hasPrefix = bytes.count > 2 && bytes[0] == UInt8(ascii: "0") && isAlpha(bytes[1])
        for (index, byte) in bytes.enumerated() {
            if byte != UInt8(ascii: "_") {
                result.append(byte)
                continue
            }
            guard index > 0, index + 1 < bytes.count else { return nil }
            let before = bytes[index - 1], after = bytes[index + 1]
            let afterPrefix = hasPrefix && index == 2
            guard isAlphaNumeric(after), after != UInt8(ascii: "_"),
                isDigit(before) || afterPrefix || hasPrefix && isAlphaNumeric(before)
            else { return nil }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
