// SPDX-License-Identifier: Apache-2.0
// Traces in short, as version 3 of Jaeger's API lists them.

import Base
import Telemetry

/// Jaeger's `TraceSummary`. Source: jaegertracing/jaeger-idl `proto/api_v3/query_service.proto`.
package struct JaegerTraceSummary: Sendable, Equatable {
    package struct Service: Sendable, Equatable {
        package var name: String
        package var spanCount = 0
        package var errorCount = 0
    }
    package var traceID: TraceID
    package var rootService = ""
    package var rootOperation = ""
    package var startNanos: Int64
    package var endNanos: Int64
    package var spanCount: Int
    package var errorCount = 0
    /// Spans whose parent is not in the trace.
    package var orphanCount = 0
    /// Ascending by name.
    package var services: [Service] = []

    /// - Parameters:
    ///   - trace: the spans of one trace, at least one.
    ///   - root: row of the root; nil when there is none.
    package init(_ trace: SpanBatch, root: Int?) {
        traceID = trace.traceIDs.first ?? .zero
        startNanos = trace.startNanos.min() ?? 0
        endNanos = trace.endNanos.max() ?? 0
        spanCount = trace.rowCount
        let ids = Set(trace.spanIDs)
        var services: [String: Service] = [:]
        func service(_ row: Int) -> String {
            trace.arena.text(trace.resources[Int(trace.rowResources[row])].serviceName)
        }
        for row in 0..<trace.rowCount {
            let name = service(row)
            services[name, default: Service(name: name)].spanCount += 1
            if trace.statusCodes[row] == 2 {
                services[name, default: Service(name: name)].errorCount += 1
                errorCount += 1
            }
            if !trace.parentIDs[row].isZero, !ids.contains(trace.parentIDs[row]) {
                orphanCount += 1
            }
        }
        self.services = services.values.sorted { $0.name < $1.name }
        if let root {
            rootService = service(root)
            rootOperation = trace.arena.text(trace.names[root])
        }
    }

    fileprivate func write(into json: inout JSONWriter) {
        json.beginObject()
        json.member("traceId", traceID.description)
        json.member("rootServiceName", rootService)
        json.member("rootOperationName", rootOperation)
        json.member("minStartTimeUnixNano", String(max(0, startNanos)))
        json.member("maxEndTimeUnixNano", String(max(0, endNanos)))
        json.member("spanCount", spanCount)
        json.member("errorSpanCount", errorCount)
        json.member("orphanSpanCount", orphanCount)
        json.key("services")
        json.beginArray()
        for service in services {
            json.beginObject()
            json.member("name", service.name)
            json.member("spanCount", service.spanCount)
            json.member("errorSpanCount", service.errorCount)
            json.endObject()
        }
        json.endArray()
        json.endObject()
    }

    /// The answer of `/api/v3/trace-summaries`.
    package static func json(_ summaries: [JaegerTraceSummary]) -> [UInt8] {
        var json = JSONWriter(reserving: 256 + 512 * summaries.count)
        json.beginObject()
        json.key("summaries")
        json.beginArray()
        for summary in summaries { summary.write(into: &json) }
        json.endArray()
        json.endObject()
        return json.bytes
    }
}
