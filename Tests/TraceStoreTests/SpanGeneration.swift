// SPDX-License-Identifier: Apache-2.0
// Random spans, and spans as plain values to compare with.

import Base
import Storage
import Telemetry
import TraceStore

/// SplitMix64: the same spans for the same seed.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
    mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

/// A span with everything that belongs to it, as bytes.
struct PlainSpan: Hashable {
    var traceID: TraceID
    var spanID: SpanID
    var parentID: SpanID
    var resource: [[UInt8]]
    var resourceDropped: UInt32
    var scope: [[UInt8]]
    var scopeDropped: UInt32
    var name: [UInt8]
    var kind: UInt8
    var start: Int64
    var end: Int64
    var status: UInt8
    var texts: [[UInt8]]
    var flags: UInt32
    var dropped: [UInt32]

    struct Identity: Hashable {
        var traceID: TraceID
        var spanID: SpanID
        var kind: UInt8
        var start: Int64
    }
    var identity: Identity {
        Identity(traceID: traceID, spanID: spanID, kind: kind, start: start)
    }

    init(_ batch: SpanBatch, _ row: Int) {
        func bytes(_ slice: ByteSlice) -> [UInt8] { Array(batch.arena[slice.range]) }
        let resource = batch.resources[Int(batch.rowResources[row])]
        let scope = batch.scopes[Int(batch.rowScopes[row])]
        traceID = batch.traceIDs[row]
        spanID = batch.spanIDs[row]
        parentID = batch.parentIDs[row]
        self.resource = [
            resource.attributes, resource.schemaURL, resource.serviceName,
            resource.serviceNamespace, resource.serviceInstance,
        ].map(bytes)
        resourceDropped = resource.droppedAttributes
        self.scope = [scope.name, scope.version, scope.attributes, scope.schemaURL].map(bytes)
        scopeDropped = scope.droppedAttributes
        name = bytes(batch.names[row])
        kind = batch.kinds[row]
        start = batch.startNanos[row]
        end = batch.endNanos[row]
        status = batch.statusCodes[row]
        texts = [
            batch.statusMessages[row], batch.traceStates[row], batch.attributes[row],
            batch.events[row], batch.links[row],
        ].map(bytes)
        flags = batch.flags[row]
        dropped = [batch.droppedAttributes[row], batch.droppedEvents[row], batch.droppedLinks[row]]
    }
}

extension SpanBatch {
    var plain: [PlainSpan] { (0..<rowCount).map { PlainSpan(self, $0) } }
}

/// Makes batches that look like traffic: few services and names, many attributes, some events.
struct SpanGenerator {
    var random: Seeded
    /// Spans start inside this stretch.
    var firstNanos: Int64 = 1_700_000_000_000_000_000
    var spanNanos: Int64 = 3_600_000_000_000
    var traceCount = 40
    /// Numbers of traces begin here.
    var firstTrace = 0
    var spanIDs = 400

    init(seed: UInt64) { random = Seeded(seed) }

    mutating func attributes(_ most: Int) -> [UInt8] {
        var writer = ByteWriter()
        for _ in 0..<random.below(most + 1) {
            let key = ["http.route", "http.status_code", "ratio", "retry", "user.id", "tags", ""][
                random.below(7)]
            AttributeCoding.encode(key, value(depth: 0), into: &writer)
        }
        return writer.bytes
    }

    private mutating func value(depth: Int) -> AttributeValue {
        switch random.below(depth > 2 ? 6 : 8) {
        case 0: .string(["/cart", "/pay", "GET", ""][random.below(4)])
        case 1: .string("id-\(random.next())")
        case 2: .int(Int64(random.below(600)) - 10)
        case 3: .double([0.5, -1.25, .nan, .infinity, 3][random.below(5)])
        case 4: .bool(random.chance(50))
        case 5: random.chance(50) ? .empty : .bytes([0, 255, 7])
        case 6: .array((0..<random.below(3)).map { _ in value(depth: depth + 1) })
        default: .map([("a", value(depth: depth + 1)), ("a", value(depth: depth + 1))])
        }
    }

    mutating func batch(rows: Int) -> SpanBatch {
        var batch = SpanBatch()
        for service in ["cart", "pay", "front", ""].prefix(1 + random.below(4)) {
            var writer = ByteWriter()
            AttributeCoding.encode("service.name", .string(service), into: &writer)
            AttributeCoding.encode(
                "service.version", .string("v\(random.below(2))"), into: &writer)
            var resource = SpanBatch.Resource()
            resource.attributes = batch.arena.keep(writer)
            resource.serviceName = batch.arena.keep(service)
            resource.serviceNamespace = batch.arena.keep("shop")
            resource.schemaURL = batch.arena.keep(random.chance(50) ? "https://schema" : "")
            resource.droppedAttributes = UInt32(random.below(2))
            batch.resources.append(resource)
        }
        for name in ["tracer", "other"] {
            var scope = SpanBatch.Scope()
            scope.name = batch.arena.keep(name)
            scope.version = batch.arena.keep("1.\(random.below(2))")
            scope.attributes = batch.arena.keep(ByteWriter(attributes(1)))
            batch.scopes.append(scope)
        }
        for _ in 0..<rows { batch.add(row(&batch)) }
        return batch
    }

