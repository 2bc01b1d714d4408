// SPDX-License-Identifier: Apache-2.0
// An opened trace part.

import Base
import Storage
import Synchronization
import Telemetry

/// A part whose directory, resources and places of the trace index are in memory; all else is read
/// on demand.
final class TracePart: Sendable {
    let handle: PartHandle
    let directory: BlockDirectory
    /// Resources and scopes of the part; no rows.
    let sources: SpanBatch
    let index: TraceIndex
    let minStart: Int64
    let maxStart: Int64
    private let filter: PartReader.Section?
    private let checkedIDs: CheckedFrames
    private let checkedOrders: CheckedFrames
    /// Of the span ids of blocks.
    private let checkedBlocks: CheckedFrames

    var id: UInt64 { handle.descriptor.id }
    var tenant: String { handle.descriptor.tenant }
    private var reader: PartReader { handle.reader }

    /// - Throws: `PartCorruption` when one of the sections cannot be read.
    init(_ handle: PartHandle) throws(PartCorruption) {
        self.handle = handle
        let reader = handle.reader
        guard reader.signal == .traces else {
            throw PartCorruption(
                name: reader.name, offset: 10, problem: "holds \(reader.signal.name), not traces")
        }
        let sources = try reader.decode(TraceFormat.sources) { bytes throws(MalformedBytes) in
            try SpanBatch(decoding: bytes)
        }
        let directory = try reader.decode(TraceFormat.directory) { bytes throws(MalformedBytes) in
            var cursor = ByteReader(bytes)
            return try BlockDirectory(
                decoding: &cursor, resources: sources.resources.count,
                scopes: sources.scopes.count)
        }
        let index = try reader.decode(TraceFormat.index) { bytes throws(MalformedBytes) in
            var cursor = ByteReader(bytes)
            return try TraceIndex(decoding: &cursor)
        }
        filter = reader.section(TraceFormat.filter)
        // Checked once here; afterwards bytes of it are read where it lies.
        if filter != nil { _ = try reader.read(TraceFormat.filter) }
        self.sources = sources
        self.directory = directory
        self.index = index
        minStart = directory.blocks.map(\.minStart).min() ?? .max
        maxStart = directory.blocks.map(\.maxStart).max() ?? .min
        checkedIDs = CheckedFrames(count: index.idFrames.count)
        checkedOrders = CheckedFrames(count: index.orderPages.count)
        checkedBlocks = CheckedFrames(count: directory.blocks.count)
    }

    /// Reads the catalogue. Not kept: completion is rare.
    func catalogue() throws(PartCorruption) -> Catalogue {
        try reader.decode(TraceFormat.catalogue) { bytes throws(MalformedBytes) in
            var cursor = ByteReader(bytes)
            return try Catalogue(decoding: &cursor)
        }
    }

    /// Reads the rates of those operations that `isWanted` names.
    func forEachRate(
        _ isWanted: (_ service: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer) -> Bool,
        _ body: (
            _ service: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer, RateEntry
        ) -> Void
    ) throws(PartCorruption) {
        let rows = directory.rowCount
        try reader.decode(TraceFormat.rates) { bytes throws(MalformedBytes) in
            try RateReader.read(bytes, rows: rows, isWanted, body)
        }
    }

    // MARK: - Ids

    /// Whether the part may hold a trace; no false denials. Three bytes are read.
    func mayContain(_ id: TraceID) -> Bool {
        guard let filter else { return true }
        return reader.withStored(filter) { bytes in
            (try? XorFilter.mayContain(filterKey(id), bytes)) ?? true
        }
    }

    /// The number of a trace; nil when the part does not hold it.
    func number(of id: TraceID) throws(PartCorruption) -> Int? {
        guard mayContain(id), let page = index.orderPage(for: id) else { return nil }
        let count = index.traces(inFrame: page, of: Limits.indexPageTraces)
        let place = try reader.checkedRaw(
            index.orderPages[page].frame, family: TraceFormat.indexPages, count: count * 4,
            checkedOrders, page)
        var low = 0, high = count
        while low < high {
            let middle = (low + high) / 2
            let number = reader.bytes.withBytes {
                $0.loadUnaligned(fromByteOffset: place + middle * 4, as: UInt32.self)
            }
            guard Int(UInt32(littleEndian: number)) < index.traceCount else {
                throw indexCorruption("order of trace ids: number \(number)")
            }
            let other = try traceID(Int(UInt32(littleEndian: number)))
            if other == id { return Int(UInt32(littleEndian: number)) }
            if other < id { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    private func traceID(_ number: Int) throws(PartCorruption) -> TraceID {
        let frame = number / Limits.idFrameTraces
        let count = index.traces(inFrame: frame, of: Limits.idFrameTraces) * 16
        let start = try reader.checkedRaw(
            index.idFrames[frame], family: TraceFormat.indexPages, count: count, checkedIDs, frame)
        let place = start + number % Limits.idFrameTraces * 16
        return reader.bytes.withBytes {
            TraceID(
                high: UInt64(
                    littleEndian: $0.loadUnaligned(fromByteOffset: place, as: UInt64.self)),
                low: UInt64(
                    littleEndian: $0.loadUnaligned(fromByteOffset: place + 8, as: UInt64.self)))
        }
    }

    /// Ids of traces by number; numbers must be below the trace count.
    func traceIDs(_ numbers: [UInt32]) throws(PartCorruption) -> [TraceID] {
        var ids: [TraceID] = []
        ids.reserveCapacity(numbers.count)
        for number in numbers { ids.append(try traceID(Int(number))) }
        return ids
    }

    /// All trace ids by number.
    func allTraceIDs() throws(PartCorruption) -> [TraceID] {
        var ids: [TraceID] = []
        ids.reserveCapacity(index.traceCount)
        for number in 0..<index.traceCount { ids.append(try traceID(number)) }
        return ids
    }

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
            throw indexCorruption("parent in row \(row) of \(directory.rowCount)")
        }
        let block = directory.blocks[number]
        let start = try reader.checkedRaw(
            block[.spanIDs], family: TraceFormat.blocks, count: block.rowCount * 8,
            checkedBlocks, number)
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
            checkedBlocks, number)
        let wanted = id.rawValue.littleEndian
        return reader.bytes.withBytes { bytes in
            (0..<block.rowCount).filter {
                bytes.loadUnaligned(fromByteOffset: start + $0 * 8, as: UInt64.self) == wanted
            }
        }
    }

