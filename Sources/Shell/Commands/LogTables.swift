// SPDX-License-Identifier: Apache-2.0
// Answers of the Loki API as tables.

import Base

/// Entries of all streams in one order of time, newest first as the server sends them.
func logTable(_ data: JSONValue) -> ResultTable {
    struct Entry {
        var nanos: Int64
        var labels: String
        var line: String
    }
    var entries: [Entry] = []
    for stream in data["result"].items {
        let labels = seriesText(stream["stream"])
        for value in stream["values"].items {
            entries.append(
                Entry(nanos: value[0].int, labels: labels, line: value[1].text))
        }
    }
    // Swift's sort is stable, so equal times keep the server's order.
    entries.sort { $0.nanos < $1.nanos }
    return ResultTable(
        columns: [.init("time"), .init("labels"), .init("line")],
        rows: entries.map { [timeText($0.nanos), $0.labels, $0.line] }, rawColumn: 2)
}

/// Nanoseconds since the epoch as `2026-11-24T07:44:12.123456789Z`.
func timeText(_ nanos: Int64) -> String {
    let seconds = nanos >= 0 ? nanos / 1_000_000_000 : (nanos - 999_999_999) / 1_000_000_000
    let fraction = nanos - seconds * 1_000_000_000
    var days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
    let rest = seconds - days * 86_400
    // Civil date from days, after Howard Hinnant's public-domain algorithm.
    days += 719_468
    let era = (days >= 0 ? days : days - 146_096) / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shifted + 2) / 5 + 1
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return padded(year, 4) + "-" + padded(month, 2) + "-" + padded(day, 2) + "T"
        + padded(rest / 3600, 2) + ":" + padded(rest / 60 % 60, 2) + ":" + padded(rest % 60, 2)
        + "." + padded(fraction, 9) + "Z"
}

/// Decimal digits, filled up with zeros on the left.
func padded(_ value: Int64, _ width: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, width - text.count)) + text
}

/// A number of nanoseconds as people read it: `1.24ms`, `350µs`, `2.1s`.
func spanText(_ nanos: Int64, unicode: Bool = true) -> String {
    let value = Double(nanos)
    let units: [(Double, String)] = [
        (60e9, "m"), (1e9, "s"), (1e6, "ms"), (1e3, unicode ? "µs" : "us"), (1, "ns"),
    ]
    for (size, unit) in units where abs(value) >= size {
        let scaled = value / size
        let digits = scaled >= 100 ? 1.0 : scaled >= 10 ? 10.0 : 100.0
        let rounded = (scaled * digits).rounded() / digits
        let text = rounded == rounded.rounded() ? String(Int64(rounded)) : String(rounded)
        return text + unit
    }
    return "0ns"
}
