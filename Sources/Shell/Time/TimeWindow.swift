// SPDX-License-Identifier: Apache-2.0
// The stretch of time that commands look at, as people type it.

import Base

/// A stretch of time.
package enum TimeWindow: Sendable, Equatable {
    /// Up to now, moving on with it.
    case last(seconds: Double)
    case fixed(startNanos: Int64, endNanos: Int64)

    /// Both ends at a moment.
    package func bounds(nowNanos: Int64) -> (startNanos: Int64, endNanos: Int64) {
        switch self {
        case .last(let seconds):
            (nowNanos &- Int64(clamping: seconds * 1e9), nowNanos)
        case .fixed(let start, let end): (start, end)
        }
    }

    package var seconds: Double {
        switch self {
        case .last(let seconds): seconds
        case .fixed(let start, let end): Double(end &- start) / 1e9
        }
    }

    /// As the prompt shows it.
    package func text(_ zone: ShownZone) -> String {
        switch self {
        case .last(let seconds): return durationText(millis: Int64(clamping: seconds * 1000))
        case .fixed(let start, let end):
            let day = zone.civil(nanos: start).dayOfYear != zone.civil(nanos: end).dayOfYear
            return zone.shortText(nanos: start, day: true) + ".."
                + zone.shortText(nanos: end, day: day)
        }
    }
}

extension Int {
    /// The nearest number; 0 for NaN.
    init(clamping value: Double) { self = Int(Int64(clamping: value)) }
}

extension Int64 {
    /// The nearest number; 0 for NaN.
    init(clamping value: Double) {
        self = value.isNaN ? 0 : value >= 9.2e18 ? .max : value <= -9.2e18 ? .min : Int64(value)
    }
}

