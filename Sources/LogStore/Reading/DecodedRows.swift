// SPDX-License-Identifier: Apache-2.0
// Rows of one stream in memory, from a block or from a head.

import Base
import Storage
import Telemetry

/// Structured metadata of decoded rows.
enum RowMetadata {
    case none
    /// The same canonical bytes in every row.
    case constant([UInt8])
    /// Slices of the same memory as the lines.
    case slices([ByteSlice])
    case columns(MetadataColumns)
}

/// Rows of one stream in ascending order of (time, log record), and which of them are wanted.
///
/// Belongs to the one thread that reads.
final class DecodedRows {
    let nanos: [Int64]
    /// Log record of each row; empty when all are alike.
    let sequences: [UInt64]
    /// Slices of `base`; empty when lines are not wanted.
    let lines: [ByteSlice]
    /// Whether lines lie back to back in `base`, in order.
    let isContiguous: Bool
    /// Keeps the memory of lines and metadata.
    private let owner: AnyObject
    let base: UnsafeRawBufferPointer
    /// Indices of the wanted rows, ascending.
    var selection: [UInt32]
    var metadata = RowMetadata.none
    /// Empty when no row has an id.
    var ids: [RowIDs] = []
    /// Rows of the same block that come after these in the reader's direction.
    var later: BlockRows?
    /// Bytes that the lines were decoded from.
    let byteCount: Int

    init(
        nanos: [Int64], sequences: [UInt64], lines: [ByteSlice], isContiguous: Bool,
        owner: AnyObject, base: UnsafeRawBufferPointer, selection: [UInt32], byteCount: Int
    ) {
        self.nanos = nanos
        self.sequences = sequences
        self.lines = lines
        self.isContiguous = isContiguous
        self.owner = owner
        self.base = base
        self.selection = selection
        self.byteCount = byteCount
    }

    func line(_ row: Int) -> UnsafeRawBufferPointer {
        lines.isEmpty
            ? UnsafeRawBufferPointer(start: nil, count: 0)
            : UnsafeRawBufferPointer(rebasing: base[lines[row].range])
    }

    func rowIDs(_ row: Int) -> RowIDs { ids.isEmpty ? .none : ids[row] }

    func sequence(_ row: Int) -> UInt64 { sequences.isEmpty ? 0 : sequences[row] }

    /// Appends the canonical metadata of a row.
    func appendMetadata(_ row: Int, into out: inout [UInt8]) {
        switch metadata {
        case .none: return
        case .constant(let bytes): out.append(contentsOf: bytes)
        case .slices(let slices):
            out.append(contentsOf: UnsafeRawBufferPointer(rebasing: base[slices[row].range]))
        case .columns(let columns): columns.append(row: row, ids: rowIDs(row), into: &out)
        }
    }

    /// Memory held, roughly.
    var heldBytes: Int { byteCount + nanos.count * 32 }

    // MARK: - From a head

    /// The rows of a chunk in the range, sorted.
    convenience init(_ view: ChunkView, range: NanosRange) {
        var order: [Int] = []
        order.reserveCapacity(view.rows.count)
        for index in view.rows.indices where range.contains(view.rows[index].nanos) {
            order.append(index)
        }
        if !view.isSorted {
            let rows = view.rows
            order.sort {
                (rows[$0].nanos, rows[$0].sequence, $0) < (rows[$1].nanos, rows[$1].sequence, $1)
            }
        }
        let rows = view.rows
        self.init(
            nanos: order.map { rows[$0].nanos }, sequences: order.map { rows[$0].sequence },
            lines: order.map { rows[$0].line }, isContiguous: false, owner: view.chunk,
            base: view.arena, selection: order.indices.map { UInt32($0) },
            byteCount: order.reduce(0) { $0 + Int(rows[$1].line.count) })
        if order.contains(where: { !rows[$0].metadata.isEmpty }) {
            metadata = .slices(order.map { rows[$0].metadata })
        }
        if let all = view.ids { ids = order.map { all[$0] } }
    }

