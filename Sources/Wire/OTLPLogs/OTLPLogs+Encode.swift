// SPDX-License-Identifier: Apache-2.0
// OTLP logs to protobuf.

import Base
import Telemetry

extension OTLPLogs {
    /// Encodes a batch as `ExportLogsServiceRequest`: each stream a resource, structured metadata as
    /// attributes of the record, except for what names a field of it. Streams in the batch's order.
    ///
    /// Labels of the default index list get their dots back, so that decoding gives the same
    /// streams; other labels come back as structured metadata.
    package static func encode(_ batch: LogBatch) -> [UInt8] {
        var writer = ProtobufWriter(reserving: batch.arena.count + 64 * batch.rowCount)
        let dotted = dottedNames
        for (stream, rows) in batch.rowsByStream() {
            let mark = writer.begin(1)
            let resource = writer.begin(1)
            batch.arena.withSlice(batch.streams[stream].slice) { labels in
                forEachLabel(in: labels) { name, value in
                    let known = dotted.first { equalBytes($0.label.bytes, name) }
                    writeAttribute(1, known?.attribute.bytes ?? name, value, &writer)
                }
            }
            writer.end(resource)
            let scope = writer.begin(2)
            for row in rows { encodeRecord(row, batch, &writer) }
            writer.end(scope)
            writer.end(mark)
        }
        return writer.bytes
    }

    private static let dottedNames: [(label: StaticString, attribute: StaticString)] = [
        ("service_name", "service.name"), ("service_namespace", "service.namespace"),
        ("service_instance_id", "service.instance.id"),
        ("deployment_environment", "deployment.environment"),
        ("deployment_environment_name", "deployment.environment.name"),
        ("cloud_region", "cloud.region"), ("cloud_availability_zone", "cloud.availability_zone"),
        ("k8s_cluster_name", "k8s.cluster.name"), ("k8s_namespace_name", "k8s.namespace.name"),
        ("k8s_pod_name", "k8s.pod.name"), ("k8s_container_name", "k8s.container.name"),
        ("container_name", "container.name"), ("k8s_replicaset_name", "k8s.replicaset.name"),
        ("k8s_deployment_name", "k8s.deployment.name"),
        ("k8s_statefulset_name", "k8s.statefulset.name"),
        ("k8s_daemonset_name", "k8s.daemonset.name"), ("k8s_cronjob_name", "k8s.cronjob.name"),
        ("k8s_job_name", "k8s.job.name"),
    ]

    private static func writeAttribute(
        _ field: UInt32, _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer,
        _ writer: inout ProtobufWriter
    ) {
        let mark = writer.begin(field)
        writer.bytes(1, name)
        let inner = writer.begin(2)
        writer.bytes(1, value, always: true)
        writer.end(inner)
        writer.end(mark)
    }

    private static func encodeRecord(
        _ row: Int, _ batch: LogBatch, _ writer: inout ProtobufWriter
    ) {
        let mark = writer.begin(2)
        writer.fixed64(1, UInt64(bitPattern: batch.nanos[row]))
        let metadata = batch.metadata[row]
        func number(_ name: StaticString) -> Int64? {
            batch.arena.withSlice(metadata) { bytes in
                labelValue(of: name.bytes, in: bytes).flatMap { parseInt64($0) }
            }
        }
        func text(_ name: StaticString, _ field: UInt32) {
            batch.arena.withSlice(metadata) { bytes in
                if let value = labelValue(of: name.bytes, in: bytes) { writer.bytes(field, value) }
            }
        }
        writer.int32(2, Int32(clamping: number("severity_number") ?? 0))
        text("severity_text", 3)
        let body = writer.begin(5)
        batch.arena.withSlice(batch.lines[row]) { writer.bytes(1, $0, always: true) }
        writer.end(body)
        batch.arena.withSlice(metadata) { bytes in
            forEachLabel(in: bytes) { name, value in
                if !isField(name, value, row, batch) { writeAttribute(6, name, value, &writer) }
            }
        }
        writer.uint32(7, UInt32(clamping: number("dropped_attributes_count") ?? 0))
        writer.fixed32(8, UInt32(clamping: number("flags") ?? 0))
        if !batch.traceIDs[row].isZero { OTLPTraces.write(batch.traceIDs[row], 9, &writer) }
        if !batch.spanIDs[row].isZero { OTLPTraces.write(batch.spanIDs[row], 10, &writer) }
        writer.fixed64(11, UInt64(clamping: number("observed_timestamp") ?? 0))
        text("event_name", 12)
        writer.end(mark)
    }

    /// Whether a label of the metadata is written as a field of the record.
    private static func isField(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ row: Int,
        _ batch: LogBatch
    ) -> Bool {
        if textFields.contains(where: { equalBytes($0.bytes, name) }) { return true }
        if numberFields.contains(where: { equalBytes($0.bytes, name) }) {
            return parseInt64(value) != nil
        }
        if name.elementsEqual("trace_id".utf8) {
            return !batch.traceIDs[row].isZero && TraceID(hex: value) == batch.traceIDs[row]
        }
        if name.elementsEqual("span_id".utf8) {
            return !batch.spanIDs[row].isZero && SpanID(hex: value) == batch.spanIDs[row]
        }
        return false
    }

    private static let textFields: [StaticString] = ["severity_text", "event_name"]
    private static let numberFields: [StaticString] = [
        "severity_number", "dropped_attributes_count", "flags", "observed_timestamp",
    ]
}
