// SPDX-License-Identifier: Apache-2.0
// An opened log part.

import Base
import Storage
import Synchronization
import Telemetry

/// A part with its index in memory; blocks are read on demand.
final class LogPart: Sendable {
    let handle: PartHandle
    let index: StreamIndex
    /// Ascending by (stream, time).
    let blocks: [LogBlock]
    /// Blocks of stream i are `blockStarts[i]..<blockStarts[i + 1]`.
    private let blockStarts: [Int]
    let frames: [LogFrame]
    let search: SearchIndex
    let traces: TraceDictionary
    /// Of numbers in structured metadata.
    let ranges: NumberRanges
    private let dataSections: [PartReader.Section]
    /// Streams ascending by label hash.
    private let byHash: [UInt32]
    /// Frames whose checksums were found right when a query read them, a bit each: readers of a few rows
    /// come back to the same frames. Whoever copies or verifies frames looks at their bytes again.
    private let checkedFrames: Mutex<[UInt64]>
    /// What readers must not see any more.
    let deletions: [CompiledDeletion]

    var reader: PartReader { handle.reader }
    var descriptor: PartDescriptor { handle.descriptor }

    /// Reads and checks everything but the frames.
    ///
    /// - Parameter language: tells what the queries of deletions mean.
    /// - Throws: `PartCorruption`, also for a deletion that nobody understands.
    init(
        _ handle: PartHandle,
        _ language: LogDeletionLanguage = { _ in throw LogDeletionLanguageMissing() }
    ) throws(PartCorruption) {
        self.handle = handle
        deletions = try LogPart.deletions(of: handle, language)
        let reader = handle.reader
        func fault(_ kind: UInt16, _ problem: String) -> PartCorruption {
            PartCorruption(
                name: reader.name, offset: reader.section(kind)?.offset ?? 0, problem: problem)
        }
        guard reader.signal == .logs else {
            throw fault(0, "a part of \(reader.signal.name), not of logs")
        }
        dataSections = reader.sections.filter { $0.kind >= LogFormat.Section.data }
        guard
            dataSections.enumerated().allSatisfy({
                Int($1.kind) == Int(LogFormat.Section.data) + $0 && $1.coding == 0
            })
        else { throw fault(LogFormat.Section.data, "data sections out of order") }
        var kind = LogFormat.Section.info
        do {
            let counts = try parse(try reader.read(kind)) { reader throws(MalformedBytes) in
                let version = try reader.u8()
                guard (LogFormat.oldestVersion...LogFormat.version).contains(version) else {
                    throw reader.malformed(
                        "log part version \(LogFormat.oldestVersion) to \(LogFormat.version)")
                }
                return (
                    streams: try reader.length(), blocks: try reader.length(),
                    frames: try reader.length(), rows: try reader.length()
                )
            }
            kind = LogFormat.Section.streams
            index = try StreamIndex(
                symbols: try reader.read(LogFormat.Section.symbols),
                streams: try reader.read(LogFormat.Section.streams),
                postings: try reader.read(LogFormat.Section.postings))
            kind = LogFormat.Section.frames
            frames = try LogPart.frames(try reader.read(kind), dataSections)
            kind = LogFormat.Section.blocks
            blocks = try LogPart.blocks(
                try reader.read(kind), frames: frames, streamCount: index.streams.count)
            kind = LogFormat.Section.words
            search = try SearchIndex(
                words: try reader.read(kind), ids: try reader.read(LogFormat.Section.identifiers),
                frames: frames)
            kind = LogFormat.Section.traces
            traces = try TraceDictionary(try reader.read(kind), frameCount: frames.count)
            kind = LogFormat.Section.ranges
            ranges =
                reader.section(kind) == nil
                ? NumberRanges()
                : try NumberRanges(try reader.read(kind), blockCount: blocks.count)
            let rows = blocks.reduce(0) { $0 + Int($1.rows) }
            guard counts == (index.streams.count, blocks.count, frames.count, rows) else {
                throw fault(LogFormat.Section.info, "counts differ from what the part holds")
            }
        } catch let error as MalformedBytes {
            throw fault(kind, "section \(kind): \(error)")
        } catch let error as PartCorruption {
            throw error
        } catch {
            throw fault(kind, "\(error)")
        }
        var starts = [Int](repeating: 0, count: index.streams.count + 1)
        for block in blocks { starts[Int(block.stream) + 1] += 1 }
        for stream in 0..<index.streams.count { starts[stream + 1] += starts[stream] }
        blockStarts = starts
        let streams = index.streams
        checkedFrames = Mutex([UInt64](repeating: 0, count: (frames.count + 63) / 64))
        byHash = streams.indices.map { UInt32($0) }.sorted {
            (streams[Int($0)].hash, $0) < (streams[Int($1)].hash, $1)
        }
    }

