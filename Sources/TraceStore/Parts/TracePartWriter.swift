// SPDX-License-Identifier: Apache-2.0
// Building a trace part from sorted rows.

import Base
import Storage
import Telemetry

/// Takes rows in the part's order and makes the file. Memory: `PartRows`, one block of rows and the
/// finished bytes.
struct TracePartWriter {
    /// More rows or bytes than one part can hold: the merge is refused, not the data.
    struct TooLarge: Error, CustomStringConvertible {
        var description: String { "more spans than one part can hold" }
    }

    let level: Int32
    let rows: PartRows
    private let blockRows: Int
    /// Given when rows come from parts, whose rates and catalogues were added up.
    private let joined: JoinedSections?
    private var block = BlockBuilder()
    private var blockStarts: [Int] = []
    private var written = 0
    private var sources = SpanGatherer()
    var directory = BlockDirectory()
    private var catalogue = Catalogue()
    var sink = FrameSink()
    private var rates = RateTable()

    /// - Parameters:
    ///   - rows: connected; their other columns are given to `add` and `carry` in the same order.
    ///   - level: of zstd.
    ///   - blockRows: most rows of a block.
    ///   - joined: rates and catalogue when they are known; without them all rows must be given to
    ///     `add`, in the order of service, name and start.
    init(_ rows: PartRows, level: Int32, blockRows: Int, joined: JoinedSections? = nil) {
        self.rows = rows
        self.level = level
        self.blockRows = blockRows
        self.joined = joined
        if let joined { catalogue = joined.catalogue }
    }

    /// Says that rows added under a slot come from this batch. Slots are small numbers by which a
    /// caller that takes turns between several sources tells them apart.
    mutating func begin(_ batch: SpanBatch, slot: Int) { sources.begin(batch, slot: slot) }

    /// Adds the next row: its columns that `PartRows` does not have are those of a row of the batch
    /// given to `begin` with the same slot. A pointer, because a copy of a batch costs a reference
    /// to each of its columns.
    mutating func add(_ batch: UnsafePointer<SpanBatch>, _ row: Int, slot: Int) throws {
        if block.rowCount >= blockRows || block.byteCount >= Limits.blockArenaBytes {
            try endBlock()
        }
        let (resource, scope) = sources.addSources(of: row, batch, slot: slot)
        let number = written + block.rowCount
        let service = batch.pointee.resources[Int(batch.pointee.rowResources[row])].serviceName
        let name = batch.pointee.names[row], status = batch.pointee.statusCodes[row]
        batch.pointee.arena.withUnsafeBytes { all in
            block.add(batch, row, all, resource: resource, scope: scope)
            guard joined == nil else { return }
            rates.add(
                service: UnsafeRawBufferPointer(rebasing: all[service.range]),
                name: UnsafeRawBufferPointer(rebasing: all[name.range]), kind: rows.kinds[number],
                status: status, start: rows.starts[number], end: rows.ends[number],
                spanID: rows.spanIDs[number], row: number)
        }
    }

    /// Copies the resources and scopes of a part that blocks are going to be taken from; returns their
    /// numbers in this one.
    mutating func addSources(
        of part: TracePart, slot: Int
    ) -> (resources: [UInt32], scopes: [UInt32]) {
        sources.begin(part.sources, slot: slot)
        return sources.addAllSources(part.sources, slot: slot)
    }

    /// Adds a block whose frames were put into `sink`, for rows that were not given to `add`.
    mutating func append(_ entry: BlockEntry) {
        directory.append(entry)
        blockStarts.append(written)
        written += entry.rowCount
    }

    /// Number of the next row.
    var nextRow: Int { written + block.rowCount }

