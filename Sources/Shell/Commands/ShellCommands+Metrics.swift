// SPDX-License-Identifier: Apache-2.0
// Metric queries.

import Base

extension ShellCommands {
    /// Steps of a range query whose step is chosen.
    private static let chosenSteps = 250.0
    /// Most series for which a table of an instant query gets sparklines.
    private static let mostTrends = 50

    func metrics(_ text: String) async throws -> Output {
        let isRange = options.range || options.effectiveMode == .chart
        let times = chartTimes
        let answer = try await options.client.get(
            isRange ? "/api/v1/query_range" : "/api/v1/query",
            metricParameters(text, isRange: isRange, times)
                + (options.wantsStatistics ? [("stats", "true")] : []))
        var trends: [String: [Double]] = [:]
        var notes: [String] = []
        let count = answer["data"]["result"].items.count
        if options.showsTrends, isForPeople, !isRange, options.effectiveMode == .table,
            answer["data"]["resultType"].text == "vector", (1...Self.mostTrends).contains(count)
        {
            (trends, notes) = await self.trends(text)
        }
        var output = try output(
            answer, chart: { metricChart(answer["data"], times, options.zone, options.terminal) }
        ) { mode in metricTable(answer["data"], mode, options.terminal, trends: trends) }
        output.warnings += notes
        output.context = seriesContext(answer["data"]["result"][0]["metric"])
        return output
    }

    /// What a series belongs to, as far as its labels say.
    private func seriesContext(_ metric: JSONValue) -> ResultContext? {
        guard !metric.members.isEmpty else { return nil }
        var context = ResultContext()
        let labels = metric.members.filter { $0.name != "__name__" }
        let name = metric["__name__"].text
        if !name.isEmpty || !labels.isEmpty {
            context.series =
                name + "{"
                + labels.map { "\($0.name)=\(quoted($0.value.text))" }.joined(separator: ",") + "}"
        }
        for label in ["service_name", "service", "app", "job"] where context.service == nil {
            let value = metric[label].text
            // A job is NAMESPACE/NAME where OpenTelemetry made it.
            if !value.isEmpty {
                context.service = value.split(separator: "/").last.map(String.init)
            }
        }
        return context
    }

    /// The same query over the window, for sparklines. It is an extra: what goes wrong with it is a
    /// note beside the answer.
    private func trends(_ text: String) async -> ([String: [Double]], [String]) {
        var wide = self
        wide.options.stepSeconds = 0
        var times = wide.chartTimes
        times.stepSeconds = max(1, (options.window.seconds / 40).rounded(.up))
        do {
            let answer = try await options.client.get(
                "/api/v1/query_range", metricParameters(text, isRange: true, times))
            var out: [String: [Double]] = [:]
            for series in answer["data"]["result"].items {
                var values = [Double](repeating: .nan, count: times.count)
                for point in series["values"].items {
                    if let index = times.index(point[0].double) { values[index] = point[1].double }
                }
                out[seriesText(series["metric"])] = values
            }
            return (out, [])
        } catch {
            return ([:], ["no trends: " + harmless("\(error)")])
        }
    }

    /// `tern explain`: what each operator of a metric query does.
    package func explain(_ text: String) async throws -> Output {
        let answer = try await options.client.get(
            "/api/v1/explain", metricParameters(text, isRange: options.range, chartTimes))
        return try output(answer) { mode in
            planTable(answer["data"], mode, unicode: options.terminal.unicode)
        }
    }

    /// Times of a range query over the window.
    var chartTimes: ChartTimes {
        let (start, end) = bounds
        let step =
            options.stepSeconds > 0
            ? options.stepSeconds
            : max(1, (options.window.seconds / Self.chosenSteps).rounded(.down))
        return ChartTimes(startNanos: start, endNanos: end, stepSeconds: step)
    }

    private func metricParameters(
        _ text: String, isRange: Bool, _ times: ChartTimes
    ) -> [(String, String)] {
        if isRange {
            return [
                ("query", text), ("start", decimal(seconds(times.startNanos))),
                ("end", decimal(seconds(times.endNanos))), ("step", decimal(times.stepSeconds)),
            ]
        }
        if let time = options.time { return [("query", text), ("time", time)] }
        if case .fixed(_, let end) = options.window {
            return [("query", text), ("time", decimal(seconds(end)))]
        }
        return [("query", text)]
    }
}

/// A text in double quotes as the query languages read it.
func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": out += "\\\""
        case "\\": out += "\\\\"
        case "\n": out += "\\n"
        case "\r": out += "\\r"
        case "\t": out += "\\t"
        default: out.unicodeScalars.append(scalar)
        }
    }
    return out + "\""
}
