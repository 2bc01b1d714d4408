// SPDX-License-Identifier: Apache-2.0
// format_query, index/stats, index/volume and index/volume_range.

import Base
import HTTPTypes
import LogQL
import Telemetry

extension LokiQueryEndpoints {
    /// `format_query`: the query as the parser understood it.
    func formatQuery(_ request: APIRequest) async throws -> APIResponse {
        do {
            let text = try LogQLParser.parse(request.parameter("query") ?? "").description
            return prometheusSuccess { $0.string(text) }
        } catch {
            var json = JSONWriter()
            json.beginObject()
            json.member("status", "invalid-query")
            json.member("error", "\(error)")
            json.endObject()
            return .json(json.bytes, status: .badRequest)
        }
    }

    /// `index/stats`: how much a selector reaches, exactly.
    func indexStats(_ request: APIRequest) async throws -> APIResponse {
        let wanted = try logRequest(request)
        let engine = self.engine
        return try await service.run(wording: lokiWording) { context in
            let totals = try engine.totals(wanted, context)
            var json = JSONWriter()
            json.beginObject()
            json.member("streams", totals.streams)
            json.member("chunks", totals.blocks)
            json.member("bytes", totals.bytes)
            json.member("entries", totals.lines)
            json.endObject()
            return .json(json.bytes)
        }
    }

    /// `index/volume`: bytes of lines by stream, or by the labels asked for, largest first.
    func indexVolume(_ request: APIRequest) async throws -> APIResponse {
        let wanted = try volumeRequest(request)
        let limit = try limit(request)
        let seconds = wanted.request.range.last.rawValue / 1_000_000
        let engine = self.engine
        return try await run { context in
            let volumes = try engine.volumes(wanted, context)
            return prometheusSuccess(warnings: context.warnings) { json in
                json.beginObject()
                json.member("resultType", "vector")
                json.key("result")
                json.beginArray()
                for volume in volumes.prefix(limit) {
                    json.beginObject()
                    writeMetric(volume, into: &json)
                    json.key("value")
                    writeBytes(volume.total, atMillis: seconds, into: &json)
                    json.endObject()
                }
                json.endArray()
                json.endObject()
            }
        }
    }

    /// `index/volume_range`: the same for each step.
    func indexVolumeRange(_ request: APIRequest) async throws -> APIResponse {
        var wanted = try volumeRequest(request)
        let (start, end) = try bounds(request)
        let step = try step(request, start, end)
        let steps = try EvaluationSteps(startNanos: start, endNanos: end, stepNanos: step)
        wanted.steps = steps
        // The first step covers the time before it, as every other does.
        let (before, overflow) = start.subtractingReportingOverflow(step - 1)
        wanted.request.range = NanosRange(
            first: Nanos(overflow ? .min : before), last: wanted.request.range.last)
        let limit = try limit(request)
        let engine = self.engine
        let volumeRequest = wanted
        return try await run { context in
            let volumes = try engine.volumes(volumeRequest, context)
            return prometheusSuccess(warnings: context.warnings) { json in
                json.beginObject()
                json.member("resultType", "matrix")
                json.key("result")
                json.beginArray()
                for volume in volumes.prefix(limit) {
                    json.beginObject()
                    writeMetric(volume, into: &json)
                    json.key("values")
                    json.beginArray()
                    for (number, bytes) in volume.bytes.enumerated() where bytes > 0 {
                        let millis = steps.nanos(at: number) / 1_000_000
                        writeBytes(bytes, atMillis: millis, into: &json)
                    }
                    json.endArray()
                    json.endObject()
                }
                json.endArray()
                json.endObject()
            }
        }
    }

    private func volumeRequest(_ request: APIRequest) throws -> VolumeRequest {
        let byLabels: Bool
        switch request.nonEmpty("aggregateBy") ?? "series" {
        case "series": byLabels = false
        case "labels": byLabels = true
        default: throw APIError(.badData, "invalid aggregation option")
        }
        let targets = (request.nonEmpty("targetLabels") ?? "").split(separator: ",")
        return VolumeRequest(
            try logRequest(request), targetLabels: Set(targets.map(String.init)),
            byLabels: byLabels)
    }

    /// The lines of a selector between two times.
    func logRequest(_ request: APIRequest) throws -> LogRequest {
        let (start, end) = try bounds(request)
        return LogRequest(
            tenant: request.tenant, matchers: try selector(request.nonEmpty("query") ?? ""),
            range: NanosRange(first: Nanos(start), last: Nanos(end)))
    }
}

private func writeMetric(_ volume: LogVolume, into json: inout JSONWriter) {
    json.key("metric")
    json.beginObject()
    for (name, value) in volume.labels { json.member(name, value) }
    json.endObject()
}

private func writeBytes(_ bytes: Int, atMillis millis: Int64, into json: inout JSONWriter) {
    json.beginArray()
    json.seconds(millis: millis)
    json.string(String(bytes))
    json.endArray()
}
