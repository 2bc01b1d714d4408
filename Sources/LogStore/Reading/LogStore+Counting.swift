// SPDX-License-Identifier: Apache-2.0
// Counts from what blocks say of themselves.

import Base
import Storage
import Telemetry

extension LogStore {
    /// Blocks that lie in the range as a whole, whose rows count alike and which no other source
    /// overlaps are counted without being opened, or with their metadata alone.
    package func count(
        _ request: LogRequest, _ context: ReadContext, _ counting: RowCounting,
        _ body: (LogBatch) throws -> Bool
    ) throws {
        guard request.filters.isEmpty, RowConditions(request).isEmpty else {
            return try read(request, context, body)
        }
        var request = request
        request.order = .any
        request.limit = 0
        let source = try source(request, .none, context)
        for range in source.days(of: request.range) {
            let plan = try source.plan(range)
            var merge = RowMerge(
                plan, range: range, filter: .none, cache: cache.counting(context),
                isDescending: false, columns: request.columns, context, damaged: .skip)
            let goesOn = try withoutActuallyEscaping(body) { body in
                var sink = BatchSink(plan.streams, isDescending: false, limit: 0, body)
                for stream in plan.streams.indices {
                    try context.check()
                    let rest = try count(
                        stream, of: plan, range, request.columns, context, counting)
                    if rest.isEmpty { continue }
                    if try !merge.run(rest, into: &sink, checkpoint: { try context.check() }) {
                        return false
                    }
                }
                return try sink.flush()
            }
            if !goesOn { return }
        }
    }

    /// Counts what can be counted.
    ///
    /// - Returns: the other pieces of the stream.
    private func count(
        _ stream: Int, of plan: ReadPlan, _ range: NanosRange, _ columns: LogColumns,
        _ context: ReadContext, _ counting: RowCounting
    ) throws -> [Int] {
        let labels = plan.streams[stream]
        var rest: [Int] = []
        let pieces = plan.pieces(of: stream)
        let overlapping = plan.overlapping(pieces)
        for (number, overlaps) in zip(pieces, overlapping) {
            let piece = plan.pieces[number]
            guard !overlaps, case .block(let part, let index) = piece.origin,
                // What is deleted is told by the rows.
                part.deletions.isEmpty, range.contains(piece.minNanos),
                range.contains(piece.maxNanos),
                let groups = try part.groups(
                    index, counting.likeness(labels, piece.minNanos, piece.maxNanos),
                    mostGroups: columns.contains(.lines) ? 1 : MetadataColumns.mostGroups,
                    cache.counting(context))
            else {
                rest.append(number)
                continue
            }
            let block = part.blocks[index]
            for group in groups {
                try counting.count(
                    RowCounting.Rows(
                        stream: labels, metadata: group.metadata, nanos: block.minNanos,
                        count: group.rows,
                        byteCount: groups.count == 1 ? Int(block.lineBytes) : 0))
            }
            context.count(blocks: 1, .counted)
        }
        return rest
    }
}

extension ReadPlan {
    /// Which of a stream's pieces share a moment with a piece of another source.
    ///
    /// - Complexity: O(n log n) where few pieces overlap.
    func overlapping(_ range: Range<Int>) -> [Bool] {
        var result = [Bool](repeating: false, count: range.count)
        guard gathers[Int(pieces[range.lowerBound].stream)] else { return result }
        var open: [Int] = []
        for number in range.sorted(by: { pieces[$0].minNanos < pieces[$1].minNanos }) {
            let piece = pieces[number]
            open.removeAll { pieces[$0].maxNanos < piece.minNanos }
            for other in open where pieces[other].source != piece.source {
                result[other - range.lowerBound] = true
                result[number - range.lowerBound] = true
            }
            open.append(number)
        }
        return result
    }
}

/// Rows of a block with the same metadata, as far as it matters.
struct MetadataGroup: Equatable {
    /// Canonical bytes.
    var metadata: [UInt8]
    var rows: Int
}

extension LogPart {
    /// Rows of a block that count alike; nil when they have to be looked at one by one.
    ///
    /// - Complexity: reads the block's metadata where that matters, never its lines or times.
    fileprivate func groups(
        _ number: Int, _ likeness: RowCounting.Likeness, mostGroups: Int, _ cache: FrameCache?
    ) throws -> [MetadataGroup]? {
        let block = blocks[number]
        let all = [MetadataGroup(metadata: [], rows: Int(block.rows))]
        switch likeness {
        case .never: return nil
        case .none: return all
        case .metadata(let names):
            if block.metadata.count == 0 { return all }
            do {
                return try column(block.metadata, number, cache) { bytes, owner in
                    try MetadataColumns(bytes, owner: owner, rows: Int(block.rows)).groups(
                        names, rows: Int(block.rows), mostGroups: mostGroups)
                }
            } catch is PartCorruption {
                // Reading the rows tells.
                return nil
            }
        }
    }
}

extension MetadataColumns {
    /// Most values of a label whose rows are counted together.
    static let mostGroups = LogFormat.Metadata.maxDictionary

    /// Rows with the same values of some keys; nil when there are more than `mostGroups` of them, when
    /// two keys vary, or when one holds ids.
    ///
    /// - Parameter names: keys; nil = all.
    func groups(_ names: [String]?, rows n: Int, mostGroups: Int) -> [MetadataGroup]? {
        let wanted = names.map { names in
            names.map { name in
                var prefix = ByteWriter()
                prefix.lengthPrefixed(name)
                return prefix.bytes
            }
        }
        let chosen = columns.filter { wanted?.contains($0.name) ?? true }
        var varying: [ByteSlice]?
        for column in chosen {
            switch column.values {
            case .constant: continue
            case .perRow(let rows):
                if varying != nil || mostGroups < 2 { return nil }
                varying = rows
            case .traceID, .spanID: return nil
            }
        }
        func canonical(_ value: ByteSlice) -> [UInt8] {
            var out = ByteWriter()
            for column in chosen {
                var slice = value
                if case .constant(let constant) = column.values { slice = constant }
                if slice.isEmpty { continue }
                out.raw(column.name)
                out.lengthPrefixed(UnsafeRawBufferPointer(rebasing: bytes[slice.range]))
            }
            return out.bytes
        }
        guard let varying else { return [MetadataGroup(metadata: canonical(.empty), rows: n)] }
        // Values of a dictionary lie in one place each; others are alike by their bytes.
        var counts: [ByteSlice: Int] = [:]
        for slice in varying {
            counts[slice.isEmpty ? .empty : slice, default: 0] += 1
            if counts.count > mostGroups { return nil }
        }
        var groups: [[UInt8]: Int] = [:]
        for (slice, count) in counts { groups[canonical(slice), default: 0] += count }
        return groups.map { MetadataGroup(metadata: $0.key, rows: $0.value) }
            .sorted { $0.metadata.lexicographicallyPrecedes($1.metadata) }
    }
}
