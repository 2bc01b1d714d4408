// SPDX-License-Identifier: Apache-2.0
// Chunks of histograms: read back, cut where they must be.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

private struct Found {
    var chunks: [(encoding: UInt32, bytes: [UInt8])] = []
    var samples: [(millis: Int64, value: Double, histogram: NativeHistogram?)] = []
}

/// Frames of one series, taken apart and decoded.
private func readFrames(_ bytes: [UInt8]) throws -> Found {
    var found = Found()
    var rest = bytes[...]
    while !rest.isEmpty {
        var length = 0, shift = 0
        while let byte = rest.popFirst() {
            length |= Int(byte & 0x7f) << shift
            shift += 7
            if byte < 0x80 { break }
        }
        let sum = rest.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let frame = Array(rest.dropFirst(4).prefix(length))
        rest = rest.dropFirst(4 + length)
        #expect(sum == crc32c(frame))
        try frame.withUnsafeBytes { raw in
            var message = ProtobufReader(raw)
            while try message.next() {
                guard message.field == 1 else {
                    try message.skip()
                    continue
                }
                var series = try message.message()
                while try series.next() {
                    guard series.field == 2 else {
                        try series.skip()
                        continue
                    }
                    try readChunk(try series.message(), into: &found)
                }
            }
        }
    }
    return found
}

private func readChunk(_ message: ProtobufReader, into found: inout Found) throws {
    var message = message
    var (first, last, encoding, data) = (Int64(0), Int64(0), UInt32(0), [UInt8]())
    while try message.next() {
        switch message.field {
        case 1: first = try message.int64()
        case 2: last = try message.int64()
        case 3: encoding = try message.uint32()
        default: data = Array(try message.bytes())
        }
    }
    found.chunks.append((encoding, data))
    let before = found.samples.count
    if encoding == 1 {
        found.samples += try readFloats(data).map { ($0.millis, Double(bitPattern: $0.bits), nil) }
    } else {
        found.samples += try readHistograms(data, encoding: encoding).map {
            ($0.millis, 0, $0.histogram)
        }
    }
    #expect(found.samples[before].millis == first && found.samples.last?.millis == last)
}

private func frames(_ columns: SampleColumns) throws -> Found {
    var bytes: [UInt8] = []
    try RemoteRead.appendFrames(
        Labels([("__name__", "latency")]), columns, queryIndex: 0, into: &bytes)
    return try readFrames(bytes)
}

/// What a reader may know: the numbers; hints are tested on their own.
private func plain(_ histogram: NativeHistogram) -> NativeHistogram {
    var result = histogram
    if histogram.isStale {
        result = NativeHistogram()
        result.sum = histogram.sum
    }
    result.counterReset = .unknown
    result.isInteger = false
    // NaN differs from itself.
    if result.sum.isNaN { result.sum = Double(result.sum.bitPattern & 0xffff) }
    return result
}

private func counter(_ buckets: [Double], sum: Double = 1, integer: Bool = true) -> NativeHistogram
{
    var histogram = NativeHistogram()
    histogram.isInteger = integer
    histogram.zeroThreshold = 0x1p-128
    histogram.positiveSpans = [.init(offset: -1, length: UInt32(buckets.count))]
    histogram.positiveBuckets = buckets
    histogram.count = buckets.reduce(0, +)
    histogram.sum = sum
    return histogram
}

@Suite struct HistogramChunkTests {
    private func columns(_ histograms: [NativeHistogram]) -> SampleColumns {
        var columns = SampleColumns()
        for (i, one) in histograms.enumerated() {
            columns.append(millis: 1_000 + 15_000 * Int64(i), histogram: one)
        }
        return columns
    }

