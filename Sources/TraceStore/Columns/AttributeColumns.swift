// SPDX-License-Identifier: Apache-2.0
// Attribute lists turned into columns: writing.

import Base
import Storage
import Telemetry

/// Collects attribute lists and writes them column by column, losslessly and in order. A column has
/// one key and one type. A shape is the sequence of columns that a list has: lists of the same
/// instrumentation share one.
///
///     layout = varint shapeCount, per shape: varint k, k × varint column
///              numbers, one per list: 0 = opaque, else shape + 1
///              varint opaqueCount, per opaque list varint count + bytes
///     column = string: u8 0, per value varint count; then the bytes  (plain)
///                      u8 1, varint d ≤ 256, d strings; per value u8 index, none when d is 1
///              int: `IntColumn` · double: f64 · bool: u8 · empty: nothing
///              bytes, array, map: varint count + encoded value without its type
///
/// A list that does not parse is kept as it is. In blocks, layout and columns of span attributes are
/// frames of their own and keys and types stand in the directory; those of events and links are
/// `joined`:
///
///     varint columnCount, per column: varint count + key, u8 type
///     varint count + layout | per column varint count + bytes
struct AttributeColumns {
    /// What the directory and the catalogue want to know of a column.
    struct Summary {
        var key: [UInt8]
        var type: AttributeType
        var valueCount: Int
        /// Distinct strings, or nil when there are too many.
        var strings: [[UInt8]]?
        /// Some of them when there are too many.
        var someStrings: [[UInt8]] = []
        /// For int and double: smallest and greatest, as their bit patterns. Nil with a NaN.
        var low: UInt64?
        var high: UInt64?
        /// Distinct numbers and flags as encoded values, or nil when there are too many.
        var numbers: [UInt64]?
    }

    private var columns: [AttributeColumn] = []
    private var columnByKey: [UInt64: [Int]] = [:]
    private var shapes: [[UInt32]] = []
    private var shapeByColumns: [[UInt32]: UInt32] = [:]
    private var listShapes: [UInt32] = []
    private var opaque: [[UInt8]] = []
    private var shape: [UInt32] = []
    private var lastShape = -1
    private var items: [Item] = []

    var listCount: Int { listShapes.count }

    private struct Item {
        var key: UnsafeRawBufferPointer
        var type: AttributeType
        /// Encoded value without its type byte.
        var value: UnsafeRawBufferPointer
    }

    /// Adds one `AttributeCoding` list.
    mutating func add(_ list: UnsafeRawBufferPointer) {
        items.removeAll(keepingCapacity: true)
        do throws(MalformedBytes) {
            try parse(list)
        } catch {
            // Kept as it is: the batch came from a decoder that checks, so this is not expected,
            // but losing attributes would be worse than storing them badly.
            opaque.append([UInt8](list))
            listShapes.append(0)
            return
        }
        shape.removeAll(keepingCapacity: true)
        for position in items.indices { shape.append(UInt32(column(position))) }
        listShapes.append(shapeNumber() + 1)
        for position in items.indices {
            columns[Int(shape[position])].append(items[position].value)
        }
    }

    private mutating func parse(_ list: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(list)
        while !reader.isAtEnd {
            let key = try reader.lengthPrefixed()
            let start = reader.offset
            guard let type = AttributeType(rawValue: try reader.u8()) else {
                throw reader.malformed("attribute type")
            }
            reader.offset = start
            try AttributeCoding.skipValue(&reader)
            items.append(
                Item(
                    key: key, type: type,
                    value: UnsafeRawBufferPointer(rebasing: list[(start + 1)..<reader.offset])))
        }
    }

    /// The column of an item; most lists follow the shape of the one before.
    private mutating func column(_ position: Int) -> Int {
        let key = items[position].key, type = items[position].type
        if lastShape >= 0, position < shapes[lastShape].count {
            let guess = Int(shapes[lastShape][position])
            if columns[guess].isNamed(key, type) { return guess }
        }
        let hash = hash64(key, seed: UInt64(type.rawValue))
        if let known = columnByKey[hash]?.first(where: { columns[$0].isNamed(key, type) }) {
            return known
        }
        columns.append(AttributeColumn(key: [UInt8](key), type: type))
        columnByKey[hash, default: []].append(columns.count - 1)
        return columns.count - 1
    }

    private mutating func shapeNumber() -> UInt32 {
        if lastShape >= 0, shapes[lastShape] == shape { return UInt32(lastShape) }
        if let known = shapeByColumns[shape] {
            lastShape = Int(known)
            return known
        }
        let number = UInt32(shapes.count)
        shapes.append(shape)
        shapeByColumns[shape] = number
        lastShape = Int(number)
        return number
    }

    func encodeLayout(into writer: inout ByteWriter) {
        writer.varint(shapes.count)
        for shape in shapes {
            writer.varint(shape.count)
            for column in shape { writer.varint(UInt64(column)) }
        }
        NumberColumn.encode(listShapes, into: &writer)
        writer.varint(opaque.count)
        for list in opaque { writer.lengthPrefixed(list) }
    }

    /// Each column with what is to be known of it.
    func finish() -> [EncodedColumn] {
        columns.map { column in
            var values = ByteWriter()
            column.encode(into: &values)
            let summary = column.summary
            return EncodedColumn(
                summary: summary, bytes: values.bytes, filter: column.filter(summary))
        }
    }

    /// Writes everything in one piece.
    func encodeJoined(into writer: inout ByteWriter) -> [Summary] {
        writer.varint(columns.count)
        for column in columns {
            writer.lengthPrefixed(column.key)
            writer.u8(column.type.rawValue)
        }
        var layout = ByteWriter()
        encodeLayout(into: &layout)
        writer.lengthPrefixed(layout.bytes)
        for column in columns {
            var values = ByteWriter()
            column.encode(into: &values)
            writer.lengthPrefixed(values.bytes)
        }
        return columns.map { $0.summary }
    }
}

/// A column ready for its frames.
struct EncodedColumn {
    var summary: AttributeColumns.Summary
    var bytes: [UInt8]
    /// `XorFilter` of its strings or whole numbers; empty when there are few distinct ones.
    var filter: [UInt8]
}
