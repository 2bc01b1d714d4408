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
        let base = reader.base, end = reader.count
        var offset = reader.offset
        values.withUnsafeMutableBufferPointer { values in
            // Ten bytes hold any varint: as long as they are there, no byte needs a check.
            while index < count, end - offset >= 10 {
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
                var byte = base.load(fromByteOffset: offset, as: UInt8.self)
                if byte < 0x80 {
                    values[index] = UInt64(byte)
                    offset &+= 1
                    index &+= 1
                    continue
                }
                var value = UInt64(byte & 0x7f)
                var shift: UInt64 = 7
                var place = offset &+ 1
                repeat {
                    byte = base.load(fromByteOffset: place, as: UInt8.self)
                    value |= UInt64(byte & 0x7f) &<< shift
                    shift &+= 7
                    place &+= 1
                } while byte >= 0x80 && shift < 63
                // Nine full bytes: the careful way decides about the tenth.
                if byte >= 0x80 { break }
                values[index] = value
                offset = place
                index &+= 1
            }
        }
        reader.offset = offset
        while index < count {
            values[index] = try reader.varint()
            index += 1
        }
        return values
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
