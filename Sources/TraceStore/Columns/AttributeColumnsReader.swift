// SPDX-License-Identifier: Apache-2.0
// Attribute lists turned into columns: reading.

import Base
import Telemetry

/// Which columns each list of a block has; see `AttributeColumns`.
struct AttributeLayout {
    private(set) var shapes: [[Int]] = []
    /// Per list 0 = opaque, else shape + 1.
    private(set) var lists: [UInt32] = []
    private(set) var opaque: [[UInt8]] = []
    /// Values of each column.
    private(set) var valueCounts: [Int]

    /// - Parameters:
    ///   - expected: how many lists there must be.
    ///   - columnCount: columns that shapes may name.
    init(
        decoding reader: inout ByteReader, expected: Int, columns columnCount: Int
    ) throws(MalformedBytes) {
        let shapeCount = try reader.length(limit: reader.remaining, "number of shapes")
        for _ in 0..<shapeCount {
            let n = try reader.length(limit: reader.remaining, "columns of a shape")
            var shape: [Int] = []
            for _ in 0..<n {
                let column = try reader.length(limit: Int.max, "column number")
                guard column < columnCount else { throw reader.malformed("column number") }
                shape.append(column)
            }
            shapes.append(shape)
        }
        lists = try NumberColumn.decode(&reader, count: expected, below: shapeCount + 1)
        var uses = [Int](repeating: 0, count: shapeCount + 1)
        for number in lists { uses[Int(number)] += 1 }
        valueCounts = [Int](repeating: 0, count: columnCount)
        for (number, shape) in shapes.enumerated() {
            for column in shape {
                valueCounts[column] += uses[number + 1]
                // Values of the empty type take no bytes, so their number is bounded here.
                guard valueCounts[column] <= 1 << 26 else {
                    throw reader.malformed("fewer values")
                }
            }
        }
        let opaqueCount = try reader.length(limit: reader.remaining, "number of opaque lists")
        guard opaqueCount == uses[0] else { throw reader.malformed("\(uses[0]) opaque lists") }
        for _ in 0..<opaqueCount { opaque.append([UInt8](try reader.lengthPrefixed())) }
        commonShape = findCommonShape()
    }

    /// The shape of all lists, when they have the same and no column stands in it twice: then the
    /// values of its columns are those of the lists, one after the other.
    private(set) var commonShape: [Int]?

    private func findCommonShape() -> [Int]? {
        guard let first = lists.first, first > 0, lists.allSatisfy({ $0 == first }) else {
            return nil
        }
        let shape = shapes[Int(first) - 1]
        return Set(shape).count == shape.count ? shape : nil
    }

    /// Per list whether one of some columns has a value for which it says true. Opaque lists always
    /// count.
    ///
    /// - Parameter flags: by column, per value; empty for columns that do not matter.
    func lists(matching flags: [[Bool]]) -> [Bool] {
        let relevant = flags.indices.filter { !flags[$0].isEmpty }
        if relevant.count == 1, commonShape?.contains(relevant[0]) == true {
            return flags[relevant[0]]
        }
        var cursors = [Int](repeating: 0, count: flags.count)
        let wanted = shapes.map { shape in shape.filter { !flags[$0].isEmpty } }
        return lists.map { number in
            guard number > 0 else { return true }
            var hit = false
            for column in wanted[Int(number) - 1] {
                if flags[column][cursors[column]] { hit = true }
                cursors[column] += 1
            }
            return hit
        }
    }
}

/// A layout with its columns, as far as they are read.
struct AttributeColumnsReader {
    let layout: AttributeLayout
    private(set) var columns: [AttributeValues]

    init(layout: AttributeLayout, columns: [AttributeValues]) {
        self.layout = layout
        self.columns = columns
    }

    /// Reads what `AttributeColumns.encodeJoined` wrote.
    init(joined bytes: [UInt8], expected: Int) throws(MalformedBytes) {
        let result = bytes.withUnsafeBytes {
            raw -> Result<(AttributeLayout, [AttributeValues]), MalformedBytes> in
            do throws(MalformedBytes) {
                var reader = ByteReader(raw)
                let n = try reader.length(limit: reader.remaining, "number of columns")
                var keys: [([UInt8], AttributeType)] = []
                for _ in 0..<n {
                    let key = [UInt8](try reader.lengthPrefixed())
                    guard let type = AttributeType(rawValue: try reader.u8()) else {
                        throw reader.malformed("attribute type")
                    }
                    keys.append((key, type))
                }
                var inner = ByteReader(try reader.lengthPrefixed())
                let layout = try AttributeLayout(decoding: &inner, expected: expected, columns: n)
                guard inner.isAtEnd else { throw inner.malformed("the end of a layout") }
                var columns: [AttributeValues] = []
                for (number, (key, type)) in keys.enumerated() {
                    columns.append(
                        try AttributeValues(
                            [UInt8](try reader.lengthPrefixed()), key: key, type: type,
                            count: layout.valueCounts[number]))
                }
                guard reader.isAtEnd else { throw reader.malformed("the end of columns") }
                return .success((layout, columns))
            } catch { return .failure(error) }
        }
        (layout, columns) = try result.get()
    }

    /// Calls `body` for each list that `wanted` selects, in order, with its encoding.
    func forEachList(
        _ wanted: (Int) -> Bool, _ body: (Int, UnsafeRawBufferPointer) -> Void
    ) {
        var out = ByteWriter()
        if let shape = layout.commonShape {
            // Values lie at the places of their lists.
            for index in layout.lists.indices where wanted(index) {
                out.bytes.removeAll(keepingCapacity: true)
                for column in shape { columns[column].write(index, into: &out) }
                out.bytes.withUnsafeBytes { body(index, $0) }
            }
            return
        }
        var cursors = [Int](repeating: 0, count: columns.count)
        var nextOpaque = 0
        for (index, number) in layout.lists.enumerated() {
            let take = wanted(index)
            if number == 0 {
                if take { layout.opaque[nextOpaque].withUnsafeBytes { body(index, $0) } }
                nextOpaque += 1
                continue
            }
            let shape = layout.shapes[Int(number) - 1]
            if !take {
                for column in shape { cursors[column] += 1 }
                continue
            }
            out.bytes.removeAll(keepingCapacity: true)
            for column in shape {
                columns[column].write(cursors[column], into: &out)
                cursors[column] += 1
            }
            out.bytes.withUnsafeBytes { body(index, $0) }
        }
    }
}
