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

    private static func encode(
        flags: UInt8, starts: ArraySlice<Int64>, into writer: inout ByteWriter,
        _ values: (inout ByteWriter) -> Void
    ) {
        guard starts.contains(where: { $0 != 0 }) else {
            writer.u8(flags)
            values(&writer)
            return
        }
        writer.u8(flags | MetricPartFormat.ChunkFlags.starts)
        var encoded = ByteWriter()
        values(&encoded)
        writer.lengthPrefixed(encoded.bytes)
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

    /// Decodes a chunk of `n` samples, appending to the columns.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, count n: Int, floats: inout [Double],
        _ histograms: inout [NativeHistogram], _ starts: inout [Int64]
    ) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        let flags = try reader.u8()
        guard flags & ~MetricPartFormat.ChunkFlags.all == 0 else {
            throw reader.malformed("chunk flags")
        }
        let hasStarts = flags & MetricPartFormat.ChunkFlags.starts != 0
        var values = ByteReader(
            hasStarts ? try reader.lengthPrefixed() : try reader.bytes(reader.remaining))
        if flags & MetricPartFormat.ChunkFlags.histograms != 0 {
            try decodeHistograms(n, &values, into: &histograms)
        } else {
            try ValueColumn.decode(n, &values, into: &floats)
        }
        guard values.isAtEnd else { throw values.malformed("end of the values") }
        guard hasStarts else { return }
        var left = n
        var previous: Int64 = 0
        while left > 0 {
            let run = try reader.length(limit: left, "run of starts")
            guard run > 0 else { throw reader.malformed("run of starts") }
            previous &+= try reader.zigzag()
            starts.append(contentsOf: repeatElement(previous, count: run))
            left -= run
        }
        guard reader.isAtEnd else { throw reader.malformed("end of the chunk") }
    }

    /// Whether a sample of a chunk is a stale marker; decodes no more of floats than tells it.
    static func isStale(
        _ bytes: UnsafeRawBufferPointer, at position: Int, count n: Int
    ) throws(MalformedBytes) -> Bool {
        var reader = ByteReader(bytes)
        let flags = try reader.u8()
        guard flags & ~MetricPartFormat.ChunkFlags.all == 0 else {
            throw reader.malformed("chunk flags")
        }
        var values = ByteReader(
            flags & MetricPartFormat.ChunkFlags.starts != 0
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
