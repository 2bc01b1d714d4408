// SPDX-License-Identifier: Apache-2.0
// Every codec gives back the bits it was given.

import Base
import Telemetry
import Testing

@testable import MetricStore

/// Columns of values by what they look like.
let valueColumns: [(name: String, values: [Double])] = {
    var random = SplitMix64(seed: 7)
    func many(_ n: Int, _ body: (Int) -> Double) -> [Double] { (0..<n).map(body) }
    var all: [(name: String, values: [Double])] = [
        ("one", [42]), ("constant", many(500) { _ in 1.5 }),
        ("counter", many(1000) { Double($0 * 37) }),
        ("pages", many(300) { Double(($0 * 7919) % 1000) * 4096 }),
        ("seconds", many(700) { Double($0 * 13) / 100 }),
        ("random bits", many(400) { _ in Double(bitPattern: random.next()) }),
        ("random unit", many(400) { _ in Double(random.next() >> 11) / 9_007_199_254_740_992 }),
        ("thirds", many(200) { Double($0) / 3 }),
        ("large", many(200) { 9.007e15 + Double($0) }),
        ("huge", many(50) { 1e300 * Double($0) }),
        ("negative zero", [0, -0.0, 0, 1, -0.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        ("infinities", [1, .infinity, 2, -.infinity, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        ("subnormal", many(20) { Double.leastNonzeroMagnitude * Double($0) }),
        (
            "stale first", [StaleMarker.value] + many(30) { Double($0) }
        ),
        ("stale last", many(239) { Double($0) * 0.5 } + [StaleMarker.value]),
        ("all stale", many(9) { _ in StaleMarker.value }),
        (
            "payloads",
            many(64) { Double(bitPattern: 0x7ff0_0000_0000_0001 + UInt64($0) * 0x1_0001) }
        ),
        ("gaps", many(200) { $0 % 40 == 3 ? StaleMarker.value : Double($0) }),
    ]
    all.append(
        (
            "walk",
            many(1024) { _ in 0 }.reduce(into: [20.0]) { list, _ in
                list.append((list[list.count - 1] + Double(random.next() % 21) - 10))
            }
        ))
    return all
}()

@Test func valueColumnsRoundTrip() throws {
    var faults: [String] = []
    for (name, values) in valueColumns {
        var writer = ByteWriter()
        ValueColumn.encode(values[...], into: &writer)
        var decoded: [Double] = []
        let rest = try writer.bytes.withUnsafeBytes {
            var reader = ByteReader($0)
            try ValueColumn.decode(values.count, &reader, into: &decoded)
            return reader.remaining
        }
        if decoded.map(\.bitPattern) != values.map(\.bitPattern) { faults.append(name) }
        if rest != 0 { faults.append("\(name): \(rest) bytes left") }
    }
    #expect(faults.isEmpty, "\(faults)")
}

@Test func valuesOfCommonShapesAreSmall() {
    func size(_ values: [Double]) -> Int {
        var writer = ByteWriter()
        ValueColumn.encode(values[...], into: &writer)
        return writer.count
    }
    #expect(size([Double](repeating: 7, count: 1000)) == 9)
    #expect(size((0..<1000).map { Double($0 * 1000) }) < 60)
    #expect(size((0..<1000).map { Double($0 % 16) * 4096 }) < 700)
}

/// Columns of times by what they look like.
let timeColumns: [(name: String, times: [Int64])] = {
    var random = SplitMix64(seed: 8)
    let t0: Int64 = 1_768_514_400_000
    return [
        ("one", [t0]), ("grid", (0..<500).map { t0 + $0 * 15_000 }),
        ("jitter", (0..<500).map { t0 + $0 * 15_000 + Int64(random.next() % 7) }),
        ("missed scrapes", (0..<500).filter { $0 % 17 != 0 }.map { t0 + $0 * 15_000 }),
        (
            "irregular",
            (0..<300).reduce(into: [t0]) { list, _ in
                list.append(list[list.count - 1] + 1 + Int64(random.next() % 100_000))
            }
        ),
        ("negative", (0..<100).map { -5_000_000 + $0 * 333 }),
        ("extremes", [.min, -1, 0, 1, .max]), ("ends", [.min, .max]),
        ("leap", [0, 1, 2, 1 << 40, 1 << 62]),
    ]
}()

@Test func integerColumnsRoundTrip() throws {
    var faults: [String] = []
    for (name, times) in timeColumns {
        var writer = ByteWriter()
        IntegerColumn.encode(times, into: &writer)
        var decoded: [Int64] = []
        let rest = try writer.bytes.withUnsafeBytes {
            var reader = ByteReader($0)
            try IntegerColumn.decode(times.count, &reader, into: &decoded)
            return reader.remaining
        }
        if decoded != times { faults.append(name) }
        if rest != 0 { faults.append("\(name): \(rest) bytes left") }
    }
    #expect(faults.isEmpty, "\(faults)")
}

@Test func singleValuesAreThoseOfTheColumn() throws {
    var faults: [String] = []
    for (name, values) in valueColumns {
        var writer = ByteWriter()
        ValueColumn.encode(values[...], into: &writer)
        try writer.bytes.withUnsafeBytes { bytes in
            for (position, value) in values.enumerated() {
                var reader = ByteReader(bytes)
                let bits = try ValueColumn.bits(at: position, values.count, &reader)
                reader = ByteReader(bytes)
                let isStale = try ValueColumn.isStale(at: position, values.count, &reader)
                if bits != value.bitPattern || isStale != StaleMarker.isStale(value) {
                    faults.append("\(name) at \(position)")
                }
            }
        }
    }
    for (name, times) in timeColumns {
        var writer = ByteWriter()
        IntegerColumn.encode(times, into: &writer)
        try writer.bytes.withUnsafeBytes { bytes in
            for (position, time) in times.enumerated() {
                var reader = ByteReader(bytes)
                if try IntegerColumn.value(at: position, &reader) != time {
                    faults.append("\(name) at \(position)")
                }
            }
        }
    }
    #expect(faults.isEmpty, "\(faults)")
}

@Test func openChunksRoundTrip() {
    var faults: [String] = []
    for (timeName, times) in timeColumns {
        for (valueName, values) in valueColumns {
            var chunk = OpenChunk()
            let expected = zip(times, values).map { ($0, $1.bitPattern) }
            for (millis, bits) in expected { chunk.append(millis: millis, bits: bits) }
            var decoded: [(Int64, UInt64)] = []
            chunk.forEach {
                decoded.append(($0, $1))
                return true
            }
            if !decoded.elementsEqual(expected, by: ==) {
                faults.append("\(timeName), \(valueName)")
            }
            for (millis, bits) in expected where chunk.bits(at: millis) != bits {
                faults.append("\(timeName), \(valueName): look-up of \(millis)")
            }
        }
    }
    #expect(faults.isEmpty, "\(faults)")
}

@Test func unchangedValuesOnTheGridCostOneBit() {
    var chunk = OpenChunk()
    for i in 0..<240 { chunk.append(millis: Int64(i) * 15_000, bits: 1.0.bitPattern) }
    // 16 bytes of first sample, one wide step, then 238 bits.
    #expect(chunk.bits.byteCount == 16 + 5 + 30)
}

@Test func damagedColumnsNeverCrash() throws {
    var random = SplitMix64(seed: 9)
    for (_, values) in valueColumns {
        var writer = ByteWriter()
        ChunkCoding.encode(
            floats: values[...], starts: [Int64](repeating: 5, count: values.count)[...],
            into: &writer)
        for _ in 0..<300 {
            var bytes = writer.bytes
            bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(
                truncatingIfNeeded: random.next())
            if random.next() % 4 == 0 { bytes.removeLast(Int(random.next() % 8) % bytes.count) }
            bytes.withUnsafeBytes { raw in
                do throws(MalformedBytes) {
                    var floats: [Double] = []
                    var histograms: [NativeHistogram] = []
                    var starts: [Int64] = []
                    var counts: [Double] = []
                    try ChunkCoding.decode(
                        raw, count: values.count, floats: &floats, &histograms, &starts, &counts)
                    #expect(floats.count + histograms.count == values.count)
                } catch {
                    #expect(error.offset >= 0)
                }
            }
        }
    }
}
