// SPDX-License-Identifier: Apache-2.0
// Whole rows of a block.

import Base
import Storage
import Telemetry

extension SpanBlock {
    /// Whole rows as a self-contained batch, in the given ascending order.
    ///
    /// - Parameters:
    ///   - withIDs: false leaves trace, span and parent ids zero, for merges that know them.
    ///   - withTimes: whether self times and critical paths as of this part are wanted.
    mutating func materialise(
        rows: [Int], withIDs: Bool = true, withTimes: Bool = false
    ) throws(PartCorruption) -> SpanBatch {
        var wanted = [Bool](repeating: false, count: rowCount)
        for row in rows { wanted[row] = true }
        var batch = SpanBatch()
        let events = try events(wanted), links = try links(wanted)
        var slices = [ByteSlice](repeating: .empty, count: rowCount)
        try attributes().forEachList({ wanted[$0] }) { slices[$0] = batch.arena.keep($1) }
        let starts = try starts(), durations = try durations(), sources = try sources()
        let names = try names(), texts = try texts(), flags = try flags()
        let ids = withIDs ? try identities(rows) : nil
        var subset = SourceSubset(part.sources)
        var nameSlices = [ByteSlice?](repeating: nil, count: names.values.count)
        func keep(_ bytes: [UInt8], _ batch: inout SpanBatch) -> ByteSlice {
            bytes.isEmpty ? .empty : bytes.withUnsafeBytes { batch.arena.keep($0) }
        }
        for (index, row) in rows.enumerated() {
            var span = SpanRow()
            if let ids {
                span.traceID = ids.traces[index]
                span.spanID = ids.spans[index]
                span.parentID = ids.parents[index]
            }
            span.resource = subset.resource(sources.resources[row], into: &batch)
            span.scope = subset.scope(sources.scopes[row], into: &batch)
            let name = Int(names.rows[row])
            let slice = nameSlices[name] ?? keep(names.values[name], &batch)
            nameSlices[name] = slice
            span.name = slice
            span.kind = sources.kinds[row]
            span.startNanos = starts[row]
            span.endNanos = starts[row] &+ durations[row]
            span.statusCode = sources.statuses[row]
            span.statusMessage = keep(texts.messages[row], &batch)
            span.traceState = keep(texts.states[row], &batch)
            span.flags = flags[0][row]
            span.attributes = slices[row]
            if !events.isEmpty { span.events = keep(events[row], &batch) }
            if !links.isEmpty { span.links = keep(links[row], &batch) }
            span.droppedAttributes = flags[1][row]
            span.droppedEvents = flags[2][row]
            span.droppedLinks = flags[3][row]
            batch.add(span)
        }
        if withTimes {
            let tree = try times()
            batch.selfTimeNanos = rows.map { tree.selfTimes[$0] }
            batch.criticalPathNanos = rows.map { tree.criticalPaths[$0] }
        }
        return batch
    }

    /// Ids of rows.
    mutating func identities(
        _ rows: [Int]
    ) throws(PartCorruption) -> (traces: [TraceID], spans: [SpanID], parents: [SpanID]) {
        let numbers = try traces(), parents = try parents()
        return (
            try part.stored.traceIDs(rows.map { numbers[$0] }),
            try part.spanIDs(of: rows.map { .row(entry.firstRow + $0) }),
            try part.spanIDs(of: rows.map { parents[$0] })
        )
    }
}

/// Copies those resources and scopes of a part that a batch needs, each once.
private struct SourceSubset {
    private let sources: SpanBatch
    private var resources: [UInt32]
    private var scopes: [UInt32]

    init(_ sources: SpanBatch) {
        self.sources = sources
        resources = [UInt32](repeating: .max, count: sources.resources.count)
        scopes = [UInt32](repeating: .max, count: sources.scopes.count)
    }

    private func keep(_ slice: ByteSlice, _ batch: inout SpanBatch) -> ByteSlice {
        slice.isEmpty ? .empty : sources.arena.withSlice(slice) { batch.arena.keep($0) }
    }

    mutating func resource(_ number: UInt32, into batch: inout SpanBatch) -> UInt32 {
        if resources[Int(number)] != .max { return resources[Int(number)] }
        var copy = sources.resources[Int(number)]
        copy.attributes = keep(copy.attributes, &batch)
        copy.schemaURL = keep(copy.schemaURL, &batch)
        copy.serviceName = keep(copy.serviceName, &batch)
        copy.serviceNamespace = keep(copy.serviceNamespace, &batch)
        copy.serviceInstance = keep(copy.serviceInstance, &batch)
        let added = UInt32(batch.resources.count)
        batch.resources.append(copy)
        resources[Int(number)] = added
        return added
    }

    mutating func scope(_ number: UInt32, into batch: inout SpanBatch) -> UInt32 {
        if scopes[Int(number)] != .max { return scopes[Int(number)] }
        var copy = sources.scopes[Int(number)]
        copy.name = keep(copy.name, &batch)
        copy.version = keep(copy.version, &batch)
        copy.attributes = keep(copy.attributes, &batch)
        copy.schemaURL = keep(copy.schemaURL, &batch)
        let added = UInt32(batch.scopes.count)
        batch.scopes.append(copy)
        scopes[Int(number)] = added
        return added
    }
}
