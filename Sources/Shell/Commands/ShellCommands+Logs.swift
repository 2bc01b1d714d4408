// SPDX-License-Identifier: Apache-2.0
// Log queries, whole or page by page.

import Base
import LogQL

extension ShellCommands {
    /// Lines of a page when all are asked for.
    static let pageLines = 1000
    /// Bars of a volume chart.
    private static let volumeBins = 120.0

    func logs(_ text: String) async throws -> Output {
        let parsed = try? LogQLParser.parse(text)
        guard case .log = parsed, options.limit == 0 else {
            return try await logsAtOnce(text, parsed)
        }
        let (start, end) = bounds
        return try await logPage(
            LogPager(commands: self, query: text, endNanos: end), from: start, first: true)
    }

    private func logsAtOnce(_ text: String, _ parsed: LogQLExpression?) async throws -> Output {
        let (start, end) = bounds
        var isSorted = false
        var isLogQuery = false
        switch parsed {
        case .analysis(let analysis): isSorted = !analysis.sort.isEmpty
        case .log: isLogQuery = true
        case .metric, nil: break
        }
        // Metric queries and analyses have no pages: the server's own limit holds.
        let limit = options.limit > 0 ? [("limit", String(options.limit))] : []
        let step =
            isLogQuery ? [] : [("step", decimal(chartTimes.stepSeconds))]
        if isLogQuery, options.mode == .chart { return try await volumeChart(text) }
        async let volume = volumeLines(isLogQuery ? text : nil)
        var path = "/loki/api/v1/query_range"
        var times = [("start", String(start)), ("end", String(end))]
        if case .metric = parsed {
            if options.range || options.effectiveMode == .chart {
                times[0].1 = String(chartTimes.startNanos)
                times += step
            } else {
                // As metric queries in PromQL: at the end of the window.
                path = "/loki/api/v1/query"
                times = [("time", String(end))]
            }
        }
        let answer = try await options.client.get(path, [("query", text)] + times + limit)
        let bars = await volume
        let data = answer["data"]
        guard data["resultType"].text == "streams" else {
            return try output(
                answer, chart: { metricChart(data, chartTimes, options.zone, options.terminal) }
            ) { mode in metricTable(data, mode, options.terminal) }
        }
        let lines = logLines(data, keepsOrder: isSorted)
        var output = try linesOutput(lines, answer)
        output.text = bars.text + output.text
        output.warnings += bars.warnings
        output.context = lines.last.map(context)
        return output
    }

    /// Lines in the form asked for.
    func linesOutput(_ lines: [LogLine], _ answer: JSONValue) throws -> Output {
        if isForPeople, options.mode != .wide, options.vertical != true, !lines.isEmpty {
            return finished(peopleText(lines), answer)
        }
        return try output(answer) { mode in
            mode == .wide ? wideLogTable(lines) : logTable(lines, options.zone)
        }
    }

    private func peopleText(_ lines: [LogLine]) -> String {
        let (common, table) = logView(lines, options.zone)
        var text = ""
        if !common.isEmpty {
            text = [StyledText(common, .dim, options.terminal)].rendered(options.terminal)
        }
        return text + table.rendered(.table, options.terminal, vertical: options.vertical ?? false)
    }

    /// A column a label.
    private func wideLogTable(_ lines: [LogLine]) -> ResultTable {
        var names = Set<String>()
        for line in lines { for member in line.labels.members { names.insert(member.name) } }
        let sorted = names.sorted()
        return ResultTable(
            columns: [.init("time", isWhole: true)] + sorted.map { .init($0) } + [.init("line")],
            rows: lines.map { line in
                [options.zone.text(nanos: line.nanos)] + sorted.map { line.labels[$0].text }
                    + [line.text]
            }, rawColumn: sorted.count + 1)
    }

    private func context(_ line: LogLine) -> ResultContext {
        var context = ResultContext()
        for name in ["service_name", "service", "app", "job"] where context.service == nil {
            let value = line.labels[name].text
            if !value.isEmpty { context.service = value }
        }
        for name in ["trace_id", "traceid", "traceID", "TraceId"] where context.traceID == nil {
            let value = line.labels[name].text
            if !value.isEmpty { context.traceID = value }
        }
        return context
    }

    // MARK: Volume

    /// Bars of the number of lines by level, above an answer for people.
    private func volumeLines(_ query: String?) async -> (text: String, warnings: [String]) {
        guard let query, options.showsVolume, isForPeople, options.effectiveMode == .table else {
            return ("", [])
        }
        do {
            return (try await volume(query).lines(options.terminal).rendered(options.terminal), [])
        } catch {
            return ("", ["no volume: " + harmless("\(error)")])
        }
    }

