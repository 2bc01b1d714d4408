// SPDX-License-Identifier: Apache-2.0
// The index sections of a part, checked and ready to be asked.

import Base
import Storage
import Telemetry

/// Everything of a part but its samples. Decoding checks all references, so what reads later need
/// not: symbols exist, chunks lie inside the data, time columns hold a sane number of samples.
struct PartIndex: Sendable {
    struct TimeColumn: Sendable {
        var isGrid: Bool
        var count: Int
        var first: Int64
        var last: Int64
        /// Place of the integer column in the data; empty for a grid.
        var bytes: Range<Int>
    }
    struct Block: Sendable {
        var bytes: Range<Int>
        var crc: UInt32
        var minMillis: Int64
        var maxMillis: Int64
    }
    struct Chunk {
        var timeColumn: Int
        var bytes: Range<Int>
    }
    private struct Name: Sendable {
        var symbol: UInt32
        /// Positions in the value columns.
        var values: Range<Int>
    }

    private var symbolBytes: [UInt8]
    private var symbolEnds: [UInt32] = []
    private var symbolCounts: [UInt32] = []
    private var seriesBytes: [UInt8]
    /// Where each series' record begins, and the running chunk state there.
    private var seriesStarts: [UInt32] = []
    private var chunkEnds: [UInt32] = []
    private var chunkColumns: [UInt32] = []
    private(set) var times: [TimeColumn] = []
    private(set) var blocks: [Block] = []
    private var names: [Name] = []
    private var valueSymbols: [UInt32] = []
    private var valueCounts: [UInt32] = []
    private var postingStarts: [UInt32] = []
    private var postingBytes: [UInt8]

    /// Bytes of memory held, about.
    var byteCount: Int {
        symbolBytes.count + seriesBytes.count + postingBytes.count + blocks.count * 40
            + (symbolEnds.count * 2 + seriesStarts.count * 3 + valueSymbols.count * 3) * 4
            + times.count * 48
    }

