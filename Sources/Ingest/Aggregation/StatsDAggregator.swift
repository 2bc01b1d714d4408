// SPDX-License-Identifier: Apache-2.0
// StatsD's observations added up.

import Base
import Telemetry
import Wire

/// Turns StatsD's observations into series that look scraped: each flush writes every series that
/// is known.
///
/// Counters become cumulative counters with a start time; gauges keep their last level; a set is
/// the number of different members since the last flush; timers, histograms and distributions
/// become one native histogram each, of schema 3 (bounds 9 % apart). StatsD's own servers
/// compute quantiles per host and interval, which cannot be joined afterwards; histograms can, and
/// `histogram_quantile` over any range and any set of hosts is right within 4.5 %.
///
/// What a series held is lost with the process: its counter starts anew with a new start time. A
/// series that got nothing for `idleSeconds` ends with a stale marker. Memory is bounded by
/// `StatsDLimits`.
package struct StatsDAggregator: Sendable {
    private enum Value: Sendable {
        case counter(Double, startMillis: Int64)
        case gauge(Double)
        case histogram(SparseHistogram, startMillis: Int64)
        case set(Set<UInt64>)
    }
    private struct Series: Sendable {
        var value: Value
        var updatedMillis: Int64
        /// Whether no flush has told its type.
        var isNew = true
    }

    private var series: [Labels: Series] = [:]
    private let limits: StatsDLimits
    private var memberCount = 0
    /// Day of the last flush, since 1970. Types are told again every day, so that they live as long
    /// as what they are about.
    private var day: Int64?
    /// Observations without room, or of another type than their series has.
    package private(set) var refused = 0

    package init(limits: StatsDLimits = StatsDLimits()) { self.limits = limits }

    package var seriesCount: Int { series.count }

    /// Adds observations. O(observations).
    package mutating func add(_ batch: StatsDBatch, nowMillis: Int64) {
        for observation in batch.observations {
            let labels = batch.arena.labels(observation.series)
            let isTaken =
                series[labels] != nil
                ? update(labels, observation, nowMillis) : insert(labels, observation, nowMillis)
            if !isTaken { refused += 1 }
        }
    }

    private mutating func insert(
        _ labels: Labels, _ observation: StatsDBatch.Observation, _ now: Int64
    ) -> Bool {
        guard series.count < limits.series else { return false }
        let value: Value =
            switch observation.kind {
            case .counter: .counter(0, startMillis: now)
            case .gauge: .gauge(0)
            case .histogram: .histogram(SparseHistogram(schema: 3), startMillis: now)
            case .set: .set([])
            }
        series[labels] = Series(value: value, updatedMillis: now)
        return update(labels, observation, now)
    }

    private mutating func update(
        _ labels: Labels, _ observation: StatsDBatch.Observation, _ now: Int64
    ) -> Bool {
        guard let place = series.index(forKey: labels) else { return false }
        var members = 0
        var isTaken = true
        // Changed where it lies: a copy of a set or histogram per observation would be dear.
        func change(_ series: inout Series) {
            let old = series.value
            series.value = .gauge(0)
            switch (old, observation.kind) {
            case (.counter(let total, let start), .counter):
                series.value = .counter(total + observation.value, startMillis: start)
            case (.gauge(let level), .gauge):
                series.value = .gauge(
                    observation.isChange ? level + observation.value : observation.value)
            case (.histogram(var histogram, let start), .histogram):
                histogram.observe(observation.value, weight: observation.weight)
                series.value = .histogram(histogram, startMillis: start)
            case (.set(var known), .set):
                if memberCount < limits.members {
                    members = known.insert(observation.member).inserted ? 1 : 0
                } else {
                    isTaken = known.contains(observation.member)
                }
                series.value = .set(known)
            default:
                series.value = old
                isTaken = false
                return
            }
            series.updatedMillis = now
        }
        change(&series.values[place])
        memberCount += members
        return isTaken
    }

    /// All series at one time, and markers for those that ended; with the types of those that are
    /// new, and of all once a day.
    package mutating func flush(nowMillis now: Int64) -> MetricBatch {
        var batch = MetricBatch()
        var ended: [Labels] = []
        let today = now / 86_400_000
        addTypes(to: &batch, ofAll: day != today)
        day = today
        let idle = Int64(limits.idleSeconds * 1000)
        for (labels, state) in series {
            let index = batch.addSeries(labels)
            if now - state.updatedMillis > idle {
                ended.append(labels)
                batch.addSample(series: index, millis: now, value: StaleMarker.value)
                continue
            }
            switch state.value {
            case .counter(let total, let start):
                batch.addSample(
                    series: index, millis: now, value: total, startMillis: min(start, now - 1))
            case .gauge(let level): batch.addSample(series: index, millis: now, value: level)
            case .histogram(let histogram, let start):
                batch.addHistogram(
                    series: index, millis: now, histogram.native, startMillis: min(start, now - 1))
            case .set(let members):
                batch.addSample(series: index, millis: now, value: Double(members.count))
            }
        }
        for labels in ended { series[labels] = nil }
        for place in series.values.indices {
            series.values[place].isNew = false
            if case .set = series.values[place].value { series.values[place].value = .set([]) }
        }
        memberCount = 0
        return batch
    }
}

extension StatsDAggregator {
    private func addTypes(to batch: inout MetricBatch, ofAll: Bool) {
        var families: Set<UInt64> = []
        let key: StaticString = "__name__"
        let wanted = key.bytes
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        for (labels, state) in series where ofAll || state.isNew {
            let type: MetricType =
                switch state.value {
                case .counter: .counter
                case .gauge, .set: .gauge
                case .histogram: .histogram
                }
            labels.bytes.withUnsafeBytes { bytes in
                guard let name = labelValue(of: wanted, in: bytes),
                    families.insert(hash64(name)).inserted
                else { return }
                batch.addMetadata(family: name, type: type, help: nothing, unit: nothing)
            }
        }
    }
}

/// Bounds of what StatsD's senders may make the server remember.
package struct StatsDLimits: Sendable {
    package var series = 100_000
    /// Members of all sets between two flushes.
    package var members = 1_000_000
    /// Seconds after which a silent series ends.
    package var idleSeconds = 3600.0
    package init() {}
}
