// SPDX-License-Identifier: Apache-2.0
// OTLP traces: what decoding gives.

import Base
import Telemetry

/// `ExportTraceServiceRequest` from and to protobuf and JSON.
///
/// Source: opentelemetry-proto `collector/trace/v1`, `trace/v1` and "JSON Protobuf Encoding" of its
/// specification. Spans with unusable ids are left out and counted; everything else is kept as
/// sent. Unknown fields are ignored at every level.
package enum OTLPTraces {}

/// Spans of one request, and those that could not be taken.
package struct DecodedSpans: Sendable {
    package var batch: SpanBatch
    package var rejected: SpanRejections
    /// Attributes that were left out because an attribute of that key came before. They count as
    /// dropped attributes of their span or resource too.
    package var repeatedKeys: Int

    package init(
        batch: SpanBatch = SpanBatch(), rejected: SpanRejections = SpanRejections(),
        repeatedKeys: Int = 0
    ) {
        self.batch = batch
        self.rejected = rejected
        self.repeatedKeys = repeatedKeys
    }
}

/// Why spans were left out of a batch: for OTLP's partial success.
package struct SpanRejections: Sendable, Equatable {
    package enum Reason: Int, Sendable, CaseIterable {
        case traceID, spanID, parentID, malformed

        var text: String {
            switch self {
            case .traceID: "trace id must be 16 bytes and not all zero"
            case .spanID: "span id must be 8 bytes and not all zero"
            case .parentID: "parent span id must be empty or 8 bytes"
            case .malformed: "span cannot be read"
            }
        }
    }

    private var counts = [Int](repeating: 0, count: Reason.allCases.count)

    package init() {}

    package mutating func add(_ reason: Reason) { counts[reason.rawValue] &+= 1 }
    package subscript(reason: Reason) -> Int { counts[reason.rawValue] }
    /// Number of spans left out.
    package var count: Int { counts.reduce(0, &+) }

    /// `errorMessage` of the partial success: reasons with their counts. Empty when none.
    package var message: String {
        Reason.allCases.filter { self[$0] > 0 }
            .map { "\(self[$0]) rejected: \($0.text)" }.joined(separator: "; ")
    }
}

/// Fills a `SpanBatch` span by span; both encodings decode into it.
struct SpanAssembly {
    var batch = SpanBatch()
    var rejected = SpanRejections()

    /// The span at hand: fixed fields, and its lists until they go to the arena in one piece.
    var row = SpanRow()
    var attributes = ByteWriter()
    var events = ByteWriter()
    var links = ByteWriter()
    /// Attributes of the event, link, resource or scope at hand.
    var inner = ByteWriter()
    private var problem: SpanRejections.Reason?
    private var arenaStart = 0

    /// Attributes of spans and resources left out because their key came before.
    private var repeatedKeys = 0

    var result: DecodedSpans {
        DecodedSpans(batch: batch, rejected: rejected, repeatedKeys: repeatedKeys)
    }

    // MARK: resources and scopes

    /// Adds a resource to be filled; its spans may refer to it at once.
    mutating func addResource() -> Int {
        batch.resources.append(SpanBatch.Resource())
        return batch.resources.count - 1
    }

    mutating func addScope() -> Int {
        batch.scopes.append(SpanBatch.Scope())
        return batch.scopes.count - 1
    }

    /// Gives a resource the attributes collected in `inner`.
    mutating func takeResourceAttributes(_ index: Int) {
        if inner.bytes.isEmpty { return }
        let repeated = AttributeKeys.removeRepeated(from: &inner.bytes)
        repeatedKeys &+= Int(repeated)
        let dropped = batch.resources[index].droppedAttributes
        batch.resources[index].droppedAttributes =
            dropped.addingReportingOverflow(repeated).partialValue
        let slice = inner.bytes.withUnsafeBytes { batch.arena.keep($0) }
        inner.bytes.removeAll(keepingCapacity: true)
        batch.resources[index].attributes = slice
        let identity = ServiceIdentity(attributes: slice, in: batch.arena)
        batch.resources[index].serviceName = identity.name
        batch.resources[index].serviceNamespace = identity.namespace
        batch.resources[index].serviceInstance = identity.instance
    }

    /// Gives a scope the attributes collected in `inner`.
    mutating func takeScopeAttributes(_ index: Int) {
        if inner.bytes.isEmpty { return }
        batch.scopes[index].attributes = inner.bytes.withUnsafeBytes { batch.arena.keep($0) }
        inner.bytes.removeAll(keepingCapacity: true)
    }

    // MARK: spans

    mutating func beginSpan(resource: Int, scope: Int) {
        row = SpanRow()
        row.resource = UInt32(resource)
        row.scope = UInt32(scope)
        attributes.bytes.removeAll(keepingCapacity: true)
        events.bytes.removeAll(keepingCapacity: true)
        links.bytes.removeAll(keepingCapacity: true)
        problem = nil
        arenaStart = batch.arena.count
    }

