// SPDX-License-Identifier: Apache-2.0
// An opened metric part.

import Base
import Storage
import Synchronization
import Telemetry

/// A sealed part as readers see it. The index is decoded at first use and kept
/// until the store wants the memory back; samples are decoded
/// from the mapped data at each read, whose blocks are checked against their checksums once.
final class MetricPart: Sendable {
    let handle: PartHandle
    let seriesCount: Int
    let sampleCount: Int
    let minMillis: Int64
    let maxMillis: Int64
    /// Length of a bucket; 0 = the samples are as they came.
    let resolutionMillis: Int64
    /// What readers must not see.
    let deletions: Deletions
    let dataSection: PartReader.Section
    private let loaded: Mutex<PartIndex?>
    /// The store's count of uses when this part's index was last asked for.
    let lastUse = Atomic<Int>(0)

    /// Reads the summary only.
    ///
    /// - Parameter ignoringDeletions: show what is deleted as well.
    /// - Throws: `PartCorruption`.
    init(
        _ handle: PartHandle, ignoringDeletions: Bool = false
    ) throws(PartCorruption) {
        self.handle = handle
        loaded = Mutex(nil)
        let reader = handle.reader
        guard reader.signal == .metrics, let data = reader.section(MetricPartFormat.Section.data),
            data.coding == 0
        else {
            throw PartCorruption(name: reader.name, offset: 0, problem: "no metric part")
        }
        dataSection = data
        let summary = try reader.read(MetricPartFormat.Section.summary)
        let parsed = summary.withUnsafeBytes {
            bytes -> Result<(Int, Int, Int64, Int64, Int64), MalformedBytes> in
            var cursor = ByteReader(bytes)
            do throws(MalformedBytes) {
                let version = try cursor.u8()
                let isCoarse = version == MetricPartFormat.coarseVersion
                guard isCoarse || version == MetricPartFormat.version else {
                    throw cursor.malformed("version 1 or 2, not \(version)")
                }
                let counts = (
                    try cursor.length(limit: Int(UInt32.max)), try cursor.length(),
                    try cursor.zigzag(), try cursor.zigzag()
                )
                let resolution = isCoarse ? try cursor.varint() : 0
                guard resolution <= UInt64(MetricPartFormat.maxResolutionMillis),
                    isCoarse == (resolution > 0)
                else { throw cursor.malformed("the length of a bucket") }
                return .success((counts.0, counts.1, counts.2, counts.3, Int64(resolution)))
            } catch { return .failure(error) }
        }
        switch parsed {
        case .success(let values):
            (seriesCount, sampleCount, minMillis, maxMillis, resolutionMillis) = values
        case .failure(let error):
            throw PartCorruption(
                name: reader.name,
                offset: reader.section(MetricPartFormat.Section.summary)?.offset ?? 0,
                problem: "summary: \(error)")
        }
        deletions =
            ignoringDeletions
            ? Deletions()
            : try MetricPart.deletions(of: handle, seriesCount: seriesCount)
    }

    /// The same part after its deletions changed; knows what was decoded already.
    init(_ part: MetricPart, _ handle: PartHandle) throws(PartCorruption) {
        self.handle = handle
        dataSection = part.dataSection
        seriesCount = part.seriesCount
        sampleCount = part.sampleCount
        minMillis = part.minMillis
        maxMillis = part.maxMillis
        resolutionMillis = part.resolutionMillis
        loaded = Mutex(part.loaded.withLock { $0 })
        deletions = try MetricPart.deletions(of: handle, seriesCount: part.seriesCount)
    }

    private static func deletions(
        of handle: PartHandle, seriesCount: Int
    ) throws(PartCorruption) -> Deletions {
        do throws(MalformedBytes) {
            return try Deletions(handle.descriptor.deletions, seriesCount: seriesCount)
        } catch {
            throw PartCorruption(
                name: handle.reader.name, offset: 0,
                problem: "its deletions in the manifest: \(error)")
        }
    }

