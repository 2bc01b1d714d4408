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

    private var bits = ChunkBits()
    package private(set) var count = 0
    package private(set) var firstMillis: Int64 = 0
    package private(set) var lastMillis: Int64 = 0
    private var delta: Int64 = 0
    private var values = XORColumn(first: 0)

    package init() {}

    /// The chunk's bytes: the number of samples, big-endian in two bytes, then the bits.
    package var bytes: [UInt8] {
        [UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)] + bits.bytes
    }

    package var isFull: Bool { count >= XORChunk.maxSamples }

    /// Appends a sample. Times must ascend; at most `maxSamples` in one chunk.
    package mutating func append(millis: Int64, _ sample: Double) {
        switch count {
        case 0:
            firstMillis = millis
            bits.varint(UInt64(bitPattern: (millis &<< 1) ^ (millis &>> 63)))
            bits.write(sample)
            values = XORColumn(first: sample)
        case 1:
            delta = millis &- lastMillis
            bits.varint(UInt64(bitPattern: delta))
            values.append(sample, to: &bits)
        default:
            let next = millis &- lastMillis
            append(deltaOfDeltas: next &- delta)
            delta = next
            values.append(sample, to: &bits)
        }
        lastMillis = millis
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
}
