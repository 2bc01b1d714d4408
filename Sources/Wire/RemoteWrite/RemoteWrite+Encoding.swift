// SPDX-License-Identifier: Apache-2.0
// Encoders of both remote write versions.

import Base
import Telemetry

/// The points of a batch in the order of their series, made by counting.
package struct PointsBySeries {
    /// Points of series s are `order[starts[s]..<starts[s + 1]]`, in the order of the batch.
    private var starts: [Int]
    private var order: [Int]

    package init(_ series: [UInt32], seriesCount: Int) {
        starts = [Int](repeating: 0, count: seriesCount + 1)
        order = [Int](repeating: 0, count: series.count)
        for index in series { starts[Int(index) + 1] += 1 }
        for s in 0..<seriesCount { starts[s + 1] += starts[s] }
        var next = starts
        for (point, index) in series.enumerated() {
            order[next[Int(index)]] = point
            next[Int(index)] += 1
        }
    }

    package subscript(series: Int) -> ArraySlice<Int> { order[starts[series]..<starts[series + 1]] }
}

extension RemoteWrite1 {
    /// Encodes a batch. Start timestamps have no place in this version and are lost.
    ///
    /// - Throws: `MalformedBytes` when the batch's histogram bytes are not what
    ///   `NativeHistogram.encode` writes.
    package static func encode(_ batch: MetricBatch) throws(MalformedBytes) -> [UInt8] {
        var writer = ProtobufWriter(reserving: batch.arena.count + 24 * batch.sampleSeries.count)
        let count = batch.series.count
        let samples = PointsBySeries(batch.sampleSeries, seriesCount: count)
        let histograms = PointsBySeries(batch.histogramSeries, seriesCount: count)
        let exemplars = PointsBySeries(batch.exemplarSeries, seriesCount: count)
        for s in 0..<count {
            let mark = writer.begin(1)
            writeLabels(batch, batch.series[s].slice, into: &writer)
            for i in samples[s] {
                writer.message(2) { sample in
                    sample.double(1, batch.sampleValues[i])
                    sample.int64(2, batch.sampleMillis[i])
                }
            }
            for i in exemplars[s] {
                writer.message(3) { exemplar in
                    writeLabels(batch, batch.exemplarLabels[i], into: &exemplar)
                    exemplar.double(2, batch.exemplarValues[i])
                    exemplar.int64(3, batch.exemplarMillis[i])
                }
            }
            for i in histograms[s] {
                let histogram = try batch.histogram(i)
                let mark = writer.begin(4)
                histogram.write(millis: batch.histogramMillis[i], startMillis: 0, into: &writer)
                writer.end(mark)
            }
            writer.end(mark)
        }
        for entry in batch.metadata {
            writer.message(3) { message in
                message.uint64(1, UInt64(entry.type.rawValue))
                batch.arena.withSlice(entry.family) { message.bytes(2, $0) }
                batch.arena.withSlice(entry.help) { message.bytes(4, $0) }
                batch.arena.withSlice(entry.unit) { message.bytes(5, $0) }
            }
        }
        return writer.bytes
    }

    private static func writeLabels(
        _ batch: MetricBatch, _ labels: ByteSlice, into writer: inout ProtobufWriter
    ) {
        batch.arena.withSlice(labels) { bytes in
            forEachLabel(in: bytes) { name, value in
                writer.message(1) { label in
                    label.bytes(1, name)
                    label.bytes(2, value)
                }
            }
        }
    }
}

extension RemoteWrite2 {
    /// Strings that have a place in the table.
    private struct SymbolTable {
        var places: [ArraySlice<UInt8>: UInt32] = [[]: 0]
        var strings: [ArraySlice<UInt8>] = [[]]

        mutating func place(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
            let key = ArraySlice(bytes)
            if let place = places[key] { return place }
            let place = UInt32(strings.count)
            places[key] = place
            strings.append(key)
            return place
        }
    }

