// SPDX-License-Identifier: Apache-2.0
// Front door of Correlation.

import Base
import Storage
import Synchronization
import Telemetry

/// What belongs together across metrics, logs and traces, learned at ingest and answered by
/// look-up.
///
/// - The *trace index* leads from a trace id to its log lines and exemplars, exactly.
/// - The *service index* has per service and five minutes the traffic, errors and durations, and
///   per day its streams, series, instances, versions and other names.
/// - *Calls* are the two sides of each request between services, joined when read.
///
/// It has no records of its own: it is filled from the records of the three signals, by `record`
/// live and by `observe` during recovery, so that it never lags or leads the data. Heads are per
/// generation and tenant, each behind one lock; parts are immutable and decoded when opened.
/// Times have the resolution of the day for sets and of five minutes for counts.
package final class Correlation: SignalStore {
    struct Snapshot: Sendable {
        var heads: [UInt64: [String: CorrelationHead]] = [:]
        var parts: [CorrelationPart] = []
        /// Parts that could not be opened at the start.
        var missing = MissingParts()
        /// Parts that could not be opened after sealing or merging.
        var openFaults: [PartCorruption] = []
    }
    private let state = Mutex(Snapshot())
    /// By tenant. Outlives heads: a target says what it is as often as it is scraped, but series may
    /// come from elsewhere and before.
    private let targets = Mutex<[String: TargetTable]>([:])
    /// Nil without any.
    private let configured = Mutex<IdentityOverrides?>(nil)
    let configuration: CorrelationConfiguration
    private let stored: (any StoredSpanReading)?

    /// - Parameter stored: the spans in parts, which are not counted again.
    package init(
        _ configuration: CorrelationConfiguration = CorrelationConfiguration(),
        stored: (any StoredSpanReading)? = nil
    ) {
        self.configuration = configuration
        self.stored = stored
    }

    package var signal: Signal { .correlation }
    package var observedSignals: [Signal] { [.metrics, .logs, .traces] }

    func snapshot() -> Snapshot { state.withLock { $0 } }

    /// What the configuration says about names; nil = nothing.
    package var overrides: IdentityOverrides? { configured.withLock { $0 } }

    /// Puts other overrides into force: their names for all that is read from now on, their selectors
    /// for all that is recorded from now on. What heads know of series, streams and resources is found
    /// out again, unless nothing has changed.
    package func setOverrides(_ overrides: IdentityOverrides?) {
        configured.withLock { configured in
            if configured?.entries != overrides?.entries { configured = overrides }
        }
    }

    // MARK: - Writing

    private func head(_ tenant: String, _ generation: UInt64) -> CorrelationHead {
        state.withLock { state in
            if let head = state.heads[generation]?[tenant] { return head }
            let head = CorrelationHead()
            state.heads[generation, default: [:]][tenant] = head
            return head
        }
    }

    /// Learns from samples and exemplars that the metric store has taken. One look-up per sample.
    package func record(metrics: MetricBatch, tenant: Tenant, generation: UInt64) {
        let limits = configuration
        let (targets, isNews) = targets.withLock { all in
            let isNews = all[tenant.name, default: TargetTable()].learn(metrics)
            return (all[tenant.name] ?? TargetTable(), isNews)
        }
        head(tenant.name, generation).index.withLock { index in
            index.adopt(overrides, limits)
            if isNews { index.forgetTouchedSeries() }
            index.record(metrics, targets: targets, limits)
        }
    }

    /// Learns from log lines that the log store has taken. A line given twice counts twice: leave out
    /// what the log store called a duplicate.
    package func record(logs: LogBatch, tenant: Tenant, generation: UInt64) {
        let limits = configuration
        head(tenant.name, generation).index.withLock { index in
            index.adopt(overrides, limits)
            index.record(logs, limits)
        }
    }

    /// Learns from spans that the trace store has taken and that its parts do not hold already. A span
    /// given twice counts twice: leave out what the trace store called a duplicate of its heads.
    ///
    /// Lines have no such check: the log store knows duplicates of what its heads hold. So a line that
    /// is sent again after its head was sealed is counted a second time in its service; it is still
    /// found and shown once.
    package func record(spans: SpanBatch, tenant: Tenant, generation: UInt64) {
        let limits = configuration
        let known = Set(stored?.storedRows(of: spans, tenant: tenant) ?? [])
        let fresh = known.isEmpty ? spans : spans.keeping { !known.contains($0) }
        head(tenant.name, generation).index.withLock { index in
            index.adopt(overrides, limits)
            index.record(fresh, limits)
        }
    }

    /// The index has no records of its own, so there is nothing to apply.
    package func replay(
        _ payload: UnsafeRawBufferPointer, tenant: String, generation: UInt64, sequence: UInt64
    ) throws {}

    /// Decodes the payload of another signal's record and learns from it. A record that comes
    /// twice is learned once.
    ///
    /// - Throws: `MalformedBytes`.
    package func observe(
        _ payload: UnsafeRawBufferPointer, from signal: Signal, tenant: String,
        generation: UInt64, sequence: UInt64
    ) throws {
        switch signal {
        case .metrics:
            let batch = try MetricBatch(decoding: payload)
            guard isNew(signal, tenant, generation, sequence) else { return }
            record(metrics: batch, tenant: Tenant(tenant), generation: generation)
        case .logs:
            let batch = try LogBatch(decoding: payload)
            guard isNew(signal, tenant, generation, sequence) else { return }
            // A line sent twice stands in two records; live, the log store leaves it out.
            let fresh = head(tenant, generation).replayedLines.withLock { seen in
                batch.keeping { seen.insert(batch.lineIdentity($0)).inserted }
            }
            record(logs: fresh, tenant: Tenant(tenant), generation: generation)
        case .traces:
            let batch = try SpanBatch(decoding: payload)
            guard isNew(signal, tenant, generation, sequence) else { return }
            // A span sent twice stands in two records; live, the trace store leaves it out.
            let fresh = head(tenant, generation).replayedSpans.withLock { seen in
                batch.keeping { seen.insert(batch.identity($0)).inserted }
            }
            record(spans: fresh, tenant: Tenant(tenant), generation: generation)
        case .correlation: return
        }
    }

    private func isNew(
        _ signal: Signal, _ tenant: String, _ generation: UInt64, _ sequence: UInt64
    ) -> Bool {
        let record = ObservedRecord(signal: signal, sequence: sequence)
        return head(tenant, generation).observed.withLock { $0.insert(record).inserted }
    }

    private func allHeads() -> [CorrelationHead] {
        snapshot().heads.values.flatMap { Array($0.values) }
    }

    package var headBytes: Int {
        allHeads().reduce(0) { sum, head in
            sum + head.index.withLock { $0.byteCount }
                + head.replayedSpans.withLock { $0.count * 2 * MemoryLayout<SpanIdentity>.stride }
                + head.replayedLines.withLock { $0.count * 2 * MemoryLayout<UInt64>.stride }
        }
    }

    /// Entries of present heads that the limits of the configuration left out.
    package var dropped: Int {
        allHeads().reduce(0) { sum, head in
            sum + head.index.withLock { $0.days.values.reduce(0) { $0 + $1.dropped } }
        }
    }

    // MARK: - Parts

    package func open(_ part: PartHandle) throws {
        let opened = try CorrelationPart(part)
        learnTargets(opened)
        state.withLock { $0.parts.append(opened) }
    }

    package func missing(_ part: PartDescriptor, _ fault: PartCorruption) {
        state.withLock { $0.missing.add(part, fault) }
    }

    /// Targets stand among the aliases of their services.
    private func learnTargets(_ part: CorrelationPart) {
        targets.withLock { all in
            for (name, service) in part.services.sorted(by: { $0.key < $1.key }) {
                for alias in service.aliases where alias.rule == TargetTable.rule {
                    _ = all[part.tenant, default: TargetTable()].learn(
                        alias.alias, service: name)
                }
            }
        }
    }

    func targetTable(_ tenant: Tenant) -> TargetTable {
        targets.withLock { $0[tenant.name] ?? TargetTable() }
    }

    package func sealed(generation: UInt64, parts: [PartHandle]) {
        // A part that was written a moment ago and does not open is a fault of the disk: it is kept
        // for `openFaults`, and the head stays readable until the server stops.
        guard let opened = opened(parts) else { return }
        state.withLock { state in
            state.parts += opened
            state.heads[generation] = nil
        }
    }

    /// All of the parts, or nil with the fault noted when one does not open.
    private func opened(_ parts: [PartHandle]) -> [CorrelationPart]? {
        do {
            return try parts.map { try CorrelationPart($0) }
        } catch {
            let fault =
                error as? PartCorruption ?? PartCorruption(offset: 0, problem: "\(error)")
            state.withLock { $0.openFaults.append(fault) }
            return nil
        }
    }

    /// Parts that the kernel handed over after sealing or merging and that did not open.
    package var openFaults: [PartCorruption] { state.withLock { $0.openFaults } }

    package func replace(removed: [UInt64], added: [PartHandle]) {
        // When an output does not open, its inputs stay: their files live as long as we hold them.
        guard let opened = opened(added) else { return }
        let gone = Set(removed)
        state.withLock { state in
            state.missing.remove(gone)
            state.parts.removeAll { gone.contains($0.id) }
            state.parts += opened
        }
    }
}