    // MARK: - Blocks

    /// Numbers of the blocks that hold rows of a trace, ascending. Reads one page.
    func blocks(ofTrace number: Int) throws(PartCorruption) -> [Int] {
        var found: [Int] = []
        var rest = number % Limits.indexPageTraces
        try forEachTrace(inBlockPage: number / Limits.indexPageTraces) { blocks in
            if rest == 0 { found = blocks }
            rest -= 1
            return rest >= 0
        }
        return found
    }

    func forEachTrace(
        inBlockPage page: Int, _ body: ([Int]) -> Bool
    ) throws(PartCorruption) {
        let ref = index.blockPages[page]
        let bytes = try reader.frame(ref, family: TraceFormat.indexPages)
        do throws(MalformedBytes) {
            try TraceIndex.forEachTrace(
                inBlockPage: bytes,
                traces: index.traces(inFrame: page, of: Limits.indexPageTraces),
                blocks: directory.blocks.count, body)
        } catch {
            throw corruption("page of the trace index: \(error)", ref, TraceFormat.indexPages)
        }
    }

    func frame(_ ref: FrameRef) throws(PartCorruption) -> [UInt8] {
        ref.plainCount == 0 ? [] : try reader.frame(ref, family: TraceFormat.blocks)
    }

    /// A frame of a block as it is stored, checked.
    func storedFrame(_ ref: FrameRef) throws(PartCorruption) -> [UInt8] {
        ref.plainCount == 0 ? [] : try reader.storedFrame(ref, family: TraceFormat.blocks)
    }

    /// Whether a filter in the blocks' sections may hold a key.
    func mayContain(_ key: UInt64, _ filter: FrameRef) throws(PartCorruption) -> Bool {
        let bytes = try frame(filter)
        return try decoding("filter", filter) { () throws(MalformedBytes) in
            let result = bytes.withUnsafeBytes { raw -> Result<Bool, MalformedBytes> in
                do throws(MalformedBytes) {
                    return .success(try XorFilter.mayContain(key, raw))
                } catch { return .failure(error) }
            }
            return try result.get()
        }
    }

    /// Damage of the section that holds what the trace index says.
    func indexCorruption(_ problem: String) -> PartCorruption {
        PartCorruption(
            name: reader.name, offset: reader.section(TraceFormat.index)?.offset ?? 0,
            problem: problem)
    }

    private func corruption(
        _ problem: String, _ frame: FrameRef, _ family: UInt16
    ) -> PartCorruption {
        PartCorruption(
            name: reader.name, offset: reader.fileOffset(of: frame, family: family),
            problem: problem)
    }

    /// Runs a decoder of the bytes of a block's frame and names the place where it fails.
    func decoding<R>(
        _ what: String, _ frame: FrameRef, _ body: () throws(MalformedBytes) -> R
    ) throws(PartCorruption) -> R {
        do throws(MalformedBytes) { return try body() } catch {
            throw corruption("\(what): \(error)", frame, TraceFormat.blocks)
        }
    }
}

extension PartReader {
    /// Reads a whole section and decodes it.
    fileprivate func decode<R>(
        _ kind: UInt16, _ body: (UnsafeRawBufferPointer) throws(MalformedBytes) -> R
    ) throws(PartCorruption) -> R {
        let bytes = try read(kind)
        let result = bytes.withUnsafeBytes { raw -> Result<R, MalformedBytes> in
            do throws(MalformedBytes) { return .success(try body(raw)) } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let value): return value
        case .failure(let error):
            throw PartCorruption(
                name: name, offset: section(kind)?.offset ?? 0, problem: "section \(kind): \(error)"
            )
        }
    }
}
