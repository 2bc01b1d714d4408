// SPDX-License-Identifier: Apache-2.0
// The bit codings that all of Prometheus' chunks share.

import Base

/// Bits from the highest of each byte down.
struct ChunkBits: Sendable {
    private(set) var bytes: [UInt8] = []
    /// Free bits of the last byte.
    private var free = 0

    /// The lowest `count` bits of `value`, 64 at most.
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

    mutating func write(_ value: Double) { write(value.bitPattern, 64) }

    /// LEB128, not aligned to bytes.
    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            write(rest & 0x7f | 0x80, 8)
            rest >>= 7
        }
        write(rest, 8)
    }

    /// Widths of the classes of `varbit`; the last one takes what fits no other.
    ///
    /// Source: prometheus/prometheus `tsdb/docs/format/chunks.md`, `tsdb/chunkenc/varbit.go`.
    private static let widths = [3, 6, 9, 12, 18, 25, 56]

    /// A number in the narrowest class that holds it: as many ones as the class' rank, a zero, the
    /// number. The range of a signed class is lopsided: 2^(n−1) belongs to it, −2^(n−1) does not.
    mutating func varbit(_ value: Int64) {
        if value == 0 { return write(0, 1) }
        varbit(UInt64(bitPattern: value)) { width in
            value >= -((1 << (width - 1)) - 1) && value <= 1 << (width - 1)
        }
    }

    /// As the signed form, in the same classes.
    mutating func varbit(unsigned value: UInt64) {
        if value == 0 { return write(0, 1) }
        varbit(value) { width in value >> UInt64(width) == 0 }
    }

    private mutating func varbit(_ raw: UInt64, fits: (Int) -> Bool) {
        for (rank, width) in ChunkBits.widths.enumerated() where fits(width) {
            write((1 << UInt64(rank + 2)) - 2, rank + 2)
            return write(raw, width)
        }
        write(0xff, 8)
        write(raw, 64)
    }
}

/// One column of floats, each written as the XOR with the one before.
///
/// Source: prometheus/prometheus `tsdb/chunkenc/xor.go`.
struct XORColumn: Sendable {
    private var previous: UInt64
    /// Bits that the last written window leaves out at both ends; −1 before there is a window.
    private var leading: Int8 = -1
    private var trailing: Int8 = 0

    /// The first value is written plainly by the caller.
    init(first: Double) { previous = first.bitPattern }

    mutating func append(_ value: Double, to bits: inout ChunkBits) {
        let raw = value.bitPattern
        let xor = raw ^ previous
        previous = raw
        guard xor != 0 else { return bits.write(0, 1) }
        bits.write(1, 1)
        let zeros = min(31, xor.leadingZeroBitCount)
        let tail = xor.trailingZeroBitCount
        if leading >= 0, zeros >= Int(leading), tail >= Int(trailing) {
            bits.write(0, 1)
            bits.write(xor >> UInt64(trailing), 64 - Int(leading) - Int(trailing))
            return
        }
        leading = Int8(zeros)
        trailing = Int8(tail)
        bits.write(1, 1)
        bits.write(UInt64(zeros), 5)
        // 64 significant bits do not fit six bits and are written as 0.
        let significant = 64 - zeros - tail
        bits.write(UInt64(significant & 63), 6)
        bits.write(xor >> UInt64(tail), significant)
    }
}
