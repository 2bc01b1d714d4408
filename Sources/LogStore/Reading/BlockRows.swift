// SPDX-License-Identifier: Apache-2.0
// The rows of a block that a search left, put together as they are asked for.

import Base
import Storage
import Telemetry

/// Rows of a block whose lines are put together piece by piece: a reader that wants a hundred lines of
/// many streams needs a few of each block. Belongs to one thread.
final class BlockRows {
    /// So much more is put together each time.
    private static let growth = 8

    private let number: Int
    private let part: LogPart
    private let source: BlockLines
    private let nanos: [Int64]
    private let lengths: LengthColumn.Lengths
    private let filter: LineSelector
    private let columns: LogColumns
    private let cache: FrameCache?
    private let isDescending: Bool
    private var remaining: ArraySlice<UInt32>
    private var size: Int
    private var metadata: RowMetadata?

    /// - Parameters:
    ///   - selection: rows that may be wanted, ascending.
    ///   - atFirst: rows to put together at first; 0 = all.
    init(
        _ number: Int, of part: LogPart, _ source: BlockLines, nanos: [Int64],
        _ lengths: LengthColumn.Lengths, selection: [UInt32], filter: LineSelector,
        columns: LogColumns, cache: FrameCache?, atFirst: Int, isDescending: Bool
    ) {
        self.number = number
        self.part = part
        self.source = source
        self.nanos = nanos
        self.lengths = lengths
        self.filter = filter
        self.columns = columns
        self.cache = cache
        self.isDescending = isDescending
        remaining = selection[...]
        // Lines that are kept as they are need not be put together.
        size = source.isPlain || atFirst == 0 ? selection.count : atFirst
    }

    /// The next rows in the reader's direction, in ascending order; nil when none is left.
    func next() throws -> DecodedRows? {
        while !remaining.isEmpty {
            let chunk: ArraySlice<UInt32>
            if remaining.count <= 2 * size {
                chunk = remaining
                remaining = []
            } else if isDescending {
                chunk = remaining.suffix(size)
                remaining = remaining.dropLast(size)
            } else {
                chunk = remaining.prefix(size)
                remaining = remaining.dropFirst(size)
            }
            size = min(size * BlockRows.growth, LogFormat.maxBlockRows)
            if let rows = try rows(Array(chunk)) { return rows }
        }
        return nil
    }

    private func rows(_ selection: [UInt32]) throws -> DecodedRows? {
        let (text, lines) = try source.lines(lengths, selection)
        let rows = DecodedRows(
            nanos: nanos, sequences: [], lines: lines, isContiguous: source.isPlain, owner: text,
            base: source.isPlain ? source.plain : text.buffer, selection: selection,
            byteCount: text.count)
        filter.apply(to: rows, needlesAreFound: !source.isPlain)
        if rows.selection.isEmpty { return nil }
        rows.ids = part.blocks[number].ids.count > 0 ? try source.ids(of: selection) : []
        if columns.contains(.metadata) {
            let found = try metadata ?? part.metadata(number, cache)
            metadata = found
            rows.metadata = found
        }
        if !remaining.isEmpty { rows.later = self }
        return rows
    }
}
