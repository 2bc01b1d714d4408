// SPDX-License-Identifier: Apache-2.0
// All there is about one service.

import Base

/// `\service NAME`: numbers, operations, neighbours, versions, traces with errors and slow ones.
struct ServicePage: Sendable {
    private let data: JSONValue
    private let seconds: Double
    private let terminal: TerminalTraits
    private let zone: ShownZone

    /// - Parameter data: `data` of `/api/v1/correlate/service/{name}`.
    init(_ data: JSONValue, seconds: Double, _ terminal: TerminalTraits, _ zone: ShownZone) {
        self.data = data
        self.seconds = max(1, seconds)
        self.terminal = terminal
        self.zone = zone
    }

    var text: String {
        var out = [headline].rendered(terminal)
        out += list("instances", data["instances"].items.map(\.text))
        out += list("aliases", data["aliases"].items.map(\.text))
        out += list(
            "versions",
            data["versions"].items.map {
                $0["version"].text + " since "
                    + zone.text(nanos: $0["firstSeenUnixNano"].int, digits: 0)
            })
        out += section("operations", operations)
        out += neighbours
        out += traces("errors", data["errorTraces"].items)
        out += traces("slow", data["slowTraces"].items)
        out += list("streams", data["streams"].items.prefix(20).map { seriesText($0["labels"]) })
        let metrics = data["metricNames"].items.map(\.text)
        out += list(
            "metrics",
            Array(metrics.prefix(20))
                + (metrics.count > 20 ? ["and \(metrics.count - 20) more"] : []))
        return out
    }

    private var headline: StyledText {
        var line = StyledText(data["name"].text, .bold, terminal)
        let namespace = data["namespace"].text
        if !namespace.isEmpty { line.add(" in \(namespace)", .dim) }
        let spans = data["spanCount"].double
        let errors = data["errorCount"].double
        line.add("  \(axisText(spans / seconds)) spans/s")
        let share = spans > 0 ? errors / spans * 100 : 0
        line.add("  \(axisText(share)) % errors", share > 0 ? .red : .plain)
        for name in ["p50", "p95", "p99"] {
            let nanos = data[name + "Nanos"].int
            if nanos > 0 { line.add("  \(name) " + spanText(nanos, unicode: terminal.unicode)) }
        }
        line.add("  \(axisText(data["logLineCount"].double / seconds)) lines/s")
        if data["errorLogLineCount"].int > 0 {
            line.add(", \(data["errorLogLineCount"].text) of errors", .red)
        }
        return line
    }

    private var operations: ResultTable {
        ResultTable(
            columns: [
                .init("operation"), .init("kind"), .init("rate", .right), .init("errors", .right),
                .init("p50", .right), .init("p95", .right), .init("p99", .right),
            ],
            rows: data["operations"].items.prefix(30).map { operation in
                [
                    operation["name"].text, operation["kind"].text,
                    axisText(operation["count"].double / seconds) + "/s",
                    operation["errorCount"].text,
                ]
                    + ["p50Nanos", "p95Nanos", "p99Nanos"].map {
                        spanText(operation[$0].int, unicode: terminal.unicode)
                    }
            })
    }

    private var neighbours: String {
        let name = data["name"].text
        func edges(_ list: String, isCaller: Bool) -> [ServiceTree.Edge] {
            data[list].items.map { edge in
                ServiceTree.Edge(
                    parent: isCaller ? edge["service"].text : name,
                    child: isCaller ? name : edge["service"].text,
                    callCount: edge["callCount"].int, errorCount: edge["errorCount"].int,
                    p95Nanos: edge["p95Nanos"].int)
            }
        }
        let all = edges("upstream", isCaller: true) + edges("downstream", isCaller: false)
        guard !all.isEmpty else { return "" }
        let tree = ServiceTree(edges: all, seconds: seconds).lines(terminal)
        return title("calls") + tree.rendered(terminal)
    }

    private func traces(_ name: String, _ traces: [JSONValue]) -> String {
        section(name, summaryTable(Array(traces.prefix(5)), terminal, zone))
    }

    private func title(_ text: String) -> String {
        "\n" + [StyledText(text, .bold, terminal)].rendered(terminal)
    }

    private func section(_ name: String, _ table: ResultTable) -> String {
        table.rows.isEmpty
            ? "" : title(name) + table.rendered(.table, terminal, vertical: false)
    }

    private func list(_ name: String, _ items: [String]) -> String {
        guard !items.isEmpty else { return "" }
        return title(name)
            + items.map { StyledText("  " + $0, .plain, terminal) }.rendered(terminal)
    }
}
