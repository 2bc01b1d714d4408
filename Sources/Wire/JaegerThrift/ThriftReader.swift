// SPDX-License-Identifier: Apache-2.0
// Thrift, read in place.

import Base

/// What a thrift value is, in either protocol.
enum ThriftType {
    case bool, i8, i16, i32, i64, double, string, structure, map, set, list, uuid
}

/// A field of a structure whose value follows.
struct ThriftField {
    var id: Int16
    var type: ThriftType
    /// The compact protocol has a boolean's value in the field's header.
    var flag: Bool?

    func holds(_ id: Int16, _ type: ThriftType) -> Bool { self.id == id && self.type == type }
}

/// A cursor over thrift's binary or compact protocol. Every length is checked against what is left.
///
/// Source: apache/thrift `doc/specs/thrift-binary-protocol.md`, `thrift-compact-protocol.md`.
struct ThriftReader {
    enum Encoding { case binary, compact }

    /// Deepest nesting that is stepped over.
    static let maxDepth = 16

    private var reader: ByteReader
    let encoding: Encoding

    init(_ bytes: UnsafeRawBufferPointer, _ encoding: Encoding) {
        reader = ByteReader(bytes)
        self.encoding = encoding
    }

    var isAtEnd: Bool { reader.isAtEnd }
    var offset: Int { reader.offset }

    func malformed(_ expected: String) -> MalformedBytes { reader.malformed(expected) }

    /// The next field of the structure at hand; nil at its end.
    ///
    /// - Parameter last: number of the structure's last field, 0 before the first.
    mutating func field(after last: inout Int16) throws(MalformedBytes) -> ThriftField? {
        let byte = try reader.u8()
        if byte == 0 { return nil }
        switch encoding {
        case .binary:
            guard let type = Self.binaryType(byte) else { throw malformed("a thrift type") }
            last = try big(Int16.self)
            return ThriftField(id: last, type: type)
        case .compact:
            guard let type = Self.compactType(byte & 15) else { throw malformed("a thrift type") }
            if byte >> 4 == 0 {
                last = Int16(truncatingIfNeeded: try reader.zigzag())
            } else {
                last &+= Int16(byte >> 4)
            }
            return ThriftField(id: last, type: type, flag: type == .bool ? byte & 15 == 1 : nil)
        }
    }

    /// Type and number of a list's or set's elements, each of which takes a byte at least.
    mutating func list() throws(MalformedBytes) -> (type: ThriftType, count: Int) {
        let byte = try reader.u8()
        switch encoding {
        case .binary:
            guard let type = Self.binaryType(byte) else { throw malformed("a thrift type") }
            return (type, try count())
        case .compact:
            guard let type = Self.compactType(byte & 15) else { throw malformed("a thrift type") }
            if byte >> 4 < 15 {
                guard Int(byte >> 4) <= reader.remaining else { throw malformed("elements") }
                return (type, Int(byte >> 4))
            }
            return (type, try reader.length(limit: reader.remaining, "number of elements"))
        }
    }

    mutating func bool(_ field: ThriftField) throws(MalformedBytes) -> Bool {
        if let flag = field.flag { return flag }
        return try reader.u8() == 1
    }

    mutating func i32() throws(MalformedBytes) -> Int32 {
        encoding == .binary
            ? try big(Int32.self) : Int32(truncatingIfNeeded: try reader.zigzag())
    }

    mutating func i64() throws(MalformedBytes) -> Int64 {
        encoding == .binary ? try big(Int64.self) : try reader.zigzag()
    }

    mutating func double() throws(MalformedBytes) -> Double {
        let bits = try reader.u64()
        return Double(bitPattern: encoding == .binary ? bits.byteSwapped : bits)
    }

    /// Bytes or text, borrowed.
    mutating func bytes() throws(MalformedBytes) -> UnsafeRawBufferPointer {
        let n =
            encoding == .binary
            ? try count() : try reader.length(limit: reader.remaining, "length")
        return try reader.bytes(n)
    }

