// SPDX-License-Identifier: Apache-2.0
// Appending, reading, sealing and merging at the same time.

import Base
import Storage
import Synchronization
import Telemetry
import Testing

@testable import MetricStore

private let seriesCount = 50
private let rounds = 300

private func series(_ index: Int) -> Labels {
    Labels([("__name__", "load"), ("instance", "host\(index)")])
}

private final class Progress: Sendable {
    /// The generation appends go to: held while appending, as the kernel waits for appliers.
    let gate = Mutex<UInt64>(1)
    let acknowledged = Atomic<Int>(0)
    let nextID = Atomic<UInt64>(1)
}

/// One writer appends a growing row of samples to each series; readers must see every row that was
/// complete before they began, in order, each with its own value.
@Test(.timeLimit(.minutes(5)))
func readersSeeEveryAcknowledgedSample() async throws {
    let store = MetricStore(MetricStoreConfiguration())
    let progress = Progress()

    @Sendable func handle(_ draft: PartDraft) throws -> PartHandle {
        let id = progress.nextID.wrappingAdd(1, ordering: .relaxed).newValue
        return PartHandle(
            descriptor: PartDescriptor(
                id: id, signal: .metrics, tenant: draft.tenant, day: draft.day, level: 0,
                minNanos: draft.minNanos, maxNanos: draft.maxNanos, rowCount: draft.rowCount,
                byteCount: UInt64(draft.bytes.count), lastSequence: id),
            reader: try PartReader(SharedBytes(draft.bytes), name: "part-\(id)"))
    }

    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { @concurrent in
            for round in 0..<rounds {
                var batch = MetricBatch()
                for index in 0..<seriesCount {
                    batch.addSample(
                        series: batch.addSeries(series(index)), millis: Int64(round) * 1000,
                        value: Double(round * 1000 + index))
                }
                progress.gate.withLock {
                    _ = store.append(
                        batch, tenant: .anonymous, generation: $0, sequence: UInt64(round))
                }
                progress.acknowledged.store(round + 1, ordering: .releasing)
                await Task.yield()
            }
        }
        group.addTask { @concurrent in
            var parts: [PartHandle] = []
            while progress.acknowledged.load(ordering: .acquiring) < rounds {
                let generation = progress.gate.withLock { generation in
                    generation += 1
                    return generation - 1
                }
                let sealed = try store.seal(generation: generation).map { try handle($0) }
                store.sealed(generation: generation, parts: sealed)
                parts += sealed
                if parts.count >= 4 {
                    let merged = try store.merge(parts) { false }
                    let added = try merged.map { try handle($0) }
                    store.replace(removed: parts.map(\.descriptor.id), added: added)
                    parts = added
                }
                await Task.yield()
            }
        }
        group.addTask { @concurrent in
            var columns = SampleColumns()
            while true {
                let complete = progress.acknowledged.load(ordering: .acquiring)
                let context = ReadContext()
                let set = try store.select(
                    SeriesRequest(tenant: .anonymous, matchers: [], range: .all), context)
                #expect(complete == 0 || set.count == seriesCount)
                for number in 0..<set.count {
                    columns.removeAll()
                    try set.read(number, into: &columns, context)
                    let instance = set.labels(number)["instance"] ?? ""
                    let index = Int(instance.dropFirst(4)) ?? -1
                    #expect(columns.count >= complete)
                    for i in 0..<columns.count {
                        let isRight =
                            columns.millis[i] == Int64(i) * 1000
                            && columns.values[i] == Double(i * 1000 + index)
                        if !isRight {
                            Issue.record("\(instance): sample \(i) is \(columns.millis[i])")
                            return
                        }
                    }
                }
                if complete == rounds { return }
                await Task.yield()
            }
        }
        try await group.waitForAll()
    }
}