    /// Reads the index sections.
    ///
    /// - Throws: `PartCorruption`.
    init(_ reader: PartReader, seriesCount: Int) throws(PartCorruption) {
        typealias Section = MetricPartFormat.Section
        symbolBytes = try reader.read(Section.symbols)
        seriesBytes = try reader.read(Section.series)
        postingBytes = try reader.read(Section.postings)
        let dataCount = reader.section(Section.data)?.storedCount ?? 0
        try PartIndex.parse(reader, Section.symbols, symbolBytes) { bytes throws(MalformedBytes) in
            try parseSymbols(&bytes)
        }
        try PartIndex.parse(reader, Section.blocks, try reader.read(Section.blocks)) {
            bytes throws(MalformedBytes) in
            try parseBlocks(&bytes, dataCount)
        }
        try PartIndex.parse(reader, Section.times, try reader.read(Section.times)) {
            bytes throws(MalformedBytes) in
            try parseTimes(&bytes, dataCount)
        }
        try PartIndex.parse(reader, Section.series, seriesBytes) { bytes throws(MalformedBytes) in
            try parseSeries(&bytes, seriesCount, dataCount)
        }
        try PartIndex.parse(reader, Section.labels, try reader.read(Section.labels)) {
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
                Block(
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
            var column = TimeColumn(
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
        var state = ChunkState()
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
            let chunkCount = try reader.length(limit: reader.remaining / 3, "number of chunks")
            for _ in 0..<chunkCount {
                _ = try nextChunk(&reader, &state, dataCount)
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
                Name(
                    symbol: UInt32(truncatingIfNeeded: symbol), values: start..<valueSymbols.count))
        }
    }

    // MARK: - Symbols

    func withSymbol<R>(
        _ symbol: Int, _ body: (UnsafeRawBufferPointer) throws -> R
    ) rethrows -> R {
        let end = Int(symbolEnds[symbol])
        let start = end - Int(symbolCounts[symbol])
        return try symbolBytes.withUnsafeBytes {
            try body(UnsafeRawBufferPointer(rebasing: $0[start..<end]))
        }
    }

    /// Appends a symbol with its length before it: from one end to the next that is how the
    /// section holds it, so it is one copy.
    private func appendSymbol(_ symbol: Int, to out: inout [UInt8]) {
        let start = symbol == 0 ? 0 : Int(symbolEnds[symbol - 1])
        out.append(contentsOf: symbolBytes[start..<Int(symbolEnds[symbol])])
    }

    private func findSymbol(_ text: UnsafeRawBufferPointer) -> Int? {
        let index = lowerBound(symbolEnds.count) { withSymbol($0) { compareBytes($0, text) < 0 } }
        guard index < symbolEnds.count, withSymbol(index, { equalBytes($0, text) }) else {
            return nil
        }
        return index
    }

    // MARK: - Series

    private struct ChunkState {
        var column = 0
        var end = 0
    }

    private func nextChunk(
        _ reader: inout ByteReader, _ state: inout ChunkState, _ dataCount: Int
    ) throws(MalformedBytes) -> Chunk {
        let (column, overflow) = Int64(state.column).addingReportingOverflow(try reader.zigzag())
        guard !overflow, column >= 0, column < Int64(times.count) else {
            throw reader.malformed("time column below \(times.count)")
        }
        let gap = try reader.length(limit: dataCount - state.end, "gap between chunks")
        let start = state.end + gap
        let size = try reader.length(limit: dataCount - start, "size of chunk")
        state.column = Int(column)
        state.end = start + size
        return Chunk(timeColumn: state.column, bytes: start..<state.end)
    }

    /// Canonical label bytes of a series.
    func labels(_ series: Int) -> [UInt8] {
        var out: [UInt8] = []
        readSeries(series) { reader throws(MalformedBytes) in
            for _ in 0..<(2 * (try reader.length())) {
                appendSymbol(try reader.length(), to: &out)
            }
        }
        return out
    }

    /// The chunks of a series in their order.
    func chunks(_ series: Int, dataCount: Int) -> [Chunk] {
        var out: [Chunk] = []
        readSeries(series) { reader throws(MalformedBytes) in
            for _ in 0..<(2 * (try reader.length())) { _ = try reader.varint() }
            var state = ChunkState(
                column: Int(chunkColumns[series]), end: Int(chunkEnds[series]))
            for _ in 0..<(try reader.length()) {
                out.append(try nextChunk(&reader, &state, dataCount))
            }
        }
        return out
    }

    /// Whether a chunk of the series overlaps the range, with more than what is `deleted`.
    func hasSamples(
        _ series: Int, _ range: MillisRange, dataCount: Int, except deleted: [MillisRange] = []
    ) -> Bool {
        var found = false
        readSeries(series) { reader throws(MalformedBytes) in
            for _ in 0..<(2 * (try reader.length())) { _ = try reader.varint() }
            var state = ChunkState(
                column: Int(chunkColumns[series]), end: Int(chunkEnds[series]))
            for _ in 0..<(try reader.length()) where !found {
                let column = times[try nextChunk(&reader, &state, dataCount).timeColumn]
                found =
                    range.overlaps(first: column.first, last: column.last)
                    && !isCovered(
                        max(column.first, range.first.rawValue),
                        min(column.last, range.last.rawValue), by: deleted)
            }
        }
        return found
    }

    /// The symbols of names and values of a series, pair after pair.
    private func symbolPairs(_ series: Int, _ body: (Int, Int) -> Void) {
        readSeries(series) { reader throws(MalformedBytes) in
            for _ in 0..<(try reader.length()) { body(try reader.length(), try reader.length()) }
        }
    }

    private func readSeries(
        _ series: Int, _ body: (inout ByteReader) throws(MalformedBytes) -> Void
    ) {
        seriesBytes.withUnsafeBytes { bytes in
            var reader = ByteReader(
                UnsafeRawBufferPointer(rebasing: bytes[Int(seriesStarts[series])...]))
            do throws(MalformedBytes) {
                try body(&reader)
            } catch {
                preconditionFailure("a checked series cannot be read: \(error)")
            }
        }
    }

    // MARK: - Names and values

    var nameCount: Int { names.count }
    func withName<R>(_ name: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withSymbol(Int(names[name].symbol), body)
    }

    /// Symbols of the names on a series.
    func nameSymbols(_ series: Int, _ body: (Int) -> Void) {
        symbolPairs(series) { name, _ in body(name) }
    }

    /// Symbol of a series' value of the label whose name is `symbol`, or nil.
    func valueSymbol(_ series: Int, name symbol: Int) -> Int? {
        var found: Int?
        symbolPairs(series) { if $0 == symbol { found = $1 } }
        return found
    }

    func nameSymbol(_ name: Int) -> Int { Int(names[name].symbol) }

    /// Symbol of a label's value by their numbers.
    func valueSymbol(_ name: Int, _ value: Int) -> Int {
        Int(valueSymbols[names[name].values.lowerBound + value])
    }
}

extension PartIndex: LabelIndex {
    var seriesCount: Int { seriesStarts.count }

    func findName(_ name: UnsafeRawBufferPointer) -> Int? {
        guard let symbol = findSymbol(name) else { return nil }
        let index = lowerBound(names.count) { Int(names[$0].symbol) < symbol }
        return index < names.count && Int(names[index].symbol) == symbol ? index : nil
    }
    func valueCount(_ name: Int) -> Int { names[name].values.count }
    func findValue(_ name: Int, _ value: UnsafeRawBufferPointer) -> Int? {
        guard let symbol = findSymbol(value) else { return nil }
        let values = names[name].values
        let index = lowerBound(values.count) {
            Int(valueSymbols[values.lowerBound + $0]) < symbol
        }
        return index < values.count && Int(valueSymbols[values.lowerBound + index]) == symbol
            ? index : nil
    }
    func values(_ name: Int, startingWith prefix: String) -> Range<Int> {
        guard !prefix.isEmpty else { return 0..<valueCount(name) }
        return withBytes(of: prefix) { prefix in
            let low = lowerBound(valueCount(name)) {
                withValue(name, $0) { compareBytes($0, prefix) < 0 }
            }
            let high = lowerBound(valueCount(name)) {
                withValue(name, $0) {
                    compareBytes(UnsafeRawBufferPointer(rebasing: $0.prefix(prefix.count)), prefix)
                        <= 0
                }
            }
            return low..<max(low, high)
        }
    }
    func withValue<R>(
        _ name: Int, _ value: Int, _ body: (UnsafeRawBufferPointer) throws -> R
    ) rethrows -> R {
        try withSymbol(Int(valueSymbols[names[name].values.lowerBound + value]), body)
    }
    func postingCount(_ name: Int, _ value: Int) -> Int {
        Int(valueCounts[names[name].values.lowerBound + value])
    }
    func postings(_ name: Int, _ value: Int) throws -> Postings {
        let start = Int(postingStarts[names[name].values.lowerBound + value])
        return try postingBytes.withUnsafeBytes { bytes in
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[start...]))
            do {
                return try Postings(decoding: &reader, limit: seriesCount)
            } catch {
                throw PartCorruption(offset: 0, problem: "postings at \(start): \(error)")
            }
        }
    }
    func satisfies(_ series: UInt32, _ matcher: LabelMatcher) -> Bool {
        let value = withBytes(of: matcher.name) { findSymbol($0) }
            .flatMap { valueSymbol(Int(series), name: $0) }
        guard let value else { return matcher.matchesEmpty }
        return withSymbol(value) { matcher.matches($0) }
    }
}

/// First index of `0..<count` for which `isBefore` is false; it is true for all before.
@inline(__always)
func lowerBound(_ count: Int, _ isBefore: (Int) throws -> Bool) rethrows -> Int {
    var low = 0
    var high = count
    while low < high {
        let middle = (low + high) / 2
        if try isBefore(middle) { low = middle + 1 } else { high = middle }
    }
    return low
}
