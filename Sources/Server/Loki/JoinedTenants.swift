// SPDX-License-Identifier: Apache-2.0
// The log lines of several tenants in one answer.

import Base
import Telemetry

/// Several tenants as one: the tenant `a|b`, whose streams are those of `a` and `b` with their tenant in
/// a label. A matcher of that label chooses among the tenants. Requests of one tenant are handed on as
/// they are.
///
/// Source: grafana/loki `docs/sources/operations/multi-tenancy.md` and `pkg/querier`.
struct JoinedTenants: LogReading {
    let reader: any LogReading
    /// Rows of a slice of time that are merged at once; a slice with more is read again as several.
    var mostRows = 20_000

    /// The label that a stream of several tenants has.
    static let label = "__tenant_id__"
    /// What a label of that name that was sent is called beside it.
    private static let sentLabel = "original___tenant_id__"
    /// The first slice of an answer in order, nanoseconds.
    private static let firstSlice: Int64 = 10_000_000_000

    /// Names in a tenant such as `a|b`; one for others.
    static func names(of tenant: Tenant) -> [String] {
        tenant.name.split(separator: "|").map(String.init)
    }

    /// The tenants that a tenant such as `a|b` stands for, without those that a matcher of their label
    /// leaves out; nil for a tenant that is one.
    static func chosen(of tenant: Tenant, _ matchers: [LabelMatcher]) -> [Tenant]? {
        let names = names(of: tenant)
        guard names.count > 1 else { return nil }
        let choosing = matchers.filter { $0.name == label }
        return names.filter { name in choosing.allSatisfy { $0.matches(name) } }.map(Tenant.init)
    }

    /// A request for each tenant that the matchers leave; nil for a request of one tenant.
    private func parts(_ request: LogRequest) -> [LogRequest]? {
        guard let tenants = Self.chosen(of: request.tenant, request.matchers) else { return nil }
        var part = request
        part.matchers.removeAll { $0.name == Self.label }
        part.conditions.removeAll { $0.name == Self.label }
        part.numbers.removeAll { $0.name == Self.label }
        return tenants.map { tenant in
            part.tenant = tenant
            return part
        }
    }

    private static func labelled(_ labels: Labels, _ tenant: Tenant) -> Labels {
        var pairs = labels.pairs
        for index in pairs.indices where pairs[index].name == label {
            pairs[index].name = sentLabel
        }
        return Labels(pairs + [(label, tenant.name)])
    }

    /// The batch with the tenant among the labels of its streams.
    static func labelled(_ batch: LogBatch, _ tenant: Tenant) -> LogBatch {
        var result = batch
        result.streams = []
        for stream in batch.streams {
            _ = result.addStream(labelled(batch.arena.labels(stream), tenant))
        }
        return result
    }

    // MARK: - Lines

    func read(
        _ request: LogRequest, _ context: ReadContext, _ body: (LogBatch) throws -> Bool
    ) throws {
        guard let parts = parts(request) else {
            try reader.read(request, context, body)
            return
        }
        if request.order != .any, parts.count > 1 {
            try readInOrder(parts, request, context, body)
            return
        }
        var goesOn = true
        for part in parts where goesOn {
            try reader.read(part, context) { batch in
                goesOn = try body(Self.labelled(batch, part.tenant))
                return goesOn
            }
        }
    }

    func count(
        _ request: LogRequest, _ context: ReadContext, _ counting: RowCounting,
        _ body: (LogBatch) throws -> Bool
    ) throws {
        guard let parts = parts(request) else {
            try reader.count(request, context, counting, body)
            return
        }
        var goesOn = true
        for part in parts where goesOn {
            let tenant = part.tenant
            let own = RowCounting(
                likeness: { stream, first, last in
                    counting.likeness(Self.labelled(stream, tenant), first, last)
                },
                count: { rows in
                    var rows = rows
                    rows.stream = Self.labelled(rows.stream, tenant)
                    try counting.count(rows)
                })
            try reader.count(part, context, own) { batch in
                goesOn = try body(Self.labelled(batch, tenant))
                return goesOn
            }
        }
    }

    /// Rows of all tenants in one order: slice of time by slice of time, each of them sorted. Slices
    /// grow while they bring little.
    private func readInOrder(
        _ parts: [LogRequest], _ request: LogRequest, _ context: ReadContext,
        _ body: (LogBatch) throws -> Bool
    ) throws {
        let isForward = request.order == .oldestFirst
        var (first, last) = (request.range.first.rawValue, request.range.last.rawValue)
        var length = Self.firstSlice
        while first <= last {
            try context.check()
            let slice: NanosRange
            if isForward {
                let (end, isOver) = first.addingReportingOverflow(length - 1)
                slice = NanosRange(first: Nanos(first), last: Nanos(isOver ? last : min(end, last)))
            } else {
                let (start, isUnder) = last.subtractingReportingOverflow(length - 1)
                slice = NanosRange(
                    first: Nanos(isUnder ? first : max(start, first)), last: Nanos(last))
            }
            var held = 0
            defer { context.release(held) }
            guard let rows = try rows(parts, slice, canStop: length > 1, context, &held) else {
                length = max(1, length / 8)
                continue
            }
            if rows.rowCount > 0 {
                guard try body(rows.inOrder(isForward: isForward)) else { return }
            }
            // The ends of the range are as far as a time can go.
            if isForward {
                guard slice.last.rawValue < last else { return }
                first = slice.last.rawValue + 1
            } else {
                guard slice.first.rawValue > first else { return }
                last = slice.first.rawValue - 1
            }
            if rows.rowCount < mostRows / 16 {
                length = length > .max / 4 ? .max : length * 4
            }
        }
    }