/// Who knows which spans are in parts.
package protocol StoredSpanReading: Sendable {
    /// Rows of a batch that are in parts, ascending.
    func storedRows(of batch: SpanBatch, tenant: Tenant) -> [Int]
}

/// What is learned of one generation and tenant.
final class CorrelationHead: Sendable {
    let index = Mutex(HeadIndex())
    /// Records that recovery has brought.
    let observed = Mutex<Set<ObservedRecord>>([])
    /// Spans that recovery has brought, so that those sent twice are counted once.
    let replayedSpans = Mutex<Set<SpanIdentity>>([])
    /// Log lines that recovery has brought, likewise.
    let replayedLines = Mutex<Set<UInt64>>([])
}

/// What makes two spans the same, as in `TraceStore`.
struct SpanIdentity: Hashable, Sendable {
    var traceID: TraceID
    var spanID: SpanID
    var startNanos: Int64
    var kind: UInt8
}

extension LogBatch {
    /// What makes two lines the same, as in `LogStore`: stream, time, line and metadata, hashed to
    /// 64 bits. Of a billion lines two have the same number by chance once in forty times; one line
    /// is then missing in a count.
    fileprivate func lineIdentity(_ row: Int) -> UInt64 {
        var hash = streams[Int(rowStreams[row])].hash
        hash = arena.withSlice(lines[row]) {
            hash64($0, seed: hash ^ UInt64(bitPattern: nanos[row]) &* 0x9e37_79b9_7f4a_7c15)
        }
        return arena.withSlice(metadata[row]) { hash64($0, seed: hash) }
    }

