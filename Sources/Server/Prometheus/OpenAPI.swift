// SPDX-License-Identifier: Apache-2.0
// openapi.yaml: what is served, made from the routes.

import HTTPTypes

/// Query parameters by path; a form post takes the same.
let parametersByPath: [String: [String]] = [
    "/api/v1/query": ["query", "time", "timeout", "limit", "lookback_delta", "stats"],
    "/api/v1/query_range": [
        "query", "start", "end", "step", "timeout", "limit", "lookback_delta", "stats",
    ],
    "/api/v1/explain": [
        "query", "time", "start", "end", "step", "timeout", "lookback_delta",
    ],
    "/api/v1/query_exemplars": ["query", "start", "end"],
    "/api/v1/format_query": ["query"], "/api/v1/parse_query": ["query"],
    "/api/v1/labels": ["match[]", "start", "end", "limit"],
    "/api/v1/label/{name}/values": ["match[]", "start", "end", "limit"],
    "/api/v1/series": ["match[]", "start", "end", "limit"],
    "/api/v1/metadata": ["limit", "limit_per_metric", "metric"],
    "/api/v1/targets": ["state", "scrapePool"],
    "/api/v1/rules": [
        "type", "rule_name[]", "rule_group[]", "file[]", "match[]", "exclude_alerts",
        "group_limit", "group_next_token",
    ],
    "/api/v1/targets/metadata": ["match_target", "metric", "limit"],
    "/api/v1/targets/relabel_steps": ["scrapePool", "labels"],
    "/api/v1/scrape_pools/config": ["scrapePool"],
    "/api/v1/status/tsdb": ["limit", "topN", "match[]", "focusLabel", "date"],
    "/api/v1/status/senders": ["metric", "limit"],
    "/api/v1/status/self_metrics": ["metric_name_pattern"],
    "/api/v1/search/metric_names": searchParameters + ["include_metadata"],
    "/api/v1/search/label_names": searchParameters,
    "/api/v1/search/label_values": ["label"] + searchParameters,
    "/api/v1/admin/rules/backfill": ["start", "end", "eval_interval"],
    "/api/v1/admin/tsdb/snapshot": ["skip_head"],
    "/api/v1/admin/tsdb/delete_series": ["match[]", "start", "end"],
    "/federate": ["match[]"],
    "/write": ["db", "precision", "extra_label"],
    "/influx/write": ["db", "precision", "extra_label"],
    "/api/v2/write": ["bucket", "org", "precision", "extra_label"],
    "/influx/api/v2/write": ["bucket", "org", "precision", "extra_label"],
    "/query": ["q"], "/influx/query": ["q"],
    "/api/v1/import/prometheus": ["timestamp", "extra_label"],
    "/api/v1/import/prometheus/metrics/job/{labels}": ["timestamp", "extra_label"],
    "/loki/api/v1/query": ["query", "time", "since", "limit", "direction"],
    "/loki/api/v1/query_range": [
        "query", "start", "end", "since", "step", "interval", "limit", "direction",
    ],
    "/loki/api/v1/labels": logNameParameters,
    "/loki/api/v1/label/{name}/values": logNameParameters,
    "/loki/api/v1/series": ["match[]", "start", "end", "since"],
    "/loki/api/v1/format_query": ["query"],
    "/loki/api/v1/index/stats": logNameParameters,
    "/loki/api/v1/index/volume": logVolumeParameters,
    "/loki/api/v1/index/volume_range": logVolumeParameters + ["step"],
    "/loki/api/v1/patterns": ["query", "start", "end", "since", "step"],
    "/loki/api/v1/detected_labels": logNameParameters,
    "/loki/api/v1/detected_fields": logFieldParameters,
    "/loki/api/v1/detected_field/{name}/values": logFieldParameters,
    "/loki/api/v1/tail": logTailParameters, "/api/prom/tail": logTailParameters,
    "/loki/api/v1/delete": ["query", "start", "end", "max_interval", "request_id"],
    "/api/prom/query": ["query", "start", "end", "since", "limit", "direction"],
    "/api/prom/label": ["start", "end", "since"],
    "/api/prom/label/{name}/values": ["start", "end", "since"],
    "/api/prom/series": ["match[]", "start", "end", "since"],
    "/api/v1/correlate/trace/{id}": ["include", "limit"],
    "/api/v1/correlate/services": ["start", "end"],
    "/api/v1/correlate/service/{name}": ["start", "end", "explain"],
    "/api/v1/correlate/series": ["match[]", "time", "window"],
    "/api/v1/correlate/logline": ["query", "time", "window"],
    "/api/v1/correlate/diagnose": [
        "start", "end", "baselineStart", "baselineEnd", "service", "trace", "match[]", "limit",
    ],
    "/api/v1/correlate/compare": [
        "query", "language", "baseline", "start", "end", "baselineStart", "baselineEnd", "limit",
    ],
    "/api/v1/correlate/coverage": ["start", "end"],
    "/_bulk": recordParameters, "/{index}/_bulk": recordParameters,
    "/insert/elasticsearch/_bulk": recordParameters,
    "/insert/elasticsearch/{index}/_bulk": recordParameters,
    "/api/v1/import/jsonline": recordParameters, "/insert/jsonline": recordParameters,
    "/insert/falco": recordParameters, "/insert/kubernetes-audit": recordParameters,
    "/insert/trivy": recordParameters,
    "/api/search": [
        "q", "tags", "minDuration", "maxDuration", "start", "end", "limit", "spss",
    ],
    "/api/search/tags": ["scope", "start", "end", "limit"],
    "/api/v2/search/tags": ["scope", "q", "start", "end", "limit"],
    "/api/search/tag/{name}/values": ["start", "end", "limit"],
    "/api/v2/search/tag/{name}/values": ["q", "start", "end", "limit"],
    "/api/v2/traces/{id}": ["start", "end", "q", "keep_hierarchy", "ancestor_depth"],
    "/api/metrics/query_range": [
        "q", "start", "end", "since", "step", "exemplars", "maxSeries",
    ],
    "/api/metrics/query": ["q", "start", "end", "since", "maxSeries"],
    "/api/traces/{id}": ["start", "end", "raw", "adjust"],
    "/api/traces": [
        "service", "operation", "tags", "tag", "minDuration", "maxDuration", "start", "end",
        "lookback", "limit", "traceID", "raw", "adjust",
    ],
    "/api/operations": ["service", "spanKind"],
    "/api/dependencies": ["endTs", "lookback", "service"],
    "/api/metrics/latencies": ["quantile"] + monitorParameters,
    "/api/metrics/calls": monitorParameters, "/api/metrics/errors": monitorParameters,
    "/api/v3/operations": ["service", "spanKind"],
    "/api/v3/dependencies": ["startTime", "endTime"],
    "/api/v3/traces/{id}": ["startTime", "endTime"],
    "/api/v3/traces": jaegerSearchParameters,
    "/api/v3/trace-summaries": jaegerSearchParameters,
    "/api/v2/spans": ["serviceName"], "/api/v2/remoteServices": ["serviceName"],
    "/api/v2/autocompleteValues": ["key"], "/api/v2/traceMany": ["traceIds"],
    "/api/v2/dependencies": ["endTs", "lookback"],
    "/api/v2/traces": [
        "serviceName", "remoteServiceName", "spanName", "annotationQuery", "minDuration",
        "maxDuration", "endTs", "lookback", "limit",
    ],
]
private let monitorParameters = [
    "service", "groupByOperation", "spanKind", "endTs", "lookback", "step", "ratePer",
]
private let jaegerSearchParameters = [
    "query.serviceName", "query.operationName", "query.attributes", "query.startTimeMin",
    "query.startTimeMax", "query.durationMin", "query.durationMax", "query.searchDepth",
    "query.filter",
]
private let logNameParameters = ["query", "start", "end", "since"]
private let logVolumeParameters = [
    "query", "start", "end", "since", "limit", "targetLabels", "aggregateBy",
]
private let logFieldParameters = [
    "query", "start", "end", "since", "limit", "line_limit", "field_limit",
]
private let logTailParameters = ["query", "start", "limit", "delay_for"]
private let recordParameters = [
    "stream_fields", "message_field", "time_field", "ignore_fields", "extra_fields",
]
private let searchParameters = [
    "match[]", "search[]", "fuzz_threshold", "fuzz_alg", "case_sensitive", "sort_by", "sort_dir",
    "include_score", "start", "end", "limit", "batch_size",
]

