// SPDX-License-Identifier: Apache-2.0
// A column of strings with its distinct values once.

import Base
import Telemetry

/// varint d, d × (varint count, bytes), per row varint index; no indices when d is 1. Distinct values
/// stand in order of first appearance.
struct StringColumn {
    /// Distinct values.
    private(set) var values: [[UInt8]] = []
    private(set) var rows: [UInt32] = []
    private var byHash: [UInt64: [UInt32]] = [:]

    init() {}

    mutating func add(_ text: UnsafeRawBufferPointer) {
        if let last = rows.last, isEqual(last, text) {
            rows.append(last)
            return
        }
        let hash = hash64(text)
        if let known = byHash[hash]?.first(where: { isEqual($0, text) }) {
            rows.append(known)
            return
        }
        byHash[hash, default: []].append(UInt32(values.count))
        rows.append(UInt32(values.count))
        values.append([UInt8](text))
    }

    private func isEqual(_ value: UInt32, _ text: UnsafeRawBufferPointer) -> Bool {
        values[Int(value)].withUnsafeBytes { equalBytes($0, text) }
    }

    func encode(into writer: inout ByteWriter) {
        writer.varint(values.count)
        for value in values { writer.lengthPrefixed(value) }
        if values.count > 1 { for row in rows { writer.varint(UInt64(row)) } }
    }

    init(decoding reader: inout ByteReader, count: Int) throws(MalformedBytes) {
        let n = try reader.length(limit: reader.remaining, "number of strings")
        for _ in 0..<n { values.append([UInt8](try reader.lengthPrefixed())) }
        if n == 1 {
            rows = [UInt32](repeating: 0, count: count)
            return
        }
        rows.reserveCapacity(count)
        for index in try VarintColumn.decode(&reader, count: count) {
            guard index < UInt64(n) else { throw reader.malformed("index into \(n) strings") }
            rows.append(UInt32(truncatingIfNeeded: index))
        }
    }

    subscript(row: Int) -> [UInt8] { values[Int(rows[row])] }
}

/// A column of numbers: u8 0, varint that all rows have, or u8 1, per row varint.
enum NumberColumn {
    static func encode<T: FixedWidthInteger & UnsignedInteger>(
        _ values: [T], into writer: inout ByteWriter
    ) {
        if let first = values.first, values.allSatisfy({ $0 == first }) {
            writer.u8(0)
            writer.varint(UInt64(first))
        } else {
            writer.u8(1)
            for value in values { writer.varint(UInt64(value)) }
        }
    }

    /// - Parameter limit: all values must lie below.
    static func decode<T: FixedWidthInteger & UnsignedInteger>(
        _ reader: inout ByteReader, count: Int, below limit: Int, as type: T.Type = T.self
    ) throws(MalformedBytes) -> [T] {
        func one(_ reader: inout ByteReader) throws(MalformedBytes) -> T {
            let raw = try reader.varint()
            guard raw < UInt64(limit), let value = T(exactly: raw) else {
                throw reader.malformed("number below \(limit)")
            }
            return value
        }
        switch try reader.u8() {
        case 0: return [T](repeating: try one(&reader), count: count)
        case 1:
            var values: [T] = []
            values.reserveCapacity(count)
            for raw in try VarintColumn.decode(&reader, count: count) {
                guard raw < UInt64(limit), let value = T(exactly: raw) else {
                    throw reader.malformed("number below \(limit)")
                }
                values.append(value)
            }
            return values
        default: throw reader.malformed("mode of a number column")
        }
    }
}
