// SPDX-License-Identifier: Apache-2.0
// What there is on the server.

import Base

extension ShellCommands {
    /// Series of a metric that are looked at for its labels.
    private static let mostSeries = 10_000

    /// `tern labels`: names, or the values of one.
    package func labels(_ name: String?) async throws -> Output {
        let path = name.map { "/api/v1/label/" + encoded($0) + "/values" } ?? "/api/v1/labels"
        let answer = try await options.client.get(path, boundParameters)
        return try output(answer) { _ in
            ResultTable(
                columns: [.init(name ?? "label")], rows: answer["data"].items.map { [$0.text] })
        }
    }

    /// `tern series SELECTOR`.
    package func series(_ selector: String) async throws -> Output {
        let answer = try await options.client.get(
            "/api/v1/series", [("match[]", selector)] + boundParameters)
        return try output(answer) { _ in
            ResultTable(
                columns: [.init("series")], rows: answer["data"].items.map { [seriesText($0)] })
        }
    }

    /// `\d`: metrics with their types and help; with a name, all about that one.
    package func describe(_ name: String?) async throws -> Output {
        if let name { return try await describeMetric(name) }
        async let metadata = options.client.get("/api/v1/metadata", [("limit_per_metric", "1")])
        let names = try await options.client.get("/api/v1/label/__name__/values", boundParameters)
        let about = try await metadata["data"]
        var byName: [String: JSONValue] = [:]
        for member in about.members { byName[member.name] = member.value[0] }
        return try output(names) { _ in
            ResultTable(
                columns: [
                    .init("metric", isWhole: true), .init("type"), .init("unit"), .init("help"),
                ],
                rows: names["data"].items.map { name in
                    let entry = metadataEntry(of: name.text, byName)
                    return [
                        name.text, entry["type"].text, entry["unit"].text, entry["help"].text,
                    ]
                })
        }
    }

    private func describeMetric(_ name: String) async throws -> Output {
        async let metadata = options.client.get(
            "/api/v1/metadata", [("metric", name), ("limit_per_metric", "1")])
        let answer = try await options.client.get(
            "/api/v1/series",
            [("match[]", "{__name__=\(quoted(name))}"), ("limit", String(Self.mostSeries))]
                + boundParameters)
        let series = answer["data"].items
        guard !series.isEmpty else {
            throw ShellError("no series of \(name) in this window: \\d lists what there is")
        }
        var values: [String: [String: Int]] = [:]
        for one in series {
            for member in one.members where member.name != "__name__" {
                values[member.name, default: [:]][member.value.text, default: 0] += 1
            }
        }
        let entry = try await metadata["data"][name][0]
        var output = try output(answer) { _ in
            ResultTable(
                columns: [
                    .init("label", isWhole: true), .init("values", .right),
                    .init("series with it", .right), .init("most frequent"),
                ],
                rows: values.sorted { $0.key < $1.key }.map { label, counts in
                    let frequent = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
                    return [
                        label, String(counts.count), String(counts.values.reduce(0, +)),
                        frequent.prefix(5).map(\.key).joined(separator: " "),
                    ]
                })
        }
        if isForPeople {
            var head = StyledText(name, .bold, options.terminal)
            let type = entry["type"].text
            head.add("  " + (type.isEmpty ? "unknown type" : type), .cyan)
            if !entry["unit"].text.isEmpty { head.add("  in \(entry["unit"].text)") }
            head.add("  \(series.count) series")
            var lines = [head]
            if !entry["help"].text.isEmpty {
                lines.append(StyledText(entry["help"].text, .plain, options.terminal))
            }
            output.text = lines.rendered(options.terminal) + output.text
        }
        if series.count >= Self.mostSeries {
            output.warnings.append("only the first \(Self.mostSeries) series were looked at")
        }
        var context = ResultContext()
        context.series = "{__name__=\(quoted(name))}"
        output.context = context
        return output
    }

    /// `\cardinality`: what the series are made of.
    package func cardinality() async throws -> Output {
        let answer = try await options.client.get(
            "/api/v1/status/tsdb", [("limit", "10")])
        let lists = [
            ("series by metric", "seriesCountByMetricName"),
            ("values by label", "labelValueCountByLabelName"),
            ("bytes by label", "memoryInBytesByLabelName"),
            ("series by pair", "seriesCountByLabelValuePair"),
        ]
        var output = try output(answer) { _ in
            ResultTable(
                columns: [.init("what"), .init("name"), .init("count", .right)],
                rows: lists.flatMap { title, member in
                    answer["data"][member].items.map { [title, $0["name"].text, $0["value"].text] }
                })
        }
        if isForPeople {
            let count = answer["data"]["headStats"]["numSeries"].text
            if !count.isEmpty {
                output.text =
                    [StyledText("\(count) series", .bold, options.terminal)]
                    .rendered(options.terminal) + output.text
            }
        }
        return output
    }