/// The route of the description, itself among what it describes.
func openAPIRoute(of routes: [Route]) -> Route {
    let path = "/api/v1/openapi.yaml"
    let all = routes + [Route.open([.get], path) { _ in .noContent }]
    let text = openAPIText(of: all)
    return Route.open([.get], path) { _ in
        APIResponse(
            .ok, contentType: "application/yaml; charset=utf-8", body: Array(text.utf8))
    }
}

/// An OpenAPI 3.1 document: paths in order, their methods, parameters and answers.
func openAPIText(of routes: [Route]) -> String {
    var methods: [String: Set<String>] = [:]
    var shapes: [String: ErrorShape] = [:]
    for route in routes {
        // A path of any length has its labels last.
        let path = route.path.replacing("**", with: "{labels}")
        methods[path, default: []].formUnion(route.methods.map { $0.rawValue.lowercased() })
        shapes[path] = route.shape
    }
    var text = """
        openapi: 3.1.0
        info:
          title: Tern
          version: "1"
          description: Metrics, logs and traces over the interfaces of Prometheus, Loki, Tempo, Jaeger, Zipkin and OTLP.
        paths:

        """
    for (path, verbs) in methods.sorted(by: { $0.key < $1.key }) {
        text += "  \"\(path)\":\n"
        for verb in verbs.sorted() {
            text += "    \(verb):\n      operationId: \"\(verb) \(path)\"\n"
            text += parameters(path)
            text += "      responses:\n"
            text += "        \"200\": {description: The answer}\n"
            let isJSON = if case .prometheus = shapes[path] { true } else { false }
            text += "        default:\n          description: What is wrong\n"
            text +=
                isJSON
                ? "          content: {application/json: {schema: {$ref: "
                    + "\"#/components/schemas/Error\"}}}\n" : ""
        }
    }
    return text + """
        components:
          schemas:
            Error:
              type: object
              required: [status, errorType, error]
              properties:
                status: {const: error}
                errorType: {type: string}
                error: {type: string}

        """
}

private func parameters(_ path: String) -> String {
    var lines = ""
    for part in path.split(separator: "/") where part.hasPrefix("{") {
        lines +=
            "        - {name: \(part.dropFirst().dropLast()), in: path, required: true, "
            + "schema: {type: string}}\n"
    }
    for name in parametersByPath[path] ?? [] {
        let type = name.hasSuffix("[]") ? "{type: array, items: {type: string}}" : "{type: string}"
        lines += "        - {name: \"\(name)\", in: query, schema: \(type)}\n"
    }
    return lines.isEmpty ? "" : "      parameters:\n" + lines
}
