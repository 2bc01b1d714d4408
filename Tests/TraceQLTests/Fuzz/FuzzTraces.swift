// SPDX-License-Identifier: Apache-2.0
// Random small traces, in memory and in a store with heads, parts and merged parts.

import Base
import Storage
import Telemetry
import TestKit
import TraceStore

/// Makes traces with everything that may go wrong in one: missing and late spans, rings, several
/// roots, shared ids, spans that start together.
struct FuzzTraces {
    static let start: Int64 = 1_700_000_000_000_000_000
    static let keys = ["a", "b", "n", "long key"]
    static let texts = ["x", "y", "xy", "", "x=1", "ö"]

    private var chance: Chance
    private(set) var spans: [InMemorySpans.Span] = []

    init(_ chance: Chance, traces: Int) {
        self.chance = chance
        for number in 0..<traces { addTrace(UInt64(number) + 1) }
    }

    private mutating func pick<T>(_ values: [T]) -> T { values[chance.below(values.count)] }

    private mutating func addTrace(_ number: UInt64) {
        let count = 1 + chance.skewed(12)
        let base = FuzzTraces.start + Int64(chance.below(120)) * 500_000_000
        let high = number % 2 == 0 ? number << 40 : 0
        var known: Set<String> = []
        for id in 1...UInt64(count) {
            var span = InMemorySpans.Span(trace: number, id: id)
            span.traceHigh = high
            if chance.happens(1, in: 12), id > 1 { span.id = id - 1 }
            switch chance.below(12) {
            case 0: span.parent = UInt64(100 + chance.below(2))
            case 1: span.parent = UInt64(1 + chance.below(count))
            case 2: span.parent = 0
            default: span.parent = id == 1 ? 0 : UInt64(1 + chance.below(Int(id) - 1))
            }
            span.kind = UInt8(chance.below(6))
            span.status = UInt8(chance.below(3))
            span.start = base + Int64(chance.below(20)) * 250_000_000
            span.duration = pick([
                0, 1, 2, 250_000_000, 1_000_000_000, 1_500_000_000, 3_600_000_000,
            ])
            span.service = pick(["front", "cart", "bank", ""])
            span.name = pick(["GET /", "load", "charge", ""])
            span.statusMessage = pick(["", "", "broken"])
            span.scopeName = pick(["", "lib"])
            span.scopeVersion = pick(["", "1.0"])
            span.attributes = attributes(4)
            span.resource = attributes(2)
            span.scope = attributes(1)
            for _ in 0..<chance.skewed(4) {
                span.richEvents.append(
                    InMemorySpans.Event(
                        pick(["retry", "log", ""]), nanos: Int64(chance.below(5)) * 100,
                        attributes(2)))
            }
            for _ in 0..<chance.skewed(3) {
                span.links.append(
                    InMemorySpans.Link(
                        trace: UInt64(chance.below(5)), span: UInt64(chance.below(5)),
                        attributes(2)))
            }
            // The same identity is the same span.
            if known.insert("\(span.id) \(span.kind) \(span.start)").inserted { spans.append(span) }
        }
    }

    private mutating func attributes(_ bound: Int) -> [(String, AttributeValue)] {
        (0..<chance.below(bound + 1)).map { _ in (pick(FuzzTraces.keys), value(depth: 0)) }
    }

    private mutating func value(depth: Int) -> AttributeValue {
        switch chance.below(depth > 0 ? 9 : 13) {
        case 0, 1, 2: return .int(Int64(chance.below(5)) - 1)
        case 3, 4: return .double(pick([0, 0.5, 1, 2, -1.5, 1e6]))
        case 5, 6: return .string(pick(FuzzTraces.texts))
        case 7: return .bool(chance.happens(1, in: 2))
        case 8: return pick([.empty, .bytes([1]), .map([("k", .int(1))]), .int(1 << 53 + 1)])
        default: return .array((0..<chance.below(4)).map { _ in value(depth: depth + 1) })
        }
    }

    var traces: [NaiveTrace] {
        Dictionary(grouping: spans) { $0.traceID }.values.map { NaiveTrace($0) }
    }

    /// The spans in memory, in any order.
    var inMemory: InMemorySpans {
        var store = InMemorySpans()
        store.batchRows = 7
        for span in spans { store.add(span) }
        return store
    }

    // MARK: store

    /// The spans in a store: sent in any order, some twice, sealed and merged on the way. Blocks are
    /// small, so that merges take some over and some apart.
    func stored(_ chance: Chance) throws -> TraceStore {
        var chance = chance
        var configuration = TraceStoreConfiguration()
        configuration.blockRows = 1 + chance.below(40)
        configuration.carriedBlockRows = 1 + chance.below(configuration.blockRows)
        configuration.carriedBlockOperations = 1 + chance.below(20)
        configuration.directoryCacheBytes = chance.happens(1, in: 2) ? 0 : 64 << 20
        let store = TraceStore(configuration)
        var left = spans
        for i in left.indices.dropFirst() { left.swapAt(i, chance.below(i + 1)) }
        if chance.happens(1, in: 2) { left += left.filter { _ in chance.happens(1, in: 6) } }
        var handles: [PartHandle] = []
        var nextID: UInt64 = 1
        var generation: UInt64 = 1
        func handle(_ draft: PartDraft, level: UInt8) throws -> PartHandle {
            defer { nextID += 1 }
            return PartHandle(
                descriptor: PartDescriptor(
                    id: nextID, signal: .traces, tenant: draft.tenant, day: draft.day,
                    level: level, minNanos: draft.minNanos, maxNanos: draft.maxNanos,
                    rowCount: draft.rowCount, byteCount: UInt64(draft.bytes.count),
                    retentionClass: draft.retentionClass, lastSequence: generation),
                reader: try PartReader(SharedBytes(draft.bytes), name: "part-\(nextID)"))
        }
        while !left.isEmpty {
            let batch = left.prefix(1 + chance.below(spans.count))
            left.removeFirst(batch.count)
            store.append(
                InMemorySpans.batch(batch), tenant: .anonymous, generation: generation,
                sequence: generation)
            guard chance.happens(2, in: 3) else { continue }
            let parts = try store.seal(generation: generation).map { try handle($0, level: 0) }
            handles += parts
            store.sealed(generation: generation, parts: parts)
            generation += 1
            guard chance.happens(1, in: 3), handles.count > 1 else { continue }
            let merged = try store.merge(handles, shouldStop: { false })
                .map { try handle($0, level: 1) }
            store.replace(removed: handles.map(\.descriptor.id), added: merged)
            handles = merged
        }
        return store
    }
}
