// SPDX-License-Identifier: Apache-2.0
// What is refused before it is committed.

import Base
import Synchronization
import Telemetry

/// The samples of a batch that must not be committed, with the reasons senders are told.
package struct MetricAdmission: Sendable, Equatable {
    /// Source of the texts: prometheus/prometheus `storage/interface.go` and
    /// `storage/remote/write_handler.go`.
    package enum Reason: Sendable, Equatable {
        /// Further ahead of the clock than allowed.
        case tooFarInFuture
        /// Older than retention keeps.
        case tooOld
        /// The series has another value at this time, still in a head.
        case duplicate(existing: Double)
        /// As `duplicate`, where one of the two is a histogram.
        case duplicateHistogram
        /// The tenant has as many series as it may.
        case seriesLimit(Int)

        /// The text of Prometheus' error, without the sample's own figures.
        package var text: String {
            switch self {
            case .tooFarInFuture: "out of bounds: timestamp is too far in the future"
            case .tooOld: "out of bounds"
            case .duplicate, .duplicateHistogram: "duplicate sample for timestamp"
            case .seriesLimit(let limit): "series limit of \(limit) reached"
            }
        }
    }
    package struct Refusal: Sendable, Equatable {
        package var reason: Reason
        /// Index into the batch's sample or histogram columns.
        package var index: UInt32
    }

    /// Refused float samples, ascending by index, one entry each.
    package var samples: [Refusal] = []
    /// Refused histograms, ascending by index, one entry each.
    package var histograms: [Refusal] = []
    /// Where the newest head has the series: for `append`.
    package var known: KnownSeries?

    package init() {}

    /// Whether everything may be committed.
    package var isEmpty: Bool { samples.isEmpty && histograms.isEmpty }
}

extension MetricStore {
    /// Finds what of a batch must be refused, before it is committed. Changes nothing.
    ///
    /// Asks each head shard once; a sample later than all of its series costs one look-up per
    /// series and one comparison. Two samples of one batch for the same time are not told apart
    /// here: `append` keeps the first and counts the other.
    ///
    /// - Parameters:
    ///   - now: the clock.
    ///   - oldest: samples before it are outside retention, where no rule covers their series.
    package func admit(
        _ batch: MetricBatch, tenant: Tenant, now: Millis, oldest: Millis
    ) -> MetricAdmission {
        let (latest, overflow) = now.rawValue.addingReportingOverflow(
            configuration.maxFutureMillis)
        let rules = configuration.retention
        // What the longest retention refuses needs no look at its series.
        let least = rules.reduce(oldest.rawValue) { min($0, $1.oldestMillis(now.rawValue)) }
        let allowed = least...max(least, overflow ? .max : latest)
        var check = AdmissionCheck(batch, allowed)
        if !rules.isEmpty { check.refuseExpired(rules, now.rawValue, otherwise: oldest.rawValue) }
        let heads = snapshot(tenant).heads
        let limit = configuration.maxSeriesPerTenant
        let seriesCount = heads.last?.seriesCount ?? 0
        let mayReachLimit = limit > 0 && seriesCount + batch.series.count > limit
        guard !heads.isEmpty || mayReachLimit else { return check.result() }
        let routing = BatchRouting(batch)
        for head in heads { check.compare(with: head, routing) }
        check.found = heads.last.map { ($0, routing) }
        if mayReachLimit { check.limitSeries(limit, room: max(0, limit - seriesCount)) }
        return check.result()
    }
}

/// The work of one admission: a reason per refused entry.
private struct AdmissionCheck {
    private let batch: MetricBatch
    private var samples: [UInt32: MetricAdmission.Reason] = [:]
    private var histograms: [UInt32: MetricAdmission.Reason] = [:]
    /// Per series of the batch, whether a head has it.
    private var isKnown: [Bool]
    /// Of the head that was compared last, whose refs these are.
    private var refs: [UInt32] = []
    /// That head, and what is where in the batch.
    var found: (newest: Head, routing: BatchRouting)?

