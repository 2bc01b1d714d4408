// SPDX-License-Identifier: Apache-2.0
// The server's own metrics.

import Base
import Synchronization

/// A set of named metrics that `/metrics` shows. A family with labels has one value per label set;
/// label sets come from routes and reasons, never from data, so their number is bounded.
package final class SelfMetrics: Sendable {
    package enum Kind: String, Sendable { case counter, gauge, histogram, summary }

    /// Observations in buckets, not cumulative; the last bucket is the one to +Inf.
    struct Distribution: Sendable {
        var counts: [Int]
        var sum = 0.0
    }

    /// Quantiles of the recent past, with sum and count of all.
    struct Summary: Sendable {
        var quantiles: [(Double, Double)]
        var sum: Double
        var count: Int
    }

    struct Family: Sendable {
        var help: String
        var kind: Kind
        var values: [String: Double] = [:]
        /// Upper bounds, ascending; for a histogram only.
        var bounds: [Double] = []
        /// Its label sets are those of the configuration: there may be none.
        var isByConfiguration = false
        var distributions: [String: Distribution] = [:]
        var summary: Summary?

        mutating func observe(_ labels: String, _ value: Double) {
            let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
            if distributions[labels] == nil {
                distributions[labels] = Distribution(
                    counts: [Int](repeating: 0, count: bounds.count + 1))
            }
            distributions[labels]?.counts[bucket] += 1
            distributions[labels]?.sum += value
        }
    }
    private let families = Mutex<[String: Family]>([:])

    /// Bounds for durations of requests, in seconds. Source: the default of Prometheus' clients.
    package static let durationBounds = [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]

    package init() {}

    /// Declares a family, so that it is shown with its help before its first value.
    package func declare(
        _ name: String, _ kind: Kind, _ help: String, bounds: [Double] = []
    ) {
        families.withLock { families in
            if families[name] == nil {
                families[name] = Family(help: help, kind: kind, bounds: bounds)
            }
        }
    }

    /// Adds to a counter. `labels` is in exposition form: `route="/api",code="200"`.
    package func add(_ name: String, _ labels: String = "", _ amount: Double = 1) {
        families.withLock { $0[name]?.values[labels, default: 0] += amount }
    }

    /// Sets a gauge, or a counter that somebody else counts.
    package func set(_ name: String, _ labels: String = "", _ value: Double) {
        families.withLock { $0[name]?.values[labels] = value }
    }

    /// Takes all values of a family away: its label sets are about to be set anew.
    package func clear(_ name: String) { families.withLock { $0[name]?.values = [:] } }

    /// Declares a family and sets all its values; others it had are gone. Label sets may come from the
    /// configuration here.
    package func replace(
        _ name: String, _ kind: Kind, _ help: String, _ values: [String: Double]
    ) {
        declare(name, kind, help)
        families.withLock { families in
            families[name]?.values = values
            families[name]?.isByConfiguration = true
        }
    }

    /// Declares a histogram without labels that somebody else counts, and sets it.
    func replace(_ name: String, _ help: String, bounds: [Double], _ values: Distribution) {
        declare(name, .histogram, help, bounds: bounds)
        families.withLock { $0[name]?.distributions = ["": values] }
    }

    /// Declares a summary without labels and sets it.
    func replace(_ name: String, _ help: String, _ summary: Summary) {
        declare(name, .summary, help)
        families.withLock { $0[name]?.summary = summary }
    }

    /// Declares a family and sets its only value.
    package func show(_ name: String, _ kind: Kind, _ help: String, _ value: Double) {
        declare(name, kind, help)
        set(name, "", value)
    }

    /// Adds an observation to a declared histogram.
    package func observe(_ name: String, _ labels: String, _ value: Double) {
        families.withLock { $0[name]?.observe(labels, value) }
    }

    package func value(_ name: String, _ labels: String = "") -> Double {
        families.withLock { $0[name]?.values[labels] ?? 0 }
    }

    /// Everything, by name.
    var snapshot: [(name: String, family: Family)] {
        families.withLock { $0 }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Text exposition 0.0.4 of everything, sorted.
    package func exposition() -> [UInt8] {
        let snapshot = families.withLock { $0 }
        var page = Page()
        for (name, family) in snapshot.sorted(by: { $0.key < $1.key }) {
            page.line("# HELP \(name) \(family.help)")
            page.line("# TYPE \(name) \(family.kind.rawValue)")
            if family.kind == .histogram {
                for (labels, values) in family.distributions.sorted(by: { $0.key < $1.key }) {
                    page.histogram(name, labels, family.bounds, values)
                }
                continue
            }
            if let summary = family.summary {
                page.summary(name, summary)
                continue
            }
            if family.values.isEmpty, !family.isByConfiguration { page.sample(name, "", 0) }
            for (labels, value) in family.values.sorted(by: { $0.key < $1.key }) {
                page.sample(name, labels, value)
            }
        }
        return page.bytes
    }

    private struct Page {
        var bytes: [UInt8] = []

        mutating func line(_ text: String) {
            bytes.append(contentsOf: text.utf8)
            bytes.append(UInt8(ascii: "\n"))
        }

        mutating func sample(_ name: String, _ labels: String, _ value: Double) {
            let place = labels.isEmpty ? name : "\(name){\(labels)}"
            line("\(place) \(floatGeneralText(value))")
        }

        mutating func summary(_ name: String, _ values: Summary) {
            for (quantile, value) in values.quantiles {
                sample(name, "quantile=\"\(floatGeneralText(quantile))\"", value)
            }
            sample(name + "_sum", "", values.sum)
            sample(name + "_count", "", Double(values.count))
        }

        mutating func histogram(
            _ name: String, _ labels: String, _ bounds: [Double], _ values: Distribution
        ) {
            let prefix = labels.isEmpty ? "" : labels + ","
            var total = 0
            for (index, count) in values.counts.enumerated() {
                total += count
                let bound = index < bounds.count ? floatGeneralText(bounds[index]) : "+Inf"
                sample(name + "_bucket", "\(prefix)le=\"\(bound)\"", Double(total))
            }
            sample(name + "_sum", labels, values.sum)
            sample(name + "_count", labels, Double(total))
        }
    }
}
