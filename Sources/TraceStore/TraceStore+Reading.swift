// SPDX-License-Identifier: Apache-2.0
// Traces, searches and completion over heads and parts.

import Base
import Storage
import Telemetry

extension TraceStore: SpanReading {
    package func trace(
        _ id: TraceID, tenant: Tenant, _ context: ReadContext
    ) throws -> SpanBatch {
        try gather(id, tenant, withTree: false, context).spans
    }

    package func structuredTrace(
        _ id: TraceID, tenant: Tenant, _ context: ReadContext
    ) throws -> (spans: SpanBatch, structure: SpanStructure) {
        let (spans, structure) = try gather(id, tenant, withTree: true, context)
        return (spans, structure ?? SpanStructure(spans))
    }

    /// The spans of a trace, and its structure where one part had all of it.
    private func gather(
        _ id: TraceID, _ tenant: Tenant, withTree: Bool, _ context: ReadContext
    ) throws -> (spans: SpanBatch, structure: SpanStructure?) {
        let snapshot = snapshot()
        snapshot.noteMissing(tenant, .all, context)
        var gathering = TraceGathering(withTree: withTree)
        // The oldest data first, so that of duplicates the first acknowledged stays.
        for part in snapshot.parts(of: tenant) {
            try context.check()
            try part.gather(id, into: &gathering, context)
        }
        for head in snapshot.heads(of: tenant) {
            if head.shard(id).gather(id, into: &gathering.spans) { gathering.sources += 1 }
        }
        let batch = gathering.spans.batch
        var seen: Set<SpanKey> = []
        let rows = batch.traceIDs.indices.filter { seen.insert(batch.key($0)).inserted }
            .sorted {
                batch.startNanos[$0] == batch.startNanos[$1]
                    ? $0 < $1 : batch.startNanos[$0] < batch.startNanos[$1]
            }
        let isStored =
            withTree && gathering.sources == 1 && rows.count == batch.rowCount
            && gathering.tree.depths.count == batch.rowCount
        let structure = isStored ? gathering.tree.structure(rows) : nil
        if rows == Array(batch.traceIDs.indices) { return (batch, structure) }
        var result = SpanGatherer()
        result.begin(batch)
        for row in rows { result.add(batch, row) }
        return (result.batch, structure)
    }

    package func search(
        newestFirst request: SpanRequest, _ context: ReadContext,
        _ body: (SpanBatch, _ restStartNanos: Int64) throws -> Bool
    ) throws {
        let filter = SpanFilter(request)
        if let id = filter.onlyTrace {
            var batch: SpanBatch
            if request.wantsTimes {
                let structure: SpanStructure
                (batch, structure) = try structuredTrace(id, tenant: request.tenant, context)
                batch.selfTimeNanos = structure.selfTimeNanos
                batch.criticalPathNanos = structure.criticalPathNanos
            } else {
                batch = try trace(id, tenant: request.tenant, context)
            }
            let rows = filter.rows(of: batch)
            if !rows.isEmpty { _ = try body(batch.taking(rows), .min) }
            return
        }
        var seen: Set<SpanKey> = []
        var times = TraceTimeTable(self, request.tenant)
        let snapshot = snapshot()
        snapshot.noteMissing(request.tenant, request.range, context)
        var queue = SearchQueue(
            snapshot.heads(of: request.tenant).map { $0.segments() },
            snapshot.parts(of: request.tenant), filter)
        while let item = try queue.next(context) {
            try context.check()
            var batch: SpanBatch
            switch item.source {
            case .segment(let segment):
                batch = segment.batch.taking(filter.rows(of: segment.batch))
                try context.count(samples: segment.batch.rowCount)
            case .block(let search, let entry):
                do {
                    batch = try search.read(
                        entry, withTimes: request.wantsTimes, context)
                } catch let fault as PartCorruption {
                    context.noteMissing(fault)
                    continue
                }
            }
            if item.mayRepeat {
                let rows = batch.traceIDs.indices.filter { seen.insert(batch.key($0)).inserted }
                batch = batch.taking(rows)
            }
            guard batch.rowCount > 0 else { continue }
            if request.wantsTimes { try times.correct(&batch, item.part, context) }
            if try !body(batch, queue.restStartNanos) { return }
        }
    }

    // MARK: - Completion

    package func tagNames(
        _ tenant: Tenant, range: NanosRange, _ context: ReadContext
    ) throws -> [AttributeScope: [String]] {
        var names: [AttributeScope: Set<String>] = [:]
        for catalogue in try catalogues(tenant, range, context) {
            for key in catalogue.entries.keys {
                guard let scope = AttributeScope(rawValue: key.scope) else { continue }
                names[scope, default: []].insert(String(decoding: key.name, as: UTF8.self))
            }
        }
        return names.mapValues { $0.sorted() }
    }

