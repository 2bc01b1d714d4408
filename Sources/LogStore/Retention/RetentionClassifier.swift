// SPDX-License-Identifier: Apache-2.0
// Streams that are kept for a time of their own.

import Telemetry

/// Tells the retention class of a stream: that of the first rule that covers it. A look costs about
/// 50 ns per matcher, and is taken once per stream of a head when it is sealed, and once per stream
/// of a merge.
struct RetentionClassifier: Sendable {
    private var rules: [(selectors: [[LabelMatcher]], number: UInt8)] = []

    init() {}

    /// - Parameter numbers: of the rules, in their order.
    init(_ rules: [[[LabelMatcher]]], _ numbers: [UInt8]) {
        self.rules = Array(zip(rules, numbers)).map { ($0, $1) }
    }

    /// The class, nil where no rule covers the stream.
    func number(of labels: Labels) -> UInt8? {
        rules.first { rule in rule.selectors.contains { $0.match(labels) } }?.number
    }
}
