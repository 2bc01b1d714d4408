// SPDX-License-Identifier: Apache-2.0
// Builds the bytes of a log part.

import Base
import Storage
import Telemetry

/// One stream over one stretch of time inside a part.
struct LogBlock: Sendable, Hashable {
    var stream: UInt32
    var rows: UInt32
    var minNanos: Int64
    var maxNanos: Int64
    /// Of all lines, whatever form they are kept in.
    var lineBytes: UInt32
    /// Whether lines are kept as templates and values.
    var isTemplated: Bool
    var numbers: ColumnLocation
    var lines: ColumnLocation
    var metadata: ColumnLocation
    var ids: ColumnLocation
}

/// Takes streams in ascending order of labels and each stream's rows in ascending time, and makes a
/// part. See `LogFormat`.
struct LogPartBuilder {
    private let blockBytes: Int
    private let blockRows: Int
    private let bytesPerRangeByte: Int

    var streams: [Labels] = []
    var blocks: [LogBlock] = []
    var rowCount = 0
    var minNanos = Int64.max
    var maxNanos = Int64.min

    var store: FrameStore
    var numberFrames = FrameWriter(targetCount: LogFormat.columnFrameTarget)
    private var lineFrames: FrameWriter
    var metadataFrames = FrameWriter(targetCount: LogFormat.columnFrameTarget)
    var search = SearchIndexBuilder()
    var ranges = NumberRangesBuilder()
    var idFrames = FrameWriter(targetCount: LogFormat.columnFrameTarget)

    // The open block.
    private var nanos: [Int64] = []
    private var lengths: [UInt32] = []
    private var lines: [UInt8] = []
    private var metadata = MetadataEncoder()
    private var ids: [RowIDs] = []
    private var coding = LineCoding()

    var traces = TraceTable()
    /// Blocks whose ids are written at the end, when all are known.
    var referring: [(block: Int, rows: TraceTable.Rows)] = []

    /// - Parameters:
    ///   - level: of zstd.
    ///   - blockBytes: lines and metadata of a block stay below, unless one row is larger.
    ///   - blockRows: most rows of a block.
    ///   - lineFrameBytes: frames of lines are closed when they reach this.
    ///   - bytesPerRangeByte: as of `LogStoreConfiguration`.
    init(
        level: Int32, blockBytes: Int, blockRows: Int,
        lineFrameBytes: Int = LogFormat.lineFrameTarget, bytesPerRangeByte: Int
    ) {
        self.bytesPerRangeByte = max(1, bytesPerRangeByte)
        lineFrames = FrameWriter(targetCount: lineFrameBytes)
        store = FrameStore(level: level)
        self.blockBytes = blockBytes
        self.blockRows = max(1, min(blockRows, LogFormat.maxBlockRows))
    }

    /// The stream that the following rows belong to, unless it is that already.
    mutating func begin(_ labels: Labels) {
        if let last = streams.last, last == labels { return }
        closeBlock()
        streams.append(labels)
    }

    /// Appends rows of the stream that was begun last, at these positions of their selection.
    mutating func append(_ rows: DecodedRows, _ positions: Range<Int>) {
        // They keep the memory that lines and metadata lie in, and nothing below asks them for it
        // row by row.
        defer { withExtendedLifetime(rows) {} }
        let base = rows.base
        switch rows.metadata {
        case .none:
            append(rows, positions) { _ in UnsafeRawBufferPointer(start: nil, count: 0) }
        case .constant(let bytes):
            bytes.withUnsafeBytes { bytes in append(rows, positions) { _ in bytes } }
        case .slices(let slices):
            slices.withUnsafeBufferPointer { slices in
                append(rows, positions) { UnsafeRawBufferPointer(rebasing: base[slices[$0].range]) }
            }
        case .columns:
            var canonical: [UInt8] = []
            for position in positions {
                canonical.removeAll(keepingCapacity: true)
                rows.appendMetadata(Int(rows.selection[position]), into: &canonical)
                canonical.withUnsafeBytes { bytes in
                    append(rows, position..<(position + 1)) { _ in bytes }
                }
            }
        }
    }

    @inline(__always)
    private mutating func append(
        _ rows: DecodedRows, _ positions: Range<Int>,
        metadata: (_ row: Int) -> UnsafeRawBufferPointer
    ) {
        let selection = rows.selection, times = rows.nanos, slices = rows.lines, ids = rows.ids
        let base = rows.base
        for position in positions {
            let row = Int(selection[position])
            append(
                nanos: times[row],
                line: slices.isEmpty
                    ? UnsafeRawBufferPointer(start: nil, count: 0)
                    : UnsafeRawBufferPointer(rebasing: base[slices[row].range]),
                metadata: metadata(row), ids: ids.isEmpty ? .none : ids[row])
        }
    }

    @inline(__always)
    mutating func append(
        nanos time: Int64, line: UnsafeRawBufferPointer, metadata pairs: UnsafeRawBufferPointer,
        ids rowIDs: RowIDs
    ) {
        if !nanos.isEmpty,
            nanos.count >= blockRows
                || lines.count + metadata.byteCount + line.count + pairs.count > blockBytes
        {
            closeBlock()
        }
        nanos.append(time)
        lengths.append(UInt32(line.count))
        lines.append(contentsOf: line)
        metadata.append(pairs)
        ids.append(rowIDs)
    }

