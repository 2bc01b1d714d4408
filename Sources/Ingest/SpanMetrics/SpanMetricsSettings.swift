// SPDX-License-Identifier: Apache-2.0
// Which metrics are made of spans.

/// Settings of the metrics that are made of spans. Names and defaults are those of Tempo's metrics
/// generator where it has them (grafana/tempo `modules/generator/processor`).
package struct SpanMetricsSettings: Sendable, Equatable {
    /// How latencies are written.
    package enum Histograms: String, Sendable, CaseIterable { case classic, native, both }

    /// A label made of several attributes.
    package struct Mapping: Sendable, Equatable {
        package var name: String
        package var sources: [String]
        package var join: String
        package init(name: String, sources: [String], join: String) {
            self.name = name
            self.sources = sources
            self.join = join
        }
    }

    /// `traces_spanmetrics_*`.
    package struct Spans: Sendable, Equatable {
        package var isEnabled = true
        /// Upper bounds in seconds, ascending; the bucket of all is added.
        package var buckets = doubling(from: 0.002, count: 14)
        package var hasService = true
        package var hasSpanName = true
        package var hasSpanKind = true
        package var hasStatusCode = true
        package var hasStatusMessage = false
        /// Attributes that become labels, of the resource first.
        package var dimensions: [String] = []
        package var mappings: [Mapping] = []
        /// Writes `traces_target_info` and the labels `job` and `instance`.
        package var hasTargetInfo = false
        package var hasInstance = true
        package var targetInfoExcluded: [String] = []
        package var hasCalls = true
        package var hasLatency = true
        package var hasSize = true
    }

    /// `traces_service_graph_*`.
    package struct Graph: Sendable, Equatable {
        package var isEnabled = true
        package var buckets = doubling(from: 0.1, count: 8)
        /// Attributes of either side that become labels.
        package var dimensions: [String] = []
        /// Whether those labels begin with `client_` and `server_`.
        package var hasSidePrefix = false
        /// How long one side of a call waits for the other.
        package var waitSeconds: Double = 10
        /// Sides that may wait at once. Tempo has 10,000; a process that takes all spans of a site
        /// needs more, and one waiting takes about 300 bytes.
        package var maxWaiting = 100_000
        package var peerAttributes = ["peer.service", "db.name", "db.system", "db.system.name"]
        package var databaseNames = ["db.namespace", "db.name", "db.system", "db.system.name"]
        package var hasMessagingLatency = false
        /// Whether the side that was made up is told by the label `virtual_node`.
        package var hasVirtualNodeLabel = false
    }

    package var spans = Spans()
    package var graph = Graph()
    package var histograms = Histograms.classic
    /// How often samples are written.
    package var intervalSeconds: Double = 15
    /// Label of exemplars that names the trace; Tempo's own is `traceID`.
    package var exemplarLabel = "trace_id"
    /// Series without a span for so long are ended.
    package var staleSeconds: Double = 900
    /// Most series of a tenant; what has no room goes to one series with the label
    /// `metric_overflow`.
    package var maxSeries = 100_000

    package init() {}

    private static func doubling(from first: Double, count: Int) -> [Double] {
        (0..<count).map { first * Double(1 << $0) }
    }

    package var isEnabled: Bool { spans.isEnabled || graph.isEnabled }
}

// MARK: checking

extension SpanMetricsSettings {
    /// Settings that cannot be followed.
    package struct Fault: Error, Equatable, CustomStringConvertible {
        package var description: String
    }

    private static let maxBuckets = 200
    private static let maxDimensions = 32

    /// - Throws: `Fault` when buckets do not ascend, labels clash or there are too many of either.
    package func check() throws(Fault) {
        for buckets in [spans.buckets, graph.buckets] {
            guard buckets.count <= Self.maxBuckets else {
                throw Fault(description: "more than \(Self.maxBuckets) histogram_buckets")
            }
            guard zip(buckets, buckets.dropFirst()).allSatisfy({ $0 < $1 }) else {
                throw Fault(description: "histogram_buckets must ascend")
            }
        }
        let plan = SpanMetricsPlan(self)
        for names in [plan.spans.labelNames, plan.graph.labelNames] {
            guard names.count <= Self.maxDimensions else {
                throw Fault(description: "more than \(Self.maxDimensions) labels")
            }
            var seen: Set<String> = []
            for name in names {
                guard Self.isLabelName(name) else {
                    throw Fault(description: "a dimension has no name")
                }
                guard seen.insert(name).inserted else {
                    throw Fault(description: "several dimensions make the label \(name)")
                }
            }
        }
        guard graph.waitSeconds > 0, graph.waitSeconds <= 3600 else {
            throw Fault(description: "wait must be above 0 and at most 1h")
        }
        guard staleSeconds >= intervalSeconds else {
            throw Fault(description: "stale_after must not be below interval")
        }
    }

    /// Whether a text is a name of a label in the classic alphabet.
    package static func isLabelName(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(48...57).contains(first) else { return false }
        return text.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || byte == UInt8(ascii: "_")
        }
    }
}
