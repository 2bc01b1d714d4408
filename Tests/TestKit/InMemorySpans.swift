// SPDX-License-Identifier: Apache-2.0
// A trace store for tests: everything in memory, nothing clever.

import Base
import Telemetry

/// Keeps spans in one batch and answers requests by handing out all of them. It ignores hints, so
/// that engines are seen to check everything themselves.
package struct InMemorySpans: SpanReading {
    package struct Span {
        package var trace: UInt64
        package var id: UInt64
        package var parent: UInt64 = 0
        package var service = "shop"
        package var name = ""
        package var kind: UInt8 = 1
        package var status: UInt8 = 0
        package var start: Int64 = 0
        package var duration: Int64 = 1
        package var attributes: [(String, AttributeValue)] = []
        package var events: [String] = []
        package init(trace: UInt64, id: UInt64) {
            self.trace = trace
            self.id = id
        }
    }
    private var spans: [Span] = []
    /// Rows per batch of a search.
    package var batchRows = 3

    package init() {}

    package mutating func add(_ span: Span) { spans.append(span) }

    private static func batch(_ spans: some Sequence<Span>) -> SpanBatch {
        var batch = SpanBatch()
        batch.scopes.append(SpanBatch.Scope())
        for span in spans {
            var resource = SpanBatch.Resource()
            var writer = ByteWriter()
            AttributeCoding.encode("service.name", .string(span.service), into: &writer)
            resource.attributes = writer.bytes.withUnsafeBytes { batch.arena.keep($0) }
            resource.serviceName = batch.arena.keep(span.service)
            batch.resources.append(resource)
            var row = SpanRow()
            row.traceID = TraceID(high: 0, low: span.trace)
            row.spanID = SpanID(span.id)
            row.parentID = SpanID(span.parent)
            row.resource = UInt32(batch.resources.count - 1)
            row.name = batch.arena.keep(span.name)
            row.kind = span.kind
            row.statusCode = span.status
            row.startNanos = span.start
            row.endNanos = span.start + span.duration
            writer = ByteWriter()
            for (key, value) in span.attributes {
                AttributeCoding.encode(key, value, into: &writer)
            }
            row.attributes = writer.bytes.withUnsafeBytes { batch.arena.keep($0) }
            writer = ByteWriter()
            for event in span.events {
                var event = event
                event.withUTF8 { name in
                    SpanEventCoding.encode(
                        nanos: span.start, name: UnsafeRawBufferPointer(name), droppedAttributes: 0,
                        attributes: UnsafeRawBufferPointer(start: nil, count: 0), into: &writer)
                }
            }
            row.events = writer.bytes.withUnsafeBytes { batch.arena.keep($0) }
            batch.add(row)
        }
        return batch
    }

    package func trace(
        _ id: TraceID, tenant: Tenant, _ context: ReadContext
    ) throws -> SpanBatch {
        InMemorySpans.batch(
            spans.filter { TraceID(high: 0, low: $0.trace) == id }.sorted { $0.start < $1.start })
    }

    package func search(
        _ request: SpanRequest, _ context: ReadContext, _ body: (SpanBatch) throws -> Bool
    ) throws {
        let newest = spans.sorted { $0.start > $1.start }
        var start = 0
        while start < newest.count {
            let end = min(start + batchRows, newest.count)
            if try !body(InMemorySpans.batch(newest[start..<end])) { return }
            start = end
        }
    }

    package func tagNames(
        _ tenant: Tenant, range: NanosRange, _ context: ReadContext
    ) throws -> [AttributeScope: [String]] {
        [
            .resource: ["service.name"],
            .span: Set(spans.flatMap { $0.attributes.map(\.0) }).sorted(),
        ]
    }

    package func tagValues(
        _ subject: SpanCondition.Subject, _ request: SpanRequest, limit: Int,
        _ context: ReadContext
    ) throws -> [AttributeValue] {
        switch subject {
        case .intrinsic(.name):
            Set(spans.map(\.name)).sorted().prefix(limit).map { .string($0) }
        case .attribute(_, "service.name"):
            Set(spans.map(\.service)).sorted().prefix(limit).map { .string($0) }
        default: []
        }
    }
}
