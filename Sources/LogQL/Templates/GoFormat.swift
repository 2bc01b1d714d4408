// SPDX-License-Identifier: Apache-2.0
// Go's printf.

import Base

private struct FormatSpec {
    var minus = false, plus = false, zero = false, space = false, sharp = false
    var width: Int?
    var precision: Int?
    var verb: Unicode.Scalar = "v"
}

/// Formats as Go's `fmt.Sprintf`: verbs `v s q d x X o b c U t f F e g T %` with flags, width and
/// precision. Widths and precisions above 1000 are cut to that.
func goFormat(_ format: String, _ arguments: [TemplateValue]) -> String {
    var result = ""
    var next = 0
    var scalars = Array(format.unicodeScalars)[...]
    while let scalar = scalars.popFirst() {
        guard scalar == "%" else {
            result.unicodeScalars.append(scalar)
            continue
        }
        var spec = FormatSpec()
        flags: while let flag = scalars.first {
            switch flag {
            case "-": spec.minus = true
            case "+": spec.plus = true
            case "0": spec.zero = true
            case " ": spec.space = true
            case "#": spec.sharp = true
            default: break flags
            }
            scalars = scalars.dropFirst()
        }
        func number() -> Int? {
            if scalars.first == "*" {
                scalars = scalars.dropFirst()
                defer { next += 1 }
                guard next < arguments.count, case .int(let n) = arguments[next] else { return nil }
                return Int(min(max(n, 0), 1000))
            }
            var value: Int?
            while let digit = scalars.first, ("0"..."9").contains(digit) {
                value = min((value ?? 0) * 10 + Int(digit.value - 48), 1000)
                scalars = scalars.dropFirst()
            }
            return value
        }
        spec.width = number()
        if scalars.first == "." {
            scalars = scalars.dropFirst()
            spec.precision = number() ?? 0
        }
        guard let verb = scalars.popFirst() else {
            result += "%!(NOVERB)"
            break
        }
        spec.verb = verb
        if verb == "%" {
            result += "%"
            continue
        }
        guard next < arguments.count else {
            result += "%!\(verb)(MISSING)"
            continue
        }
        result += padded(formatted(arguments[next], spec), spec, arguments[next])
        next += 1
    }
    if next < arguments.count {
        let extra = arguments[next...].map { "\($0.typeName)=\($0.text)" }
        result += "%!(EXTRA " + extra.joined(separator: ", ") + ")"
    }
    return result
}

private func padded(_ text: String, _ spec: FormatSpec, _ value: TemplateValue) -> String {
    guard let width = spec.width else { return text }
    let missing = width - text.unicodeScalars.count
    guard missing > 0 else { return text }
    if spec.minus { return text + String(repeating: " ", count: missing) }
    var isNumber = false
    switch value {
    case .int, .float: isNumber = true
    default: break
    }
    if spec.zero, isNumber || spec.verb == "s" || spec.verb == "v" {
        let zeros = String(repeating: "0", count: missing)
        if isNumber, let sign = text.first, sign == "-" || sign == "+" {
            return String(sign) + zeros + text.dropFirst()
        }
        return zeros + text
    }
    return String(repeating: " ", count: missing) + text
}

private func signed(_ text: String, _ spec: FormatSpec) -> String {
    if text.hasPrefix("-") || text.hasPrefix("+") { return text }
    return (spec.plus ? "+" : spec.space ? " " : "") + text
}

