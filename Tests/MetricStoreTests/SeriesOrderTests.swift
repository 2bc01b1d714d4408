// SPDX-License-Identifier: Apache-2.0
// The order in which heads are sealed, and replay on several threads.

import Base
import Storage
import Synchronization
import Telemetry
import Testing

@testable import MetricStore

@Test func headsAreSealedInOrderOfLabels() {
    var random = SplitMix64(seed: 7)
    func below(_ n: Int) -> Int { Int(random.next() % UInt64(n)) }
    // Names before and after `__name__`, values that begin alike, NUL, sets that begin another one.
    let names = ["A", "__name__", "a", "ab", "größe", "z"]
    let values = ["", "a", "aaaaaaaa", "aaaaaaaaa", "aaaaaaaab", "a\0", "b", "ä", "\u{7f}"]
    for round in 0..<40 {
        let head = Head(tenant: .anonymous, generation: 0)
        var batch = MetricBatch()
        var expected: Set<Labels> = []
        for number in 0..<(round * 7) {
            let labels = Labels(
                names.filter { _ in below(2) == 0 }.map { ($0, values[below(values.count)]) })
            guard expected.insert(labels).inserted else { continue }
            let series = batch.addSeries(labels)
            batch.addSample(series: series, millis: Int64(number), value: 1)
        }
        _ = head.append(batch, BatchRouting(batch), known: nil)
        let shards = head.shards.map { $0.state.withLock { $0 } }
        let order = SeriesOrder(shards)
        let found = (0..<order.count).map { position in
            Labels(canonical: shards[order[position].shard].labels.bytes(order[position].ref))
        }
        #expect(found == expected.sorted())
    }
}

@Test func replayOnSeveralThreadsIsReplayInOrder() throws {
    var generator = BatchGenerator(seed: 3, series: 3000)
    var sections: [ReplayedSection] = []
    let live = StoreHarness()
    var appended = 0
    for sequence in 1...12 {
        let batch = generator.next()
        appended += live.append(batch).appended
        var writer = ByteWriter()
        batch.encode(into: &writer)
        sections.append(
            ReplayedSection(
                record: writer.bytes, range: 0..<writer.bytes.count, tenant: Tenant.anonymous.name,
                sequence: UInt64(sequence)))
    }
    sections.insert(
        ReplayedSection(record: [9, 9], range: 0..<2, tenant: "t", sequence: 99), at: 5)
    #expect(sections.reduce(0) { $0 + $1.range.count } > MetricStore.minReplayBytes)
    let replayed = StoreHarness()
    let failed = replayed.store.replay(sections, generation: 1)
    #expect(failed.map(\.position) == [5])
    #expect(replayed.store.statistics.appended == appended)
    #expect(replayed.store.statistics.headSeries == live.store.statistics.headSeries)
    let sealed = try replayed.store.seal(generation: 1).map(\.bytes)
    #expect(try live.store.seal(generation: 1).map(\.bytes) == sealed)
}
