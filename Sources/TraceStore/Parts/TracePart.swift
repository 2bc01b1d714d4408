// SPDX-License-Identifier: Apache-2.0
// A part with its directory.

import Base
import Storage
import Telemetry

/// A part being read: its directory and sources are held as long as this is.
final class TracePart: Sendable {
    let stored: StoredPart
    private let contents: PartContents

    init(_ stored: StoredPart, _ contents: PartContents) {
        self.stored = stored
        self.contents = contents
    }

    /// A part that no store has.
    ///
    /// - Throws: `PartCorruption` when one of the sections cannot be read.
    convenience init(_ handle: PartHandle) throws(PartCorruption) {
        let stored = try StoredPart(handle, DirectoryCache(limitBytes: .max))
        self.init(stored, try stored.opened())
    }

    private convenience init(_ stored: StoredPart, _ other: TracePart) {
        self.init(stored, other.contents)
    }

    var directory: BlockDirectory { contents.directory }
    /// Resources and scopes of the part; no rows.
    var sources: SpanBatch { contents.sources }
    var handle: PartHandle { stored.handle }
    var index: TraceIndex { stored.index }
    private var reader: PartReader { stored.reader }

    /// Span ids of parents.
    func spanIDs(of parents: [ParentColumn.Parent]) throws(PartCorruption) -> [SpanID] {
        var ids: [SpanID] = []
        ids.reserveCapacity(parents.count)
        for parent in parents {
            switch parent {
            case .none: ids.append(.zero)
            case .id(let id): ids.append(id)
            case .row(let row): ids.append(try spanID(row))
            }
        }
        return ids
    }

    /// The span id of a row, which must be below the row count.
    private func spanID(_ row: Int) throws(PartCorruption) -> SpanID {
        guard let number = directory.block(ofRow: row) else {
            throw stored.indexCorruption("parent in row \(row) of \(directory.rowCount)")
        }
        let block = directory.blocks[number]
        let start = try reader.checkedRaw(
            block[.spanIDs], family: TraceFormat.blocks, count: block.rowCount * 8,
            stored.checkedBlocks, number)
        return reader.bytes.withBytes {
            SpanID(
                UInt64(
                    littleEndian: $0.loadUnaligned(
                        fromByteOffset: start + (row - block.firstRow) * 8, as: UInt64.self)))
        }
    }

    /// Rows of a block that have a span id, counted from its first. O(rows), nothing is unpacked.
    func places(of id: SpanID, inBlock number: Int) throws(PartCorruption) -> [Int] {
        let block = directory.blocks[number]
        let start = try reader.checkedRaw(
            block[.spanIDs], family: TraceFormat.blocks, count: block.rowCount * 8,
            stored.checkedBlocks, number)
        let wanted = id.rawValue.littleEndian
        return reader.bytes.withBytes { bytes in
            (0..<block.rowCount).filter {
                bytes.loadUnaligned(fromByteOffset: start + $0 * 8, as: UInt64.self) == wanted
            }
        }
    }

    // MARK: - Frames

    func frame(_ ref: FrameRef) throws(PartCorruption) -> [UInt8] {
        ref.plainCount == 0 ? [] : try reader.frame(ref, family: TraceFormat.blocks)
    }

    /// A frame of a block as it is stored, checked.
    func storedFrame(_ ref: FrameRef) throws(PartCorruption) -> [UInt8] {
        ref.plainCount == 0 ? [] : try reader.storedFrame(ref, family: TraceFormat.blocks)
    }

    /// Whether a column's filter may hold a key. A few bytes are read where they lie, once all filters
    /// of the block were checked.
    func mayContain(
        _ key: UInt64, _ filter: FrameRef, of block: BlockEntry
    ) throws(PartCorruption) -> Bool {
        try checkFilters(of: block)
        let start = reader.fileOffset(of: filter, family: TraceFormat.blocks)
        return try decoding("filter", filter) { () throws(MalformedBytes) in
            let result = reader.bytes.withBytes { all -> Result<Bool, MalformedBytes> in
                do throws(MalformedBytes) {
                    // Both are below 2^32. A block without rows shares its number with the next.
                    let end = start + filter.storedCount
                    guard end <= all.count else {
                        throw MalformedBytes(offset: start, expected: "a filter within the file")
                    }
                    let bytes = all[start..<end]
                    return .success(
                        try XorFilter.mayContain(key, UnsafeRawBufferPointer(rebasing: bytes)))
                } catch { return .failure(error) }
            }
            return try result.get()
        }
    }

    private func checkFilters(of block: BlockEntry) throws(PartCorruption) {
        guard let number = directory.block(ofRow: block.firstRow) else {
            throw stored.indexCorruption("row \(block.firstRow) of \(directory.rowCount)")
        }
        if stored.checkedFilters.contains(number) { return }
        for column in block.columns where column.filter.plainCount > 0 {
            guard column.filter.coding == 0, column.filter.storedCount == column.filter.plainCount
            else { throw corruption("a filter that is not raw", column.filter) }
            _ = try reader.storedFrame(column.filter, family: TraceFormat.blocks)
        }
        stored.checkedFilters.insert(number)
    }

    private func corruption(_ problem: String, _ frame: FrameRef) -> PartCorruption {
        PartCorruption(
            name: reader.name,
            offset: reader.fileOffset(of: frame, family: TraceFormat.blocks), problem: problem)
    }

    /// Runs a decoder of the bytes of a block's frame and names the place where it fails.
    func decoding<R>(
        _ what: String, _ frame: FrameRef, _ body: () throws(MalformedBytes) -> R
    ) throws(PartCorruption) -> R {
        do throws(MalformedBytes) { return try body() } catch {
            throw corruption("\(what): \(error)", frame)
        }
    }
}
