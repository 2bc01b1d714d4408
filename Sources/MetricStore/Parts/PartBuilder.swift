// SPDX-License-Identifier: Apache-2.0
// Writing a metric part series by series.

import Base
import Storage
import Telemetry

/// Collects series in ascending order of labels and makes the part of one day. Holds the encoded
/// data and an entry per series and chunk, never more than one series' samples.
struct PartBuilder {
    private struct Chunk {
        var timeColumn: Int
        var offset: Int
        var byteCount: Int
    }
    private struct Block {
        var byteCount: Int
        var crc: UInt32
        var minMillis: Int64
        var maxMillis: Int64
    }
    private struct TimeColumn {
        var kind: UInt8
        var count: Int
        var first: Int64
        var last: Int64
        var offset = 0
        var byteCount = 0
    }

    /// In order of arrival; sorted when finished.
    private var symbols = InternTable()
    /// Name and value symbols of all series, pair after pair, and where each series' end.
    private var labelSymbols: [UInt32] = []
    private var labelEnds: [Int] = []
    private var chunks: [Chunk] = []
    private var chunkEnds: [Int] = []
    private var times: [TimeColumn] = []
    /// Time columns by the hash of their milliseconds.
    private var timesByHash: [UInt64: Int] = [:]
    private var data = ByteWriter()
    private var blocks: [Block] = []
    private var blockStart = 0
    private var blockMin = Int64.max
    private var blockMax = Int64.min
    private var exemplars = ByteWriter()
    private var metadata: [UInt8] = []
    private var scratchDecode: [Int64] = []
    private(set) var sampleCount = 0
    private(set) var minMillis = Int64.max
    private(set) var maxMillis = Int64.min

    /// Length of a bucket; 0 = samples as they came.
    private let resolutionMillis: Int64

    init(resolutionMillis: Int64 = 0) { self.resolutionMillis = resolutionMillis }

    var seriesCount: Int { labelEnds.count }
    /// Bytes of encoded samples so far.
    var dataCount: Int { data.count }

    mutating func setMetadata(_ table: MetadataTable) {
        var writer = ByteWriter()
        table.encode(into: &writer)
        metadata = writer.bytes
    }

    /// Adds a series after all that sort before it: its samples in `range` of the columns, and its
    /// exemplars, ascending by time.
    mutating func add(
        _ labels: UnsafeRawBufferPointer, _ columns: SampleColumns, _ range: Range<Int>,
        exemplars: [HeadExtras.Exemplar] = []
    ) {
        begin(labels)
        if columns.histograms.isEmpty {
            addFloats(
                columns.millis[range], columns.values[range],
                columns.startMillis.isEmpty ? [] : columns.startMillis[range])
        } else {
            addMixed(columns, range)
        }
        chunkEnds.append(chunks.count)
        if !exemplars.isEmpty { add(exemplars) }
    }

    private mutating func begin(_ labels: UnsafeRawBufferPointer) {
        forEachLabel(in: labels) { name, value in
            labelSymbols.append(UInt32(truncatingIfNeeded: symbols.intern(name)))
            labelSymbols.append(UInt32(truncatingIfNeeded: symbols.intern(value)))
        }
        labelEnds.append(labelSymbols.count)
    }

    /// Adds a down-sampled series after all that sort before it.
    mutating func add(
        _ labels: UnsafeRawBufferPointer, _ sampled: Downsampled,
        exemplars: [HeadExtras.Exemplar] = []
    ) {
        begin(labels)
        var rest = sampled.buckets[...]
        while !rest.isEmpty {
            let chunk = rest.prefix(MetricPartFormat.chunkSamples)
            addChunk(chunk.map(\.millis)[...]) { ChunkCoding.encode(buckets: chunk, into: &$0) }
            rest = rest.dropFirst(chunk.count)
        }
        if sampled.histograms.count > 0 {
            addMixed(sampled.histograms, 0..<sampled.histograms.count)
        }
        let main = sampleCount
        var offset = 0
        while offset < sampled.fallMillis.count {
            let end = min(sampled.fallMillis.count, offset + MetricPartFormat.chunkSamples)
            addChunk(sampled.fallMillis[offset..<end]) {
                ChunkCoding.encode(falls: sampled.fallValues[offset..<end], into: &$0)
            }
            offset = end
        }
        // Only readers of counters see them.
        sampleCount = main
        chunkEnds.append(chunks.count)
        if !exemplars.isEmpty { add(exemplars) }
    }

