// SPDX-License-Identifier: Apache-2.0
// Points in time as text: RFC 3339 and Unix seconds.

/// A text that is no time.
package struct TimeTextError: Error, Equatable, Sendable, CustomStringConvertible {
    package let text: String
    package var description: String {
        "cannot parse " + quotedText(text) + " to a valid timestamp"
    }
}

/// Date and time of day in UTC, proleptic Gregorian calendar.
package struct CivilTime: Equatable, Sendable {
    package var year: Int64
    /// 1…12.
    package var month: Int
    /// 1…31.
    package var day: Int
    package var hour: Int
    package var minute: Int
    package var second: Int

    /// - Parameter seconds: since the Unix epoch.
    package init(unixSeconds seconds: Int64) {
        var days = seconds / 86_400
        var rest = Int(seconds % 86_400)
        if rest < 0 {
            rest += 86_400
            days -= 1
        }
        hour = rest / 3600
        minute = rest / 60 % 60
        second = rest % 60
        // Days are counted from 1 March of year 0 in eras of 400 years, so that the leap day comes
        // last. Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        day = Int(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
        month = Int(shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9)
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    /// Days since the Unix epoch of a date, which must be valid.
    package static func days(year: Int64, month: Int, day: Int) -> Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let shiftedMonth = Int64(month > 2 ? month - 3 : month + 9)
        let dayOfYear = (153 * shiftedMonth + 2) / 5 + Int64(day) - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    package static func isLeap(_ year: Int64) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    package static func daysInMonth(year: Int64, month: Int) -> Int {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// 0 = Sunday.
    package static func weekday(unixSeconds seconds: Int64) -> Int {
        let day = seconds / 86_400 - (seconds % 86_400 < 0 ? 1 : 0)
        return Int(((day + 4) % 7 + 7) % 7)
    }

    /// 1 = 1 January.
    package var dayOfYear: Int {
        Int(
            CivilTime.days(year: year, month: month, day: day)
                - CivilTime.days(year: year, month: 1, day: 1)) + 1
    }
}

/// Reads fixed-width fields of a time.
private struct TimeScanner {
    var rest: ArraySlice<UInt8>

    mutating func number(_ digits: Int, _ range: ClosedRange<Int>) -> Int? {
        var value = 0
        for _ in 0..<digits {
            guard let byte = rest.popFirst(),
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            else { return nil }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return range.contains(value) ? value : nil
    }

    mutating func skip(_ characters: String) -> Bool {
        guard let first = rest.first, characters.utf8.contains(first) else { return false }
        rest = rest.dropFirst()
        return true
    }
}

/// Seconds and nanoseconds (0…999,999,999) since the Unix epoch of an RFC 3339 time with any number
/// of fraction digits (those beyond nine are cut off). Nil when the text is none.
package func parseRFC3339(_ text: some StringProtocol) -> (seconds: Int64, nanos: Int64)? {
    var scanner = TimeScanner(rest: Array(text.utf8)[...])
    guard let year = scanner.number(4, 0...9999), scanner.skip("-"),
        let month = scanner.number(2, 1...12), scanner.skip("-"),
        let day = scanner.number(2, 1...31),
        day <= CivilTime.daysInMonth(year: Int64(year), month: month), scanner.skip("Tt "),
        let hour = scanner.number(2, 0...23), scanner.skip(":"),
        let minute = scanner.number(2, 0...59), scanner.skip(":"),
        let second = scanner.number(2, 0...60)
    else { return nil }
    var nanos: Int64 = 0
    if scanner.skip(".,") {
        var digits = 0
        while let byte = scanner.rest.first,
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        {
            if digits < 9 { nanos = nanos * 10 + Int64(byte - UInt8(ascii: "0")) }
            digits += 1
            scanner.rest = scanner.rest.dropFirst()
        }
        if digits == 0 { return nil }
        while digits < 9 {
            nanos *= 10
            digits += 1
        }
    }
    var offset = 0
    if !scanner.skip("Zz") {
        let negative = scanner.rest.first == UInt8(ascii: "-")
        guard scanner.skip("+-"), let hours = scanner.number(2, 0...23), scanner.skip(":"),
            let minutes = scanner.number(2, 0...59)
        else { return nil }
        offset = (hours * 60 + minutes) * (negative ? -60 : 60)
    }
    guard scanner.rest.isEmpty else { return nil }
    let days = CivilTime.days(year: Int64(year), month: month, day: day)
    return (days * 86_400 + Int64(hour * 3600 + minute * 60 + second - offset), nanos)
}

/// The times Prometheus prints for "since ever" and "for ever", accepted as input by name.
private let minimumTimeText = "-292273086-05-16T16:47:06Z"
private let maximumTimeText = "292277025-08-18T07:12:54.999999999Z"

/// Milliseconds since the epoch of a metrics API parameter: Unix seconds with a fraction (rounded
/// to milliseconds) or RFC 3339. Source: prometheus/prometheus `web/api/v1`, `parseTime`.
package func parseTimeMillis(_ text: String) throws(TimeTextError) -> Int64 {
    if let seconds = Double(text), seconds.isFinite {
        guard let millis = Int64(exactly: (seconds * 1000).rounded()) else {
            throw TimeTextError(text: text)
        }
        return millis
    }
    if let (seconds, nanos) = parseRFC3339(text) { return seconds * 1000 + nanos / 1_000_000 }
    switch text {
    case minimumTimeText: return Int64.min / 1_000_000 * 1000
    case maximumTimeText: return Int64.max / 1_000_000 * 1000
    default: throw TimeTextError(text: text)
    }
}

/// Nanoseconds since the epoch of a logs or traces API parameter: an integer of up to ten digits is
/// seconds, a longer one nanoseconds; a number with a point or an exponent is seconds; else RFC
/// 3339. Source: the rule Loki documents for `start` and `end`.
package func parseTimeNanos(_ text: String) throws(TimeTextError) -> Int64 {
    if let number = Int64(text) {
        if text.utf8.count > 10 { return number }
        let (nanos, overflow) = number.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { throw TimeTextError(text: text) }
        return nanos
    }
    if let seconds = Double(text), seconds.isFinite {
        let whole = seconds.rounded(.down)
        let fraction = ((seconds - whole) * 1e9).rounded()
        guard let secondsInt = Int64(exactly: whole) else { throw TimeTextError(text: text) }
        let (nanos, overflow) = secondsInt.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, sumOverflow) = nanos.addingReportingOverflow(Int64(fraction))
        if overflow || sumOverflow { throw TimeTextError(text: text) }
        return sum
    }
    if let (seconds, nanos) = parseRFC3339(text) {
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, sumOverflow) = scaled.addingReportingOverflow(nanos)
        if !overflow, !sumOverflow { return sum }
    }
    throw TimeTextError(text: text)
}

/// Appends a number with leading zeros.
private func appendPadded(_ value: Int64, width: Int, into out: inout [UInt8]) {
    var digits: [UInt8] = []
    appendDecimal(Int64(value.magnitude > UInt64(Int64.max) ? 0 : value.magnitude), into: &digits)
    if value < 0 { out.append(UInt8(ascii: "-")) }
    out.append(
        contentsOf: repeatElement(UInt8(ascii: "0"), count: max(0, width - digits.count)))
    out.append(contentsOf: digits)
}

/// Appends an RFC 3339 time in UTC, the fraction without trailing zeros and left out when zero, as
/// Go's RFC3339Nano layout prints it.
package func appendRFC3339(seconds: Int64, nanos: Int64 = 0, into out: inout [UInt8]) {
    let time = CivilTime(unixSeconds: seconds)
    appendPadded(time.year, width: 4, into: &out)
    for (separator, value) in [
        ("-", time.month), ("-", time.day), ("T", time.hour), (":", time.minute),
        (":", time.second),
    ] {
        out.append(contentsOf: separator.utf8)
        appendPadded(Int64(value), width: 2, into: &out)
    }
    if nanos > 0 {
        out.append(UInt8(ascii: "."))
        appendPadded(nanos, width: 9, into: &out)
        while out.last == UInt8(ascii: "0") { out.removeLast() }
    }
    out.append(UInt8(ascii: "Z"))
}

/// RFC 3339 text of nanoseconds since the epoch; see `appendRFC3339`.
package func rfc3339Text(nanos: Int64) -> String {
    var seconds = nanos / 1_000_000_000
    var rest = nanos % 1_000_000_000
    if rest < 0 {
        rest += 1_000_000_000
        seconds -= 1
    }
    var out: [UInt8] = []
    appendRFC3339(seconds: seconds, nanos: rest, into: &out)
    return String(decoding: out, as: UTF8.self)
}

/// RFC 3339 text of milliseconds since the epoch; see `appendRFC3339`.
package func rfc3339Text(millis: Int64) -> String {
    var seconds = millis / 1000
    var rest = millis % 1000
    if rest < 0 {
        rest += 1000
        seconds -= 1
    }
    var out: [UInt8] = []
    appendRFC3339(seconds: seconds, nanos: rest * 1_000_000, into: &out)
    return String(decoding: out, as: UTF8.self)
}

/// Appends milliseconds as the seconds of Prometheus' JSON; see `writeSeconds`.
package func appendSeconds(millis: Int64, into out: inout [UInt8]) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: secondsTextCapacity) { scratch in
        guard let base = scratch.baseAddress else { return }
        let count = writeSeconds(millis: millis, to: base)
        out.append(contentsOf: scratch[..<count])
    }
}
