// SPDX-License-Identifier: Apache-2.0
// Answers of the Loki API as tables.

import Base

/// A log line of an answer.
struct LogLine: Sendable, Equatable {
    var nanos: Int64
    var labels: JSONValue
    var text: String

    /// The level that the server found, or a label has.
    var level: String {
        for name in ["detected_level", "level", "severity"] {
            let value = labels[name].text
            if !value.isEmpty { return value.lowercased() }
        }
        return ""
    }
}

/// Lines of all streams in one order of time, oldest first, or as the server sends them.
func logLines(_ data: JSONValue, keepsOrder: Bool = false) -> [LogLine] {
    var lines: [LogLine] = []
    for stream in data["result"].items {
        for value in stream["values"].items {
            lines.append(
                LogLine(nanos: value[0].int, labels: stream["stream"], text: value[1].text))
        }
    }
    // Swift's sort is stable, so equal times keep the server's order.
    if !keepsOrder { lines.sort { $0.nanos < $1.nanos } }
    return lines
}

/// Log lines as a table with their time and labels.
func logTable(_ lines: [LogLine], _ zone: ShownZone) -> ResultTable {
    ResultTable(
        columns: [.init("time", isWhole: true), .init("labels"), .init("line")],
        rows: lines.map { [zone.text(nanos: $0.nanos), seriesText($0.labels), $0.text] },
        rawColumn: 2)
}

/// Log lines for people: labels that all have are told once, above; times to the millisecond, and
/// the colour of a level.
func logView(
    _ lines: [LogLine], _ zone: ShownZone
) -> (common: String, table: ResultTable) {
    var common = lines.first?.labels.members ?? []
    for line in lines.dropFirst() where !common.isEmpty {
        common.removeAll { line.labels[$0.name] != $0.value }
    }
    let names = Set(common.map(\.name))
    var table = ResultTable(
        columns: [.init("time", isWhole: true), .init("labels"), .init("line")], rawColumn: 2)
    for line in lines {
        let own = JSONValue.object(line.labels.members.filter { !names.contains($0.name) })
        table.rows.append([
            String(zone.text(nanos: line.nanos, digits: 3)),
            own.members.isEmpty ? "" : seriesText(own), line.text,
        ])
        table.rowStyles.append(VolumeBars.style(of: line.level))
    }
    if !table.rows.contains(where: { !$0[1].isEmpty }) {
        table.columns.remove(at: 1)
        for index in table.rows.indices { table.rows[index].remove(at: 1) }
        table.rawColumn = 1
    }
    return (common.isEmpty ? "" : seriesText(.object(common)), table)
}

/// Nanoseconds since the epoch as `2026-11-24T07:44:12.100000000Z`: as wide as the next one.
func timeText(_ nanos: Int64) -> String { ShownZone.utc.text(nanos: nanos) }

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
