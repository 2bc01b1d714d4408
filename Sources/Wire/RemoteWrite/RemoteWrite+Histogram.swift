// SPDX-License-Identifier: Apache-2.0
// Native histograms of both remote write versions.

import Base
import Telemetry

/// Decodes the `Histogram` message, whose fields 1–16 both versions share; 17 is 2.0's start
/// timestamp. Keeps its memory from one histogram to the next.
///
/// Source: prometheus/prometheus `prompb/types.proto`,
/// `prompb/io/prometheus/write/v2/types.proto`.
struct RemoteWriteHistogramDecoder {
    private(set) var histogram = NativeHistogram()
    private(set) var millis: Int64 = 0
    private(set) var startMillis: Int64 = 0
    private var positiveDeltas: [Int64] = []
    private var negativeDeltas: [Int64] = []

    /// Reads one message into `histogram`, buckets as absolute counts.
    ///
    /// - Throws: `MalformedBytes` for bad protobuf and for more than
    ///   `NativeHistogram.maxBuckets` runs or buckets. Contradictions are `validate`'s.
    mutating func decode(_ message: ProtobufReader) throws(MalformedBytes) {
        var message = message
        let limit = NativeHistogram.maxBuckets
        clear()
        var isFloat = false
        var countInt: UInt64 = 0, zeroInt: UInt64 = 0
        var countFloat = 0.0, zeroFloat = 0.0
        while try message.next() {
            switch message.field {
            case 1:
                countInt = try message.uint64()
                isFloat = false
            case 2:
                countFloat = try message.double()
                isFloat = true
            case 3: histogram.sum = try message.double()
            case 4: histogram.schema = try message.sint32()
            case 5: histogram.zeroThreshold = try message.double()
            case 6: zeroInt = try message.uint64()
            case 7: zeroFloat = try message.double()
            case 8: try span(message.message(), into: &histogram.negativeSpans)
            case 9: try message.repeatedSInt64(into: &negativeDeltas, limit: limit)
            case 10: try message.repeatedDouble(into: &histogram.negativeBuckets, limit: limit)
            case 11: try span(message.message(), into: &histogram.positiveSpans)
            case 12: try message.repeatedSInt64(into: &positiveDeltas, limit: limit)
            case 13: try message.repeatedDouble(into: &histogram.positiveBuckets, limit: limit)
            case 14:
                histogram.counterReset =
                    NativeHistogram.CounterReset(
                        rawValue: UInt8(truncatingIfNeeded: try message.uint32() & 3)) ?? .unknown
            case 15: millis = try message.int64()
            case 16: try message.repeatedDouble(into: &histogram.customBounds, limit: limit)
            case 17: startMillis = try message.int64()
            default: try message.skip()
            }
        }
        histogram.isInteger = !isFloat
        if isFloat {
            histogram.count = countFloat
            histogram.zeroCount = zeroFloat
        } else {
            histogram.count = Double(countInt)
            histogram.zeroCount = Double(zeroInt)
            RemoteWriteHistogramDecoder.accumulate(
                positiveDeltas, into: &histogram.positiveBuckets)
            RemoteWriteHistogramDecoder.accumulate(negativeDeltas, into: &histogram.negativeBuckets)
        }
    }

    private mutating func clear() {
        histogram.counterReset = .unknown
        histogram.schema = 0
        histogram.zeroThreshold = 0
        histogram.zeroCount = 0
        histogram.count = 0
        histogram.sum = 0
        histogram.positiveSpans.removeAll(keepingCapacity: true)
        histogram.negativeSpans.removeAll(keepingCapacity: true)
        histogram.positiveBuckets.removeAll(keepingCapacity: true)
        histogram.negativeBuckets.removeAll(keepingCapacity: true)
        histogram.customBounds.removeAll(keepingCapacity: true)
        positiveDeltas.removeAll(keepingCapacity: true)
        negativeDeltas.removeAll(keepingCapacity: true)
        millis = 0
        startMillis = 0
    }

    private func span(
        _ message: ProtobufReader, into spans: inout [NativeHistogram.Span]
    ) throws(MalformedBytes) {
        var message = message
        guard spans.count < NativeHistogram.maxBuckets else {
            throw message.malformed("at most \(NativeHistogram.maxBuckets) spans")
        }
        var span = NativeHistogram.Span(offset: 0, length: 0)
        while try message.next() {
            switch message.field {
            case 1: span.offset = try message.sint32()
            case 2: span.length = try message.uint32()
            default: try message.skip()
            }
        }
        spans.append(span)
    }

    /// Deltas to absolute counts. A sum beyond 64 bits wraps, as the reference's does, and is then
    /// refused as negative or as not matching the total.
    static func accumulate(_ deltas: [Int64], into buckets: inout [Double]) {
        buckets.removeAll(keepingCapacity: true)
        var current: Int64 = 0
        for delta in deltas {
            current &+= delta
            buckets.append(Double(current))
        }
    }
}
