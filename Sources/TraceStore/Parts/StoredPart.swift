// SPDX-License-Identifier: Apache-2.0
// What is kept in memory of every part.

import Base
import Storage
import Telemetry

/// A part of the store: its trace index and what times it covers are in memory. Directory and sources,
/// which are larger, come from `DirectoryCache` when they are needed; all else is read on demand.
///
/// Memory: some 0.2 bytes per trace.
final class StoredPart: Sendable {
    let handle: PartHandle
    let index: TraceIndex
    let minStart: Int64
    let maxStart: Int64
    let rowCount: Int
    private let blockCount: Int
    private let cache: DirectoryCache
    private let filter: PartReader.Section?
    private let checkedIDs: CheckedFrames
    private let checkedOrders: CheckedFrames
    /// Of the span ids of blocks.
    let checkedBlocks: CheckedFrames
    /// By block: of the filters of its columns.
    let checkedFilters: CheckedFrames

    var id: UInt64 { handle.descriptor.id }
    var tenant: String { handle.descriptor.tenant }
    var reader: PartReader { handle.reader }

    /// Reads directory and sources too: what cannot be read is to be known now.
    ///
    /// - Throws: `PartCorruption` when one of the sections cannot be read.
    init(_ handle: PartHandle, _ cache: DirectoryCache) throws(PartCorruption) {
        self.handle = handle
        self.cache = cache
        let reader = handle.reader
        guard reader.signal == .traces else {
            throw PartCorruption(
                name: reader.name, offset: 10, problem: "holds \(reader.signal.name), not traces")
        }
        let contents = try PartContents(reader)
        let index = try reader.decode(TraceFormat.index) { bytes throws(MalformedBytes) in
            var cursor = ByteReader(bytes)
            return try TraceIndex(decoding: &cursor)
        }
        filter = reader.section(TraceFormat.filter)
        // Checked once here; afterwards bytes of it are read where it lies.
        if filter != nil { _ = try reader.read(TraceFormat.filter) }
        self.index = index
        minStart = contents.directory.blocks.map(\.minStart).min() ?? .max
        maxStart = contents.directory.blocks.map(\.maxStart).max() ?? .min
        rowCount = contents.directory.rowCount
        blockCount = contents.directory.blocks.count
        checkedIDs = CheckedFrames(count: index.idFrames.count)
        checkedOrders = CheckedFrames(count: index.orderPages.count)
        checkedBlocks = CheckedFrames(count: contents.directory.blocks.count)
        checkedFilters = CheckedFrames(count: contents.directory.blocks.count)
        cache.insert(contents, id: handle.descriptor.id)
    }

    /// The part with its directory.
    ///
    /// - Throws: `PartCorruption` when it has become unreadable since the part was opened.
    func opened() throws(PartCorruption) -> TracePart {
        if let known = cache.find(id) { return TracePart(self, known) }
        let contents = try PartContents(reader)
        guard contents.directory.blocks.count == blockCount, contents.directory.rowCount == rowCount
        else { throw indexCorruption("directory of other rows than before") }
        cache.insert(contents, id: id)
        return TracePart(self, contents)
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
        let rows = rowCount
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

    // MARK: - Blocks of traces

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
                blocks: blockCount, body)
        } catch {
            throw PartCorruption(
                name: reader.name,
                offset: reader.fileOffset(of: ref, family: TraceFormat.indexPages),
                problem: "page of the trace index: \(error)")
        }
    }

    /// Damage of the section that holds what the trace index says.
    func indexCorruption(_ problem: String) -> PartCorruption {
        PartCorruption(
            name: reader.name, offset: reader.section(TraceFormat.index)?.offset ?? 0,
            problem: problem)
    }
}

extension PartReader {
    /// Reads a whole section and decodes it.
    func decode<R>(
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
