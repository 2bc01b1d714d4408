// SPDX-License-Identifier: Apache-2.0
// What a language model may ask for.

import Base

/// A question that is put to one of the server's own routes.
struct ModelContextTool: Sendable {
    struct Parameter: Sendable {
        /// As the route calls it; a `{…}` place of the path has the same name.
        var name: String
        var description: String
        var isRequired = false
    }

    enum Sending: Sendable {
        /// Arguments become parameters and places of the path.
        case parameters
        /// Arguments become the JSON body.
        case body(schema: String)
    }

    var name: String
    var description: String
    var path: String
    var parameters: [Parameter] = []
    var sending = Sending.parameters

    /// JSON Schema of the arguments.
    func writeSchema(into json: inout JSONWriter) {
        if case .body(let schema) = sending {
            json.raw(schema)
            return
        }
        json.beginObject()
        json.member("type", "object")
        json.key("properties")
        json.beginObject()
        for parameter in parameters {
            json.key(parameter.name)
            json.beginObject()
            json.member("type", "string")
            json.member("description", parameter.description)
            json.endObject()
        }
        json.endObject()
        json.key("required")
        json.beginArray()
        for parameter in parameters where parameter.isRequired { json.string(parameter.name) }
        json.endArray()
        json.member("additionalProperties", false)
        json.endObject()
    }
}

extension ModelContextTool {
    private static let limit = Parameter(name: "limit", description: "most results")
    /// Unix seconds.
    private static let window = [
        Parameter(name: "start", description: "start of the time range, Unix seconds"),
        Parameter(name: "end", description: "end of the time range, Unix seconds"),
    ]
    private static let step = Parameter(name: "step", description: "distance of points, as 30s")

    private static func query(_ language: String) -> Parameter {
        Parameter(name: "q", description: language, isRequired: true)
    }

    /// Names are Tempo's where it has the tool (`grafana/tempo` `docs/…/api_docs`, "MCP server").
    static let all: [ModelContextTool] = [
        ModelContextTool(
            name: "diagnose",
            description: "Names the services, and the lines of code where they are known, that are "
                + "behind what differs between a time range and the one before, with evidence: "
                + "queries that can be run. Ask this first when something is slow or failing.",
            path: "/api/v1/correlate/diagnose",
            parameters: window + [
                Parameter(name: "service", description: "where the symptom was seen"),
                Parameter(name: "baselineStart", description: "start of a healthy time range"),
                Parameter(name: "baselineEnd", description: "end of a healthy time range"),
            ]),
        ModelContextTool(
            name: "trace-context",
            description: "One trace with its log lines and exemplars, and where its time went.",
            path: "/api/v1/correlate/trace/{id}",
            parameters: [
                Parameter(name: "id", description: "trace id, hexadecimal", isRequired: true)
            ]),
        ModelContextTool(
            name: "services", description: "Every service that was seen in a time range.",
            path: "/api/v1/correlate/services", parameters: window),
        ModelContextTool(
            name: "traceql-search", description: "Traces that match a TraceQL query, newest first.",
            path: "/api/search",
            parameters: [query("TraceQL, as { status = error }"), limit] + window),
        ModelContextTool(
            name: "traceql-metrics-instant",
            description: "One number per series from a TraceQL metrics query.",
            path: "/api/metrics/query",
            parameters: [query("TraceQL metrics, as { status = error } | rate()")] + window),
        ModelContextTool(
            name: "traceql-metrics-range",
            description: "Series over time from a TraceQL metrics query.",
            path: "/api/metrics/query_range",
            parameters: [
                query("TraceQL metrics, as { } | rate() by (resource.service.name)"), step,
            ]
                + window),
        ModelContextTool(
            name: "get-trace", description: "All spans of a trace.", path: "/api/v2/traces/{id}",
            parameters: [
                Parameter(name: "id", description: "trace id, hexadecimal", isRequired: true),
                Parameter(name: "q", description: "one filter { … }: only such spans"),
            ]),
        ModelContextTool(
            name: "trace-diff",
            description: "What was added, removed and changed between two traces, span by span.",
            path: "/api/v2/traces/diff", sending: .body(schema: diffSchema)),
        ModelContextTool(
            name: "get-attribute-names", description: "Attributes that spans have, by scope.",
            path: "/api/v2/search/tags",
            parameters: [
                Parameter(
                    name: "scope",
                    description: "resource, span, event, link, instrumentation or intrinsic"),
                limit,
            ] + window),
        ModelContextTool(
            name: "get-attribute-values", description: "Values of an attribute of spans.",
            path: "/api/v2/search/tag/{name}/values",
            parameters: [
                Parameter(
                    name: "name", description: "with its scope, as resource.service.name",
                    isRequired: true),
                Parameter(name: "q", description: "TraceQL filter that spans must match"), limit,
            ] + window),
        ModelContextTool(
            name: "promql-query", description: "PromQL at one moment.", path: "/api/v1/query",
            parameters: [
                Parameter(name: "query", description: "PromQL", isRequired: true),
                Parameter(name: "time", description: "Unix seconds, now when absent"),
            ]),
        ModelContextTool(
            name: "logql-query", description: "Log lines or series from LogQL over a time range.",
            path: "/loki/api/v1/query_range",
            parameters: [
                Parameter(
                    name: "query", description: "LogQL, as {app=\"shop\"} |= \"error\"",
                    isRequired: true), limit, step,
            ] + window),
    ]

    private static let diffSchema = {
        let side =
            #"{"type":"object","properties":{"traceId":{"type":"string"},"start":{"type":"integer"},"#
            + #""end":{"type":"integer"}},"required":["traceId"]}"#
        return #"{"type":"object","properties":{"base":\#(side),"compare":\#(side),"#
            + #""format":{"type":"string","enum":["trace-patch-v0"]}},"required":["base","compare"]}"#
    }()
}