    /// Ends the present block.
    mutating func endBlock() throws {
        let range = written..<(written + block.rowCount)
        guard !range.isEmpty else { return }
        guard sources.byteCount < Limits.sourceBytes else { throw TooLarge() }
        let encoded = block.encode(rows, range)
        var entry = BlockEntry()
        entry.firstRow = range.lowerBound
        entry.rowCount = range.count
        entry.minStart = rows.starts[range].min() ?? 0
        entry.maxStart = rows.starts[range].max() ?? 0
        let durations = range.map { rows.ends[$0] &- rows.starts[$0] }
        entry.minDuration = durations.min() ?? 0
        entry.maxDuration = durations.max() ?? 0
        for row in range { entry.kinds |= BlockEntry.bit(rows.kinds[row]) }
        for status in block.statuses { entry.statuses |= BlockEntry.bit(status) }
        entry.names = intern(encoded.names)
        entry.eventNames = intern(encoded.eventNames)
        entry.resources = TracePartWriter.bounded(block.resources)
        entry.scopes = TracePartWriter.bounded(block.scopes)
        guard sink.hasRoom(for: encoded.byteCount) else { throw TooLarge() }
        sink.beginGroup(encoded.byteCount)
        for piece in BlockPiece.allCases {
            entry.pieces[piece.rawValue] = sink.append(
                encoded[piece], compressed: piece != .spanIDs, level: level)
        }
        for column in encoded.columns {
            var columnEntry = self.entry(column.summary, .span)
            columnEntry.frame = sink.append(column.bytes, compressed: true, level: level)
            columnEntry.filter = sink.append(column.filter, compressed: false, level: level)
            entry.columns.append(columnEntry)
        }
        for summary in encoded.eventColumns { entry.columns.append(self.entry(summary, .event)) }
        for summary in encoded.linkColumns { entry.columns.append(self.entry(summary, .link)) }
        append(entry)
        block = BlockBuilder()
        if joined == nil { addToCatalogue(encoded) }
    }

    private mutating func addToCatalogue(_ encoded: EncodedBlock) {
        catalogue.add(encoded.columns.map(\.summary), scope: .span)
        catalogue.add(encoded.eventColumns, scope: .event)
        catalogue.add(encoded.linkColumns, scope: .link)
        catalogue.add(
            Catalogue.Key(scope: Catalogue.nameScope, name: []),
            encoded.names.lazy.map(encodedString), isComplete: true)
        catalogue.add(
            Catalogue.Key(scope: Catalogue.eventNameScope, name: []),
            encoded.eventNames.lazy.map(encodedString), isComplete: true)
    }

    private mutating func intern(_ names: [[UInt8]]) -> [UInt32]? {
        guard names.count <= Limits.directoryNames,
            names.allSatisfy({ $0.count <= Limits.directoryValueBytes })
        else { return nil }
        return names.map { directory.internValue($0) }
    }

    private static func bounded(_ numbers: [UInt32]) -> [UInt32]? {
        let distinct = Set(numbers)
        return distinct.count <= Limits.directorySources ? distinct.sorted() : nil
    }

    private mutating func entry(
        _ summary: AttributeColumns.Summary, _ scope: ColumnScope
    ) -> ColumnEntry {
        var column = ColumnEntry(
            scope: scope, key: directory.internKey(summary.key), type: summary.type)
        if let low = summary.low, let high = summary.high { column.range = (low, high) }
        if let strings = summary.strings, strings.count <= Limits.directoryValues,
            strings.allSatisfy({ $0.count <= Limits.directoryValueBytes })
        {
            column.values = strings.map { directory.internValue($0) }
        }
        return column
    }

    /// The finished file.
    consuming func finish() throws -> [UInt8] {
        try endBlock()
        let sourceBatch = sources.batch
        if joined == nil { addToCatalogue(sourceBatch) }
        var pages = FrameSink()
        let index = TraceIndex(rows, blockStarts: blockStarts, level: level, &pages)
        var sourceBytes = ByteWriter()
        sourceBatch.encode(into: &sourceBytes)
        var writer = PartWriter(signal: .traces)
        sink.write(into: &writer, family: TraceFormat.blocks)
        pages.write(into: &writer, family: TraceFormat.indexPages)
        writer.add(kind: TraceFormat.directory, directory.encode(), .zstd(level: level))
        writer.add(kind: TraceFormat.sources, sourceBytes.bytes, .zstd(level: level))
        writer.add(kind: TraceFormat.index, index.encode(), .zstd(level: level))
        writer.add(kind: TraceFormat.catalogue, catalogue.encode(), .zstd(level: level))
        // Keys are distinct unless two ids of 128 bits have one hash of 64: then there is no filter.
        if let filter = XorFilter.encode(rows.traceIDs.map(filterKey)) {
            writer.add(kind: TraceFormat.filter, filter)
        }
        writer.add(
            kind: TraceFormat.rates, joined?.rates ?? rates.encode(), .zstd(level: level))
        return writer.finish()
    }

    private mutating func addToCatalogue(_ sourceBatch: SpanBatch) {
        sourceBatch.arena.withUnsafeBytes { all in
            for resource in sourceBatch.resources {
                catalogue.add(
                    list: UnsafeRawBufferPointer(rebasing: all[resource.attributes.range]),
                    scope: .resource)
            }
            for scope in sourceBatch.scopes {
                catalogue.add(
                    list: UnsafeRawBufferPointer(rebasing: all[scope.attributes.range]),
                    scope: .instrumentation)
            }
        }
    }
}