    /// Only the rows for which `isWanted` is true; asked once per row, in order.
    fileprivate func keeping(_ isWanted: (Int) -> Bool) -> LogBatch {
        let kept = (0..<rowCount).filter(isWanted)
        if kept.count == rowCount { return self }
        var result = LogBatch()
        result.arena = arena
        result.streams = streams
        for row in kept {
            result.addRow(
                stream: rowStreams[row], nanos: nanos[row], line: lines[row],
                metadata: metadata[row], traceID: traceIDs[row], spanID: spanIDs[row])
        }
        return result
    }
}

extension SpanBatch {
    fileprivate func identity(_ row: Int) -> SpanIdentity {
        SpanIdentity(
            traceID: traceIDs[row], spanID: spanIDs[row], startNanos: startNanos[row],
            kind: kinds[row])
    }

    /// Only the rows for which `isWanted` is true; asked once per row, in order.
    fileprivate func keeping(_ isWanted: (Int) -> Bool) -> SpanBatch {
        let kept = (0..<rowCount).filter(isWanted)
        if kept.count == rowCount { return self }
        var result = SpanBatch()
        result.arena = arena
        result.resources = resources
        result.scopes = scopes
        for row in kept { result.add(self.row(row)) }
        return result
    }
}

struct ObservedRecord: Hashable, Sendable {
    var signal: Signal
    var sequence: UInt64
}
