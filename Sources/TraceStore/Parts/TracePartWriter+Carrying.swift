// SPDX-License-Identifier: Apache-2.0
// Blocks that go from part to part as they are.

import Base
import Storage
import Telemetry

/// A part whose blocks are taken over: what its numbers are in the new one.
struct CarriedPart {
    let part: TracePart
    private let resources: [UInt32]
    private let scopes: [UInt32]
    /// Whether resources and scopes have the same numbers in both.
    private let keepsSources: Bool
    /// Numbers of the directory; `unknown` where not asked for yet.
    private var keys: [UInt32]
    private var values: [UInt32]
    private static let unknown = UInt32.max

    /// - Parameter slot: under which the writer is to know the part's sources.
    init(_ part: TracePart, slot: Int, into writer: inout TracePartWriter) {
        self.part = part
        (resources, scopes) = writer.addSources(of: part, slot: slot)
        keepsSources =
            resources.enumerated().allSatisfy { $0.offset == Int($0.element) }
            && scopes.enumerated().allSatisfy { $0.offset == Int($0.element) }
        keys = [UInt32](repeating: CarriedPart.unknown, count: part.directory.keys.count)
        values = [UInt32](repeating: CarriedPart.unknown, count: part.directory.values.count)
    }

    /// A block's entry with the new part's numbers. Its place and its frames are still the old ones.
    mutating func renumbered(
        _ entry: BlockEntry, in directory: inout BlockDirectory
    ) -> BlockEntry {
        var entry = entry
        entry.names = entry.names?.map { value($0, &directory) }
        entry.eventNames = entry.eventNames?.map { value($0, &directory) }
        entry.resources = entry.resources?.map { resources[Int($0)] }.sorted()
        entry.scopes = entry.scopes?.map { scopes[Int($0)] }.sorted()
        for index in entry.columns.indices {
            let key = Int(entry.columns[index].key)
            if keys[key] == CarriedPart.unknown {
                keys[key] = directory.internKey(part.directory.keys[key])
            }
            entry.columns[index].key = keys[key]
            entry.columns[index].values = entry.columns[index].values?.map {
                value($0, &directory)
            }
        }
        return entry
    }

    private mutating func value(_ number: UInt32, _ directory: inout BlockDirectory) -> UInt32 {
        if values[Int(number)] == CarriedPart.unknown {
            values[Int(number)] = directory.internValue(part.directory.values[Int(number)])
        }
        return values[Int(number)]
    }

    /// The piece `sources` with the new part's numbers; nil when it stays as it is.
    func encodeSources(_ block: inout SpanBlock) throws(PartCorruption) -> [UInt8]? {
        if keepsSources { return nil }
        let sources = try block.sources()
        var writer = ByteWriter()
        NumberColumn.encode(sources.kinds, into: &writer)
        NumberColumn.encode(sources.statuses, into: &writer)
        NumberColumn.encode(sources.resources.map { resources[Int($0)] }, into: &writer)
        NumberColumn.encode(sources.scopes.map { scopes[Int($0)] }, into: &writer)
        return writer.bytes
    }
}

extension TracePartWriter {
    /// Takes over a block: its frames as they are stored, but for those that name traces, rows or
    /// sources of the part.
    ///
    /// - Parameter keepsStructure: no trace with rows in the block has rows in another part.
    /// - Throws: `PartCorruption`, `TooLarge`.
    mutating func carry(
        _ number: Int, of carrier: inout CarriedPart, keepsStructure: Bool
    ) throws {
        try endBlock()
        let part = carrier.part
        let old = part.directory.blocks[number]
        let range = nextRow..<(nextRow + old.rowCount)
        var block = SpanBlock(part, old)
        var anew = [[UInt8]?](repeating: nil, count: BlockPiece.allCases.count)
        func write(_ piece: BlockPiece, _ body: (Range<Int>, inout ByteWriter) -> Void) {
            var writer = ByteWriter()
            body(range, &writer)
            anew[piece.rawValue] = writer.bytes
        }
        write(.traces, rows.encodeTraces)
        write(.parents, rows.encodeParents)
        anew[BlockPiece.sources.rawValue] = try carrier.encodeSources(&block)
        if !keepsStructure {
            write(.tree, rows.encodeTree)
            write(.times, rows.encodeTimes)
        }
        let byteCount =
            anew.reduce(0) { $0 + ($1?.count ?? 0) }
            + old.pieces.reduce(0) { $0 + $1.storedCount }
            + old.columns.reduce(0) { $0 + $1.frame.storedCount + $1.filter.storedCount }
        guard sink.hasRoom(for: byteCount) else { throw TooLarge() }
        sink.beginGroup(byteCount)
        var entry = carrier.renumbered(old, in: &directory)
        entry.firstRow = range.lowerBound
        for piece in entry.pieces.indices {
            if let bytes = anew[piece] {
                entry.pieces[piece] = sink.append(bytes, compressed: true, level: level)
            } else {
                entry.pieces[piece] = try take(old.pieces[piece], of: part)
            }
        }
        for column in entry.columns.indices where entry.columns[column].scope == .span {
            entry.columns[column].frame = try take(old.columns[column].frame, of: part)
            entry.columns[column].filter = try take(old.columns[column].filter, of: part)
        }
        append(entry)
    }

    private mutating func take(_ frame: FrameRef, of part: TracePart) throws -> FrameRef {
        sink.append(stored: try part.storedFrame(frame), like: frame)
    }
}
