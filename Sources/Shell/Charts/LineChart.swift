// SPDX-License-Identifier: Apache-2.0
// Series as lines over time.

/// One series of a chart: values at the same times as the others, NaN where there is none.
struct ChartSeries: Sendable, Equatable {
    var name: String
    var values: [Double]

    var finite: [Double] { values.filter(\.isFinite) }
    var last: Double? { values.last(where: \.isFinite) }
}

/// Lines over time with axes and a legend that has the least, greatest and last value of each.
struct LineChart: Sendable {
    var series: [ChartSeries]
    var startNanos: Int64
    var endNanos: Int64
    var zone = ShownZone.utc
    /// Series that are drawn; the legend says how many more there are.
    static let most = 12

    /// - Returns: lines no wider than the terminal, 80 columns where it has no width.
    func lines(_ terminal: TerminalTraits) -> [StyledText] {
        let drawn = Array(series.prefix(Self.most))
        let finite = drawn.flatMap(\.finite)
        guard let least = finite.min(), let greatest = finite.max() else {
            return [StyledText("(no values to draw)", .dim, terminal)]
        }
        let width = terminal.isTerminal ? terminal.columns : 80
        let height = max(4, min(20, terminal.rows - 8 - min(drawn.count, 6)))
        let (bottom, top) = Self.bounds(least, greatest)
        let ticks = Self.ticks(bottom, top, height)
        let labels = ticks.map { axisText($0.value) }
        let margin = (labels.map(\.count).max() ?? 1) + 1
        var canvas = DotCanvas(
            columns: max(8, width - margin - 1), rows: height, unicode: terminal.unicode)
        for (index, one) in drawn.enumerated() {
            draw(one, Style.palette[index % Style.palette.count], bottom, top, on: &canvas)
        }
        var out: [StyledText] = []
        for row in 0..<height {
            var line = StyledText(terminal)
            let label = zip(ticks, labels).first { $0.0.row == row }?.1
            line.add(padded(label ?? "", margin - 1, right: true), .dim)
            line.add(
                label == nil
                    ? (terminal.unicode ? " │" : " |") : (terminal.unicode ? " ┤" : " +"), .dim)
            canvas.add(row: row, to: &line)
            out.append(line)
        }
        var axis = StyledText(String(repeating: " ", count: margin), .plain, terminal)
        axis.add(
            (terminal.unicode ? "└" : "+")
                + String(repeating: terminal.unicode ? "─" : "-", count: canvas.columns), .dim)
        out.append(axis)
        var times = StyledText(String(repeating: " ", count: margin + 1), .plain, terminal)
        times.add(
            timeAxis(
                startNanos: startNanos, endNanos: endNanos, columns: canvas.columns, zone,
                terminal))
        out.append(times)
        return out + legend(drawn, width, terminal)
    }

    private func draw(
        _ one: ChartSeries, _ style: Style, _ bottom: Double, _ top: Double,
        on canvas: inout DotCanvas
    ) {
        var before: (x: Int, y: Int)?
        for (i, value) in one.values.enumerated() {
            guard value.isFinite else {
                before = nil
                continue
            }
            let x =
                one.values.count < 2
                ? canvas.dotsAcross / 2
                : Int(
                    (Double(i) / Double(one.values.count - 1) * Double(canvas.dotsAcross - 1))
                        .rounded())
            let share = (value - bottom) / (top - bottom)
            let y = Int(clamping: ((1 - share) * Double(canvas.dotsDown - 1)).rounded())
            canvas.line(from: before ?? (x, y), to: (x, y), style)
            before = (x, y)
        }
    }

    private func legend(
        _ drawn: [ChartSeries], _ width: Int, _ terminal: TerminalTraits
    ) -> [StyledText] {
        let columns = drawn.map { one in
            [one.finite.min(), one.finite.max(), one.last].map { $0.map(axisText) ?? "" }
        }
        let widths = (0..<3).map { i in max(4, columns.map { $0[i].count }.max() ?? 0) }
        let numbers = widths.reduce(0) { $0 + $1 + 2 }
        let room = max(8, width - numbers - 2)
        let names = drawn.map {
            clipped(harmless($0.name, ascii: !terminal.unicode), room, unicode: terminal.unicode)
        }
        let nameWidth = min(room, max(6, names.map(displayWidth).max() ?? 0))
        var head = StyledText(padded("", nameWidth + 2), .plain, terminal)
        for (i, title) in ["min", "max", "last"].enumerated() {
            head.add("  " + padded(title, widths[i], right: true), .dim)
        }
        var out = [head]
        for (index, name) in names.enumerated() {
            var line = StyledText(
                terminal.unicode ? "━ " : "- ", Style.palette[index % Style.palette.count],
                terminal)
            line.add(padded(name, nameWidth))
            for i in 0..<3 { line.add("  " + padded(columns[index][i], widths[i], right: true)) }
            out.append(line)
        }
        if series.count > drawn.count {
            out.append(
                StyledText("and \(series.count - drawn.count) more series", .dim, terminal))
        }
        return out
    }

    /// The stretch of values that is shown: from zero where that costs little of the height.
    static func bounds(_ least: Double, _ greatest: Double) -> (bottom: Double, top: Double) {
        var bottom = least
        var top = greatest
        if bottom > 0, bottom < 0.5 * top { bottom = 0 }
        if top < 0, top > 0.5 * bottom { top = 0 }
        if bottom == top {
            let pad = bottom == 0 ? 1 : abs(bottom) * 0.1
            return (bottom - (bottom == 0 ? 0 : pad), top + pad)
        }
        // Numbers at the ends of the range of doubles must not overflow in a difference.
        return (max(bottom, -1e300), min(top, 1e300))
    }

    /// Round values with the row that each is at.
    static func ticks(
        _ bottom: Double, _ top: Double, _ height: Int
    ) -> [(value: Double, row: Int)] {
        let step = roundStep((top - bottom) / Double(max(2, height / 4)))
        guard step.isFinite, step > 0 else { return [] }
        var value = (bottom / step).rounded(.up) * step
        var out: [(value: Double, row: Int)] = []
        while value <= top + step * 1e-9, out.count < 64 {
            let share = (value - bottom) / (top - bottom)
            let row = Int(clamping: ((1 - share) * Double(height - 1)).rounded())
            if out.last?.row != row { out.append((abs(value) < step * 1e-9 ? 0 : value, row)) }
            let next = value + step
            if next == value { break }
            value = next
        }
        return out
    }
}