    /// The same file with other deletions.
    init(
        _ other: LogPart, _ handle: PartHandle, _ language: LogDeletionLanguage
    ) throws(PartCorruption) {
        self.handle = handle
        deletions = try LogPart.deletions(of: handle, language)
        (index, blocks, frames) = (other.index, other.blocks, other.frames)
        (blockStarts, dataSections) = (other.blockStarts, other.dataSections)
        (byHash, search, traces) = (other.byHash, other.search, other.traces)
        ranges = other.ranges
        checkedFrames = Mutex(other.checkedFrames.withLock { $0 })
    }

    private static func deletions(
        of handle: PartHandle, _ language: LogDeletionLanguage
    ) throws(PartCorruption) -> [CompiledDeletion] {
        do {
            return try LogDeletions(handle.descriptor.deletions).entries.map {
                CompiledDeletion(deletion: $0, rule: try language($0.query))
            }
        } catch {
            throw PartCorruption(
                name: handle.reader.name, offset: 0, problem: "deletions: \(error)")
        }
    }

    private static func frames(
        _ bytes: [UInt8], _ dataSections: [PartReader.Section]
    ) throws(MalformedBytes) -> [LogFrame] {
        try parse(bytes) { reader throws(MalformedBytes) in
            var frames: [LogFrame] = []
            while !reader.isAtEnd {
                let coding = try reader.u8()
                let section = try reader.length(limit: dataSections.count, "data section")
                guard section < dataSections.count else { throw reader.malformed("data section") }
                let size = dataSections[section].storedCount
                let offset = try reader.length(limit: size, "frame offset")
                let stored = try reader.length(limit: size - offset, "frame size")
                let plain = try reader.length(limit: LogFormat.maxFrameCount, "frame plain size")
                guard coding == 1 || (coding == 0 && stored == plain) else {
                    throw reader.malformed("frame coding")
                }
                frames.append(
                    LogFrame(
                        coding: coding, section: UInt32(section), offset: offset,
                        storedCount: stored, plainCount: plain, crc: try reader.u32()))
            }
            return frames
        }
    }

    private static func blocks(
        _ bytes: [UInt8], frames: [LogFrame], streamCount: Int
    ) throws(MalformedBytes) -> [LogBlock] {
        try parse(bytes) { reader throws(MalformedBytes) in
            func column(_ reader: inout ByteReader) throws(MalformedBytes) -> ColumnLocation {
                let frame = try reader.length(limit: frames.count, "frame")
                let offset = try reader.length(limit: LogFormat.maxFrameCount, "column offset")
                let count = try reader.length(limit: LogFormat.maxFrameCount, "column size")
                if count == 0 { return .none }
                guard frame < frames.count, offset + count <= frames[frame].plainCount else {
                    throw reader.malformed("column inside its frame")
                }
                return ColumnLocation(
                    frame: UInt32(frame), offset: UInt32(offset), count: UInt32(count))
            }
            var blocks: [LogBlock] = []
            while !reader.isAtEnd {
                let stream = try reader.length(limit: streamCount, "stream")
                let rows = try reader.length(limit: LogFormat.maxBlockRows, "rows of a block")
                let minNanos = try reader.i64()
                let span = try reader.varint()
                let maxNanos = minNanos &+ Int64(bitPattern: span)
                let form = try reader.length(
                    limit: LogFormat.maxFrameCount * 2 + 1, "bytes of lines")
                guard stream < streamCount, rows > 0, maxNanos >= minNanos else {
                    throw reader.malformed("block of a known stream with rows")
                }
                if let last = blocks.last {
                    guard
                        Int(last.stream) < stream
                            || (Int(last.stream) == stream && last.maxNanos <= minNanos)
                    else { throw reader.malformed("blocks ascending by stream and time") }
                }
                blocks.append(
                    LogBlock(
                        stream: UInt32(stream), rows: UInt32(rows), minNanos: minNanos,
                        maxNanos: maxNanos, lineBytes: UInt32(form >> 1),
                        isTemplated: form & 1 == 1, numbers: try column(&reader),
                        lines: try column(&reader), metadata: try column(&reader),
                        ids: try column(&reader)))
            }
            return blocks
        }
    }

