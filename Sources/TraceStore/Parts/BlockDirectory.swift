// SPDX-License-Identifier: Apache-2.0
// What a part knows of its blocks without reading them.

import Base
import Storage
import Telemetry

/// Which lists an attribute column of a block belongs to. Raw values are on disk.
enum ColumnScope: UInt8, Sendable, CaseIterable { case span = 0, event, link }

/// One attribute column of one block.
struct ColumnEntry: Sendable {
    var scope: ColumnScope
    /// Index into the directory's keys.
    var key: UInt32
    var type: AttributeType
    /// Bit patterns of the smallest and greatest int or double, when known.
    var range: (low: UInt64, high: UInt64)?
    /// Distinct strings as indices into the directory's values, when few.
    var values: [UInt32]?
    /// Of span attributes: the values, and a filter of the hashes of strings when they are many.
    var frame = FrameRef()
    var filter = FrameRef()
}

/// One block: where its frames are and what cannot be in it.
struct BlockEntry: Sendable {
    /// Number of the first row, and rows.
    var firstRow = 0
    var rowCount = 0
    var minStart: Int64 = 0
    var maxStart: Int64 = 0
    /// `end − start`, wrapping.
    var minDuration: Int64 = 0
    var maxDuration: Int64 = 0
    /// Bit k is set when a row has kind or status k (7 stands for all above 6).
    var kinds: UInt8 = 0
    var statuses: UInt8 = 0
    /// Distinct names as indices into the directory's values; nil when there are many.
    var names: [UInt32]?
    var eventNames: [UInt32]?
    /// Resources and scopes in use; nil when there are many.
    var resources: [UInt32]?
    var scopes: [UInt32]?
    var columns: [ColumnEntry] = []
    /// By `BlockPiece`; a plain count of 0 = absent.
    var pieces = [FrameRef](repeating: FrameRef(), count: BlockPiece.allCases.count)

    subscript(piece: BlockPiece) -> FrameRef { pieces[piece.rawValue] }

    /// Columns of span attributes, in the order in which the layout numbers them.
    var spanColumns: [ColumnEntry] { columns.filter { $0.scope == .span } }

    static func bit(_ value: UInt8) -> UInt8 { 1 << Swift.min(value, 7) }
}

/// All blocks of a part:
///
///     u8 version | varint n, n keys | varint n, n values | varint n, n blocks
///     block: varint rows | zigzag minStart, maxStart, minDuration, maxDuration |
///            u8 kinds, statuses | names, event names, resources, scopes (lists) |
///            varint section, varint offset, 14 sizes | varint n, n columns
///     column: u8 scope, varint key, u8 type, u8 flags (1 range, 2 values), [u64 low, u64 high],
///             [varint n, n × varint value], of span attributes: size of values, size of filter
///     size: varint plainCount, unless 0: varint 2 × storedCount + coding, u32 crc32c
///     list: varint 0 = unknown, else n + 1, then n × varint
///
/// The frames of a block lie one after the other from the offset on, in the order of their sizes.
struct BlockDirectory: Sendable {
    private(set) var keys: [[UInt8]] = []
    private(set) var values: [[UInt8]] = []
    private(set) var blocks: [BlockEntry] = []
    private var keyIndex: [[UInt8]: UInt32] = [:]
    private var valueIndex: [[UInt8]: UInt32] = [:]

    init() {}

    mutating func internKey(_ key: [UInt8]) -> UInt32 {
        BlockDirectory.intern(key, &keys, &keyIndex)
    }

    mutating func internValue(_ value: [UInt8]) -> UInt32 {
        BlockDirectory.intern(value, &values, &valueIndex)
    }

    private static func intern(
        _ bytes: [UInt8], _ list: inout [[UInt8]], _ index: inout [[UInt8]: UInt32]
    ) -> UInt32 {
        if let known = index[bytes] { return known }
        let number = UInt32(list.count)
        list.append(bytes)
        index[bytes] = number
        return number
    }

    mutating func append(_ block: BlockEntry) { blocks.append(block) }

    /// Memory, roughly: arrays have a header of 32 bytes.
    var byteCount: Int {
        func bytes<T>(_ list: [T]?) -> Int {
            (list?.count).map { 32 + $0 * MemoryLayout<T>.stride } ?? 0
        }
        let strings = (keys + values).reduce(0) { $0 + 2 * (48 + $1.count) }
        return blocks.reduce(strings) { sum, block in
            let columns = block.columns.reduce(bytes(block.columns)) { $0 + bytes($1.values) }
            return sum + MemoryLayout<BlockEntry>.stride + columns + bytes(block.pieces)
                + bytes(block.names) + bytes(block.eventNames) + bytes(block.resources)
                + bytes(block.scopes)
        }
    }

    var rowCount: Int { blocks.last.map { $0.firstRow + $0.rowCount } ?? 0 }

