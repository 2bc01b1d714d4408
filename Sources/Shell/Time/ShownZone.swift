// SPDX-License-Identifier: Apache-2.0
// The time zone in which times are typed and shown.

import Base
import Glibc

/// UTC, an offset from it, or the zone of the process.
package enum ShownZone: Sendable, Equatable {
    case utc
    case fixed(seconds: Int)
    /// The rules of `TZ`, else of the machine.
    case system

    /// A zone by name: `UTC`, `local`, `+02:00`, `Europe/Berlin`. A zone of the database becomes
    /// the process' own, which this reads with `system`.
    ///
    /// - Throws: `ShellError` when there is no such zone on this machine.
    package init(_ name: String) throws {
        switch name.lowercased() {
        case "utc", "z", "gmt": self = .utc
        case "local", "system": self = .system
        default:
            if let seconds = ShownZone.offset(name) {
                self = .fixed(seconds: seconds)
                return
            }
            let isPlain = name.allSatisfy { $0.isLetter || $0.isNumber || "_-+/".contains($0) }
            guard isPlain, name.first != "/", access("/usr/share/zoneinfo/" + name, R_OK) == 0
            else {
                throw ShellError(
                    "no time zone \(name) here: UTC, local, +02:00 or a name such as Europe/Berlin",
                    .usage)
            }
            setenv("TZ", name, 1)
            tzset()
            self = .system
        }
    }

    private static func offset(_ text: String) -> Int? {
        guard let sign = text.first, sign == "+" || sign == "-" else { return nil }
        let digits = text.dropFirst().filter { $0 != ":" }
        guard digits.count == 2 || digits.count == 4, let number = Int(digits),
            digits.allSatisfy(\.isNumber)
        else { return nil }
        let hours = digits.count == 2 ? number : number / 100
        let minutes = digits.count == 2 ? 0 : number % 100
        guard hours <= 18, minutes < 60 else { return nil }
        return (sign == "-" ? -1 : 1) * (hours * 3600 + minutes * 60)
    }

    /// Seconds that clocks are ahead of UTC at a time.
    func offsetSeconds(atNanos nanos: Int64) -> Int {
        switch self {
        case .utc: return 0
        case .fixed(let seconds): return seconds
        case .system:
            var time = time_t(nanos / 1_000_000_000)
            var parts = tm()
            return localtime_r(&time, &parts) == nil ? 0 : parts.tm_gmtoff
        }
    }

    /// Civil time of a moment.
    func civil(nanos: Int64) -> CivilTime {
        let seconds = Int64((Double(nanos) / 1e9).rounded(.down))
        return CivilTime(unixSeconds: seconds &+ Int64(offsetSeconds(atNanos: nanos)))
    }

    /// Nanoseconds of a civil time; of two that a clock shows twice, the first.
    func nanos(_ days: Int64, secondOfDay: Int64) -> Int64 {
        let local = (days &* 86_400 &+ secondOfDay) &* 1_000_000_000
        let first = local &- Int64(offsetSeconds(atNanos: local)) &* 1_000_000_000
        return local &- Int64(offsetSeconds(atNanos: first)) &* 1_000_000_000
    }

    /// `14:05`, with seconds `14:05:09`, with the day `11-24 14:05`.
    func shortText(nanos: Int64, day: Bool = false, seconds: Bool = false) -> String {
        let civil = civil(nanos: nanos)
        var text = two(civil.hour) + ":" + two(civil.minute)
        if seconds { text += ":" + two(civil.second) }
        return day ? two(civil.month) + "-" + two(civil.day) + " " + text : text
    }

    /// RFC 3339 with so many digits of a second.
    func text(nanos: Int64, digits: Int = 9) -> String {
        let civil = civil(nanos: nanos)
        let fraction = ((nanos % 1_000_000_000) + 1_000_000_000) % 1_000_000_000
        var part = String(fraction)
        part = String(repeating: "0", count: 9 - part.count) + part
        let offset = offsetSeconds(atNanos: nanos)
        let zone =
            self == .utc
            ? "Z"
            : (offset < 0 ? "-" : "+") + two(abs(offset) / 3600) + ":" + two(abs(offset) / 60 % 60)
        let year = String(civil.year)
        return String(repeating: "0", count: max(0, 4 - year.count)) + year + "-"
            + two(civil.month) + "-" + two(civil.day) + "T" + two(civil.hour) + ":"
            + two(civil.minute) + ":" + two(civil.second)
            + (digits > 0 ? "." + part.prefix(digits) : "") + zone
    }
}

private func two(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
