// SPDX-License-Identifier: Apache-2.0
// Answers of the Loki API as tables.

import Base

/// Entries of all streams in one order of time, oldest first, or as the server sends them.
func logTable(_ data: JSONValue, keepsOrder: Bool = false) -> ResultTable {
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
    if !keepsOrder { entries.sort { $0.nanos < $1.nanos } }
    return ResultTable(
        columns: [.init("time", isWhole: true), .init("labels"), .init("line")],
        rows: entries.map { [timeText($0.nanos), $0.labels, $0.line] }, rawColumn: 2)
}

/// Nanoseconds since the epoch as `2026-11-24T07:44:12.100000000Z`: as wide as the next one.
func timeText(_ nanos: Int64) -> String {
    let text = rfc3339Text(nanos: nanos).dropLast()
    let fraction = text.firstIndex(of: ".").map { text[text.index(after: $0)...] } ?? ""
    return text + (fraction.isEmpty ? "." : "") + String(repeating: "0", count: 9 - fraction.count)
        + "Z"
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
