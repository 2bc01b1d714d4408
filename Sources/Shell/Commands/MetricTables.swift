// SPDX-License-Identifier: Apache-2.0
// Answers of the Prometheus API as tables.

/// `{__name__="up", job="x"}` as `up{job="x"}`.
func seriesText(_ metric: JSONValue) -> String {
    let name = metric["__name__"].text
    let labels = metric.members.filter { $0.name != "__name__" }.map {
        "\($0.name)=\"\($0.value.text)\""
    }
    if labels.isEmpty, !name.isEmpty { return name }
    return name + "{" + labels.joined(separator: ", ") + "}"
}

/// Table of an instant or range answer.
func metricTable(_ data: JSONValue, _ mode: OutputMode, unicode: Bool) -> ResultTable {
    let result = data["result"]
    switch data["resultType"].text {
    case "scalar", "string":
        return ResultTable(
            columns: [.init("value", .right)], rows: [[result[1].text]])
    case "matrix":
        return mode == .table || mode == .wide
            ? matrixSummary(result, unicode: unicode) : matrixPoints(result)
    default: return vectorTable(result, wide: mode == .wide || mode == .csv)
    }
}

private func vectorTable(_ result: JSONValue, wide: Bool) -> ResultTable {
    guard wide else {
        return ResultTable(
            columns: [.init("series"), .init("value", .right)],
            rows: result.items.map { [seriesText($0["metric"]), sampleText($0)] }, rawColumn: 1)
    }
    var names: [String] = []
    for item in result.items {
        for member in item["metric"].members where !names.contains(member.name) {
            names.append(member.name)
        }
    }
    names.sort()
    return ResultTable(
        columns: names.map { .init($0) } + [.init("value", .right)],
        rows: result.items.map { item in
            names.map { item["metric"][$0].text } + [sampleText(item)]
        }, rawColumn: names.count)
}

/// Value of a vector element; a histogram shows its count and sum.
private func sampleText(_ item: JSONValue) -> String {
    let histogram = item["histogram"][1]
    if histogram.isNull { return item["value"][1].text }
    return "count:\(histogram["count"].text) sum:\(histogram["sum"].text)"
}

private func matrixPoints(_ result: JSONValue) -> ResultTable {
    var table = ResultTable(
        columns: [.init("series"), .init("timestamp", .right), .init("value", .right)],
        rawColumn: 2)
    for series in result.items {
        let name = seriesText(series["metric"])
        for point in series["values"].items {
            table.rows.append([name, point[0].text, point[1].text])
        }
    }
    return table
}

private func matrixSummary(_ result: JSONValue, unicode: Bool) -> ResultTable {
    var table = ResultTable(columns: [
        .init("series"), .init("trend"), .init("last", .right), .init("min", .right),
        .init("max", .right),
    ])
    for series in result.items {
        let values = series["values"].items.map { $0[1].double }
        let finite = values.filter(\.isFinite)
        table.rows.append([
            seriesText(series["metric"]), sparkline(values, width: 24, unicode: unicode),
            series["values"].items.last?[1].text ?? "", short(finite.min()), short(finite.max()),
        ])
    }
    return table
}

private func short(_ value: Double?) -> String {
    guard let value else { return "" }
    return value == value.rounded() && abs(value) < 1e15
        ? String(Int64(value)) : String((value * 1e4).rounded() / 1e4)
}

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
        let mean = bucket.reduce(0, +) / Double(bucket.count)
        let share = high > low ? (mean - low) / (high - low) : 0.5
        out.append(levels[min(levels.count - 1, Int(share * Double(levels.count)))])
    }
    return out
}