    @Test func growingCountersShareAChunk() throws {
        for integer in [true, false] {
            let all = (0..<50).map { counter([Double($0), Double(2 * $0 + 3)], integer: integer) }
            let found = try frames(columns(all))
            #expect(found.chunks.map(\.encoding) == [integer ? 2 : 3])
            #expect(found.samples.compactMap(\.histogram).map(plain) == all.map(plain))
            let hints = found.samples.compactMap { $0.histogram?.counterReset }
            #expect(
                hints == [.unknown]
                    + [NativeHistogram.CounterReset](repeating: .notReset, count: 49))
        }
    }

    @Test func aResetBeginsAChunkThatSaysSo() throws {
        let found = try frames(columns([counter([3, 5]), counter([4, 5]), counter([5, 4])]))
        #expect(found.chunks.count == 2)
        #expect(found.samples.map { $0.histogram?.counterReset } == [.unknown, .notReset, .reset])
        var told = counter([9, 9])
        told.counterReset = .reset
        let hinted = try frames(columns([counter([3, 5]), told]))
        #expect(hinted.samples.map { $0.histogram?.counterReset } == [.unknown, .reset])
    }

    @Test func gaugesMayFall() throws {
        let all = [counter([3, 5]), counter([1, 9]), counter([0, 2])].map {
            var gauge = $0
            gauge.counterReset = .gauge
            return gauge
        }
        let found = try frames(columns(all))
        #expect(found.chunks.count == 1)
        #expect(found.samples.map { $0.histogram?.counterReset } == [.gauge, .gauge, .gauge])
        #expect(found.samples.compactMap(\.histogram).map(plain) == all.map(plain))
    }

    @Test func anotherLayoutOrKindBeginsAChunk() throws {
        var other = counter([3, 5, 6])
        var threshold = other
        threshold.zeroThreshold = 0.001
        var schema = threshold
        schema.schema = 3
        var custom = NativeHistogram()
        custom.schema = NativeHistogram.customSchema
        custom.customBounds = [-1, 0, 0.005, 0.1, 1.0000001, 33_554.43, 33_554.431, 1e9]
        custom.positiveSpans = [.init(offset: 0, length: 9)]
        custom.positiveBuckets = [1, 0, 2, 0, 3, 0, 4, 0, 5.5]
        custom.count = 15.5
        var bounds = custom
        bounds.customBounds[0] = -2
        other.isInteger = false
        let all = [counter([3, 5]), other, threshold, schema, custom, bounds]
        let found = try frames(columns(all))
        #expect(found.chunks.map(\.encoding) == [2, 3, 2, 2, 3, 3])
        #expect(found.samples.compactMap(\.histogram).map(plain) == all.map(plain))
    }

    @Test func staleMarkersAndFloatsLieBetween() throws {
        var stale = NativeHistogram()
        stale.sum = StaleMarker.value
        var columns = SampleColumns()
        columns.append(millis: 1, value: 7)
        columns.append(millis: 2, histogram: counter([1, 2]))
        columns.append(millis: 3, histogram: counter([2, 2]))
        columns.append(millis: 4, histogram: stale)
        columns.append(millis: 5, histogram: stale)
        columns.append(millis: 6, histogram: counter([3, 2], integer: false))
        columns.append(millis: 7, histogram: stale)
        columns.append(millis: 8, value: StaleMarker.value)
        columns.append(millis: 9, histogram: stale)
        let found = try frames(columns)
        #expect(found.samples.map(\.millis) == columns.millis)
        #expect(
            found.samples.map { $0.histogram?.isStale } == [
                nil, false, false, true, true, false, true, nil, true,
            ])
        #expect(found.samples[7].value.bitPattern == StaleMarker.bits)
    }

    @Test func countsBeyondWholeNumbersTravelAsFloats() throws {
        var huge = counter([1e30, 0x1p63])
        huge.count = 2e30
        let found = try frames(columns([huge, huge]))
        #expect(found.chunks.map(\.encoding) == [3])
        #expect(found.samples.compactMap(\.histogram).map(plain) == [huge, huge].map(plain))
    }

    @Test func spansWithoutTheirBucketsAreRefused() {
        var broken = counter([1, 2])
        broken.positiveBuckets = [1]
        #expect(throws: InvalidHistogram.self) { try frames(columns([broken])) }
        #expect(throws: InvalidHistogram.self) { try frames(columns([counter([1, 2]), broken])) }
    }

    @Test(arguments: 0..<60) func anythingReadsBack(_ seed: Int) throws {
        var random = SplitMix(seed: UInt64(seed) + 1)
        var columns = SampleColumns()
        var millis = Int64(random.below(1 << 40)) - 1 << 39
        var histogram = random.histogram()
        for _ in 0..<(1 + random.below(400)) {
            millis += Int64(1 + random.below(random.below(10) == 0 ? 1 << 33 : 30_000))
            switch random.below(40) {
            case 0: histogram = random.histogram()
            case 1:
                columns.append(millis: millis, value: Double(random.below(1000)))
                continue
            case 2:
                var stale = NativeHistogram()
                stale.sum = StaleMarker.value
                stale.isInteger = histogram.isInteger
                columns.append(millis: millis, histogram: stale)
                continue
            case 3: histogram.positiveBuckets = histogram.positiveBuckets.map { ($0 / 2).rounded() }
            case 4: histogram.sum = .nan
            default: random.grow(&histogram)
            }
            columns.append(millis: millis, histogram: histogram)
        }
        let found = try frames(columns)
        #expect(found.samples.map(\.millis) == columns.millis)
        for (i, sample) in found.samples.enumerated() {
            let expected = columns.histograms.isEmpty ? nil : columns.histograms[i]
            #expect(sample.histogram.map(plain) == expected.map(plain))
            #expect(sample.histogram != nil || sample.value == columns.values[i])
        }
        // Readers believe that nothing falls inside a chunk.
        for (last, next) in zip(found.samples, found.samples.dropFirst()) {
            guard let a = last.histogram, let b = next.histogram, b.counterReset == .notReset,
                !a.isStale, !b.isStale
            else { continue }
            #expect(a.positiveSpans == b.positiveSpans && a.count <= b.count)
            #expect(zip(a.positiveBuckets, b.positiveBuckets).allSatisfy(<=))
        }
    }
}

