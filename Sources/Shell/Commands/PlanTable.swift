// SPDX-License-Identifier: Apache-2.0
// A plan as an indented tree.

import Base

/// Table of the answer of `explain`: an operator a row, what feeds it below and further in, and the
/// whole query last. Aligned forms leave out the sub-expressions, which are in the operators.
func planTable(_ data: JSONValue, _ mode: OutputMode, unicode: Bool) -> ResultTable {
    let showsText = mode != .table
    var table = ResultTable(
        columns: [
            .init("operator", isWhole: true), .init("series", .right), .init("samples", .right),
            .init("steps", .right), .init("time", .right), .init("own time", .right),
        ] + (showsText ? [.init("expression")] : []) + [.init("detail")])
    func add(_ node: JSONValue, _ depth: Int) {
        table.rows.append(
            [
                String(repeating: "  ", count: depth) + node["operator"].text,
                node["series"].text, readText(node), node["steps"].text,
                spanText(node["totalNanos"].int, unicode: unicode),
                spanText(node["ownNanos"].int, unicode: unicode),
            ] + (showsText ? [node["text"].text] : []) + [detailText(node)])
        for child in node["children"].items { add(child, depth + 1) }
    }
    add(data["plan"], 0)
    let totals = data["totals"]
    table.rows.append(
        [
            "whole query", totals["series"].text, totals["samples"].text, "",
            spanText(totals["nanos"].int, unicode: unicode), "",
        ] + (showsText ? [data["query"].text] : [])
            + ["at most \(totals["peakBytes"].text) bytes held"])
    return table
}

/// Samples of a node that reads; the others have none to show.
private func readText(_ node: JSONValue) -> String {
    node["samples"].int == 0 && node["selections"].items.isEmpty ? "" : node["samples"].text
}

/// Decisions of the planner, and what was asked of the store.
private func detailText(_ node: JSONValue) -> String {
    (node["facts"].items.map(\.text) + node["selections"].items.map { $0["matchers"].text })
        .joined(separator: "; ")
}