    init(_ batch: MetricBatch, _ allowed: ClosedRange<Int64>) {
        self.batch = batch
        isKnown = [Bool](repeating: false, count: batch.series.count)
        samples = AdmissionCheck.outside(allowed, batch.sampleMillis)
        histograms = AdmissionCheck.outside(allowed, batch.histogramMillis)
    }

    /// Refuses what is older than the rule of its series, or `otherwise`, keeps. Only samples that
    /// are older than the shortest retention cost a look at their series, once for each.
    mutating func refuseExpired(
        _ rules: [MetricRetention], _ now: Int64, otherwise: Int64
    ) {
        let newest = rules.reduce(otherwise) { max($0, $1.oldestMillis(now)) }
        var oldestBySeries: [UInt32: Int64] = [:]
        func isExpired(_ series: UInt32, _ millis: Int64) -> Bool {
            if let known = oldestBySeries[series] { return millis < known }
            let oldest = batch.arena.withUnsafeBytes { arena in
                let labels = arena[batch.series[Int(series)].slice.range]
                return rules.first { $0.covers(UnsafeRawBufferPointer(rebasing: labels)) }
                    .map { $0.oldestMillis(now) } ?? otherwise
            }
            oldestBySeries[series] = oldest
            return millis < oldest
        }
        for (index, millis) in batch.sampleMillis.enumerated()
        where millis < newest && isExpired(batch.sampleSeries[index], millis) {
            refuse(&samples, UInt32(truncatingIfNeeded: index), .tooOld)
        }
        for (index, millis) in batch.histogramMillis.enumerated()
        where millis < newest && isExpired(batch.histogramSeries[index], millis) {
            refuse(&histograms, UInt32(truncatingIfNeeded: index), .tooOld)
        }
    }

    private static func outside(
        _ allowed: ClosedRange<Int64>, _ millis: [Int64]
    ) -> [UInt32: MetricAdmission.Reason] {
        // One pass without branches for the rule, a second only for the exception.
        var least = allowed.lowerBound
        var most = allowed.upperBound
        for time in millis {
            least = min(least, time)
            most = max(most, time)
        }
        if least == allowed.lowerBound, most == allowed.upperBound { return [:] }
        var refused: [UInt32: MetricAdmission.Reason] = [:]
        for (index, time) in millis.enumerated() where !allowed.contains(time) {
            refused[UInt32(truncatingIfNeeded: index)] =
                time < allowed.lowerBound ? .tooOld : .tooFarInFuture
        }
        return refused
    }

    mutating func compare(with head: Head, _ routing: BatchRouting) {
        var found = [UInt32](repeating: .max, count: batch.series.count)
        batch.arena.withUnsafeBytes { arena in
            for (number, shard) in head.shards.enumerated() where !routing.isEmpty(number) {
                shard.state.withLock { state in
                    state.find(batch.series, arena, routing.series.members(number), &found)
                    for index in routing.samples.members(number) {
                        compareSample(index, state, found)
                    }
                    for index in routing.histograms.members(number) {
                        compareHistogram(index, state, found, arena)
                    }
                }
            }
        }
        for index in found.indices where found[index] != .max { isKnown[index] = true }
        refs = found
    }

    @inline(__always)
    private mutating func compareSample(
        _ index: UInt32, _ state: borrowing ShardState, _ refs: [UInt32]
    ) {
        let i = Int(index)
        let ref = refs[Int(batch.sampleSeries[i])]
        guard ref != .max else { return }
        let millis = batch.sampleMillis[i]
        if state.isNewer(Int(ref), millis) { return }
        switch state.existing(Int(ref), at: millis) {
        case .float(let bits) where bits != batch.sampleValues[i].bitPattern:
            refuse(&samples, index, .duplicate(existing: Double(bitPattern: bits)))
        case .histogram: refuse(&samples, index, .duplicateHistogram)
        case .float, nil: break
        }
    }