    /// The block that holds a row, by binary search.
    func block(ofRow row: Int) -> Int? {
        guard row >= 0, row < rowCount else { return nil }
        var low = 0, high = blocks.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if blocks[middle].firstRow <= row { low = middle } else { high = middle }
        }
        return low
    }

    // MARK: - Coding

    func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.u8(TraceFormat.version)
        for list in [keys, values] {
            writer.varint(list.count)
            for bytes in list { writer.lengthPrefixed(bytes) }
        }
        writer.varint(blocks.count)
        for block in blocks {
            writer.varint(block.rowCount)
            for number in [
                block.minStart, block.maxStart, block.minDuration, block.maxDuration,
            ] { writer.zigzag(number) }
            writer.u8(block.kinds)
            writer.u8(block.statuses)
            for list in [block.names, block.eventNames, block.resources, block.scopes] {
                writer.optionalList(list)
            }
            writer.varint(UInt64(block[.spanIDs].section))
            writer.varint(block[.spanIDs].offset)
            for frame in block.pieces { frame.encodeSize(into: &writer) }
            writer.varint(block.columns.count)
            for column in block.columns { BlockDirectory.encode(column, into: &writer) }
        }
        return writer.bytes
    }

    private static func encode(_ column: ColumnEntry, into writer: inout ByteWriter) {
        writer.u8(column.scope.rawValue)
        writer.varint(UInt64(column.key))
        writer.u8(column.type.rawValue)
        writer.u8((column.range != nil ? 1 : 0) | (column.values != nil ? 2 : 0))
        if let range = column.range {
            writer.u64(range.low)
            writer.u64(range.high)
        }
        if let values = column.values {
            writer.varint(values.count)
            for value in values { writer.varint(UInt64(value)) }
        }
        if column.scope == .span {
            column.frame.encodeSize(into: &writer)
            column.filter.encodeSize(into: &writer)
        }
    }

    /// The number of a key, if any column has it.
    func keyNumber(_ key: String) -> UInt32? { keyIndex[Array(key.utf8)] }

    /// - Parameters:
    ///   - resources, scopes: how many the part has; indices must lie below.
    init(
        decoding reader: inout ByteReader, resources: Int, scopes: Int
    ) throws(MalformedBytes) {
        guard try reader.u8() == TraceFormat.version else {
            throw reader.malformed("directory version \(TraceFormat.version)")
        }
        let keyCount = try reader.length(limit: reader.remaining, "number of keys")
        for _ in 0..<keyCount { keys.append([UInt8](try reader.lengthPrefixed())) }
        let valueCount = try reader.length(limit: reader.remaining, "number of values")
        for _ in 0..<valueCount { values.append([UInt8](try reader.lengthPrefixed())) }
        let blockCount = try reader.length(limit: reader.remaining, "number of blocks")
        var row = 0
        for _ in 0..<blockCount {
            var block = BlockEntry()
            block.firstRow = row
            block.rowCount = try reader.length(limit: 1 << 24, "rows of a block")
            row += block.rowCount
            guard row <= Int(UInt32.max) else { throw reader.malformed("rows of 32 bits") }
            block.minStart = try reader.zigzag()
            block.maxStart = try reader.zigzag()
            block.minDuration = try reader.zigzag()
            block.maxDuration = try reader.zigzag()
            block.kinds = try reader.u8()
            block.statuses = try reader.u8()
            block.names = try reader.optionalList(below: valueCount)
            block.eventNames = try reader.optionalList(below: valueCount)
            block.resources = try reader.optionalList(below: resources)
            block.scopes = try reader.optionalList(below: scopes)
            let section = UInt16(try reader.length(limit: 0xff, "section number"))
            var offset = try reader.length(limit: PartFormat.maxPlainCount, "frame offset")
            for i in block.pieces.indices {
                block.pieces[i] = try FrameRef(
                    decodingSize: &reader, section: section, offset: &offset)
            }
            let columnCount = try reader.length(limit: reader.remaining, "number of columns")
            for _ in 0..<columnCount {
                var column = try BlockDirectory.column(
                    &reader, keys: keyCount, values: valueCount)
                if column.scope == .span {
                    column.frame = try FrameRef(
                        decodingSize: &reader, section: section, offset: &offset)
                    column.filter = try FrameRef(
                        decodingSize: &reader, section: section, offset: &offset)
                }
                block.columns.append(column)
            }
            blocks.append(block)
        }
        for (number, key) in keys.enumerated() where keyIndex[key] == nil {
            keyIndex[key] = UInt32(number)
        }
        guard reader.isAtEnd else { throw reader.malformed("the end of the directory") }
    }

    private static func column(
        _ reader: inout ByteReader, keys: Int, values: Int
    ) throws(MalformedBytes) -> ColumnEntry {
        guard let scope = ColumnScope(rawValue: try reader.u8()) else {
            throw reader.malformed("column scope")
        }
        let key = try reader.u32Varint()
        guard key < keys, let type = AttributeType(rawValue: try reader.u8()) else {
            throw reader.malformed("column key and type")
        }
        let flags = try reader.u8()
        var column = ColumnEntry(scope: scope, key: key, type: type)
        if flags & 1 != 0 { column.range = (try reader.u64(), try reader.u64()) }
        if flags & 2 != 0 {
            let n = try reader.length(limit: reader.remaining, "number of values")
            var list: [UInt32] = []
            for _ in 0..<n {
                let value = try reader.u32Varint()
                guard value < values else { throw reader.malformed("value below \(values)") }
                list.append(value)
            }
            column.values = list
        }
        return column
    }
}

extension ByteWriter {
    fileprivate mutating func optionalList(_ list: [UInt32]?) {
        guard let list else { return varint(0) }
        varint(list.count + 1)
        for number in list { varint(UInt64(number)) }
    }
}

extension ByteReader {
    fileprivate mutating func optionalList(
        below limit: Int
    ) throws(MalformedBytes) -> [UInt32]? {
        let n = try length(limit: remaining, "length of a list")
        guard n > 0 else { return nil }
        var list: [UInt32] = []
        for _ in 1..<n {
            let number = try u32Varint()
            guard number < limit else { throw malformed("number below \(limit)") }
            list.append(number)
        }
        return list
    }
}
