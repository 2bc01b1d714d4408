// SPDX-License-Identifier: Apache-2.0
// Writer of protobuf messages.

import Base

/// Writes what `ProtobufReader` reads, with minimal varints.
///
/// Scalars follow proto3: a zero or empty value is left out unless `always` is set (members of a
/// `oneof`, `optional` fields and elements of a repeated field are always written). Embedded
/// messages are written in place: one byte is kept for the length and the body moves only when it
/// exceeds 127 bytes.
package struct ProtobufWriter: Sendable {
    package var bytes: [UInt8]

    package init(reserving capacity: Int = 0) {
        bytes = []
        if capacity > 0 { bytes.reserveCapacity(capacity) }
    }

    package var count: Int { bytes.count }

    @inlinable package mutating func rawVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest &>>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    @inlinable package mutating func tag(_ field: UInt32, _ wireType: UInt8) {
        rawVarint(UInt64(field) &<< 3 | UInt64(wireType))
    }

    // MARK: Scalars

    package mutating func uint64(_ field: UInt32, _ value: UInt64, always: Bool = false) {
        if value == 0, !always { return }
        tag(field, 0)
        rawVarint(value)
    }

    package mutating func int64(_ field: UInt32, _ value: Int64, always: Bool = false) {
        uint64(field, UInt64(bitPattern: value), always: always)
    }

    /// `int32` and enums: negative values take ten bytes, as the format has it.
    package mutating func int32(_ field: UInt32, _ value: Int32, always: Bool = false) {
        int64(field, Int64(value), always: always)
    }

    package mutating func uint32(_ field: UInt32, _ value: UInt32, always: Bool = false) {
        uint64(field, UInt64(value), always: always)
    }

    package mutating func bool(_ field: UInt32, _ value: Bool, always: Bool = false) {
        uint64(field, value ? 1 : 0, always: always)
    }

    package mutating func sint64(_ field: UInt32, _ value: Int64, always: Bool = false) {
        uint64(field, ProtobufWriter.zigzag(value), always: always)
    }

    package mutating func sint32(_ field: UInt32, _ value: Int32, always: Bool = false) {
        sint64(field, Int64(value), always: always)
    }

    package mutating func fixed64(_ field: UInt32, _ value: UInt64, always: Bool = false) {
        if value == 0, !always { return }
        tag(field, 1)
        raw(value)
    }

    package mutating func sfixed64(_ field: UInt32, _ value: Int64, always: Bool = false) {
        fixed64(field, UInt64(bitPattern: value), always: always)
    }

    /// Left out only when all bits are zero: −0 is written.
    package mutating func double(_ field: UInt32, _ value: Double, always: Bool = false) {
        fixed64(field, value.bitPattern, always: always)
    }

    package mutating func fixed32(_ field: UInt32, _ value: UInt32, always: Bool = false) {
        if value == 0, !always { return }
        tag(field, 5)
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    // MARK: Bytes and text

    package mutating func bytes(
        _ field: UInt32, _ value: UnsafeRawBufferPointer, always: Bool = false
    ) {
        if value.isEmpty, !always { return }
        tag(field, 2)
        rawVarint(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    package mutating func bytes(_ field: UInt32, _ value: [UInt8], always: Bool = false) {
        value.withUnsafeBytes { bytes(field, $0, always: always) }
    }

    package mutating func string(_ field: UInt32, _ value: String, always: Bool = false) {
        var value = value
        value.withUTF8 { bytes(field, UnsafeRawBufferPointer($0), always: always) }
    }

    // MARK: Packed repeated scalars

    package mutating func packedUInt64(_ field: UInt32, _ values: [UInt64]) {
        if values.isEmpty { return }
        message(field) { inner in for value in values { inner.rawVarint(value) } }
    }

    package mutating func packedUInt32(_ field: UInt32, _ values: [UInt32]) {
        if values.isEmpty { return }
        message(field) { inner in for value in values { inner.rawVarint(UInt64(value)) } }
    }

    package mutating func packedSInt64(_ field: UInt32, _ values: [Int64]) {
        if values.isEmpty { return }
        message(field) { inner in
            for value in values { inner.rawVarint(ProtobufWriter.zigzag(value)) }
        }
    }

    package mutating func packedFixed64(_ field: UInt32, _ values: [UInt64]) {
        if values.isEmpty { return }
        message(field) { inner in for value in values { inner.raw(value) } }
    }

    package mutating func packedDouble(_ field: UInt32, _ values: [Double]) {
        if values.isEmpty { return }
        message(field) { inner in for value in values { inner.raw(value.bitPattern) } }
    }

    // MARK: Embedded messages

    /// Writes an embedded message, also when it turns out empty.
    package mutating func message<E: Error>(
        _ field: UInt32, _ body: (inout ProtobufWriter) throws(E) -> Void
    ) throws(E) {
        let mark = begin(field)
        try body(&self)
        end(mark)
    }

    /// Opens an embedded message; give the result to `end`.
    package mutating func begin(_ field: UInt32) -> Int {
        tag(field, 2)
        bytes.append(0)
        return bytes.count
    }

    /// Closes the message that `begin` opened and fills in its length.
    package mutating func end(_ start: Int) {
        var count = UInt64(bytes.count &- start)
        if count < 0x80 {
            bytes[start &- 1] = UInt8(count)
            return
        }
        var prefix: [UInt8] = []
        while count >= 0x80 {
            prefix.append(UInt8(truncatingIfNeeded: count) | 0x80)
            count &>>= 7
        }
        prefix.append(UInt8(truncatingIfNeeded: count))
        bytes.replaceSubrange(start &- 1..<start, with: prefix)
    }

    private mutating func raw(_ value: UInt64) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    static func zigzag(_ value: Int64) -> UInt64 {
        UInt64(bitPattern: (value &<< 1) ^ (value &>> 63))
    }
}
