// SPDX-License-Identifier: Apache-2.0
// Delta temporality made cumulative.

import Base
import Synchronization
import Telemetry
import Wire

/// Keeps the totals of streams that are sent as increments, so that they are stored as counters.
///
/// A stream is a series of one tenant. Its total starts with the first increment, whose start time
/// is that of all samples until the total starts anew: after `idleSeconds` without an increment,
/// when bounds of a histogram change, and when the process starts. Queries see a counter reset then,
/// with the new start time beside it. An increment with the time of the last one is the last one
/// sent again and adds nothing; an older one is refused.
///
/// Memory is bounded by `DeltaLimits`. Source of the rules: OpenTelemetry data model, "Sums:
/// Delta-to-Cumulative"; opentelemetry-collector-contrib `deltatocumulativeprocessor`.
package final class DeltaAccumulator: Sendable {
    struct Stream: Sendable {
        var total: Total
        var startMillis: Int64
        var lastMillis: Int64
        var layout: UInt64
        /// When it was seen last, by the monotonic clock.
        var seenNanos: Int64
    }
    enum Total: Sendable {
        case values([Double])
        case histogram(SparseHistogram)
    }
    struct Key: Hashable, Sendable {
        var tenant: String
        var labels: Labels
    }
    private struct State: Sendable {
        var streams: [Key: Stream] = [:]
        var sweptNanos: Int64 = 0
    }

    /// What a call changed, to take it back when the batch could not be stored.
    package struct Receipt: Sendable {
        fileprivate var changes: [(key: Key, before: Stream?, millis: Int64)] = []
    }

    private let state = Mutex(State())
    private let limits: DeltaLimits

    package init(limits: DeltaLimits = DeltaLimits()) { self.limits = limits }

    /// Streams that are remembered.
    package var streamCount: Int { state.withLock { $0.streams.count } }

    /// Replaces the increments of a decoded request by totals; leaves out and reports those that
    /// come too late or find no room.
    ///
    /// - Parameter nanos: the monotonic clock.
    package func accumulate(
        _ decoded: inout DecodedMetrics, tenant: Tenant, nanos: Int64
    ) -> Receipt {
        var receipt = Receipt()
        if decoded.deltas.isEmpty { return receipt }
        var removedSamples: Set<Int> = []
        var removedHistograms: Set<Int> = []
        state.withLock { state in
            sweep(&state, nanos)
            for delta in decoded.deltas {
                let reason = take(delta, &decoded.batch, tenant, nanos, &state, &receipt)
                guard let reason else { continue }
                removedSamples.formUnion(delta.samples)
                if let histogram = delta.histogram { removedHistograms.insert(histogram) }
                if !reason.isEmpty { decoded.reject(1, reason) }
            }
        }
        if !removedSamples.isEmpty || !removedHistograms.isEmpty {
            decoded.batch = decoded.batch.removing(
                samples: removedSamples, histograms: removedHistograms)
        }
        decoded.deltas = []
        return receipt
    }

    /// Forgets increments that were not stored and will be sent again. Where a later increment has
    /// been added meanwhile, its total holds them already: they stay, and the repetition is
    /// refused as too late.
    package func takeBack(_ receipt: Receipt) {
        state.withLock { state in
            for change in receipt.changes.reversed()
            where state.streams[change.key]?.lastMillis == change.millis {
                state.streams[change.key] = change.before
            }
        }
    }

    /// Nil when the point is in the batch now; else why not, empty when nobody needs to know.
    private func take(
        _ delta: OTLPDelta, _ batch: inout MetricBatch, _ tenant: Tenant, _ nanos: Int64,
        _ state: inout State, _ receipt: inout Receipt
    ) -> String? {
        let series =
            delta.histogram.map { batch.histogramSeries[$0] } ?? batch.sampleSeries[delta.key]
        let labels = batch.arena.labels(batch.series[Int(series)])
        let millis =
            delta.histogram.map { batch.histogramMillis[$0] } ?? batch.sampleMillis[delta.key]
        let key = Key(tenant: tenant.name, labels: labels)
        let known = state.streams[key]
        if delta.isStale {
            if known != nil {
                receipt.changes.append((key, known, millis))
                state.streams[key] = nil
            }
            return nil
        }
        if let known, millis <= known.lastMillis {
            return millis == known.lastMillis
                ? "" : "delta of \(labels) at \(millis) is older than the last one"
        }
        guard known != nil || state.streams.count < limits.streams else {
            return "more than \(limits.streams) streams of delta temporality"
        }
        let start = startMillis(of: delta, batch)
        var stream =
            known
            ?? Stream(
                total: .values([]), startMillis: start, lastMillis: millis, layout: delta.layout,
                seenNanos: nanos)
        let goesOn = known != nil && stream.layout == delta.layout
        guard let total = sum(goesOn ? stream.total : nil, delta, batch) else {
            return "delta histogram of \(labels) cannot be read"
        }
        if !goesOn || total.isNew { stream.startMillis = start }
        stream.total = total.total
        stream.layout = delta.layout
        stream.lastMillis = millis
        stream.seenNanos = nanos
        receipt.changes.append((key, known, millis))
        state.streams[key] = stream
        write(stream, delta, &batch)
        return nil
    }

    private func startMillis(of delta: OTLPDelta, _ batch: MetricBatch) -> Int64 {
        if let histogram = delta.histogram {
            return batch.histogramStartMillis.isEmpty ? 0 : batch.histogramStartMillis[histogram]
        }
        return batch.sampleStartMillis.isEmpty ? 0 : batch.sampleStartMillis[delta.key]
    }

    /// The total with an increment added; a new one where the old cannot go on.
    private func sum(
        _ old: Total?, _ delta: OTLPDelta, _ batch: MetricBatch
    ) -> (total: Total, isNew: Bool)? {
        guard let place = delta.histogram else {
            let values = Array(batch.sampleValues[delta.samples])
            guard case .values(let known)? = old, known.count == values.count else {
                return (.values(values), true)
            }
            return (.values(zip(known, values).map { $0 + $1 }), false)
        }
        guard
            let increment = try? batch.arena.withSlice(
                batch.histograms[place], { try NativeHistogram(decoding: $0) })
        else { return nil }
        if case .histogram(var known)? = old, known.add(increment) {
            return (.histogram(known), false)
        }
        return (.histogram(SparseHistogram(increment)), true)
    }

    private func write(_ stream: Stream, _ delta: OTLPDelta, _ batch: inout MetricBatch) {
        switch stream.total {
        case .values(let values):
            for (place, value) in zip(delta.samples, values) {
                batch.sampleValues[place] = value
                if !batch.sampleStartMillis.isEmpty {
                    batch.sampleStartMillis[place] = stream.startMillis
                } else if stream.startMillis != 0 {
                    batch.sampleStartMillis = [Int64](
                        repeating: 0, count: batch.sampleSeries.count)
                    batch.sampleStartMillis[place] = stream.startMillis
                }
            }
        case .histogram(let histogram):
            guard let place = delta.histogram else { return }
            batch.histograms[place] = batch.arena.keep(histogram.native)
            if !batch.histogramStartMillis.isEmpty {
                batch.histogramStartMillis[place] = stream.startMillis
            } else if stream.startMillis != 0 {
                batch.histogramStartMillis = [Int64](
                    repeating: 0, count: batch.histogramSeries.count)
                batch.histogramStartMillis[place] = stream.startMillis
            }
        }
    }

    /// Forgets streams that brought nothing for long. O(streams), once per tenth of that time.
    private func sweep(_ state: inout State, _ nanos: Int64) {
        let idle = Int64(limits.idleSeconds * 1e9)
        guard nanos - state.sweptNanos >= idle / 10 || state.streams.count >= limits.streams else {
            return
        }
        // A full table is not searched again and again for a single request each.
        if state.streams.count >= limits.streams, nanos - state.sweptNanos < 1_000_000_000 {
            return
        }
        state.sweptNanos = nanos
        state.streams = state.streams.filter { nanos - $0.value.seenNanos < idle }
    }
}

/// Bounds of what is remembered of delta streams.
package struct DeltaLimits: Sendable {
    /// Streams of all tenants. One takes some 300 bytes, a histogram a few KiB.
    package var streams = 200_000
    /// Seconds after which a silent stream is forgotten.
    package var idleSeconds = 3600.0
    package init() {}
}
