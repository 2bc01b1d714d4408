// SPDX-License-Identifier: Apache-2.0
// Parsing of the index sections of a part.

import Base
import Storage
import Telemetry

/// The columns of a `PartIndex` while they are read and checked.
struct ParsedIndex {
    private(set) var symbolBytes: [UInt8]
    private(set) var symbolEnds: [UInt32] = []
    private(set) var symbolCounts: [UInt32] = []
    private(set) var seriesBytes: [UInt8]
    private(set) var seriesStarts: [UInt32] = []
    private(set) var hashes: [UInt64] = []
    private(set) var chunkStarts: [UInt32] = []
    private(set) var chunkEnds: [UInt32] = []
    private(set) var chunkColumns: [UInt32] = []
    private(set) var times: [PartIndex.TimeColumn] = []
    private(set) var blocks: [PartIndex.Block] = []
    private(set) var names: [PartIndex.Name] = []
    private(set) var valueSymbols: [UInt32] = []
    private(set) var valueCounts: [UInt32] = []
    private(set) var postingStarts: [UInt32] = []
    private(set) var postingBytes: [UInt8]

    /// Reads the index sections.
    ///
    /// - Throws: `PartCorruption`.
    init(_ reader: PartReader, seriesCount: Int) throws(PartCorruption) {
        typealias Section = MetricPartFormat.Section
        symbolBytes = try reader.read(Section.symbols)
        seriesBytes = try reader.read(Section.series)
        postingBytes = try reader.read(Section.postings)
        let dataCount = reader.section(Section.data)?.storedCount ?? 0
        try ParsedIndex.parse(reader, Section.symbols, symbolBytes) {
            bytes throws(MalformedBytes) in
            try parseSymbols(&bytes)
        }
        try ParsedIndex.parse(reader, Section.blocks, try reader.read(Section.blocks)) {
            bytes throws(MalformedBytes) in
            try parseBlocks(&bytes, dataCount)
        }
        try ParsedIndex.parse(reader, Section.times, try reader.read(Section.times)) {
            bytes throws(MalformedBytes) in
            try parseTimes(&bytes, dataCount)
        }
        try ParsedIndex.parse(reader, Section.series, seriesBytes) { bytes throws(MalformedBytes) in
            try parseSeries(&bytes, seriesCount, dataCount)
        }
        try ParsedIndex.parse(reader, Section.labels, try reader.read(Section.labels)) {
            bytes throws(MalformedBytes) in
            try parseLabels(&bytes, seriesCount)
        }
    }

    /// Runs a parser over a section and names section and place of what it refuses.
    private static func parse(
        _ reader: PartReader, _ kind: UInt16, _ bytes: [UInt8],
        _ body: (inout ByteReader) throws(MalformedBytes) -> Void
    ) throws(PartCorruption) {
        let fault = bytes.withUnsafeBytes { raw -> MalformedBytes? in
            var cursor = ByteReader(raw)
            do throws(MalformedBytes) {
                try body(&cursor)
                return nil
            } catch { return error }
        }
        guard let fault else { return }
        throw PartCorruption(
            name: reader.name, offset: reader.section(kind)?.offset ?? 0,
            problem: "section \(kind): \(fault)")
    }

    private mutating func parseSymbols(_ reader: inout ByteReader) throws(MalformedBytes) {
        var previous: UnsafeRawBufferPointer?
        while !reader.isAtEnd {
            let text = try reader.lengthPrefixed()
            if let previous, compareBytes(previous, text) >= 0 {
                throw reader.malformed("ascending symbols")
            }
            previous = text
            symbolEnds.append(UInt32(truncatingIfNeeded: reader.offset))
            symbolCounts.append(UInt32(truncatingIfNeeded: text.count))
        }
    }

    private func symbol(_ reader: inout ByteReader) throws(MalformedBytes) -> Int {
        guard !symbolEnds.isEmpty else { throw reader.malformed("symbols") }
        return try reader.length(limit: symbolEnds.count - 1, "symbol")
    }

    private mutating func parseBlocks(
        _ reader: inout ByteReader, _ dataCount: Int
    ) throws(MalformedBytes) {
        var offset = 0
        while !reader.isAtEnd {
            let count = try reader.length(limit: dataCount - offset, "size of block")
            let crc = try reader.u32()
            let first = try reader.zigzag()
            let span = Int64(bitPattern: try reader.varint())
            blocks.append(
                PartIndex.Block(
                    bytes: offset..<(offset + count), crc: crc, minMillis: first,
                    maxMillis: first &+ span))
            offset += count
        }
        guard offset == dataCount else { throw reader.malformed("blocks of \(dataCount) bytes") }
    }

