// SPDX-License-Identifier: Apache-2.0
// Traces and services.

import Base

extension ShellCommands {
    func traces(_ text: String) async throws -> Output {
        let (start, end) = bounds
        let answer = try await options.client.get(
            "/api/search",
            [
                ("q", text), ("start", String(start / 1_000_000_000)),
                ("end", String(end / 1_000_000_000 + 1)),
                ("limit", String(options.limit > 0 ? options.limit : 1000)),
            ])
        var output = try output(answer) { _ in
            traceTable(answer, options.terminal, options.zone)
        }
        let first = answer["traces"][0]
        if !first.isNull {
            var context = ResultContext()
            context.traceID = first["traceID"].text
            context.service = first["rootServiceName"].text
            output.context = context
        }
        return output
    }

    /// `tern trace ID`.
    package func trace(_ id: String) async throws -> Output {
        let answer = try await options.client.get("/api/v1/correlate/trace/" + encoded(id))
        let data = answer["data"]
        var output: Output
        switch options.mode {
        case nil, .table, .wide, .chart:
            let lines = Waterfall(data, options.terminal, options.zone).lines
            output = finished(lines.rendered(options.terminal), answer)
        default: output = try self.output(answer) { _ in spanTable(data) }
        }
        var context = ResultContext()
        context.traceID = data["traceID"].text
        context.service = data["rootService"].text
        output.context = context
        return output
    }

    /// `tern services`.
    package func services() async throws -> Output {
        let answer = try await options.client.get("/api/v1/correlate/services", boundParameters)
        if options.mode == .chart { return try await serviceTree() }
        return try output(answer) { _ in
            ResultTable(
                columns: [
                    .init("service", isWhole: true), .init("namespace"), .init("aliases"),
                    .init("spans", .right), .init("errors", .right), .init("p50", .right),
                    .init("p95", .right), .init("p99", .right), .init("log lines", .right),
                    .init("error lines", .right), .init("series", .right), .init("last seen"),
                ],
                rows: answer["data"].items.map { row in
                    [
                        row["name"].text, row["namespace"].text,
                        row["aliases"].items.map(\.text).joined(separator: " "),
                        row["spanCount"].text,
                        row["errorCount"].text, duration(row["p50Nanos"]),
                        duration(row["p95Nanos"]), duration(row["p99Nanos"]),
                        row["logLineCount"].text, row["errorLogLineCount"].text,
                        row["seriesCount"].text,
                        options.zone.text(nanos: row["lastSeenUnixNano"].int, digits: 3),
                    ]
                })
        }
    }

    private func duration(_ value: JSONValue) -> String {
        value.isNull || value.int == 0 ? "" : spanText(value.int, unicode: options.terminal.unicode)
    }

    /// Services to ask for their neighbours at most; the busiest come first.
    private static let mostServices = 100

    /// `\tree`: who calls whom, with rates, from what each service says of those it calls.
    package func serviceTree() async throws -> Output {
        let list = try await options.client.get("/api/v1/correlate/services", boundParameters)
        let busiest = list["data"].items.sorted { $0["spanCount"].int > $1["spanCount"].int }
        var edges: [ServiceTree.Edge] = []
        for row in busiest.prefix(Self.mostServices) where row["spanCount"].int > 0 {
            let name = row["name"].text
            let answer = try await options.client.get(
                "/api/v1/correlate/service/" + encoded(name), boundParameters)
            for edge in answer["data"]["downstream"].items {
                edges.append(
                    ServiceTree.Edge(
                        parent: name, child: edge["service"].text,
                        callCount: edge["callCount"].int, errorCount: edge["errorCount"].int,
                        p95Nanos: edge["p95Nanos"].int))
            }
        }
        let lines = ServiceTree(edges: edges, seconds: options.window.seconds)
            .lines(options.terminal)
        var output = Output(
            text: lines.isEmpty
                ? "(no calls between services)\n" : lines.rendered(options.terminal))
        if busiest.count > Self.mostServices {
            output.warnings.append("only the \(Self.mostServices) busiest services are in the tree")
        }
        return output
    }
}
