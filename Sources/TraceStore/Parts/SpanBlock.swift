// SPDX-License-Identifier: Apache-2.0
// Reading one block of spans.

import Base
import Storage
import Telemetry

/// A block being read. Each piece is read and decoded when first asked for, and then kept.
struct SpanBlock {
    let part: TracePart
    let entry: BlockEntry
    /// Bytes of the frames that were read, unpacked.
    private(set) var bytesRead = 0

    private var knownTraces: [UInt32]?
    private var knownStarts: [Int64]?
    private var knownDurations: [Int64]?
    private var knownNames: StringColumn?
    private var knownSources: BlockSources?
    private var knownTexts: (messages: StringColumn, states: StringColumn)?
    private var knownLayout: AttributeLayout?
    private var knownColumns: [AttributeValues?]
    private let columnEntries: [ColumnEntry]

    init(_ part: TracePart, _ entry: BlockEntry) {
        self.part = part
        self.entry = entry
        columnEntries = entry.spanColumns
        knownColumns = [AttributeValues?](repeating: nil, count: columnEntries.count)
    }

    var rowCount: Int { entry.rowCount }

    private mutating func read<R>(
        _ ref: FrameRef, _ what: String, _ body: (inout ByteReader) throws(MalformedBytes) -> R
    ) throws(PartCorruption) -> R {
        let bytes = try part.frame(ref)
        bytesRead += bytes.count
        return try part.decoding(what, ref) { () throws(MalformedBytes) in
            try decoded(bytes, body)
        }
    }

    /// Numbers of the rows' traces, checked.
    mutating func traces() throws(PartCorruption) -> [UInt32] {
        if let knownTraces { return knownTraces }
        let n = rowCount, limit = Int64(part.index.traceCount)
        let traces = try read(entry[.traces], "trace numbers") {
            reader throws(MalformedBytes) in
            var numbers: [UInt32] = []
            numbers.reserveCapacity(n)
            var number: Int64 = 0
            for step in try VarintColumn.decodeZigzag(&reader, count: n) {
                number = number &+ Int64(bitPattern: step)
                guard number >= 0, number < limit else {
                    throw reader.malformed("trace number below \(limit)")
                }
                numbers.append(UInt32(number))
            }
            return numbers
        }
        knownTraces = traces
        return traces
    }

    mutating func starts() throws(PartCorruption) -> [Int64] {
        if let knownStarts { return knownStarts }
        let n = rowCount
        let starts = try read(entry[.starts], "starts") { reader throws(MalformedBytes) in
            var start: Int64 = 0
            return try VarintColumn.decodeZigzag(&reader, count: n).map { step in
                start = start &+ Int64(bitPattern: step)
                return start
            }
        }
        knownStarts = starts
        return starts
    }

    /// `end − start`, wrapping.
    mutating func durations() throws(PartCorruption) -> [Int64] {
        if let knownDurations { return knownDurations }
        let n = rowCount
        let durations = try read(entry[.durations], "durations") {
            reader throws(MalformedBytes) in
            try VarintColumn.decodeZigzag(&reader, count: n).map { Int64(bitPattern: $0) }
        }
        knownDurations = durations
        return durations
    }

    mutating func names() throws(PartCorruption) -> StringColumn {
        if let knownNames { return knownNames }
        let n = rowCount
        let names = try read(entry[.names], "names") { reader throws(MalformedBytes) in
            try StringColumn(decoding: &reader, count: n)
        }
        knownNames = names
        return names
    }

    mutating func sources() throws(PartCorruption) -> BlockSources {
        if let knownSources { return knownSources }
        let n = rowCount
        let resources = part.sources.resources.count, scopes = part.sources.scopes.count
        let sources = try read(entry[.sources], "kinds and sources") {
            reader throws(MalformedBytes) in
            BlockSources(
                kinds: try NumberColumn.decode(&reader, count: n, below: 256),
                statuses: try NumberColumn.decode(&reader, count: n, below: 256),
                resources: try NumberColumn.decode(&reader, count: n, below: resources),
                scopes: try NumberColumn.decode(&reader, count: n, below: scopes))
        }
        knownSources = sources
        return sources
    }

    mutating func texts() throws(PartCorruption) -> (messages: StringColumn, states: StringColumn) {
        if let knownTexts { return knownTexts }
        let n = rowCount
        let texts = try read(entry[.texts], "messages and states") {
            reader throws(MalformedBytes) in
            (
                messages: try StringColumn(decoding: &reader, count: n),
                states: try StringColumn(decoding: &reader, count: n)
            )
        }
        knownTexts = texts
        return texts
    }

    mutating func spanIDs() throws(PartCorruption) -> [SpanID] {
        let n = rowCount
        return try read(entry[.spanIDs], "span ids") { reader throws(MalformedBytes) in
            try reader.column(n, of: UInt64.self).map { SpanID($0) }
        }
    }

