// SPDX-License-Identifier: Apache-2.0
// From one signal to the others.

import Base
import Telemetry

extension ShellCommands {
    /// Streams of a service that are asked for its lines.
    private static let mostStreams = 20

    /// `\service NAME`.
    package func service(_ name: String) async throws -> Output {
        let answer = try await serviceAnswer(name)
        var output: Output
        switch options.effectiveMode {
        case .json: output = finished(jsonText(answer), answer)
        case .table, .wide, .raw, .chart:
            let page = ServicePage(
                answer["data"], seconds: options.window.seconds, options.terminal, options.zone)
            output = finished(page.text, answer)
        default:
            output = try self.output(answer) { _ in
                ResultTable(
                    columns: [
                        "operation", "kind", "count", "errors", "p50Nanos", "p95Nanos",
                        "p99Nanos",
                    ].map { .init($0) },
                    rows: answer["data"]["operations"].items.map { operation in
                        ["name", "kind", "count", "errorCount", "p50Nanos", "p95Nanos", "p99Nanos"]
                            .map { operation[$0].text }
                    })
            }
        }
        output.context = ResultContext()
        output.context?.service = answer["data"]["name"].text
        return output
    }

    private func serviceAnswer(_ name: String) async throws -> JSONValue {
        try await options.client.get(
            "/api/v1/correlate/service/" + encoded(name), boundParameters)
    }

    /// `tern why`: what differs in the window from the stretch before.
    ///
    /// - Parameter subject: a service, a trace id, a series selector in braces, or nothing.
    package func why(_ subject: String?) async throws -> Output {
        var parameters = boundParameters
        if let subject, !subject.isEmpty {
            if subject.contains("{") {
                parameters.append(("match[]", subject))
            } else if isTraceID(subject) {
                parameters.append(("trace", subject))
            } else {
                parameters.append(("service", subject))
            }
        }
        let answer = try await options.client.get("/api/v1/correlate/diagnose", parameters)
        let report = DiagnosisReport(answer["data"], options.terminal, options.zone)
        var output: Output
        switch options.effectiveMode {
        case .table, .wide, .chart:
            output = finished(report.lines.rendered(report.unclipped), answer)
        default: output = try self.output(answer) { _ in report.table }
        }
        let suspect = answer["data"]["suspects"][0]
        if !suspect.isNull {
            output.context = ResultContext()
            output.context?.service = suspect["service"].text
            let trace = suspect["traceIDs"][0].text
            output.context?.traceID = trace.isEmpty ? nil : trace
        }
        return output
    }

    /// `\logs [SERVICE]`: lines of the service, or of the trace looked at.
    package func relatedLogs(_ context: ResultContext) async throws -> Output {
        if let id = context.traceID {
            let answer = try await options.client.get(
                "/api/v1/correlate/trace/" + encoded(id), [("include", "logs")])
            let lines = answer["data"]["logs"].items.map {
                LogLine(
                    nanos: $0["timestampUnixNano"].int,
                    labels: .object($0["labels"].members + $0["structuredMetadata"].members),
                    text: $0["line"].text)
            }
            var output = try linesOutput(lines, answer)
            output.context = context
            return output
        }
        let service = try named(context, "\\logs SERVICE, or \\l for the language of logs")
        let answer = try await serviceAnswer(service)
        let streams = answer["data"]["streams"].items
        guard !streams.isEmpty else {
            throw ShellError("no log stream belongs to \(service) in this window")
        }
        let (start, end) = bounds
        var lines: [LogLine] = []
        for stream in streams.prefix(Self.mostStreams) {
            let selector =
                "{"
                + stream["labels"].members.map { "\($0.name)=\(quoted($0.value.text))" }
                .joined(separator: ",") + "}"
            let part = try await options.client.get(
                "/loki/api/v1/query_range",
                [
                    ("query", selector), ("start", String(start)), ("end", String(end)),
                    ("limit", String(options.limit > 0 ? options.limit : Self.pageLines)),
                ])
            lines += logLines(part["data"])
        }
        lines.sort { $0.nanos < $1.nanos }
        if options.limit > 0 { lines = Array(lines.suffix(options.limit)) }
        var output = try linesOutput(lines, answer)
        if streams.count > Self.mostStreams {
            output.warnings.append(
                "lines of \(Self.mostStreams) of \(streams.count) streams are shown")
        }
        output.context = context
        return output
    }

    /// `\traces [SERVICE]`: traces of the service, or those that the last series points at.
    package func relatedTraces(_ context: ResultContext) async throws -> Output {
        if let series = context.series {
            let answer = try await options.client.get(
                "/api/v1/correlate/series",
                [
                    ("match[]", series), ("time", decimal(seconds(bounds.endNanos))),
                    ("window", "\(Int(clamping: options.window.seconds))s"),
                ])
            var traces: [JSONValue] = []
            var ids = Set<String>()
            for row in answer["data"].items {
                for trace in row["traces"].items where ids.insert(trace["traceID"].text).inserted {
                    traces.append(trace)
                }
            }
            if !traces.isEmpty || context.service == nil {
                var output = try output(answer) { _ in
                    summaryTable(traces, options.terminal, options.zone)
                }
                output.context = context
                return output
            }
        }
        let service = try named(context, "\\traces SERVICE, or \\t for the language of traces")
        return try await traces("{ \(try await spanCondition(of: service)) }")
    }

    /// Spans of a service as TraceQL selects them: by its own name or, where the configuration gives it
    /// another one, by those that its spans carry.
    private func spanCondition(of service: String) async throws -> String {
        let names = try await serviceAnswer(service)["data"]["spanNames"].items.map(\.text)
        return names.count > 1
            ? "resource.service.name =~ \(quoted(regexAlternatives(names)))"
            : "resource.service.name = \(quoted(names.first ?? service))"
    }

    /// `\metrics [SERVICE]`: names of the metrics that the service has, with their types.
    package func relatedMetrics(_ context: ResultContext) async throws -> Output {
        let service = try named(context, "\\metrics SERVICE, or \\m for the language of metrics")
        async let metadata = options.client.get("/api/v1/metadata", [("limit_per_metric", "1")])
        let answer = try await serviceAnswer(service)
        let about = try await metadata["data"]
        var byName: [String: JSONValue] = [:]
        for member in about.members { byName[member.name] = member.value[0] }
        var output = try output(answer) { _ in
            ResultTable(
                columns: [.init("metric", isWhole: true), .init("type"), .init("help")],
                rows: answer["data"]["metricNames"].items.map { name in
                    let entry = metadataEntry(of: name.text, byName)
                    return [name.text, entry["type"].text, entry["help"].text]
                })
        }
        output.context = context
        return output
    }

    private func named(_ context: ResultContext, _ usage: String) throws -> String {
        guard let service = context.service, !service.isEmpty else {
            throw ShellError("no service to go on from: \(usage)", .usage)
        }
        return service
    }
}

/// Metadata of a metric; parts of histograms and summaries have that of the whole.
func metadataEntry(of name: String, _ byName: [String: JSONValue]) -> JSONValue {
    if let entry = byName[name] { return entry }
    for suffix in ["_bucket", "_count", "_sum", "_total"] where name.hasSuffix(suffix) {
        if let entry = byName[String(name.dropLast(suffix.count))] { return entry }
    }
    return .null
}

/// Whether a text is 16 to 32 hexadecimal digits.
func isTraceID(_ text: String) -> Bool {
    (16...32).contains(text.count) && text.allSatisfy(\.isHexDigit)
}
