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
        /// First half of the trace id; `trace` is the second.
        package var traceHigh: UInt64 = 0
        /// Empty = the resource has no name.
        package var service = "shop"
        package var name = ""
        package var kind: UInt8 = 1
        package var status: UInt8 = 0
        package var start: Int64 = 0
        package var duration: Int64 = 1
        package var attributes: [(String, AttributeValue)] = []
        package var events: [String] = []
        package var statusMessage = ""
        package var traceState = ""
        /// Of the resource, beside its name.
        package var resource: [(String, AttributeValue)] = []
        package var scopeName = ""
        package var scopeVersion = ""
        package var scope: [(String, AttributeValue)] = []
        /// Events with attributes, behind `events`.
        package var richEvents: [Event] = []
        package var links: [Link] = []

        package init(trace: UInt64, id: UInt64) {
            self.trace = trace
            self.id = id
        }

        package var traceID: TraceID { TraceID(high: traceHigh, low: trace) }
    }
    package struct Event {
        package var name: String
        /// After the span's start.
        package var nanos: Int64
        package var attributes: [(String, AttributeValue)]
        package init(_ name: String, nanos: Int64, _ attributes: [(String, AttributeValue)]) {
            self.name = name
            self.nanos = nanos
            self.attributes = attributes
        }
    }
    package struct Link {
        package var trace: UInt64
        package var span: UInt64
        package var attributes: [(String, AttributeValue)]
        package init(trace: UInt64, span: UInt64, _ attributes: [(String, AttributeValue)]) {
            self.trace = trace
            self.span = span
            self.attributes = attributes
        }
    }
    private var spans: [Span] = []
    /// Rows per batch of a search.
    package var batchRows = 3

    package init() {}

    package mutating func add(_ span: Span) { spans.append(span) }

    /// Spans as a batch, each with a resource and a scope of its own.
    package static func batch(_ spans: some Sequence<Span>) -> SpanBatch {
        var batch = SpanBatch()
        for span in spans {
            var resource = SpanBatch.Resource()
            var attributes = span.resource
            if !span.service.isEmpty {
                attributes.insert(("service.name", .string(span.service)), at: 0)
                resource.serviceName = batch.arena.keep(span.service)
            }
            resource.attributes = list(attributes).withUnsafeBytes { batch.arena.keep($0) }
            batch.resources.append(resource)
            var scope = SpanBatch.Scope()
            scope.name = batch.arena.keep(span.scopeName)
            scope.version = batch.arena.keep(span.scopeVersion)
            scope.attributes = list(span.scope).withUnsafeBytes { batch.arena.keep($0) }
            batch.scopes.append(scope)
            batch.add(row(span, number: batch.rowCount, &batch.arena))
        }
        return batch
    }

    private static func row(_ span: Span, number: Int, _ arena: inout [UInt8]) -> SpanRow {
        var row = SpanRow()
        row.traceID = span.traceID
        row.spanID = SpanID(span.id)
        row.parentID = SpanID(span.parent)
        row.resource = UInt32(number)
        row.scope = UInt32(number)
        row.name = arena.keep(span.name)
        row.kind = span.kind
        row.statusCode = span.status
        row.statusMessage = arena.keep(span.statusMessage)
        row.traceState = arena.keep(span.traceState)
        row.startNanos = span.start
        row.endNanos = span.start + span.duration
        row.attributes = list(span.attributes).withUnsafeBytes { arena.keep($0) }
        var writer = ByteWriter()
        for event in span.events.map({ Event($0, nanos: 0, []) }) + span.richEvents {
            Array(event.name.utf8).withUnsafeBytes { name in
                list(event.attributes).withUnsafeBytes {
                    SpanEventCoding.encode(
                        nanos: span.start + event.nanos, name: name, droppedAttributes: 0,
                        attributes: $0, into: &writer)
                }
            }
        }
        row.events = writer.bytes.withUnsafeBytes { arena.keep($0) }
        writer = ByteWriter()
        for link in span.links {
            list(link.attributes).withUnsafeBytes {
                SpanLinkCoding.encode(
                    traceID: TraceID(high: 0, low: link.trace), spanID: SpanID(link.span),
                    flags: 0, droppedAttributes: 0,
                    traceState: UnsafeRawBufferPointer(start: nil, count: 0), attributes: $0,
                    into: &writer)
            }
        }
        row.links = writer.bytes.withUnsafeBytes { arena.keep($0) }
        return row
    }

    private static func list(_ attributes: [(String, AttributeValue)]) -> [UInt8] {
        var writer = ByteWriter()
        for (key, value) in attributes { AttributeCoding.encode(key, value, into: &writer) }
        return writer.bytes
    }

    package func trace(
        _ id: TraceID, tenant: Tenant, _ context: ReadContext
    ) throws -> SpanBatch {
        InMemorySpans.batch(
            spans.filter { $0.traceID == id }.sorted { $0.start < $1.start })
    }

    package func search(
        newestFirst request: SpanRequest, _ context: ReadContext,
        _ body: (SpanBatch, _ restStartNanos: Int64) throws -> Bool
    ) throws {
        let newest = spans.sorted { $0.start > $1.start }
        var start = 0
        while start < newest.count {
            let end = min(start + batchRows, newest.count)
            let rest = end < newest.count ? newest[end].start : Int64.min
            if try !body(InMemorySpans.batch(newest[start..<end]), rest) { return }
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
