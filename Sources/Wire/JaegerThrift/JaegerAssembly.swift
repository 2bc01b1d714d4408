// SPDX-License-Identifier: Apache-2.0
// Jaeger's spans as rows of a batch.

import Base
import Telemetry

/// Reads a thrift batch and translates its spans.
///
/// - The process is the resource: its name is `service.name`, its tags `hostname` and
///   `jaeger.version` get the conventions' names.
/// - `span.kind`, `error`, `otel.status_code`, `otel.status_description`, `w3c.tracestate` and the
///   scope's name and version become fields of the span. Without any status an HTTP status of 500
///   or more, of a client's span of 400 or more, is an error.
/// - A reference to another span than the parent is a link that says its kind in
///   `opentracing.ref_type`. Where the parent is only named by a `CHILD_OF` reference to the same
///   trace, that is the parent.
struct JaegerAssembly {
    var spans = SpanAssembly()
    private var scopes: [[UInt8]: Int] = [:]
    private var tags: [JaegerTag] = []

    /// Reads a `Batch`; the process may come after the spans.
    mutating func decodeBatch(_ reader: inout ThriftReader) throws(MalformedBytes) {
        let resource = spans.addResource()
        var last: Int16 = 0
        while let field = try reader.field(after: &last) {
            if field.holds(1, .structure) {
                try decodeProcess(&reader, resource)
            } else if field.holds(2, .list) {
                let (type, n) = try reader.list()
                for _ in 0..<n {
                    if type == .structure {
                        try decodeSpan(&reader, resource)
                    } else {
                        try reader.skip(type)
                    }
                }
            } else {
                try reader.skip(field)
            }
        }
    }

    private mutating func decodeProcess(
        _ reader: inout ThriftReader, _ resource: Int
    ) throws(MalformedBytes) {
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
        tags.removeAll(keepingCapacity: true)
        var last: Int16 = 0
        while let field = try reader.field(after: &last) {
            if field.holds(1, .string) {
                name = try reader.bytes()
            } else if field.holds(2, .list) {
                try decodeTags(&reader)
            } else {
                try reader.skip(field)
            }
        }
        spans.inner.bytes.removeAll(keepingCapacity: true)
        if !name.isEmpty, !equalBytes(name, StaticString("OTLPResourceNoServiceName").bytes) {
            spans.inner.lengthPrefixed(StaticString("service.name").bytes)
            AttributeCoding.encode(text: name, into: &spans.inner)
        }
        for tag in tags {
            if equalBytes(tag.key, StaticString("hostname").bytes) {
                tag.encode(key: StaticString("host.name").bytes, into: &spans.inner)
            } else if equalBytes(tag.key, StaticString("jaeger.version").bytes) {
                tag.encode(key: StaticString("telemetry.sdk.version").bytes, into: &spans.inner)
            } else if name.isEmpty || !equalBytes(tag.key, StaticString("service.name").bytes) {
                tag.encode(into: &spans.inner)
            }
        }
        spans.takeResourceAttributes(resource)
    }

    /// Appends a list of tags to `tags`.
    private mutating func decodeTags(_ reader: inout ThriftReader) throws(MalformedBytes) {
        let (type, n) = try reader.list()
        for _ in 0..<n {
            if type == .structure {
                tags.append(try JaegerTag(&reader))
            } else {
                try reader.skip(type)
            }
        }
    }

    // MARK: spans

    private struct Identity {
        var traceLow: Int64 = 0
        var traceHigh: Int64 = 0
        var span: Int64 = 0

        var traceID: TraceID {
            TraceID(high: UInt64(bitPattern: traceHigh), low: UInt64(bitPattern: traceLow))
        }
        var spanID: SpanID { SpanID(UInt64(bitPattern: span)) }
    }

    private struct Reference {
        var isFollower = false
        var identity = Identity()
    }

    private mutating func decodeSpan(
        _ reader: inout ThriftReader, _ resource: Int
    ) throws(MalformedBytes) {
        spans.beginSpan(resource: resource, scope: 0)
        tags.removeAll(keepingCapacity: true)
        var identity = Identity()
        var parent: Int64 = 0
        var start: Int64 = 0
        var duration: Int64 = 0
        var references: [Reference] = []
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
        var last: Int16 = 0
        while let field = try reader.field(after: &last) {
            switch (field.id, field.type) {
            case (1, .i64): identity.traceLow = try reader.i64()
            case (2, .i64): identity.traceHigh = try reader.i64()
            case (3, .i64): identity.span = try reader.i64()
            case (4, .i64): parent = try reader.i64()
            case (5, .string): name = try reader.bytes()
            case (6, .list): references = try decodeReferences(&reader)
            // Sampled is bit 0 here as in W3C's flags, debug bit 1.
            case (7, .i32): spans.row.flags = UInt32(bitPattern: try reader.i32()) & 1
            case (8, .i64): start = try reader.i64()
            case (9, .i64): duration = try reader.i64()
            case (10, .list): try decodeTags(&reader)
            case (11, .list): try decodeLogs(&reader)
            default: try reader.skip(field)
            }
        }
        spans.set(traceID: identity.traceID)
        spans.set(spanID: identity.spanID)
        if parent == 0 {
            parent =
                references.first {
                    !$0.isFollower && $0.identity.traceID == identity.traceID
                }?.identity.span ?? 0
        }
        spans.set(parentID: SpanID(UInt64(bitPattern: parent)))
        spans.row.scope = UInt32(scope())
        spans.row.name = spans.batch.arena.keep(name)
        let startNanos = nanos(start)
        let (end, overflow) = startNanos.addingReportingOverflow(nanos(duration))
        spans.row.startNanos = startNanos
        spans.row.endNanos = overflow ? .max : end
        for reference in references
        where reference.isFollower || reference.identity.span != parent
            || reference.identity.traceID != identity.traceID
        {
            addLink(reference)
        }
        takeFields()
        for tag in tags where !tag.isTaken { tag.encode(into: &spans.attributes) }
        spans.endSpan()
    }