    private mutating func add(_ list: [HeadExtras.Exemplar]) {
        exemplars.varint(seriesCount - 1)
        exemplars.varint(list.count)
        var previous: Int64 = 0
        for exemplar in list {
            exemplars.zigzag(exemplar.millis &- previous)
            exemplars.u64(exemplar.value)
            exemplars.lengthPrefixed(exemplar.labels)
            previous = exemplar.millis
            minMillis = min(minMillis, exemplar.millis)
            maxMillis = max(maxMillis, exemplar.millis)
        }
    }

    private mutating func addMixed(_ columns: SampleColumns, _ range: Range<Int>) {
        let hasStarts = !columns.startMillis.isEmpty
        var floats = SampleColumns()
        var millis: [Int64] = []
        var starts: [Int64] = []
        var histograms: [NativeHistogram] = []
        var chunkList: [(millis: [Int64], starts: [Int64], histograms: [NativeHistogram])] = []
        var byteCount = 0
        for i in range {
            let start = hasStarts ? columns.startMillis[i] : 0
            guard let histogram = columns.histograms[i] else {
                floats.append(
                    millis: columns.millis[i], value: columns.values[i], startMillis: start)
                continue
            }
            millis.append(columns.millis[i])
            starts.append(start)
            histograms.append(histogram)
            byteCount += histogram.encodedBound
            if millis.count >= MetricPartFormat.chunkSamples
                || byteCount >= MetricPartFormat.histogramChunkBytes
            {
                chunkList.append((millis, starts, histograms))
                millis = []
                starts = []
                histograms = []
                byteCount = 0
            }
        }
        if !millis.isEmpty { chunkList.append((millis, starts, histograms)) }
        addFloats(floats.millis[...], floats.values[...], floats.startMillis[...])
        for chunk in chunkList {
            addChunk(chunk.millis[...]) {
                ChunkCoding.encode(
                    histograms: chunk.histograms, starts: chunk.starts[...], into: &$0)
            }
        }
    }

    private mutating func addFloats(
        _ millis: ArraySlice<Int64>, _ values: ArraySlice<Double>, _ starts: ArraySlice<Int64>
    ) {
        var offset = 0
        while offset < millis.count {
            let n = min(MetricPartFormat.chunkSamples, millis.count - offset)
            let time = millis.startIndex + offset
            let value = values.startIndex + offset
            let start = starts.isEmpty ? starts : starts[(starts.startIndex + offset)...].prefix(n)
            addChunk(millis[time..<(time + n)]) {
                ChunkCoding.encode(
                    floats: values[value..<(value + n)], starts: start, into: &$0)
            }
            offset += n
        }
    }

    private mutating func addChunk(
        _ millis: ArraySlice<Int64>, _ encode: (inout ByteWriter) -> Void
    ) {
        guard let first = millis.first, let last = millis.last else { return }
        let column = timeColumn(millis, first, last)
        let offset = data.count
        encode(&data)
        chunks.append(
            Chunk(timeColumn: column, offset: offset, byteCount: data.count - offset))
        sampleCount += millis.count
        minMillis = min(minMillis, first)
        maxMillis = max(maxMillis, last)
        blockMin = min(blockMin, first)
        blockMax = max(blockMax, last)
        if data.count - blockStart >= MetricPartFormat.blockBytes { closeBlock() }
    }

