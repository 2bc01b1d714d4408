// SPDX-License-Identifier: Apache-2.0
// Damaged parts are reported and never bring the process down.

import Base
import Storage
import Telemetry
import Testing

@testable import MetricStore

private func wholeParts(seed: UInt64, isCoarse: Bool = false) throws -> [PartDraft] {
    var generator = BatchGenerator(seed: seed, series: 12)
    let harness = StoreHarness()
    for _ in 0..<40 {
        var batch = generator.next()
        let labels = Labels([("trace_id", "\(generator.below(1000))")])
        batch.exemplarSeries.append(UInt32(generator.below(batch.series.count)))
        batch.exemplarMillis.append(batch.sampleMillis.first ?? BatchGenerator.origin)
        batch.exemplarValues.append(1)
        batch.exemplarLabels.append(labels.bytes.withUnsafeBytes { batch.arena.keep($0) })
        batch.metadata.append(
            MetricBatch.Metadata(
                family: batch.arena.keep("up"), type: .gauge, help: batch.arena.keep("Help."),
                unit: .empty))
        harness.append(batch)
    }
    let drafts = try harness.store.seal(generation: harness.generation)
    guard isCoarse else { return drafts }
    return try drafts.flatMap { draft in
        try harness.store.downsample(
            [try harness.handle(draft, level: 0, lastSequence: 1)], resolutionMillis: 300_000
        ) { false }
    }
}

/// Does everything a store can do with one part. Returns what it found wrong.
private func exercise(_ draft: PartDraft, _ bytes: [UInt8]) -> [any Error] {
    var faults: [any Error] = []
    func attempt(_ body: () throws -> Void) {
        do { try body() } catch { faults.append(error) }
    }
    attempt {
        let reader = try PartReader(SharedBytes(bytes), name: "damaged")
        let handle = PartHandle(
            descriptor: PartDescriptor(
                id: 1, signal: .metrics, tenant: draft.tenant, day: draft.day, level: 0,
                minNanos: draft.minNanos, maxNanos: draft.maxNanos, rowCount: draft.rowCount,
                byteCount: UInt64(bytes.count), lastSequence: 1), reader: reader)
        let store = MetricStore(MetricStoreConfiguration())
        attempt { try store.open(handle) }
        faults += store.verify(handle)
        let context = ReadContext()
        let matchers = [
            try matcher("job", .matches, "job-.*"), try matcher("path", .notEqual, "/a/1"),
            try matcher("instance", .notMatches, "x.*"),
        ]
        for matchers in [[], matchers] {
            let request = SeriesRequest(tenant: .anonymous, matchers: matchers, range: .all)
            attempt { _ = try store.labelNames(request, context) }
            attempt { _ = try store.labelValues("path", request, context) }
            attempt { _ = try store.exemplars(request, context) }
            attempt {
                for aggregate in [SampleAggregate.last, .counter, .min, .max, .sum] {
                    var request = request
                    request.aggregate = aggregate
                    let set = try store.select(request, context)
                    for index in 0..<set.count {
                        var columns = SampleColumns()
                        attempt { try set.read(index, into: &columns, context) }
                    }
                }
            }
        }
        attempt { _ = try store.metadata(.anonymous, family: nil) }
        attempt { _ = try store.merge([handle, handle]) { false } }
    }
    return faults
}

@Test func anyFlippedByteIsFound() throws {
    var random = SplitMix64(seed: 31)
    for draft in try wholeParts(seed: 31) + wholeParts(seed: 31, isCoarse: true) {
        #expect(exercise(draft, draft.bytes).isEmpty)
        for _ in 0..<150 {
            var bytes = draft.bytes
            let at = Int(random.next() % UInt64(bytes.count))
            bytes[at] ^= UInt8(1 &<< (random.next() % 8))
            let faults = exercise(draft, bytes)
            // Padding between sections and the reserved bytes carry no data.
            if faults.isEmpty { #expect(draft.bytes[at] == 0, "byte \(at)") }
            for fault in faults { #expect(fault is PartCorruption, "\(fault)") }
        }
        #expect(!exercise(draft, Array(draft.bytes.dropLast(5))).isEmpty)
    }
}

/// Damage below the checksums: sections are changed and the file is built anew around them, so
/// that the decoders see what no disk error would let through.
@Test(arguments: 1...6)
func hostileSectionsAreRefusedOrRead(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    let draft = try #require(
        try wholeParts(seed: UInt64(seed), isCoarse: seed.isMultiple(of: 2)).first)
    let reader = try PartReader(SharedBytes(draft.bytes), name: "whole")
    var sections: [(kind: UInt16, bytes: [UInt8])] = []
    for section in reader.sections {
        sections.append((section.kind, try reader.read(section.kind)))
    }
    for _ in 0..<250 {
        let victim = Int(random.next() % UInt64(sections.count))
        var writer = PartWriter(signal: .metrics)
        var changed = sections
        for _ in 0...(random.next() % 3) where !changed[victim].bytes.isEmpty {
            let at = Int(random.next() % UInt64(changed[victim].bytes.count))
            switch random.next() % 4 {
            case 0: changed[victim].bytes.remove(at: at)
            case 1: changed[victim].bytes.insert(0xff, at: at)
            case 2: changed[victim].bytes[at] = UInt8(truncatingIfNeeded: random.next())
            default: changed[victim].bytes[at] &+= 1
            }
        }
        if changed[victim].kind == MetricPartFormat.Section.data {
            let blocks = changed.firstIndex { $0.kind == MetricPartFormat.Section.blocks }
            var block = ByteWriter()
            block.varint(changed[victim].bytes.count)
            block.u32(crc32c(changed[victim].bytes))
            block.zigzag(draft.minNanos / 1_000_000)
            block.varint(UInt64((draft.maxNanos - draft.minNanos) / 1_000_000))
            changed[try #require(blocks)].bytes = block.bytes
        }
        for section in changed { writer.add(kind: section.kind, section.bytes) }
        for fault in exercise(draft, writer.finish()) {
            #expect(fault is PartCorruption, "\(fault)")
        }
    }
}

/// A part whose sections are each sound and contradict each other.
@Test func contradictionsAreFoundByVerifying() throws {
    let draft = try #require(try wholeParts(seed: 41).first)
    let reader = try PartReader(SharedBytes(draft.bytes), name: "whole")
    func verified(_ change: (UInt16, inout [UInt8]) -> Void) throws -> [PartCorruption] {
        var writer = PartWriter(signal: .metrics)
        for section in reader.sections {
            var bytes = try reader.read(section.kind)
            change(section.kind, &bytes)
            writer.add(kind: section.kind, bytes)
        }
        let handle = PartHandle(
            descriptor: PartDescriptor(
                id: 1, signal: .metrics, tenant: draft.tenant, day: draft.day, level: 0,
                minNanos: draft.minNanos, maxNanos: draft.maxNanos, rowCount: draft.rowCount,
                byteCount: 0, lastSequence: 1),
            reader: try PartReader(SharedBytes(writer.finish()), name: "changed"))
        return MetricStore(MetricStoreConfiguration()).verify(handle)
    }
    try #expect(verified { _, _ in }.isEmpty)
    let samples = try verified { kind, bytes in
        if kind == MetricPartFormat.Section.summary { bytes[2] ^= 1 }
    }
    #expect(samples.contains { $0.problem.contains("the summary says") })
    // The first list holds one value's series: its first row moves by one.
    let postings = try verified { kind, bytes in
        if kind == MetricPartFormat.Section.postings { bytes[2] ^= 1 }
    }
    #expect(postings.contains { $0.problem.contains("postings") })
}