    mutating func parents() throws(PartCorruption) -> [ParentColumn.Parent] {
        let n = rowCount, rows = part.directory.rowCount
        return try read(entry[.parents], "parents") { reader throws(MalformedBytes) in
            try ParentColumn(decoding: &reader, count: n, rows: rows).parents
        }
    }

    mutating func flags() throws(PartCorruption) -> [[UInt32]] {
        let n = rowCount
        return try read(entry[.flags], "flags") { reader throws(MalformedBytes) in
            var columns: [[UInt32]] = []
            for _ in 0..<4 {
                columns.append(
                    try NumberColumn.decode(&reader, count: n, below: Int(UInt32.max) + 1))
            }
            return columns
        }
    }

    /// The structure as of this part.
    mutating func tree() throws(PartCorruption) -> TreeColumns {
        var tree = try times()
        let n = rowCount
        tree = try read(entry[.tree], "structure") { reader throws(MalformedBytes) in
            var tree = tree
            try tree.decodeTree(&reader, count: n)
            return tree
        }
        return tree
    }

    /// Only self times and critical paths.
    mutating func times() throws(PartCorruption) -> TreeColumns {
        let starts = try starts()
        let durations = zip(starts, try durations()).map { distance($0, $0 &+ $1) }
        return try read(entry[.times], "times") { reader throws(MalformedBytes) in
            var tree = TreeColumns()
            try tree.decodeTimes(&reader, durations: durations)
            return tree
        }
    }

    mutating func layout() throws(PartCorruption) -> AttributeLayout {
        if let knownLayout { return knownLayout }
        let n = rowCount, columns = columnEntries.count
        let layout = try read(entry[.layout], "attribute lists") {
            reader throws(MalformedBytes) in
            try AttributeLayout(decoding: &reader, expected: n, columns: columns)
        }
        knownLayout = layout
        return layout
    }

    /// Values of a span attribute's column.
    mutating func column(_ number: Int) throws(PartCorruption) -> AttributeValues {
        if let known = knownColumns[number] { return known }
        let count = try layout().valueCounts[number]
        let column = columnEntries[number]
        let key = part.directory.keys[Int(column.key)]
        let bytes = try part.frame(column.frame)
        bytesRead += bytes.count
        let values = try part.decoding("attribute values", column.frame) {
            () throws(MalformedBytes) in
            try AttributeValues(bytes, key: key, type: column.type, count: count)
        }
        knownColumns[number] = values
        return values
    }

    /// Numbers of the columns of a key.
    func columns(ofKey key: UInt32) -> [Int] {
        columnEntries.indices.filter { columnEntries[$0].key == key }
    }

    func columnEntry(_ number: Int) -> ColumnEntry { columnEntries[number] }

    mutating func attributes() throws(PartCorruption) -> AttributeColumnsReader {
        let layout = try layout()
        var columns: [AttributeValues] = []
        for number in columnEntries.indices { columns.append(try column(number)) }
        return AttributeColumnsReader(layout: layout, columns: columns)
    }

    mutating func events(_ wanted: [Bool]) throws(PartCorruption) -> [[UInt8]] {
        let bytes = try part.frame(entry[.events])
        if bytes.isEmpty { return [] }
        bytesRead += bytes.count
        let starts = try starts()
        return try part.decoding("events", entry[.events]) { () throws(MalformedBytes) in
            try EventColumns.decode(bytes, starts: starts) { wanted[$0] }
        }
    }

    mutating func links(_ wanted: [Bool]) throws(PartCorruption) -> [[UInt8]] {
        let bytes = try part.frame(entry[.links])
        if bytes.isEmpty { return [] }
        bytesRead += bytes.count
        let n = rowCount
        return try part.decoding("links", entry[.links]) { () throws(MalformedBytes) in
            try LinkColumns.decode(bytes, spans: n) { wanted[$0] }
        }
    }
}

/// Kinds, statuses and sources of the rows of a block.
struct BlockSources {
    var kinds: [UInt8]
    var statuses: [UInt8]
    /// Numbers of the part's resources and scopes, checked.
    var resources: [UInt32]
    var scopes: [UInt32]
}

/// Decodes an array of bytes to its end.
private func decoded<R>(
    _ bytes: [UInt8], _ body: (inout ByteReader) throws(MalformedBytes) -> R
) throws(MalformedBytes) -> R {
    let result = bytes.withUnsafeBytes { raw -> Result<R, MalformedBytes> in
        do throws(MalformedBytes) {
            var reader = ByteReader(raw)
            let value = try body(&reader)
            guard reader.isAtEnd else { throw reader.malformed("the end of a frame") }
            return .success(value)
        } catch { return .failure(error) }
    }
    return try result.get()
}
