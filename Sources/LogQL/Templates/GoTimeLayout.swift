// SPDX-License-Identifier: Apache-2.0
// Go's time layouts: the reference time Mon Jan 2 15:04:05 MST 2006.

import Base

private let monthNames = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
]
private let dayNames = [
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
]

/// A layout taken apart. Times are in UTC.
struct GoTimeLayout {
    private enum Piece: Equatable {
        case literal(String)
        case year, shortYear, month, paddedMonth, monthName, shortMonthName
        case day, paddedDay, blankDay, dayOfYear, dayName, shortDayName
        case hour24, hour12, paddedHour12, minute, paddedMinute, second, paddedSecond
        case upperAMPM, lowerAMPM, zoneName
        /// `Z07:00` prints `Z` for UTC, `-07:00` does not; with colons or not, hours only or not.
        case offset(isZ: Bool, text: String)
        /// `.000` or `.999`, with its point or comma.
        case fraction(separator: String, digits: Int, trims: Bool)
    }
    private var pieces: [Piece] = []

    private static let words: [(String, Piece)] = [
        ("January", .monthName), ("Jan", .shortMonthName), ("Monday", .dayName),
        ("Mon", .shortDayName), ("MST", .zoneName), ("2006", .year),
        ("Z07:00:00", .offset(isZ: true, text: "07:00:00")),
        ("Z070000", .offset(isZ: true, text: "070000")),
        ("Z07:00", .offset(isZ: true, text: "07:00")),
        ("Z0700", .offset(isZ: true, text: "0700")), ("Z07", .offset(isZ: true, text: "07")),
        ("-07:00:00", .offset(isZ: false, text: "07:00:00")),
        ("-070000", .offset(isZ: false, text: "070000")),
        ("-07:00", .offset(isZ: false, text: "07:00")),
        ("-0700", .offset(isZ: false, text: "0700")), ("-07", .offset(isZ: false, text: "07")),
        ("002", .dayOfYear), ("01", .paddedMonth), ("02", .paddedDay), ("03", .paddedHour12),
        ("04", .paddedMinute), ("05", .paddedSecond), ("06", .shortYear), ("15", .hour24),
        ("PM", .upperAMPM), ("pm", .lowerAMPM), ("_2", .blankDay), ("1", .month), ("2", .day),
        ("3", .hour12), ("4", .minute), ("5", .second),
    ]

    init(_ layout: String) {
        var rest = Array(layout.utf8)[...]
        var literal: [UInt8] = []
        func flush(_ pieces: inout [Piece]) {
            if !literal.isEmpty {
                pieces.append(.literal(String(decoding: literal, as: UTF8.self)))
            }
            literal = []
        }
        next: while let byte = rest.first {
            if byte == UInt8(ascii: ".") || byte == UInt8(ascii: ","),
                let digit = rest.dropFirst().first,
                digit == UInt8(ascii: "0") || digit == UInt8(ascii: "9")
            {
                let digits = rest.dropFirst().prefix { $0 == digit }
                let after = rest.dropFirst(1 + digits.count).first
                if after.map(isASCIIDigit) != true {
                    flush(&pieces)
                    pieces.append(
                        .fraction(
                            separator: String(Unicode.Scalar(byte)), digits: digits.count,
                            trims: digit == UInt8(ascii: "9")))
                    rest = rest.dropFirst(1 + digits.count)
                    continue
                }
            }
            for (word, piece) in GoTimeLayout.words where rest.starts(with: word.utf8) {
                if word == "Jan" || word == "Mon", let following = rest.dropFirst(3).first,
                    following >= UInt8(ascii: "a"), following <= UInt8(ascii: "z")
                {
                    continue
                }
                flush(&pieces)
                pieces.append(piece)
                rest = rest.dropFirst(word.utf8.count)
                continue next
            }
            literal.append(byte)
            rest = rest.dropFirst()
        }
        flush(&pieces)
    }

    // MARK: printing

