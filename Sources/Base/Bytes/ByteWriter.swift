// SPDX-License-Identifier: Apache-2.0
// Growing buffer for encoded bytes.

/// Writes what `ByteReader` reads. Integers are little-endian.
@usableFromInline package struct ByteWriter: Sendable {
    @usableFromInline package var bytes: [UInt8]

    @inlinable package init(reserving capacity: Int = 0) {
        bytes = []
        if capacity > 0 { bytes.reserveCapacity(capacity) }
    }

    @inlinable package var count: Int { bytes.count }

    @inlinable package mutating func u8(_ value: UInt8) { bytes.append(value) }

    @inlinable package mutating func fixed<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
    @inlinable package mutating func u32(_ value: UInt32) { fixed(value) }
    @inlinable package mutating func u64(_ value: UInt64) { fixed(value) }
    @inlinable package mutating func i64(_ value: Int64) { fixed(value) }
    @inlinable package mutating func double(_ value: Double) { fixed(value.bitPattern) }

    @inlinable package mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest &>>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
    @inlinable package mutating func varint(_ value: Int) { varint(UInt64(value)) }

    @inlinable package mutating func zigzag(_ value: Int64) { varint(ByteWriter.zigzag(value)) }

    /// A signed number with its sign in the lowest bit.
    @inlinable package static func zigzag(_ value: Int64) -> UInt64 {
        UInt64(bitPattern: (value &<< 1) ^ (value &>> 63))
    }

    /// Bytes of a varint.
    @inlinable package static func varintCount(_ value: UInt64) -> Int {
        max(1, (70 &- value.leadingZeroBitCount) / 7)
    }

    @inlinable package mutating func raw(_ source: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: source)
    }
    @inlinable package mutating func raw(_ source: [UInt8]) { bytes.append(contentsOf: source) }

    @inlinable package mutating func lengthPrefixed(_ source: UnsafeRawBufferPointer) {
        varint(source.count)
        bytes.append(contentsOf: source)
    }
    @inlinable package mutating func lengthPrefixed(_ source: [UInt8]) {
        varint(source.count)
        bytes.append(contentsOf: source)
    }
    @inlinable package mutating func lengthPrefixed(_ source: String) {
        varint(source.utf8.count)
        bytes.append(contentsOf: source.utf8)
    }

    /// A column as its raw little-endian memory; its length is not written.
    @inlinable package mutating func column<T: BitwiseCopyable>(_ values: [T]) {
        values.withUnsafeBytes { bytes.append(contentsOf: $0) }
    }
}
