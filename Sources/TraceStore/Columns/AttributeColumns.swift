// SPDX-License-Identifier: Apache-2.0
// Attribute lists turned into columns: writing.

import Base
import Telemetry

/// Collects attribute lists and writes them column by column, losslessly and in order.
///
///     varint columnCount, per column: key (varint count + bytes), u8 type
///     varint shapeCount, per shape: varint n, n × varint column
///     varint listCount, per list varint: 0 = opaque, else shape + 1
///     varint opaqueCount, per opaque list: varint count + bytes
///     per column: varint byteCount, then
///       string: u8 0, per value varint count; then the bytes  (plain)
///               u8 1, varint n, n strings; per value u8 index  (dictionary, n ≤ 256)
///       int: zigzag varint · double: f64 · bool: u8 · empty: nothing
///       bytes, array, map: varint count + encoded value
///
/// A shape is the sequence of columns that a list has: lists of the same instrumentation share
/// one, so that a list costs about a byte besides its values. A list that does not parse is kept
/// as it is.
struct AttributeColumns {
    /// What the directory and the catalogue want to know of a column.
    struct Summary {
        var key: [UInt8]
        var type: AttributeType
        var valueCount: Int
        /// Distinct strings, or nil when there are too many.
        var strings: [[UInt8]]?
        /// For int and double: smallest and greatest, as their bit patterns. Nil with a NaN.
        var low: UInt64?
        var high: UInt64?
        /// Distinct numbers and flags as encoded values, or nil when there are too many.
        var numbers: [UInt64]?
    }

    fileprivate struct Column {
        var key: [UInt8]
        var type: AttributeType
        var count = 0
        /// String bytes or encoded values.
        var bytes: [UInt8] = []
        var lengths: [UInt32] = []
        /// Ints and doubles as bit patterns, flags as 0 and 1.
        var numbers: [UInt64] = []
        /// Distinct strings by hash, as indices into `distinct`; empty once given up.
        var indexByHash: [UInt64: UInt32] = [:]
        var distinct: [[UInt8]] = []
        var indices: [UInt8] = []
        var hasDictionary = true
    }
    private var columns: [Column] = []
    private var columnByKey: [UInt64: [Int]] = [:]
    private var shapes: [[UInt32]] = []
    private var shapeByColumns: [[UInt32]: UInt32] = [:]
    private var listShapes: [UInt32] = []
    private var opaque: [[UInt8]] = []
    private var shape: [UInt32] = []
    private var lastShape = -1

    var listCount: Int { listShapes.count }

    private struct Item {
        var key: UnsafeRawBufferPointer
        var type: AttributeType
        /// Encoded value without its type byte.
        var value: UnsafeRawBufferPointer
    }

    /// Adds one `AttributeCoding` list.
    mutating func add(_ list: UnsafeRawBufferPointer) {
        var items: [Item] = []
        do throws(MalformedBytes) {
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
        } catch {
            // Kept as it is: the batch came from a decoder that checks, so this is not expected,
            // but losing attributes would be worse than storing them badly.
            opaque.append([UInt8](list))
            listShapes.append(0)
            return
        }
        shape.removeAll(keepingCapacity: true)
        for (position, item) in items.enumerated() {
            shape.append(UInt32(column(item, position)))
        }
        listShapes.append(shapeNumber() + 1)
        for (item, column) in zip(items, shape) { store(item, Int(column)) }
    }

