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
    private final class Chunk {
        /// Keeps `bytes`.
        private let owner: SharedBytes
        let bytes: UnsafeRawBufferPointer
        /// Of the numbers of spans, a varint each.
        let countsAt: Int
        /// Of the first span.
        let spansAt: Int
        /// For each trace the spans before its own; the last: all. Empty until spans of many traces
        /// were asked for.
        var spanStarts: [UInt32] = []
        var asked = 0

        init(_ owner: SharedBytes, countsAt: Int, spansAt: Int) {
            self.owner = owner
            bytes = owner.buffer
            self.countsAt = countsAt
            self.spansAt = spansAt
        }
    }
    private let part: LogPart
    private let cache: FrameCache?
    private var chunks: [Int: Chunk] = [:]
    /// The one that was asked last.
    private var latest: (index: Int, chunk: Chunk)?
    /// Of numbers of spans, until they are listed.
    private static let mostSums = 16

    init(_ part: LogPart, _ cache: FrameCache?) {
        self.part = part
        self.cache = cache
    }

    /// - Throws: `PartCorruption`, also when there is no such id.
    func trace(_ number: Int) throws -> (high: UInt64, low: UInt64) {
        let size = LogFormat.Traces.chunkCount
        let chunk = try chunk(of: number)
        let offset = number % size * 16
        func half(_ offset: Int) -> UInt64 {
            UInt64(
                littleEndian: chunk.bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        return (half(offset), half(offset + 8))
    }

    /// - Throws: `PartCorruption`, also when the trace has no such span.
    func span(_ index: Int, ofTrace number: Int) throws -> UInt64 {
        let chunk = try chunk(of: number)
        let first: Int, count: Int
        do throws(MalformedBytes) {
            (first, count) = try spans(of: number % LogFormat.Traces.chunkCount, in: chunk)
        } catch {
            throw fault(number, "trace ids: \(error)")
        }
        guard index < count else { throw fault(number, "trace \(number) has no span \(index)") }
        return UInt64(
            littleEndian: chunk.bytes.loadUnaligned(
                fromByteOffset: chunk.spansAt + (first + index) * 8, as: UInt64.self))
    }

    /// The spans before those of a trace, and how many it has. A sum over the traces before; when it
    /// is asked for more often, a look-up.
    private func spans(
        of place: Int, in chunk: Chunk
    ) throws(MalformedBytes) -> (first: Int, count: Int) {
        if chunk.spanStarts.isEmpty {
            var reader = ByteReader(chunk.bytes)
            try reader.skip(chunk.countsAt)
            chunk.asked += 1
            if chunk.asked <= TraceReader.mostSums {
                let first = try reader.sumOfVarints(place)
                let count = try reader.length(limit: reader.remaining, "spans of a trace")
                guard (first + count) * 8 <= chunk.bytes.count - chunk.spansAt else {
                    throw reader.malformed("spans")
                }
                return (first, count)
            }
            let count = chunk.countsAt / 16
            var starts: [UInt32] = [0]
            starts.reserveCapacity(count + 1)
            var total = 0
            for _ in 0..<count {
                total += try reader.length(limit: reader.remaining, "spans of a trace")
                guard total <= chunk.bytes.count else { throw reader.malformed("spans") }
                starts.append(UInt32(total))
            }
            guard chunk.bytes.count - chunk.spansAt == total * 8 else {
                throw reader.malformed("span ids")
            }
            chunk.spanStarts = starts
        }
        let first = Int(chunk.spanStarts[place])
        return (first, Int(chunk.spanStarts[place + 1]) - first)
    }

    private func fault(_ number: Int, _ problem: String) -> PartCorruption {
        let chunk = min(number / LogFormat.Traces.chunkCount, part.traces.frames.count - 1)
        return part.fault(chunk < 0 ? 0 : part.traces.frames[chunk], problem)
    }

    private func chunk(of number: Int) throws -> Chunk {
        guard number >= 0, number < part.traces.count else {
            throw PartCorruption(
                name: part.reader.name, offset: 0,
                problem: "trace \(number) of \(part.traces.count)")
        }
        let index = number / LogFormat.Traces.chunkCount
        if let latest, latest.index == index { return latest.chunk }
        let chunk = try chunks[index] ?? open(index)
        chunks[index] = chunk
        latest = (index, chunk)
        return chunk
    }

    private func open(_ index: Int) throws -> Chunk {
        let number = part.traces.frames[index]
        let owner = try part.frame(number, cache)
        let size = LogFormat.Traces.chunkCount
        let count = min(size, part.traces.count - index * size)
        do throws(MalformedBytes) {
            var reader = ByteReader(owner.buffer)
            try reader.skip(count * 16)
            let countsAt = reader.offset
            try reader.skipVarints(count)
            guard reader.remaining % 8 == 0 else { throw reader.malformed("span ids") }
            return Chunk(owner, countsAt: countsAt, spansAt: reader.offset)
        } catch {
            throw part.fault(number, "trace ids: \(error)")
        }
    }
}
