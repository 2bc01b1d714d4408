// SPDX-License-Identifier: Apache-2.0
// Prometheus' XOR chunks.

import Base

/// Encodes floats as Prometheus' chunks of encoding 1: delta of deltas of the times, XOR of the
/// values, bits from the highest down. All bits of a value survive.
///
/// Source: prometheus/prometheus `tsdb/chunkenc/xor.go`, `tsdb/docs/format/chunks.md`.
package struct XORChunk: Sendable {
    /// Samples of one chunk; readers size their buffers for about as many.
    package static let maxSamples = 120

    private var bits = BitWriter()
    package private(set) var count = 0
    package private(set) var firstMillis: Int64 = 0
    package private(set) var lastMillis: Int64 = 0
    private var delta: Int64 = 0
    private var value: UInt64 = 0
    private var leading = -1
    private var trailing = 0

    package init() {}

    /// The chunk's bytes: the number of samples, big-endian in two bytes, then the bits.
    package var bytes: [UInt8] {
        [UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)] + bits.bytes
    }

    package var isFull: Bool { count >= XORChunk.maxSamples }

    /// Appends a sample. Times must ascend; at most `maxSamples` in one chunk.
    package mutating func append(millis: Int64, _ sample: Double) {
        let raw = sample.bitPattern
        switch count {
        case 0:
            firstMillis = millis
            bits.varint(UInt64(bitPattern: (millis &<< 1) ^ (millis &>> 63)))
            bits.write(raw, 64)
        case 1:
            delta = millis &- lastMillis
            bits.varint(UInt64(bitPattern: delta))
            append(xor: raw ^ value)
        default:
            let next = millis &- lastMillis
            append(deltaOfDeltas: next &- delta)
            delta = next
            append(xor: raw ^ value)
        }
        lastMillis = millis
        value = raw
        count += 1
    }

    private mutating func append(deltaOfDeltas change: Int64) {
        func fits(_ width: Int64) -> Bool {
            change >= -((1 << (width - 1)) - 1) && change <= 1 << (width - 1)
        }
        let raw = UInt64(bitPattern: change)
        if change == 0 {
            bits.write(0, 1)
        } else if fits(14) {
            bits.write(0b10, 2)
            bits.write(raw, 14)
        } else if fits(17) {
            bits.write(0b110, 3)
            bits.write(raw, 17)
        } else if fits(20) {
            bits.write(0b1110, 4)
            bits.write(raw, 20)
        } else {
            bits.write(0b1111, 4)
            bits.write(raw, 64)
        }
    }

    private mutating func append(xor: UInt64) {
        guard xor != 0 else { return bits.write(0, 1) }
        bits.write(1, 1)
        let zeros = min(31, xor.leadingZeroBitCount)
        let tail = xor.trailingZeroBitCount
        if leading >= 0, zeros >= leading, tail >= trailing {
            bits.write(0, 1)
            bits.write(xor >> UInt64(trailing), 64 - leading - trailing)
            return
        }
        leading = zeros
        trailing = tail
        bits.write(1, 1)
        bits.write(UInt64(zeros), 5)
        // 64 significant bits do not fit six bits and are written as 0.
        let significant = 64 - zeros - tail
        bits.write(UInt64(significant & 63), 6)
        bits.write(xor >> UInt64(tail), significant)
    }
}

/// Bits from the highest of each byte down.
private struct BitWriter {
    private(set) var bytes: [UInt8] = []
    /// Free bits of the last byte.
    private var free = 0

    mutating func write(_ value: UInt64, _ count: Int) {
        var left = count
        while left > 0 {
            if free == 0 {
                bytes.append(0)
                free = 8
            }
            let n = min(left, free)
            let part = UInt8(truncatingIfNeeded: value >> UInt64(left - n)) & UInt8((1 << n) - 1)
            bytes[bytes.count - 1] |= part << UInt8(free - n)
            free -= n
            left -= n
        }
    }

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            write(rest & 0x7f | 0x80, 8)
            rest >>= 7
        }
        write(rest, 8)
    }
}
