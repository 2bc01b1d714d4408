// SPDX-License-Identifier: Apache-2.0
// XOR chunks read back by a reader written from the format's description.

import Testing

@testable import Wire

/// Bits from the highest down.
private struct BitReader {
    let bytes: [UInt8]
    var place = 0

    mutating func bits(_ count: Int) -> UInt64 {
        var value: UInt64 = 0
        for _ in 0..<count {
            value = value << 1 | UInt64(bytes[place / 8] >> UInt8(7 - place % 8) & 1)
            place += 1
        }
        return value
    }

    mutating func signed(_ count: Int) -> Int64 {
        let raw = bits(count)
        // The range is lopsided: 2^(n−1) itself is positive.
        return raw > 1 << UInt64(count - 1) ? Int64(raw) - (1 << count) : Int64(raw)
    }

    mutating func varint() -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = bits(8)
            value |= (byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }
}

private func decode(_ bytes: [UInt8]) -> [(millis: Int64, bits: UInt64)] {
    var reader = BitReader(bytes: bytes)
    let count = Int(reader.bits(16))
    var result: [(millis: Int64, bits: UInt64)] = []
    var (millis, delta, value) = (Int64(0), Int64(0), UInt64(0))
    var (leading, trailing) = (0, 0)
    for index in 0..<count {
        if index == 0 {
            let raw = reader.varint()
            millis = Int64(raw >> 1) ^ -Int64(raw & 1)
            value = reader.bits(64)
        } else {
            if index == 1 {
                delta = Int64(bitPattern: reader.varint())
            } else {
                var ones = 0
                while ones < 4, reader.bits(1) == 1 { ones += 1 }
                switch ones {
                case 0: break
                case 4: delta &+= Int64(bitPattern: reader.bits(64))
                default: delta &+= reader.signed([14, 17, 20][ones - 1])
                }
            }
            millis &+= delta
            if reader.bits(1) == 1 {
                if reader.bits(1) == 1 {
                    leading = Int(reader.bits(5))
                    let significant = Int(reader.bits(6))
                    trailing = 64 - leading - (significant == 0 ? 64 : significant)
                }
                value ^= reader.bits(64 - leading - trailing) << UInt64(trailing)
            }
        }
        result.append((millis, value))
    }
    return result
}

@Test func chunksKeepTimesAndAllBitsOfValues() {
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
        let found = decode(chunk.bytes)
        #expect(found.map(\.millis) == expected.map(\.millis))
        #expect(found.map(\.bits) == expected.map(\.bits))
        #expect(chunk.firstMillis == start && chunk.count == values.count)
    }
}
