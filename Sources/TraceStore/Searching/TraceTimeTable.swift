// SPDX-License-Identifier: Apache-2.0
// Self times and critical paths of spans that a search found.

import Base
import Telemetry

/// Makes the stored times of found spans those of their whole traces.
///
/// What a part stores is right for traces that lie in it whole. Others (in a head, in several parts,
/// late spans) are read and worked out, each once as long as it is remembered.
struct TraceTimeTable {
    private struct Times {
        var selfTime: Int64
        var criticalPath: Int64
    }
    private let store: TraceStore
    private let tenant: Tenant
    private let parts: [StoredPart]
    private let heads: [TraceHead]
    private var known: [SpanKey: Times] = [:]
    private var knownTraces: Set<TraceID> = []
    /// Spans remembered at most before all are forgotten: some 6 MB.
    private static let mostKnown = 1 << 16

    init(_ store: TraceStore, _ tenant: Tenant) {
        self.store = store
        self.tenant = tenant
        let snapshot = store.snapshot()
        parts = snapshot.parts(of: tenant)
        heads = snapshot.heads(of: tenant)
    }

    /// - Parameter part: where the batch comes from, with its stored times; nil = from a head.
    mutating func correct(
        _ batch: inout SpanBatch, _ part: StoredPart?, _ context: ReadContext
    ) throws {
        if part == nil {
            batch.selfTimeNanos = [Int64](repeating: 0, count: batch.rowCount)
            batch.criticalPathNanos = batch.selfTimeNanos
        }
        var isWhole: [TraceID: Bool] = [:]
        for row in 0..<batch.rowCount {
            let id = batch.traceIDs[row]
            if let part {
                let whole = try isWhole[id] ?? self.isWhole(id, in: part)
                isWhole[id] = whole
                if whole { continue }
            }
            let times = try self.times(batch.key(row), context)
            batch.selfTimeNanos[row] = times.selfTime
            batch.criticalPathNanos[row] = times.criticalPath
        }
    }

    private func isWhole(_ id: TraceID, in part: StoredPart) throws -> Bool {
        if heads.contains(where: { $0.shard(id).contains(id) }) { return false }
        for other in parts where other !== part && other.mayContain(id) {
            if try other.number(of: id) != nil { return false }
        }
        return true
    }

    private mutating func times(_ key: SpanKey, _ context: ReadContext) throws -> Times {
        let nothing = Times(selfTime: 0, criticalPath: 0)
        if let times = known[key] { return times }
        if knownTraces.contains(key.traceID) { return nothing }
        try context.check()
        let (spans, structure) = try store.structuredTrace(key.traceID, tenant: tenant, context)
        if known.count + spans.rowCount > TraceTimeTable.mostKnown {
            known.removeAll()
            knownTraces.removeAll()
        }
        knownTraces.insert(key.traceID)
        for row in 0..<spans.rowCount {
            known[spans.key(row)] = Times(
                selfTime: structure.selfTimeNanos[row],
                criticalPath: structure.criticalPathNanos[row])
        }
        return known[key] ?? nothing
    }
}
