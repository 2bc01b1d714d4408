// SPDX-License-Identifier: Apache-2.0
// Values that spans are grouped by, without an object per span.

import Base
import Telemetry

/// Numbers distinct byte strings from 0 on. Open addressing over one arena.
struct GroupTable {
    private var arena: [UInt8] = []
    private var ends: [Int] = []
    private var hashes: [UInt64] = []
    /// Number + 1 of the group in a slot; 0 = free. A power of two.
    private var slots = [Int32](repeating: 0, count: 64)

    var count: Int { ends.count }

    /// The number of a key, given to it now when it is new.
    mutating func number(of key: [UInt8]) -> Int {
        let hash = hash64(key)
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != 0 {
            let number = Int(slots[slot]) - 1
            if hashes[number] == hash, isEqual(number, key) { return number }
            slot = (slot + 1) & (slots.count - 1)
        }
        let number = ends.count
        arena += key
        ends.append(arena.count)
        hashes.append(hash)
        slots[slot] = Int32(number + 1)
        if ends.count * 2 > slots.count { grow() }
        return number
    }

    func key(_ number: Int) -> ArraySlice<UInt8> {
        arena[(number == 0 ? 0 : ends[number - 1])..<ends[number]]
    }

    private func isEqual(_ number: Int, _ key: [UInt8]) -> Bool {
        let start = number == 0 ? 0 : ends[number - 1]
        let end = ends[number]
        guard end - start == key.count else { return false }
        return arena.withUnsafeBytes { all in
            key.withUnsafeBytes {
                equalBytes(UnsafeRawBufferPointer(rebasing: all[start..<end]), $0)
            }
        }
    }

    private mutating func grow() {
        slots = [Int32](repeating: 0, count: slots.count * 2)
        for (number, hash) in hashes.enumerated() {
            var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(number + 1)
        }
    }
}

/// A value as part of a group's key: u8 type, then its bytes. Numbers of different types are
/// different groups, as in the answer they are typed.
extension SpanValue {
    private enum Tag: UInt8 {
        case null, bool, int, float, duration, text, status, kind, list
    }

    /// What exists and does not compare is no group of its own.
    func encode(into key: inout ByteWriter) {
        switch self {
        case .null, .other: key.u8(Tag.null.rawValue)
        case .bool(let flag):
            key.u8(Tag.bool.rawValue)
            key.u8(flag ? 1 : 0)
        case .int(let number):
            key.u8(Tag.int.rawValue)
            key.i64(number)
        case .float(let number):
            key.u8(Tag.float.rawValue)
            key.double(number.isNaN ? .nan : number)
        case .duration(let nanos):
            key.u8(Tag.duration.rawValue)
            key.i64(nanos)
        case .text(let bytes):
            key.u8(Tag.text.rawValue)
            key.lengthPrefixed(bytes)
        case .string(let text):
            key.u8(Tag.text.rawValue)
            key.lengthPrefixed(text)
        case .status(let code):
            key.u8(Tag.status.rawValue)
            key.u8(UInt8(clamping: code))
        case .kind(let kind):
            key.u8(Tag.kind.rawValue)
            key.u8(UInt8(clamping: kind))
        case .list(let items):
            key.u8(Tag.list.rawValue)
            key.varint(items.count)
            for item in items { item.encode(into: &key) }
        }
    }

    /// Reads what `encode` wrote; nil for null.
    static func decode(_ reader: inout ByteReader) throws(MalformedBytes) -> AttributeValue? {
        guard let tag = Tag(rawValue: try reader.u8()) else {
            throw reader.malformed("type of a group's value")
        }
        switch tag {
        case .null: return nil
        case .bool: return .bool(try reader.u8() != 0)
        case .int: return .int(try reader.i64())
        case .float: return .double(try reader.double())
        case .duration: return .string(goDurationText(nanos: try reader.i64()))
        case .text: return .string(String(decoding: try reader.lengthPrefixed(), as: UTF8.self))
        case .status: return .string(Static.status(Int64(try reader.u8())).text)
        case .kind: return .string(Static.kind(Int64(try reader.u8())).text)
        case .list:
            let count = try reader.length(limit: reader.remaining, "number of elements")
            var items: [AttributeValue] = []
            for _ in 0..<count { items.append(try decode(&reader) ?? .empty) }
            return .array(items)
        }
    }
}
