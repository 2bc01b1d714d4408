// SPDX-License-Identifier: Apache-2.0
// The index sections of a part, checked and ready to be asked.

import Base
import Storage
import Telemetry

/// Everything of a part but its samples. Decoding checks all references, so what reads later need
/// not: symbols exist, chunks lie inside the data, time columns hold a sane number of samples.
///
/// A class, because readers hand it on for every series: a struct of so many arrays costs a count of
/// references for each of them.
final class PartIndex: Sendable {
    struct TimeColumn: Sendable {
        var isGrid: Bool
        var count: Int
        var first: Int64
        var last: Int64
        /// Place of the integer column in the data; empty for a grid.
        var bytes: Range<Int>

        /// Appends the times of a grid.
        func appendGrid(to millis: inout [Int64]) {
            let interval = (last - first) / Int64(max(1, count - 1))
            let start = millis.count
            millis.append(contentsOf: repeatElement(0, count: count))
            millis.withUnsafeMutableBufferPointer { millis in
                for i in 0..<count { millis[start &+ i] = first &+ Int64(i) &* interval }
            }
        }
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
    struct Name: Sendable {
        var symbol: UInt32
        /// Positions in the value columns.
        var values: Range<Int>
    }

    private let symbolBytes: [UInt8]
    private let symbolEnds: [UInt32]
    private let symbolCounts: [UInt32]
    private let seriesBytes: [UInt8]
    /// Where each series' record begins, where its chunks do, and the running chunk state there.
    private let seriesStarts: [UInt32]
    /// `hash64` of each series' labels.
    private let hashes: [UInt64]
    private let chunkStarts: [UInt32]
    private let chunkEnds: [UInt32]
    private let chunkColumns: [UInt32]
    let times: [TimeColumn]
    let blocks: [Block]
    /// Known for as long as the index is.
    let checks: BlockChecks
    private let names: [Name]
    private let valueSymbols: [UInt32]
    private let valueCounts: [UInt32]
    private let postingStarts: [UInt32]
    private let postingBytes: [UInt8]

    /// Reads the index sections.
    ///
    /// - Throws: `PartCorruption`.
    init(_ reader: PartReader, seriesCount: Int) throws(PartCorruption) {
        let parsed = try ParsedIndex(reader, seriesCount: seriesCount)
        symbolBytes = parsed.symbolBytes
        symbolEnds = parsed.symbolEnds
        symbolCounts = parsed.symbolCounts
        seriesBytes = parsed.seriesBytes
        seriesStarts = parsed.seriesStarts
        hashes = parsed.hashes
        chunkStarts = parsed.chunkStarts
        chunkEnds = parsed.chunkEnds
        chunkColumns = parsed.chunkColumns
        times = parsed.times
        blocks = parsed.blocks
        checks = BlockChecks(count: parsed.blocks.count)
        names = parsed.names
        valueSymbols = parsed.valueSymbols
        valueCounts = parsed.valueCounts
        postingStarts = parsed.postingStarts
        postingBytes = parsed.postingBytes
    }

