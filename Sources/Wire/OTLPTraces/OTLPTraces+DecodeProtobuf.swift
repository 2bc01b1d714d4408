// SPDX-License-Identifier: Apache-2.0
// OTLP traces from protobuf.

import Base
import Telemetry

extension OTLPTraces {
    /// Decodes an `ExportTraceServiceRequest`; `TracesData` and Tempo's `Trace` have the same bytes.
    ///
    /// - Throws: `MalformedBytes` when the bytes are not such a message. A span that is damaged inside
    ///   or nests too deep is left out and counted.
    package static func decodeProtobuf(
        _ body: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> DecodedSpans {
        guard body.count <= maxBodyBytes else {
            throw MalformedBytes(offset: 0, expected: "a body of at most \(maxBodyBytes) bytes")
        }
        var assembly = SpanAssembly()
        assembly.batch.arena.reserveCapacity(body.count)
        var request = ProtobufReader(body)
        while try request.next() {
            if request.field == 1 {
                try decodeResourceSpans(try request.message(), &assembly)
            } else {
                try request.skip()
            }
        }
        return assembly.result
    }

    private static func decodeResourceSpans(
        _ message: ProtobufReader, _ assembly: inout SpanAssembly
    ) throws(MalformedBytes) {
        let resource = assembly.addResource()
        // Fields come in any order, and the spans need none of these before them.
        var message = message
        while try message.next() {
            switch message.field {
            case 1:
                var inner = try message.message()
                while try inner.next() {
                    switch inner.field {
                    case 1:
                        try OTLPAttributes.appendKeyValue(
                            try inner.message(), to: &assembly.inner)
                    case 2:
                        assembly.batch.resources[resource].droppedAttributes &+= try inner.uint32()
                    default: try inner.skip()
                    }
                }
                assembly.takeResourceAttributes(resource)
            case 2: try decodeScopeSpans(try message.message(), resource, &assembly)
            case 3:
                assembly.batch.resources[resource].schemaURL = assembly.batch.arena.keep(
                    try message.bytes())
            default: try message.skip()
            }
        }
    }

    private static func decodeScopeSpans(
        _ message: ProtobufReader, _ resource: Int, _ assembly: inout SpanAssembly
    ) throws(MalformedBytes) {
        let scope = assembly.addScope()
        var message = message
        while try message.next() {
            switch message.field {
            case 1: try decodeScope(try message.message(), scope, &assembly)
            case 2:
                let span = try message.message()
                do throws(MalformedBytes) {
                    try decodeSpan(span, resource, scope, &assembly)
                } catch {
                    // Its end is known: it does not cost the others.
                    assembly.dropSpan()
                }
            case 3:
                assembly.batch.scopes[scope].schemaURL = assembly.batch.arena.keep(
                    try message.bytes())
            default: try message.skip()
            }
        }
    }

    private static func decodeScope(
        _ message: ProtobufReader, _ scope: Int, _ assembly: inout SpanAssembly
    ) throws(MalformedBytes) {
        var message = message
        while try message.next() {
            switch message.field {
            case 1:
                assembly.batch.scopes[scope].name = assembly.batch.arena.keep(try message.bytes())
            case 2:
                assembly.batch.scopes[scope].version = assembly.batch.arena.keep(
                    try message.bytes())
            case 3:
                try OTLPAttributes.appendKeyValue(try message.message(), to: &assembly.inner)
            case 4: assembly.batch.scopes[scope].droppedAttributes = try message.uint32()
            default: try message.skip()
            }
        }
        assembly.takeScopeAttributes(scope)
    }

    private static func decodeSpan(
        _ message: ProtobufReader, _ resource: Int, _ scope: Int, _ assembly: inout SpanAssembly
    ) throws(MalformedBytes) {
        assembly.beginSpan(resource: resource, scope: scope)
        var message = message
        while try message.next() {
            switch message.field {
            case 1: assembly.set(traceID: traceID(try message.bytes()))
            case 2: assembly.set(spanID: SpanID(bytes: try message.bytes()))
            case 3: assembly.row.traceState = assembly.batch.arena.keep(try message.bytes())
            case 4:
                let id = try message.bytes()
                assembly.set(parentID: id.isEmpty ? .zero : SpanID(bytes: id))
            case 5: assembly.row.name = assembly.batch.arena.keep(try message.bytes())
            case 6:
                let kind = try message.uint32()
                assembly.row.kind = kind <= 5 ? UInt8(kind) : 0
            case 7: assembly.row.startNanos = nanos(try message.fixed64())
            case 8: assembly.row.endNanos = nanos(try message.fixed64())
            case 9:
                try OTLPAttributes.appendKeyValue(
                    try message.message(), to: &assembly.attributes)
            case 10: assembly.row.droppedAttributes = try message.uint32()
            case 11: try decodeEvent(try message.message(), &assembly)
            case 12: assembly.row.droppedEvents = try message.uint32()
            case 13: try decodeLink(try message.message(), &assembly)
            case 14: assembly.row.droppedLinks = try message.uint32()
            case 15:
                var status = try message.message()
                while try status.next() {
                    switch status.field {
                    case 2:
                        assembly.row.statusMessage = assembly.batch.arena.keep(
                            try status.bytes())
                    case 3:
                        let code = try status.uint32()
                        assembly.row.statusCode = code <= 2 ? UInt8(code) : 0
                    default: try status.skip()
                    }
                }
            case 16: assembly.row.flags = try message.fixed32()
            default: try message.skip()
            }
        }
        assembly.endSpan()
    }

    private static func decodeEvent(
        _ message: ProtobufReader, _ assembly: inout SpanAssembly
    ) throws(MalformedBytes) {
        var message = message
        var time: Int64 = 0
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
        var dropped: UInt32 = 0
        while try message.next() {
            switch message.field {
            case 1: time = nanos(try message.fixed64())
            case 2: name = try message.bytes()
            case 3:
                try OTLPAttributes.appendKeyValue(try message.message(), to: &assembly.inner)
            case 4: dropped = try message.uint32()
            default: try message.skip()
            }
        }
        assembly.addEvent(nanos: time, name: name, dropped: dropped)
    }

    private static func decodeLink(
        _ message: ProtobufReader, _ assembly: inout SpanAssembly
    ) throws(MalformedBytes) {
        var message = message
        var trace: TraceID?
        var span: SpanID?
        var state = UnsafeRawBufferPointer(start: nil, count: 0)
        var dropped: UInt32 = 0
        var flags: UInt32 = 0
        while try message.next() {
            switch message.field {
            case 1: trace = traceID(try message.bytes())
            case 2: span = SpanID(bytes: try message.bytes())
            case 3: state = try message.bytes()
            case 4:
                try OTLPAttributes.appendKeyValue(try message.message(), to: &assembly.inner)
            case 5: dropped = try message.uint32()
            case 6: flags = try message.fixed32()
            default: try message.skip()
            }
        }
        assembly.addLink(
            traceID: trace, spanID: span, flags: flags, dropped: dropped, traceState: state)
    }

    /// Exactly 16 bytes; `TraceID` itself also takes 8.
    private static func traceID(_ bytes: UnsafeRawBufferPointer) -> TraceID? {
        bytes.count == 16 ? TraceID(bytes: bytes) : nil
    }
}
