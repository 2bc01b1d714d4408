// SPDX-License-Identifier: Apache-2.0
// Reading one block of spans.

import Base
import Storage
import Telemetry

/// A block being read: ids and core columns are decoded at once, the others when asked for.
struct SpanBlock {
    private let part: TracePart
    private let entry: BlockEntry
    private(set) var bytesRead = 0

    let traceIDs: [TraceID]
    let spanIDs: [SpanID]
    let parentIDs: [SpanID]
    let core: CoreColumns

    init(_ part: TracePart, _ entry: BlockEntry) throws(PartCorruption) {
        self.part = part
        self.entry = entry
        let n = entry.rowCount
        let ids = try part.frame(entry, BlockEntry.idsFrame)
        let coreBytes = try part.frame(entry, BlockEntry.coreFrame)
        bytesRead = ids.count + coreBytes.count
        (traceIDs, spanIDs, parentIDs) = try part.decoding("span ids", entry, BlockEntry.idsFrame) {
            () throws(MalformedBytes) in
            try decoded(ids) { reader throws(MalformedBytes) in
                guard reader.count == n * 32 else { throw reader.malformed("\(n * 32) bytes") }
                var traces: [TraceID] = [], spans: [SpanID] = [], parents: [SpanID] = []
                traces.reserveCapacity(n)
                spans.reserveCapacity(n)
                parents.reserveCapacity(n)
                for _ in 0..<n {
                    traces.append(TraceID(high: try reader.u64(), low: try reader.u64()))
                }
                for _ in 0..<n { spans.append(SpanID(try reader.u64())) }
                for _ in 0..<n { parents.append(SpanID(try reader.u64())) }
                return (traces, spans, parents)
            }
        }
        core = try part.decoding("core columns", entry, BlockEntry.coreFrame) {
            () throws(MalformedBytes) in
            try decoded(coreBytes) { reader throws(MalformedBytes) in
                try CoreColumns(
                    &reader, rows: n, resources: part.sources.resources.count,
                    scopes: part.sources.scopes.count)
            }
        }
    }

    var rowCount: Int { entry.rowCount }

    func key(_ row: Int) -> SpanKey {
        SpanKey(
            traceID: traceIDs[row], spanID: spanIDs[row], startNanos: core.starts[row],
            kind: core.kinds[row])
    }

    mutating func attributeColumns() throws(PartCorruption) -> AttributeColumnsReader {
        let bytes = try part.frame(entry, BlockEntry.attributesFrame)
        bytesRead += bytes.count
        let n = entry.rowCount
        return try part.decoding("attributes", entry, BlockEntry.attributesFrame) {
            () throws(MalformedBytes) in
            try AttributeColumnsReader(bytes, expected: n)
        }
    }

    /// Whole rows as a self-contained batch, in the given ascending order.
    func materialise(
        rows: [Int], attributes known: AttributeColumnsReader? = nil
    ) throws(PartCorruption) -> SpanBatch {
        var wanted = [Bool](repeating: false, count: rowCount)
        for row in rows { wanted[row] = true }
        var batch = SpanBatch()
        let eventBytes = try part.frame(entry, BlockEntry.eventsFrame)
        let linkBytes = try part.frame(entry, BlockEntry.linksFrame)
        var events: [[UInt8]] = [], links: [[UInt8]] = []
        if !eventBytes.isEmpty {
            events = try part.decoding("events", entry, BlockEntry.eventsFrame) {
                () throws(MalformedBytes) in
                try EventColumns.decode(eventBytes, starts: core.starts) { wanted[$0] }
            }
        }
        if !linkBytes.isEmpty {
            links = try part.decoding("links", entry, BlockEntry.linksFrame) {
                () throws(MalformedBytes) in
                try LinkColumns.decode(linkBytes, spans: rowCount) { wanted[$0] }
            }
        }
        var slices = [ByteSlice](repeating: .empty, count: rowCount)
        var columns = known
        if columns == nil {
            var copy = self
            columns = try copy.attributeColumns()
        }
        columns?.forEachList({ wanted[$0] }) { slices[$0] = batch.arena.keep($1) }

        var sources = SpanGatherer.SourceSubset(part.sources)
        for row in rows {
            var span = SpanRow()
            span.traceID = traceIDs[row]
            span.spanID = spanIDs[row]
            span.parentID = parentIDs[row]
            span.resource = sources.resource(core.resources[row], into: &batch)
            span.scope = sources.scope(core.scopes[row], into: &batch)
            span.name = keep(core.names[row], &batch)
            span.kind = core.kinds[row]
            span.startNanos = core.starts[row]
            span.endNanos = core.starts[row] &+ core.durations[row]
            span.statusCode = core.statuses[row]
            span.statusMessage = keep(core.messages[row], &batch)
            span.traceState = keep(core.states[row], &batch)
            span.flags = core.flags[row]
            span.attributes = slices[row]
            if !events.isEmpty { span.events = keep(events[row], &batch) }
            if !links.isEmpty { span.links = keep(links[row], &batch) }
            span.droppedAttributes = core.droppedAttributes[row]
            span.droppedEvents = core.droppedEvents[row]
            span.droppedLinks = core.droppedLinks[row]
            batch.add(span)
        }
        return batch
    }

