// SPDX-License-Identifier: Apache-2.0
// OTLP logs from protobuf.

import Base
import Telemetry

extension OTLPLogs {
    /// Decodes an `ExportLogsServiceRequest`.
    ///
    /// - Throws: `MalformedBytes` when the bytes are not such a message, nest too deep or would take
    ///   more memory than the limits allow.
    package static func decodeProtobuf(
        _ body: UnsafeRawBufferPointer, _ options: Options
    ) throws(MalformedBytes) -> DecodedLogs {
        guard body.count <= maxBodyBytes else {
            throw MalformedBytes(offset: 0, expected: "a body of at most \(maxBodyBytes) bytes")
        }
        var assembly = OTLPLogAssembly(options)
        assembly.logs.result.batch.arena.reserveCapacity(body.count)
        var request = ProtobufReader(body)
        while try request.next() {
            if request.field == 1 {
                try decodeResourceLogs(try request.message(), &assembly)
            } else {
                try request.skip()
            }
        }
        return assembly.logs.result
    }

    private static func decodeResourceLogs(
        _ message: ProtobufReader, _ assembly: inout OTLPLogAssembly
    ) throws(MalformedBytes) {
        // The stream is needed before its records, wherever the resource stands.
        assembly.resource.bytes.removeAll(keepingCapacity: true)
        var scan = message
        var hasRecords = false
        while try scan.next() {
            switch scan.field {
            case 1:
                var resource = try scan.message()
                while try resource.next() {
                    if resource.field == 1 {
                        try OTLPAttributes.appendKeyValue(
                            try resource.message(), to: &assembly.resource)
                    } else {
                        try resource.skip()
                    }
                }
            case 2:
                hasRecords = true
                try scan.skip()
            default: try scan.skip()
            }
        }
        guard hasRecords else { return }
        try assembly.beginResource()
        var message = message
        while try message.next() {
            if message.field == 2 {
                try decodeScopeLogs(try message.message(), &assembly)
            } else {
                try message.skip()
            }
        }
    }

    private static func decodeScopeLogs(
        _ message: ProtobufReader, _ assembly: inout OTLPLogAssembly
    ) throws(MalformedBytes) {
        assembly.beginScope()
        var scan = message
        while try scan.next() {
            guard scan.field == 1 else {
                try scan.skip()
                continue
            }
            var scope = try scan.message()
            while try scope.next() {
                switch scope.field {
                case 1: assembly.scopeName = assembly.scopeTexts.keep(try scope.bytes())
                case 2: assembly.scopeVersion = assembly.scopeTexts.keep(try scope.bytes())
                case 3:
                    try OTLPAttributes.appendKeyValue(try scope.message(), to: &assembly.scope)
                case 4: assembly.scopeDroppedAttributes = try scope.uint32()
                default: try scope.skip()
                }
            }
        }
        var message = message
        while try message.next() {
            if message.field == 2 {
                try decodeRecord(try message.message(), &assembly)
            } else {
                try message.skip()
            }
        }
    }

    private static func decodeRecord(
        _ message: ProtobufReader, _ assembly: inout OTLPLogAssembly
    ) throws(MalformedBytes) {
        assembly.beginRecord()
        var record = LogRecordFields()
        var message = message
        while try message.next() {
            switch message.field {
            case 1: record.nanos = Int64(clamping: try message.fixed64())
            case 2: record.severityNumber = Int64(try message.int32())
            case 3: record.severityText = assembly.texts.keep(try message.bytes())
            case 5:
                assembly.body.bytes.removeAll(keepingCapacity: true)
                try OTLPAttributes.appendValue(try message.message(), to: &assembly.body)
            case 6:
                try OTLPAttributes.appendKeyValue(
                    try message.message(), to: &assembly.attributes)
            case 7: record.droppedAttributes = try message.uint32()
            case 8: record.flags = try message.fixed32()
            case 9:
                // An id of another length means no trace; the record is kept.
                let id = try message.bytes()
                record.traceID = id.count == 16 ? TraceID(bytes: id) ?? .zero : .zero
            case 10: record.spanID = SpanID(bytes: try message.bytes()) ?? .zero
            case 11: record.observedNanos = Int64(clamping: try message.fixed64())
            case 12: record.eventName = assembly.texts.keep(try message.bytes())
            default: try message.skip()
            }
        }
        try assembly.endRecord(record)
    }
}