private func formatted(_ value: TemplateValue, _ spec: FormatSpec) -> String {
    func bad() -> String { "%!\(spec.verb)(\(value.typeName)=\(value.text))" }
    if spec.verb == "T" { return value.typeName }
    switch value {
    case .string(let text):
        switch spec.verb {
        case "s", "v":
            guard let precision = spec.precision else { return text }
            return String(String.UnicodeScalarView(text.unicodeScalars.prefix(precision)))
        case "q": return quotedText(text)
        case "x", "X":
            return text.utf8.map { byte in
                let digits = String(byte, radix: 16, uppercase: spec.verb == "X")
                return byte < 16 ? "0" + digits : digits
            }.joined()
        default: return bad()
        }
    case .int(let number):
        func radix(_ base: Int, _ prefix: String, uppercase: Bool = false) -> String {
            let digits = String(number.magnitude, radix: base, uppercase: uppercase)
            return signed(
                (number < 0 ? "-" : "") + (spec.sharp ? prefix : "") + digits, spec)
        }
        switch spec.verb {
        case "d", "v":
            var digits = String(number.magnitude)
            if let precision = spec.precision {
                digits =
                    String(repeating: "0", count: max(0, precision - digits.utf8.count)) + digits
            }
            return signed((number < 0 ? "-" : "") + digits, spec)
        case "x": return radix(16, "0x")
        case "X": return radix(16, "0X", uppercase: true)
        case "o": return radix(8, "0")
        case "b": return radix(2, "0b")
        case "c":
            return UInt32(exactly: number).flatMap(Unicode.Scalar.init).map { String($0) }
                ?? "\u{fffd}"
        case "q":
            let scalar = UInt32(exactly: number).flatMap(Unicode.Scalar.init) ?? "\u{fffd}"
            return "'\(scalar)'"
        case "U":
            let digits = String(number.magnitude, radix: 16, uppercase: true)
            return "U+" + String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
        default: return bad()
        }
    case .float(let number):
        switch spec.verb {
        case "f", "F": return signed(fixedText(number, digits: spec.precision ?? 6), spec)
        case "v", "g":
            guard let precision = spec.precision else { return signed(goFloatText(number), spec) }
            return signed(floatGeneralText(number, digits: max(precision, 1)), spec)
        case "e": return signed(scientificText(number, digits: spec.precision ?? 6), spec)
        default: return bad()
        }
    case .bool:
        return spec.verb == "t" || spec.verb == "v" ? value.text : bad()
    case .null: return spec.verb == "v" ? "<nil>" : "%!\(spec.verb)(<nil>)"
    case .time, .list, .map, .texts, .record, .duration, .opaque:
        switch spec.verb {
        case "v", "s": return value.text
        case "q": return quotedText(value.text)
        default: return bad()
        }
    }
}

/// A number with a given count of decimals, rounded to nearest.
func fixedText(_ value: Double, digits: Int) -> String {
    guard value.isFinite else { return floatPlainText(value) }
    let plain = floatPlainText(value.magnitude)
    let parts = plain.split(separator: ".", omittingEmptySubsequences: false)
    var whole = Array((parts.first ?? "0").utf8)
    var fraction = parts.count > 1 ? Array(parts[1].utf8) : []
    if fraction.count > digits {
        let up = fraction[digits] >= UInt8(ascii: "5")
        fraction.removeSubrange(digits...)
        if up { (whole, fraction) = incremented(whole, fraction) }
    }
    while fraction.count < digits { fraction.append(UInt8(ascii: "0")) }
    var text = value.sign == .minus ? "-" : ""
    text += String(decoding: whole, as: UTF8.self)
    if digits > 0 { text += "." + String(decoding: fraction, as: UTF8.self) }
    return text
}

/// Adds one to the last digit.
private func incremented(_ whole: [UInt8], _ fraction: [UInt8]) -> ([UInt8], [UInt8]) {
    var digits = whole + fraction
    var i = digits.count - 1
    while i >= 0 {
        if digits[i] == UInt8(ascii: "9") {
            digits[i] = UInt8(ascii: "0")
            i -= 1
        } else {
            digits[i] += 1
            break
        }
    }
    var wholeCount = whole.count
    if i < 0 {
        digits.insert(UInt8(ascii: "1"), at: 0)
        wholeCount += 1
    }
    return (Array(digits[..<wholeCount]), Array(digits[wholeCount...]))
}

private func scientificText(_ value: Double, digits: Int) -> String {
    guard value.isFinite else { return floatPlainText(value) }
    var exponent = 0
    var mantissa = value.magnitude
    if mantissa > 0 {
        while mantissa >= 10 {
            mantissa /= 10
            exponent += 1
        }
        while mantissa < 1 {
            mantissa *= 10
            exponent -= 1
        }
    }
    var text = fixedText(mantissa, digits: digits)
    if text.hasPrefix("10") {
        exponent += 1
        text = fixedText(mantissa / 10, digits: digits)
    }
    let magnitude = exponent.magnitude
    return (value.sign == .minus ? "-" : "") + text + "e" + (exponent < 0 ? "-" : "+")
        + (magnitude < 10 ? "0" : "") + "\(magnitude)"
}
