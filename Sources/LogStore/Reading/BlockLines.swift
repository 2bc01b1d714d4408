// SPDX-License-Identifier: Apache-2.0
// The lines of a block, searched before they are put together.

import Base
import Storage
import Telemetry

/// The column of lines of one block, opened. Belongs to one thread.
final class BlockLines {
    /// What a search found.
    enum Found {
        case all
        /// One flag per row of the block.
        case rows([Bool])
    }

    private let part: LogPart
    private let number: Int
    private let cache: FrameCache?
    private let owner: SharedBytes
    /// The lines back to back, where they are kept as they are.
    let plain: UnsafeRawBufferPointer
    private var templated: TemplateBlock?
    private let reader: IDReader

    var isPlain: Bool { templated == nil }

    init(_ number: Int, of part: LogPart, _ cache: FrameCache?) throws {
        self.part = part
        self.number = number
        self.cache = cache
        let block = part.blocks[number]
        let reader = IDReader(part, number, cache)
        self.reader = reader
        guard block.lines.count > 0 else {
            owner = SharedBytes([])
            plain = owner.buffer
            return
        }
        owner = try part.frame(block.lines.frame, cache)
        let bytes = block.lines.bytes(in: owner)
        guard block.isTemplated else {
            plain = bytes
            return
        }
        plain = UnsafeRawBufferPointer(start: nil, count: 0)
        let owner = owner
        templated = try part.naming(block.lines, number) {
            try TemplateBlock(
                bytes, owner: owner, rows: Int(block.rows), total: Int(block.lineBytes)
            ) { try reader.ids(of: $0) }
        }
    }

    /// Rows that pass the filter's needles; nil when none does. Lines that are kept as they are may
    /// be found later not to pass.
    func search(_ filter: LineSelector) throws -> Found? {
        guard let templated else { return filter.mayHold(plain) ? .all : nil }
        return try part.naming(part.blocks[number].lines, number) {
            try filter.rows(of: templated)
        }
    }

    /// Puts selected lines together; see `TemplateBlock.build`.
    func lines(
        _ lengths: LengthColumn.Lengths, _ selection: [UInt32]
    ) throws -> (text: SharedBytes, lines: [ByteSlice]) {
        if case .slices(let slices) = lengths { return (owner, slices) }
        guard let templated else {
            throw part.fault(part.blocks[number].lines.frame, "block \(number) has no templates")
        }
        return try part.naming(part.blocks[number].lines, number) {
            try templated.build(selection.count == templated.rows ? nil : selection)
        }
    }

    /// Trace and span ids of these rows, ascending; those of other rows may be missing.
    func ids(of rows: [UInt32]) throws -> [RowIDs] { try reader.ids(of: rows) }

    /// Reads ids once for all rows, or for as few as are asked for at a time.
    private final class IDReader {
        private let part: LogPart
        private let number: Int
        private let cache: FrameCache?
        private var found: [RowIDs]?
        private var few: (rows: [UInt32], ids: [RowIDs])?

        init(_ part: LogPart, _ number: Int, _ cache: FrameCache?) {
            self.part = part
            self.number = number
            self.cache = cache
        }

        /// Whether rows are among others; both ascending.
        private func isSubset(_ rows: [UInt32], _ others: [UInt32]) -> Bool {
            var next = 0
            for row in rows {
                while next < others.count, others[next] < row { next += 1 }
                if next == others.count || others[next] != row { return false }
            }
            return true
        }

        /// - Parameter rows: nil = all.
        func ids(of rows: [UInt32]?) throws -> [RowIDs] {
            if let found { return found }
            guard let rows, rows.count * 4 < Int(part.blocks[number].rows) else {
                let ids = try part.ids(number, cache)
                found = ids
                few = nil
                return ids
            }
            if let few, isSubset(rows, few.rows) { return few.ids }
            let ids = try part.ids(number, cache, only: rows)
            few = (rows, ids)
            return ids
        }
    }
}
