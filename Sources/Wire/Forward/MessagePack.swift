// SPDX-License-Identifier: Apache-2.0
// MessagePack, read in place.

import Base

/// What a MessagePack value is, without its elements.
enum MessagePackValue {
    case null
    case bool(Bool)
    case int(Int64)
    /// Above `Int64.max`.
    case uint(UInt64)
    case float(Double)
    /// String or binary: senders use both for text.
    case bytes(UnsafeRawBufferPointer)
    case array(Int)
    /// Number of pairs.
    case map(Int)
    case ext(type: Int8, UnsafeRawBufferPointer)
}

/// A cursor over MessagePack. Source: github.com/msgpack/msgpack `spec.md`.
struct MessagePackReader {
    private var reader: ByteReader

    init(_ bytes: UnsafeRawBufferPointer, offset: Int = 0) {
        reader = ByteReader(bytes)
        reader.offset = offset
    }

    var offset: Int { reader.offset }
    var isAtEnd: Bool { reader.isAtEnd }

    func malformed(_ expected: String) -> MalformedBytes { reader.malformed(expected) }

    /// The next value; of an array or map its count, after which its elements follow.
    mutating func next() throws(MalformedBytes) -> MessagePackValue {
        let type = try reader.u8()
        switch type {
        case 0x00...0x7f: return .int(Int64(type))
        case 0xe0...0xff: return .int(Int64(Int8(bitPattern: type)))
        case 0x80...0x8f: return .map(Int(type & 15))
        case 0x90...0x9f: return .array(Int(type & 15))
        case 0xa0...0xbf: return .bytes(try reader.bytes(Int(type & 31)))
        case 0xc0: return .null
        case 0xc2, 0xc3: return .bool(type == 0xc3)
        case 0xc4, 0xd9: return .bytes(try reader.bytes(Int(try reader.u8())))
        case 0xc5, 0xda: return .bytes(try reader.bytes(Int(try big(UInt16.self))))
        case 0xc6, 0xdb: return .bytes(try reader.bytes(Int(try big(UInt32.self))))
        case 0xc7: return try ext(Int(try reader.u8()))
        case 0xc8: return try ext(Int(try big(UInt16.self)))
        case 0xc9: return try ext(Int(try big(UInt32.self)))
        case 0xca: return .float(Double(Float(bitPattern: try big(UInt32.self))))
        case 0xcb: return .float(Double(bitPattern: try big(UInt64.self)))
        case 0xcc: return .int(Int64(try reader.u8()))
        case 0xcd: return .int(Int64(try big(UInt16.self)))
        case 0xce: return .int(Int64(try big(UInt32.self)))
        case 0xcf:
            let value = try big(UInt64.self)
            return Int64(exactly: value).map { .int($0) } ?? .uint(value)
        case 0xd0: return .int(Int64(Int8(bitPattern: try reader.u8())))
        case 0xd1: return .int(Int64(try big(Int16.self)))
        case 0xd2: return .int(Int64(try big(Int32.self)))
        case 0xd3: return .int(try big(Int64.self))
        case 0xd4...0xd8: return try ext(1 << Int(type - 0xd4))
        case 0xdc: return .array(Int(try big(UInt16.self)))
        case 0xdd: return .array(Int(try big(UInt32.self)))
        case 0xde: return .map(Int(try big(UInt16.self)))
        case 0xdf: return .map(Int(try big(UInt32.self)))
        default: throw malformed("a MessagePack value")
        }
    }

    private mutating func big<T: FixedWidthInteger & BitwiseCopyable>(
        _: T.Type
    ) throws(MalformedBytes) -> T {
        try reader.fixed(T.self).byteSwapped
    }

    private mutating func ext(_ count: Int) throws(MalformedBytes) -> MessagePackValue {
        let type = Int8(bitPattern: try reader.u8())
        return .ext(type: type, try reader.bytes(count))
    }

    /// Steps over one value with its elements. No recursion: depth costs nothing.
    mutating func skip() throws(MalformedBytes) {
        var left = 1
        while left > 0 {
            left -= 1
            let more: Int
            switch try next() {
            case .array(let n): more = n
            case .map(let n): more = 2 * n
            default: continue
            }
            // Each element takes a byte at least.
            guard more <= reader.remaining else { throw malformed("as many elements as announced") }
            left += more
        }
    }
}

/// Where one value ends that may not be here whole.
enum MessagePackEnd: Equatable {
    case at(Int)
    case incomplete
    case malformed
}

extension MessagePackReader {
    /// Where the value at `start` ends, as far as `bytes` tell. O(headers in the value).
    static func end(in bytes: UnsafeRawBufferPointer, from start: Int) -> MessagePackEnd {
        var offset = start, left: UInt64 = 1
        func number(_ width: Int) -> UInt64? {
            guard offset + width <= bytes.count else { return nil }
            return bytes[offset..<(offset + width)].reduce(0) { $0 << 8 | UInt64($1) }
        }
        while left > 0 {
            guard offset < bytes.count else { return .incomplete }
            let type = bytes[offset]
            offset += 1
            left -= 1
            // Bytes of the length field, bytes after it, whether it counts elements.
            var width = 0, extra: UInt64 = 0, elements: UInt64 = 0
            switch type {
            case 0x00...0x7f, 0xe0...0xff, 0xc0, 0xc2, 0xc3: break
            case 0x80...0x8f: elements = 2 * UInt64(type & 15)
            case 0x90...0x9f: elements = UInt64(type & 15)
            case 0xa0...0xbf: extra = UInt64(type & 31)
            case 0xcc, 0xd0: extra = 1
            case 0xcd, 0xd1: extra = 2
            case 0xca, 0xce, 0xd2: extra = 4
            case 0xcb, 0xcf, 0xd3: extra = 8
            case 0xd4...0xd8: extra = 1 + 1 << UInt64(type - 0xd4)
            case 0xc4, 0xd9, 0xc7: width = 1
            case 0xc5, 0xda, 0xc8, 0xdc, 0xde: width = 2
            case 0xc6, 0xdb, 0xc9, 0xdd, 0xdf: width = 4
            default: return .malformed
            }
            if width > 0 {
                guard let count = number(width) else { return .incomplete }
                offset += width
                switch type {
                case 0xdc, 0xdd: elements = count
                case 0xde, 0xdf: elements = 2 * count
                case 0xc7...0xc9: extra = count + 1
                default: extra = count
                }
            }
            // Fewer than 2^33 each, and every header takes a byte, so nothing overflows.
            left += elements
            guard extra <= UInt64(bytes.count - offset) else { return .incomplete }
            offset += Int(extra)
        }
        return .at(offset)
    }
}
