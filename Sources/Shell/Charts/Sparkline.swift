// SPDX-License-Identifier: Apache-2.0
// A series in one line of a table.

/// Values as a row of bars; gaps where a value is missing.
func sparkline(_ values: [Double], width: Int, unicode: Bool) -> String {
    let levels = Array(unicode ? "▁▂▃▄▅▆▇█" : "_.-=+*#@")
    let finite = values.filter(\.isFinite)
    guard let low = finite.min(), let high = finite.max(), !values.isEmpty else { return "" }
    let count = min(width, values.count)
    var out = ""
    for i in 0..<count {
        let from = i * values.count / count
        let to = max(from + 1, (i + 1) * values.count / count)
        let bucket = values[from..<to].filter(\.isFinite)
        guard !bucket.isEmpty else {
            out += " "
            continue
        }
        let mean = bucket.reduce(0) { $0 + $1 / Double(bucket.count) }
        let share = high > low ? (mean / 2 - low / 2) / (high / 2 - low / 2) : 0.5
        out.append(
            levels[min(levels.count - 1, max(0, Int(clamping: share * Double(levels.count))))])
    }
    return out
}

/// Horizontal bars of values at one moment, the greatest as long as there is room.
struct ValueBars: Sendable {
    var values: [(name: String, value: Double)]
    static let most = 100

    func lines(_ terminal: TerminalTraits) -> [StyledText] {
        let width = terminal.isTerminal ? terminal.columns : 80
        let shown = values.prefix(Self.most)
        let texts = shown.map { axisText($0.value) }
        let numbers = texts.map(\.count).max() ?? 0
        let names = shown.map { harmless($0.name, ascii: !terminal.unicode) }
        let nameWidth = min(max(8, width / 2), names.map(displayWidth).max() ?? 0)
        let room = max(4, width - nameWidth - numbers - 4)
        let greatest = shown.map { abs($0.value) }.filter(\.isFinite).max() ?? 0
        var out: [StyledText] = []
        for (index, one) in shown.enumerated() {
            let name = clipped(names[index], nameWidth, unicode: terminal.unicode)
            var line = StyledText(padded(name, nameWidth), .plain, terminal)
            line.add("  " + padded(texts[index], numbers, right: true) + "  ")
            if one.value.isFinite, greatest > 0 {
                let length = Int((abs(one.value) / greatest * Double(room)).rounded())
                line.add(
                    String(repeating: terminal.unicode ? "█" : "#", count: length),
                    one.value < 0 ? .red : .cyan)
            }
            out.append(line)
        }
        if values.count > shown.count {
            out.append(
                StyledText("and \(values.count - shown.count) more series", .dim, terminal))
        }
        return out
    }
}
