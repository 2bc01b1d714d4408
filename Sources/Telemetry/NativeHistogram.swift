// SPDX-License-Identifier: Apache-2.0
// Native histograms and their compact encoding.

import Base

/// A native histogram in floats. Integer histograms fit exactly while counts stay below 2^53.
///
/// Source: prometheus/prometheus `model/histogram`. Buckets are absolute counts, not deltas.
package struct NativeHistogram: Sendable, Equatable {
    /// A run of consecutive buckets: `offset` from the end of the previous run (the first: the
    /// bucket index), `length` buckets.
    package struct Span: Sendable, Equatable {
        package var offset: Int32
        package var length: UInt32
        package init(offset: Int32, length: UInt32) {
            self.offset = offset
            self.length = length
        }
    }
    package enum CounterReset: UInt8, Sendable { case unknown, reset, notReset, gauge }

    /// Schema of custom bounds; −4…8 are exponential with growth 2^(2^−schema).
    package static let customSchema: Int32 = -53

    package var counterReset: CounterReset = .unknown
    package var schema: Int32 = 0
    package var zeroThreshold: Double = 0
    package var zeroCount: Double = 0
    package var count: Double = 0
    package var sum: Double = 0
    package var positiveSpans: [Span] = []
    package var negativeSpans: [Span] = []
    /// Absolute count per positive bucket, in the order of the spans.
    package var positiveBuckets: [Double] = []
    package var negativeBuckets: [Double] = []
    /// Upper bounds, for the custom schema only.
    package var customBounds: [Double] = []
    /// Whether it was sent with integer counts.
    package var isInteger = false

    package init() {}

    /// A stale marker is a histogram whose sum has the stale NaN's bits.
    package var isStale: Bool { sum.bitPattern == StaleMarker.bits }
}

/// The NaN that marks the end of a series. Source: prometheus/prometheus `model/value`.
package enum StaleMarker {
    package static let bits: UInt64 = 0x7ff0_0000_0000_0002
    /// The NaN a computation yields in Prometheus.
    package static let ordinaryNaNBits: UInt64 = 0x7ff8_0000_0000_0001
    package static var value: Double { Double(bitPattern: bits) }
    @inlinable package static func isStale(_ value: Double) -> Bool { value.bitPattern == bits }
}

// MARK: - Encoding

extension NativeHistogram {
    /// Most runs or buckets that are decoded: far above what a sender may produce, far below what
    /// could hurt.
    package static let maxBuckets = 65_536

    /// Appends the encoding that batches, the log and parts hold:
    ///
    ///     u8 version (1) | u8 flags (bits 0–1 counter reset, bit 2 integer) | zigzag schema
    ///     f64 zeroThreshold, zeroCount, count, sum
    ///     positive spans | negative spans | positive buckets | negative buckets | custom bounds
    ///
    /// Spans: varint n, n × (zigzag offset, varint length). Buckets and bounds: varint n, n × f64.
    package func encode(into writer: inout ByteWriter) {
        writer.u8(1)
        writer.u8(counterReset.rawValue | (isInteger ? 4 : 0))
        writer.zigzag(Int64(schema))
        for value in [zeroThreshold, zeroCount, count, sum] { writer.double(value) }
        for spans in [positiveSpans, negativeSpans] {
            writer.varint(spans.count)
            for span in spans {
                writer.zigzag(Int64(span.offset))
                writer.varint(UInt64(span.length))
            }
        }
        for values in [positiveBuckets, negativeBuckets, customBounds] {
            writer.varint(values.count)
            for value in values { writer.double(value) }
        }
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        guard try reader.u8() == 1 else { throw reader.malformed("histogram version 1") }
        let flags = try reader.u8()
        counterReset = CounterReset(rawValue: flags & 3) ?? .unknown
        isInteger = flags & 4 != 0
        guard let schema = Int32(exactly: try reader.zigzag()) else {
            throw reader.malformed("schema of 32 bits")
        }
        self.schema = schema
        zeroThreshold = try reader.double()
        zeroCount = try reader.double()
        count = try reader.double()
        sum = try reader.double()
        positiveSpans = try NativeHistogram.spans(&reader)
        negativeSpans = try NativeHistogram.spans(&reader)
        positiveBuckets = try NativeHistogram.doubles(&reader)
        negativeBuckets = try NativeHistogram.doubles(&reader)
        customBounds = try NativeHistogram.doubles(&reader)
    }

    private static func spans(_ reader: inout ByteReader) throws(MalformedBytes) -> [Span] {
        let n = try reader.length(limit: maxBuckets, "number of spans")
        var result: [Span] = []
        for _ in 0..<n {
            let offset = try reader.zigzag()
            let length = try reader.varint()
            guard let offset = Int32(exactly: offset), let length = UInt32(exactly: length) else {
                throw reader.malformed("span of 32 bits")
            }
            result.append(Span(offset: offset, length: length))
        }
        return result
    }

    private static func doubles(_ reader: inout ByteReader) throws(MalformedBytes) -> [Double] {
        let n = try reader.length(limit: maxBuckets, "number of buckets")
        return try reader.column(n, of: Double.self)
    }
}
