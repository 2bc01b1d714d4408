// SPDX-License-Identifier: Apache-2.0
// Series that are kept for a time of their own.

import Storage
import Telemetry

/// A retention rule: a series that one of the selectors matches is kept so long.
package struct MetricRetention: Sendable, Equatable {
    package var selectors: [[LabelMatcher]]
    /// By the time of the samples, above 0.
    package var seconds: Double

    package init(selectors: [[LabelMatcher]], seconds: Double) {
        self.selectors = selectors
        self.seconds = seconds
    }

    /// Whether the rule is about a series, by its canonical labels.
    package func covers(_ labels: UnsafeRawBufferPointer) -> Bool {
        selectors.contains { $0.match(labels) }
    }

    /// The time before which the rule keeps nothing.
    func oldestMillis(_ now: Int64) -> Int64 {
        let (oldest, overflow) = now.subtractingReportingOverflow(
            Int64(min(max(0, seconds), 9e12) * 1000))
        return overflow ? .min : oldest
    }

    /// The rule for the kernel. Its name is the same however the selectors were written: matchers
    /// in order, selectors in order, so that a changed duration or another spelling is not another
    /// class.
    package var rule: RetentionRule {
        let texts = selectors.map { matchers in
            "{" + matchers.map(\.description).sorted().joined(separator: ",") + "}"
        }
        return RetentionRule(
            name: "metrics " + Set(texts).sorted().joined(separator: " "), seconds: seconds)
    }
}

/// Tells the retention class of a series: the first rule that covers it, else 0. A look costs about
/// 50 ns per matcher, and is taken once per series of a head when it is sealed, and once per series
/// of a merge.
struct RetentionClassifier: Sendable {
    private var rules: [(rule: MetricRetention, number: UInt8)] = []

    init() {}

    /// - Parameter numbers: of the rules, in their order.
    init(_ rules: [MetricRetention], _ numbers: [UInt8]) {
        self.rules = Array(zip(rules, numbers)).map { ($0, $1) }
    }

    func number(of labels: UnsafeRawBufferPointer) -> UInt8 {
        rules.first { $0.rule.covers(labels) }?.number ?? 0
    }
}