    /// `\targets`: what is scraped, and how it goes.
    package func targets() async throws -> Output {
        let answer = try await options.client.get("/api/v1/targets", [("state", "active")])
        return try output(answer) { _ in
            var table = ResultTable(columns: [
                .init("health", isWhole: true), .init("pool"), .init("url"),
                .init("last scrape"), .init("took", .right), .init("error"),
            ])
            for target in answer["data"]["activeTargets"].items {
                let health = target["health"].text
                table.rowStyles.append(
                    health == "up" ? .green : health == "down" ? .red : .yellow)
                table.rows.append([
                    health, target["scrapePool"].text, target["scrapeUrl"].text,
                    target["lastScrape"].text,
                    axisText(target["lastScrapeDuration"].double * 1000) + "ms",
                    target["lastError"].text,
                ])
            }
            return table
        }
    }

    /// `\rules`.
    package func rules() async throws -> Output {
        let answer = try await options.client.get("/api/v1/rules")
        return try output(answer) { _ in
            var table = ResultTable(columns: [
                .init("group"), .init("type"), .init("name", isWhole: true), .init("state"),
                .init("query"), .init("error"),
            ])
            for group in answer["data"]["groups"].items {
                for rule in group["rules"].items {
                    table.rows.append([
                        group["name"].text, rule["type"].text, rule["name"].text,
                        rule["state"].text.isEmpty ? rule["health"].text : rule["state"].text,
                        rule["query"].text, rule["lastError"].text,
                    ])
                }
            }
            return table
        }
    }

    /// `\alerts`: pending and firing alerts.
    package func alerts() async throws -> Output {
        let answer = try await options.client.get("/api/v1/alerts")
        return try output(answer) { _ in
            var table = ResultTable(columns: [
                .init("state", isWhole: true), .init("alert", isWhole: true), .init("labels"),
                .init("since"), .init("value", .right), .init("summary"),
            ])
            for alert in answer["data"]["alerts"].items {
                let labels = alert["labels"].members.filter { $0.name != "alertname" }
                table.rowStyles.append(alert["state"].text == "firing" ? .red : .yellow)
                table.rows.append([
                    alert["state"].text, alert["labels"]["alertname"].text,
                    seriesText(.object(labels)), alert["activeAt"].text, alert["value"].text,
                    alert["annotations"]["summary"].text,
                ])
            }
            return table
        }
    }

    /// `\streams [SELECTOR]`: log streams.
    package func streams(_ selector: String?) async throws -> Output {
        let (start, end) = bounds
        let answer = try await options.client.get(
            "/loki/api/v1/series",
            [("start", String(start)), ("end", String(end))]
                + (selector.map { [("match[]", $0)] } ?? []))
        return try output(answer) { _ in
            ResultTable(
                columns: [.init("stream")], rows: answer["data"].items.map { [seriesText($0)] })
        }
    }

    /// `\queries`: what runs on the server now.
    package func activeQueries() async throws -> Output {
        let answer = try await options.client.get("/api/v1/status/active_queries")
        return try output(answer) { _ in
            ResultTable(
                columns: [
                    .init("family"), .init("runs for", .right), .init("start"), .init("query"),
                ],
                rows: answer["data"].items.map {
                    [
                        $0["family"].text, axisText($0["durationSeconds"].double) + "s",
                        $0["start"].text, $0["query"].text,
                    ]
                })
        }
    }

    /// `\stats`: what the last query cost, as the server says.
    package func statistics(_ value: JSONValue) throws -> Output {
        guard !value.isNull else {
            throw ShellError("the last answer came without statistics", .usage)
        }
        let answer = JSONValue.object([JSONMember(name: "data", value: value)])
        return try output(answer) { _ in
            var table = ResultTable(columns: [.init("what", isWhole: true), .init("", .right)])
            table.columns[1].name = "value"
            addMembers(of: value, under: "", to: &table, depth: 0)
            return table
        }
    }

    /// Numbers other than zero, a row each, with their path.
    private func addMembers(
        of value: JSONValue, under path: String, to table: inout ResultTable, depth: Int
    ) {
        for member in value.members {
            let name = path.isEmpty ? member.name : path + "." + member.name
            switch member.value {
            case .object where depth < 6:
                addMembers(of: member.value, under: name, to: &table, depth: depth + 1)
            case .number(let text), .string(let text):
                if let number = Double(text), number == 0 { continue }
                table.rows.append([name, text])
            default: continue
            }
        }
    }
}
