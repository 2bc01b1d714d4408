// SPDX-License-Identifier: Apache-2.0
// Zipkin v2 spans: what a request holds, whatever its encoding.

import Base
import Telemetry

/// Lists of Zipkin v2 spans from JSON and protobuf, translated to OTLP's model.
///
/// Source: openzipkin/zipkin-api `zipkin2-api.yaml` and `zipkin.proto`; translation:
/// open-telemetry/opentelemetry-collector-contrib `pkg/translator/zipkin/zipkinv2` and the
/// OpenTelemetry specification, "OpenTelemetry to Zipkin Transformation". A span that cannot be
/// read is left out and counted; the others are kept.
package enum ZipkinSpans {
    /// Largest body. A span grows by names of attributes, and slices of the arena count in 32 bits.
    static let maxBodyBytes = 256 << 20
    /// Objects and arrays open at once: a list, a span, an endpoint, and room for unknown fields.
    static let maxJSONDepth = 32
    /// Most tags, and most annotations, that one span keeps; further ones are counted as dropped.
    static let maxItems = 4096
}

/// An endpoint; empty slices and 0 = absent. Addresses as text.
struct ZipkinEndpoint {
    var serviceName = ByteSlice.empty
    var ipv4 = ByteSlice.empty
    var ipv6 = ByteSlice.empty
    var port: Int64 = 0
}

/// One span as sent. Slices lie in `text`.
struct ZipkinSpan {
    struct Tag {
        var key: ByteSlice
        var value: ByteSlice
        /// Whether it went to a field of the span, its resource or its scope.
        var isTaken = false
    }
    struct Annotation {
        var micros: UInt64
        var value: ByteSlice
    }

    var text: [UInt8] = []
    /// Nil = absent or not an id.
    var traceID: TraceID?
    var spanID: SpanID?
    /// Zero = none; nil = not an id.
    var parentID: SpanID? = .zero
    /// OTLP's kind; 0 = absent.
    var kind: UInt8 = 0
    var name = ByteSlice.empty
    /// 0 = absent, as the format has it.
    var timestampMicros: UInt64 = 0
    var durationMicros: UInt64 = 0
    var local = ZipkinEndpoint()
    var remote = ZipkinEndpoint()
    var tags: [Tag] = []
    var annotations: [Annotation] = []
    var droppedTags: UInt32 = 0
    var droppedAnnotations: UInt32 = 0
    var isDebug = false
    var isShared = false

    /// Makes room for the next span and keeps the memory.
    mutating func reset() {
        var next = ZipkinSpan()
        swap(&next.text, &text)
        swap(&next.tags, &tags)
        swap(&next.annotations, &annotations)
        next.text.removeAll(keepingCapacity: true)
        next.tags.removeAll(keepingCapacity: true)
        next.annotations.removeAll(keepingCapacity: true)
        self = next
    }

    mutating func addTag(_ key: ByteSlice, _ value: ByteSlice) {
        if tags.count < ZipkinSpans.maxItems {
            tags.append(Tag(key: key, value: value))
        } else {
            droppedTags &+= 1
        }
    }

    mutating func addAnnotation(micros: UInt64, _ value: ByteSlice) {
        if annotations.count < ZipkinSpans.maxItems {
            annotations.append(Annotation(micros: micros, value: value))
        } else {
            droppedAnnotations &+= 1
        }
    }

    /// The value of the first tag of that name, which then counts as taken.
    mutating func take(_ key: StaticString) -> ByteSlice? {
        guard let index = tagIndex(key) else { return nil }
        tags[index].isTaken = true
        return tags[index].value
    }

    func tagIndex(_ key: StaticString) -> Int? {
        let wanted = key.bytes
        return text.withUnsafeBytes { all in
            tags.firstIndex {
                !$0.isTaken && Int($0.key.count) == wanted.count
                    && equalBytes(UnsafeRawBufferPointer(rebasing: all[$0.key.range]), wanted)
            }
        }
    }

    func equals(_ slice: ByteSlice, _ text: StaticString) -> Bool {
        self.text.withSlice(slice) { equalBytes($0, text.bytes) }
    }
}
