// SPDX-License-Identifier: Apache-2.0
// Histograms over time as shades.

/// Counts by bucket and time: a row of cells a bucket, darker where there is more.
struct HeatMap: Sendable {
    /// A bucket: its bounds and its count at each time.
    struct Bucket: Sendable, Equatable {
        var lower: Double
        var upper: Double
        var counts: [Double]
    }
    /// Ascending by bounds.
    var buckets: [Bucket]
    var startNanos: Int64
    var endNanos: Int64
    var zone = ShownZone.utc

    func lines(_ terminal: TerminalTraits) -> [StyledText] {
        let width = terminal.isTerminal ? terminal.columns : 80
        let height = max(4, min(24, terminal.rows - 6))
        let rows = Self.merged(buckets, into: height)
        let labels = rows.map { axisText($0.upper) }
        let margin = (labels.map(\.count).max() ?? 1) + 1
        let columns = max(8, width - margin - 1)
        let cells = rows.map { Self.resampled($0.counts, into: columns) }
        let greatest = cells.flatMap { $0 }.filter(\.isFinite).max() ?? 0
        guard greatest > 0 else { return [StyledText("(nothing in any bucket)", .dim, terminal)] }
        let shades = Array(terminal.unicode ? " ░▒▓█" : " .:*#")
        var out: [StyledText] = []
        for index in rows.indices.reversed() {
            var line = StyledText(padded(labels[index], margin - 1, right: true), .dim, terminal)
            line.add(terminal.unicode ? " ┤" : " +", .dim)
            for value in cells[index] { add(value, greatest, shades, to: &line) }
            out.append(line)
        }
        var times = StyledText(String(repeating: " ", count: margin + 1), .plain, terminal)
        times.add(
            timeAxis(
                startNanos: startNanos, endNanos: endNanos, columns: columns, zone, terminal))
        out.append(times)
        out.append(
            StyledText(
                "upper bounds of buckets; \(shades.dropFirst().map(String.init).joined()) up to "
                    + axisText(greatest), .dim, terminal))
        return out
    }

    private func add(
        _ value: Double, _ greatest: Double, _ shades: [Character], to line: inout StyledText
    ) {
        guard value.isFinite, value > 0 else { return line.add(" ") }
        let level = min(
            shades.count - 1, 1 + Int(clamping: value / greatest * Double(shades.count - 1)))
        let styles: [Style] = [.plain, .blue, .cyan, .yellow, .red]
        line.add(String(shades[level]), styles[min(level, styles.count - 1)])
    }

    /// Neighbours put together until there are no more rows than asked for; empty ones at both ends
    /// left out.
    static func merged(_ buckets: [Bucket], into most: Int) -> [Bucket] {
        var rows = buckets[...]
        func isEmpty(_ bucket: Bucket) -> Bool { !bucket.counts.contains { $0 > 0 } }
        while rows.count > 1, let first = rows.first, isEmpty(first) { rows.removeFirst() }
        while rows.count > 1, let last = rows.last, isEmpty(last) { rows.removeLast() }
        let group = (rows.count + most - 1) / max(1, most)
        guard group > 1 else { return Array(rows) }
        return stride(from: rows.startIndex, to: rows.endIndex, by: group).map { start in
            let part = rows[start..<min(start + group, rows.endIndex)]
            var out = rows[start]
            for next in part.dropFirst() {
                out.upper = next.upper
                for i in out.counts.indices where i < next.counts.count {
                    let more = next.counts[i]
                    if more.isFinite {
                        out.counts[i] = (out.counts[i].isFinite ? out.counts[i] : 0) + more
                    }
                }
            }
            return out
        }
    }

    /// A value a column: the mean of those that fall into it, NaN where there are none.
    static func resampled(_ values: [Double], into columns: Int) -> [Double] {
        guard !values.isEmpty else { return [Double](repeating: .nan, count: columns) }
        return (0..<columns).map { column in
            let from = column * values.count / columns
            let to = max(from + 1, (column + 1) * values.count / columns)
            let part = values[from..<min(to, values.count)].filter(\.isFinite)
            return part.isEmpty ? .nan : part.reduce(0, +) / Double(part.count)
        }
    }
}