    /// The column of an item; most lists follow the shape of the one before.
    private mutating func column(_ item: Item, _ position: Int) -> Int {
        if lastShape >= 0, position < shapes[lastShape].count {
            let guess = Int(shapes[lastShape][position])
            if columns[guess].type == item.type, columns[guess].key.elementsEqual(item.key) {
                return guess
            }
        }
        let hash = hash64(item.key, seed: UInt64(item.type.rawValue))
        if let known = columnByKey[hash]?.first(where: {
            columns[$0].type == item.type && columns[$0].key.elementsEqual(item.key)
        }) {
            return known
        }
        columns.append(Column(key: [UInt8](item.key), type: item.type))
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

    private mutating func store(_ item: Item, _ index: Int) {
        var reader = ByteReader(item.value)
        columns[index].count += 1
        // The list was walked above, so these reads cannot fail; a zero would be kept if they did.
        switch item.type {
        case .empty: break
        case .string:
            if let text = try? reader.lengthPrefixed() { columns[index].keep(text) }
        case .bool: columns[index].numbers.append((try? reader.u8()) == 0 ? 0 : 1)
        case .int:
            let number = (try? reader.zigzag()) ?? 0
            columns[index].numbers.append(UInt64(bitPattern: number))
        case .double: columns[index].numbers.append((try? reader.u64()) ?? 0)
        case .bytes, .array, .map:
            columns[index].bytes.append(contentsOf: item.value)
            columns[index].lengths.append(UInt32(item.value.count))
        }
    }

    /// Writes the frame and returns what each column holds.
    func finish(into writer: inout ByteWriter) -> [Summary] {
        writer.varint(columns.count)
        for column in columns {
            writer.lengthPrefixed(column.key)
            writer.u8(column.type.rawValue)
        }
        writer.varint(shapes.count)
        for shape in shapes {
            writer.varint(shape.count)
            for column in shape { writer.varint(UInt64(column)) }
        }
        writer.varint(listShapes.count)
        for number in listShapes { writer.varint(UInt64(number)) }
        writer.varint(opaque.count)
        for list in opaque { writer.lengthPrefixed(list) }
        for column in columns {
            var values = ByteWriter()
            column.encode(into: &values)
            writer.lengthPrefixed(values.bytes)
        }
        return columns.map { $0.summary }
    }
}

extension AttributeColumns.Column {
    fileprivate mutating func keep(_ text: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: text)
        lengths.append(UInt32(text.count))
        guard hasDictionary else { return }
        let hash = hash64(text)
        if let known = indexByHash[hash], distinct[Int(known)].elementsEqual(text) {
            indices.append(UInt8(known))
        } else if indexByHash[hash] == nil, distinct.count < Limits.dictionaryValues {
            indexByHash[hash] = UInt32(distinct.count)
            indices.append(UInt8(distinct.count))
            distinct.append([UInt8](text))
        } else {
            hasDictionary = false
            indexByHash = [:]
            distinct = []
            indices = []
        }
    }

    /// A dictionary pays when values repeat.
    private var useDictionary: Bool { hasDictionary && distinct.count * 2 <= Swift.max(2, count) }

    fileprivate func encode(into writer: inout ByteWriter) {
        switch type {
        case .empty: break
        case .string:
            if useDictionary {
                writer.u8(1)
                writer.varint(distinct.count)
                for text in distinct { writer.lengthPrefixed(text) }
                writer.raw(indices)
            } else {
                writer.u8(0)
                for length in lengths { writer.varint(UInt64(length)) }
                writer.raw(bytes)
            }
        case .bool: for number in numbers { writer.u8(UInt8(truncatingIfNeeded: number)) }
        case .int: for number in numbers { writer.zigzag(Int64(bitPattern: number)) }
        case .double: for number in numbers { writer.u64(number) }
        case .bytes, .array, .map:
            var offset = 0
            bytes.withUnsafeBytes { all in
                for length in lengths {
                    let end = offset + Int(length)
                    writer.lengthPrefixed(UnsafeRawBufferPointer(rebasing: all[offset..<end]))
                    offset = end
                }
            }
        }
    }

    fileprivate var summary: AttributeColumns.Summary {
        var summary = AttributeColumns.Summary(key: key, type: type, valueCount: count)
        switch type {
        case .string: summary.strings = hasDictionary ? distinct : nil
        case .int:
            summary.low = numbers.map { Int64(bitPattern: $0) }.min().map(UInt64.init(bitPattern:))
            summary.high = numbers.map { Int64(bitPattern: $0) }.max().map(UInt64.init(bitPattern:))
        case .double:
            let values = numbers.map(Double.init(bitPattern:))
            if !values.contains(where: \.isNaN) {
                summary.low = values.min()?.bitPattern
                summary.high = values.max()?.bitPattern
            }
        case .empty, .bool, .bytes, .array, .map: break
        }
        if type == .int || type == .double || type == .bool {
            let distinct = Set(numbers)
            if distinct.count <= Limits.catalogueValues { summary.numbers = distinct.sorted() }
        }
        return summary
    }
}
