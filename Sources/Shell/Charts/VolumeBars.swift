// SPDX-License-Identifier: Apache-2.0
// How many log lines there were, by level.

/// Bars of counts over time, stacked by level, the worst at the bottom.
struct VolumeBars: Sendable {
    /// Counts by time of one level.
    struct Level: Sendable, Equatable {
        var name: String
        var counts: [Double]
    }
    var levels: [Level]
    var startNanos: Int64
    var endNanos: Int64
    var zone = ShownZone.utc
    /// Rows of characters that the highest bar takes.
    var height = 4

    /// Levels from worst to least with their colours; others come last.
    static let order: [(name: String, style: Style)] = [
        ("critical", .boldRed), ("fatal", .boldRed), ("error", .red), ("warn", .yellow),
        ("warning", .yellow), ("info", .green), ("debug", .blue), ("trace", .cyan),
        ("unknown", .dim),
    ]

    static func style(of level: String) -> Style {
        order.first { $0.name == level }?.style ?? .plain
    }

    private static func rank(_ level: String) -> Int {
        order.firstIndex { $0.name == level } ?? order.count
    }

    func lines(_ terminal: TerminalTraits) -> [StyledText] {
        let width = terminal.isTerminal ? terminal.columns : 80
        let sorted = levels.sorted { (Self.rank($0.name), $0.name) < (Self.rank($1.name), $1.name) }
        let bins = sorted.map(\.counts.count).max() ?? 0
        guard bins > 0 else { return [] }
        let columns = min(max(8, width - 9), bins)
        let cells = sorted.map { level in
            (0..<columns).map { column -> Double in
                let from = column * level.counts.count / columns
                let to = max(from + 1, (column + 1) * level.counts.count / columns)
                return level.counts[from..<min(to, level.counts.count)].filter(\.isFinite)
                    .reduce(0, +)
            }
        }
        let totals = (0..<columns).map { column in cells.reduce(0) { $0 + $1[column] } }
        guard let greatest = totals.max(), greatest > 0 else { return [] }
        var out: [StyledText] = []
        for row in (0..<height).reversed() {
            let label = row == height - 1 ? axisText(greatest) : row == 0 ? "0" : ""
            var line = StyledText(padded(label, 7, right: true), .dim, terminal)
            line.add(terminal.unicode ? " │" : " |", .dim)
            for column in 0..<columns {
                let share = totals[column] / greatest * Double(height) - Double(row)
                line.add(
                    bar(share, terminal),
                    style(at: Double(row) / Double(height) * greatest, column, sorted, cells))
            }
            out.append(line)
        }
        var times = StyledText(String(repeating: " ", count: 9), .plain, terminal)
        times.add(
            timeAxis(
                startNanos: startNanos, endNanos: endNanos, columns: columns, zone, terminal))
        out.append(times)
        var legend = StyledText(String(repeating: " ", count: 9), .plain, terminal)
        for (level, counts) in zip(sorted, cells) {
            let total = counts.reduce(0, +)
            if total > 0 {
                legend.add(
                    (level.name.isEmpty ? "unknown" : level.name) + " " + axisText(total) + "  ",
                    Self.style(of: level.name))
            }
        }
        out.append(legend)
        return out
    }

    /// Colour of the level that a column's stack has reached at this height.
    private func style(
        at count: Double, _ column: Int, _ levels: [Level], _ cells: [[Double]]
    ) -> Style {
        var sum = 0.0
        for (level, counts) in zip(levels, cells) {
            sum += counts[column]
            if sum > count { return Self.style(of: level.name) }
        }
        return .plain
    }

    private func bar(_ share: Double, _ terminal: TerminalTraits) -> String {
        if share <= 0 { return " " }
        guard terminal.unicode else { return share >= 0.5 ? "#" : "." }
        let eighths = Array("▁▂▃▄▅▆▇█")
        return String(eighths[min(7, max(0, Int(clamping: min(8, (share * 8).rounded(.up))) - 1))])
    }
}
