// SPDX-License-Identifier: Apache-2.0
// OTLP metrics as Prometheus series.

import Base
import Telemetry

/// `ExportMetricsServiceRequest` from protobuf and JSON, translated as Prometheus translates it.
///
/// Names follow the translation strategy; `service.*` becomes `job` and `instance`, the other
/// resource attributes `target_info`; explicit histograms become classic series or, on wish,
/// native histograms with custom bounds; exponential ones become native histograms; exemplars keep
/// their trace and span ids. Sums and histograms of delta temporality are handed over as they are,
/// with a list of them, or refused: accumulating them needs state, which a decoder has not.
///
/// Source: opentelemetry-proto `metrics/v1`; prometheus/prometheus
/// `storage/remote/otlptranslator/prometheusremotewrite`.
package enum OTLPMetrics {
    /// Largest body: slices of the arena count in 32 bits.
    static let maxBodyBytes = 1 << 30
    /// Most `target_info` samples that one resource makes.
    static let maxTargetInfoSamples = 256

    /// How a request is translated.
    package struct Options: Sendable {
        package var settings = OTLPSettings()
        /// `target_info` gets a sample every half of this.
        package var lookbackMillis: Int64 = 300_000
        package var limits = MetricDecodingLimits()
        /// Lists points of delta temporality in `DecodedMetrics.deltas`; else they are rejected.
        package var takesDeltas = false
        /// Names that were translated before; without one every metric is translated anew.
        package var names: OTLPNameMemory?

        package init() {}

        package init(_ settings: OTLPSettings) { self.settings = settings }
    }
}

/// What a request of OTLP metrics became.
package struct DecodedMetrics: Sendable {
    package var batch = MetricBatch()
    /// Points of delta temporality; their values in the batch are increments.
    package var deltas: [OTLPDelta] = []
    /// Label names that several attributes of a point or resource became, their values joined.
    package internal(set) var collisions = 0
    /// Data points that are not in the batch; for `partial_success`.
    package var rejectedPoints = 0
    /// Why, the first `maxProblems` distinct reasons.
    package private(set) var problems: [String] = []

    package static let maxProblems = 16

    package init() {}

    package mutating func reject(_ points: Int, _ problem: @autoclosure () -> String) {
        rejectedPoints += points
        guard problems.count < DecodedMetrics.maxProblems else { return }
        let text = problem()
        if !problems.contains(text) { problems.append(text) }
    }

    /// The reasons as one text for `error_message`; empty when nothing was rejected.
    package var message: String { problems.joined(separator: "; ") }
}

/// The metric whose points are being read.
struct OTLPMetric {
    var names = OTLPNames("", unit: "", translated: "")
    /// Whether its points count since the point before.
    var isDelta = false

    var otlpName: String { names.otlpName }
    var name: [UInt8] { names.name }
}

/// Fields that all kinds of points share.
struct OTLPPoint {
    var startMillis: Int64 = 0
    var nanos: UInt64 = 0
    var flags: UInt32 = 0
    var millis: Int64 { Int64(nanos / 1_000_000) }
    /// The series has ended: what is written is a stale marker.
    var isStale: Bool { flags & 1 != 0 }

    mutating func setStart(_ nanos: UInt64) { startMillis = Int64(nanos / 1_000_000) }
}