    private func nanos(_ micros: Int64) -> Int64 {
        let (nanos, overflow) = max(0, micros).multipliedReportingOverflow(by: 1000)
        return overflow ? .max : nanos
    }

    private mutating func decodeReferences(
        _ reader: inout ThriftReader
    ) throws(MalformedBytes) -> [Reference] {
        var references: [Reference] = []
        let (type, n) = try reader.list()
        for _ in 0..<n {
            guard type == .structure else {
                try reader.skip(type)
                continue
            }
            var reference = Reference()
            var last: Int16 = 0
            while let field = try reader.field(after: &last) {
                switch (field.id, field.type) {
                case (1, .i32): reference.isFollower = try reader.i32() == 1
                case (2, .i64): reference.identity.traceLow = try reader.i64()
                case (3, .i64): reference.identity.traceHigh = try reader.i64()
                case (4, .i64): reference.identity.span = try reader.i64()
                default: try reader.skip(field)
                }
            }
            references.append(reference)
        }
        return references
    }

    private mutating func addLink(_ reference: Reference) {
        spans.inner.bytes.removeAll(keepingCapacity: true)
        AttributeCoding.encode(
            "opentracing.ref_type",
            .string(reference.isFollower ? "follows_from" : "child_of"), into: &spans.inner)
        spans.addLink(
            traceID: reference.identity.traceID, spanID: reference.identity.spanID, flags: 0,
            dropped: 0, traceState: UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// Logs as events: the field `event` is an event's name, else `message`, as the exporters of
    /// OpenTelemetry's older SDKs have it.
    private mutating func decodeLogs(_ reader: inout ThriftReader) throws(MalformedBytes) {
        let spanTags = tags
        let (type, n) = try reader.list()
        for _ in 0..<n {
            guard type == .structure else {
                try reader.skip(type)
                continue
            }
            var time: Int64 = 0
            tags.removeAll(keepingCapacity: true)
            var last: Int16 = 0
            while let field = try reader.field(after: &last) {
                if field.holds(1, .i64) {
                    time = try reader.i64()
                } else if field.holds(2, .list) {
                    try decodeTags(&reader)
                } else {
                    try reader.skip(field)
                }
            }
            let name =
                tags.takeText("event") ?? tags.takeText("message")
                ?? UnsafeRawBufferPointer(start: nil, count: 0)
            spans.inner.bytes.removeAll(keepingCapacity: true)
            for tag in tags where !tag.isTaken { tag.encode(into: &spans.inner) }
            spans.addEvent(nanos: nanos(time), name: name, dropped: 0)
        }
        tags = spanTags
    }

    // MARK: tags that are fields

    private mutating func takeFields() {
        if let kind = tags.takeText("span.kind") {
            let kinds: [StaticString] = ["internal", "server", "client", "producer", "consumer"]
            if let number = kinds.firstIndex(where: { equalBytes(kind, $0.bytes) }) {
                spans.row.kind = UInt8(number + 1)
            }
        }
        if let state = tags.takeText("w3c.tracestate") {
            spans.row.traceState = spans.batch.arena.keep(state)
        }
        takeStatus()
    }

    private mutating func takeStatus() {
        if let index = tags.index("error"), isTrue(tags[index].value) {
            tags[index].isTaken = true
            spans.row.statusCode = 2
        }
        if let code = tags.takeText("otel.status_code") {
            if spans.row.statusCode == 0 {
                if equalBytes(code, StaticString("OK").bytes) { spans.row.statusCode = 1 }
                if equalBytes(code, StaticString("ERROR").bytes) { spans.row.statusCode = 2 }
            }
        } else if spans.row.statusCode == 0 {
            spans.row.statusCode = statusOfHTTP()
        }
        if let message = tags.takeText("otel.status_description") {
            spans.row.statusMessage = spans.batch.arena.keep(message)
        } else if spans.row.statusCode == 2, let index = tags.index("http.status_message"),
            let message = tags[index].text
        {
            spans.row.statusMessage = spans.batch.arena.keep(message)
        }
    }

    private func isTrue(_ value: JaegerTag.Value) -> Bool {
        switch value {
        case .bool(let flag): flag
        case .string(let text): equalBytes(text, StaticString("true").bytes)
        default: false
        }
    }

    private func statusOfHTTP() -> UInt8 {
        guard let index = tags.index("http.status_code") else { return 0 }
        let code: Int64
        switch tags[index].value {
        case .int(let number): code = number
        case .string(let text): code = parseInt64(text) ?? 0
        default: return 0
        }
        // A server did its work when it told a client of its mistake.
        return code >= 500 || (code >= 400 && spans.row.kind == 3) ? 2 : 0
    }

    private mutating func scope() -> Int {
        // Exporters write both, the older names for older readers.
        let older = (tags.takeText("otel.library.name"), tags.takeText("otel.library.version"))
        let name = tags.takeText("otel.scope.name") ?? older.0
        let version = tags.takeText("otel.scope.version") ?? older.1
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        var key = ByteWriter()
        key.lengthPrefixed(name ?? none)
        key.lengthPrefixed(version ?? none)
        if let known = scopes[key.bytes] { return known }
        let index = spans.addScope()
        scopes[key.bytes] = index
        spans.batch.scopes[index].name = spans.batch.arena.keep(name ?? none)
        spans.batch.scopes[index].version = spans.batch.arena.keep(version ?? none)
        spans.holdArena()
        return index
    }
}