/// Reads stretches and moments:
///
///     1h · last 1h · since 15:00 · today · yesterday · 2026-11-24
///     FROM..TO · FROM..+15m · FROM.. (up to now)
///
/// where a moment is `now`, `now-1h`, `1h ago`, `today`, `today 10:00`, `yesterday 10:00`, `10:00`,
/// `2026-11-24`, `2026-11-24 10:00`, RFC 3339 (the zone and the seconds may be left out), or Unix
/// seconds, milliseconds or nanoseconds. In `today 10:00..11:30` the second moment is on the day
/// of the first.
package struct TimeGrammar: Sendable {
    package var nowNanos: Int64
    package var zone: ShownZone

    package init(nowNanos: Int64, zone: ShownZone = .utc) {
        self.nowNanos = nowNanos
        self.zone = zone
    }

    /// A stretch of time.
    ///
    /// - Throws: `ShellError` that says what is wrong.
    package func window(_ text: String) throws -> TimeWindow {
        var text = trimmedLine(text)
        if text.hasPrefix("last ") { text = trimmedLine(String(text.dropFirst(5))) }
        if let seconds = shellDuration(text) {
            guard seconds > 0 else { throw unreadable(text) }
            return .last(seconds: seconds)
        }
        if text.hasPrefix("since ") {
            return try fixed(moment(String(text.dropFirst(6))), nowNanos, text)
        }
        if let dots = text.firstRange(of: "..") {
            let from = try moment(String(text[..<dots.lowerBound]))
            let rest = trimmedLine(String(text[dots.upperBound...]))
            if rest.isEmpty { return try fixed(from, nowNanos, text) }
            if rest.first == "+" {
                guard let seconds = shellDuration(String(rest.dropFirst())) else {
                    throw unreadable(text)
                }
                return try fixed(from, from &+ Int64(clamping: seconds * 1e9), text)
            }
            if let second = clock(rest) {
                return try fixed(from, zone.nanos(day(of: from), secondOfDay: second), text)
            }
            return try fixed(from, moment(rest), text)
        }
        // A day alone is the whole of it; any other moment alone is a stretch up to now.
        if let days = date(text) {
            let end = min(nowNanos, zone.nanos(days + 1, secondOfDay: 0))
            return try fixed(zone.nanos(days, secondOfDay: 0), end, text)
        }
        return try fixed(moment(text), nowNanos, text)
    }

    private func fixed(_ start: Int64, _ end: Int64, _ text: String) throws -> TimeWindow {
        guard end > start else {
            throw ShellError("\(text) ends before it begins", .usage)
        }
        return .fixed(startNanos: start, endNanos: end)
    }

    /// A moment, in nanoseconds.
    ///
    /// - Throws: `ShellError` that says what is wrong.
    package func moment(_ text: String) throws -> Int64 {
        let text = trimmedLine(text)
        if text.hasPrefix("now") {
            let rest = trimmedLine(String(text.dropFirst(3)))
            if rest.isEmpty { return nowNanos }
            if let sign = rest.first, sign == "-" || sign == "+",
                let seconds = shellDuration(trimmedLine(String(rest.dropFirst())))
            {
                return nowNanos &+ Int64(clamping: (sign == "-" ? -1e9 : 1e9) * seconds)
            }
            throw unreadable(text)
        }
        if text.hasSuffix(" ago"),
            let seconds = shellDuration(trimmedLine(String(text.dropLast(4))))
        {
            return nowNanos &- Int64(clamping: seconds * 1e9)
        }
        if let second = clock(text) {
            return zone.nanos(day(of: nowNanos), secondOfDay: second)
        }
        if let days = date(text) { return zone.nanos(days, secondOfDay: 0) }
        if let parsed = parseRFC3339(text) {
            return parsed.seconds &* 1_000_000_000 &+ parsed.nanos
        }
        if let number = Double(text), number.isFinite { return unix(number, text) }
        // A day and a clock time, with a blank or a T between.
        if let split = text.firstIndex(where: { $0 == " " || $0 == "T" }) {
            var rest = trimmedLine(String(text[text.index(after: split)...]))
            var zone = self.zone
            if rest.hasSuffix("Z") {
                rest.removeLast()
                zone = .utc
            }
            if let days = date(String(text[..<split])), let second = clock(rest) {
                return zone.nanos(days, secondOfDay: second)
            }
        }
        throw unreadable(text)
    }

    /// Seconds, milliseconds or nanoseconds by size, as the server tells them apart.
    private func unix(_ number: Double, _ text: String) -> Int64 {
        let size = abs(number)
        if size >= 1e17 { return Int64(text) ?? Int64(clamping: number) }
        return Int64(clamping: size >= 1e11 ? number * 1e6 : number * 1e9)
    }

    private func day(of nanos: Int64) -> Int64 {
        let civil = zone.civil(nanos: nanos)
        return CivilTime.days(year: civil.year, month: civil.month, day: civil.day)
    }

    /// Days since the epoch of `today`, `yesterday` or `2026-11-24`.
    private func date(_ text: String) -> Int64? {
        switch text {
        case "today": return day(of: nowNanos)
        case "yesterday": return day(of: nowNanos) - 1
        default:
            let parts = text.split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 3, parts[0].count == 4, parts[1].count == 2, parts[2].count == 2,
                let year = Int64(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]),
                (1...12).contains(month), year > 0,
                (1...CivilTime.daysInMonth(year: year, month: month)).contains(day)
            else { return nil }
            return CivilTime.days(year: year, month: month, day: day)
        }
    }

    /// Second of the day of `10:00` or `10:00:30`.
    private func clock(_ text: String) -> Int64? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3,
            parts.allSatisfy({ (1...2).contains($0.count) && $0.allSatisfy(\.isNumber) })
        else { return nil }
        let numbers = parts.compactMap { Int64($0) }
        guard numbers.count == parts.count, numbers[0] <= 24, numbers[1] < 60,
            numbers.count == 2 || numbers[2] < 60
        else { return nil }
        let second = numbers[0] * 3600 + numbers[1] * 60 + (numbers.count == 3 ? numbers[2] : 0)
        return second <= 86_400 ? second : nil
    }

    private func unreadable(_ text: String) -> ShellError {
        ShellError(
            "cannot read the time \(text): for example 1h, now-1h, 15:00, yesterday, "
                + "2026-11-24T10:00..+15m", .usage)
    }
}
