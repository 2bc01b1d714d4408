// SPDX-License-Identifier: Apache-2.0
// The bytes of one sealed chunk besides its times.

import Base
import Telemetry

/// Coding of a chunk's values and start timestamps; see `MetricPartFormat`.
enum ChunkCoding {
    static func encode(
        floats: ArraySlice<Double>, starts: ArraySlice<Int64>, into writer: inout ByteWriter
    ) {
        encode(flags: 0, starts: starts, into: &writer) { ValueColumn.encode(floats, into: &$0) }
    }

    static func encode(
        histograms: [NativeHistogram], starts: ArraySlice<Int64>, into writer: inout ByteWriter
    ) {
        encode(flags: MetricPartFormat.ChunkFlags.histograms, starts: starts, into: &writer) {
            var plain = ByteWriter()
            var one = ByteWriter()
            for histogram in histograms {
                one.bytes.removeAll(keepingCapacity: true)
                histogram.encode(into: &one)
                plain.lengthPrefixed(one.bytes)
            }
            let packed = Zstd.compress(plain.bytes, level: 3)
            let isPacked = packed.count < plain.count
            $0.u8(isPacked ? 1 : 0)
            $0.varint(plain.count)
            $0.raw(isPacked ? packed : plain.bytes)
        }
    }

    /// The last values of buckets, with the other figures of each.
    static func encode(
        buckets: ArraySlice<Bucket>, into writer: inout ByteWriter
    ) {
        encode(
            flags: MetricPartFormat.ChunkFlags.aggregates, starts: buckets.map(\.start)[...],
            into: &writer
        ) { ValueColumn.encode(buckets.map(\.last)[...], into: &$0) }
        let figures = [
            buckets.map(\.least), buckets.map(\.greatest), buckets.map(\.sum),
            buckets.map(\.count),
        ]
        for figure in figures {
            var encoded = ByteWriter()
            ValueColumn.encode(figure[...], into: &encoded)
            writer.lengthPrefixed(encoded.bytes)
        }
    }

    /// Samples around the falls of a value inside buckets.
    static func encode(falls values: ArraySlice<Double>, into writer: inout ByteWriter) {
        encode(flags: MetricPartFormat.ChunkFlags.falls, starts: [], into: &writer) {
            ValueColumn.encode(values, into: &$0)
        }
    }

    private static func encode(
        flags: UInt8, starts: ArraySlice<Int64>, into writer: inout ByteWriter,
        _ values: (inout ByteWriter) -> Void
    ) {
        let hasStarts = starts.contains { $0 != 0 }
        let all = flags | (hasStarts ? MetricPartFormat.ChunkFlags.starts : 0)
        writer.u8(all)
        guard all & MetricPartFormat.ChunkFlags.sized != 0 else {
            values(&writer)
            return
        }
        var encoded = ByteWriter()
        values(&encoded)
        writer.lengthPrefixed(encoded.bytes)
        guard hasStarts else { return }
        var previous: Int64 = 0
        var rest = starts
        while let start = rest.first {
            let run = rest.prefix { $0 == start }
            writer.varint(run.count)
            writer.zigzag(start &- previous)
            previous = start
            rest = rest.dropFirst(run.count)
        }
    }

    /// Whether a chunk holds the falls inside buckets, which only who follows a counter wants.
    static func holdsFalls(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) -> Bool {
        var reader = ByteReader(bytes)
        return try flags(&reader) & MetricPartFormat.ChunkFlags.falls != 0
    }

    /// Reads the flags of a chunk, which must be some that go together.
    private static func flags(_ reader: inout ByteReader) throws(MalformedBytes) -> UInt8 {
        typealias Flags = MetricPartFormat.ChunkFlags
        let flags = try reader.u8()
        let special = flags & (Flags.aggregates | Flags.falls)
        guard flags & ~Flags.all == 0, special == 0 || flags & Flags.histograms == 0,
            special & Flags.falls == 0 || flags == Flags.falls
        else { throw reader.malformed("chunk flags") }
        return flags
    }

