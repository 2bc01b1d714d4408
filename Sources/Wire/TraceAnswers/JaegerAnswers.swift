// SPDX-License-Identifier: Apache-2.0
// Lists of Jaeger's query API, versions 1 and 3.

import Base
import Telemetry

/// Answers of Jaeger's query API that hold no spans.
///
/// Sources: jaegertracing/jaeger, HTTP handler of the query extension (envelope
/// `{data,total,limit,offset,errors}`, metric families as protobuf's JSON); jaegertracing/jaeger-idl
/// `proto/api_v3/query_service.proto`.
package enum JaegerAnswers {
    package struct Operation: Sendable, Hashable {
        package var name: String
        /// `server`, `client`, …; empty when unspecified.
        package var kind: String
        package init(name: String, kind: String) {
            self.name = name
            self.kind = kind
        }
    }

    /// Calls from one service to another.
    package struct Dependency: Sendable, Equatable {
        package var parent: String
        package var child: String
        package var callCount: UInt64
        package var errorCount: UInt64
        package init(parent: String, child: String, callCount: UInt64, errorCount: UInt64 = 0) {
            self.parent = parent
            self.child = child
            self.callCount = callCount
            self.errorCount = errorCount
        }
    }

    /// An entry of the envelope's `errors`.
    package struct Failure: Sendable, Equatable {
        /// HTTP status; nil for what is missing in an answer that is otherwise good.
        package var code: Int?
        package var message: String
        package var traceID: TraceID?
        package init(code: Int? = nil, message: String, traceID: TraceID? = nil) {
            self.code = code
            self.message = message
            self.traceID = traceID
        }
    }

    // MARK: version 1

    /// An answer of `count` items that `data` writes.
    static func envelope<E: Error>(
        total: Int, failures: [Failure] = [], reserving capacity: Int = 1024,
        _ data: (inout JSONWriter) throws(E) -> Void
    ) throws(E) -> [UInt8] {
        var json = JSONWriter(reserving: capacity)
        json.beginObject()
        json.key("data")
        try data(&json)
        json.member("total", total)
        json.member("limit", 0)
        json.member("offset", 0)
        json.key("errors")
        if failures.isEmpty {
            json.null()
        } else {
            json.beginArray()
            for failure in failures {
                json.beginObject()
                if let code = failure.code { json.member("code", code) }
                json.member("msg", failure.message)
                if let id = failure.traceID { json.member("traceID", id.description) }
                json.endObject()
            }
            json.endArray()
        }
        json.endObject()
        return json.bytes
    }

    /// Names of services or operations.
    package static func names(_ names: [String]) -> [UInt8] {
        envelope(total: names.count) { $0.strings(names) }
    }

    package static func operations(_ operations: [Operation]) -> [UInt8] {
        envelope(total: operations.count) { write(operations, "spanKind", into: &$0) }
    }

    package static func dependencies(_ links: [Dependency]) -> [UInt8] {
        envelope(total: 0) { json in
            json.beginArray()
            for link in links {
                json.beginObject()
                json.member("parent", link.parent)
                json.member("child", link.child)
                json.key("callCount")
                json.int(Int64(clamping: link.callCount))
                json.endObject()
            }
            json.endArray()
        }
    }

    /// One number as the whole of `data`.
    package static func number(_ value: Int) -> [UInt8] {
        envelope(total: 0) { $0.int(value) }
    }

    /// What a request that failed is told.
    package static func failure(status: Int, _ message: String) -> [UInt8] {
        envelope(total: 0, failures: [Failure(code: status, message: message)]) { $0.null() }
    }

    private static func write(
        _ operations: [Operation], _ kindName: String, into json: inout JSONWriter
    ) {
        json.beginArray()
        for operation in operations {
            json.beginObject()
            json.member("name", operation.name)
            json.member(kindName, operation.kind)
            json.endObject()
        }
        json.endArray()
    }

    // MARK: version 3

    package static func servicesV3(_ names: [String]) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("services")
        json.strings(names)
        json.endObject()
        return json.bytes
    }

    package static func operationsV3(_ operations: [Operation]) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("operations")
        write(operations, "spanKind", into: &json)
        json.endObject()
        return json.bytes
    }

    package static func dependenciesV3(_ links: [Dependency]) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("dependencies")
        json.beginArray()
        for link in links {
            json.beginObject()
            json.member("parent", link.parent)
            json.member("child", link.child)
            json.member("callCount", String(link.callCount))
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    /// `{"error":{…}}`. Codes of gRPC: 3 invalid argument, 5 not found, 13 internal, 14 unavailable,
    /// …
    package static func failureV3(
        status: Int, reason: String, grpcCode: Int, _ message: String
    ) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("error")
        json.beginObject()
        json.member("grpcCode", grpcCode)
        json.member("httpCode", status)
        json.member("message", message)
        json.member("httpStatus", reason)
        json.endObject()
        json.endObject()
        return json.bytes
    }
}
