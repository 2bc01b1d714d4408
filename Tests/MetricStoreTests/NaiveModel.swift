// SPDX-License-Identifier: Apache-2.0
// What a metric store must answer, kept the simple way.

import Base
import MetricStore
import Storage
import Telemetry

/// One stored value, bit for bit.
enum StoredValue: Equatable {
    case float(UInt64)
    case histogram([UInt8])
}

struct StoredSample: Equatable {
    var value: StoredValue
    var start: Int64
}

/// A map from series and time to the first value that was appended there.
struct NaiveModel {
    private(set) var series: [Labels: [Int64: StoredSample]] = [:]
    private(set) var sampleCount = 0

    mutating func append(_ batch: MetricBatch) {
        for i in batch.sampleSeries.indices {
            add(
                batch.arena.labels(batch.series[Int(batch.sampleSeries[i])]), batch.sampleMillis[i],
                .float(batch.sampleValues[i].bitPattern),
                batch.sampleStartMillis.isEmpty ? 0 : batch.sampleStartMillis[i])
        }
        for i in batch.histogramSeries.indices {
            add(
                batch.arena.labels(batch.series[Int(batch.histogramSeries[i])]),
                batch.histogramMillis[i], .histogram(Array(batch.arena[batch.histograms[i].range])),
                batch.histogramStartMillis.isEmpty ? 0 : batch.histogramStartMillis[i])
        }
    }

    private mutating func add(
        _ labels: Labels, _ millis: Int64, _ value: StoredValue, _ start: Int64
    ) {
        if series[labels]?[millis] != nil { return }
        series[labels, default: [:]][millis] = StoredSample(value: value, start: start)
        sampleCount += 1
    }

    mutating func delete(_ selections: [[LabelMatcher]], _ range: MillisRange) {
        for labels in Array(series.keys)
        where selections.contains(where: { matchers in
            matchers.allSatisfy { $0.matches(labels[$0.name] ?? "") }
        }) {
            series[labels] = series[labels]?.filter {
                !range.overlaps(first: $0.key, last: $0.key)
            }
            if series[labels]?.isEmpty == true { series[labels] = nil }
        }
    }

    /// Series with samples in the range that satisfy the matchers, by labels.
    func select(
        _ matchers: [LabelMatcher], _ range: MillisRange
    ) -> [(labels: Labels, samples: [(Int64, StoredSample)])] {
        series.compactMap { labels, samples in
            guard
                matchers.allSatisfy({ matcher in matcher.matches(labels[matcher.name] ?? "") }
                )
            else { return nil }
            let kept = samples.filter { range.overlaps(first: $0.key, last: $0.key) }
                .sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
            return kept.isEmpty ? nil : (labels, kept)
        }.sorted { $0.labels < $1.labels }
    }
}

/// The samples of a series as the store reads them.
func storedSamples(_ columns: SampleColumns) -> [(Int64, StoredSample)] {
    columns.millis.indices.map { i in
        let start = columns.startMillis.isEmpty ? 0 : columns.startMillis[i]
        if !columns.histograms.isEmpty, let histogram = columns.histograms[i] {
            var writer = ByteWriter()
            histogram.encode(into: &writer)
            return (
                columns.millis[i], StoredSample(value: .histogram(writer.bytes), start: start)
            )
        }
        return (
            columns.millis[i],
            StoredSample(value: .float(columns.values[i].bitPattern), start: start)
        )
    }
}

/// First difference between what a store answers and what the model says, or nil.
func difference(
    _ store: MetricStore, _ model: NaiveModel, _ matchers: [LabelMatcher] = [],
    _ range: MillisRange = .all
) throws -> String? {
    let context = ReadContext()
    let request = SeriesRequest(tenant: .anonymous, matchers: matchers, range: range)
    let set = try store.select(request, context)
    var found: [(labels: Labels, samples: [(Int64, StoredSample)])] = []
    var columns = SampleColumns()
    var previous: Labels?
    for index in 0..<set.count {
        let labels = set.labels(index)
        if let previous, !(previous < labels) { return "\(labels) is out of order" }
        previous = labels
        columns.removeAll()
        try set.read(index, into: &columns, context)
        // A set may hold series whose samples all lie outside the range.
        if columns.count > 0 { found.append((labels, storedSamples(columns))) }
    }
    let expected = model.select(matchers, range)
    if found.map(\.labels) != expected.map(\.labels) {
        return "\(matchers) selects \(found.map(\.labels)), expected \(expected.map(\.labels))"
    }
    for (got, want) in zip(found, expected) {
        if got.samples.count != want.samples.count {
            return "\(got.labels): \(got.samples.count) samples, expected \(want.samples.count)"
        }
        for (a, b) in zip(got.samples, want.samples) where a != b {
            return "\(got.labels): \(a), expected \(b)"
        }
    }
    return nil
}

