// SPDX-License-Identifier: Apache-2.0
// The short way through labels gives what the long one gives.

import Base
import Telemetry
import Testing

@testable import Wire

@Suite struct PlainLabelTests {
    /// Series messages with random labels: most in order, some unsorted, twice, empty, long or not
    /// UTF-8. A message that begins with a field that nobody knows goes the long way.
    @Test(arguments: 0..<40) func bothWaysAgree(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        for _ in 0..<50 {
            let series = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                labels(&random)
            }
            var limits = MetricDecodingLimits()
            if Bool.random(using: &random) {
                limits.labelsPerSeries = 4
                limits.labelNameBytes = 20
                limits.labelValueBytes = 40
            }
            let short = try decode(body(series, isLong: false), limits)
            let long = try decode(body(series, isLong: true), limits)
            #expect(short.batch.arena == long.batch.arena)
            #expect(short.batch.series.map(\.hash) == long.batch.series.map(\.hash))
            #expect(short.batch.sampleSeries == long.batch.sampleSeries)
            #expect(short.batch.sampleMillis == long.batch.sampleMillis)
            #expect(
                short.batch.sampleValues.map(\.bitPattern)
                    == long.batch.sampleValues.map(\.bitPattern))
            #expect(short.problems == long.problems)
            #expect(short.rejectedSamples == long.rejectedSamples)
        }
    }

    private typealias Label = (name: [UInt8], value: [UInt8])

    private func labels(_ random: inout SplitMix64) -> [Label] {
        var result: [Label] = [(Array("__name__".utf8), text(1...40, &random))]
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            result.append((text(1...12, &random), text(1...60, &random)))
        }
        result.sort { $0.name.lexicographicallyPrecedes($1.name) }
        switch Int.random(in: 0..<8, using: &random) {
        case 0: result.shuffle(using: &random)
        case 1: result.append(result[0])
        case 2: result[result.count - 1].value = []
        case 3: result[result.count - 1].value = text(100...400, &random)
        case 4: result[0].name = text(100...140, &random)
        case 5: result[result.count - 1].value = [0x61, 0xff]
        case 6: result[0].name = []
        default: break
        }
        return result
    }

    private func text(_ counts: ClosedRange<Int>, _ random: inout SplitMix64) -> [UInt8] {
        (0..<Int.random(in: counts, using: &random)).map { _ in
            UInt8.random(in: 0x61...0x7a, using: &random)
        }
    }

    private func body(_ series: [[Label]], isLong: Bool) -> [UInt8] {
        var body = ProtobufWriter()
        for (number, labels) in series.enumerated() {
            var message = ProtobufWriter()
            if isLong { message.uint64(15, 1) }
            for label in labels {
                var one = ProtobufWriter()
                one.bytes(1, label.name)
                one.bytes(2, label.value)
                message.bytes(1, one.bytes, always: true)
            }
            var sample = ProtobufWriter()
            if isLong { sample.uint64(15, 1) }
            sample.double(1, Double(number) + 0.5)
            sample.int64(2, 1_000 + Int64(number))
            message.bytes(2, sample.bytes)
            body.bytes(1, message.bytes)
        }
        return body.bytes
    }

    private func decode(
        _ bytes: [UInt8], _ limits: MetricDecodingLimits
    ) throws -> RemoteWriteRequest {
        try bytes.withUnsafeBytes { try RemoteWrite1.decode($0, limits: limits) }
    }
}
