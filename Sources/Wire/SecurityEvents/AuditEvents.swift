// SPDX-License-Identifier: Apache-2.0
// Kubernetes' audit events.

import Base
import Telemetry

/// The API server's audit webhook: an `EventList`, one `Event`, or events on lines of their own as
/// in the audit log.
///
/// An event as a whole is the line. Its time is `stageTimestamp`, else `requestReceivedTimestamp`;
/// the stream is `job="kubernetes-audit"` with the object's namespace; who did what to what is
/// structured metadata too, so that it is found without parsing. The level follows the answer's
/// status: 500 and up is an error, 400 and up a warning. Source: kubernetes.io, "Auditing";
/// k8s.io/apiserver `pkg/apis/audit/v1/types.go`.
package enum AuditEvents {
    package static let mapping: LogRecordMapping = {
        var mapping = LogRecordMapping()
        mapping.streamFields = ["namespace"]
        mapping.messageFields = []
        mapping.timeFields = []
        mapping.labels = [.init("job", "kubernetes-audit")]
        return mapping
    }()

    /// Members of an event, by path, and the metadata that they become.
    private static let lifted: [(path: [StaticString], name: StaticString)] = [
        (["verb"], "verb"), (["stage"], "stage"), (["auditID"], "audit_id"),
        (["user", "username"], "user"), (["objectRef", "namespace"], "namespace"),
        (["objectRef", "resource"], "resource"), (["objectRef", "subresource"], "subresource"),
        (["objectRef", "name"], "name"), (["responseStatus", "code"], "code"),
    ]

    /// - Throws: `MalformedBytes` when the events take more memory than the limits allow.
    package static func decode(
        _ body: UnsafeRawBufferPointer, _ mapping: LogRecordMapping, receivedNanos: Int64,
        limits: LogLimits = LogLimits()
    ) throws(MalformedBytes) -> DecodedLogs {
        var assembly = RecordAssembly(mapping, receivedNanos: receivedNanos, limits: limits)
        for text in JSONTexts(body) {
            do throws(MalformedJSON) {
                var reader = JSONReader(text, maxDepth: RecordAssembly.maxDepth)
                guard var items = try items(reader) else {
                    try decode(&reader, &assembly)
                    try reader.end()
                    continue
                }
                try items.beginArray()
                while try items.nextElement() {
                    try decode(&items, &assembly)
                    // One text may hold many events.
                    guard assembly.logs.result.batch.arena.count <= limits.maxDecodedBytes else {
                        break
                    }
                }
            } catch {
                assembly.logs.reject(1, "\(error)")
            }
            try assembly.checkSize()
        }
        return assembly.logs.result
    }

    /// The list in an `EventList`; nil when the object is none.
    private static func items(_ reader: JSONReader) throws(MalformedJSON) -> JSONReader? {
        var reader = reader
        var items: JSONReader?
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if key.equals("items"), try reader.peek() == .array { items = reader }
            try reader.skipValue()
        }
        try reader.end()
        return items
    }

    private static func decode(
        _ reader: inout JSONReader, _ assembly: inout RecordAssembly
    ) throws(MalformedJSON) {
        var members = reader
        guard try reader.peek() == .object else { throw reader.malformed("an audit event") }
        let text = try reader.skipValue()
        assembly.begin()
        var event = Event()
        try read(&members, [], &assembly, &event)
        guard event.isAudit else {
            throw reader.malformed("an event with auditID, or an EventList of them")
        }
        let level: LogLevel =
            switch event.code {
            case 500...: .error
            case 400...: .warn
            default: .info
            }
        _ = assembly.endRecord(
            nanos: event.stageNanos ?? event.requestNanos ?? assembly.receivedNanos, level: level
        ) { appendCompactJSON(text, to: &$0) }
    }

    private struct Event {
        var isAudit = false
        var code: Int64 = 0
        var stageNanos: Int64?
        var requestNanos: Int64?
    }

    /// Reads an object of the event; lifts what is known by its path.
    private static func read(
        _ reader: inout JSONReader, _ path: [StaticString], _ assembly: inout RecordAssembly,
        _ event: inout Event
    ) throws(MalformedJSON) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let kind = try reader.peek()
            if kind == .object, path.isEmpty,
                let inner = lifted.first(where: { $0.path.count == 2 && key.equals($0.path[0]) })
            {
                try read(&reader, [inner.path[0]], &assembly, &event)
                continue
            }
            guard kind == .string || kind == .number else {
                try reader.skipValue()
                continue
            }
            let value =
                kind == .string ? try reader.string() : JSONText(raw: try reader.skipValue())
            if path.isEmpty {
                if key.equals("auditID") { event.isAudit = true }
                if key.equals("stageTimestamp") { event.stageNanos = nanos(value) }
                if key.equals("requestReceivedTimestamp") { event.requestNanos = nanos(value) }
            } else if key.equals("code") {
                event.code = parseInteger(value.raw, as: Int64.self) ?? 0
            }
            let field = lifted.first { field in
                field.path.count == path.count + 1 && key.equals(field.path[path.count])
                    && (path.isEmpty || equalBytes(field.path[0].bytes, path[0].bytes))
            }
            guard let field else { continue }
            var scratch: [UInt8] = []
            value.withBytes(scratch: &scratch) { assembly.add(field.name, $0) }
        }
    }

    private static func nanos(_ value: JSONText) -> Int64? { RecordTime.nanos(value.raw) }
}
