// SPDX-License-Identifier: Apache-2.0
// Zipkin v2 spans from protobuf.

import Base
import Telemetry

extension ZipkinSpans {
    /// Decodes a `zipkin.proto3.ListOfSpans`. Ids are 8 or 16 bytes, 64-bit ones padded on the
    /// left.
    ///
    /// - Parameter receivedNanos: arrival, for spans that say nothing of their time.
    /// - Throws: `MalformedBytes` when the list's own fields are damaged. A damaged span is left out
    ///   and counted instead.
    package static func decodeProtobuf(
        _ body: UnsafeRawBufferPointer, receivedNanos: Int64
    ) throws(MalformedBytes) -> DecodedSpans {
        guard body.count <= maxBodyBytes else {
            throw MalformedBytes(offset: 0, expected: "a body of at most \(maxBodyBytes) bytes")
        }
        var assembly = ZipkinAssembly(receivedNanos: receivedNanos)
        assembly.spans.batch.arena.reserveCapacity(body.count)
        var list = ProtobufReader(body)
        while try list.next() {
            guard list.field == 1 else {
                try list.skip()
                continue
            }
            let message = try list.message()
            assembly.span.reset()
            do throws(MalformedBytes) {
                try decode(message, &assembly.span)
            } catch {
                assembly.spans.rejected.add(.malformed)
                continue
            }
            assembly.take()
        }
        return assembly.spans.result
    }

    private static func decode(
        _ message: ProtobufReader, _ span: inout ZipkinSpan
    ) throws(MalformedBytes) {
        var message = message
        while try message.next() {
            switch message.field {
            case 1: span.traceID = TraceID(bytes: try message.bytes())
            case 2:
                let id = try message.bytes()
                span.parentID = id.isEmpty ? .zero : SpanID(bytes: id)
            case 3: span.spanID = SpanID(bytes: try message.bytes())
            case 4:
                // CLIENT, SERVER, PRODUCER, CONSUMER from 1.
                let kinds: [UInt8] = [0, 3, 2, 4, 5]
                let kind = Int(try message.uint32())
                span.kind = kind < kinds.count ? kinds[kind] : 0
            case 5: span.name = span.text.keep(try message.bytes())
            case 6: span.timestampMicros = try message.fixed64()
            case 7: span.durationMicros = try message.uint64()
            case 8: span.local = try endpoint(try message.message(), &span.text)
            case 9: span.remote = try endpoint(try message.message(), &span.text)
            case 10: try annotation(try message.message(), &span)
            case 11: try tag(try message.message(), &span)
            case 12: span.isDebug = try message.bool()
            case 13: span.isShared = try message.bool()
            default: try message.skip()
            }
        }
    }

    private static func endpoint(
        _ message: ProtobufReader, _ text: inout [UInt8]
    ) throws(MalformedBytes) -> ZipkinEndpoint {
        var message = message
        var endpoint = ZipkinEndpoint()
        while try message.next() {
            switch message.field {
            case 1: endpoint.serviceName = text.keep(try message.bytes())
            case 2: endpoint.ipv4 = text.keep(addressText(try message.bytes(), count: 4))
            case 3: endpoint.ipv6 = text.keep(addressText(try message.bytes(), count: 16))
            case 4: endpoint.port = Int64(try message.int32())
            default: try message.skip()
            }
        }
        return endpoint
    }

    private static func annotation(
        _ message: ProtobufReader, _ span: inout ZipkinSpan
    ) throws(MalformedBytes) {
        var message = message
        var micros: UInt64 = 0
        var value = ByteSlice.empty
        while try message.next() {
            switch message.field {
            case 1: micros = try message.fixed64()
            case 2: value = span.text.keep(try message.bytes())
            default: try message.skip()
            }
        }
        span.addAnnotation(micros: micros, value)
    }

    private static func tag(
        _ message: ProtobufReader, _ span: inout ZipkinSpan
    ) throws(MalformedBytes) {
        var message = message
        var key = ByteSlice.empty
        var value = ByteSlice.empty
        while try message.next() {
            switch message.field {
            case 1: key = span.text.keep(try message.bytes())
            case 2: value = span.text.keep(try message.bytes())
            default: try message.skip()
            }
        }
        if !key.isEmpty { span.addTag(key, value) }
    }

    /// An address of so many bytes as text, IPv6 in the form of RFC 5952; empty for any other count.
    static func addressText(_ bytes: UnsafeRawBufferPointer, count: Int) -> String {
        guard bytes.count == count else { return "" }
        if count == 4 { return bytes.map(String.init).joined(separator: ".") }
        let groups = stride(from: 0, to: 16, by: 2).map {
            UInt16(bytes[$0]) &<< 8 | UInt16(bytes[$0 &+ 1])
        }
        var longest = 0..<0
        var start = 0
        for (index, group) in groups.enumerated() {
            if group != 0 {
                start = index + 1
            } else if index + 1 - start > longest.count {
                longest = start..<(index + 1)
            }
        }
        func text(_ part: Range<Int>) -> String {
            groups[part].map { String($0, radix: 16) }.joined(separator: ":")
        }
        if longest.count < 2 { return text(0..<8) }
        return text(0..<longest.lowerBound) + "::" + text(longest.upperBound..<8)
    }
}
