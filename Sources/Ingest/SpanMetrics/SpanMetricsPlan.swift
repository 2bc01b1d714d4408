// SPDX-License-Identifier: Apache-2.0
// Settings prepared for counting.

import Telemetry

/// Settings with what follows from them: names of labels, attributes to look for.
struct SpanMetricsPlan: Sendable {
    let settings: SpanMetricsSettings
    let spans: SpanSeriesShape
    let graph: SpanSeriesShape
    /// Attributes that span metrics look at, in resource and span.
    let dimensions: AttributeFinder
    /// Attributes that the service graph looks at, in resource and span.
    let edges: AttributeFinder
    let edge: EdgeAttributes
    /// Which counter of a cell is which; nil = not written.
    let callCounter: Int?
    let sizeCounter: Int?

    /// Numbers of attributes in `edges`.
    struct EdgeAttributes: Sendable {
        var dimensions: [Int]
        var peers: [Int]
        var databaseNames: [Int]
        var peerService: Int
        var serverAddress: Int
        var peerAddress: Int
        var peerPort: Int
        var isShared: Int
    }

    init(_ settings: SpanMetricsSettings) {
        self.settings = settings
        var counters: [SpanSeriesShape.Family] = []
        let spans = settings.spans
        if spans.hasCalls {
            counters.append(
                SpanSeriesShape.Family(
                    name: "traces_spanmetrics_calls_total", help: "Total count of spans"))
        }
        callCounter = spans.hasCalls ? 0 : nil
        sizeCounter = spans.hasSize ? counters.count : nil
        if spans.hasSize {
            counters.append(
                SpanSeriesShape.Family(
                    name: "traces_spanmetrics_size_total", help: "Total size of spans in bytes"))
        }
        self.spans = SpanSeriesShape(
            counters: counters,
            histograms: spans.hasLatency
                ? [
                    SpanSeriesShape.Family(
                        name: "traces_spanmetrics_latency", help: "Duration of spans in seconds")
                ] : [],
            bounds: spans.buckets, kind: settings.histograms,
            labelNames: SpanMetricsPlan.labelNames(spans))
        let graph = settings.graph
        self.graph = SpanSeriesShape(
            counters: [
                SpanSeriesShape.Family(
                    name: "traces_service_graph_request_total",
                    help: "Total count of requests between two nodes"),
                SpanSeriesShape.Family(
                    name: "traces_service_graph_request_failed_total",
                    help: "Total count of failed requests between two nodes"),
            ],
            histograms: [
                SpanSeriesShape.Family(
                    name: "traces_service_graph_request_server_seconds",
                    help: "Time of a request as the server saw it"),
                SpanSeriesShape.Family(
                    name: "traces_service_graph_request_client_seconds",
                    help: "Time of a request as the client saw it"),
                SpanSeriesShape.Family(
                    name: "traces_service_graph_request_messaging_system_seconds",
                    help: "Time between the end of sending and the start of receiving"),
            ],
            bounds: graph.buckets, kind: settings.histograms,
            labelNames: SpanMetricsPlan.labelNames(graph))
        dimensions = AttributeFinder(
            spans.dimensions + spans.mappings.flatMap(\.sources))
        let finder = AttributeFinder(
            graph.dimensions + graph.peerAttributes + graph.databaseNames + [
                "peer.service", "server.address", "network.peer.address", "network.peer.port",
                "zipkin.shared",
            ])
        edges = finder
        func number(_ key: String) -> Int { finder.number(of: key) ?? 0 }
        edge = EdgeAttributes(
            dimensions: graph.dimensions.map(number), peers: graph.peerAttributes.map(number),
            databaseNames: graph.databaseNames.map(number), peerService: number("peer.service"),
            serverAddress: number("server.address"), peerAddress: number("network.peer.address"),
            peerPort: number("network.peer.port"), isShared: number("zipkin.shared"))
    }

    private static func labelNames(_ settings: SpanMetricsSettings.Spans) -> [String] {
        var names: [String] = []
        if settings.hasService { names.append("service") }
        if settings.hasTargetInfo {
            names.append("job")
            if settings.hasInstance { names.append("instance") }
        }
        let added = settings.dimensions + settings.mappings.map(\.name)
        names += added.map { SpanLabelName.clean($0, taken: SpanLabelName.intrinsic) }
        if settings.hasSpanName { names.append("span_name") }
        if settings.hasSpanKind { names.append("span_kind") }
        if settings.hasStatusCode { names.append("status_code") }
        if settings.hasStatusMessage { names.append("status_message") }
        return names
    }

    private static func labelNames(_ settings: SpanMetricsSettings.Graph) -> [String] {
        var names = ["client", "server", "connection_type"]
        if settings.hasVirtualNodeLabel { names.append("virtual_node") }
        for dimension in settings.dimensions {
            if settings.hasSidePrefix {
                names.append(SpanLabelName.clean("client_" + dimension, taken: []))
                names.append(SpanLabelName.clean("server_" + dimension, taken: []))
            } else {
                names.append(SpanLabelName.clean(dimension, taken: SpanLabelName.ofEdges))
            }
        }
        return names
    }
}

/// Names of attributes as names of labels.
enum SpanLabelName {
    static let intrinsic: Set<String> = [
        "service", "span_name", "span_kind", "status_code", "status_message", "job", "instance",
    ]
    static let ofTargetInfo: Set<String> = ["job", "instance"]
    static let ofEdges: Set<String> = ["client", "server", "connection_type", "virtual_node"]

    /// What is no letter, digit or `_` becomes `_`; a name that is taken gets `__` in front.
    static func clean(_ name: String, taken: Set<String>) -> String {
        var result = ""
        for scalar in name.unicodeScalars {
            switch scalar {
            case "a"..."z", "A"..."Z", "_": result.unicodeScalars.append(scalar)
            case "0"..."9":
                if result.isEmpty { result = "_" }
                result.unicodeScalars.append(scalar)
            default: result += "_"
            }
        }
        return taken.contains(result) ? "__" + result : result
    }
}
