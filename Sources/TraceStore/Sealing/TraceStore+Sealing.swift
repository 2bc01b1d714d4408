// SPDX-License-Identifier: Apache-2.0
// Heads to parts.

import Base
import Storage
import Telemetry

extension TraceStore {
    /// See `SignalStore.seal`. Memory: the finished parts and some 100 bytes per span.
    package func seal(generation: UInt64) throws -> [PartDraft] {
        let heads = snapshot().heads[generation] ?? [:]
        var drafts: [PartDraft] = []
        for (tenant, head) in heads.sorted(by: { $0.key < $1.key }) {
            drafts += try seal(head, tenant: tenant)
        }
        return drafts
    }

    private func seal(_ head: TraceHead, tenant: String) throws -> [PartDraft] {
        let segments = head.segments()
        let order = HeadOrder(segments)
        var days: [Int32: [HeadOrder.Row]] = [:]
        for (number, segment) in segments.enumerated() {
            var row = 0
            while row < segment.batch.rowCount {
                let day = utcDay(ofNanos: segment.batch.startNanos[row])
                var rows = days.removeValue(forKey: day) ?? []
                while row < segment.batch.rowCount,
                    utcDay(ofNanos: segment.batch.startNanos[row]) == day
                {
                    rows.append(order.row(number, row))
                    row += 1
                }
                days[day] = rows
            }
        }
        return try days.sorted { $0.key < $1.key }.map { day, rows in
            try draft(order.sorted(rows), segments, tenant: tenant, day: day)
        }
    }

    private func draft(
        _ order: [HeadOrder.Row], _ segments: [HeadSegment], tenant: String, day: Int32
    ) throws -> PartDraft {
        var rows = PartRows(reserving: order.count)
        var numbers = TraceNumbers()
        // Looked at in place: a copy of a batch costs a reference to each of its columns.
        let batches = segments.map(\.batch)
        let bytes = try batches.withUnsafeBufferPointer { batches in
            for row in order {
                let segment = Int(row.segment), index = Int(row.index)
                rows.add(
                    trace: numbers.number(batches[segment].traceIDs[index]),
                    spanID: batches[segment].spanIDs[index],
                    parentID: batches[segment].parentIDs[index], start: row.start,
                    end: batches[segment].endNanos[index], kind: batches[segment].kinds[index])
            }
            rows.connect(numbers.ids)
            var writer = TracePartWriter(rows, level: 1, blockRows: configuration.blockRows)
            for (number, segment) in segments.enumerated() {
                writer.begin(segment.batch, slot: number)
            }
            if let base = batches.baseAddress {
                for row in order {
                    try writer.add(
                        base + Int(row.segment), Int(row.index), slot: Int(row.segment))
                }
            }
            return try writer.finish()
        }
        return PartDraft(
            rows, bytes, tenant: tenant, day: day, retentionClass: 0)
    }
}

extension PartDraft {
    /// A draft of rows that are not none.
    init(
        _ rows: PartRows, _ bytes: [UInt8], tenant: String, day: Int32, retentionClass: UInt8
    ) {
        self.init(
            tenant: tenant, day: day, minNanos: rows.starts.min() ?? 0,
            maxNanos: rows.starts.max() ?? 0, rowCount: UInt64(rows.count),
            retentionClass: retentionClass, bytes: bytes)
    }
}

/// The order of rows in a part, for rows of several segments in memory.
private struct HeadOrder {
    struct Row {
        /// Rank of the service name, then of the span name.
        var group: UInt64
        var start: Int64
        var segment: UInt32
        var index: UInt32
    }
    private let segments: [HeadSegment]
    /// Per segment, per resource the rank of its service name.
    private var services: [[UInt64]] = []
    /// Per segment the rank of the name at an offset of its arena: segments keep names once.
    private var names: [[ByteSlice: UInt64]] = []

    init(_ segments: [HeadSegment]) {
        self.segments = segments
        var serviceNames: Set<[UInt8]> = [], spanNames: Set<[UInt8]> = []
        let slices = segments.map { Set($0.batch.names) }
        for (segment, slices) in zip(segments, slices) {
            let batch = segment.batch
            for resource in batch.resources {
                serviceNames.insert(Array(batch.arena[resource.serviceName.range]))
            }
            for name in slices { spanNames.insert(Array(batch.arena[name.range])) }
        }
        let serviceRanks = ranks(serviceNames), nameRanks = ranks(spanNames)
        services = segments.map { segment in
            segment.batch.resources.map {
                serviceRanks[Array(segment.batch.arena[$0.serviceName.range])] ?? 0
            }
        }
        names = zip(segments, slices).map { segment, slices in
            var ranks: [ByteSlice: UInt64] = [:]
            for slice in slices {
                ranks[slice] = nameRanks[Array(segment.batch.arena[slice.range])] ?? 0
            }
            return ranks
        }
    }

    func row(_ segment: Int, _ index: Int) -> Row {
        let batch = segments[segment].batch
        let service = services[segment][Int(batch.rowResources[index])]
        let name = names[segment][batch.names[index]] ?? 0
        return Row(
            group: service << 32 | name, start: batch.startNanos[index],
            segment: UInt32(segment), index: UInt32(index))
    }

    func sorted(_ rows: [Row]) -> [Row] {
        rows.sorted { a, b in
            if a.group != b.group { return a.group < b.group }
            if a.start != b.start { return a.start < b.start }
            return compareKeys(key(a), key(b)) < 0
        }
    }

    private func key(_ row: Row) -> SpanKey { segments[Int(row.segment)].batch.key(Int(row.index)) }
}

/// Ranks of byte strings among each other.
func ranks(_ values: Set<[UInt8]>) -> [[UInt8]: UInt64] {
    var ranks: [[UInt8]: UInt64] = [:]
    for (rank, value) in values.sorted(by: { $0.lexicographicallyPrecedes($1) }).enumerated() {
        ranks[value] = UInt64(rank)
    }
    return ranks
}

/// Order of spans of equal service, name and start.
func compareKeys(_ a: SpanKey, _ b: SpanKey) -> Int {
    if a.traceID != b.traceID { return a.traceID < b.traceID ? -1 : 1 }
    if a.spanID != b.spanID { return a.spanID < b.spanID ? -1 : 1 }
    return Int(a.kind) - Int(b.kind)
}
