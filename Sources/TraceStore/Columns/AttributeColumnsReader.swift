// SPDX-License-Identifier: Apache-2.0
// Attribute lists turned into columns: reading.

import Base
import Telemetry

/// Reads what `AttributeColumns` wrote. Every count and index is checked while opening, so that
/// the accessors cannot leave the frame.
struct AttributeColumnsReader {
    struct Column {
        var key: Range<Int>
        var type: AttributeType
        /// Per value its bytes in the frame (strings, bytes, arrays, maps).
        var slices: [Range<Int>] = []
        /// Ints and doubles as bit patterns, flags as 0 and 1.
        var numbers: [UInt64] = []
        /// Dictionary of a string column, and per value the index into it. Empty when plain.
        var dictionary: [Range<Int>] = []
        var indices: [UInt8] = []
        var count = 0
    }

    private let frame: [UInt8]
    private(set) var columns: [Column] = []
    private var shapes: [[Int]] = []
    /// Per list 0 = opaque, else shape + 1.
    private var listShapes: [Int] = []
    private var opaque: [Range<Int>] = []

    var listCount: Int { listShapes.count }

    /// - Parameter expected: how many lists there must be.
    init(_ bytes: [UInt8], expected: Int) throws(MalformedBytes) {
        frame = bytes
        let result = frame.withUnsafeBytes { raw -> Result<Parsed, MalformedBytes> in
            do throws(MalformedBytes) {
                return .success(try Parsed(raw, expected: expected))
            } catch { return .failure(error) }
        }
        let parsed = try result.get()
        columns = parsed.columns
        shapes = parsed.shapes
        listShapes = parsed.listShapes
        opaque = parsed.opaque
    }

    func withBytes<R>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        frame.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// Calls `body` for each list in order with a writer's worth of re-encoded bytes, but only
    /// for those that `wanted` selects.
    func forEachList(
        _ wanted: (Int) -> Bool, _ body: (Int, UnsafeRawBufferPointer) -> Void
    ) {
        var cursors = [Int](repeating: 0, count: columns.count)
        var nextOpaque = 0
        var out = ByteWriter()
        frame.withUnsafeBytes { all in
            func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: all[range])
            }
            for (index, number) in listShapes.enumerated() {
                let take = wanted(index)
                if number == 0 {
                    if take { body(index, slice(opaque[nextOpaque])) }
                    nextOpaque += 1
                    continue
                }
                let shape = shapes[number - 1]
                if !take {
                    for column in shape { cursors[column] += 1 }
                    continue
                }
                out.bytes.removeAll(keepingCapacity: true)
                for column in shape {
                    let value = cursors[column]
                    cursors[column] += 1
                    out.lengthPrefixed(slice(columns[column].key))
                    out.u8(columns[column].type.rawValue)
                    switch columns[column].type {
                    case .empty: break
                    case .string:
                        let text =
                            columns[column].dictionary.isEmpty
                            ? columns[column].slices[value]
                            : columns[column].dictionary[Int(columns[column].indices[value])]
                        out.lengthPrefixed(slice(text))
                    case .bool: out.u8(UInt8(truncatingIfNeeded: columns[column].numbers[value]))
                    case .int: out.zigzag(Int64(bitPattern: columns[column].numbers[value]))
                    case .double: out.u64(columns[column].numbers[value])
                    case .bytes, .array, .map: out.raw(slice(columns[column].slices[value]))
                    }
                }
                out.bytes.withUnsafeBytes { body(index, $0) }
            }
        }
    }

    /// Per list whether one of the columns for which `values` is given has a value for which it
    /// says true. Opaque lists always count.
    func lists(matching values: [Int: [Bool]]) -> [Bool] {
        var cursors = [Int](repeating: 0, count: columns.count)
        return listShapes.map { number in
            guard number > 0 else { return true }
            var hit = false
            for column in shapes[number - 1] {
                if let flags = values[column], flags[cursors[column]] { hit = true }
                cursors[column] += 1
            }
            return hit
        }
    }
}

/// The checked contents of a frame.
private struct Parsed {
    var columns: [AttributeColumnsReader.Column] = []
    var shapes: [[Int]] = []
    var listShapes: [Int] = []
    var opaque: [Range<Int>] = []