    private mutating func closeBlock() {
        guard data.count > blockStart else { return }
        let crc = data.bytes.withUnsafeBytes {
            crc32c(UnsafeRawBufferPointer(rebasing: $0[blockStart...]))
        }
        blocks.append(
            Block(
                byteCount: data.count - blockStart, crc: crc, minMillis: blockMin,
                maxMillis: blockMax))
        blockStart = data.count
        blockMin = .max
        blockMax = .min
    }

    // MARK: - Times

    /// Number of the column with these times, shared with an earlier chunk where one has the same.
    private mutating func timeColumn(
        _ millis: ArraySlice<Int64>, _ first: Int64, _ last: Int64
    ) -> Int {
        let hash = millis.withUnsafeBytes { hash64($0) }
        if let known = timesByHash[hash], isColumn(known, millis) { return known }
        var column = TimeColumn(
            kind: MetricPartFormat.TimeKind.grid, count: millis.count, first: first, last: last)
        if !PartBuilder.isGrid(millis, first, last) {
            column.kind = MetricPartFormat.TimeKind.column
            column.offset = data.count
            IntegerColumn.encode(Array(millis), into: &data)
            column.byteCount = data.count - column.offset
        }
        times.append(column)
        timesByHash[hash] = times.count - 1
        return times.count - 1
    }

    /// Whether an earlier column holds these times: compared in full, a hash may collide.
    private mutating func isColumn(_ index: Int, _ millis: ArraySlice<Int64>) -> Bool {
        let column = times[index]
        guard column.count == millis.count, column.first == millis.first,
            column.last == millis.last
        else { return false }
        if column.kind == MetricPartFormat.TimeKind.grid {
            return PartBuilder.isGrid(millis, column.first, column.last)
        }
        scratchDecode.removeAll(keepingCapacity: true)
        return data.bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(
                UnsafeRawBufferPointer(rebasing: bytes[column.offset...].prefix(column.byteCount)))
            do throws(MalformedBytes) {
                try IntegerColumn.decode(column.count, &reader, into: &scratchDecode)
            } catch {
                preconditionFailure("a time column just written cannot be read: \(error)")
            }
            return scratchDecode.elementsEqual(millis)
        }
    }

    private static func isGrid(_ millis: ArraySlice<Int64>, _ first: Int64, _ last: Int64) -> Bool {
        guard millis.count > 1 else { return true }
        let (span, overflow) = last.subtractingReportingOverflow(first)
        let steps = Int64(millis.count - 1)
        guard !overflow, span % steps == 0 else { return false }
        let interval = span / steps
        var expected = first
        for time in millis {
            if time != expected { return false }
            expected &+= interval
        }
        return true
    }
}

extension NativeHistogram {
    /// An upper bound of the encoded size, in bytes.
    var encodedBound: Int {
        64 + 12 * (positiveSpans.count + negativeSpans.count)
            + 8 * (positiveBuckets.count + negativeBuckets.count + customBounds.count)
    }
}

// MARK: - Finishing

