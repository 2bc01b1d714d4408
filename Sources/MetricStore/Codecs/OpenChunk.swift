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

    @inline(__always)
    mutating func prefetchEnd() { bits.prefetchEnd() }

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
                putValue(value, after: 0b10, 2)
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
            putValue(value, after: 1, 1)
        }
    }

    /// Writes a prefix of `n` bits and the changed value after it.
    @inline(__always)
    private mutating func putValue(_ value: UInt64, after prefix: UInt64, _ n: Int) {
        let xor = value ^ reference
        reference = value
        let zeros = min(xor.leadingZeroBitCount, 31)
        let trailing = xor.trailingZeroBitCount
        let needed = 64 &- zeros &- trailing
        let width = Int(self.width)
        let windowTrailing = 64 &- Int(leading) &- width
        // A new window costs 11 bits: taken also when the old one has become much too wide.
        if width > 0, zeros >= Int(leading), trailing >= windowTrailing, width &- needed <= 11 {
            bits.put(prefix &<< 1, n &+ 1)
            bits.put(xor &>> UInt64(windowTrailing), width)
            return
        }
        leading = UInt8(truncatingIfNeeded: zeros)
        self.width = UInt8(truncatingIfNeeded: needed)
        let window = UInt64(truncatingIfNeeded: 1 &<< 11 | zeros &<< 6 | (needed &- 1))
        bits.put(prefix &<< 12 | window, n &+ 12)
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

    /// Steps to the next sample. The caller knows how many there are. Inlined, so that the state
    /// of the loop around it stays in registers.
    @inline(__always)
    mutating func next() throws(MalformedBytes) {
        if isFirst {
            isFirst = false
            millis = Int64(bitPattern: try reader.bits(64))
            reference = try reader.bits(64)
            value = reference
            return
        }
        let window = reader.window()
        // The prefix is a row of up to five ones.
        switch min((~window).leadingZeroBitCount, 5) {
        case 0:
            try reader.take(1)
            value = reference
        case 1:
            try readValue(window &<< 2, after: 2)
        case 2:
            try reader.take(12)
            delta &+= signed(window &>> 53, 8)
            try readChange(window &<< 11)
        case 3:
            try reader.take(19)
            delta &+= signed(window &>> 46, 14)
            try readChange(window &<< 18)
        case 4:
            try reader.take(6)
            let isWide = window &>> 58 & 1 != 0
            delta &+=
                isWide
                ? Int64(bitPattern: try reader.bits(64)) : signed(try reader.bits(32), 32)
            let flag = reader.window()
            try reader.take(1)
            try readChange(flag)
        default:
            try reader.take(5)
            value = StaleMarker.bits
        }
        millis &+= delta
    }

    /// Whether the value changed, and to what; the flag is the first bit of `window` and taken.
    @inline(__always)
    private mutating func readChange(_ window: UInt64) throws(MalformedBytes) {
        if window &>> 63 != 0 {
            try readValue(reader.window(), after: 0)
        } else {
            value = reference
        }
    }

    /// Reads a changed value that begins `taken` bits ahead, which `next` are the bits of.
    @inline(__always)
    private mutating func readValue(
        _ next: UInt64, after taken: Int
    ) throws(MalformedBytes) {
        if next &>> 63 != 0 {
            leading = Int(truncatingIfNeeded: next &>> 58 & 31)
            width = Int(truncatingIfNeeded: next &>> 52 & 63) &+ 1
            try reader.take(taken &+ 12)
        } else {
            try reader.take(taken &+ 1)
        }
        guard width > 0, leading &+ width <= 64 else {
            throw MalformedBytes(offset: reader.bytesRead, expected: "value window")
        }
        reference ^= try reader.bits(width) &<< UInt64(64 &- leading &- width)
        value = reference
    }
}
