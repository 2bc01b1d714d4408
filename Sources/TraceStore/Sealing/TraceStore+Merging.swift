// SPDX-License-Identifier: Apache-2.0
// Parts to fewer parts, and what is wrong in one.

import Base
import Storage
import Telemetry

extension TraceStore {
    package var maxMergeWeight: Int { Limits.mergedRows }

    /// See `SignalStore.merge`. Reads identities first, from which order and structure follow, then
    /// takes over blocks and takes apart those that `MergePlan` says. Memory: the plan, one block per
    /// input and the output.
    package func merge(_ parts: [PartHandle], shouldStop: () -> Bool) throws -> [PartDraft] {
        guard let first = parts.first?.descriptor else { return [] }
        let inputs = try parts.sorted { PartDescriptor.isOlder($0.descriptor, $1.descriptor) }
            .map { try TracePart($0) }
        let plan = try MergePlan(inputs, configuration, shouldStop: shouldStop)
        countMergedDuplicates(plan.duplicates)
        guard !plan.stretches.isEmpty else { return [] }
        let rows = try plan.partRows(inputs)
        let joined =
            plan.carries
            ? try JoinedSections(inputs, rows) { plan.place(ofRow: $0, in: $1) } : nil
        var writer = TracePartWriter(
            rows, level: 3, blockRows: configuration.blockRows, joined: joined)
        var carried: [CarriedPart] = []
        if plan.carries {
            for (input, part) in inputs.enumerated() {
                carried.append(CarriedPart(part, slot: inputs.count + input, into: &writer))
            }
        }
        let cursors = inputs.map { RowCursor($0) }
        for stretch in plan.stretches {
            if shouldStop() { throw CancellationError() }
            switch stretch {
            case .carried(let number):
                let block = plan.blocks[number]
                try writer.carry(
                    block.number, of: &carried[block.input],
                    keepsStructure: !block.hasOpenTraces)
            case .loose(let range):
                try writer.endBlock()
                for row in plan.loose[range] {
                    let input = plan.input(Int(row.number))
                    let number = plan.row(Int(row.number), in: input)
                    let cursor = cursors[input]
                    if try cursor.move(to: number) { writer.begin(cursor.batch, slot: input) }
                    try cursor.withBatch { try writer.add($0, cursor.row, slot: input) }
                }
            }
        }
        var draft = PartDraft(
            rows, try writer.finish(), tenant: first.tenant, day: first.day,
            retentionClass: first.retentionClass)
        draft.duplicates = plan.duplicates
        return [draft]
    }

    package func verify(_ part: PartHandle) -> [PartCorruption] {
        var faults = part.reader.verify()
        do throws(PartCorruption) {
            let opened = try TracePart(part)
            for entry in opened.directory.blocks {
                do throws(PartCorruption) {
                    var block = SpanBlock(opened, entry)
                    _ = try block.materialise(rows: Array(0..<entry.rowCount), withTimes: true)
                    _ = try block.tree()
                } catch { faults.append(error) }
            }
            try opened.verifyIndex(&faults)
            _ = try opened.stored.catalogue()
            try opened.verifyRates(&faults)
        } catch { faults.append(error) }
        return faults
    }
}

/// Walks the rows of a part, one decoded block at a time. Ids are left out.
private final class RowCursor {
    private let part: TracePart
    private var block = 0..<0
    private(set) var batch = SpanBatch()
    /// In the batch.
    private(set) var row = 0

    init(_ part: TracePart) { self.part = part }

    /// Calls `body` with the batch where it lies.
    func withBatch(_ body: (UnsafePointer<SpanBatch>) throws -> Void) rethrows {
        try withUnsafePointer(to: &batch) { try body($0) }
    }

    /// Goes to a row of the part. True when that is in another block than the one before.
    func move(to number: Int) throws -> Bool {
        if block.contains(number) {
            row = number - block.lowerBound
            return false
        }
        guard let index = part.directory.block(ofRow: number) else {
            throw part.stored.indexCorruption("row \(number) of \(part.directory.rowCount)")
        }
        let entry = part.directory.blocks[index]
        var reader = SpanBlock(part, entry)
        batch = try reader.materialise(rows: Array(0..<entry.rowCount), withIDs: false)
        block = entry.firstRow..<(entry.firstRow + entry.rowCount)
        row = number - entry.firstRow
        return true
    }
}

extension TracePart {
    /// Whether the trace index says of every trace exactly the blocks that have rows of it, and finds
    /// it by its id.
    fileprivate func verifyIndex(
        _ faults: inout [PartCorruption]
    ) throws(PartCorruption) {
        var wanted = [[Int]](repeating: [], count: index.traceCount)
        for (number, entry) in directory.blocks.enumerated() {
            var block = SpanBlock(self, entry)
            for trace in try block.traces() where wanted[Int(trace)].last != number {
                wanted[Int(trace)].append(number)
            }
        }
        var trace = 0, wrong = 0
        for page in index.blockPages.indices {
            try stored.forEachTrace(inBlockPage: page) { blocks in
                if blocks != wanted[trace] { wrong += 1 }
                trace += 1
                return true
            }
        }
        for (number, id) in try stored.allTraceIDs().enumerated()
        where try stored.number(of: id) != number {
            wrong += 1
        }
        if wrong > 0 {
            faults.append(
                stored.indexCorruption(
                    "trace index: \(wrong) of \(index.traceCount) traces misplaced"))
        }
    }

    /// Whether the rates count every row once.
    fileprivate func verifyRates(_ faults: inout [PartCorruption]) throws(PartCorruption) {
        var spans: UInt64 = 0
        try stored.forEachRate({ _, _ in true }) { _, _, entry in spans &+= entry.durations.count }
        if spans != UInt64(directory.rowCount) {
            faults.append(
                stored.indexCorruption("rates: \(spans) spans of \(directory.rowCount)"))
        }
    }
}
