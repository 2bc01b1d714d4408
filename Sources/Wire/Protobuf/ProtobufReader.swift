// SPDX-License-Identifier: Apache-2.0
// Pull reader of protobuf messages over raw bytes.

import Base

/// Reads one protobuf message field by field from bytes that somebody else keeps alive.
///
///     var reader = ProtobufReader(body)
///     while try reader.next() {
///         switch reader.field {
///         case 1: var series = try reader.message()
///         case 2: let name = try reader.bytes()
///         default: try reader.skip()
///         }
///     }
///
/// Every branch must consume the field (a typed read or `skip`). All lengths are checked against
/// the enclosing message. A known field of an unexpected wire type is an error, as generated
/// decoders of Go have it; groups (wire types 3 and 4) are refused. Nesting depth is the caller's:
/// a schema without recursion needs no counter. Errors carry the offset in the outermost message.
///
/// Source: protobuf.dev, "Encoding". Nothing is allocated unless an error is thrown.
@usableFromInline package struct ProtobufReader {
    @usableFromInline package let base: UnsafeRawPointer
    /// Offset after the last byte of this message.
    @usableFromInline package let end: Int
    /// Offset of the next byte, counted from the start of the outermost message.
    @usableFromInline package var offset: Int
    /// Number of the field that `next` has found, 1…2²⁹−1.
    @usableFromInline package var field: UInt32 = 0
    /// Wire type of that field: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes.
    @usableFromInline package var wireType: UInt8 = 0

    @inlinable package init(_ bytes: UnsafeRawBufferPointer) {
        // A zero-length buffer may have no address; any address serves, since nothing is read.
        base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        end = bytes.count
        offset = 0
    }

    @inlinable init(base: UnsafeRawPointer, offset: Int, end: Int) {
        self.base = base
        self.offset = offset
        self.end = end
    }

    @inlinable package var isAtEnd: Bool { offset >= end }
    @inlinable package var remaining: Int { end &- offset }

    /// The bytes of this message from the next byte to its end.
    @inlinable package var rest: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + offset, count: end &- offset)
    }

    @inline(never) @usableFromInline
    package func malformed(_ expected: String) -> MalformedBytes {
        MalformedBytes(offset: offset, expected: expected)
    }

    @inline(never) @usableFromInline
    package func wrongWireType(_ wanted: UInt8) -> MalformedBytes {
        malformed("wire type \(wanted) for field \(field), got \(wireType)")
    }

    /// Reads the next tag into `field` and `wireType`; false at the end of the message.
    @inlinable package mutating func next() throws(MalformedBytes) -> Bool {
        guard offset < end else { return false }
        let first = base.load(fromByteOffset: offset, as: UInt8.self)
        var tag = UInt64(first)
        if first < 0x80 {
            offset &+= 1
        } else {
            tag = try rawVarint()
        }
        guard tag >= 8, tag <= UInt64(UInt32.max) else { throw malformed("field number") }
        field = UInt32(truncatingIfNeeded: tag &>> 3)
        wireType = UInt8(truncatingIfNeeded: tag & 7)
        return true
    }

    /// A varint at the cursor, whatever `field` is: for packed content and length prefixes.
    @inlinable package mutating func rawVarint() throws(MalformedBytes) -> UInt64 {
        guard offset < end else { throw malformed("varint") }
        let first = base.load(fromByteOffset: offset, as: UInt8.self)
        offset &+= 1
        if first < 0x80 { return UInt64(first) }
        var result = UInt64(first & 0x7f)
        var shift: UInt64 = 7
        while true {
            guard offset < end else { throw malformed("varint") }
            let byte = base.load(fromByteOffset: offset, as: UInt8.self)
            offset &+= 1
            if shift == 63, byte > 1 { throw malformed("varint of at most 64 bits") }
            result |= UInt64(byte & 0x7f) &<< shift
            if byte < 0x80 { return result }
            shift &+= 7
        }
    }

    @inlinable package mutating func rawFixed64() throws(MalformedBytes) -> UInt64 {
        guard end &- offset >= 8 else { throw malformed("8 bytes") }
        let value = base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        offset &+= 8
        return UInt64(littleEndian: value)
    }

    @inlinable package mutating func rawFixed32() throws(MalformedBytes) -> UInt32 {
        guard end &- offset >= 4 else { throw malformed("4 bytes") }
        let value = base.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
        offset &+= 4
        return UInt32(littleEndian: value)
    }

    // MARK: Typed fields

    @inlinable package mutating func uint64() throws(MalformedBytes) -> UInt64 {
        guard wireType == 0 else { throw wrongWireType(0) }
        return try rawVarint()
    }

    @inlinable package mutating func int64() throws(MalformedBytes) -> Int64 {
        Int64(bitPattern: try uint64())
    }

    /// Low 32 bits of a varint, as generated decoders cut them.
    @inlinable package mutating func int32() throws(MalformedBytes) -> Int32 {
        Int32(truncatingIfNeeded: try uint64())
    }

    /// Low 32 bits of a varint, as generated decoders cut them. Enums are read with it too.
    @inlinable package mutating func uint32() throws(MalformedBytes) -> UInt32 {
        UInt32(truncatingIfNeeded: try uint64())
    }

    @inlinable package mutating func bool() throws(MalformedBytes) -> Bool {
        try uint64() != 0
    }

    /// `sint64`: zigzag.
    @inlinable package mutating func sint64() throws(MalformedBytes) -> Int64 {
        ProtobufReader.unzigzag(try uint64())
    }

    /// `sint32`: zigzag of the low 32 bits.
    @inlinable package mutating func sint32() throws(MalformedBytes) -> Int32 {
        let raw = UInt32(truncatingIfNeeded: try uint64())
        return Int32(bitPattern: raw &>> 1) ^ (0 &- Int32(bitPattern: raw & 1))
    }

    @inlinable package mutating func fixed64() throws(MalformedBytes) -> UInt64 {
        guard wireType == 1 else { throw wrongWireType(1) }
        return try rawFixed64()
    }

    @inlinable package mutating func sfixed64() throws(MalformedBytes) -> Int64 {
        Int64(bitPattern: try fixed64())
    }

    /// All 64 bits survive: a stale marker stays one.
    @inlinable package mutating func double() throws(MalformedBytes) -> Double {
        Double(bitPattern: try fixed64())
    }

    @inlinable package mutating func fixed32() throws(MalformedBytes) -> UInt32 {
        guard wireType == 5 else { throw wrongWireType(5) }
        return try rawFixed32()
    }

    /// Bytes or string of a length-delimited field, borrowed. UTF-8 is not checked here.
    @inlinable package mutating func bytes() throws(MalformedBytes) -> UnsafeRawBufferPointer {
        let count = try delimited()
        let slice = UnsafeRawBufferPointer(start: base + offset, count: count)
        offset &+= count
        return slice
    }

    /// Reader of an embedded message.
    @inlinable package mutating func message() throws(MalformedBytes) -> ProtobufReader {
        let count = try delimited()
        let inner = ProtobufReader(base: base, offset: offset, end: offset &+ count)
        offset &+= count
        return inner
    }

    /// Length of a length-delimited field, checked against the end of this message.
    @inlinable mutating func delimited() throws(MalformedBytes) -> Int {
        guard wireType == 2 else { throw wrongWireType(2) }
        let count = try rawVarint()
        guard count <= UInt64(end &- offset) else {
            throw malformed("\(count) bytes in field \(field)")
        }
        return Int(truncatingIfNeeded: count)
    }

    // MARK: Repeated scalars, packed or not

    /// Appends the values of a repeated `uint64`, packed or single.
    ///
    /// - Throws: also when `values` would exceed `limit` elements.
    package mutating func repeatedUInt64(
        into values: inout [UInt64], limit: Int
    ) throws(MalformedBytes) {
        if wireType == 0 {
            try room(values.count, limit)
            values.append(try rawVarint())
            return
        }
        var packed = try message()
        while !packed.isAtEnd {
            try room(values.count, limit)
            values.append(try packed.rawVarint())
        }
    }

    /// Appends the values of a repeated `sint64`, packed or single.
    package mutating func repeatedSInt64(
        into values: inout [Int64], limit: Int
    ) throws(MalformedBytes) {
        if wireType == 0 {
            try room(values.count, limit)
            values.append(ProtobufReader.unzigzag(try rawVarint()))
            return
        }
        var packed = try message()
        while !packed.isAtEnd {
            try room(values.count, limit)
            values.append(ProtobufReader.unzigzag(try packed.rawVarint()))
        }
    }

    /// Appends the values of a repeated `uint32`, packed or single.
    package mutating func repeatedUInt32(
        into values: inout [UInt32], limit: Int
    ) throws(MalformedBytes) {
        if wireType == 0 {
            try room(values.count, limit)
            values.append(UInt32(truncatingIfNeeded: try rawVarint()))
            return
        }
        var packed = try message()
        while !packed.isAtEnd {
            try room(values.count, limit)
            values.append(UInt32(truncatingIfNeeded: try packed.rawVarint()))
        }
    }

    /// Appends the values of a repeated `fixed64`, packed or single.
    package mutating func repeatedFixed64(
        into values: inout [UInt64], limit: Int
    ) throws(MalformedBytes) {
        if wireType == 1 {
            try room(values.count, limit)
            values.append(try rawFixed64())
            return
        }
        var packed = try message()
        try room(values.count &+ (packed.remaining / 8) &- 1, limit)
        while !packed.isAtEnd { values.append(try packed.rawFixed64()) }
    }

    /// Appends the values of a repeated `double`, packed or single.
    package mutating func repeatedDouble(
        into values: inout [Double], limit: Int
    ) throws(MalformedBytes) {
        if wireType == 1 {
            try room(values.count, limit)
            values.append(Double(bitPattern: try rawFixed64()))
            return
        }
        var packed = try message()
        try room(values.count &+ (packed.remaining / 8) &- 1, limit)
        while !packed.isAtEnd { values.append(Double(bitPattern: try packed.rawFixed64())) }
    }

    @inlinable func room(_ count: Int, _ limit: Int) throws(MalformedBytes) {
        guard count < limit else { throw malformed("at most \(limit) values in field \(field)") }
    }

    @inlinable static func unzigzag(_ raw: UInt64) -> Int64 {
        Int64(bitPattern: raw &>> 1) ^ (0 &- Int64(bitPattern: raw & 1))
    }

    // MARK: Unknown fields

    /// Steps over the field that `next` has found.
    @inlinable package mutating func skip() throws(MalformedBytes) {
        switch wireType {
        case 0: _ = try rawVarint()
        case 1: _ = try rawFixed64()
        case 2: offset &+= try delimited()
        case 5: _ = try rawFixed32()
        default: throw malformed("no group (wire type \(wireType)) in field \(field)")
        }
    }
}