    /// Decodes a chunk of `n` samples, appending to the columns.
    ///
    /// - Parameters:
    ///   - wanted: which figure of buckets goes to `floats`.
    ///   - counts: gets the samples of each bucket where `wanted` is the sum.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, count n: Int, _ wanted: SampleAggregate = .last,
        floats: inout [Double], _ histograms: inout [NativeHistogram], _ starts: inout [Int64],
        _ counts: inout [Double]
    ) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        let flags = try flags(&reader)
        let isSized = flags & MetricPartFormat.ChunkFlags.sized != 0
        let hasAggregates = flags & MetricPartFormat.ChunkFlags.aggregates != 0
        var values = ByteReader(
            isSized ? try reader.lengthPrefixed() : try reader.bytes(reader.remaining))
        if hasAggregates, wanted != .last, wanted != .counter {
            try decodeStarts(n, flags, &reader, into: &starts)
            for column in [SampleAggregate.min, .max, .sum] {
                var figures = ByteReader(try reader.lengthPrefixed())
                guard column == wanted else { continue }
                try ValueColumn.decode(n, &figures, into: &floats)
                guard figures.isAtEnd else { throw figures.malformed("end of the figures") }
            }
            var figures = ByteReader(try reader.lengthPrefixed())
            if wanted == .sum { try decodeCounts(n, &figures, into: &counts) }
            guard reader.isAtEnd else { throw reader.malformed("end of the chunk") }
            return
        }
        if flags & MetricPartFormat.ChunkFlags.histograms != 0 {
            try decodeHistograms(n, &values, into: &histograms)
        } else {
            try ValueColumn.decode(n, &values, into: &floats)
        }
        guard values.isAtEnd else { throw values.malformed("end of the values") }
        guard isSized else { return }
        try decodeStarts(n, flags, &reader, into: &starts)
        if hasAggregates { return }
        guard reader.isAtEnd else { throw reader.malformed("end of the chunk") }
    }

    private static func decodeCounts(
        _ n: Int, _ reader: inout ByteReader, into counts: inout [Double]
    ) throws(MalformedBytes) {
        let before = counts.count
        try ValueColumn.decode(n, &reader, into: &counts)
        guard reader.isAtEnd, counts[before...].allSatisfy({ $0 >= 0 && $0 <= 1e15 }) else {
            throw reader.malformed("counts of samples")
        }
    }

    /// All figures of a chunk of buckets; nil for a chunk of another kind.
    static func decodeBuckets(
        _ bytes: UnsafeRawBufferPointer, millis: [Int64]
    ) throws(MalformedBytes) -> [Bucket]? {
        var reader = ByteReader(bytes)
        let flags = try flags(&reader)
        guard flags & MetricPartFormat.ChunkFlags.aggregates != 0 else { return nil }
        let n = millis.count
        var columns: [[Double]] = []
        var starts: [Int64] = []
        for column in 0..<5 {
            var values: [Double] = []
            var figures = ByteReader(try reader.lengthPrefixed())
            if column == 4 {
                try decodeCounts(n, &figures, into: &values)
            } else {
                try ValueColumn.decode(n, &figures, into: &values)
            }
            guard figures.isAtEnd else { throw figures.malformed("end of the figures") }
            columns.append(values)
            if column == 0 { try decodeStarts(n, flags, &reader, into: &starts) }
        }
        guard reader.isAtEnd else { throw reader.malformed("end of the chunk") }
        return (0..<n).map {
            Bucket(
                millis: millis[$0], last: columns[0][$0], least: columns[1][$0],
                greatest: columns[2][$0], sum: columns[3][$0], count: columns[4][$0],
                start: starts.isEmpty ? 0 : starts[$0])
        }
    }

    private static func decodeStarts(
        _ n: Int, _ flags: UInt8, _ reader: inout ByteReader, into starts: inout [Int64]
    ) throws(MalformedBytes) {
        guard flags & MetricPartFormat.ChunkFlags.starts != 0 else { return }
        var left = n
        var previous: Int64 = 0
        while left > 0 {
            let run = try reader.length(limit: left, "run of starts")
            guard run > 0 else { throw reader.malformed("run of starts") }
            previous &+= try reader.zigzag()
            starts.append(contentsOf: repeatElement(previous, count: run))
            left -= run
        }
    }

    /// Whether a sample of a chunk is a stale marker; decodes no more of floats than tells it.
    static func isStale(
        _ bytes: UnsafeRawBufferPointer, at position: Int, count n: Int
    ) throws(MalformedBytes) -> Bool {
        var reader = ByteReader(bytes)
        let flags = try flags(&reader)
        var values = ByteReader(
            flags & MetricPartFormat.ChunkFlags.sized != 0
                ? try reader.lengthPrefixed() : try reader.bytes(reader.remaining))
        guard flags & MetricPartFormat.ChunkFlags.histograms != 0 else {
            return try ValueColumn.isStale(at: position, n, &values)
        }
        var histograms: [NativeHistogram] = []
        try decodeHistograms(n, &values, into: &histograms)
        return histograms[position].isStale
    }

    /// Bits of a float of a chunk; nil where it has a start timestamp or is a histogram.
    static func plainFloat(
        _ bytes: UnsafeRawBufferPointer, at position: Int, count n: Int
    ) throws(MalformedBytes) -> UInt64? {
        var reader = ByteReader(bytes)
        guard try reader.u8() == 0 else { return nil }
        return try ValueColumn.bits(at: position, n, &reader)
    }

    private static func decodeHistograms(
        _ n: Int, _ reader: inout ByteReader, into out: inout [NativeHistogram]
    ) throws(MalformedBytes) {
        let coding = try reader.u8()
        let plainCount = try reader.length(
            limit: MetricPartFormat.maxHistogramBytes, "size of histograms")
        let stored = try reader.bytes(reader.remaining)
        let plain: [UInt8]
        switch coding {
        case 0: plain = [UInt8](stored)
        case 1:
            do throws(CompressionError) {
                plain = try Zstd.decompress(stored, limit: plainCount)
            } catch { throw reader.malformed("histograms: \(error)") }
        default: throw reader.malformed("histogram coding")
        }
        guard plain.count == plainCount else { throw reader.malformed("\(plainCount) bytes") }
        let result = plain.withUnsafeBytes { bytes -> Result<[NativeHistogram], MalformedBytes> in
            var reader = ByteReader(bytes)
            var histograms: [NativeHistogram] = []
            do throws(MalformedBytes) {
                for _ in 0..<n {
                    histograms.append(
                        try NativeHistogram(decoding: try reader.lengthPrefixed()))
                }
                guard reader.isAtEnd else { throw reader.malformed("end of histograms") }
            } catch { return .failure(error) }
            return .success(histograms)
        }
        out.append(contentsOf: try result.get())
    }
}
