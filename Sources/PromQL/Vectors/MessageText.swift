// SPDX-License-Identifier: Apache-2.0
// Texts of warnings and infos that several operators give.

import Base

/// Source: prometheus/prometheus `util/annotations`.
enum MessageText {
    static func mixedSchemas(_ metric: String) -> String {
        "vector contains a mix of histograms with exponential and custom buckets schemas for "
            + "metric name " + quotedText(metric)
    }
    static func mixedSamples(_ metric: String) -> String {
        "encountered a mix of histograms and floats for metric name " + quotedText(metric)
    }
    static func reconciled(_ operation: String) -> String {
        "mismatched custom buckets were reconciled during " + operation
    }
    static func resetCollision(_ operation: String) -> String {
        "conflicting counter resets during histogram " + operation
    }
    static func notCounter(_ metric: String) -> String {
        "this native histogram metric is not a counter: " + quotedText(metric)
    }
    static func notGauge(_ metric: String) -> String {
        "this native histogram metric is not a gauge: " + quotedText(metric)
    }
    static func ignoredHistograms(_ metric: String) -> String {
        "ignored histograms in a range containing both floats and histograms for metric name "
            + quotedText(metric)
    }
    static func invalidQuantile(_ q: Double) -> String {
        "quantile value should be between 0 and 1, got " + floatGeneralText(q)
    }
    static func invalidRatio(_ ratio: Double, cappedTo cap: Double) -> String {
        "ratio value should be between -1 and 1, got \(floatGeneralText(ratio)), capping to "
            + floatGeneralText(cap)
    }
    static func possiblyNoCounter(_ metric: String) -> String {
        "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "
            + quotedText(metric)
    }
    /// Ours: Prometheus keeps no such data.
    static func downsampled(_ resolution: String) -> String {
        "some of the data is down-sampled to one point per \(resolution)"
    }
    static func startOverlap(_ metric: String) -> String {
        "sample has start time that overlaps with previous sample timestamp for metric "
            + quotedText(metric)
    }
    static func incompatibleTypes(_ left: String, _ operation: String, _ right: String) -> String {
        "incompatible sample types encountered for binary operator \(quotedText(operation)): "
            + "\(left) \(operation) \(right)"
    }
    static func incompatibleBuckets(_ operation: String) -> String {
        "incompatible bucket layout encountered for binary operator " + operation
    }
    /// A message with the metric's name at the end when there is one.
    static func named(_ text: String, _ metric: String) -> String {
        metric.isEmpty ? text : text + " for metric name " + quotedText(metric)
    }
}