    /// Encodes a batch. A family's metadata goes with each of its series, in the batch's order of
    /// series; metadata of families without a series is lost.
    ///
    /// - Throws: `MalformedBytes` when the batch's histogram bytes are not what
    ///   `NativeHistogram.encode` writes.
    package static func encode(_ batch: MetricBatch) throws(MalformedBytes) -> [UInt8] {
        var symbols = SymbolTable()
        var body = ProtobufWriter(reserving: 64 * batch.series.count)
        let count = batch.series.count
        let samples = PointsBySeries(batch.sampleSeries, seriesCount: count)
        let histograms = PointsBySeries(batch.histogramSeries, seriesCount: count)
        let exemplars = PointsBySeries(batch.exemplarSeries, seriesCount: count)
        var families: [ArraySlice<UInt8>: MetricBatch.Metadata] = [:]
        for entry in batch.metadata { families[batch.arena[entry.family.range]] = entry }
        for s in 0..<count {
            let mark = body.begin(5)
            body.packedUInt32(1, refs(batch, batch.series[s].slice, &symbols))
            for i in samples[s] {
                body.message(2) { sample in
                    sample.double(1, batch.sampleValues[i])
                    sample.int64(2, batch.sampleMillis[i])
                    if !batch.sampleStartMillis.isEmpty {
                        sample.int64(3, batch.sampleStartMillis[i])
                    }
                }
            }
            for i in histograms[s] {
                let histogram = try batch.histogram(i)
                let mark = body.begin(3)
                histogram.write(
                    millis: batch.histogramMillis[i],
                    startMillis: batch.histogramStartMillis.isEmpty
                        ? 0 : batch.histogramStartMillis[i], into: &body)
                body.end(mark)
            }
            for i in exemplars[s] {
                let refs = refs(batch, batch.exemplarLabels[i], &symbols)
                body.message(4) { exemplar in
                    exemplar.packedUInt32(1, refs)
                    exemplar.double(2, batch.exemplarValues[i])
                    exemplar.int64(3, batch.exemplarMillis[i])
                }
            }
            if let entry = metadata(batch, batch.series[s].slice, families) {
                let help = batch.arena.withSlice(entry.help) { symbols.place($0) }
                let unit = batch.arena.withSlice(entry.unit) { symbols.place($0) }
                body.message(5) { message in
                    message.uint64(1, UInt64(entry.type.rawValue))
                    message.uint32(3, help)
                    message.uint32(4, unit)
                }
            }
            body.end(mark)
        }
        var writer = ProtobufWriter(reserving: body.count + 32 * symbols.strings.count)
        for text in symbols.strings {
            text.withUnsafeBytes { writer.bytes(4, $0, always: true) }
        }
        writer.bytes.append(contentsOf: body.bytes)
        return writer.bytes
    }

    private static func refs(
        _ batch: MetricBatch, _ labels: ByteSlice, _ symbols: inout SymbolTable
    ) -> [UInt32] {
        var refs: [UInt32] = []
        batch.arena.withSlice(labels) { bytes in
            forEachLabel(in: bytes) { name, value in
                refs.append(symbols.place(name))
                refs.append(symbols.place(value))
            }
        }
        return refs
    }

    private static func metadata(
        _ batch: MetricBatch, _ labels: ByteSlice,
        _ families: [ArraySlice<UInt8>: MetricBatch.Metadata]
    ) -> MetricBatch.Metadata? {
        if families.isEmpty { return nil }
        return batch.arena.withSlice(labels) { bytes in
            guard let name = labelValue(of: metricName, in: bytes) else { return nil }
            if let entry = families[ArraySlice(name)] { return entry }
            for type in [MetricType.histogram, .gaugeHistogram, .summary] {
                let family = familyName(name, type)
                if family.count < name.count, let entry = families[ArraySlice(family)],
                    entry.type == type
                {
                    return entry
                }
            }
            return nil
        }
    }
}

extension MetricBatch {
    /// Decodes histogram `i`.
    func histogram(_ i: Int) throws(MalformedBytes) -> NativeHistogram {
        let slice = histograms[i]
        let bytes = Array(arena[slice.range])
        var result = Result<NativeHistogram, MalformedBytes>.success(NativeHistogram())
        bytes.withUnsafeBytes { raw in
            result = Result { () throws(MalformedBytes) in try NativeHistogram(decoding: raw) }
        }
        return try result.get()
    }
}

extension NativeHistogram {
    /// Writes the `Histogram` message of both versions: deltas of whole counts where it was sent
    /// with integers, absolute counts else.
    func write(millis: Int64, startMillis: Int64, into writer: inout ProtobufWriter) {
        if isInteger {
            writer.uint64(1, UInt64(exactly: count) ?? 0, always: true)
        } else {
            writer.double(2, count, always: true)
        }
        writer.double(3, sum)
        writer.sint32(4, schema)
        writer.double(5, zeroThreshold)
        if isInteger {
            writer.uint64(6, UInt64(exactly: zeroCount) ?? 0, always: true)
        } else {
            writer.double(7, zeroCount, always: true)
        }
        write(negativeSpans, 8, into: &writer)
        if isInteger {
            writer.packedSInt64(9, NativeHistogram.deltas(negativeBuckets))
        } else {
            writer.packedDouble(10, negativeBuckets)
        }
        write(positiveSpans, 11, into: &writer)
        if isInteger {
            writer.packedSInt64(12, NativeHistogram.deltas(positiveBuckets))
        } else {
            writer.packedDouble(13, positiveBuckets)
        }
        writer.uint64(14, UInt64(counterReset.rawValue))
        writer.int64(15, millis)
        writer.packedDouble(16, customBounds)
        writer.int64(17, startMillis)
    }

    private func write(_ spans: [Span], _ field: UInt32, into writer: inout ProtobufWriter) {
        for span in spans {
            writer.message(field) { message in
                message.sint32(1, span.offset)
                message.uint32(2, span.length)
            }
        }
    }

    private static func deltas(_ buckets: [Double]) -> [Int64] {
        var previous: Int64 = 0
        return buckets.map { bucket in
            let current = Int64(exactly: bucket) ?? 0
            defer { previous = current }
            return current &- previous
        }
    }
}
