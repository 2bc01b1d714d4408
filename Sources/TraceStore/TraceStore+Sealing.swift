// SPDX-License-Identifier: Apache-2.0
// Heads to parts, and parts to fewer parts.

import Base
import Storage
import Telemetry

extension TraceStore {
    /// See `SignalStore.seal`. Memory: the finished parts and 32 bytes per span.
    package func seal(generation: UInt64) throws -> [PartDraft] {
        let heads = snapshot().heads[generation] ?? [:]
        var drafts: [PartDraft] = []
        for (tenant, head) in heads.sorted(by: { $0.key < $1.key }) {
            drafts += try TraceStore.seal(head, tenant: tenant)
        }
        return drafts
    }

    private static func seal(_ head: TraceHead, tenant: String) throws -> [PartDraft] {
        let segments = head.segments()
        let order = RowOrder(segments)
        var days: [Int32: [RowOrder.Row]] = [:]
        for (number, segment) in segments.enumerated() {
            for row in 0..<segment.batch.rowCount {
                days[utcDay(ofNanos: segment.batch.startNanos[row]), default: []]
                    .append(order.row(number, row))
            }
        }
        return try days.sorted { $0.key < $1.key }.map { day, rows in
            var writer = TracePartWriter(level: 1)
            for row in order.sorted(rows) {
                try writer.add(
                    segments[Int(row.segment)].batch, Int(row.index), slot: Int(row.segment))
            }
            return try draft(writer, tenant: tenant, day: day, retentionClass: 0)
        }
    }

    private static func draft(
        _ writer: TracePartWriter, tenant: String, day: Int32, retentionClass: UInt8
    ) throws -> PartDraft {
        PartDraft(
            tenant: tenant, day: day, minNanos: writer.minStart, maxNanos: writer.maxStart,
            rowCount: UInt64(writer.rowCount), retentionClass: retentionClass,
            bytes: try writer.finish())
    }

    /// See `SignalStore.merge`. Reads each input block by block: memory is one block per input,
    /// the output and 24 bytes per span.
    package func merge(_ parts: [PartHandle], shouldStop: () -> Bool) throws -> [PartDraft] {
        guard let first = parts.first?.descriptor else { return [] }
        let inputs = try parts.sorted { PartDescriptor.isOlder($0.descriptor, $1.descriptor) }
            .map { try TracePart($0) }
        let shared = try TraceStore.sharedTraces(inputs)
        var cursors = inputs.enumerated().map { RowCursor($1, slot: $0) }
        var writer = TracePartWriter(level: 3)
        for i in cursors.indices where try cursors[i].start() {
            writer.begin(cursors[i].batch, slot: i)
        }
        var seen: Set<SpanKey> = []
        var steps = 0, duplicates = 0
        while let least = RowCursor.least(cursors) {
            steps += 1
            if steps % 256 == 0, shouldStop() { throw CancellationError() }
            let cursor = cursors[least]
            let key = cursor.batch.key(cursor.row)
            if shared.contains(key.traceID), !seen.insert(key).inserted {
                duplicates += 1
            } else {
                try writer.add(cursor.batch, cursor.row, slot: least)
            }
            if try cursors[least].advance() {
                writer.begin(cursors[least].batch, slot: least)
            }
        }
        countMergedDuplicates(duplicates)
        guard writer.rowCount > 0 else { return [] }
        var draft = try TraceStore.draft(
            writer, tenant: first.tenant, day: first.day, retentionClass: first.retentionClass)
        draft.duplicates = duplicates
        return [draft]
    }

    /// Traces that more than one input holds: only their spans can be duplicates.
    private static func sharedTraces(_ inputs: [TracePart]) throws -> Set<TraceID> {
        var ids: [TraceID] = []
        for input in inputs { try input.forEachTrace { id, _ in ids.append(id) } }
        ids.sort()
        return Set(zip(ids, ids.dropFirst()).lazy.filter { $0 == $1 }.map(\.0))
    }

    package func verify(_ part: PartHandle) -> [PartCorruption] {
        var faults = part.reader.verify()
        do throws(PartCorruption) {
            let opened = try TracePart(part)
            for entry in opened.directory.blocks {
                do throws(PartCorruption) {
                    let block = try SpanBlock(opened, entry)
                    _ = try block.materialise(rows: Array(0..<entry.rowCount))
                } catch { faults.append(error) }
            }
            try opened.verifyIndex(&faults)
            _ = try opened.catalogue()
        } catch { faults.append(error) }
        return faults
    }
}

extension TracePart {
    /// Whether every row stands in the trace index exactly once, under its own trace id.
    fileprivate func verifyIndex(
        _ faults: inout [PartCorruption]
    ) throws(PartCorruption) {
        var ids: [TraceID] = []
        for entry in directory.blocks { ids += try SpanBlock(self, entry).traceIDs }
        var found = 0
        var wrong = 0
        try forEachTrace { id, rows in
            found += rows.count
            wrong += rows.count { $0 >= ids.count || ids[$0] != id }
        }
        if found != ids.count || wrong > 0 {
            faults.append(
                indexCorruption("trace index: \(found) of \(ids.count) rows, \(wrong) misplaced"))
        }
    }
}

