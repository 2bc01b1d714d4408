// SPDX-License-Identifier: Apache-2.0
// Whole numbers of an attribute.

import Base

/// u8 0, zigzag each; or u8 w = 1 … 4, zigzag least, then of each the difference to the least in w
/// bytes. Numbers of one width are read many at a time, and sizes, counts and codes mostly fit.
enum IntColumn {
    static func encode(_ numbers: [UInt64], into writer: inout ByteWriter) {
        let least = numbers.lazy.map { Int64(bitPattern: $0) }.min() ?? 0
        let most = numbers.lazy.map { Int64(bitPattern: $0) }.max() ?? 0
        let span = UInt64(bitPattern: most) &- UInt64(bitPattern: least)
        guard span <= UInt64(UInt32.max) else {
            writer.u8(0)
            for number in numbers { writer.zigzag(Int64(bitPattern: number)) }
            return
        }
        let width = max(1, (64 - span.leadingZeroBitCount + 7) / 8)
        writer.u8(UInt8(width))
        writer.zigzag(least)
        for number in numbers {
            let difference = number &- UInt64(bitPattern: least)
            for byte in 0..<width {
                writer.u8(UInt8(truncatingIfNeeded: difference &>> UInt64(8 * byte)))
            }
        }
    }

    /// - Returns: bit patterns.
    static func decode(
        _ reader: inout ByteReader, count: Int
    ) throws(MalformedBytes) -> [UInt64] {
        let width = try reader.u8()
        if width == 0 { return try VarintColumn.decodeZigzag(&reader, count: count) }
        guard width <= 4 else { throw reader.malformed("width of numbers") }
        let least = UInt64(bitPattern: try reader.zigzag())
        switch width {
        case 1: return try reader.column(count, of: UInt8.self).map { least &+ UInt64($0) }
        case 2:
            return try reader.column(count, of: UInt16.self).map {
                least &+ UInt64(UInt16(littleEndian: $0))
            }
        case 4:
            return try reader.column(count, of: UInt32.self).map {
                least &+ UInt64(UInt32(littleEndian: $0))
            }
        default:
            guard count <= reader.remaining / 3 else { throw reader.malformed("\(count) numbers") }
            let bytes = try reader.bytes(count * 3)
            var numbers: [UInt64] = []
            numbers.reserveCapacity(count)
            for place in stride(from: 0, to: bytes.count, by: 3) {
                let low = UInt64(bytes[place]), middle = UInt64(bytes[place + 1])
                let high = UInt64(bytes[place + 2])
                let difference: UInt64 = low | middle &<< 8 | high &<< 16
                numbers.append(least &+ difference)
            }
            return numbers
        }
    }
}