    /// Rows of a slice of time, each tenant's oldest first; nil when there are too many and `canStop`.
    private func rows(
        _ parts: [LogRequest], _ slice: NanosRange, canStop: Bool, _ context: ReadContext,
        _ held: inout Int
    ) throws -> LogBatch? {
        var all = LogBatch()
        var isTooMuch = false
        for part in parts where !isTooMuch {
            var wanted = part
            wanted.range = slice
            wanted.order = .oldestFirst
            try reader.read(wanted, context) { batch in
                // Stores may hand over more than they were asked for.
                let kept = (0..<batch.rowCount).filter { slice.contains(batch.nanos[$0]) }
                isTooMuch = canStop && all.rowCount + kept.count > mostRows
                if isTooMuch { return false }
                let before = all.arena.count
                all.add(kept, of: batch) { Self.labelled($0, part.tenant) }
                let bytes = all.arena.count - before + kept.count * 64
                held += bytes
                try context.reserve(bytes)
                return true
            }
        }
        return isTooMuch ? nil : all
    }

    // MARK: - Names

    func streams(_ request: LogRequest, _ context: ReadContext) throws -> [Labels] {
        guard let parts = parts(request) else { return try reader.streams(request, context) }
        return try parts.flatMap { part in
            try reader.streams(part, context).map { Self.labelled($0, part.tenant) }
        }.sorted()
    }

    func labelNames(_ request: LogRequest, _ context: ReadContext) throws -> [String] {
        guard let parts = parts(request) else { return try reader.labelNames(request, context) }
        var names: Set<String> = []
        for part in parts {
            for name in try reader.labelNames(part, context) {
                names.insert(name == Self.label ? Self.sentLabel : name)
            }
        }
        if !parts.isEmpty { names.insert(Self.label) }
        return names.sorted()
    }

    func labelValues(
        _ name: String, _ request: LogRequest, _ context: ReadContext
    ) throws -> [String] {
        guard let parts = parts(request) else {
            return try reader.labelValues(name, request, context)
        }
        if name == Self.label { return parts.map(\.tenant.name).sorted() }
        let sent = name == Self.sentLabel ? Self.label : name
        var values: Set<String> = []
        for part in parts { values.formUnion(try reader.labelValues(sent, part, context)) }
        return values.sorted()
    }

    func rows(
        tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
    ) throws -> LogBatch {
        try reader.rows(tenant: tenant, streamHash: streamHash, range: range, context)
    }
}

extension LogBatch {
    /// Adds rows of another batch, whose streams become others.
    fileprivate mutating func add(
        _ rows: [Int], of other: LogBatch, _ labels: (Labels) -> Labels
    ) {
        var known: [UInt32: UInt32] = [:]
        for row in rows {
            let sent = other.rowStreams[row]
            let stream: UInt32
            if let found = known[sent] {
                stream = found
            } else {
                stream = addStream(labels(other.arena.labels(other.streams[Int(sent)])))
                known[sent] = stream
            }
            addRow(
                stream: stream, nanos: other.nanos[row],
                line: other.arena.withSlice(other.lines[row]) { arena.keep($0) },
                metadata: other.arena.withSlice(other.metadata[row]) { arena.keep($0) },
                traceID: other.traceIDs[row], spanID: other.spanIDs[row])
        }
    }

    /// Rows by time, at equal times by stream and then as they stand; or the exact reverse.
    fileprivate func inOrder(isForward: Bool) -> LogBatch {
        let labels = streams.map { arena.labels($0) }
        let sorted = labels.indices.sorted { labels[$0] < labels[$1] }
        // The same stream may stand here several times, one from each batch.
        var ranks = [Int](repeating: 0, count: labels.count)
        for (place, index) in sorted.enumerated() {
            let isSame = place > 0 && labels[sorted[place - 1]] == labels[index]
            ranks[index] = isSame ? ranks[sorted[place - 1]] : place
        }
        var order = Array(0..<rowCount)
        order.sort { a, b in
            (nanos[a], ranks[Int(rowStreams[a])], a) < (nanos[b], ranks[Int(rowStreams[b])], b)
        }
        if !isForward { order.reverse() }
        var result = LogBatch()
        result.arena = arena
        result.streams = streams
        for row in order {
            result.addRow(
                stream: rowStreams[row], nanos: nanos[row], line: lines[row],
                metadata: metadata[row], traceID: traceIDs[row], spanID: spanIDs[row])
        }
        return result
    }
}