    // MARK: - From a part

    /// Decodes a block as far as needed: what is searched for first, then times, then the lines that
    /// are left, and the other columns only when there are any. Nil when there are none.
    ///
    /// - Parameters:
    ///   - trace: rows of others are left out.
    ///   - atFirst: rows to put together at first, the others being `later`; 0 = all.
    static func decode(
        _ number: Int, of part: LogPart, range: NanosRange, filter: LineSelector,
        conditions: RowConditions = .none, trace: TraceID? = nil, columns: LogColumns = .all,
        cache: FrameCache?,
        atFirst: Int = 0, isDescending: Bool = false, _ context: ReadContext
    ) throws -> DecodedRows? {
        let block = part.blocks[number]
        if trace != nil, block.ids.count == 0 { return nil }
        var wanted = BlockLines.Found.all
        if !conditions.isEmpty {
            guard let rows = try conditions.rows(of: number, in: part, cache) else {
                context.count(blocks: 1, .skippedByMetadata)
                return nil
            }
            wanted = rows
        }
        guard columns.contains(.lines) || !filter.isEmpty else {
            return try withoutLines(
                number, of: part, range: range, wanted, columns, cache, context)
        }
        let source = try BlockLines(number, of: part, cache)
        guard let found = try source.search(filter) else {
            context.count(blocks: 1, .searched)
            try context.count(samples: Int(block.rows), bytes: Int(block.lineBytes))
            return nil
        }
        let (nanos, lengths) = try part.numbers(number, cache)
        let first = lowerBound(nanos, range.first.rawValue)
        let end =
            range.last.rawValue == .max
            ? nanos.count : lowerBound(nanos, range.last.rawValue + 1)
        guard first < end else { return nil }
        var selection = (first..<end).map { UInt32($0) }
        if case .rows(let hits) = found { selection.removeAll { !hits[Int($0)] } }
        if case .rows(let hits) = wanted { selection.removeAll { !hits[Int($0)] } }
        try context.count(samples: end - first, bytes: Int(block.lineBytes))
        context.count(blocks: 1, .read)
        if let trace, !selection.isEmpty {
            let ids = try source.ids(of: selection)
            selection.removeAll {
                ids[Int($0)].traceHigh != trace.high || ids[Int($0)].traceLow != trace.low
            }
        }
        if selection.isEmpty { return nil }
        return try BlockRows(
            number, of: part, source, nanos: nanos, lengths, selection: selection, filter: filter,
            columns: columns, cache: cache, atFirst: atFirst, isDescending: isDescending
        ).next()
    }

    /// Decodes times, and metadata where that is wanted.
    private static func withoutLines(
        _ number: Int, of part: LogPart, range: NanosRange, _ wanted: BlockLines.Found,
        _ columns: LogColumns,
        _ cache: FrameCache?, _ context: ReadContext
    ) throws -> DecodedRows? {
        let nanos = try part.numbers(number, cache).nanos
        let first = lowerBound(nanos, range.first.rawValue)
        let end =
            range.last.rawValue == .max
            ? nanos.count : lowerBound(nanos, range.last.rawValue + 1)
        guard first < end else { return nil }
        try context.count(samples: end - first, bytes: nanos.count * 8)
        context.count(blocks: 1, .read)
        var selection = (first..<end).map { UInt32($0) }
        if case .rows(let hits) = wanted { selection.removeAll { !hits[Int($0)] } }
        if selection.isEmpty { return nil }
        let nothing = SharedBytes([])
        let rows = DecodedRows(
            nanos: nanos, sequences: [], lines: [], isContiguous: false, owner: nothing,
            base: nothing.buffer, selection: selection, byteCount: 0)
        if part.blocks[number].ids.count > 0 {
            rows.ids = try part.ids(number, cache, only: selection)
        }
        if columns.contains(.metadata) { rows.metadata = try part.metadata(number, cache) }
        return rows
    }

