// SPDX-License-Identifier: Apache-2.0
// Zipkin spans as rows of a batch.

import Base
import Telemetry

/// Translates Zipkin spans one by one into a batch.
///
/// - A span without a start takes the time of its first annotation, else of its arrival, and is
///   marked with the attribute `otel.zipkin.absentField.startTime`.
/// - Client and server keep one span id where they share it (`shared`); the server's span has
///   the attribute `zipkin.shared`, one with the debug flag `zipkin.debug`.
/// - Tags that name a resource by OpenTelemetry's conventions go to the resource. Spans of one
///   service whose resource tags differ have resources of their own.
/// - The tag `error` makes the span failed, as in Zipkin, unless its value is `false`; a value
///   other than `true` is the status message.
struct ZipkinAssembly {
    var spans = SpanAssembly()
    /// The span at hand.
    var span = ZipkinSpan()
    /// When the request arrived.
    private let receivedNanos: Int64
    private var resources: [[UInt8]: Int] = [:]
    private var scopes: [[UInt8]: Int] = [:]

    init(receivedNanos: Int64) { self.receivedNanos = receivedNanos }

    /// Adds the span at hand, or counts why not.
    mutating func take() {
        let library = scope()
        spans.beginSpan(resource: resource(), scope: library)
        spans.set(traceID: span.traceID)
        spans.set(spanID: span.spanID)
        // A parent that is the span itself is none.
        spans.set(parentID: span.parentID == span.spanID ? .zero : span.parentID)
        var row = spans.row
        row.name = keep(span.name)
        row.kind = span.kind
        if span.kind == 0, let kind = span.take("span.kind"), span.equals(kind, "internal") {
            row.kind = 1
        }
        if let state = span.take("w3c.tracestate") { row.traceState = keep(state) }
        takeStatus(&row)
        let isTimed = takeTimes(&row)
        row.droppedAttributes = span.droppedTags
        row.droppedEvents = span.droppedAnnotations
        spans.row = row
        writeAttributes(isTimed: isTimed)
        span.text.withUnsafeBytes { all in
            for annotation in span.annotations {
                let event = ZipkinAnnotation(
                    UnsafeRawBufferPointer(rebasing: all[annotation.value.range]))
                spans.inner = event.attributes
                event.name.withUnsafeBytes {
                    spans.addEvent(
                        nanos: nanos(annotation.micros), name: $0, dropped: event.dropped)
                }
            }
        }
        spans.endSpan()
    }

    private mutating func keep(_ slice: ByteSlice) -> ByteSlice {
        span.text.withSlice(slice) { spans.batch.arena.keep($0) }
    }

    // MARK: resource and scope

    private mutating func resource() -> Int {
        // Where it was said by which attribute the service was named, it has that name again.
        let source = span.take("otlp.service.name.source")
        var hasName = false
        spans.inner.bytes.removeAll(keepingCapacity: true)
        span.text.withUnsafeBytes { all in
            for index in span.tags.indices where !span.tags[index].isTaken {
                let key = UnsafeRawBufferPointer(rebasing: all[span.tags[index].key.range])
                guard ZipkinAssembly.namesResource(key) else { continue }
                if equalBytes(key, StaticString("service.name").bytes) {
                    if hasName { continue }
                    hasName = true
                }
                span.tags[index].isTaken = true
                append(key, UnsafeRawBufferPointer(rebasing: all[span.tags[index].value.range]))
            }
            if !hasName, !span.local.serviceName.isEmpty {
                let key = source.map { UnsafeRawBufferPointer(rebasing: all[$0.range]) }
                append(
                    key ?? StaticString("service.name").bytes,
                    UnsafeRawBufferPointer(rebasing: all[span.local.serviceName.range]))
            }
        }
        if let known = resources[spans.inner.bytes] {
            spans.inner.bytes.removeAll(keepingCapacity: true)
            return known
        }
        let index = spans.addResource()
        resources[spans.inner.bytes] = index
        spans.takeResourceAttributes(index)
        return index
    }

    /// Appends a string to the list in `inner`.
    private mutating func append(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        spans.inner.lengthPrefixed(key)
        AttributeCoding.encode(text: value, into: &spans.inner)
    }

    private mutating func scope() -> Int {
        // Exporters write both, the older names for older readers.
        let older = (span.take("otel.library.name"), span.take("otel.library.version"))
        let name = span.take("otel.scope.name") ?? older.0
        let version = span.take("otel.scope.version") ?? older.1
        var key = ByteWriter()
        span.text.withUnsafeBytes { all in
            key.lengthPrefixed(UnsafeRawBufferPointer(rebasing: all[(name ?? .empty).range]))
            key.lengthPrefixed(UnsafeRawBufferPointer(rebasing: all[(version ?? .empty).range]))
        }
        if let known = scopes[key.bytes] { return known }
        let index = spans.addScope()
        scopes[key.bytes] = index
        spans.batch.scopes[index].name = keep(name ?? .empty)
        spans.batch.scopes[index].version = keep(version ?? .empty)
        return index
    }

