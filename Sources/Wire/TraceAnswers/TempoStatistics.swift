// SPDX-License-Identifier: Apache-2.0
// What a trace query read, as Tempo reports it.

import Base

/// The fields of Tempo's `SearchMetrics` and `MetadataMetrics` that its strict clients know.
///
/// `backendReads`, `backendBytes` and `additionalMetrics` are left out: decoders older than June 2026
/// refuse names they do not know. Source: grafana/tempo `pkg/tempopb/tempo.proto`.
package struct TempoStatistics: Sendable, Equatable {
    /// Traces that were read whole.
    package var inspectedTraces = 0
    /// Bytes of span data decoded.
    package var inspectedBytes = 0
    package var inspectedSpans = 0
    /// Blocks that could hold an answer.
    package var totalBlocks = 0
    /// Parts of the work; user interfaces show the share of them that is done.
    package var completedJobs = 0
    package var totalJobs = 0

    package init() {}

    /// Writes `SearchMetrics` as protobuf's JSON: 64-bit numbers as strings, zeros left out.
    func writeSearch(into json: inout JSONWriter) {
        json.beginObject()
        write("inspectedTraces", inspectedTraces, into: &json)
        writeText("inspectedBytes", inspectedBytes, into: &json)
        write("totalBlocks", totalBlocks, into: &json)
        write("completedJobs", completedJobs, into: &json)
        write("totalJobs", totalJobs, into: &json)
        writeText("inspectedSpans", inspectedSpans, into: &json)
        json.endObject()
    }

    /// Writes `MetadataMetrics`.
    func writeMetadata(into json: inout JSONWriter) {
        json.beginObject()
        writeText("inspectedBytes", inspectedBytes, into: &json)
        write("totalJobs", totalJobs, into: &json)
        write("completedJobs", completedJobs, into: &json)
        write("totalBlocks", totalBlocks, into: &json)
        json.endObject()
    }

    private func write(_ name: String, _ value: Int, into json: inout JSONWriter) {
        if value > 0 { json.member(name, Int(UInt32(clamping: value))) }
    }

    private func writeText(_ name: String, _ value: Int, into json: inout JSONWriter) {
        if value > 0 { json.member(name, String(value)) }
    }

    func encodeSearch(_ field: UInt32, into writer: inout ProtobufWriter) {
        writer.message(field) { writer in
            writer.uint32(1, UInt32(clamping: inspectedTraces))
            writer.uint64(2, UInt64(clamping: inspectedBytes))
            writer.uint32(3, UInt32(clamping: totalBlocks))
            writer.uint32(4, UInt32(clamping: completedJobs))
            writer.uint32(5, UInt32(clamping: totalJobs))
            writer.uint64(7, UInt64(clamping: inspectedSpans))
        }
    }

    func encodeMetadata(_ field: UInt32, into writer: inout ProtobufWriter) {
        writer.message(field) { writer in
            writer.uint64(1, UInt64(clamping: inspectedBytes))
            writer.uint32(2, UInt32(clamping: totalJobs))
            writer.uint32(3, UInt32(clamping: completedJobs))
            writer.uint32(4, UInt32(clamping: totalBlocks))
        }
    }
}
