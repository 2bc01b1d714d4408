// SPDX-License-Identifier: Apache-2.0
// Stored structure is that of whole traces, late spans included.

import Base
import Storage
import Telemetry
import Testing

@testable import TraceStore

@Suite struct StructureTests {
    /// Spans of one trace: id, parent, start and end in microseconds.
    private typealias Row = (id: UInt64, parent: UInt64, start: Int64, end: Int64)
    private let id = TraceID(high: 5, low: 6)
    private let first: Int64 = 1_700_000_000_000_000_000

    private func batch(_ rows: [Row], kind: UInt8 = 1) -> SpanBatch {
        var batch = SpanBatch()
        batch.scopes.append(SpanBatch.Scope())
        for (number, row) in rows.enumerated() {
            var resource = SpanBatch.Resource()
            resource.serviceName = batch.arena.keep("service-\(row.id % 3)")
            batch.resources.append(resource)
            var span = SpanRow()
            span.resource = UInt32(number)
            span.traceID = id
            span.spanID = SpanID(row.id)
            span.parentID = SpanID(row.parent)
            span.name = batch.arena.keep("step \(row.id % 4)")
            span.kind = kind
            span.startNanos = first + row.start * 1000
            span.endNanos = first + row.end * 1000
            batch.add(span)
        }
        return batch
    }

    /// Self times in microseconds by span id, as the store gives them with a trace and in a search.
    private func check(_ model: StoreModel, _ wanted: [UInt64: Int64], _ note: Comment) throws {
        let (spans, structure) = try model.store.structuredTrace(
            id, tenant: model.tenant, ReadContext())
        #expect(structure == SpanStructure(spans), note)
        var found: [UInt64: Int64] = [:]
        for row in 0..<spans.rowCount {
            found[spans.spanIDs[row].rawValue] = structure.selfTimeNanos[row] / 1000
        }
        #expect(found == wanted, note)
        for conditions in [
            [], [SpanCondition(.intrinsic(.traceID), .equal, .string(id.description))],
        ] {
            var request = SpanRequest(tenant: model.tenant, range: .all, conditions: conditions)
            request.wantsTimes = true
            var searched: [UInt64: Int64] = [:], path: Int64 = 0
            try model.store.search(request, ReadContext()) { batch in
                for row in 0..<batch.rowCount {
                    searched[batch.spanIDs[row].rawValue] = batch.selfTimeNanos[row] / 1000
                    path += batch.criticalPathNanos[row]
                }
                return true
            }
            #expect(searched == wanted, note)
            #expect(path == structure.criticalPathNanos.reduce(0, +), note)
        }
    }

    @Test func lateSpansAreOfTheOneTrace() throws {
        var model = StoreModel()
        _ = model.append(batch([(1, 0, 0, 100), (2, 1, 10, 60), (3, 2, 20, 30)]))
        try check(model, [1: 50, 2: 40, 3: 10], "in the head")
        try model.seal()
        try check(model, [1: 50, 2: 40, 3: 10], "in a part")
        _ = model.append(batch([(4, 1, 60, 90), (5, 3, 20, 25)]))
        try check(model, [1: 20, 2: 40, 3: 5, 4: 30, 5: 5], "late spans in a head")
        try model.reopen()
        try check(model, [1: 20, 2: 40, 3: 5, 4: 30, 5: 5], "after a restart")
        try model.seal()
        try check(model, [1: 20, 2: 40, 3: 5, 4: 30, 5: 5], "in two parts")
        try model.merge()
        try check(model, [1: 20, 2: 40, 3: 5, 4: 30, 5: 5], "merged")
        try model.reopen()
        try check(model, [1: 20, 2: 40, 3: 5, 4: 30, 5: 5], "merged and opened again")
    }

    @Test func ringsOrphansAndManyRootsAreBounded() throws {
        var model = StoreModel()
        let count: UInt64 = 3000
        // A ring, a chain of orphans, spans without ids, many roots.
        _ = model.append(batch((1...count).map { ($0, $0 % count + 1, 0, 10) }))
        _ = model.append(batch((1...count).map { ($0 + 10_000, $0 + 9999, 0, 10) }, kind: 2))
        _ = model.append(batch((1...50).map { (0, 0, Int64($0), 10) }, kind: 3))
        _ = model.append(batch((1...count).map { ($0 + 20_000, 0, 0, 10) }, kind: 4))
        try model.seal()
        let (spans, structure) = try model.store.structuredTrace(
            id, tenant: model.tenant, ReadContext())
        #expect(spans.rowCount == Int(count) * 3 + 50)
        #expect(structure == SpanStructure(spans))
        for handle in model.shelf.handles { #expect(model.store.verify(handle) == []) }
    }

    /// What parts store must be what their rows say, whatever they came from.
    @Test(arguments: 0..<4) func storedStructureIsThatOfTheRows(seed: Int) throws {
        var generator = SpanGenerator(seed: UInt64(seed) + 60)
        generator.spanIDs = 12
        var model = StoreModel()
        for round in 0..<6 {
            _ = model.append(generator.batch(rows: 150))
            if round % 2 == 1 { try model.seal() }
            if round == 3 { try model.merge() }
            for number in 0..<generator.traceCount as Range<Int> {
                let id = TraceID(high: 7, low: UInt64(number) << 40)
                let (spans, structure) = try model.store.structuredTrace(
                    id, tenant: model.tenant, ReadContext())
                #expect(structure == SpanStructure(spans))
            }
        }
        for handle in model.shelf.handles {
            let part = try TracePart(handle)
            var trees: [SpanKey: Int64] = [:]
            var byTrace: [TraceID: [SpanBatch]] = [:]
            for entry in part.directory.blocks {
                var block = SpanBlock(part, entry)
                let batch = try block.materialise(rows: Array(0..<entry.rowCount))
                let tree = try block.tree()
                for row in 0..<batch.rowCount {
                    trees[batch.key(row)] = tree.selfTimes[row]
                    byTrace[batch.traceIDs[row], default: []].append(batch.taking([row]))
                }
            }
            for batches in byTrace.values {
                var gatherer = SpanGatherer()
                for batch in batches {
                    gatherer.begin(batch)
                    gatherer.add(batch, 0)
                }
                let structure = SpanStructure(gatherer.batch)
                for row in 0..<gatherer.batch.rowCount {
                    #expect(
                        trees[gatherer.batch.key(row)] == structure.selfTimeNanos[row])
                }
            }
        }
    }
}