    /// All deletions that a handle of this part carries.
    func decodedDeletions(of handle: PartHandle) throws(PartCorruption) -> Deletions {
        try MetricPart.deletions(of: handle, seriesCount: seriesCount)
    }

    /// All times of the part; meaningful when it holds any.
    var span: MillisRange { MillisRange(first: Millis(minMillis), last: Millis(maxMillis)) }

    func overlaps(_ range: MillisRange) -> Bool {
        minMillis <= maxMillis && range.overlaps(first: minMillis, last: maxMillis)
    }

    /// Bytes that the index takes in memory now.
    var indexBytes: Int { loaded.withLock { $0?.byteCount ?? 0 } }

    /// Forgets the index; readers that have it keep it, the next one decodes it again.
    func dropIndex() { loaded.withLock { $0 = nil } }

    /// The index, decoded at the first call.
    func index() throws(PartCorruption) -> PartIndex {
        if let known = loaded.withLock({ $0 }) { return known }
        // Decoded outside the lock: two readers may both do it, neither waits for the other.
        let index = try PartIndex(handle.reader, seriesCount: seriesCount)
        loaded.withLock { $0 = index }
        return index
    }

    // MARK: - Samples

    /// Whether a series has samples in chunks that overlap the range and are not deleted whole.
    func hasSamples(_ series: Int, _ range: MillisRange, _ index: PartIndex) -> Bool {
        index.hasSamples(
            series, range, dataCount: dataSection.storedCount,
            except: deletions.ranges(of: series))
    }

    /// Appends the samples of a series that lie in the range and are not deleted to the runs.
    ///
    /// - Parameters:
    ///   - cache: keeps time columns for the next series; `source` is what this part is called in
    ///     it.
    ///   - skipping: told of each chunk that cannot be read, which is then left out; without it
    ///     the first one is thrown.
    ///   - wanted: which figures of buckets, where the part is down-sampled.
    /// - Returns: bytes that were decoded.
    func read(
        _ series: Int, _ range: MillisRange, _ index: PartIndex, _ cache: TimeColumnCache,
        source: Int, _ wanted: SampleAggregate = .last, into runs: inout SampleRuns,
        skipping: ((PartCorruption) -> Void)? = nil
    ) throws(PartCorruption) -> Int {
        var byteCount = 0
        let deleted = deletions.ranges(of: series)
        var cursor = index.chunks(series)
        while let chunk = index.next(&cursor, dataCount: dataSection.storedCount) {
            let column = index.times[chunk.timeColumn]
            guard range.overlaps(first: column.first, last: column.last),
                !isCovered(column.first, column.last, by: deleted)
            else { continue }
            let start = runs.begin()
            do throws(PartCorruption) {
                byteCount += try read(
                    chunk, column, range, index, cache, source, wanted, into: &runs)
                if !deleted.isEmpty { runs.remove(deleted, from: start) }
            } catch {
                guard let skipping else { throw error }
                runs.abandon(from: start)
                skipping(error)
            }
        }
        return byteCount
    }

    /// Appends the samples of one chunk as a run.
    private func read(
        _ chunk: PartIndex.Chunk, _ column: PartIndex.TimeColumn, _ range: MillisRange,
        _ index: PartIndex, _ cache: TimeColumnCache, _ source: Int, _ wanted: SampleAggregate,
        into runs: inout SampleRuns
    ) throws(PartCorruption) -> Int {
        try check(chunk.bytes, index)
        if resolutionMillis > 0, wanted != .counter,
            try decode(
                chunk.bytes,
                { bytes throws(MalformedBytes) in
                    try ChunkCoding.holdsFalls(bytes)
                })
        {
            return 0
        }
        let start = runs.begin()
        if column.isGrid {
            column.appendGrid(to: &runs.columns.millis)
        } else {
            runs.columns.millis.append(
                contentsOf: try times(chunk.timeColumn, index, cache, source))
        }
        var histograms: [NativeHistogram] = []
        var starts: [Int64] = []
        var counts: [Double] = []
        try decode(chunk.bytes) { bytes throws(MalformedBytes) in
            try ChunkCoding.decode(
                bytes, count: column.count, wanted, floats: &runs.columns.values, &histograms,
                &starts, &counts)
        }
        runs.end(from: start, histograms: histograms, starts: starts, counts: counts, in: range)
        return chunk.bytes.count
    }

