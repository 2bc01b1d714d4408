// SPDX-License-Identifier: Apache-2.0
// Looks up trace and span ids that the blocks of a part refer to.

import Base
import Storage

/// Where the trace ids of a part lie; see `LogFormat`.
struct TraceDictionary: Sendable {
    /// Trace ids.
    let count: Int
    /// Of `LogFormat.Traces.chunkCount` ids each.
    let frames: [UInt32]

    /// - Parameter frameCount: of the part.
    init(_ bytes: [UInt8], frameCount: Int) throws(MalformedBytes) {
        (count, frames) = try parse(bytes) { reader throws(MalformedBytes) in
            let count = try reader.length(limit: LogFormat.Traces.maxCount, "trace ids")
            let size = LogFormat.Traces.chunkCount
            var frames: [UInt32] = []
            for _ in 0..<((count + size - 1) / size) {
                let frame = try reader.length(limit: frameCount, "frame")
                guard frame < frameCount else { throw reader.malformed("frame of trace ids") }
                frames.append(UInt32(frame))
            }
            return (count, frames)
        }
    }
}

/// Opens the chunks of a part's trace ids that are asked for, each once. Belongs to one thread.
final class TraceReader {
    private struct Chunk {
        /// Keeps `bytes`.
        var owner: SharedBytes
        var bytes: UnsafeRawBufferPointer
        /// Offset of the first span, and for each trace the spans before its own; the last: all.
        var spansAt: Int
        var spanStarts: [UInt32]
    }
    private let part: LogPart
    private let cache: FrameCache?
    private var chunks: [Int: Chunk] = [:]

    init(_ part: LogPart, _ cache: FrameCache?) {
        self.part = part
        self.cache = cache
    }

    /// - Throws: `PartCorruption`, also when there is no such id.
    func trace(_ number: Int) throws -> (high: UInt64, low: UInt64) {
        let size = LogFormat.Traces.chunkCount
        return try withChunk(number) { chunk in
            let offset = number % size * 16
            return (
                UInt64(
                    littleEndian: chunk.bytes.loadUnaligned(
                        fromByteOffset: offset, as: UInt64.self)),
                UInt64(
                    littleEndian: chunk.bytes.loadUnaligned(
                        fromByteOffset: offset + 8, as: UInt64.self))
            )
        }
    }

    /// - Throws: `PartCorruption`, also when the trace has no such span.
    func span(_ index: Int, ofTrace number: Int) throws -> UInt64 {
        let place = number % LogFormat.Traces.chunkCount
        let found = try withChunk(number) { chunk -> UInt64? in
            let first = Int(chunk.spanStarts[place])
            guard index < Int(chunk.spanStarts[place + 1]) - first else { return nil }
            return UInt64(
                littleEndian: chunk.bytes.loadUnaligned(
                    fromByteOffset: chunk.spansAt + (first + index) * 8, as: UInt64.self))
        }
        guard let found else { throw fault(number, "trace \(number) has no span \(index)") }
        return found
    }

    private func fault(_ number: Int, _ problem: String) -> PartCorruption {
        let chunk = min(number / LogFormat.Traces.chunkCount, part.traces.frames.count - 1)
        return part.fault(chunk < 0 ? 0 : part.traces.frames[chunk], problem)
    }

    private func withChunk<R>(_ number: Int, _ body: (Chunk) throws -> R) throws -> R {
        guard number >= 0, number < part.traces.count else {
            throw PartCorruption(
                name: part.reader.name, offset: 0,
                problem: "trace \(number) of \(part.traces.count)")
        }
        let index = number / LogFormat.Traces.chunkCount
        if let known = chunks[index] { return try body(known) }
        let chunk = try open(index)
        chunks[index] = chunk
        return try body(chunk)
    }

    private func open(_ index: Int) throws -> Chunk {
        let number = part.traces.frames[index]
        let owner = try part.frame(number, cache)
        let size = LogFormat.Traces.chunkCount
        let count = min(size, part.traces.count - index * size)
        do throws(MalformedBytes) {
            var reader = ByteReader(owner.buffer)
            try reader.skip(count * 16)
            var starts: [UInt32] = [0]
            starts.reserveCapacity(count + 1)
            var total = 0
            for _ in 0..<count {
                total += try reader.length(limit: reader.remaining, "spans of a trace")
                guard total <= owner.buffer.count else { throw reader.malformed("spans") }
                starts.append(UInt32(total))
            }
            let offset = reader.offset
            guard reader.remaining == total * 8 else { throw reader.malformed("span ids") }
            return Chunk(
                owner: owner, bytes: owner.buffer, spansAt: offset, spanStarts: starts)
        } catch {
            throw part.fault(number, "trace ids: \(error)")
        }
    }
}