/// The order of rows in a part, for rows of several segments in memory.
private struct RowOrder {
    struct Row {
        /// Rank of (service, name) among all pairs.
        var group: UInt64
        var start: Int64
        var segment: UInt32
        var index: UInt32
    }
    private let segments: [HeadSegment]
    /// Per segment, per resource the rank of its service name.
    private var services: [[UInt64]] = []
    private var names: [[UInt8]: UInt64] = [:]

    init(_ segments: [HeadSegment]) {
        self.segments = segments
        var serviceNames: Set<[UInt8]> = [], spanNames: Set<[UInt8]> = []
        for segment in segments {
            let batch = segment.batch
            for resource in batch.resources {
                serviceNames.insert(Array(batch.arena[resource.serviceName.range]))
            }
            var previous: ByteSlice?
            for name in batch.names where name != previous {
                spanNames.insert(Array(batch.arena[name.range]))
                previous = name
            }
        }
        let serviceRanks = RowOrder.ranks(serviceNames)
        names = RowOrder.ranks(spanNames)
        services = segments.map { segment in
            segment.batch.resources.map {
                serviceRanks[Array(segment.batch.arena[$0.serviceName.range])] ?? 0
            }
        }
    }

    private static func ranks(_ values: Set<[UInt8]>) -> [[UInt8]: UInt64] {
        var ranks: [[UInt8]: UInt64] = [:]
        for (rank, value) in values.sorted(by: { $0.lexicographicallyPrecedes($1) }).enumerated() {
            ranks[value] = UInt64(rank)
        }
        return ranks
    }

    func row(_ segment: Int, _ index: Int) -> Row {
        let batch = segments[segment].batch
        let service = services[segment][Int(batch.rowResources[index])]
        let name = names[Array(batch.arena[batch.names[index].range])] ?? 0
        return Row(
            group: service << 32 | name, start: batch.startNanos[index],
            segment: UInt32(segment), index: UInt32(index))
    }

    func sorted(_ rows: [Row]) -> [Row] {
        rows.sorted { a, b in
            if a.group != b.group { return a.group < b.group }
            if a.start != b.start { return a.start < b.start }
            return order(key(a), key(b)) < 0
        }
    }

    private func key(_ row: Row) -> SpanKey { segments[Int(row.segment)].batch.key(Int(row.index)) }
}

/// Order of spans of equal service, name and start.
private func order(_ a: SpanKey, _ b: SpanKey) -> Int {
    if a.traceID != b.traceID { return a.traceID < b.traceID ? -1 : 1 }
    if a.spanID != b.spanID { return a.spanID < b.spanID ? -1 : 1 }
    return Int(a.kind) - Int(b.kind)
}

/// Walks the rows of a part in order, one decoded block at a time.
private struct RowCursor {
    private let part: TracePart
    private var nextBlock = 0
    private(set) var batch = SpanBatch()
    private(set) var row = 0

    init(_ part: TracePart, slot: Int) { self.part = part }

    var isAtEnd: Bool { row >= batch.rowCount }

    /// Loads the first block; false when the part has none.
    mutating func start() throws -> Bool { try load() }

    /// Steps to the next row. True when that is in another block.
    mutating func advance() throws -> Bool {
        row += 1
        return row >= batch.rowCount ? try load() : false
    }

    private mutating func load() throws -> Bool {
        while nextBlock < part.directory.blocks.count {
            let entry = part.directory.blocks[nextBlock]
            nextBlock += 1
            guard entry.rowCount > 0 else { continue }
            batch = try SpanBlock(part, entry).materialise(rows: Array(0..<entry.rowCount))
            row = 0
            return true
        }
        return false
    }

    /// The cursor whose row comes first; of equal rows that of the earlier input.
    static func least(_ cursors: [RowCursor]) -> Int? {
        var best: Int?
        for i in cursors.indices where !cursors[i].isAtEnd {
            if let current = best, !(compare(cursors[i], cursors[current]) < 0) { continue }
            best = i
        }
        return best
    }

    private static func compare(_ a: RowCursor, _ b: RowCursor) -> Int {
        a.batch.arena.withUnsafeBytes { x in
            b.batch.arena.withUnsafeBytes { y in
                let service = compareBytes(
                    UnsafeRawBufferPointer(rebasing: x[a.service.range]),
                    UnsafeRawBufferPointer(rebasing: y[b.service.range]))
                if service != 0 { return service }
                let name = compareBytes(
                    UnsafeRawBufferPointer(rebasing: x[a.batch.names[a.row].range]),
                    UnsafeRawBufferPointer(rebasing: y[b.batch.names[b.row].range]))
                if name != 0 { return name }
                let first = a.batch.startNanos[a.row], second = b.batch.startNanos[b.row]
                if first != second { return first < second ? -1 : 1 }
                return order(a.batch.key(a.row), b.batch.key(b.row))
            }
        }
    }

    private var service: ByteSlice {
        batch.resources[Int(batch.rowResources[row])].serviceName
    }
}