    func text(_ nanos: Int64) -> String {
        var seconds = nanos / 1_000_000_000
        var fraction = nanos % 1_000_000_000
        if fraction < 0 {
            fraction += 1_000_000_000
            seconds -= 1
        }
        let time = CivilTime(unixSeconds: seconds)
        let weekday = dayNames[CivilTime.weekday(unixSeconds: seconds)]
        let month = monthNames[time.month - 1]
        let hour12 = time.hour % 12 == 0 ? 12 : time.hour % 12
        var result = ""
        for piece in pieces {
            switch piece {
            case .literal(let text): result += text
            case .year: result += padded(Int(time.year), 4)
            case .shortYear: result += padded(Int(time.year % 100), 2)
            case .month: result += "\(time.month)"
            case .paddedMonth: result += padded(time.month, 2)
            case .monthName: result += month
            case .shortMonthName: result += month.prefix(3)
            case .day: result += "\(time.day)"
            case .paddedDay: result += padded(time.day, 2)
            case .blankDay: result += time.day < 10 ? " \(time.day)" : "\(time.day)"
            case .dayOfYear: result += padded(time.dayOfYear, 3)
            case .dayName: result += weekday
            case .shortDayName: result += weekday.prefix(3)
            case .hour24: result += padded(time.hour, 2)
            case .hour12: result += "\(hour12)"
            case .paddedHour12: result += padded(hour12, 2)
            case .minute: result += "\(time.minute)"
            case .paddedMinute: result += padded(time.minute, 2)
            case .second: result += "\(time.second)"
            case .paddedSecond: result += padded(time.second, 2)
            case .upperAMPM: result += time.hour >= 12 ? "PM" : "AM"
            case .lowerAMPM: result += time.hour >= 12 ? "pm" : "am"
            case .zoneName: result += "UTC"
            case .offset(let isZ, let text):
                if isZ {
                    result += "Z"
                } else {
                    result += "+" + String(text.map { $0 == ":" ? ":" : "0" })
                }
            case .fraction(let separator, let digits, let trims):
                var text = String(padded(Int(fraction), 9).prefix(digits))
                if text.utf8.count < digits {
                    text += String(repeating: "0", count: digits - text.utf8.count)
                }
                if trims {
                    while text.hasSuffix("0") { text.removeLast() }
                    if text.isEmpty { continue }
                }
                result += separator + text
            }
        }
        return result
    }

