// SPDX-License-Identifier: Apache-2.0
// Answers of the Prometheus API as tables.

import Base

/// `{__name__="up", job="x"}` as `up{job="x"}`.
func seriesText(_ metric: JSONValue) -> String {
    let name = metric["__name__"].text
    let labels = metric.members.filter { $0.name != "__name__" }.map {
        "\($0.name)=\"\($0.value.text.replacing("\"", with: "\\\""))\""
    }
    if labels.isEmpty, !name.isEmpty { return name }
    return name + "{" + labels.joined(separator: ", ") + "}"
}

/// Table of an instant or range answer.
///
/// - Parameter trends: values over time by `seriesText`, for a column of sparklines.
func metricTable(
    _ data: JSONValue, _ mode: OutputMode, _ terminal: TerminalTraits,
    trends: [String: [Double]] = [:]
) -> ResultTable {
    let result = data["result"]
    switch data["resultType"].text {
    case "scalar", "string":
        return ResultTable(
            columns: [.init("value", .right)], rows: [[result[1].text]])
    case "matrix":
        return mode == .table || mode == .wide
            ? matrixSummary(result, unicode: terminal.unicode) : matrixPoints(result)
    default:
        var table = vectorTable(result, wide: mode == .wide || mode == .csv)
        if !trends.isEmpty, mode == .table {
            table.columns.insert(.init("trend", isWhole: true), at: 1)
            for index in table.rows.indices {
                let values = trends[table.rows[index][0]] ?? []
                table.rows[index].insert(
                    sparkline(values, width: 20, unicode: terminal.unicode), at: 1)
            }
            table.rawColumn = 2
        }
        return table
    }
}

private func vectorTable(_ result: JSONValue, wide: Bool) -> ResultTable {
    guard wide else {
        return ResultTable(
            columns: [.init("series"), .init("value", .right, isWhole: true)],
            rows: result.items.map { [seriesText($0["metric"]), sampleText($0)] }, rawColumn: 1)
    }
    var names = Set<String>()
    for item in result.items {
        for member in item["metric"].members { names.insert(member.name) }
    }
    let sorted = names.sorted()
    return ResultTable(
        columns: sorted.map { .init($0) } + [.init("value", .right, isWhole: true)],
        rows: result.items.map { item in
            sorted.map { item["metric"][$0].text } + [sampleText(item)]
        }, rawColumn: sorted.count)
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
        for point in series["histograms"].items {
            table.rows.append([
                name, point[0].text,
                "count:\(point[1]["count"].text) sum:\(point[1]["sum"].text)",
            ])
        }
    }
    return table
}

private func matrixSummary(_ result: JSONValue, unicode: Bool) -> ResultTable {
    var table = ResultTable(columns: [
        .init("series"), .init("trend", isWhole: true), .init("last", .right, isWhole: true),
        .init("min", .right), .init("max", .right),
    ])
    for series in result.items {
        let histograms = series["histograms"].items
        let values =
            histograms.isEmpty
            ? series["values"].items.map { $0[1].double }
            : histograms.map { $0[1]["count"].double }
        let finite = values.filter(\.isFinite)
        table.rows.append([
            seriesText(series["metric"]), sparkline(values, width: 24, unicode: unicode),
            histograms.last.map { "count:" + $0[1]["count"].text }
                ?? short(values.last), short(finite.min()), short(finite.max()),
        ])
    }
    return table
}

private func short(_ value: Double?) -> String {
    guard let value else { return "" }
    guard value.isFinite else { return axisText(value) }
    return value == value.rounded() && abs(value) < 1e15
        ? String(Int64(value)) : String((value * 1e4).rounded() / 1e4)
}