    /// About the trace ids or the span ids of the part, whichever are more; of rows with ids, which
    /// are bounded as well, an eighth.
    var mergeWeight: Int {
        let columns = blocks.reduce(0) { $0 + Int($1.ids.count) }
        if traces.count == 0 { return columns / 16 }
        let chunks = traces.frames.reduce(0) { $0 + frames[Int($1)].plainCount }
        let spans = max(0, chunks - 17 * traces.count) / 8
        return max(traces.count, spans, columns / 16)
    }

    func blocks(of stream: Int) -> Range<Int> { blockStarts[stream]..<blockStarts[stream + 1] }

    /// Indices of streams with this label hash.
    func streams(hash: UInt64) -> [Int] {
        var low = 0, high = byHash.count
        while low < high {
            let middle = (low + high) / 2
            if index.streams[Int(byHash[middle])].hash < hash {
                low = middle + 1
            } else {
                high = middle
            }
        }
        var found: [Int] = []
        while low < byHash.count, index.streams[Int(byHash[low])].hash == hash {
            found.append(Int(byHash[low]))
            low += 1
        }
        return found
    }

    // MARK: - Frames

    /// Offset of a frame in the file, for messages.
    func fileOffset(of frame: UInt32) -> Int {
        let entry = frames[Int(frame)]
        return dataSections[Int(entry.section)].offset + entry.offset
    }

    func fault(_ frame: UInt32, _ problem: String) -> PartCorruption {
        PartCorruption(name: reader.name, offset: fileOffset(of: frame), problem: problem)
    }

    /// A frame as it is stored, in the file's memory.
    ///
    /// - Parameter checks: whether its checksum is looked at.
    private func stored(
        _ number: UInt32, checks: Bool = true
    ) throws(PartCorruption) -> (frame: LogFrame, bytes: UnsafeRawBufferPointer) {
        let frame = frames[Int(number)]
        let start = dataSections[Int(frame.section)].offset + frame.offset
        let stored = UnsafeRawBufferPointer(
            rebasing: reader.bytes.buffer[start..<(start + frame.storedCount)])
        guard !checks || crc32c(stored) == frame.crc else {
            throw fault(number, "checksum of frame \(number) differs")
        }
        return (frame, stored)
    }

    /// Calls `body` with a frame as it is stored, checked.
    func withStored(
        _ number: UInt32, _ body: (LogFrame, UnsafeRawBufferPointer) -> Void
    ) throws(PartCorruption) {
        let file = reader.bytes
        let (frame, bytes) = try stored(number)
        body(frame, bytes)
        withExtendedLifetime(file) {}
    }

    /// The plain bytes of a frame, checked. A raw frame is borrowed from the file.
    func frame(_ number: UInt32, _ cache: FrameCache?) throws(PartCorruption) -> SharedBytes {
        // A raw frame is never kept.
        if frames[Int(number)].coding != 0,
            let cached = cache?.frame(part: descriptor.id, number)
        {
            return cached
        }
        let file = reader.bytes
        let isChecked =
            checkedFrames.withLock { $0[Int(number >> 6)] >> UInt64(number & 63) & 1 } == 1
        let (frame, stored) = try stored(number, checks: !isChecked)
        if !isChecked {
            checkedFrames.withLock { $0[Int(number >> 6)] |= 1 << UInt64(number & 63) }
        }
        if frame.coding == 0 {
            return SharedBytes(stored, release: { withExtendedLifetime(file) {} })
        }
        do throws(CompressionError) {
            let plain = try Zstd.decompress(stored, exactly: frame.plainCount)
            cache?.keep(plain, part: descriptor.id, number)
            return plain
        } catch {
            throw fault(number, "frame \(number): \(error)")
        }
    }
}
