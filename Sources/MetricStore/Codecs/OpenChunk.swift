// SPDX-License-Identifier: Apache-2.0
// The bit-packed chunk that a head series appends to.

import Base
import Telemetry

/// Float samples in ascending time, packed while they arrive. After the first sample (64 bits of
/// time, 64 bits of value) each begins with a joint prefix for time and value:
///
///     0               on the grid (delta of delta 0), value unchanged
///     10              on the grid, then a changed value
///     110   + 8 bits  delta of delta, then 1 bit: value changed?
///     1110  + 14 bits delta of delta, then 1 bit
///     11110 + 1 bit + 32 or 64 bits of delta of delta, then 1 bit
///     11111           on the grid, stale marker; the value before it stays the reference
///
/// A changed value is the XOR with the one before: `0` and its bits in the window in use, or `1`,
/// 5 bits of leading zeros, 6 bits of width − 1, and its bits. The ideas are Gorilla's (VLDB 2015)
/// and those of Prometheus' joint prefix (tsdb/docs/format/chunks.md); the layout is our own.
struct OpenChunk: Sendable {
    private(set) var bits = BitWriter()
    private(set) var count: UInt32 = 0
    private var leading: UInt8 = 0
    /// Bits of the XOR window, 0 before the first.
    private var width: UInt8 = 0
    private(set) var firstMillis: Int64 = 0
    private(set) var lastMillis: Int64 = 0
    private var delta: Int64 = 0
    /// The last value that was no stale marker on the grid.
    private var reference: UInt64 = 0
    /// Bits of the last value.
    private(set) var lastBits: UInt64 = 0

    /// Appends a sample later than all before.
    mutating func append(millis: Int64, bits value: UInt64) {
        defer {
            lastMillis = millis
            lastBits = value
            count &+= 1
        }
        guard count > 0 else {
            firstMillis = millis
            bits.put(UInt64(bitPattern: millis), 64)
            bits.put(value, 64)
            reference = value
            return
        }
        let newDelta = millis &- lastMillis
        let change = newDelta &- delta
        delta = newDelta
        if change == 0 {
            if value == reference {
                bits.put(0, 1)
            } else if value == StaleMarker.bits {
                bits.put(0b11111, 5)
            } else {
                bits.put(0b10, 2)
                putValue(value)
            }
            return
        }
        let pattern = UInt64(bitPattern: change)
        if change >= -128, change < 128 {
            bits.put(0b110 &<< 8 | pattern & 0xff, 11)
        } else if change >= -8192, change < 8192 {
            bits.put(0b1110 &<< 14 | pattern & 0x3fff, 18)
        } else if change >= Int64(Int32.min), change <= Int64(Int32.max) {
            bits.put(0b111100 &<< 32 | pattern & 0xffff_ffff, 38)
        } else {
            bits.put(0b111101, 6)
            bits.put(pattern, 64)
        }
        if value == reference {
            bits.put(0, 1)
        } else {
            bits.put(1, 1)
            putValue(value)
        }
    }

    private mutating func putValue(_ value: UInt64) {
        let xor = value ^ reference
        reference = value
        let zeros = min(xor.leadingZeroBitCount, 31)
        let trailing = xor.trailingZeroBitCount
        let needed = 64 &- zeros &- trailing
        let width = Int(self.width)
        let windowTrailing = 64 &- Int(leading) &- width
        // A new window costs 11 bits: taken also when the old one has become much too wide.
        if width > 0, zeros >= Int(leading), trailing >= windowTrailing, width &- needed <= 11 {
            bits.put(0, 1)
            bits.put(xor &>> UInt64(windowTrailing), width)
            return
        }
        leading = UInt8(truncatingIfNeeded: zeros)
        self.width = UInt8(truncatingIfNeeded: needed)
        bits.put(UInt64(0b1 &<< 11 | zeros &<< 6 | (needed &- 1)), 12)
        bits.put(xor &>> UInt64(trailing), needed)
    }
}

/// Reads what `OpenChunk` wrote.
struct OpenChunkReader {
    private var reader: BitReader
    private var leading = 0
    private var width = 0
    private var delta: Int64 = 0
    private var reference: UInt64 = 0
    private(set) var millis: Int64 = 0
    private(set) var value: UInt64 = 0
    private var isFirst = true

    init(_ bytes: UnsafeRawBufferPointer) { reader = BitReader(bytes) }

    /// Steps to the next sample. The caller knows how many there are.
    mutating func next() throws(MalformedBytes) {
        if isFirst {
            isFirst = false
            millis = Int64(bitPattern: try reader.bits(64))
            reference = try reader.bits(64)
            value = reference
            return
        }
        if try !reader.bit() {
            millis &+= delta
            value = reference
            return
        }
        if try !reader.bit() {
            millis &+= delta
            try readValue()
            return
        }
        let change: Int64
        if try !reader.bit() {
            change = signed(try reader.bits(8), 8)
        } else if try !reader.bit() {
            change = signed(try reader.bits(14), 14)
        } else if try !reader.bit() {
            change =
                try reader.bit()
                ? Int64(bitPattern: try reader.bits(64)) : signed(try reader.bits(32), 32)
        } else {
            millis &+= delta
            value = StaleMarker.bits
            return
        }
        delta &+= change
        millis &+= delta
        if try reader.bit() { try readValue() } else { value = reference }
    }

    private mutating func readValue() throws(MalformedBytes) {
        if try reader.bit() {
            let window = Int(try reader.bits(11))
            leading = window &>> 6
            width = (window & 63) &+ 1
        }
        guard width > 0, leading &+ width <= 64 else {
            throw MalformedBytes(offset: reader.bytesRead, expected: "value window")
        }
        let xor = try reader.bits(width) &<< UInt64(64 &- leading &- width)
        reference ^= xor
        value = reference
    }
}
