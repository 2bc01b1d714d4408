// SPDX-License-Identifier: Apache-2.0
// Building a trace part from sorted rows.

import Base
import Storage
import Telemetry

/// Takes rows in the part's order and makes the file. Memory: one block of rows, the finished
/// bytes and 24 bytes per row for the trace index.
struct TracePartWriter {
    /// More rows or bytes than one part can hold: the merge is refused, not the data.
    struct TooLarge: Error, CustomStringConvertible {
        var description: String { "more spans than one part can hold" }
    }

    private let level: Int32
    private var block = SpanGatherer()
    private var sources = SpanGatherer()
    private var directory = BlockDirectory()
    private var catalogue = Catalogue()
    private var sink = FrameSink()
    private var traces: [(id: TraceID, row: UInt32)] = []
    private(set) var minStart = Int64.max
    private(set) var maxStart = Int64.min

    /// - Parameter level: of zstd.
    init(level: Int32) { self.level = level }

    var rowCount: Int { traces.count }

    /// Appends a row of a batch. `slot` tells sources apart; `begin` says that a slot's batch is
    /// another one now.
    mutating func add(_ batch: SpanBatch, _ row: Int, slot: Int) throws {
        if block.batch.rowCount >= Limits.blockRows
            || block.batch.arena.count >= Limits.blockArenaBytes
        {
            try flush()
        }
        if !block.hasBegun(slot: slot) { block.begin(batch, slot: slot) }
        guard let number = UInt32(exactly: traces.count), number < UInt32.max else {
            throw TooLarge()
        }
        block.add(batch, row, slot: slot)
        traces.append((batch.traceIDs[row], number))
        minStart = Swift.min(minStart, batch.startNanos[row])
        maxStart = Swift.max(maxStart, batch.startNanos[row])
    }

    mutating func begin(_ batch: SpanBatch, slot: Int) { block.begin(batch, slot: slot) }

    private mutating func flush() throws {
        let batch = block.batch
        guard batch.rowCount > 0 else { return }
        sources.begin(batch)
        let (resources, scopes) = sources.addSources(batch)
        guard sources.byteCount < Limits.sourceBytes else { throw TooLarge() }
        let encoded = EncodedBlock(batch, resources: resources, scopes: scopes)
        var entry = BlockEntry()
        entry.firstRow = traces.count - batch.rowCount
        entry.rowCount = batch.rowCount
        entry.minStart = batch.startNanos.min() ?? 0
        entry.maxStart = batch.startNanos.max() ?? 0
        let durations = zip(batch.startNanos, batch.endNanos).lazy.map { $1 &- $0 }
        entry.minDuration = durations.min() ?? 0
        entry.maxDuration = durations.max() ?? 0
        for kind in batch.kinds { entry.kinds |= BlockEntry.bit(kind) }
        for status in batch.statusCodes { entry.statuses |= BlockEntry.bit(status) }
        entry.names = intern(encoded.names)
        entry.eventNames = intern(encoded.eventNames)
        entry.resources = bounded(resources)
        entry.scopes = bounded(scopes)
        addColumns(encoded.spanColumns, .span, to: &entry)
        addColumns(encoded.eventColumns, .event, to: &entry)
        addColumns(encoded.linkColumns, .link, to: &entry)
        for (index, frame) in encoded.frames.enumerated() where !frame.isEmpty {
            guard sink.hasRoom(for: frame.count) else { throw TooLarge() }
            entry.frames[index] = sink.append(
                frame, compressed: index != BlockEntry.idsFrame, level: level)
        }
        directory.append(entry)
        catalogue.add(encoded.spanColumns, scope: .span)
        catalogue.add(encoded.eventColumns, scope: .event)
        catalogue.add(encoded.linkColumns, scope: .link)
        catalogue.add(
            Catalogue.Key(scope: Catalogue.nameScope, name: []),
            encoded.names.lazy.map(encodedString), isComplete: true)
        catalogue.add(
            Catalogue.Key(scope: Catalogue.eventNameScope, name: []),
            encoded.eventNames.lazy.map(encodedString), isComplete: true)
        block = SpanGatherer()
    }

    private mutating func intern(_ names: [[UInt8]]) -> [UInt32]? {
        guard names.count <= Limits.directoryNames,
            names.allSatisfy({ $0.count <= Limits.directoryValueBytes })
        else { return nil }
        return names.map { directory.internValue($0) }
    }

    private func bounded(_ numbers: [UInt32]) -> [UInt32]? {
        numbers.count <= Limits.directorySources ? Set(numbers).sorted() : nil
    }

    private mutating func addColumns(
        _ summaries: [AttributeColumns.Summary], _ scope: ColumnScope, to entry: inout BlockEntry
    ) {
        for summary in summaries {
            var column = ColumnEntry(
                scope: scope, key: directory.internKey(summary.key), type: summary.type)
            if let low = summary.low, let high = summary.high { column.range = (low, high) }
            if let strings = summary.strings, strings.count <= Limits.directoryValues,
                strings.allSatisfy({ $0.count <= Limits.directoryValueBytes })
            {
                column.values = strings.map { directory.internValue($0) }
            }
            entry.columns.append(column)
        }
    }

    /// The finished file.
    consuming func finish() throws -> [UInt8] {
        try flush()
        let sourceBatch = sources.batch
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
        var pages = FrameSink()
        let index = TraceIndex(&traces, &pages)
        var sourceBytes = ByteWriter()
        sourceBatch.encode(into: &sourceBytes)
        var writer = PartWriter(signal: .traces)
        sink.write(into: &writer, family: TraceFormat.blocks)
        pages.write(into: &writer, family: TraceFormat.indexPages)
        writer.add(kind: TraceFormat.directory, directory.encode(), .zstd(level: level))
        writer.add(kind: TraceFormat.sources, sourceBytes.bytes, .zstd(level: level))
        writer.add(kind: TraceFormat.index, index.encode(), .zstd(level: level))
        writer.add(kind: TraceFormat.catalogue, catalogue.encode(), .zstd(level: level))
        return writer.finish()
    }
}
