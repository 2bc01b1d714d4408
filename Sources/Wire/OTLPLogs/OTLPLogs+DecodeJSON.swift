// SPDX-License-Identifier: Apache-2.0
// OTLP logs from JSON.

import Base
import Telemetry

extension OTLPLogs {
    /// Decodes an `ExportLogsServiceRequest` in OTLP's JSON.
    ///
    /// - Throws: `MalformedJSON` when the text is not such an object or nests too deep;
    ///   `MalformedBytes` when it would take more memory than the limits allow.
    package static func decodeJSON(
        _ body: UnsafeRawBufferPointer, _ options: Options
    ) throws -> DecodedLogs {
        guard body.count <= maxBodyBytes else {
            throw MalformedJSON(offset: 0, expected: "a body of at most \(maxBodyBytes) bytes")
        }
        var assembly = OTLPLogAssembly(options)
        assembly.logs.result.batch.arena.reserveCapacity(body.count / 2)
        var reader = JSONReader(body, maxDepth: OTLPAttributes.maxJSONDepth)
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            guard key.equals("resourceLogs") else {
                try reader.skipValue()
                continue
            }
            try reader.beginArray()
            while try reader.nextElement() { try decodeResourceLogs(&reader, &assembly) }
        }
        try reader.end()
        return assembly.logs.result
    }

    private static func decodeResourceLogs(
        _ reader: inout JSONReader, _ assembly: inout OTLPLogAssembly
    ) throws {
        assembly.resource.bytes.removeAll(keepingCapacity: true)
        // Records that come before the resource wait: they are stepped over and read again.
        var waiting: [JSONReader] = []
        var hasResource = false, hasBegun = false
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("resource") {
                try reader.beginObject()
                while let key = try reader.nextKey() {
                    if key.equals("attributes") {
                        assembly.resource.bytes.removeAll(keepingCapacity: true)
                        try OTLPAttributes.appendList(&reader, to: &assembly.resource)
                    } else {
                        try reader.skipValue()
                    }
                }
                hasResource = true
            } else if key.equals("scopeLogs"), hasResource {
                if !hasBegun { try assembly.beginResource() }
                hasBegun = true
                try reader.beginArray()
                while try reader.nextElement() { try decodeScopeLogs(&reader, &assembly) }
            } else if key.equals("scopeLogs") {
                waiting.append(reader)
                try reader.skipValue()
            } else {
                try reader.skipValue()
            }
        }
        if waiting.isEmpty { return }
        if !hasBegun { try assembly.beginResource() }
        for var scopes in waiting {
            try scopes.beginArray()
            while try scopes.nextElement() { try decodeScopeLogs(&scopes, &assembly) }
        }
    }

    private static func decodeScopeLogs(
        _ reader: inout JSONReader, _ assembly: inout OTLPLogAssembly
    ) throws {
        assembly.beginScope()
        var waiting: [JSONReader] = []
        var hasScope = false
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("scope") {
                try decodeScope(&reader, &assembly)
                hasScope = true
            } else if key.equals("logRecords"), hasScope {
                try reader.beginArray()
                while try reader.nextElement() { try decodeRecord(&reader, &assembly) }
            } else if key.equals("logRecords") {
                waiting.append(reader)
                try reader.skipValue()
            } else {
                try reader.skipValue()
            }
        }
        for var records in waiting {
            try records.beginArray()
            while try records.nextElement() { try decodeRecord(&records, &assembly) }
        }
    }

    private static func decodeScope(
        _ reader: inout JSONReader, _ assembly: inout OTLPLogAssembly
    ) throws {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("name") {
                assembly.scopeName = try reader.keptString(&assembly.scopeTexts)
            } else if key.equals("version") {
                assembly.scopeVersion = try reader.keptString(&assembly.scopeTexts)
            } else if key.equals("attributes") {
                assembly.scope.bytes.removeAll(keepingCapacity: true)
                try OTLPAttributes.appendList(&reader, to: &assembly.scope)
            } else if key.equals("droppedAttributesCount") {
                assembly.scopeDroppedAttributes = try reader.uint32OrString()
            } else {
                try reader.skipValue()
            }
        }
    }

    private static func decodeRecord(
        _ reader: inout JSONReader, _ assembly: inout OTLPLogAssembly
    ) throws {
        assembly.beginRecord()
        var record = LogRecordFields()
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("timeUnixNano") {
                record.nanos = Int64(clamping: try reader.uint64OrString())
            } else if key.equals("observedTimeUnixNano") {
                record.observedNanos = Int64(clamping: try reader.uint64OrString())
            } else if key.equals("body") {
                assembly.body.bytes.removeAll(keepingCapacity: true)
                try OTLPAttributes.appendValue(&reader, to: &assembly.body)
            } else if key.equals("attributes") {
                assembly.attributes.bytes.removeAll(keepingCapacity: true)
                try OTLPAttributes.appendList(&reader, to: &assembly.attributes)
            } else if key.equals("severityNumber") {
                record.severityNumber = Int64(try reader.enumeration(severityNames))
            } else if key.equals("severityText") {
                record.severityText = try reader.keptString(&assembly.texts)
            } else if key.equals("traceId") {
                record.traceID = OTLPTraces.traceID(try reader.string()) ?? .zero
            } else if key.equals("spanId") {
                record.spanID = OTLPTraces.spanID(try reader.string()) ?? .zero
            } else if key.equals("flags") {
                record.flags = try reader.uint32OrString()
            } else if key.equals("droppedAttributesCount") {
                record.droppedAttributes = try reader.uint32OrString()
            } else if key.equals("eventName") {
                record.eventName = try reader.keptString(&assembly.texts)
            } else {
                try reader.skipValue()
            }
        }
        try assembly.endRecord(record)
    }

    /// Names of `SeverityNumber` by number.
    private static let severityNames: [String] =
        ["SEVERITY_NUMBER_UNSPECIFIED"]
        + ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].flatMap { level in
            ["", "2", "3", "4"].map { "SEVERITY_NUMBER_\(level)\($0)" }
        }
}
