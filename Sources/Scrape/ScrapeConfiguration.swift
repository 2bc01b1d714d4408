// SPDX-License-Identifier: Apache-2.0
// A scrape configuration, already validated.

import Ingest
import Telemetry

/// A label, header or parameter: a name and its text.
package struct NamedText: Hashable, Sendable {
    package var name: String
    package var value: String
    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// Exposition formats by the names that `scrape_protocols` has for them.
package enum ScrapeProtocol: String, Sendable, CaseIterable {
    case protobuf = "PrometheusProto"
    case openMetrics100 = "OpenMetricsText1.0.0"
    case openMetrics001 = "OpenMetricsText0.0.1"
    case text100 = "PrometheusText1.0.0"
    case text004 = "PrometheusText0.0.4"

    /// What is asked for by default.
    package static let standard: [ScrapeProtocol] = [
        .openMetrics100, .openMetrics001, .text100, .text004,
    ]
    /// What is asked for where native histograms are wanted, which text cannot carry.
    package static let protobufFirst: [ScrapeProtocol] = [.protobuf] + standard

    /// Media range in the `Accept` header. Source: prometheus/prometheus `config/config.go`.
    ///
    /// Only the newer text formats say how names may be escaped.
    func mediaRange(_ escaping: NameEscaping) -> String {
        switch self {
        case .protobuf:
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
                + "encoding=delimited"
        case .openMetrics100:
            "application/openmetrics-text;version=1.0.0;escaping=" + escaping.rawValue
        case .openMetrics001: "application/openmetrics-text;version=0.0.1"
        case .text100: "text/plain;version=1.0.0;escaping=" + escaping.rawValue
        case .text004: "text/plain;version=0.0.4"
        }
    }

    var mediaType: String {
        switch self {
        case .protobuf: "application/vnd.google.protobuf"
        case .openMetrics100, .openMetrics001: "application/openmetrics-text"
        case .text100, .text004: "text/plain"
        }
    }
}

/// How a target is to write names that are not legacy ones.
package enum NameEscaping: String, Sendable, CaseIterable {
    case allowUTF8 = "allow-utf-8"
    case underscores, dots, values
}

/// What becomes of histograms.
package struct HistogramOptions: Hashable, Sendable {
    /// Whether native histograms are taken; else their classic buckets are.
    package var isNative = false
    /// Whether classic buckets are taken also of histograms that are native as well.
    package var keepsClassic = false
    /// Whether classic histograms become native ones with custom bounds.
    package var convertsClassic = false
    /// Most buckets of a native histogram, which is made coarser until it fits; 0 = no limit.
    package var bucketLimit = 0
    /// Least factor from one bucket's bound to the next; finer histograms are made coarser.
    package var minBucketFactor = 0.0
    package init() {}
}

/// One `scrape_config` with the global defaults filled in. Defaults are Prometheus'.
package struct ScrapeConfiguration: Sendable, Equatable {
    package struct Parameter: Hashable, Sendable {
        package var name: String
        package var values: [String]
        package init(_ name: String, _ values: [String]) {
            self.name = name
            self.values = values
        }
    }

    package var jobName: String
    package var intervalSeconds: Double = 60
    package var timeoutSeconds: Double = 10
    package var scheme = "http"
    package var metricsPath = "/metrics"
    package var parameters: [Parameter] = []
    package var honorLabels = false
    package var honorTimestamps = true
    package var trackTimestampsStaleness = false
    /// Whether answers may come compressed.
    package var enableCompression = true
    /// Formats to ask for, the preferred one first.
    package var protocols = ScrapeProtocol.standard
    /// What an answer is taken for whose content type is missing or unknown.
    package var fallbackProtocol: ScrapeProtocol?
    /// Which names are valid.
    package var names = NameScheme.utf8
    package var escaping = NameEscaping.allowUTF8
    package var histograms = HistogramOptions()
    /// File that gets a line for every failed scrape; empty = none.
    package var failureLogFile = ""
    /// Whether the three further series about each scrape are written.
    package var extraScrapeMetrics = false
    /// How targets are asked: the job's `<http_config>`.
    package var client = ClientOptions.none
    /// Targets that the configuration lists itself.
    package var groups: [TargetGroup] = []
    /// Where further targets come from.
    package var discoveries: [DiscoveryConfiguration] = []
    package var relabelRules: [RelabelRule] = []
    package var metricRelabelRules: [RelabelRule] = []
    /// Limits; 0 = none. Each, when exceeded, fails the whole scrape.
    package var sampleLimit = 0
    package var labelLimit = 0
    package var labelNameLengthLimit = 0
    package var labelValueLengthLimit = 0
    package var bodySizeLimitBytes = 0
    package var targetLimit = 0
    /// Dropped targets that are remembered for the targets page; 0 = all.
    package var keepDroppedTargets = 0
    /// Whether the first scrape comes at the start instead of at its place on the grid.
    package var scrapesOnStart = false
    /// Whose the series are.
    package var tenant = Tenant.anonymous

    package init(jobName: String) { self.jobName = jobName }

    /// Whether the labels of a target's series do not follow from its own labels alone.
    var mayRelabelSeries: Bool { honorLabels || !metricRelabelRules.isEmpty }

    /// Whether series texts that were read under the other configuration stand for the same labels
    /// under this one.
    func readsLike(_ other: ScrapeConfiguration) -> Bool {
        names == other.names && honorLabels == other.honorLabels
            && metricRelabelRules == other.metricRelabelRules
            && labelLimit == other.labelLimit
            && labelNameLengthLimit == other.labelNameLengthLimit
            && labelValueLengthLimit == other.labelValueLengthLimit
    }

    /// Source: prometheus/prometheus `scrape/scrape.go`, `acceptHeader`.
    var acceptHeader: String {
        // The first weight is one more than the number of formats that Prometheus knows.
        var weight = 6
        var ranges: [String] = []
        for choice in protocols {
            ranges.append("\(choice.mediaRange(escaping));q=0.\(weight)")
            weight -= 1
        }
        ranges.append("*/*;q=0.\(weight)")
        return ranges.joined(separator: ",")
    }
}