    private func volumeChart(_ query: String) async throws -> Output {
        let lines = try await volume(query).lines(options.terminal)
        return Output(text: lines.isEmpty ? "(no lines)\n" : lines.rendered(options.terminal))
    }

    /// Counts by level over the window.
    private func volume(_ query: String) async throws -> VolumeBars {
        let (start, end) = bounds
        let step = max(1, (options.window.seconds / Self.volumeBins).rounded(.up))
        let times = ChartTimes(startNanos: start, endNanos: end, stepSeconds: step)
        let answer = try await options.client.get(
            "/loki/api/v1/query_range",
            [
                (
                    "query",
                    "sum by (detected_level) (count_over_time(\(query) [\(Int(clamping: step))s]))"
                ), ("start", String(start)), ("end", String(end)), ("step", decimal(step)),
            ])
        let levels = answer["data"]["result"].items.map { series in
            var counts = [Double](repeating: 0, count: times.count)
            for point in series["values"].items {
                if let index = times.index(point[0].double) { counts[index] = point[1].double }
            }
            return VolumeBars.Level(name: series["metric"]["detected_level"].text, counts: counts)
        }
        return VolumeBars(
            levels: levels, startNanos: start, endNanos: end, zone: options.zone)
    }

    // MARK: Pages

    /// The next page of all lines, oldest first. Lines of the last time of a page come again at the
    /// beginning of the next and are left out there.
    ///
    /// - Throws: `ShellError` when more lines have one time than a page holds.
    fileprivate func logPage(
        _ pager: LogPager, from start: Int64, first: Bool
    ) async throws -> Output {
        let answer = try await options.client.get(
            "/loki/api/v1/query_range",
            [
                ("query", pager.query), ("start", String(start)),
                ("end", String(pager.endNanos)), ("limit", String(Self.pageLines)),
                ("direction", "forward"),
            ])
        let lines = logLines(answer["data"])
        var pager = pager
        let fresh = pager.take(lines)
        let mode = options.effectiveMode
        var output: Output
        if mode == .json {
            output = finished(jsonText(answer), answer)
        } else {
            var text = pager.text(fresh, mode, options, isFirst: first)
            if first, lines.isEmpty, mode == .table { text = "(no result)\n" }
            output = finished(text, answer)
        }
        output.context = lines.last.map(context)
        if lines.count >= Self.pageLines, let last = lines.last {
            guard last.nanos > start || !fresh.isEmpty else {
                throw ShellError(
                    "more than \(Self.pageLines) lines have the time \(last.nanos): "
                        + "narrow the selector")
            }
            let next = pager
            let commands = self
            output.more = { try await commands.logPage(next, from: last.nanos, first: false) }
        }
        return output
    }
}

/// What is carried from page to page of a long answer.
private struct LogPager: Sendable {
    let commands: ShellCommands
    let query: String
    let endNanos: Int64
    /// Lines of the last time of the page before.
    private var seen: [LogLine] = []
    private var layout: AlignedText?

    init(commands: ShellCommands, query: String, endNanos: Int64) {
        self.commands = commands
        self.query = query
        self.endNanos = endNanos
    }

    /// The lines that the page before did not have.
    mutating func take(_ lines: [LogLine]) -> [LogLine] {
        var left = seen
        let fresh = lines.filter { line in
            guard let index = left.firstIndex(of: line) else { return true }
            left.remove(at: index)
            return false
        }
        if let last = lines.last { seen = lines.filter { $0.nanos == last.nanos } }
        return fresh
    }

    mutating func text(
        _ lines: [LogLine], _ mode: OutputMode, _ options: ShellOptions, isFirst: Bool
    ) -> String {
        let table = logTable(lines, options.zone)
        switch mode {
        case .table, .wide:
            if options.vertical == true { return table.verticalText(options.terminal) }
            let layout = self.layout ?? AlignedText(table, options.terminal)
            self.layout = layout
            return layout.text(
                table.rows, styles: lines.map { VolumeBars.style(of: $0.level) }, header: isFirst)
        case .csv, .tsv, .markdown:
            let text = table.rendered(mode, options.terminal)
            guard !isFirst else { return text }
            // The header, and the rule below it, are on the first page.
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            return lines.dropFirst(mode == .markdown ? 2 : 1).joined(separator: "\n")
        case .chart, .json, .jsonl, .raw, .logfmt:
            return table.rendered(mode, options.terminal)
        }
    }
}
