// SPDX-License-Identifier: Apache-2.0
// How long evaluations take, over all groups.

import Base
import Glibc
import Synchronization

/// The durations of rules and of whole groups, for the life of a server: reloads go on counting.
package struct RuleDurations: Sendable {
    package let rules = DurationDistribution()
    package let groups = DurationDistribution()
    package init() {}
}

/// Quantiles of the last ten minutes, and counts since the start.
///
/// What is older than ten minutes leaves in pieces of two, as in the summaries of Prometheus' clients
/// (`client_golang`, `prometheus/summary.go`: an age of ten minutes in five buckets). Quantiles come
/// from buckets of ratio 1.02, so that they are off by less than 1 % of their value; an age holds at
/// most 2,207 of them.
package final class DurationDistribution: Sendable {
    /// What was observed until now.
    package struct Snapshot: Sendable, Equatable {
        package var count = 0
        package var seconds = 0.0
        /// How many lie in each of `bounds`, and in what is above them; not cumulative.
        package var buckets: [Int]
        /// By quantile asked for; NaN when the last ten minutes have none.
        package var quantiles: [Double]
    }

    /// Bounds of the histogram, in seconds. Source: prometheus/prometheus `rules/group.go`.
    package static let bounds = [0.01, 0.1, 1, 10]
    private static let ages: Int64 = 5
    private static let ageNanos: Int64 = 120_000_000_000
    private static let logGamma = log(1.02)
    private static let maxIndex = 2206

    private struct State: Sendable {
        var count = 0
        var seconds = 0.0
        var buckets = [Int](repeating: 0, count: DurationDistribution.bounds.count + 1)
        /// By number of the age, then by bucket.
        var recent: [Int64: [Int: Int]] = [:]
    }
    private let state = Mutex(State())

    init() {}

    /// Adds a duration.
    ///
    /// - Parameter now: the clock's monotonic time.
    func observe(nanos: Int64, atMonotonicNanos now: Int64) {
        let seconds = Double(nanos) / 1e9
        let index =
            nanos <= 1
            ? 0 : min(Self.maxIndex, Int((log(Double(nanos)) / Self.logGamma).rounded(.up)))
        let age = now / Self.ageNanos
        state.withLock { state in
            state.count += 1
            state.seconds += seconds
            state.buckets[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
            state.recent[age, default: [:]][index, default: 0] += 1
            state.recent = state.recent.filter { $0.key > age &- Self.ages }
        }
    }

    /// - Parameters:
    ///   - quantiles: which, ascending, each in 0…1.
    ///   - now: the clock's monotonic time.
    package func snapshot(quantiles: [Double], atMonotonicNanos now: Int64) -> Snapshot {
        let age = now / Self.ageNanos
        let state = state.withLock { $0 }
        var merged: [Int: Int] = [:]
        for (number, counts) in state.recent where number > age &- Self.ages {
            merged.merge(counts) { $0 + $1 }
        }
        let ascending = merged.sorted { $0.key < $1.key }
        let total = merged.values.reduce(0, +)
        let values = quantiles.map { quantile -> Double in
            let rank = max(1, (quantile * Double(total)).rounded(.up))
            var below = 0
            for (index, count) in ascending {
                below += count
                if Double(below) >= rank {
                    return 2 * exp(Double(index) * Self.logGamma) / 2.02 / 1e9
                }
            }
            return .nan
        }
        return Snapshot(
            count: state.count, seconds: state.seconds, buckets: state.buckets, quantiles: values)
    }
}