    /// First index whose value is not below `wanted`.
    private static func lowerBound(_ values: [Int64], _ wanted: Int64) -> Int {
        var low = 0, high = values.count
        while low < high {
            let middle = (low + high) / 2
            if values[middle] < wanted { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension ColumnLocation {
    /// The column's bytes; opening the part has checked that they lie inside the frame.
    func bytes(in frame: SharedBytes) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            rebasing: frame.buffer[Int(offset)..<(Int(offset) + Int(count))])
    }
}

extension LogPart {
    /// Times of a block's rows and lengths of their lines.
    func numbers(
        _ number: Int, _ cache: FrameCache?
    ) throws -> (nanos: [Int64], lengths: LengthColumn.Lengths) {
        let block = blocks[number]
        // A block without numbers cannot be: even one row has a time.
        guard block.numbers.count > 0 else {
            throw PartCorruption(
                name: reader.name, offset: 0, problem: "block \(number) has no times")
        }
        return try column(block.numbers, number, cache) { bytes, _ in
            var reader = ByteReader(bytes)
            let nanos = try TimeColumn.decode(&reader, rows: Int(block.rows))
            guard nanos.first == block.minNanos, nanos.last == block.maxNanos else {
                throw reader.malformed("times from \(block.minNanos) to \(block.maxNanos)")
            }
            let lengths = try LengthColumn.decode(
                &reader, rows: Int(block.rows), total: Int(block.lines.count))
            guard reader.isAtEnd else { throw reader.malformed("end of the column") }
            let total =
                switch lengths {
                case .slices: block.isTemplated ? -1 : Int(block.lines.count)
                case .templated(let total): block.isTemplated ? total : -1
                }
            guard total == Int(block.lineBytes) else {
                throw reader.malformed("lines of \(block.lineBytes) bytes")
            }
            return (nanos, lengths)
        }
    }

    /// Structured metadata of a block's rows.
    func metadata(_ number: Int, _ cache: FrameCache?) throws -> RowMetadata {
        let block = blocks[number]
        if block.metadata.count == 0 { return .none }
        return try column(block.metadata, number, cache) { bytes, owner in
            let columns = try MetadataColumns(bytes, owner: owner, rows: Int(block.rows))
            return columns.constantBytes().map { .constant($0) } ?? .columns(columns)
        }
    }

    /// Trace and span ids of a block's rows; empty when none has any.
    ///
    /// - Parameter wanted: rows whose ids are asked for, ascending; nil = all. Those of other rows
    ///   may be missing.
    func ids(
        _ number: Int, _ cache: FrameCache?, only wanted: [UInt32]? = nil
    ) throws -> [RowIDs] {
        let block = blocks[number]
        if block.ids.count == 0 { return [] }
        return try column(block.ids, number, cache) { bytes, _ in
            try IdentifierColumns.decode(
                bytes, rows: Int(block.rows), only: wanted, part: TraceReader(self, cache))
        }
    }

    /// Runs a decoder over a column, keeps its memory alive meanwhile and names the place when the
    /// decoder refuses.
    func column<T>(
        _ location: ColumnLocation, _ block: Int, _ cache: FrameCache?,
        _ body: (UnsafeRawBufferPointer, SharedBytes) throws -> T
    ) throws -> T {
        let frame = try frame(location.frame, cache)
        return try naming(location, block) {
            try frame.withBytes { _ in try body(location.bytes(in: frame), frame) }
        }
    }

    /// Names the place when a decoder refuses.
    func naming<T>(
        _ location: ColumnLocation, _ block: Int, _ body: () throws -> T
    ) throws -> T {
        do {
            return try body()
        } catch let error as MalformedBytes {
            throw fault(location.frame, "block \(block): \(error)")
        }
    }
}
