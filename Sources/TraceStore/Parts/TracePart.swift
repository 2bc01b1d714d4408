// SPDX-License-Identifier: Apache-2.0
// An opened trace part.

import Base
import Storage
import Synchronization
import Telemetry

/// A part whose directory, resources and trace index are in memory; blocks are read on demand.
final class TracePart: Sendable {
    let handle: PartHandle
    let directory: BlockDirectory
    /// Resources and scopes of the part; no rows.
    let sources: SpanBatch
    let index: TraceIndex
    let minStart: Int64
    let maxStart: Int64

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
        index = try reader.decode(TraceFormat.index) { bytes throws(MalformedBytes) in
            var cursor = ByteReader(bytes)
            return try TraceIndex(decoding: &cursor)
        }
        self.sources = sources
        self.directory = directory
        minStart = directory.blocks.map(\.minStart).min() ?? .max
        maxStart = directory.blocks.map(\.maxStart).max() ?? .min
    }

    /// Reads the catalogue. Not kept: completion is rare.
    func catalogue() throws(PartCorruption) -> Catalogue {
        try reader.decode(TraceFormat.catalogue) { bytes throws(MalformedBytes) in
            var cursor = ByteReader(bytes)
            return try Catalogue(decoding: &cursor)
        }
    }

    /// Rows of one trace, ascending. Reads one page of the index.
    func rows(of id: TraceID) throws(PartCorruption) -> [Int] {
        guard let page = index.page(for: id) else { return [] }
        let bytes = try reader.frame(page.frame, family: TraceFormat.indexPages)
        do throws(MalformedBytes) {
            return try TraceIndex.rows(of: id, inPage: bytes)
        } catch {
            throw corruption("trace index page: \(error)", page.frame, TraceFormat.indexPages)
        }
    }

    /// Calls `body` with every trace id of the part, ascending, and its rows.
    func forEachTrace(_ body: (TraceID, [Int]) -> Void) throws(PartCorruption) {
        for page in index.pages {
            let bytes = try reader.frame(page.frame, family: TraceFormat.indexPages)
            do throws(MalformedBytes) {
                try TraceIndex.forEach(inPage: bytes) { id, rows in
                    body(id, rows)
                    return true
                }
            } catch {
                throw corruption("trace index page: \(error)", page.frame, TraceFormat.indexPages)
            }
        }
    }

    func frame(_ block: BlockEntry, _ number: Int) throws(PartCorruption) -> [UInt8] {
        let ref = block.frames[number]
        return ref.plainCount == 0 ? [] : try reader.frame(ref, family: TraceFormat.blocks)
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
        _ what: String, _ block: BlockEntry, _ frame: Int, _ body: () throws(MalformedBytes) -> R
    ) throws(PartCorruption) -> R {
        do throws(MalformedBytes) { return try body() } catch {
            throw corruption("\(what): \(error)", block.frames[frame], TraceFormat.blocks)
        }
    }

    /// Spans of one trace, in row order, copied into `gatherer`. What is damaged is left out and
    /// noted in the context.
    func gather(
        _ id: TraceID, into gatherer: inout SpanGatherer, _ context: ReadContext
    ) throws(QueryInterruption) {
        var remaining: ArraySlice<Int>
        do throws(PartCorruption) {
            remaining = try rows(of: id)[...]
        } catch {
            context.noteMissing(error)
            return
        }
        while let first = remaining.first {
            guard let number = directory.block(ofRow: first) else {
                context.noteMissing(
                    indexCorruption("trace index points at row \(first) of \(directory.rowCount)"))
                return
            }
            try context.check()
            let entry = directory.blocks[number]
            let end = entry.firstRow + entry.rowCount
            let inside = remaining.prefix { $0 < end }
            remaining = remaining.dropFirst(inside.count)
            let batch: SpanBatch
            let byteCount: Int
            do throws(PartCorruption) {
                let block = try SpanBlock(self, entry)
                batch = try block.materialise(rows: inside.map { $0 - entry.firstRow })
                byteCount = block.bytesRead
            } catch {
                context.noteMissing(error)
                continue
            }
            try context.count(samples: batch.rowCount, bytes: byteCount)
            gatherer.begin(batch)
            for row in 0..<batch.rowCount { gatherer.add(batch, row) }
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
