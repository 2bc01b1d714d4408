// SPDX-License-Identifier: Apache-2.0
// Queries over damaged parts: the undamaged rest, and what is missing.

import Base
import Storage
import Telemetry
import Testing

@testable import MetricStore

/// Two parts and a head of the same series; `change` spoils the first part.
private func spoilt(
    _ change: (PartReader, inout [UInt8]) throws -> Void
) throws -> (store: MetricStore, whole: NaiveModel, others: NaiveModel) {
    var generator = BatchGenerator(seed: 31)
    var whole = NaiveModel()
    var others = NaiveModel()
    let harness = StoreHarness()
    for step in 0..<30 {
        let batch = generator.next()
        // Each in its own stretch of time, so that the rest is what the others hold.
        harness.append(batch)
        whole.append(batch)
        if step >= 10 { others.append(batch) }
        if step == 9 || step == 19 { try harness.seal() }
    }
    let first = try #require(harness.handles.first)
    var bytes = first.reader.bytes.withBytes { [UInt8]($0) }
    try change(first.reader, &bytes)
    let damaged = PartHandle(
        descriptor: first.descriptor,
        reader: try PartReader(SharedBytes(bytes), name: "damaged.part"))
    harness.store.replace(removed: [first.descriptor.id], added: [damaged])
    return (harness.store, whole, others)
}

private func samples(
    _ store: MetricStore, _ context: ReadContext
) throws -> [Labels: [(Int64, StoredSample)]] {
    let set = try store.select(
        SeriesRequest(tenant: .anonymous, matchers: [], range: .all), context)
    var found: [Labels: [(Int64, StoredSample)]] = [:]
    for index in 0..<set.count {
        var columns = SampleColumns()
        try set.read(index, into: &columns, context)
        found[set.labels(index)] = storedSamples(columns)
    }
    return found
}

/// Every sample that is found is one that was stored, and all of `others` are found.
private func check(
    _ found: [Labels: [(Int64, StoredSample)]], _ whole: NaiveModel, _ others: NaiveModel
) {
    for (labels, list) in found {
        let stored = whole.series[labels] ?? [:]
        #expect(list.allSatisfy { stored[$0.0] != nil })
        #expect(zip(list, list.dropFirst()).allSatisfy { $0.0 < $1.0 })
    }
    for (labels, stored) in others.series {
        let times = Set((found[labels] ?? []).map(\.0))
        #expect(times.isSuperset(of: stored.keys), "\(labels)")
    }
}

@Test func aDamagedChunkIsLeftOutOfTheAnswerAndNamed() throws {
    var offset = 0
    let (store, whole, others) = try spoilt { reader, bytes in
        offset = try #require(reader.section(MetricPartFormat.Section.data)).offset
        bytes[offset + 3] ^= 0x20
    }
    let context = ReadContext()
    let found = try samples(store, context)
    check(found, whole, others)
    #expect(found.values.reduce(0) { $0 + $1.count } < whole.sampleCount)
    #expect(context.warnings.count == 1, "\(context.warnings)")
    #expect(
        context.warnings.first?.contains("part damaged.part damaged at offset \(offset)") == true,
        "\(context.warnings)")
}

@Test func aDamagedIndexLeavesThePartOutOfEveryAnswer() throws {
    let kinds: [UInt16] = [
        MetricPartFormat.Section.series, MetricPartFormat.Section.symbols,
        MetricPartFormat.Section.postings,
    ]
    for kind in kinds {
        let (store, whole, others) = try spoilt { reader, bytes in
            bytes[try #require(reader.section(kind)).offset] ^= 1
        }
        let context = ReadContext()
        check(try samples(store, context), whole, others)
        let request = SeriesRequest(tenant: .anonymous, matchers: [], range: .all)
        #expect(try store.labelNames(request, context).contains("job"))
        #expect(try store.labelValues("job", request, context).count == 3)
        _ = try store.exemplars(request, context)
        #expect(context.warnings.count == 1, "\(context.warnings)")
        #expect(context.warnings.first?.contains("damaged.part") == true)
    }
}

@Test func aPartThatDoesNotOpenIsNamedInAnswers() throws {
    let (store, _, _) = try spoilt { _, _ in }
    let lost = PartDescriptor(
        id: 99, signal: .metrics, tenant: Tenant.anonymous.name, day: 0, level: 0,
        minNanos: 100_000_000, maxNanos: 200_000_000, rowCount: 1, byteCount: 1, lastSequence: 1)
    store.missing(
        lost, PartCorruption(name: "000000000099.part", offset: 7, problem: "cut short"))
    func warnings(_ first: Int64, _ last: Int64) throws -> [String] {
        let context = ReadContext()
        let request = SeriesRequest(
            tenant: .anonymous, matchers: [],
            range: MillisRange(first: Millis(first), last: Millis(last)))
        _ = try store.select(request, context)
        _ = try store.labelNames(request, context)
        return context.warnings
    }
    #expect(try warnings(0, 99) == [])
    #expect(try warnings(0, 100).count == 1)
    #expect(try warnings(.min, .max).first?.contains("damaged at offset 7") == true)
    store.replace(removed: [99], added: [])
    #expect(try warnings(.min, .max) == [])
}