    private func padded(_ value: Int, _ width: Int) -> String {
        let digits = String(value.magnitude)
        return (value < 0 ? "-" : "")
            + String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    // MARK: reading

    /// Nanoseconds since the epoch of a text in this layout; nil when it is none or out of range.
    func nanos(_ text: String) -> Int64? {
        var rest = Array(text.utf8)[...]
        var year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0, nanos = 0
        var dayOfYear: Int?
        var isPM: Bool?
        var offset = 0
        func number(_ digits: ClosedRange<Int>) -> Int? {
            let found = rest.prefix(digits.upperBound).prefix(while: isASCIIDigit)
            guard found.count >= digits.lowerBound else { return nil }
            rest = rest.dropFirst(found.count)
            return Int(String(decoding: found, as: UTF8.self))
        }
        func word(_ words: [String], short: Bool) -> Int? {
            for (i, name) in words.enumerated() {
                let wanted = Array((short ? String(name.prefix(3)) : name).lowercased().utf8)
                let candidate = rest.prefix(wanted.count).map { $0 | 0x20 }
                if candidate == wanted {
                    rest = rest.dropFirst(wanted.count)
                    return i
                }
            }
            return nil
        }
        func fraction() -> Bool {
            guard rest.first == UInt8(ascii: ".") || rest.first == UInt8(ascii: ",") else {
                return false
            }
            let digits = rest.dropFirst().prefix(while: isASCIIDigit)
            guard !digits.isEmpty else { return false }
            rest = rest.dropFirst(1 + digits.count)
            let nine = String(decoding: digits.prefix(9), as: UTF8.self)
            nanos = Int(nine + String(repeating: "0", count: 9 - nine.utf8.count)) ?? 0
            return true
        }
        for (index, piece) in pieces.enumerated() {
            switch piece {
            case .literal(let literal):
                guard rest.starts(with: literal.utf8) else { return nil }
                rest = rest.dropFirst(literal.utf8.count)
            case .year:
                guard let value = number(4...4) else { return nil }
                year = value
            case .shortYear:
                guard let value = number(2...2) else { return nil }
                year = value + (value >= 69 ? 1900 : 2000)
            case .month, .paddedMonth:
                guard let value = number(piece == .month ? 1...2 : 2...2) else { return nil }
                month = value
            case .monthName, .shortMonthName:
                guard let value = word(monthNames, short: piece == .shortMonthName) else {
                    return nil
                }
                month = value + 1
            case .day, .paddedDay, .blankDay:
                while piece == .blankDay, rest.first == 32 { rest = rest.dropFirst() }
                guard let value = number(piece == .paddedDay ? 2...2 : 1...2) else { return nil }
                day = value
            case .dayOfYear:
                guard let value = number(3...3) else { return nil }
                dayOfYear = value
            case .dayName, .shortDayName:
                guard word(dayNames, short: piece == .shortDayName) != nil else { return nil }
            case .hour24, .hour12, .paddedHour12:
                guard let value = number(piece == .hour12 ? 1...2 : 2...2) else { return nil }
                hour = value
            case .minute, .paddedMinute:
                guard let value = number(piece == .minute ? 1...2 : 2...2) else { return nil }
                minute = value
            case .second, .paddedSecond:
                guard let value = number(piece == .second ? 1...2 : 2...2) else { return nil }
                second = value
                // A fraction behind the seconds is read even where the layout has none.
                if index + 1 == pieces.count {
                    _ = fraction()
                } else if case .fraction = pieces[index + 1] {
                } else {
                    _ = fraction()
                }
            case .upperAMPM, .lowerAMPM:
                let half = rest.prefix(2).map { $0 | 0x20 }
                guard half == Array("am".utf8) || half == Array("pm".utf8) else { return nil }
                isPM = half == Array("pm".utf8)
                rest = rest.dropFirst(2)
            case .zoneName:
                let name = rest.prefix { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") }
                guard name.count >= 3 else { return nil }
                rest = rest.dropFirst(name.count)
            case .offset(let isZ, let shape):
                if isZ, rest.first == UInt8(ascii: "Z") {
                    rest = rest.dropFirst()
                    continue
                }
                guard let sign = rest.popFirst(),
                    sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"),
                    let hours = number(2...2)
                else { return nil }
                var total = hours * 3600
                // `07`, `0700` or `070000`, with or without colons.
                let parts = shape.filter { $0 != ":" }.utf8.count / 2
                for unit in [60, 1].prefix(parts - 1) {
                    if shape.contains(":") {
                        guard rest.popFirst() == UInt8(ascii: ":") else { return nil }
                    }
                    guard let part = number(2...2) else { return nil }
                    total += part * unit
                }
                offset = sign == UInt8(ascii: "-") ? -total : total
            case .fraction(_, _, let trims):
                if !fraction(), !trims { return nil }
            }
        }
        guard rest.isEmpty, (1...12).contains(month), hour < 24, minute < 60, second < 60 else {
            return nil
        }
        if let isPM {
            guard hour <= 12 else { return nil }
            hour = hour % 12 + (isPM ? 12 : 0)
        }
        if let dayOfYear {
            guard (1...366).contains(dayOfYear) else { return nil }
        } else if !(1...CivilTime.daysInMonth(year: Int64(year), month: month)).contains(day) {
            return nil
        }
        let days =
            dayOfYear.map { CivilTime.days(year: Int64(year), month: 1, day: 1) + Int64($0 - 1) }
            ?? CivilTime.days(year: Int64(year), month: month, day: day)
        let seconds = days * 86_400 + Int64(hour * 3600 + minute * 60 + second - offset)
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (result, sumOverflow) = scaled.addingReportingOverflow(Int64(nanos))
        return overflow || sumOverflow ? nil : result
    }
}