    private mutating func row(_ batch: inout SpanBatch) -> SpanRow {
        var row = SpanRow()
        row.traceID = TraceID(high: 7, low: UInt64(firstTrace + random.below(traceCount)) << 40)
        row.spanID = SpanID(UInt64(1 + random.below(spanIDs)))
        row.parentID = SpanID(UInt64(random.below(5)))
        row.resource = UInt32(random.below(batch.resources.count))
        row.scope = UInt32(random.below(batch.scopes.count))
        row.name = batch.arena.keep(["GET /", "SELECT", "publish", "x"][random.below(4)])
        row.kind = UInt8(random.below(6))
        let millis = Int64(random.next() % UInt64(spanNanos / 1_000_000))
        row.startNanos = firstNanos + millis * 1_000_000
        row.endNanos = row.startNanos + Int64(random.below(2_000_000_000)) - 5
        row.statusCode = UInt8(random.below(3))
        if row.statusCode == 2 { row.statusMessage = batch.arena.keep("broken \(random.below(3))") }
        if random.chance(10) { row.traceState = batch.arena.keep("ot=th:8") }
        row.flags = UInt32(random.below(2) * 0x101)
        row.attributes = batch.arena.keep(ByteWriter(attributes(6)))
        if random.chance(30) {
            var writer = ByteWriter()
            for _ in 0...random.below(3) {
                let attributes = attributes(2)
                "exception".utf8.withBytes { name in
                    attributes.withUnsafeBytes {
                        SpanEventCoding.encode(
                            nanos: row.startNanos + 5, name: name, droppedAttributes: 1,
                            attributes: $0, into: &writer)
                    }
                }
            }
            row.events = batch.arena.keep(writer)
        }
        if random.chance(10) {
            var writer = ByteWriter()
            let attributes = attributes(2)
            "s=1".utf8.withBytes { state in
                attributes.withUnsafeBytes {
                    SpanLinkCoding.encode(
                        traceID: TraceID(high: 1, low: 2), spanID: SpanID(3), flags: 4,
                        droppedAttributes: 5, traceState: state, attributes: $0, into: &writer)
                }
            }
            row.links = batch.arena.keep(writer)
        }
        row.droppedAttributes = UInt32(random.below(2))
        row.droppedEvents = UInt32(random.below(2))
        row.droppedLinks = UInt32(random.below(2))
        return row
    }
}

extension ByteWriter {
    init(_ bytes: [UInt8]) {
        self.init()
        raw(bytes)
    }
}

extension Array where Element == UInt8 {
    mutating func keep(_ writer: ByteWriter) -> ByteSlice {
        writer.bytes.withUnsafeBytes { keep($0) }
    }
}

extension String.UTF8View {
    func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) { Array(self).withUnsafeBytes(body) }
}

/// Does with drafts what the kernel does, in memory.
struct PartShelf {
    private(set) var handles: [PartHandle] = []
    private var nextID: UInt64 = 1

    /// Opens drafts as parts and gives them ids.
    mutating func add(_ drafts: [PartDraft], level: UInt8 = 0) throws -> [PartHandle] {
        try drafts.map { draft in
            let reader = try PartReader(SharedBytes(draft.bytes), name: "part-\(nextID)")
            let descriptor = PartDescriptor(
                id: nextID, signal: reader.signal, tenant: draft.tenant, day: draft.day,
                level: level, minNanos: draft.minNanos, maxNanos: draft.maxNanos,
                rowCount: draft.rowCount, byteCount: UInt64(draft.bytes.count), lastSequence: 0)
            nextID += 1
            let handle = PartHandle(descriptor: descriptor, reader: reader)
            handles.append(handle)
            return handle
        }
    }

    mutating func remove(_ ids: [UInt64]) { handles.removeAll { ids.contains($0.descriptor.id) } }

    /// Groups of parts that the kernel may merge: same tenant and day.
    var mergeable: [[PartHandle]] {
        var groups: [String: [PartHandle]] = [:]
        for handle in handles {
            groups["\(handle.descriptor.tenant)/\(handle.descriptor.day)", default: []]
                .append(handle)
        }
        return groups.sorted { $0.key < $1.key }.map(\.value).filter { $0.count > 1 }
    }
}
