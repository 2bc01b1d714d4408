// SPDX-License-Identifier: Apache-2.0
// Structured metadata of a block, decoded to columns.

import Base
import Telemetry

/// Structured metadata of the rows of a block: one column per key.
struct MetadataColumns {
    enum Values {
        /// The same value in every row.
        case constant(ByteSlice)
        /// One slice per row; empty = the row does not have the key.
        case perRow([ByteSlice])
        case traceID
        case spanID
    }
    struct Column {
        /// Varint count and name, ready to be copied.
        var name: [UInt8]
        var values: Values
    }

    private let owner: SharedBytes
    let bytes: UnsafeRawBufferPointer
    private(set) var columns: [Column] = []

    /// - Parameter bytes: a column of `LogFormat`, inside memory that `owner` keeps alive.
    init(
        _ bytes: UnsafeRawBufferPointer, owner: SharedBytes, rows n: Int
    ) throws(MalformedBytes) {
        self.owner = owner
        self.bytes = bytes
        var reader = ByteReader(bytes)
        let count = try reader.length(
            limit: min(reader.remaining, LogFormat.maxKeys), "number of keys")
        columns.reserveCapacity(count)
        for _ in 0..<count {
            let name = try reader.lengthPrefixed()
            var prefix = ByteWriter()
            prefix.lengthPrefixed(name)
            columns.append(
                Column(name: prefix.bytes, values: try MetadataColumns.values(&reader, n)))
        }
        guard reader.isAtEnd else { throw reader.malformed("end of metadata") }
    }

    private static func values(
        _ reader: inout ByteReader, _ n: Int
    ) throws(MalformedBytes) -> Values {
        let coding = try reader.u8()
        var present: UnsafeRawBufferPointer?
        switch try reader.u8() {
        case 0: break
        case 1: present = try reader.bytes((n + 7) / 8)
        default: throw reader.malformed("presence")
        }
        switch coding {
        case LogFormat.Metadata.traceID: return .traceID
        case LogFormat.Metadata.spanID: return .spanID
        case LogFormat.Metadata.constant:
            let value = try slice(&reader)
            guard let present else { return .constant(value) }
            return .perRow((0..<n).map { isSet($0, in: present) ? value : .empty })
        case LogFormat.Metadata.dictionary:
            let valueCount = try reader.length(
                limit: LogFormat.Metadata.maxDictionary, "number of values")
            var dictionary: [ByteSlice] = []
            for _ in 0..<valueCount { dictionary.append(try slice(&reader)) }
            var rows = [ByteSlice](repeating: .empty, count: n)
            for row in 0..<n where present.map({ isSet(row, in: $0) }) ?? true {
                let index = Int(try reader.u8())
                guard index < valueCount else { throw reader.malformed("index of a value") }
                rows[row] = dictionary[index]
            }
            return .perRow(rows)
        case LogFormat.Metadata.strings:
            var rows = [ByteSlice](repeating: .empty, count: n)
            for row in 0..<n where present.map({ isSet(row, in: $0) }) ?? true {
                let length = try reader.length(limit: reader.remaining, "length of a value")
                rows[row].count = UInt32(length)
            }
            for row in 0..<n {
                rows[row].offset = UInt32(reader.offset)
                try reader.skip(Int(rows[row].count))
            }
            return .perRow(rows)
        default: throw reader.malformed("coding of metadata")
        }
    }

    private static func slice(_ reader: inout ByteReader) throws(MalformedBytes) -> ByteSlice {
        let length = try reader.length(limit: reader.remaining, "length of a value")
        let start = reader.offset
        try reader.skip(length)
        return ByteSlice(offset: start, count: length)
    }

    /// Canonical bytes that all rows share, or nil.
    func constantBytes() -> [UInt8]? {
        for column in columns {
            if case .constant = column.values { continue }
            return nil
        }
        var out: [UInt8] = []
        append(row: 0, ids: .none, into: &out)
        return out
    }

    /// Appends the canonical label bytes of one row.
    func append(row: Int, ids: RowIDs, into out: inout [UInt8]) {
        var writer = ByteWriter()
        swap(&writer.bytes, &out)
        for column in columns {
            switch column.values {
            case .constant(let slice): write(column, slice, &writer)
            case .perRow(let rows): write(column, rows[row], &writer)
            case .traceID:
                guard ids.traceHigh != 0 || ids.traceLow != 0 else { continue }
                writer.raw(column.name)
                writer.u8(32)
                appendHex(ids.traceHigh, &writer.bytes)
                appendHex(ids.traceLow, &writer.bytes)
            case .spanID:
                guard ids.span != 0 else { continue }
                writer.raw(column.name)
                writer.u8(16)
                appendHex(ids.span, &writer.bytes)
            }
        }
        swap(&writer.bytes, &out)
    }

    private func write(_ column: Column, _ value: ByteSlice, _ writer: inout ByteWriter) {
        if value.isEmpty { return }
        writer.raw(column.name)
        writer.lengthPrefixed(UnsafeRawBufferPointer(rebasing: bytes[value.range]))
    }
}

/// Appends 16 lower-case hexadecimal digits.
func appendHex(_ value: UInt64, _ out: inout [UInt8]) {
    for shift in stride(from: UInt64(60), through: 0, by: -4) {
        let nibble = UInt8(truncatingIfNeeded: value &>> shift) & 15
        out.append(nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10)
    }
}