    mutating func closeBlock() {
        guard let first = nanos.first, let last = nanos.last else { return }
        var numbers = ByteWriter(), pairs = ByteWriter()
        TimeColumn.encode(nanos, into: &numbers)
        let templated = coding.templates(lines, lengths, ids: ids)
        if templated == nil {
            LengthColumn.encode(lengths, into: &numbers)
        } else {
            LengthColumn.encodeTemplated(total: lines.count, into: &numbers)
        }
        let place = lineFrames.place(templated ?? lines, in: &store)
        if place.count > 0 {
            search.add(
                frame: place.frame, lines: lines, lengths: lengths, templated: templated, ids: ids,
                metadata: metadata, in: &store)
        }
        let numberRanges = metadata.encode(ids: ids, into: &pairs)
        ranges.add(
            numberRanges, ofBlock: blocks.count,
            byteLimit: (lines.count + metadata.byteCount) / bytesPerRangeByte)
        blocks.append(
            LogBlock(
                stream: UInt32(streams.count - 1), rows: UInt32(nanos.count), minNanos: first,
                maxNanos: last, lineBytes: UInt32(lines.count), isTemplated: templated != nil,
                numbers: numberFrames.place(numbers.bytes, in: &store),
                lines: place,
                metadata: metadataFrames.place(pairs.bytes, in: &store),
                ids: .none))
        placeIDs(ids, nanos, ofBlock: blocks.count - 1)
        rowCount += nanos.count
        minNanos = min(minNanos, first)
        maxNanos = max(maxNanos, last)
        nanos.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        lines.removeAll(keepingCapacity: true)
        metadata.reset()
        ids.removeAll(keepingCapacity: true)
    }

    mutating func placeIDs(_ ids: [RowIDs], _ nanos: [Int64], ofBlock block: Int) {
        guard ids.contains(where: { $0 != .none }) else { return }
        if let rows = traces.take(ids, nanos) {
            referring.append((block, rows))
            return
        }
        var own = ByteWriter()
        IdentifierColumns.encode(ids, into: &own)
        blocks[block].ids = idFrames.place(own.bytes, in: &store)
    }

    /// Writes the ids of the blocks that refer to the part's, and those themselves.
    ///
    /// - Returns: the section that points at them.
    private mutating func placeTraces() -> [UInt8] {
        let sorted = traces.sorted()
        for (block, rows) in referring {
            var references = ByteWriter()
            sorted.encode(rows, into: &references)
            blocks[block].ids = idFrames.place(references.bytes, in: &store)
        }
        let section = sorted.place(in: &store)
        // The part is put together next, which takes memory of its own.
        traces = TraceTable()
        referring = []
        return section
    }

    /// The finished part; nil when it has no rows. Nothing may be added afterwards.
    mutating func finish(tenant: String, day: Int32, retentionClass: UInt8) -> PartDraft? {
        closeBlock()
        let traceIDs = placeTraces()
        flushFrames()
        if rowCount == 0 { return nil }
        let (words, identifiers) = search.finish(&store)

        var info = ByteWriter()
        info.u8(LogFormat.version)
        info.varint(streams.count)
        info.varint(blocks.count)
        info.varint(store.frames.count)
        info.varint(rowCount)

        // The sections that come before the data are small beside it.
        let dataCount = store.sections.reduce(0) { $0 + $1.count }
        var part = PartWriter(signal: .logs, reserving: dataCount + dataCount / 16 + (1 << 16))
        let index = StreamIndex(streams)
        part.add(kind: LogFormat.Section.info, info.bytes)
        part.add(kind: LogFormat.Section.symbols, index.encodedSymbols(), .zstd(level: 3))
        part.add(kind: LogFormat.Section.streams, index.encodedStreams(), .zstd(level: 3))
        part.add(kind: LogFormat.Section.postings, index.encodedPostings(), .zstd(level: 3))
        part.add(kind: LogFormat.Section.frames, encodedFrames(), .zstd(level: 3))
        part.add(kind: LogFormat.Section.blocks, encodedBlocks(), .zstd(level: 3))
        part.add(kind: LogFormat.Section.words, words, .zstd(level: 3))
        part.add(kind: LogFormat.Section.traces, traceIDs)
        part.add(kind: LogFormat.Section.identifiers, identifiers, .zstd(level: 3))
        if !ranges.isEmpty {
            part.add(kind: LogFormat.Section.ranges, ranges.encoded(), .zstd(level: 3))
        }
        for ordinal in store.sections.indices {
            part.add(
                kind: LogFormat.Section.data + UInt16(ordinal), store.takeSection(ordinal))
        }
        return PartDraft(
            tenant: tenant, day: day, minNanos: minNanos, maxNanos: maxNanos,
            rowCount: UInt64(rowCount), retentionClass: retentionClass, bytes: part.finish())
    }

    private mutating func flushFrames() {
        numberFrames.flush(&store)
        lineFrames.flush(&store)
        metadataFrames.flush(&store)
        idFrames.flush(&store)
    }

    private func encodedFrames() -> [UInt8] {
        var out = ByteWriter()
        for frame in store.frames {
            out.u8(frame.coding)
            out.varint(UInt64(frame.section))
            out.varint(frame.offset)
            out.varint(frame.storedCount)
            out.varint(frame.plainCount)
            out.u32(frame.crc)
        }
        return out.bytes
    }

    private func encodedBlocks() -> [UInt8] {
        var out = ByteWriter()
        for block in blocks {
            out.varint(UInt64(block.stream))
            out.varint(UInt64(block.rows))
            out.i64(block.minNanos)
            out.varint(UInt64(bitPattern: block.maxNanos &- block.minNanos))
            out.varint(UInt64(block.lineBytes) << 1 | (block.isTemplated ? 1 : 0))
            for column in [block.numbers, block.lines, block.metadata, block.ids] {
                out.varint(UInt64(column.frame))
                out.varint(UInt64(column.offset))
                out.varint(UInt64(column.count))
            }
        }
        return out.bytes
    }
}