    /// Whether OpenTelemetry's conventions have an attribute on resources, by its namespace.
    static func namesResource(_ key: UnsafeRawBufferPointer) -> Bool {
        func hasPrefix(_ prefix: StaticString) -> Bool { key.starts(with: prefix.bytes) }
        switch key.first {
        case UInt8(ascii: "a"): return hasPrefix("aws.ecs.") || hasPrefix("aws.eks.")
        case UInt8(ascii: "c"): return hasPrefix("cloud.") || hasPrefix("container.")
        case UInt8(ascii: "d"): return hasPrefix("deployment.") || hasPrefix("device.")
        case UInt8(ascii: "h"): return hasPrefix("host.")
        case UInt8(ascii: "k"): return hasPrefix("k8s.")
        case UInt8(ascii: "o"): return hasPrefix("os.")
        case UInt8(ascii: "p"): return hasPrefix("process.")
        case UInt8(ascii: "s"): return hasPrefix("service.")
        case UInt8(ascii: "t"): return hasPrefix("telemetry.")
        case UInt8(ascii: "w"): return hasPrefix("webengine.")
        default: return false
        }
    }

    // MARK: fields

    private mutating func takeStatus(_ row: inout SpanRow) {
        if let code = span.take("otel.status_code") {
            if span.equals(code, "OK") || span.equals(code, "STATUS_CODE_OK") {
                row.statusCode = 1
            } else if span.equals(code, "ERROR") || span.equals(code, "STATUS_CODE_ERROR") {
                row.statusCode = 2
            }
            if let message = span.take("otel.status_description") {
                row.statusMessage = keep(message)
            }
        }
        guard let index = span.tagIndex("error") else { return }
        let value = span.tags[index].value
        if span.equals(value, "false") { return }
        row.statusCode = 2
        if value.isEmpty || span.equals(value, "true") {
            span.tags[index].isTaken = true
        } else if row.statusMessage.isEmpty {
            row.statusMessage = keep(value)
        }
    }

    /// Whether the span said when it started.
    private func takeTimes(_ row: inout SpanRow) -> Bool {
        let isTimed = span.timestampMicros != 0
        if isTimed {
            row.startNanos = nanos(span.timestampMicros)
        } else if let first = span.annotations.lazy.map(\.micros).filter({ $0 != 0 }).min() {
            row.startNanos = nanos(first)
        } else {
            row.startNanos = receivedNanos
        }
        let (end, overflow) = row.startNanos.addingReportingOverflow(nanos(span.durationMicros))
        row.endNanos = overflow ? .max : end
        return isTimed
    }

    private mutating func writeAttributes(isTimed: Bool) {
        var hasTag = (hostIP: false, hostPort: false, peer: false, peerIP: false, peerPort: false)
        var list = spans.attributes
        span.text.withUnsafeBytes { all in
            func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: all[slice.range])
            }
            func write(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
                list.lengthPrefixed(key)
                AttributeCoding.encode(text: value, into: &list)
            }
            for tag in span.tags where !tag.isTaken {
                let key = bytes(tag.key)
                if key.starts(with: StaticString("net.").bytes) {
                    hasTag.hostIP = hasTag.hostIP || equalBytes(key, hostIP.bytes)
                    hasTag.hostPort = hasTag.hostPort || equalBytes(key, hostPort.bytes)
                    hasTag.peerIP = hasTag.peerIP || equalBytes(key, peerIP.bytes)
                    hasTag.peerPort = hasTag.peerPort || equalBytes(key, peerPort.bytes)
                } else if equalBytes(key, peerService.bytes) {
                    hasTag.peer = true
                }
                write(key, bytes(tag.value))
            }
            func address(_ endpoint: ZipkinEndpoint, _ key: StaticString, unless isThere: Bool) {
                let text = endpoint.ipv4.isEmpty ? endpoint.ipv6 : endpoint.ipv4
                if !text.isEmpty, !isThere { write(key.bytes, bytes(text)) }
            }
            func port(_ endpoint: ZipkinEndpoint, _ key: StaticString, unless isThere: Bool) {
                if endpoint.port <= 0 || isThere { return }
                list.lengthPrefixed(key.bytes)
                AttributeCoding.encode(endpoint.port, into: &list)
            }
            address(span.local, hostIP, unless: hasTag.hostIP)
            port(span.local, hostPort, unless: hasTag.hostPort)
            if !span.remote.serviceName.isEmpty, !hasTag.peer {
                write(peerService.bytes, bytes(span.remote.serviceName))
            }
            address(span.remote, peerIP, unless: hasTag.peerIP)
            port(span.remote, peerPort, unless: hasTag.peerPort)
        }
        func flag(_ key: StaticString, _ isSet: Bool) {
            if !isSet { return }
            list.lengthPrefixed(key.bytes)
            AttributeCoding.encode(true, into: &list)
        }
        flag("otel.zipkin.absentField.startTime", !isTimed)
        flag("zipkin.shared", span.isShared)
        flag("zipkin.debug", span.isDebug)
        spans.attributes = list
    }

    private func nanos(_ micros: UInt64) -> Int64 {
        let (nanos, overflow) = micros.multipliedReportingOverflow(by: 1000)
        return overflow ? .max : Int64(clamping: nanos)
    }
}

private let hostIP: StaticString = "net.host.ip"
private let hostPort: StaticString = "net.host.port"
private let peerIP: StaticString = "net.peer.ip"
private let peerPort: StaticString = "net.peer.port"
private let peerService: StaticString = "peer.service"
