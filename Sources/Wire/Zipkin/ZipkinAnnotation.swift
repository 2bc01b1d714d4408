// SPDX-License-Identifier: Apache-2.0
// Annotations that are events with attributes.

import Base
import Telemetry

/// The event that an annotation's text stands for.
///
/// OpenTelemetry's exporters write `{"name": {"key": value}}` (its specification: the same without the
/// outer braces), its Collector `name|{"key": value}|dropped`. Any other text is the name.
///
/// Source: OpenTelemetry specification, "OpenTelemetry to Zipkin Transformation", "Events";
/// opentelemetry-collector-contrib `pkg/translator/zipkin/zipkinv2`.
struct ZipkinAnnotation {
    private(set) var name: [UInt8] = []
    /// `AttributeCoding` list.
    private(set) var attributes = ByteWriter()
    private(set) var dropped: UInt32 = 0

    init(_ text: UnsafeRawBufferPointer) {
        let isEvent: Bool
        switch text.first {
        case UInt8(ascii: "{"): isEvent = read(event: text)
        case UInt8(ascii: "\""):
            let whole = [UInt8(ascii: "{")] + Array(text) + [UInt8(ascii: "}")]
            isEvent = whole.withUnsafeBytes { read(event: $0) }
        default: isEvent = read(divided: text)
        }
        if !isEvent {
            name = Array(text)
            attributes.bytes = []
            dropped = 0
        }
    }

    /// An object with one member, whose value is an object.
    private mutating func read(event text: UnsafeRawBufferPointer) -> Bool {
        var reader = JSONReader(text, maxDepth: ZipkinSpans.maxJSONDepth)
        do throws(MalformedJSON) {
            try reader.beginObject()
            guard let key = try reader.nextKey() else { return false }
            key.append(to: &name)
            try readAttributes(&reader)
            guard try reader.nextKey() == nil else { return false }
            try reader.end()
            return true
        } catch {
            name = []
            return false
        }
    }

    /// `name|{…}|n`.
    private mutating func read(divided text: UnsafeRawBufferPointer) -> Bool {
        let bar = UInt8(ascii: "|")
        guard let first = text.firstIndex(of: bar), let last = text.lastIndex(of: bar),
            first + 1 < last, let number = parseUInt64(.init(rebasing: text[(last + 1)...]))
        else { return false }
        var reader = JSONReader(
            UnsafeRawBufferPointer(rebasing: text[(first + 1)..<last]),
            maxDepth: ZipkinSpans.maxJSONDepth)
        do throws(MalformedJSON) {
            try readAttributes(&reader)
            try reader.end()
        } catch { return false }
        name = Array(text[..<first])
        dropped = UInt32(clamping: number)
        return true
    }

    private mutating func readAttributes(_ reader: inout JSONReader) throws(MalformedJSON) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            OTLPAttributes.append(key, to: &attributes)
            switch try reader.peek() {
            case .string:
                attributes.u8(AttributeType.string.rawValue)
                OTLPAttributes.append(try reader.string(), to: &attributes)
            case .number: try readNumber(&reader)
            case .bool: AttributeCoding.encode(try reader.bool(), into: &attributes)
            case .null:
                _ = try reader.nullIfPresent()
                attributes.u8(AttributeType.empty.rawValue)
            default:
                // Lists and objects as their JSON.
                AttributeCoding.encode(text: try reader.skipValue(), into: &attributes)
            }
        }
    }

    private mutating func readNumber(_ reader: inout JSONReader) throws(MalformedJSON) {
        let text = try reader.number()
        let isWhole = text.allSatisfy { $0 == UInt8(ascii: "-") || (48...57).contains($0) }
        if isWhole, let number = parseInt64(text) {
            AttributeCoding.encode(number, into: &attributes)
        } else {
            AttributeCoding.encode(parseDouble(text) ?? .nan, into: &attributes)
        }
    }
}