extension PartBuilder {
    /// The finished file.
    ///
    /// - Parameter level: zstd level of the index sections.
    consuming func finish(level: Int32) -> [UInt8] {
        closeBlock()
        // Symbols by text, so that comparing numbers compares texts.
        let sorted = (0..<symbols.count).sorted { a, b in
            symbols.withBytes(a) { x in symbols.withBytes(b) { y in compareBytes(x, y) < 0 } }
        }
        var rank = [UInt32](repeating: 0, count: sorted.count)
        for (position, symbol) in sorted.enumerated() { rank[symbol] = UInt32(position) }
        for i in labelSymbols.indices { labelSymbols[i] = rank[Int(labelSymbols[i])] }

        var writer = PartWriter(signal: .metrics)
        var summary = ByteWriter()
        summary.u8(
            resolutionMillis > 0 ? MetricPartFormat.coarseVersion : MetricPartFormat.version)
        summary.varint(seriesCount)
        summary.varint(sampleCount)
        summary.zigzag(minMillis)
        summary.zigzag(maxMillis)
        if resolutionMillis > 0 { summary.varint(UInt64(resolutionMillis)) }
        typealias Section = MetricPartFormat.Section
        writer.add(kind: Section.summary, summary.bytes)

        var texts = ByteWriter()
        for symbol in sorted { symbols.withBytes(symbol) { texts.lengthPrefixed($0) } }
        writer.add(kind: Section.symbols, texts.bytes, .zstd(level: level))
        writer.add(kind: Section.series, seriesSection(), .zstd(level: level))
        writer.add(kind: Section.times, timesSection(), .zstd(level: level))
        writer.add(kind: Section.blocks, blocksSection(), .zstd(level: level))
        writer.add(kind: Section.data, data.bytes)
        let (labels, postings) = labelSections()
        writer.add(kind: Section.labels, labels, .zstd(level: level))
        writer.add(kind: Section.postings, postings, .zstd(level: level))
        if exemplars.count > 0 {
            writer.add(kind: Section.exemplars, exemplars.bytes, .zstd(level: level))
        }
        if !metadata.isEmpty {
            writer.add(kind: Section.metadata, metadata, .zstd(level: level))
        }
        return writer.finish()
    }

    private func seriesSection() -> [UInt8] {
        var out = ByteWriter()
        var label = 0
        var chunk = 0
        var end = 0
        var column = 0
        for series in labelEnds.indices {
            out.varint((labelEnds[series] - label) / 2)
            for i in label..<labelEnds[series] { out.varint(UInt64(labelSymbols[i])) }
            label = labelEnds[series]
            out.varint(chunkEnds[series] - chunk)
            for entry in chunks[chunk..<chunkEnds[series]] {
                out.zigzag(Int64(entry.timeColumn - column))
                out.varint(entry.offset - end)
                out.varint(entry.byteCount)
                column = entry.timeColumn
                end = entry.offset + entry.byteCount
            }
            chunk = chunkEnds[series]
        }
        return out.bytes
    }

    private func timesSection() -> [UInt8] {
        var out = ByteWriter()
        for column in times {
            out.u8(column.kind)
            out.varint(column.count)
            out.zigzag(column.first)
            out.varint(UInt64(bitPattern: column.last &- column.first))
            if column.kind == MetricPartFormat.TimeKind.column {
                out.varint(column.offset)
                out.varint(column.byteCount)
            }
        }
        return out.bytes
    }

    private func blocksSection() -> [UInt8] {
        var out = ByteWriter()
        for block in blocks {
            out.varint(block.byteCount)
            out.u32(block.crc)
            out.zigzag(block.minMillis)
            out.varint(UInt64(bitPattern: block.maxMillis &- block.minMillis))
        }
        return out.bytes
    }

    private func labelSections() -> (labels: [UInt8], postings: [UInt8]) {
        var lists: [UInt64: Postings] = [:]
        var label = 0
        for series in labelEnds.indices {
            while label < labelEnds[series] {
                let key = UInt64(labelSymbols[label]) << 32 | UInt64(labelSymbols[label + 1])
                lists[key, default: .empty].append(UInt32(truncatingIfNeeded: series))
                label += 2
            }
        }
        let keys = lists.keys.sorted()
        var labels = ByteWriter()
        var postings = ByteWriter()
        var start = 0
        while start < keys.count {
            let name = keys[start] >> 32
            let end = keys[start...].firstIndex { $0 >> 32 != name } ?? keys.count
            labels.varint(name)
            labels.varint(end - start)
            for key in keys[start..<end] {
                let list = lists[key] ?? .empty
                let before = postings.count
                list.encode(into: &postings)
                labels.varint(key & 0xffff_ffff)
                labels.varint(list.count)
                labels.varint(postings.count - before)
            }
            start = end
        }
        return (labels.bytes, postings.bytes)
    }
}
