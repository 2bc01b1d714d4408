// SPDX-License-Identifier: Apache-2.0
// Values of one attribute key and type: reading.

import Base
import Telemetry

/// A column read; every count and index is checked while opening, so that the accessors cannot leave
/// it.
///
/// A class for the sake of being handed around.
final class AttributeValues: Sendable {
    let key: [UInt8]
    let type: AttributeType
    let count: Int
    private let bytes: [UInt8]
    /// Key and type as they stand in lists.
    private let head: [UInt8]
    /// Where values lie in `bytes`: per value, or of the dictionary; ends are the next one's starts.
    private let offsets: [Int32]
    /// Per value its index in the dictionary; empty when plain.
    private let indices: [UInt8]
    private let hasDictionary: Bool
    /// Ints and doubles as bit patterns, flags as 0 and 1.
    let numbers: [UInt64]

    /// - Parameter count: values that there must be.
    init(
        _ bytes: [UInt8], key: [UInt8], type: AttributeType, count: Int
    ) throws(MalformedBytes) {
        self.bytes = bytes
        self.key = key
        self.type = type
        self.count = count
        var head = ByteWriter()
        head.lengthPrefixed(key)
        head.u8(type.rawValue)
        self.head = head.bytes
        let result = bytes.withUnsafeBytes { raw -> Result<Contents, MalformedBytes> in
            do throws(MalformedBytes) {
                var reader = ByteReader(raw)
                let contents = try Contents(&reader, type, count)
                guard reader.isAtEnd else { throw reader.malformed("the end of a column") }
                return .success(contents)
            } catch { return .failure(error) }
        }
        let contents = try result.get()
        offsets = contents.offsets
        indices = contents.indices
        hasDictionary = contents.hasDictionary
        numbers = contents.numbers
    }

    private func slice(_ index: Int, _ all: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: all[Int(offsets[2 * index])..<Int(offsets[2 * index + 1])])
    }

    private func place(_ value: Int) -> Int {
        hasDictionary ? (indices.isEmpty ? 0 : Int(indices[value])) : value
    }

    /// Writes key, type and value as they stand in a list.
    func write(_ value: Int, into out: inout ByteWriter) {
        out.raw(head)
        switch type {
        case .empty: break
        case .bool: out.u8(UInt8(truncatingIfNeeded: numbers[value]))
        case .int: out.zigzag(Int64(bitPattern: numbers[value]))
        case .double: out.u64(numbers[value])
        case .string:
            bytes.withUnsafeBytes { out.lengthPrefixed(slice(place(value), $0)) }
        case .bytes, .array, .map:
            bytes.withUnsafeBytes { out.raw(slice(value, $0)) }
        }
    }

    /// Per value whether a condition may hold.
    func flags(_ test: SpanTest) -> [Bool] {
        switch type {
        case .string:
            return bytes.withUnsafeBytes { all in
                guard hasDictionary else {
                    return (0..<count).map { test.matches(string: slice($0, all)) }
                }
                let values = (0..<(offsets.count / 2)).map {
                    test.matches(string: slice($0, all))
                }
                if indices.isEmpty { return [Bool](repeating: values[0], count: count) }
                return indices.map { values[Int($0)] }
            }
        case .int:
            if let wanted = test.onlyInt {
                let bits = UInt64(bitPattern: wanted)
                return numbers.map { $0 == bits }
            }
            return numbers.map { test.matches(int: Int64(bitPattern: $0)) }
        case .double: return numbers.map { test.matches(double: Double(bitPattern: $0)) }
        case .bool: return numbers.map { test.matches(bool: $0 != 0) }
        case .empty, .bytes, .array, .map: return [Bool](repeating: true, count: count)
        }
    }
}

/// The checked contents of a column.
private struct Contents {
    /// Start and end of each value or dictionary entry.
    var offsets: [Int32] = []
    var indices: [UInt8] = []
    var hasDictionary = false
    var numbers: [UInt64] = []

    init(_ reader: inout ByteReader, _ type: AttributeType, _ count: Int) throws(MalformedBytes) {
        switch type {
        case .empty: return
        case .string: try strings(&reader, count)
        case .bool: numbers = try reader.column(count, of: UInt8.self).map { UInt64($0) }
        case .int:
            numbers = try IntColumn.decode(&reader, count: count)
        case .double: numbers = try reader.column(count, of: UInt64.self)
        case .bytes, .array, .map:
            guard count <= reader.remaining else { throw reader.malformed("values") }
            for _ in 0..<count { try take(&reader, try reader.length(limit: reader.remaining)) }
        }
    }

    private mutating func take(_ reader: inout ByteReader, _ n: Int) throws(MalformedBytes) {
        let start = reader.offset
        try reader.skip(n)
        guard reader.offset <= Int(Int32.max) else { throw reader.malformed("a smaller column") }
        offsets.append(Int32(start))
        offsets.append(Int32(reader.offset))
    }

    private mutating func strings(
        _ reader: inout ByteReader, _ count: Int
    ) throws(MalformedBytes) {
        switch try reader.u8() {
        case 0:
            guard count <= reader.remaining else { throw reader.malformed("string lengths") }
            let lengths = try VarintColumn.decode(&reader, count: count)
            offsets.reserveCapacity(2 * count)
            for length in lengths {
                guard length <= UInt64(reader.remaining) else {
                    throw reader.malformed("\(length) bytes of a string")
                }
                try take(&reader, Int(length))
            }
        case 1:
            hasDictionary = true
            let n = try reader.length(limit: Limits.dictionaryValues, "dictionary size")
            guard n > 0 || count == 0 else { throw reader.malformed("a dictionary with values") }
            for _ in 0..<n { try take(&reader, try reader.length(limit: reader.remaining)) }
            guard n > 1 else { return }
            indices = try reader.column(count, of: UInt8.self)
            guard indices.allSatisfy({ Int($0) < n }) else {
                throw reader.malformed("index into a dictionary of \(n)")
            }
        default: throw reader.malformed("mode of a string column")
        }
    }
}