    /// Adds what a series of a down-sampled part holds to its buckets.
    func readBuckets(
        _ series: Int, _ index: PartIndex, _ cache: TimeColumnCache, source: Int,
        into sampler: inout Downsampler
    ) throws(PartCorruption) {
        let deleted = deletions.ranges(of: series)
        func isDeleted(_ millis: Int64) -> Bool { isCovered(millis, millis, by: deleted) }
        var cursor = index.chunks(series)
        while let chunk = index.next(&cursor, dataCount: dataSection.storedCount) {
            let column = index.times[chunk.timeColumn]
            try check(chunk.bytes, index)
            let millis = try times(chunk.timeColumn, index, cache, source)
            let buckets = try decode(chunk.bytes) { bytes throws(MalformedBytes) in
                try ChunkCoding.decodeBuckets(bytes, millis: millis)
            }
            if let buckets {
                for bucket in buckets where !isDeleted(bucket.millis) { sampler.add(bucket) }
                continue
            }
            var values: [Double] = []
            var histograms: [NativeHistogram] = []
            var starts: [Int64] = []
            var counts: [Double] = []
            try decode(chunk.bytes) { bytes throws(MalformedBytes) in
                try ChunkCoding.decode(
                    bytes, count: column.count, floats: &values, &histograms, &starts, &counts)
            }
            for i in millis.indices where !isDeleted(millis[i]) {
                if histograms.isEmpty {
                    sampler.add(fallAt: millis[i], values[i])
                } else {
                    sampler.add(
                        histograms[i], millis: millis[i], start: starts.isEmpty ? 0 : starts[i])
                }
            }
        }
    }

    /// The times of a column, from the cache if they are there.
    func times(
        _ number: Int, _ index: PartIndex, _ cache: TimeColumnCache, _ source: Int
    ) throws(PartCorruption) -> [Int64] {
        let column = index.times[number]
        if column.isGrid {
            var millis: [Int64] = []
            column.appendGrid(to: &millis)
            return millis
        }
        if let known = cache.find(source, number) { return known }
        try check(column.bytes, index)
        let millis = try decode(column.bytes) { bytes throws(MalformedBytes) in
            try MetricPart.decodeTimes(column, bytes)
        }
        cache.keep(millis, source, number)
        return millis
    }

    /// Runs a decoder over a piece of the data and names the place of what it refuses.
    func decode<R>(
        _ range: Range<Int>,
        _ body: (UnsafeRawBufferPointer) throws(MalformedBytes) -> R
    ) throws(PartCorruption) -> R {
        let result = handle.reader.withStored(dataSection) { data -> Result<R, MalformedBytes> in
            do throws(MalformedBytes) {
                return .success(try body(UnsafeRawBufferPointer(rebasing: data[range])))
            } catch { return .failure(error) }
        }
        switch result {
        case .success(let value): return value
        case .failure(let fault): throw corruption(range.lowerBound, "column: \(fault)")
        }
    }

