// SPDX-License-Identifier: Apache-2.0
// XOR chunks read back by a reader written from the format's description.

import Testing

@testable import Wire

@Test func chunksKeepTimesAndAllBitsOfValues() throws {
    let values: [Double] = [
        0, 1, 1, 1.5, -1.5, .infinity, .nan, Double(bitPattern: 0x7ff0_0000_0000_0002), 1e300,
        Double.leastNonzeroMagnitude,
        Double(bitPattern: .max), 0, 12, 13, 12.000001,
    ]
    let steps: [Int64] = [
        15_000, 15_000, 15_001, 14_999, 23_192, 15_000, 80_536, 15_000, 539_288, 1, 1,
        10_000_000_000,
        5, 8197, 1,
    ]
    for start: Int64 in [0, -5, 1_700_000_000_123] {
        var chunk = XORChunk()
        var expected: [(millis: Int64, bits: UInt64)] = []
        var millis = start
        for (value, step) in zip(values, steps) {
            chunk.append(millis: millis, value)
            expected.append((millis, value.bitPattern))
            millis += step
        }
        let found = try readFloats(chunk.bytes)
        #expect(found.map(\.millis) == expected.map(\.millis))
        #expect(found.map(\.bits) == expected.map(\.bits))
        #expect(chunk.firstMillis == start && chunk.count == values.count)
    }
}