private struct SplitMix {
    var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 }

    mutating func below(_ n: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return n <= 1 ? 0 : Int(state >> 17) % n
    }

    mutating func histogram() -> NativeHistogram {
        var histogram = NativeHistogram()
        histogram.isInteger = below(2) == 0
        if below(4) == 0 {
            histogram.schema = NativeHistogram.customSchema
            histogram.customBounds = (0..<(1 + below(12))).map { Double($0) * 0.25 + 0.001 }
            let length = below(histogram.customBounds.count + 1)
            histogram.positiveSpans = [.init(offset: 0, length: UInt32(length))]
            histogram.positiveBuckets = (0..<length).map { _ in Double(below(1000)) }
        } else {
            histogram.schema = Int32(below(13)) - 4
            histogram.zeroThreshold = [0, 0x1p-128, 0x1p10, 0x1p11, 0x1p-243, 0.3][below(6)]
            for side in 0..<2 {
                var spans: [NativeHistogram.Span] = []
                for i in 0..<below(4) {
                    spans.append(
                        .init(
                            offset: Int32(below(i == 0 ? 2000 : 30)) - (i == 0 ? 1000 : 0),
                            length: UInt32(below(6))))
                }
                let n = spans.reduce(0) { $0 + Int($1.length) }
                let buckets = (0..<n).map { _ in Double(below(1 << below(30))) }
                if side == 0 {
                    (histogram.positiveSpans, histogram.positiveBuckets) = (spans, buckets)
                } else {
                    (histogram.negativeSpans, histogram.negativeBuckets) = (spans, buckets)
                }
            }
        }
        grow(&histogram)
        return histogram
    }

    mutating func grow(_ histogram: inout NativeHistogram) {
        let part = histogram.isInteger ? 0 : 0.25
        for i in histogram.positiveBuckets.indices {
            histogram.positiveBuckets[i] += Double(below(1 << below(20))) + part
        }
        for i in histogram.negativeBuckets.indices {
            histogram.negativeBuckets[i] += Double(below(3))
        }
        if histogram.schema >= -4 { histogram.zeroCount += Double(below(5)) }
        histogram.count =
            histogram.zeroCount
            + (histogram.positiveBuckets + histogram.negativeBuckets).reduce(0, +)
        histogram.sum = Double(below(1 << 30)) / 7
    }
}
