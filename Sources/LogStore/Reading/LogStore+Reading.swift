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
        if filter.rejectsAll { return }
        try read(try source(request, filter, context), request, filter, context, body)
    }

    /// What a request may look at.
    func source(
        _ request: LogRequest, _ filter: LineSelector, _ context: ReadContext
    ) throws -> ReadSource {
        try context.check()
        noteMissing(request.tenant, request.range, context)
        let terms = filter.terms
        let conditions = RowConditions(request)
        let cache = cache.counting(context)
        let (parts, heads) = snapshot(request.tenant)
        return ReadSource(
            parts: parts.filter {
                request.range.overlaps(
                    first: $0.descriptor.minNanos, last: $0.descriptor.maxNanos)
            }.map {
                SourcePart(
                    part: $0, streams: $0.index.matching(request.matchers),
                    skipper: BlockSkipper($0, terms, conditions, cache, context))
            },
            heads: heads.map { $0.views(request.matchers, request.range) })
    }

    /// Reads day by day in the direction asked for, so that a reader that stops early leaves the
    /// other days unplanned.
    private func read(
        _ source: ReadSource, _ request: LogRequest, _ filter: LineSelector,
        ofTrace trace: TraceID? = nil, _ context: ReadContext,
        _ body: (LogBatch) throws -> Bool
    ) throws {
        let isDescending = request.order == .newestFirst
        let days = source.days(of: request.range)
        for range in isDescending ? days.reversed() : days {
            let plan = try source.plan(range)
            var merge = RowMerge(
                plan, range: range, filter: filter,
                conditions: RowConditions(request), trace: trace, cache: cache.counting(context),
                isDescending: isDescending,
                columns: request.columns, atFirst: request.order == .any ? 0 : request.limit,
                context, damaged: .skip)
            let goesOn = try withoutActuallyEscaping(body) { body in
                var sink = BatchSink(
                    plan.streams, isDescending: isDescending, limit: request.limit, body)
                for pieces in request.order == .any ? plan.byStream : [plan.pieces.indices] {
                    let goesOn = try merge.run(pieces, into: &sink) { try context.check() }
                    if !goesOn { return false }
                }
                return try sink.flush()
            }
            if !goesOn { return }
        }
    }

    package func streams(_ request: LogRequest, _ context: ReadContext) throws -> [Labels] {
        try context.check()
        noteMissing(request.tenant, request.range, context)
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
                        && !part.isDeleted($0, part.index.streams[stream])
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
        tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
    ) throws -> LogBatch {
        try rows(tenant, streamHash, range, ofTrace: nil, context)
    }

    /// Reads lines and metadata of the trace's rows only: of others no more than a byte or two.
    package func rows(
        ofTrace id: TraceID, tenant: Tenant, streamHash: UInt64, range: NanosRange,
        _ context: ReadContext
    ) throws -> LogBatch {
        var rows = try rows(
            tenant, streamHash, range, ofTrace: id.isZero ? nil : id, context)
        // Heads hand over all of theirs.
        rows.keepRows(ofTrace: id)
        return rows
    }

    private func rows(
        _ tenant: Tenant, _ streamHash: UInt64, _ range: NanosRange, ofTrace trace: TraceID?,
        _ context: ReadContext
    ) throws -> LogBatch {
        noteMissing(tenant, range, context)
        let (parts, heads) = snapshot(tenant)
        let source = ReadSource(
            parts: parts.filter {
                range.overlaps(first: $0.descriptor.minNanos, last: $0.descriptor.maxNanos)
            }.map { SourcePart(part: $0, streams: $0.streams(hash: streamHash), skipper: nil) },
            heads: heads.map { $0.views(hash: streamHash, range) })
        var result = LogBatch()
        let request = LogRequest(tenant: tenant, matchers: [], range: range, order: .oldestFirst)
        try read(source, request, .none, ofTrace: trace, context) { batch in
            result.append(rowsOf: batch)
            return true
        }
        return result
    }
}

/// A part, its matching streams, and what passes over its blocks.
struct SourcePart {
    let part: LogPart
    let streams: [Int]
    let skipper: BlockSkipper?
}

/// A snapshot of what a read may look at: parts with their matching streams, and heads.
struct ReadSource {
    /// In order of arrival.
    let parts: [SourcePart]
    /// In order of arrival, after the parts.
    let heads: [[StreamView]]

    /// The range in pieces that begin where the days of the parts begin, ascending. Parts never
    /// reach over a day's end; rows of heads fall where they fall.
    func days(of range: NanosRange) -> [NanosRange] {
        let days = Set(parts.map(\.part.descriptor.day)).sorted()
        var pieces: [NanosRange] = []
        var first = range.first.rawValue
        for day in days.dropFirst() {
            let (start, overflow) = Int64(day).multipliedReportingOverflow(by: nanosPerDay)
            if overflow || start <= first || start > range.last.rawValue { continue }
            pieces.append(NanosRange(first: Nanos(first), last: Nanos(start - 1)))
            first = start
        }
        pieces.append(NanosRange(first: Nanos(first), last: range.last))
        return pieces
    }

    func plan(_ range: NanosRange) throws -> ReadPlan {
        var builder = ReadPlan.Builder()
        for source in parts {
            try builder.add(
                source.part, streams: source.streams, range: range, skipper: source.skipper)
        }
        for views in heads { builder.add(views, range: range) }
        return builder.plan()
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