    private static func decodeTimes(
        _ column: PartIndex.TimeColumn, _ bytes: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> [Int64] {
        var millis: [Int64] = []
        millis.reserveCapacity(column.count)
        var reader = ByteReader(bytes)
        try IntegerColumn.decode(column.count, &reader, into: &millis)
        try checkAscending(millis[...], column)
        return millis
    }

    private static func checkAscending(
        _ millis: ArraySlice<Int64>, _ column: PartIndex.TimeColumn
    ) throws(MalformedBytes) {
        var previous = column.first
        var isAscending = millis.first == column.first && millis.last == column.last
        for time in millis.dropFirst() {
            isAscending = isAscending && time > previous
            previous = time
        }
        if !isAscending { throw MalformedBytes(offset: 0, expected: "ascending times") }
    }

    /// Checks the checksums of the blocks that a range of the data lies in.
    func check(_ bytes: Range<Int>, _ index: PartIndex) throws(PartCorruption) {
        if bytes.isEmpty { return }
        let first = lowerBound(index.blocks.count) {
            index.blocks[$0].bytes.upperBound <= bytes.lowerBound
        }
        for number in first..<index.blocks.count {
            let block = index.blocks[number]
            if block.bytes.lowerBound >= bytes.upperBound { return }
            if index.checks.contains(number) { continue }
            let crc = handle.reader.withStored(dataSection) {
                crc32c(UnsafeRawBufferPointer(rebasing: $0[block.bytes]))
            }
            guard crc == block.crc else {
                throw corruption(block.bytes.lowerBound, "checksum of block \(number) differs")
            }
            index.checks.insert(number)
        }
    }

    private func corruption(_ offset: Int, _ problem: String) -> PartCorruption {
        PartCorruption(
            name: handle.reader.name, offset: dataSection.offset + offset, problem: problem)
    }

    // MARK: - Other sections

    /// Exemplars that are not deleted by series number, ascending. Decodes the whole section.
    func exemplars() throws(PartCorruption) -> [(series: Int, list: [HeadExtras.Exemplar])] {
        let all = try storedExemplars()
        if deletions.isEmpty { return all }
        return all.compactMap { series, list in
            let deleted = deletions.ranges(of: series)
            let left = list.filter { !isCovered($0.millis, $0.millis, by: deleted) }
            return left.isEmpty ? nil : (series, left)
        }
    }

    private func storedExemplars()
        throws(PartCorruption) -> [(series: Int, list: [HeadExtras.Exemplar])]
    {
        let kind = MetricPartFormat.Section.exemplars
        guard let section = handle.reader.section(kind) else { return [] }
        let bytes = try handle.reader.read(kind)
        let parsed = bytes.withUnsafeBytes {
            raw -> Result<[(series: Int, list: [HeadExtras.Exemplar])], MalformedBytes> in
            var reader = ByteReader(raw)
            var result: [(series: Int, list: [HeadExtras.Exemplar])] = []
            do throws(MalformedBytes) {
                while !reader.isAtEnd {
                    let series = try reader.length(limit: seriesCount, "series")
                    guard series < seriesCount, series > result.last?.series ?? -1 else {
                        throw reader.malformed("ascending series")
                    }
                    let count = try reader.length(limit: reader.remaining / 10, "exemplars")
                    var list: [HeadExtras.Exemplar] = []
                    var millis: Int64 = 0
                    for _ in 0..<count {
                        millis &+= try reader.zigzag()
                        let value = try reader.u64()
                        let labels = try reader.lengthPrefixed()
                        guard isCanonicalLabels(labels) else {
                            throw reader.malformed("canonical labels")
                        }
                        list.append(
                            HeadExtras.Exemplar(
                                millis: millis, value: value, labels: [UInt8](labels)))
                    }
                    result.append((series, list))
                }
            } catch { return .failure(error) }
            return .success(result)
        }
        switch parsed {
        case .success(let result): return result
        case .failure(let error):
            throw PartCorruption(
                name: handle.reader.name, offset: section.offset, problem: "exemplars: \(error)")
        }
    }

    /// Metadata that came with the part.
    func metadata() throws(PartCorruption) -> MetadataTable {
        let kind = MetricPartFormat.Section.metadata
        guard let section = handle.reader.section(kind) else { return MetadataTable() }
        let bytes = try handle.reader.read(kind)
        let parsed = bytes.withUnsafeBytes { raw -> Result<MetadataTable, MalformedBytes> in
            do throws(MalformedBytes) {
                return .success(try MetadataTable(decoding: raw))
            } catch { return .failure(error) }
        }
        switch parsed {
        case .success(let table): return table
        case .failure(let error):
            throw PartCorruption(
                name: handle.reader.name, offset: section.offset, problem: "metadata: \(error)")
        }
    }
}
