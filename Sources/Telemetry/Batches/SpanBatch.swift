// SPDX-License-Identifier: Apache-2.0
// Spans in columns.

/// Rows of spans with their resources and scopes once each.
package struct SpanBatch: Sendable {
    /// The thing that produced spans. Attributes are an `AttributeCoding` list.
    package struct Resource: Sendable, Hashable, BitwiseCopyable {
        package var attributes: ByteSlice
        package var schemaURL: ByteSlice
        package var droppedAttributes: UInt32
        /// Values of `service.name`, `service.namespace` and `service.instance.id`, as slices of
        /// the arena; empty when absent or not a string.
        package var serviceName: ByteSlice
        package var serviceNamespace: ByteSlice
        package var serviceInstance: ByteSlice
        package init() {
            attributes = .empty
            schemaURL = .empty
            droppedAttributes = 0
            serviceName = .empty
            serviceNamespace = .empty
            serviceInstance = .empty
        }
    }
    /// The instrumentation library.
    package struct Scope: Sendable, Hashable, BitwiseCopyable {
        package var name: ByteSlice
        package var version: ByteSlice
        package var attributes: ByteSlice
        package var schemaURL: ByteSlice
        package var droppedAttributes: UInt32
        package init() {
            name = .empty
            version = .empty
            attributes = .empty
            schemaURL = .empty
            droppedAttributes = 0
        }
    }

    package var arena: [UInt8] = []
    package var resources: [Resource] = []
    package var scopes: [Scope] = []

    // One entry per span in each column.
    package var traceIDs: [TraceID] = []
    package var spanIDs: [SpanID] = []
    package var parentIDs: [SpanID] = []
    /// Indices into `resources` and `scopes`.
    package var rowResources: [UInt32] = []
    package var rowScopes: [UInt32] = []
    package var names: [ByteSlice] = []
    /// OTLP's `SpanKind`: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    package var kinds: [UInt8] = []
    package var startNanos: [Int64] = []
    /// At least `startNanos` in well-formed data; kept as sent.
    package var endNanos: [Int64] = []
    /// OTLP's status code: 0 unset, 1 ok, 2 error.
    package var statusCodes: [UInt8] = []
    package var statusMessages: [ByteSlice] = []
    package var traceStates: [ByteSlice] = []
    package var flags: [UInt32] = []
    /// `AttributeCoding` lists.
    package var attributes: [ByteSlice] = []
    /// `SpanEventCoding` and `SpanLinkCoding` lists.
    package var events: [ByteSlice] = []
    package var links: [ByteSlice] = []
    package var droppedAttributes: [UInt32] = []
    package var droppedEvents: [UInt32] = []
    package var droppedLinks: [UInt32] = []

    /// Self time and time on the critical path as `SpanStructure` has them; empty unless a search
    /// asked for them (`SpanRequest.wantsTimes`). No part of the log-record form.
    package var selfTimeNanos: [Int64] = []
    package var criticalPathNanos: [Int64] = []

    package init() {}

    package var rowCount: Int { traceIDs.count }
}

/// One span's row, for adding to a batch.
package struct SpanRow: Sendable {
    package var traceID = TraceID.zero
    package var spanID = SpanID.zero
    package var parentID = SpanID.zero
    package var resource: UInt32 = 0
    package var scope: UInt32 = 0
    package var name = ByteSlice.empty
    package var kind: UInt8 = 0
    package var startNanos: Int64 = 0
    package var endNanos: Int64 = 0
    package var statusCode: UInt8 = 0
    package var statusMessage = ByteSlice.empty
    package var traceState = ByteSlice.empty
    package var flags: UInt32 = 0
    package var attributes = ByteSlice.empty
    package var events = ByteSlice.empty
    package var links = ByteSlice.empty
    package var droppedAttributes: UInt32 = 0
    package var droppedEvents: UInt32 = 0
    package var droppedLinks: UInt32 = 0
    package init() {}
}

extension SpanBatch {
    package mutating func add(_ row: SpanRow) {
        traceIDs.append(row.traceID)
        spanIDs.append(row.spanID)
        parentIDs.append(row.parentID)
        rowResources.append(row.resource)
        rowScopes.append(row.scope)
        names.append(row.name)
        kinds.append(row.kind)
        startNanos.append(row.startNanos)
        endNanos.append(row.endNanos)
        statusCodes.append(row.statusCode)
        statusMessages.append(row.statusMessage)
        traceStates.append(row.traceState)
        flags.append(row.flags)
        attributes.append(row.attributes)
        events.append(row.events)
        links.append(row.links)
        droppedAttributes.append(row.droppedAttributes)
        droppedEvents.append(row.droppedEvents)
        droppedLinks.append(row.droppedLinks)
    }

    package func row(_ i: Int) -> SpanRow {
        var row = SpanRow()
        row.traceID = traceIDs[i]
        row.spanID = spanIDs[i]
        row.parentID = parentIDs[i]
        row.resource = rowResources[i]
        row.scope = rowScopes[i]
        row.name = names[i]
        row.kind = kinds[i]
        row.startNanos = startNanos[i]
        row.endNanos = endNanos[i]
        row.statusCode = statusCodes[i]
        row.statusMessage = statusMessages[i]
        row.traceState = traceStates[i]
        row.flags = flags[i]
        row.attributes = attributes[i]
        row.events = events[i]
        row.links = links[i]
        row.droppedAttributes = droppedAttributes[i]
        row.droppedEvents = droppedEvents[i]
        row.droppedLinks = droppedLinks[i]
        return row
    }
}
