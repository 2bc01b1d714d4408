// SPDX-License-Identifier: Apache-2.0
// What templates compute with.

import Base

package indirect enum TemplateValue: Sendable {
    /// An untyped nothing, printed `<no value>`.
    case null
    case string(String)
    case int(Int64)
    case float(Double)
    case bool(Bool)
    /// A moment, nanoseconds since the Unix epoch, shown in UTC.
    case time(Int64)
    case list([TemplateValue])
    /// Ascending by key.
    case map([(key: String, value: TemplateValue)])
    /// A map of texts, in which a missing key is the empty text. Ascending by key.
    case texts([(key: String, value: String)])
    /// A structure: its fields are all that may be asked for.
    case record(type: String, [(key: String, value: TemplateValue)])
    /// A duration in nanoseconds.
    case duration(Int64)
    /// Something that can only be printed and handed on.
    case opaque(type: String, text: String)

    /// Whether conditions hold it true: not the zero value of its type.
    package var isTrue: Bool {
        switch self {
        case .null: false
        case .string(let text): !text.isEmpty
        case .int(let number): number != 0
        case .float(let number): number != 0
        case .bool(let flag): flag
        case .time: true
        case .list(let items): !items.isEmpty
        case .map(let pairs): !pairs.isEmpty
        case .texts(let pairs): !pairs.isEmpty
        case .record, .opaque: true
        case .duration(let nanos): nanos != 0
        }
    }

    /// As `{{…}}` and `%v` print it.
    package var text: String {
        switch self {
        case .null: "<no value>"
        case .string(let text): text
        case .int(let number): String(number)
        case .float(let number): goFloatText(number)
        case .bool(let flag): flag ? "true" : "false"
        case .time(let nanos): GoTimeLayout("2006-01-02 15:04:05.999999999 -0700 MST").text(nanos)
        case .list(let items): "[" + items.map(\.text).joined(separator: " ") + "]"
        case .map(let pairs):
            "map[" + pairs.map { "\($0.key):\($0.value.text)" }.joined(separator: " ") + "]"
        case .texts(let pairs):
            "map[" + pairs.map { "\($0.key):\($0.value)" }.joined(separator: " ") + "]"
        case .record(_, let fields): "{" + fields.map(\.value.text).joined(separator: " ") + "}"
        case .duration(let nanos): goDurationText(nanos: nanos)
        case .opaque(_, let text): text
        }
    }

    /// As an integer, the way sprig's arithmetic converts: texts that are none are 0.
    var integer: Int64 {
        switch self {
        case .int(let number): return number
        case .float(let number): return Int64(exactly: number.rounded(.towardZero)) ?? 0
        case .bool(let flag): return flag ? 1 : 0
        case .string(let text):
            if let value = Int64(text) { return value }
            // Digits with a fraction of zeros only.
            guard let point = text.firstIndex(of: "."),
                text[point...].dropFirst().allSatisfy({ $0 == "0" })
            else { return 0 }
            return Int64(text[..<point]) ?? 0
        default: return 0
        }
    }

    /// As a floating-point number; texts that are none are 0.
    var number: Double {
        switch self {
        case .int(let number): Double(number)
        case .float(let number): number
        case .bool(let flag): flag ? 1 : 0
        case .string(let text): parseFloat(text) ?? 0
        default: 0
        }
    }

    package var typeName: String {
        switch self {
        case .null: "nil"
        case .string: "string"
        case .int: "int64"
        case .float: "float64"
        case .bool: "bool"
        case .time: "time.Time"
        case .list: "[]interface {}"
        case .map: "map[string]interface {}"
        case .texts: "map[string]string"
        case .record(let type, _), .opaque(let type, _): type
        case .duration: "time.Duration"
        }
    }
}

/// A number as Go's `%v` prints it: shortest digits, with an exponent where the decimal exponent is
/// below -4 or at least 6 (`3e+06`). Source: Go `strconv`, format `g` with precision -1.
func goFloatText(_ value: Double) -> String {
    if !value.isFinite || value == 0 { return floatPlainText(value) }
    let plain = floatPlainText(value)
    let digits = plain.utf8.filter(isASCIIDigit)
    guard let lead = digits.firstIndex(where: { $0 != UInt8(ascii: "0") }) else { return plain }
    let unsigned = plain.hasPrefix("-") ? plain.dropFirst() : plain[...]
    let wholeDigits = unsigned.prefix { $0 != "." }.utf8.count
    let exponent = wholeDigits - 1 - lead
    guard exponent < -4 || exponent >= 6 else { return plain }
    var significant = digits[lead...]
    while significant.last == UInt8(ascii: "0"), significant.count > 1 {
        significant = significant.dropLast()
    }
    var text = value < 0 ? "-" : ""
    text += String(decoding: significant.prefix(1), as: UTF8.self)
    if significant.count > 1 {
        text += "." + String(decoding: significant.dropFirst(), as: UTF8.self)
    }
    let magnitude = exponent.magnitude
    return text + "e" + (exponent < 0 ? "-" : "+") + (magnitude < 10 ? "0" : "") + "\(magnitude)"
}
