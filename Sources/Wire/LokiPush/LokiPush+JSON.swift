// SPDX-License-Identifier: Apache-2.0
// Loki's push API: JSON in.

import Base
import Telemetry

extension LokiPush {
    /// Decodes `{"streams":[{"stream":{…},"values":[["ns","line",{metadata}],…]},…]}` and the older
    /// form, `{"labels":"{a=\"b\"}","entries":[{"ts":"RFC 3339","line":"…"},…]}`.
    ///
    /// Timestamp and line must be strings, metadata values too; a label's value of another type is
    /// kept as its JSON text; null entries are skipped. Source: grafana/loki `pkg/loghttp/query.go`
    /// and `pkg/loghttp/entry.go`.
    ///
    /// - Throws: `MalformedJSON` when the text is not such an object.
    package static func decodeJSON(
        _ body: UnsafeRawBufferPointer, limits: LogLimits = LogLimits()
    ) throws(MalformedJSON) -> DecodedLogs {
        guard body.count <= maxBodyBytes else {
            throw MalformedJSON(offset: 0, expected: "a body of at most \(maxBodyBytes) bytes")
        }
        var assembly = LogAssembly(limits)
        assembly.result.batch.arena.reserveCapacity(body.count)
        var scratch = Scratch()
        var reader = JSONReader(body)
        try reader.beginObject()
        while let key = try reader.nextKey() {
            guard key.equals("streams"), try !reader.nullIfPresent() else {
                if !key.equals("streams") { try reader.skipValue() }
                continue
            }
            try reader.beginArray()
            while try reader.nextElement() {
                if try reader.nullIfPresent() { continue }
                try decodeStream(&reader, &assembly, &scratch)
            }
        }
        try reader.end()
        return assembly.result
    }

    /// Room for names and values with escapes.
    private struct Scratch {
        var name: [UInt8] = []
        var value: [UInt8] = []
    }

    private static func decodeStream(
        _ reader: inout JSONReader, _ assembly: inout LogAssembly, _ scratch: inout Scratch
    ) throws(MalformedJSON) {
        var hasLabels = false
        // Entries that came before their labels are read when the labels are known.
        var early: [JSONReader] = []
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if key.equals("stream") {
                try decodeLabels(&reader, &assembly, &scratch)
                hasLabels = true
            } else if key.equals("labels") {
                try reader.string().withBytes(scratch: &scratch.value) {
                    beginStream($0, &assembly)
                }
                hasLabels = true
            } else if key.equals("values") || key.equals("entries") {
                if hasLabels {
                    try decodeEntries(&reader, &assembly, &scratch)
                } else {
                    early.append(reader)
                    try reader.skipValue()
                }
            } else {
                try reader.skipValue()
            }
        }
        if !hasLabels { assembly.beginStream() }
        for var entries in early { try decodeEntries(&entries, &assembly, &scratch) }
    }

    private static func decodeLabels(
        _ reader: inout JSONReader, _ assembly: inout LogAssembly, _ scratch: inout Scratch
    ) throws(MalformedJSON) {
        // Upstream writes the object as label text without quotes round the names and parses that,
        // so a name that is no label name refuses the stream.
        var wrongName: String?
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let value =
                try reader.peek() == .string
                ? try reader.string() : JSONText(raw: try reader.skipValue())
            key.withBytes(scratch: &scratch.name) { name in
                if wrongName == nil, !StreamLabelText.isPlainName(name) {
                    wrongName = String(decoding: name, as: UTF8.self)
                }
                value.withBytes(scratch: &scratch.value) { assembly.setLabel(name, $0) }
            }
        }
        if let wrongName {
            assembly.refuseStream(
                "Error parsing labels: \(quotedText(wrongName)) is not a label name: "
                    + "letters, digits and underscores, no digit first")
        } else {
            assembly.beginStream()
        }
    }

    private static func decodeEntries(
        _ reader: inout JSONReader, _ assembly: inout LogAssembly, _ scratch: inout Scratch
    ) throws(MalformedJSON) {
        if try reader.nullIfPresent() { return }
        try reader.beginArray()
        while try reader.nextElement() {
            switch try reader.peek() {
            case .null: _ = try reader.nullIfPresent()
            case .object: try decodeOldEntry(&reader, &assembly, &scratch)
            default: try decodeEntry(&reader, &assembly, &scratch)
            }
        }
    }

    /// `["ns", "line", {metadata}]`; further elements are ignored.
    private static func decodeEntry(
        _ reader: inout JSONReader, _ assembly: inout LogAssembly, _ scratch: inout Scratch
    ) throws(MalformedJSON) {
        try reader.beginArray()
        guard try reader.nextElement() else {
            throw reader.malformed("a timestamp and a line in an entry")
        }
        _ = try reader.peek()
        let offset = reader.offset
        guard let nanos = integer(try reader.string().raw) else {
            throw reader.malformed("nanoseconds since 1970 as a string of digits", at: offset)
        }
        guard try reader.nextElement() else {
            throw reader.malformed("a line after the timestamp of an entry")
        }
        let text = try reader.string()
        if try reader.nextElement() {
            try decodeMetadata(&reader, &assembly, &scratch)
            while try reader.nextElement() { try reader.skipValue() }
        }
        endRow(nanos, text, &assembly)
    }

    private static func endRow(
        _ nanos: Int64, _ text: JSONText?, _ assembly: inout LogAssembly
    ) {
        let start = assembly.result.batch.arena.count
        text?.append(to: &assembly.result.batch.arena)
        let count = assembly.result.batch.arena.count - start
        assembly.endRow(nanos: nanos, line: ByteSlice(offset: start, count: count))
    }

    /// `{"ts":"2020-01-01T00:00:00Z","line":"…","structuredMetadata":{…}}`.
    private static func decodeOldEntry(
        _ reader: inout JSONReader, _ assembly: inout LogAssembly, _ scratch: inout Scratch
    ) throws(MalformedJSON) {
        var nanos: Int64?
        var text: JSONText?
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if key.equals("ts") || key.equals("timestamp") {
                _ = try reader.peek()
                let offset = reader.offset
                guard let time = parseRFC3339(try reader.string().string),
                    let value = unixNanos(seconds: time.seconds, nanos: time.nanos)
                else { throw reader.malformed("an RFC 3339 time", at: offset) }
                nanos = value
            } else if key.equals("line") {
                text = try reader.string()
            } else if key.equals("structuredMetadata") {
                try decodeMetadata(&reader, &assembly, &scratch)
            } else {
                try reader.skipValue()
            }
        }
        guard let nanos else { throw reader.malformed("member ts in an entry") }
        endRow(nanos, text, &assembly)
    }

    private static func decodeMetadata(
        _ reader: inout JSONReader, _ assembly: inout LogAssembly, _ scratch: inout Scratch
    ) throws(MalformedJSON) {
        if try reader.nullIfPresent() { return }
        try reader.beginObject()
        while let key = try reader.nextKey() {
            guard try reader.peek() == .string else {
                throw reader.malformed("a string as value of structured metadata")
            }
            let value = try reader.string()
            key.withBytes(scratch: &scratch.name) { name in
                value.withBytes(scratch: &scratch.value) { assembly.addMetadata(name, $0) }
            }
        }
    }

    /// Decimal digits with an optional sign: no fraction, no exponent.
    private static func integer(_ text: UnsafeRawBufferPointer) -> Int64? {
        for byte in text.dropFirst() where byte &- UInt8(ascii: "0") > 9 { return nil }
        return parseInt64(text)
    }
}