    /// Keeps what is in the arena by now even when the span at hand is left out.
    mutating func holdArena() { arenaStart = batch.arena.count }

    mutating func set(traceID: TraceID?) {
        if let traceID { row.traceID = traceID } else { problem = problem ?? .traceID }
    }
    mutating func set(spanID: SpanID?) {
        if let spanID { row.spanID = spanID } else { problem = problem ?? .spanID }
    }
    mutating func set(parentID: SpanID?) {
        if let parentID { row.parentID = parentID } else { problem = problem ?? .parentID }
    }

    /// Adds an event whose attributes are in `inner`.
    mutating func addEvent(nanos: Int64, name: UnsafeRawBufferPointer, dropped: UInt32) {
        inner.bytes.withUnsafeBytes {
            SpanEventCoding.encode(
                nanos: nanos, name: name, droppedAttributes: dropped, attributes: $0, into: &events)
        }
        inner.bytes.removeAll(keepingCapacity: true)
    }

    /// Adds a link whose attributes are in `inner`; without usable ids it counts as dropped.
    mutating func addLink(
        traceID: TraceID?, spanID: SpanID?, flags: UInt32, dropped: UInt32,
        traceState: UnsafeRawBufferPointer
    ) {
        if let traceID, let spanID, !traceID.isZero, !spanID.isZero {
            inner.bytes.withUnsafeBytes {
                SpanLinkCoding.encode(
                    traceID: traceID, spanID: spanID, flags: flags, droppedAttributes: dropped,
                    traceState: traceState, attributes: $0, into: &links)
            }
        } else {
            invalidLinks &+= 1
        }
        inner.bytes.removeAll(keepingCapacity: true)
    }
    private var invalidLinks: UInt32 = 0

    /// Leaves out the span at hand, which could not be read to its end.
    mutating func dropSpan() {
        rejected.add(.malformed)
        batch.arena.removeSubrange(arenaStart...)
        inner.bytes.removeAll(keepingCapacity: true)
        invalidLinks = 0
    }

    /// Adds the span, or counts why not.
    mutating func endSpan() {
        defer { invalidLinks = 0 }
        if problem == nil, row.traceID.isZero { problem = .traceID }
        if problem == nil, row.spanID.isZero { problem = .spanID }
        if let problem {
            rejected.add(problem)
            batch.arena.removeSubrange(arenaStart...)
            return
        }
        row.droppedLinks = row.droppedLinks.addingReportingOverflow(invalidLinks).partialValue
        let repeated = AttributeKeys.removeRepeated(from: &attributes.bytes)
        repeatedKeys &+= Int(repeated)
        row.droppedAttributes = row.droppedAttributes.addingReportingOverflow(repeated).partialValue
        row.attributes = attributes.bytes.withUnsafeBytes { batch.arena.keep($0) }
        row.events = events.bytes.withUnsafeBytes { batch.arena.keep($0) }
        row.links = links.bytes.withUnsafeBytes { batch.arena.keep($0) }
        batch.add(row)
    }
}

/// Where a resource's service attributes lie in the arena.
struct ServiceIdentity {
    var name = ByteSlice.empty
    var namespace = ByteSlice.empty
    var instance = ByteSlice.empty

    /// Finds the string values of `service.name`, `service.namespace` and `service.instance.id`.
    init(attributes slice: ByteSlice, in arena: [UInt8]) {
        arena.withUnsafeBytes { all in
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: all[slice.range]))
            // The list was written by us: reading it cannot fail, and if it did, it would end here.
            while !reader.isAtEnd, let key = try? reader.lengthPrefixed() {
                let start = reader.offset
                guard (try? AttributeCoding.skipValue(&reader)) != nil else { return }
                guard key.count > 8, key.starts(with: "service.".utf8),
                    all[slice.range.lowerBound + start] == AttributeType.string.rawValue
                else { continue }
                var value = ByteReader(
                    UnsafeRawBufferPointer(
                        rebasing: all[slice.range].dropFirst(start + 1).prefix(
                            reader.offset - start - 1)))
                guard let text = try? value.lengthPrefixed() else { return }
                let found = ByteSlice(
                    offset: slice.range.lowerBound + reader.offset - text.count, count: text.count)
                if key.elementsEqual("service.name".utf8) {
                    if name.isEmpty { name = found }
                } else if key.elementsEqual("service.namespace".utf8) {
                    if namespace.isEmpty { namespace = found }
                } else if key.elementsEqual("service.instance.id".utf8) {
                    if instance.isEmpty { instance = found }
                }
            }
        }
    }
}

extension OTLPTraces {
    /// Largest body: slices of the arena count in 32 bits.
    static let maxBodyBytes = 1 << 30

    /// Time as it lies in a batch: unsigned nanoseconds beyond the range become the latest time.
    static func nanos(_ raw: UInt64) -> Int64 { Int64(clamping: raw) }
}