    private mutating func parseTimes(
        _ reader: inout ByteReader, _ dataCount: Int
    ) throws(MalformedBytes) {
        while !reader.isAtEnd {
            let kind = try reader.u8()
            let count = try reader.length(
                limit: MetricPartFormat.maxChunkSamples, "samples of a chunk")
            let first = try reader.zigzag()
            let (last, overflow) = first.addingReportingOverflow(
                Int64(bitPattern: try reader.varint()))
            var column = PartIndex.TimeColumn(
                isGrid: kind == MetricPartFormat.TimeKind.grid, count: count, first: first,
                last: last, bytes: 0..<0)
            guard count > 0, !overflow, last >= first, count > 1 || last == first else {
                throw reader.malformed("span of times")
            }
            switch kind {
            case MetricPartFormat.TimeKind.grid:
                let (span, overflow) = last.subtractingReportingOverflow(first)
                let steps = Int64(max(1, count - 1))
                guard !overflow, span % steps == 0, span >= Int64(count - 1) else {
                    throw reader.malformed("a grid of times")
                }
            case MetricPartFormat.TimeKind.column:
                let offset = try reader.length(limit: dataCount, "offset of times")
                let size = try reader.length(limit: dataCount - offset, "size of times")
                column.bytes = offset..<(offset + size)
            default: throw reader.malformed("kind of times")
            }
            times.append(column)
        }
    }

    private mutating func parseSeries(
        _ reader: inout ByteReader, _ seriesCount: Int, _ dataCount: Int
    ) throws(MalformedBytes) {
        var state = PartIndex.ChunkState()
        var labels: [UInt8] = []
        var previous: [UInt8]?
        for _ in 0..<seriesCount {
            seriesStarts.append(UInt32(truncatingIfNeeded: reader.offset))
            chunkEnds.append(UInt32(truncatingIfNeeded: state.end))
            chunkColumns.append(UInt32(truncatingIfNeeded: state.column))
            let labelCount = try reader.length(limit: MetricPartFormat.maxLabels, "labels")
            labels.removeAll(keepingCapacity: true)
            for _ in 0..<(2 * labelCount) {
                appendSymbol(try symbol(&reader), to: &labels)
            }
            let isAscending =
                previous.map { before in
                    before.withUnsafeBytes { a in
                        labels.withUnsafeBytes { b in compareLabels(a, b) < 0 }
                    }
                } ?? true
            guard isAscending, labels.withUnsafeBytes({ isCanonicalLabels($0) }) else {
                throw reader.malformed("canonical labels in ascending order")
            }
            previous = labels
            hashes.append(hash64(labels))
            chunkStarts.append(UInt32(truncatingIfNeeded: reader.offset))
            let chunkCount = try reader.length(limit: reader.remaining / 3, "number of chunks")
            for _ in 0..<chunkCount {
                _ = try PartIndex.nextChunk(
                    &reader, &state, timeColumns: times.count, dataCount: dataCount)
            }
        }
        guard reader.isAtEnd else { throw reader.malformed("end of \(seriesCount) series") }
    }

    private mutating func parseLabels(
        _ reader: inout ByteReader, _ seriesCount: Int
    ) throws(MalformedBytes) {
        var postingStart = 0
        var previousName = -1
        while !reader.isAtEnd {
            let symbol = try symbol(&reader)
            let valueCount = try reader.length(limit: reader.remaining / 3, "number of values")
            guard symbol > previousName else { throw reader.malformed("ascending names") }
            previousName = symbol
            let start = valueSymbols.count
            var previousValue = -1
            for _ in 0..<valueCount {
                let value = try self.symbol(&reader)
                guard value > previousValue else { throw reader.malformed("ascending values") }
                previousValue = value
                valueSymbols.append(UInt32(truncatingIfNeeded: value))
                valueCounts.append(
                    UInt32(truncatingIfNeeded: try reader.length(limit: seriesCount, "series")))
                postingStarts.append(UInt32(truncatingIfNeeded: postingStart))
                postingStart += try reader.length(
                    limit: postingBytes.count - postingStart, "size of postings")
            }
            names.append(
                PartIndex.Name(
                    symbol: UInt32(truncatingIfNeeded: symbol), values: start..<valueSymbols.count))
        }
    }

    /// Appends a symbol with its length before it: from one end to the next that is how the
    /// section holds it, so it is one copy.
    private func appendSymbol(_ symbol: Int, to out: inout [UInt8]) {
        let start = symbol == 0 ? 0 : Int(symbolEnds[symbol - 1])
        out.append(contentsOf: symbolBytes[start..<Int(symbolEnds[symbol])])
    }
}
