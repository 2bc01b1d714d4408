// SPDX-License-Identifier: Apache-2.0
// What engines ask of the log store.

import Base
import Storage
import Telemetry

extension LogStore {
    package func read(
        _ request: LogRequest, _ context: ReadContext, _ body: (LogBatch) throws -> Bool
    ) throws {
        let filter = try LineSelector(request.filters)
        try context.check()
        if filter.rejectsAll { return }
        let plan = plan(request)
        try read(plan, request, filter, context, body)
    }

    private func plan(_ request: LogRequest) -> ReadPlan {
        let (parts, heads) = snapshot(request.tenant)
        var builder = ReadPlan.Builder()
        for part in parts
        where request.range.overlaps(
            first: part.descriptor.minNanos, last: part.descriptor.maxNanos)
        {
            builder.add(
                part, streams: part.index.matching(request.matchers), range: request.range)
        }
        for head in heads { builder.add(head.views(request.matchers, request.range)) }
        return builder.plan()
    }

    private func read(
        _ plan: ReadPlan, _ request: LogRequest, _ filter: LineSelector, _ context: ReadContext,
        _ body: (LogBatch) throws -> Bool
    ) throws {
        let isDescending = request.order == .newestFirst
        try withoutActuallyEscaping(body) { body in
            var sink = BatchSink(
                plan.streams, isDescending: isDescending, limit: request.limit, body)
            var merge = RowMerge(
                plan, range: request.range, filter: filter, cache: cache,
                isDescending: isDescending, context)
            if request.order == .any {
                for stream in plan.streams.indices {
                    let goesOn = try merge.run(plan.pieces(of: stream), into: &sink) {
                        try context.check()
                    }
                    if !goesOn { return }
                }
            } else {
                let goesOn = try merge.run(plan.pieces.indices, into: &sink) {
                    try context.check()
                }
                if !goesOn { return }
            }
            _ = try sink.flush()
        }
    }

    package func streams(_ request: LogRequest, _ context: ReadContext) throws -> [Labels] {
        try context.check()
        let (parts, heads) = snapshot(request.tenant)
        var found: Set<Labels> = []
        for part in parts
        where request.range.overlaps(
            first: part.descriptor.minNanos, last: part.descriptor.maxNanos)
        {
            try context.check()
            for stream in part.index.matching(request.matchers) {
                let overlaps = part.blocks[part.blocks(of: stream)].contains {
                    request.range.overlaps(first: $0.minNanos, last: $0.maxNanos)
                }
                if overlaps { found.insert(part.index.streams[stream]) }
            }
        }
        for head in heads {
            try context.check()
            found.formUnion(head.labels(request.matchers, request.range))
        }
        return found.sorted()
    }

    package func labelNames(_ request: LogRequest, _ context: ReadContext) throws -> [String] {
        var names: Set<[UInt8]> = []
        for stream in try streams(request, context) {
            stream.forEachBytes { name, _ in names.insert([UInt8](name)) }
        }
        return LogStore.sortedTexts(names)
    }

    package func labelValues(
        _ name: String, _ request: LogRequest, _ context: ReadContext
    ) throws -> [String] {
        let wanted = Array(name.utf8)
        var values: Set<[UInt8]> = []
        for stream in try streams(request, context) {
            stream.bytes.withUnsafeBytes { labels in
                wanted.withUnsafeBytes { wanted in
                    if let value = labelValue(of: wanted, in: labels) {
                        values.insert([UInt8](value))
                    }
                }
            }
        }
        return LogStore.sortedTexts(values)
    }

    /// Ascending bytewise.
    private static func sortedTexts(_ texts: Set<[UInt8]>) -> [String] {
        texts.sorted { $0.lexicographicallyPrecedes($1) }.map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    package func rows(
        tenant: Tenant, streamHash: UInt64, nanos: Int64, _ context: ReadContext
    ) throws -> LogBatch {
        let range = NanosRange(first: Nanos(nanos), last: Nanos(nanos))
        let (parts, heads) = snapshot(tenant)
        var builder = ReadPlan.Builder()
        for part in parts
        where range.overlaps(first: part.descriptor.minNanos, last: part.descriptor.maxNanos) {
            builder.add(part, streams: part.streams(hash: streamHash), range: range)
        }
        for head in heads { builder.add(head.views(hash: streamHash, range)) }
        let plan = builder.plan()
        var result = LogBatch()
        let request = LogRequest(tenant: tenant, matchers: [], range: range, order: .oldestFirst)
        try read(plan, request, .none, context) { batch in
            result.append(rowsOf: batch)
            return true
        }
        return result
    }
}

extension LogBatch {
    /// Appends the streams and rows of another batch.
    fileprivate mutating func append(rowsOf other: LogBatch) {
        let shift = UInt32(arena.count)
        let streamShift = UInt32(streams.count)
        func moved(_ slice: ByteSlice) -> ByteSlice {
            ByteSlice(offset: Int(slice.offset + shift), count: Int(slice.count))
        }
        arena += other.arena
        streams += other.streams.map { LabelsRef(slice: moved($0.slice), hash: $0.hash) }
        rowStreams += other.rowStreams.map { $0 + streamShift }
        nanos += other.nanos
        lines += other.lines.map(moved)
        metadata += other.metadata.map { $0.isEmpty ? .empty : moved($0) }
        traceIDs += other.traceIDs
        spanIDs += other.spanIDs
    }
}