    init(_ raw: UnsafeRawBufferPointer, expected: Int) throws(MalformedBytes) {
        var reader = ByteReader(raw)
        let columnCount = try reader.length(limit: reader.remaining, "number of columns")
        for _ in 0..<columnCount {
            let key = try reader.range()
            guard let type = AttributeType(rawValue: try reader.u8()) else {
                throw reader.malformed("attribute type")
            }
            columns.append(AttributeColumnsReader.Column(key: key, type: type))
        }
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
        let listCount = try reader.length(limit: reader.remaining, "number of lists")
        guard listCount == expected else {
            throw reader.malformed("\(expected) attribute lists, not \(listCount)")
        }
        var opaqueLists = 0
        for _ in 0..<listCount {
            let number = try reader.length(limit: shapeCount, "shape number")
            listShapes.append(number)
            if number == 0 { opaqueLists += 1 } else { try countShape(number - 1, reader) }
        }
        let opaqueCount = try reader.length(limit: reader.remaining, "number of opaque lists")
        guard opaqueCount == opaqueLists else { throw reader.malformed("\(opaqueLists) lists") }
        for _ in 0..<opaqueCount { opaque.append(try reader.range()) }
        for index in columns.indices {
            let range = try reader.range()
            var values = ByteReader(UnsafeRawBufferPointer(rebasing: raw[range]))
            try columns[index].read(&values, base: range.lowerBound)
            guard values.isAtEnd else { throw values.malformed("the end of a column") }
        }
        guard reader.isAtEnd else { throw reader.malformed("the end of attribute columns") }
    }

    /// One frame may not claim more values than it could hold: values of the empty type take no
    /// bytes, so the sum is bounded here.
    private mutating func countShape(
        _ shape: Int, _ reader: ByteReader
    ) throws(MalformedBytes) {
        for column in shapes[shape] {
            columns[column].count += 1
            guard columns[column].count <= 1 << 26 else { throw reader.malformed("fewer values") }
        }
    }
}

extension AttributeColumnsReader.Column {
    fileprivate mutating func read(
        _ reader: inout ByteReader, base: Int
    ) throws(MalformedBytes) {
        switch type {
        case .empty: return
        case .string:
            switch try reader.u8() {
            case 0:
                guard count <= reader.remaining else { throw reader.malformed("string lengths") }
                var lengths: [Int] = []
                lengths.reserveCapacity(count)
                for _ in 0..<count { lengths.append(try reader.length(limit: reader.remaining)) }
                for length in lengths {
                    let start = base + reader.offset
                    try reader.skip(length)
                    slices.append(start..<(start + length))
                }
            case 1:
                let n = try reader.length(limit: Limits.dictionaryValues, "dictionary size")
                for _ in 0..<n {
                    let range = try reader.range()
                    dictionary.append((base + range.lowerBound)..<(base + range.upperBound))
                }
                indices = try reader.column(count, of: UInt8.self)
                guard indices.allSatisfy({ Int($0) < n }) else {
                    throw reader.malformed("index into a dictionary of \(n)")
                }
            default: throw reader.malformed("mode of a string column")
            }
        case .bool:
            numbers = try reader.column(count, of: UInt8.self).map { UInt64($0) }
        case .int:
            guard count <= reader.remaining else { throw reader.malformed("integers") }
            numbers.reserveCapacity(count)
            for _ in 0..<count { numbers.append(UInt64(bitPattern: try reader.zigzag())) }
        case .double: numbers = try reader.column(count, of: UInt64.self)
        case .bytes, .array, .map:
            guard count <= reader.remaining else { throw reader.malformed("values") }
            for _ in 0..<count {
                let range = try reader.range()
                slices.append((base + range.lowerBound)..<(base + range.upperBound))
            }
        }
    }
}

extension ByteReader {
    /// Where length-prefixed bytes lie in the input; steps over them.
    mutating func range() throws(MalformedBytes) -> Range<Int> {
        let n = try length(limit: remaining, "length of bytes")
        let start = offset
        try skip(n)
        return start..<(start + n)
    }
}
