// SPDX-License-Identifier: Apache-2.0
// Falco's alerts, as http_output posts them.

import Base
import Telemetry

/// One alert, or several on lines of their own.
///
/// `output` is the line and `priority` the level; source and host are stream labels beside
/// `job="falco"`; the rule, the priority, the tags and every output field under its own name are
/// structured metadata. Source: falco.org, "Formatting Alerts for Containers and Kubernetes" and
/// "Output Channels"; falcosecurity/falco `userspace/falco/formats.cpp`.
package enum FalcoEvents {
    package static let mapping: LogRecordMapping = {
        var mapping = LogRecordMapping()
        mapping.streamFields = ["source", "hostname"]
        mapping.messageFields = ["output"]
        mapping.timeFields = ["time"]
        mapping.labels = [.init("job", "falco")]
        return mapping
    }()

    /// - Throws: `MalformedBytes` when the alerts take more memory than the limits allow.
    package static func decode(
        _ body: UnsafeRawBufferPointer, _ mapping: LogRecordMapping, receivedNanos: Int64,
        limits: LogLimits = LogLimits()
    ) throws(MalformedBytes) -> DecodedLogs {
        var assembly = RecordAssembly(mapping, receivedNanos: receivedNanos, limits: limits)
        for text in JSONTexts(body) {
            do throws(MalformedJSON) {
                try decode(text, &assembly)
            } catch {
                assembly.logs.reject(1, "\(error)")
            }
            try assembly.checkSize()
        }
        return assembly.logs.result
    }

    private static func decode(
        _ text: UnsafeRawBufferPointer, _ assembly: inout RecordAssembly
    ) throws(MalformedJSON) {
        var reader = JSONReader(text, maxDepth: RecordAssembly.maxDepth)
        var level: LogLevel?
        assembly.begin()
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if key.equals("output_fields"), try reader.peek() == .object {
                try assembly.readObject(&reader)
                continue
            }
            if key.equals("priority"), try reader.peek() == .string {
                var ahead = reader
                level = self.level(try ahead.string())
            }
            try assembly.readMember(key, &reader)
        }
        try reader.end()
        _ = assembly.endRecord(level: level) { $0.append(contentsOf: text) }
    }

    private static func level(_ priority: JSONText) -> LogLevel? {
        let names: [(StaticString, LogLevel)] = [
            ("emergency", .fatal), ("alert", .critical), ("critical", .critical), ("error", .error),
            ("warning", .warn), ("notice", .info), ("informational", .info), ("info", .info),
            ("debug", .debug),
        ]
        let text = priority.string.lowercased()
        return names.first { text == "\($0.0)" }?.1
    }
}

/// JSON texts of a body: the whole of it where it is one, however it is laid out, else its lines.
struct JSONTexts: Sequence {
    private let body: UnsafeRawBufferPointer
    private let isOne: Bool

    init(_ body: UnsafeRawBufferPointer) {
        self.body = body
        var reader = JSONReader(body, maxDepth: RecordAssembly.maxDepth)
        do throws(MalformedJSON) {
            try reader.skipValue()
            try reader.end()
            isOne = true
        } catch { isOne = false }
    }

    func makeIterator() -> AnyIterator<UnsafeRawBufferPointer> {
        var start = 0
        return AnyIterator {
            if isOne {
                defer { start = body.count }
                return start == 0 && !body.isEmpty ? body : nil
            }
            while start < body.count {
                let rest = UnsafeRawBufferPointer(rebasing: body[start...])
                let end = findEither(0x0a, 0x0a, in: rest)
                start += end + 1
                let line = trimmed(UnsafeRawBufferPointer(rebasing: rest[..<end]))
                if !line.isEmpty { return line }
            }
            return nil
        }
    }
}

/// Appends JSON without the white space between its tokens, so that it is one line.
func appendCompactJSON(_ text: UnsafeRawBufferPointer, to out: inout [UInt8]) {
    var isQuoted = false, isEscaped = false
    for byte in text {
        if isQuoted {
            out.append(byte)
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted = false
            }
        } else if byte > 0x20 {
            out.append(byte)
            isQuoted = byte == UInt8(ascii: "\"")
        }
    }
}