    /// Bytes of memory held, about.
    var byteCount: Int {
        symbolBytes.count + seriesBytes.count + postingBytes.count + blocks.count * 40
            + (symbolEnds.count * 2 + seriesStarts.count * 6 + valueSymbols.count * 3) * 4
            + times.count * 48
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

    private func findSymbol(_ text: UnsafeRawBufferPointer) -> Int? {
        let index = lowerBound(symbolEnds.count) { withSymbol($0) { compareBytes($0, text) < 0 } }
        guard index < symbolEnds.count, withSymbol(index, { equalBytes($0, text) }) else {
            return nil
        }
        return index
    }

    // MARK: - Series

    /// What a chunk entry continues from.
    struct ChunkState {
        var column = 0
        var end = 0
    }

    /// Reads a chunk entry.
    ///
    /// - Parameter timeColumns: number of time columns.
    @inline(__always)
    static func nextChunk(
        _ reader: inout ByteReader, _ state: inout ChunkState, timeColumns: Int, dataCount: Int
    ) throws(MalformedBytes) -> Chunk {
        let (column, overflow) = Int64(state.column).addingReportingOverflow(try reader.zigzag())
        guard !overflow, column >= 0, column < Int64(timeColumns) else {
            throw reader.malformed("time column below \(timeColumns)")
        }
        let gap = try reader.length(limit: dataCount - state.end, "gap between chunks")
        let start = state.end + gap
        let size = try reader.length(limit: dataCount - start, "size of chunk")
        state.column = Int(column)
        state.end = start + size
        return Chunk(timeColumn: state.column, bytes: start..<state.end)
    }

    /// `hash64` of a series' labels.
    func hash(_ series: Int) -> UInt64 { hashes[series] }

    /// Whether a series has these canonical labels.
    func hasLabels(_ series: Int, _ labels: UnsafeRawBufferPointer) -> Bool {
        var offset = 0
        var isSame = true
        symbolBytes.withUnsafeBytes { bytes in
            symbolPairs(series) { name, value in
                for place in [coded(name), coded(value)] where isSame {
                    let end = offset &+ place.count
                    isSame =
                        end <= labels.count
                        && equalBytes(
                            UnsafeRawBufferPointer(rebasing: bytes[place]),
                            UnsafeRawBufferPointer(rebasing: labels[offset..<end]))
                    offset = end
                }
            }
        }
        return isSame && offset == labels.count
    }

    /// Labels of a series.
    func labels(_ series: Int) -> Labels {
        Labels(canonical: labelBytes(series), hash: hashes[series])
    }

    /// Canonical label bytes of a series.
    private func labelBytes(_ series: Int) -> [UInt8] {
        var byteCount = 0
        symbolPairs(series) { byteCount &+= coded($0).count &+ coded($1).count }
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initialized in
            let out = UnsafeMutableRawBufferPointer(buffer)
            symbolBytes.withUnsafeBytes { bytes in
                func append(_ symbol: Int) {
                    let place = coded(symbol)
                    UnsafeMutableRawBufferPointer(rebasing: out[initialized...])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[place]))
                    initialized &+= place.count
                }
                symbolPairs(series) { name, value in
                    append(name)
                    append(value)
                }
            }
        }
    }

    /// Appends the labels that names leave of a series', with the symbols of the names looked up once.
    func projection(_ names: LabelNameSet) -> (UInt32, inout [UInt8]) -> Void {
        var kept = PostingsBitmap(limit: symbolEnds.count)
        for name in self.names.indices where withName(name, { names.contains($0) }) {
            kept.insert(self.names[name].symbol)
        }
        return { [self, kept] series, out in
            symbolPairs(Int(series)) { name, value in
                guard kept.contains(UInt32(truncatingIfNeeded: name)) else { return }
                out.append(contentsOf: symbolBytes[coded(name)])
                out.append(contentsOf: symbolBytes[coded(value)])
            }
        }
    }

    /// Place of a symbol with its length before it, which is how label sets hold it too.
    private func coded(_ symbol: Int) -> Range<Int> {
        (symbol == 0 ? 0 : Int(symbolEnds[symbol - 1]))..<Int(symbolEnds[symbol])
    }

    /// A place in the chunks of a series.
    struct ChunkCursor {
        fileprivate var offset: Int
        fileprivate var left: Int
        fileprivate var state: ChunkState
    }

    /// Before the first chunk of a series.
    func chunks(_ series: Int) -> ChunkCursor {
        var cursor = ChunkCursor(
            offset: Int(chunkStarts[series]), left: 0,
            state: ChunkState(column: Int(chunkColumns[series]), end: Int(chunkEnds[series])))
        read(&cursor) { reader, cursor throws(MalformedBytes) in
            cursor.left = try reader.length()
        }
        return cursor
    }

    /// The next chunk of the cursor's series, if there is one.
    func next(_ cursor: inout ChunkCursor, dataCount: Int) -> Chunk? {
        if cursor.left == 0 { return nil }
        cursor.left -= 1
        var chunk: Chunk?
        read(&cursor) { reader, cursor throws(MalformedBytes) in
            chunk = try PartIndex.nextChunk(
                &reader, &cursor.state, timeColumns: times.count, dataCount: dataCount)
        }
        return chunk
    }

    @inline(__always)
    private func read(
        _ cursor: inout ChunkCursor,
        _ body: (inout ByteReader, inout ChunkCursor) throws(MalformedBytes) -> Void
    ) {
        seriesBytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            reader.offset = cursor.offset
            do throws(MalformedBytes) {
                try body(&reader, &cursor)
            } catch {
                preconditionFailure("a checked series cannot be read: \(error)")
            }
            cursor.offset = reader.offset
        }
    }

    /// Whether a chunk of the series overlaps the range, with more than what is `deleted`.
    func hasSamples(
        _ series: Int, _ range: MillisRange, dataCount: Int, except deleted: [MillisRange] = []
    ) -> Bool {
        var cursor = chunks(series)
        while let chunk = next(&cursor, dataCount: dataCount) {
            let column = times[chunk.timeColumn]
            if range.overlaps(first: column.first, last: column.last),
                !isCovered(
                    max(column.first, range.first.rawValue),
                    min(column.last, range.last.rawValue), by: deleted)
            {
                return true
            }
        }
        return false
    }

    /// The symbols of names and values of a series, pair after pair.
    @inline(__always)
    private func symbolPairs(_ series: Int, _ body: (Int, Int) -> Void) {
        readSeries(series) { reader throws(MalformedBytes) in
            for _ in 0..<(try reader.length()) { body(try reader.length(), try reader.length()) }
        }
    }

    @inline(__always)
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

    /// Numbers of the names of the labels on some series, ascending.
    func names(of series: Postings) -> [Int] {
        var symbols = PostingsBitmap(limit: symbolEnds.count)
        for id in series.ids {
            symbolPairs(Int(id)) { name, _ in symbols.insert(UInt32(truncatingIfNeeded: name)) }
        }
        return names.indices.filter { symbols.contains(names[$0].symbol) }
    }

    func nameSymbol(_ name: Int) -> Int { Int(names[name].symbol) }

    /// Symbol of a label's value by their numbers.
    func valueSymbol(_ name: Int, _ value: Int) -> Int {
        Int(valueSymbols[names[name].values.lowerBound + value])
    }

    /// Symbol of a series' value of the label whose name is `symbol`, or nil.
    func valueSymbol(_ series: Int, name symbol: Int) -> Int? {
        var found: Int?
        readSeries(series) { reader throws(MalformedBytes) in
            // Names ascend, and so do their symbols.
            for _ in 0..<(try reader.length()) {
                let name = try reader.length()
                let value = try reader.length()
                if name < symbol { continue }
                if name == symbol { found = value }
                return
            }
        }
        return found
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
        let index = position(of: symbol, name)
        let values = names[name].values
        return index < values.count && Int(valueSymbols[values.lowerBound + index]) == symbol
            ? index : nil
    }
    /// Number of the first value of a label whose symbol is not below one.
    private func position(of symbol: Int, _ name: Int) -> Int {
        let values = names[name].values
        return lowerBound(values.count) { Int(valueSymbols[values.lowerBound + $0]) < symbol }
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
        try readPostings(name, value) { reader throws(MalformedBytes) in
            try Postings(decoding: &reader, limit: seriesCount)
        }
    }
    func forEachSeries(_ name: Int, _ value: Int, _ body: (UInt32) -> Bool) throws -> Bool {
        try readPostings(name, value) { reader throws(MalformedBytes) in
            try Postings.forEach(decoding: &reader, limit: seriesCount, body)
        }
    }

    @inline(__always)
    private func readPostings<R>(
        _ name: Int, _ value: Int, _ body: (inout ByteReader) throws(MalformedBytes) -> R
    ) throws(PartCorruption) -> R {
        let start = Int(postingStarts[names[name].values.lowerBound + value])
        let result = postingBytes.withUnsafeBytes { bytes -> Result<R, MalformedBytes> in
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[start...]))
            do throws(MalformedBytes) {
                return .success(try body(&reader))
            } catch { return .failure(error) }
        }
        switch result {
        case .success(let value): return value
        case .failure(let error):
            throw PartCorruption(offset: 0, problem: "postings at \(start): \(error)")
        }
    }

    func insertValues(_ name: Int, of series: Postings, into values: inout PostingsBitmap) {
        let wanted = Int(names[name].symbol)
        // Neighbours often have the same value.
        var last = -1
        for id in series.ids {
            guard let symbol = valueSymbol(Int(id), name: wanted), symbol != last else { continue }
            last = symbol
            values.insert(UInt32(truncatingIfNeeded: position(of: symbol, name)))
        }
    }

    func filter(_ series: Postings, _ matcher: LabelMatcher) -> Postings {
        guard let name = withBytes(of: matcher.name, { findSymbol($0) }) else {
            return matcher.matchesEmpty ? series : .empty
        }
        let matchesEmpty = matcher.matchesEmpty
        var last = (symbol: -1, isMatch: false)
        return Postings(
            ascending: series.ids.filter { id in
                guard let symbol = valueSymbol(Int(id), name: name) else { return matchesEmpty }
                if symbol != last.symbol {
                    last = (symbol, withSymbol(symbol) { matcher.matches($0) })
                }
                return last.isMatch
            })
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