/// A store with the kernel's part played by the test: generations, ids, making parts durable.
final class StoreHarness {
    let store: MetricStore
    private(set) var generation: UInt64 = 1
    private(set) var handles: [PartHandle] = []
    private var sequence: UInt64 = 0
    private var nextID: UInt64 = 1

    init(_ configuration: MetricStoreConfiguration = MetricStoreConfiguration()) {
        store = MetricStore(configuration)
    }

    @discardableResult
    func append(_ batch: MetricBatch, tenant: Tenant = .anonymous) -> AppendCounts {
        sequence += 1
        return store.append(batch, tenant: tenant, generation: generation, sequence: sequence)
    }

    func handle(
        _ draft: PartDraft, level: UInt8, lastSequence: UInt64
    ) throws -> PartHandle {
        let reader = try PartReader(SharedBytes(draft.bytes), name: "part-\(nextID)")
        let descriptor = PartDescriptor(
            id: nextID, signal: .metrics, tenant: draft.tenant, day: draft.day, level: level,
            minNanos: draft.minNanos, maxNanos: draft.maxNanos, rowCount: draft.rowCount,
            byteCount: UInt64(draft.bytes.count), retentionClass: draft.retentionClass,
            lastSequence: lastSequence)
        nextID += 1
        return PartHandle(descriptor: descriptor, reader: reader)
    }

    /// Begins the next generation, so that `finishSeal` of this one may come later.
    func rotate() -> UInt64 {
        generation += 1
        return generation - 1
    }

    func finishSeal(_ generation: UInt64) throws {
        let parts = try store.seal(generation: generation).map {
            try handle($0, level: 0, lastSequence: sequence)
        }
        store.sealed(generation: generation, parts: parts)
        handles += parts
    }

    func seal() throws { try finishSeal(rotate()) }

    /// Merges parts of one tenant and day that follow each other.
    func merge(_ inputs: [PartHandle]) throws {
        try replace(inputs, by: try store.merge(inputs) { false })
    }

    /// Down-samples parts of one tenant and day that follow each other.
    func downsample(_ inputs: [PartHandle], _ resolutionMillis: Int64) throws {
        try replace(
            inputs,
            by: try store.downsample(inputs, resolutionMillis: resolutionMillis) { false })
    }

    private func replace(_ inputs: [PartHandle], by drafts: [PartDraft]) throws {
        let last = inputs.map(\.descriptor.lastSequence).max() ?? 0
        let added = try drafts.map { try handle($0, level: 1, lastSequence: last) }
        let removed = Set(inputs.map(\.descriptor.id))
        store.replace(removed: Array(removed), added: added)
        handles.removeAll { removed.contains($0.descriptor.id) }
        handles += added
        handles.sort { $0.descriptor.lastSequence < $1.descriptor.lastSequence }
    }

    /// Deletes as the kernel does: what was appended before is sealed first.
    func delete(
        _ selections: [[LabelMatcher]], _ range: MillisRange = .all,
        tenant: Tenant = .anonymous
    ) throws {
        try seal()
        let own = handles.filter { $0.descriptor.tenant == tenant.name }
        let deletions = try store.deletions(selections, range, in: own, ReadContext())
        let changed = own.compactMap { handle in
            deletions[handle.descriptor.id].map { handle.deleting($0) }
        }
        store.replace(removed: changed.map(\.descriptor.id), added: changed)
        handles = handles.map { old in
            changed.first { $0.descriptor.id == old.descriptor.id } ?? old
        }
    }

    /// A new store over the same parts, as after a restart.
    func reopened() throws -> MetricStore {
        let store = MetricStore(MetricStoreConfiguration())
        for handle in handles { try store.open(handle) }
        return store
    }
}

func matcher(
    _ name: String, _ operation: LabelMatcher.Operation, _ value: String
) throws -> LabelMatcher {
    try LabelMatcher(name, operation, value)
}
