// SPDX-License-Identifier: Apache-2.0
// Random histories of a store against the naive model.

import Base
import MetricStore
import Storage
import Telemetry
import Testing

/// Appends, seals, merges and reopens at random; after every few steps the store must answer what
/// the model answers.
@Test(arguments: 1...10)
func anyHistoryReadsBackWhatWasAppended(seed: Int) throws {
    var generator = BatchGenerator(seed: UInt64(seed))
    var model = NaiveModel()
    let harness = StoreHarness()
    var pending: UInt64?
    for step in 0..<120 {
        let batch = generator.next()
        harness.append(batch)
        model.append(batch)
        // Sent twice: leaves one copy.
        if generator.chance(10) { harness.append(batch) }
        if let generation = pending, generator.chance(40) {
            try harness.finishSeal(generation)
            pending = nil
        } else if pending == nil, generator.chance(10) {
            pending = harness.rotate()
        }
        if generator.chance(10), let day = harness.handles.randomDay(&generator) {
            let ofDay = harness.handles.filter { $0.descriptor.day == day }
            let start = generator.below(ofDay.count)
            let count = 1 + generator.below(ofDay.count - start)
            try harness.merge(Array(ofDay[start..<(start + count)]))
        }
        if step % 5 == 4 {
            let matchers = try generator.matchers()
            let range = generator.range()
            let fault = try difference(harness.store, model, matchers, range)
            try #require(fault == nil, "seed \(seed), step \(step): \(fault ?? "")")
        }
    }
    let statistics = harness.store.statistics
    #expect(statistics.outOfOrder > 0 && statistics.duplicates > 0 && statistics.conflicts > 0)
    if let pending { try harness.finishSeal(pending) }
    try #expect(difference(harness.store, model) == nil)
    try harness.seal()
    try #expect(difference(harness.store, model) == nil)
    #expect(harness.store.headBytes == 0)
    for day in Set(harness.handles.map(\.descriptor.day)) {
        try harness.merge(harness.handles.filter { $0.descriptor.day == day })
    }
    let reopened = try harness.reopened()
    try #expect(difference(reopened, model) == nil)
    for _ in 0..<20 {
        let matchers = try generator.matchers()
        let fault = try difference(reopened, model, matchers, generator.range())
        #expect(fault == nil)
    }
    #expect(reopened.statistics.partSamples == model.sampleCount)
    for handle in harness.handles { #expect(reopened.verify(handle).isEmpty) }
}

extension [PartHandle] {
    fileprivate func randomDay(_ generator: inout BatchGenerator) -> Int32? {
        isEmpty ? nil : self[generator.below(count)].descriptor.day
    }
}

@Test func replayedRecordsReadBackAndAreIdempotent() throws {
    var generator = BatchGenerator(seed: 99)
    var model = NaiveModel()
    let store = MetricStore(MetricStoreConfiguration())
    for sequence in 1...40 {
        let batch = generator.next()
        model.append(batch)
        var writer = ByteWriter()
        batch.encode(into: &writer)
        for _ in 0..<2 {
            try writer.bytes.withUnsafeBytes {
                try store.replay(
                    $0, tenant: "anonymous", generation: 1, sequence: UInt64(sequence))
            }
        }
    }
    try #expect(difference(store, model) == nil)
    #expect(store.statistics.appended == model.sampleCount)
}

@Test func tenantsDoNotSeeEachOther() throws {
    var generator = BatchGenerator(seed: 5)
    let harness = StoreHarness()
    var model = NaiveModel()
    let batch = generator.next()
    harness.append(batch)
    model.append(batch)
    harness.append(generator.next(), tenant: Tenant("other"))
    try #expect(difference(harness.store, model) == nil)
    try harness.seal()
    #expect(Set(harness.handles.map(\.descriptor.tenant)) == ["anonymous", "other"])
    try #expect(difference(harness.store, model) == nil)
}