    private func keep(_ bytes: [UInt8], _ batch: inout SpanBatch) -> ByteSlice {
        bytes.isEmpty ? .empty : bytes.withUnsafeBytes { batch.arena.keep($0) }
    }
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

/// The core frame of a block; see `TraceFormat`.
struct CoreColumns {
    var starts: [Int64] = []
    var durations: [Int64] = []
    var names: StringColumn
    var kinds: [UInt8]
    var statuses: [UInt8]
    /// Numbers of the part's resources and scopes, checked.
    var resources: [UInt32]
    var scopes: [UInt32]
    var flags: [UInt32]
    var droppedAttributes: [UInt32]
    var droppedEvents: [UInt32]
    var droppedLinks: [UInt32]
    var messages: StringColumn
    var states: StringColumn

    init(
        _ reader: inout ByteReader, rows n: Int, resources resourceCount: Int,
        scopes scopeCount: Int
    ) throws(MalformedBytes) {
        starts.reserveCapacity(n)
        durations.reserveCapacity(n)
        var start: Int64 = 0
        var column = ByteReader(try reader.lengthPrefixed())
        for _ in 0..<n {
            start = start &+ (try column.zigzag())
            starts.append(start)
        }
        column = ByteReader(try reader.lengthPrefixed())
        for _ in 0..<n { durations.append(try column.zigzag()) }
        column = ByteReader(try reader.lengthPrefixed())
        names = try StringColumn(decoding: &column, count: n)
        column = ByteReader(try reader.lengthPrefixed())
        kinds = try column.column(n, of: UInt8.self)
        column = ByteReader(try reader.lengthPrefixed())
        statuses = try column.column(n, of: UInt8.self)
        resources = try CoreColumns.numbers(&reader, n, below: resourceCount)
        scopes = try CoreColumns.numbers(&reader, n, below: scopeCount)
        flags = try CoreColumns.numbers(&reader, n)
        droppedAttributes = try CoreColumns.numbers(&reader, n)
        droppedEvents = try CoreColumns.numbers(&reader, n)
        droppedLinks = try CoreColumns.numbers(&reader, n)
        column = ByteReader(try reader.lengthPrefixed())
        messages = try StringColumn(decoding: &column, count: n)
        column = ByteReader(try reader.lengthPrefixed())
        states = try StringColumn(decoding: &column, count: n)
    }

    private static func numbers(
        _ reader: inout ByteReader, _ n: Int, below limit: Int = Int(UInt32.max) + 1
    ) throws(MalformedBytes) -> [UInt32] {
        var column = ByteReader(try reader.lengthPrefixed())
        var values: [UInt32] = []
        values.reserveCapacity(n)
        for _ in 0..<n {
            let value = try column.u32Varint()
            guard value < limit else { throw column.malformed("number below \(limit)") }
            values.append(value)
        }
        return values
    }
}

extension SpanGatherer {
    /// Copies those resources and scopes of a part that a batch needs, each once.
    struct SourceSubset {
        private let sources: SpanBatch
        private var resources: [UInt32: UInt32] = [:]
        private var scopes: [UInt32: UInt32] = [:]

        init(_ sources: SpanBatch) { self.sources = sources }

        private func keep(_ slice: ByteSlice, _ batch: inout SpanBatch) -> ByteSlice {
            slice.isEmpty ? .empty : sources.arena.withSlice(slice) { batch.arena.keep($0) }
        }

        mutating func resource(_ number: UInt32, into batch: inout SpanBatch) -> UInt32 {
            if let known = resources[number] { return known }
            var copy = sources.resources[Int(number)]
            copy.attributes = keep(copy.attributes, &batch)
            copy.schemaURL = keep(copy.schemaURL, &batch)
            copy.serviceName = keep(copy.serviceName, &batch)
            copy.serviceNamespace = keep(copy.serviceNamespace, &batch)
            copy.serviceInstance = keep(copy.serviceInstance, &batch)
            let added = UInt32(batch.resources.count)
            batch.resources.append(copy)
            resources[number] = added
            return added
        }

        mutating func scope(_ number: UInt32, into batch: inout SpanBatch) -> UInt32 {
            if let known = scopes[number] { return known }
            var copy = sources.scopes[Int(number)]
            copy.name = keep(copy.name, &batch)
            copy.version = keep(copy.version, &batch)
            copy.attributes = keep(copy.attributes, &batch)
            copy.schemaURL = keep(copy.schemaURL, &batch)
            let added = UInt32(batch.scopes.count)
            batch.scopes.append(copy)
            scopes[number] = added
            return added
        }
    }
}
