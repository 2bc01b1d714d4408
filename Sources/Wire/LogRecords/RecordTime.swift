// SPDX-License-Identifier: Apache-2.0
// The time in a field of a record.

import Base

/// Reads what senders put into a time field.
enum RecordTime {
    /// Nanoseconds since 1970 of an RFC 3339 time (a space for the `T`, no zone for UTC and a zone
    /// without its colon are taken too) or of a number. A number's unit is guessed by its size, as
    /// VictoriaLogs does: below 10^11 seconds, below 10^14 milliseconds, below 10^17 microseconds,
    /// else nanoseconds; a fraction is of that unit. Nil for anything else. O(bytes), of which at
    /// most 64 are looked at.
    static func nanos(_ text: UnsafeRawBufferPointer) -> Int64? {
        guard (1...64).contains(text.count) else { return nil }
        if let nanos = number(text) { return nanos }
        return rfc3339(text)
    }

    /// As `nanos`, for texts alone.
    static func rfc3339(_ text: UnsafeRawBufferPointer) -> Int64? {
        guard (1...64).contains(text.count) else { return nil }
        var string = String(decoding: text, as: UTF8.self)
        if let time = parseRFC3339(string) {
            return LokiPush.unixNanos(seconds: time.seconds, nanos: time.nanos)
        }
        let bytes = Array(string.utf8)
        if bytes.count > 5,
            bytes[bytes.count - 5] == UInt8(ascii: "+")
                || bytes[bytes.count - 5] == UInt8(ascii: "-"), bytes.contains(UInt8(ascii: ":"))
        {
            string.insert(":", at: string.index(string.endIndex, offsetBy: -2))
        } else {
            string += "Z"
        }
        guard let time = parseRFC3339(string) else { return nil }
        return LokiPush.unixNanos(seconds: time.seconds, nanos: time.nanos)
    }

    private static func number(_ text: UnsafeRawBufferPointer) -> Int64? {
        let point = text.firstIndex(of: UInt8(ascii: ".")) ?? text.count
        let whole = UnsafeRawBufferPointer(rebasing: text[..<point])
        guard text.last != UInt8(ascii: "."), let value = parseInteger(whole, as: Int64.self) else {
            return exponential(text)
        }
        let unit = unit(value)
        let (nanos, overflow) = value.multipliedReportingOverflow(by: unit)
        if overflow { return nil }
        var rest: Int64 = 0, scale = unit
        for byte in text[min(point + 1, text.count)...] {
            let digit = byte &- UInt8(ascii: "0")
            guard digit < 10 else { return exponential(text) }
            scale /= 10
            rest += Int64(digit) * scale
        }
        let (sum, carry) =
            value < 0 || text.first == UInt8(ascii: "-")
            ? nanos.subtractingReportingOverflow(rest) : nanos.addingReportingOverflow(rest)
        return carry ? nil : sum
    }

    private static func exponential(_ text: UnsafeRawBufferPointer) -> Int64? {
        guard let value = parseDouble(text), let whole = Int64(exactly: value.rounded()) else {
            return nil
        }
        return Int64(exactly: (value * Double(unit(whole))).rounded())
    }

    /// Nanoseconds in the unit that a number of this size counts.
    private static func unit(_ value: Int64) -> Int64 {
        switch value.magnitude {
        case ..<100_000_000_000: 1_000_000_000
        case ..<100_000_000_000_000: 1_000_000
        case ..<100_000_000_000_000_000: 1000
        default: 1
        }
    }
}
