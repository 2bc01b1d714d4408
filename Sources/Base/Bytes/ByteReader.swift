// SPDX-License-Identifier: Apache-2.0
// Bounds-checked cursor over raw bytes.

/// A cursor over bytes that somebody else keeps alive.
///
/// Every read is checked against the end, and lengths are compared without overflow, so no input
/// can read outside the buffer. The reader owns nothing: use it inside `withUnsafeBytes`.
@usableFromInline package struct ByteReader {
    @usableFromInline package let base: UnsafeRawPointer
    /// Bytes in the whole input.
    @usableFromInline package let count: Int
    /// Offset of the next byte.
    @usableFromInline package var offset: Int

    @inlinable package init(_ bytes: UnsafeRawBufferPointer) {
        // A zero-length buffer may have no address; any address serves, since nothing is read.
        base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        count = bytes.count
        offset = 0
    }

    @inlinable package var isAtEnd: Bool { offset >= count }
    @inlinable package var remaining: Int { count &- offset }

    @inline(never) @usableFromInline
    package func malformed(_ expected: String) -> MalformedBytes {
        MalformedBytes(offset: offset, expected: expected)
    }

    @inlinable package mutating func u8() throws(MalformedBytes) -> UInt8 {
        guard offset < count else { throw malformed("one byte") }
        let value = base.load(fromByteOffset: offset, as: UInt8.self)
        offset &+= 1
        return value
    }

    @inlinable package mutating func fixed<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type
    ) throws(MalformedBytes) -> T {
        guard remaining >= MemoryLayout<T>.size else { throw malformed("fixed integer") }
        let value = base.loadUnaligned(fromByteOffset: offset, as: T.self)
        offset &+= MemoryLayout<T>.size
        return T(littleEndian: value)
    }

    @inlinable package mutating func u32() throws(MalformedBytes) -> UInt32 {
        try fixed(UInt32.self)
    }
    @inlinable package mutating func u64() throws(MalformedBytes) -> UInt64 {
        try fixed(UInt64.self)
    }
    @inlinable package mutating func i64() throws(MalformedBytes) -> Int64 {
        try fixed(Int64.self)
    }
    @inlinable package mutating func double() throws(MalformedBytes) -> Double {
        Double(bitPattern: try u64())
    }

    /// An unsigned LEB128 integer of at most 64 bits, as protobuf has it.
    @inlinable package mutating func varint() throws(MalformedBytes) -> UInt64 {
        // Most are one byte long: that case is inlined where it is used.
        if offset < count {
            let byte = base.load(fromByteOffset: offset, as: UInt8.self)
            if byte < 0x80 {
                offset &+= 1
                return UInt64(byte)
            }
        }
        return try longVarint()
    }

    @usableFromInline @inline(never)
    mutating func longVarint() throws(MalformedBytes) -> UInt64 {
        var result: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard offset < count else { throw malformed("varint") }
            let byte = base.load(fromByteOffset: offset, as: UInt8.self)
            offset &+= 1
            if shift == 63 && byte > 1 { throw malformed("varint of at most 64 bits") }
            result |= UInt64(byte & 0x7f) &<< shift
            if byte < 0x80 { return result }
            shift &+= 7
            if shift > 63 { throw malformed("varint of at most 10 bytes") }
        }
    }

    /// A zigzag-coded signed integer.
    @inlinable package mutating func zigzag() throws(MalformedBytes) -> Int64 {
        let raw = try varint()
        return Int64(bitPattern: raw &>> 1) ^ -Int64(bitPattern: raw & 1)
    }

    /// A varint that must fit an `Int` and not exceed `limit`.
    @inlinable package mutating func length(
        limit: Int = Int.max, _ expected: StaticString = "length"
    ) throws(MalformedBytes) -> Int {
        let raw = try varint()
        guard raw <= UInt64(limit) else { throw malformed("\(expected) of at most \(limit)") }
        return Int(raw)
    }

    /// The next `n` bytes, borrowed.
    @inlinable package mutating func bytes(
        _ n: Int
    ) throws(MalformedBytes)
        -> UnsafeRawBufferPointer
    {
        guard n >= 0, n <= remaining else { throw malformed("\(n) bytes") }
        let slice = UnsafeRawBufferPointer(start: base + offset, count: n)
        offset &+= n
        return slice
    }

    /// Bytes preceded by their count as a varint.
    @inlinable package mutating func lengthPrefixed() throws(MalformedBytes)
        -> UnsafeRawBufferPointer
    {
        let n = try length(limit: remaining, "length of bytes")
        return try bytes(n)
    }

    @inlinable package mutating func skip(_ n: Int) throws(MalformedBytes) {
        guard n >= 0, n <= remaining else { throw malformed("\(n) bytes to skip") }
        offset &+= n
    }

    /// A column of `n` little-endian integers or doubles, copied.
    @inlinable package mutating func column<T: BitwiseCopyable>(
        _ n: Int, of type: T.Type
    ) throws(MalformedBytes) -> [T] {
        let (size, overflow) = n.multipliedReportingOverflow(by: MemoryLayout<T>.stride)
        guard !overflow, n >= 0, size <= remaining else { throw malformed("column of \(n)") }
        let source = base + offset
        offset &+= size
        return [T](unsafeUninitializedCapacity: n) { buffer, initialized in
            if size > 0 {
                UnsafeMutableRawBufferPointer(buffer).baseAddress?
                    .copyMemory(from: source, byteCount: size)
            }
            initialized = n
        }
    }
}