    /// The head of a message up to its arguments: the method's name.
    mutating func message() throws(MalformedBytes) -> UnsafeRawBufferPointer {
        switch encoding {
        case .compact:
            guard try reader.u8() == 0x82, try reader.u8() & 0x1f == 1 else {
                throw malformed("a message of thrift's compact protocol, version 1")
            }
            _ = try reader.varint()
            return try bytes()
        case .binary:
            // The strict form has a version and its highest bit set; the old one begins with the
            // name.
            let start = reader.offset
            if try big(Int32.self) < 0 {
                let name = try bytes()
                _ = try i32()
                return name
            }
            reader.offset = start
            let name = try bytes()
            _ = try reader.u8()
            _ = try i32()
            return name
        }
    }

    /// Steps over a field's value.
    mutating func skip(_ field: ThriftField) throws(MalformedBytes) {
        if field.flag != nil { return }
        try skip(field.type, depth: 0)
    }

    /// Steps over an element or value.
    mutating func skip(_ type: ThriftType, depth: Int = 0) throws(MalformedBytes) {
        guard depth < Self.maxDepth else { throw malformed("nesting below \(Self.maxDepth)") }
        switch type {
        case .bool, .i8: try reader.skip(1)
        case .i16, .i32, .i64:
            if encoding == .compact {
                _ = try reader.varint()
            } else {
                try reader.skip(type == .i16 ? 2 : type == .i32 ? 4 : 8)
            }
        case .double: try reader.skip(8)
        case .uuid: try reader.skip(16)
        case .string: _ = try bytes()
        case .structure:
            var last: Int16 = 0
            while let field = try field(after: &last) {
                if field.flag == nil { try skip(field.type, depth: depth + 1) }
            }
        case .list, .set:
            let (type, n) = try list()
            for _ in 0..<n { try skip(type, depth: depth + 1) }
        case .map:
            let (key, value, n) = try map()
            for _ in 0..<n {
                try skip(key, depth: depth + 1)
                try skip(value, depth: depth + 1)
            }
        }
    }

    private mutating func map() throws(MalformedBytes) -> (ThriftType, ThriftType, Int) {
        switch encoding {
        case .binary:
            let key = Self.binaryType(try reader.u8()), value = Self.binaryType(try reader.u8())
            let n = try count()
            guard let key, let value else {
                // An empty map may have no types.
                if n == 0 { return (.bool, .bool, 0) }
                throw malformed("a thrift type")
            }
            return (key, value, n)
        case .compact:
            let n = try reader.length(limit: reader.remaining, "number of pairs")
            if n == 0 { return (.bool, .bool, 0) }
            let types = try reader.u8()
            guard let key = Self.compactType(types >> 4), let value = Self.compactType(types & 15)
            else { throw malformed("a thrift type") }
            return (key, value, n)
        }
    }

    /// A count of the binary protocol: of bytes, or of elements of at least one byte.
    private mutating func count() throws(MalformedBytes) -> Int {
        let n = Int(try big(Int32.self))
        guard n >= 0, n <= reader.remaining else {
            throw malformed("a length of at most \(reader.remaining)")
        }
        return n
    }

    private mutating func big<T: FixedWidthInteger & BitwiseCopyable>(
        _: T.Type
    ) throws(MalformedBytes) -> T {
        try reader.fixed(T.self).byteSwapped
    }

    private static func binaryType(_ code: UInt8) -> ThriftType? {
        switch code {
        case 2: .bool
        case 3: .i8
        case 4: .double
        case 6: .i16
        case 8: .i32
        case 10: .i64
        case 11: .string
        case 12: .structure
        case 13: .map
        case 14: .set
        case 15: .list
        case 16: .uuid
        default: nil
        }
    }

    private static func compactType(_ code: UInt8) -> ThriftType? {
        switch code {
        case 1, 2: .bool
        case 3: .i8
        case 4: .i16
        case 5: .i32
        case 6: .i64
        case 7: .double
        case 8: .string
        case 9: .list
        case 10: .set
        case 11: .map
        case 12: .structure
        case 13: .uuid
        default: nil
        }
    }
}