    package func tagValues(
        _ subject: SpanCondition.Subject, _ request: SpanRequest, limit: Int,
        _ context: ReadContext
    ) throws -> [AttributeValue] {
        var values: Set<[UInt8]> = []
        var isComplete = false
        if let keys = subject.catalogueKeys, request.conditions.isEmpty {
            isComplete = true
            for catalogue in try catalogues(request.tenant, request.range, context) {
                for entry in keys.compactMap({ catalogue.entries[$0] }) {
                    values.formUnion(entry.values)
                    if !entry.isComplete { isComplete = false }
                }
            }
        }
        if !isComplete, values.count < limit {
            try search(request, context) { batch in
                subject.collect(from: batch, into: &values)
                return values.count < limit
            }
        }
        return values.compactMap { bytes in
            bytes.withUnsafeBytes { raw in
                var reader = ByteReader(raw)
                return try? AttributeCoding.decodeValue(&reader)
            }
        }.sorted(by: precedes).prefix(Swift.max(0, limit)).map { $0 }
    }

    private func catalogues(
        _ tenant: Tenant, _ range: NanosRange, _ context: ReadContext
    ) throws -> [Catalogue] {
        let snapshot = snapshot()
        snapshot.noteMissing(tenant, range, context)
        var catalogues: [Catalogue] = []
        for part in snapshot.parts(of: tenant)
        where range.overlaps(first: part.minStart, last: part.maxStart) {
            try context.check()
            do throws(PartCorruption) {
                catalogues.append(try part.catalogue())
            } catch { context.noteMissing(error) }
        }
        var live = Catalogue()
        for segment in snapshot.heads(of: tenant).flatMap({ $0.segments() })
        where range.overlaps(first: segment.minStart, last: segment.maxStart) {
            try context.check()
            live.add(segment.batch)
        }
        return catalogues + [live]
    }
}

extension TraceStore.Snapshot {
    /// Tells a query which parts of its range could not even be opened.
    func noteMissing(_ tenant: Tenant, _ range: NanosRange, _ context: ReadContext) {
        let faults = missing.faults(
            tenant: tenant.name, from: range.first.rawValue, to: range.last.rawValue)
        for fault in faults { context.noteMissing(fault) }
    }

    /// Parts of a tenant in order of arrival.
    func parts(of tenant: Tenant) -> [StoredPart] {
        parts.filter { $0.tenant == tenant.name }
            .sorted { PartDescriptor.isOlder($0.handle.descriptor, $1.handle.descriptor) }
    }

    /// Heads of a tenant, the older generation first.
    func heads(of tenant: Tenant) -> [TraceHead] {
        heads.sorted { $0.key < $1.key }.compactMap { $0.value[tenant.name] }
    }
}

extension SpanBatch {
    /// These rows in this order, self-contained; the batch itself when they are all of it.
    func taking(_ rows: [Int]) -> SpanBatch {
        if rows.count == rowCount { return self }
        var gatherer = SpanGatherer()
        gatherer.begin(self)
        for row in rows { gatherer.add(self, row) }
        return gatherer.batch
    }
}

extension SpanFilter {
    /// The one trace a search is about, when it names it.
    var onlyTrace: TraceID? {
        guard matchAll else { return nil }
        for test in tests where test.operation == .equal {
            if case .intrinsic(.traceID) = test.subject, let id = test.traceID { return id }
        }
        return nil
    }
}

extension Catalogue {
    /// Adds the attributes of rows in memory.
    mutating func add(_ batch: SpanBatch) {
        batch.arena.withUnsafeBytes { all in
            func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: all[slice.range])
            }
            for resource in batch.resources {
                add(list: bytes(resource.attributes), scope: .resource)
            }
            for scope in batch.scopes {
                add(list: bytes(scope.attributes), scope: .instrumentation)
            }
            let names = Set(batch.names.map { [UInt8](bytes($0)) })
            add(
                Key(scope: Catalogue.nameScope, name: []), names.map(encodedString),
                isComplete: true)
            for row in 0..<batch.rowCount {
                add(list: bytes(batch.attributes[row]), scope: .span)
                if !batch.events[row].isEmpty { addEvents(bytes(batch.events[row])) }
                if !batch.links[row].isEmpty { addLinks(bytes(batch.links[row])) }
            }
        }
    }

    private mutating func addEvents(_ list: UnsafeRawBufferPointer) {
        var reader = ByteReader(list)
        while !reader.isAtEnd {
            guard (try? reader.skip(8)) != nil, (try? reader.varint()) != nil,
                let name = try? reader.lengthPrefixed(),
                let attributes = try? reader.lengthPrefixed()
            else { return }
            add(
                Key(scope: Catalogue.eventNameScope, name: []), [encodedString([UInt8](name))],
                isComplete: true)
            add(list: attributes, scope: .event)
        }
    }

    private mutating func addLinks(_ list: UnsafeRawBufferPointer) {
        var reader = ByteReader(list)
        while !reader.isAtEnd {
            guard (try? reader.skip(28)) != nil, (try? reader.varint()) != nil,
                (try? reader.lengthPrefixed()) != nil, let attributes = try? reader.lengthPrefixed()
            else { return }
            add(list: attributes, scope: .link)
        }
    }
}
