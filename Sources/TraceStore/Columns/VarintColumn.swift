// SPDX-License-Identifier: Apache-2.0
// Many varints at once.

import Base

/// A column of varints. Searches decode whole columns to test one condition, so this loop is the
/// price of a search for a number.
enum VarintColumn {
    /// Reads `count` varints of at most 64 bits.
    static func decode(
        _ reader: inout ByteReader, count: Int
    ) throws(MalformedBytes) -> [UInt64] {
        guard count >= 0, count <= reader.remaining else {
            throw reader.malformed("\(count) numbers")
        }
        var values = [UInt64](repeating: 0, count: count)
        var index = 0
        while index < count {
            let base = reader.base, end = reader.count
            var offset = reader.offset
            values.withUnsafeMutableBufferPointer { values in
                // As long as eight bytes are there, none needs a check.
                while index < count, end - offset >= 8 {
                    let word = base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                    if word & 0x8080_8080_8080_8080 == 0, count &- index >= 8 {
                        let word = UInt64(littleEndian: word)
                        for place in 0..<8 {
                            values[index &+ place] = word &>> UInt64(8 &* place) & 0xff
                        }
                        offset &+= 8
                        index &+= 8
                        continue
                    }
                    // Without a branch on the length, which differs from number to number.
                    let last = (~UInt64(littleEndian: word) & 0x8080_8080_8080_8080)
                        .trailingZeroBitCount
                    // Nine bytes or ten: the careful way.
                    if last == 64 { break }
                    let bytes = UInt64(littleEndian: word) & (.max &>> UInt64(63 &- last))
                    values[index] = VarintColumn.joined(bytes)
                    offset &+= (last &+ 1) &>> 3
                    index &+= 1
                }
            }
            reader.offset = offset
            // A long one, or near the end.
            if index < count {
                values[index] = try reader.varint()
                index += 1
            }
        }
        return values
    }

    /// The lower seven bits of eight bytes as one number.
    @inline(__always)
    private static func joined(_ bytes: UInt64) -> UInt64 {
        var bits = bytes & 0x7f7f_7f7f_7f7f_7f7f
        bits = bits & 0x007f_007f_007f_007f | (bits & 0x7f00_7f00_7f00_7f00) &>> 1
        bits = bits & 0x0000_3fff_0000_3fff | (bits & 0x3fff_0000_3fff_0000) &>> 2
        return bits & 0x0fff_ffff | (bits & 0x0fff_ffff_0000_0000) &>> 4
    }

    /// Reads `count` zigzag numbers, as their bit patterns.
    static func decodeZigzag(
        _ reader: inout ByteReader, count: Int
    ) throws(MalformedBytes) -> [UInt64] {
        var values = try decode(&reader, count: count)
        for index in values.indices {
            let raw = values[index]
            values[index] = raw &>> 1 ^ (0 &- (raw & 1))
        }
        return values
    }
}