    private mutating func compareHistogram(
        _ index: UInt32, _ state: borrowing ShardState, _ refs: [UInt32],
        _ arena: UnsafeRawBufferPointer
    ) {
        let i = Int(index)
        let ref = refs[Int(batch.histogramSeries[i])]
        guard ref != .max else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: arena[batch.histograms[i].range])
        switch state.existing(Int(ref), at: batch.histogramMillis[i]) {
        case .histogram(let stored):
            if !stored.withUnsafeBytes({ equalBytes($0, bytes) }) {
                refuse(&histograms, index, .duplicateHistogram)
            }
        case .float: refuse(&histograms, index, .duplicateHistogram)
        case nil: break
        }
    }

    private func refuse(
        _ column: inout [UInt32: MetricAdmission.Reason], _ index: UInt32,
        _ reason: MetricAdmission.Reason
    ) {
        if column[index] == nil { column[index] = reason }
    }

    /// Refuses what belongs to series that no head has, past the first `room` of them.
    mutating func limitSeries(_ limit: Int, room: Int) {
        var taken = Set<Labels>()
        var isRefused = isKnown.map { _ in false }
        for index in isKnown.indices where !isKnown[index] {
            let labels = batch.arena.labels(batch.series[index])
            if taken.contains(labels) { continue }
            if taken.count < room { taken.insert(labels) } else { isRefused[index] = true }
        }
        for (index, series) in batch.sampleSeries.enumerated() where isRefused[Int(series)] {
            refuse(&samples, UInt32(truncatingIfNeeded: index), .seriesLimit(limit))
        }
        for (index, series) in batch.histogramSeries.enumerated() where isRefused[Int(series)] {
            refuse(&histograms, UInt32(truncatingIfNeeded: index), .seriesLimit(limit))
        }
    }

    consuming func result() -> MetricAdmission {
        var result = MetricAdmission()
        result.samples = AdmissionCheck.sorted(samples)
        result.histograms = AdmissionCheck.sorted(histograms)
        result.known = found.map {
            KnownSeries(owner: $0.newest, refs: refs, routing: $0.routing)
        }
        return result
    }

    private static func sorted(
        _ column: [UInt32: MetricAdmission.Reason]
    ) -> [MetricAdmission.Refusal] {
        if column.isEmpty { return [] }
        return column.map { MetricAdmission.Refusal(reason: $0.value, index: $0.key) }
            .sorted { $0.index < $1.index }
    }
}

extension ShardState {
    /// Finds those of a batch's series that are in the shard.
    borrowing func find(
        _ series: [LabelsRef], _ arena: UnsafeRawBufferPointer, _ members: ArraySlice<UInt32>,
        _ refs: inout [UInt32]
    ) {
        // Senders keep to an order, and numbers were given in it: mostly the next series is the one
        // after the last.
        var next = 0
        for index in members {
            let one = series[Int(index)]
            let bytes = UnsafeRawBufferPointer(rebasing: arena[one.slice.range])
            guard let ref = labels.find(bytes, hash: one.hash, guess: next) else { continue }
            refs[Int(index)] = UInt32(truncatingIfNeeded: ref)
            next = ref &+ 1
        }
    }

    /// Whether a time is later than everything the series has, so that nothing can be there.
    @inline(__always)
    borrowing func isNewer(_ ref: Int, _ millis: Int64) -> Bool {
        if series[ref].hasFloats, millis <= series[ref].lastMillis { return false }
        guard series[ref].extras != .max else { return true }
        return extras[Int(series[ref].extras)].isBefore(millis)
    }
}

extension HeadExtras {
    fileprivate func isBefore(_ millis: Int64) -> Bool {
        (sideMillis.last ?? .min) < millis && (histogramMillis.last ?? .min) < millis
            && sideChunks.allSatisfy { $0.samples.lastMillis < millis }
    }
}

extension MetricBatch {
    /// The batch without what was refused. Series, exemplars and metadata stay.
    package func removing(_ admission: MetricAdmission) -> MetricBatch {
        if admission.isEmpty { return self }
        return removing(
            samples: Set(admission.samples.map { Int($0.index) }),
            histograms: Set(admission.histograms.map { Int($0.index) }))
    }
}
