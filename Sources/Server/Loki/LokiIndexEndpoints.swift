// SPDX-License-Identifier: Apache-2.0
// format_query, index/stats and index/volume.

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

    /// `index/stats`: how much a selector reaches, counted from the lines themselves.
    func indexStats(_ request: APIRequest) async throws -> APIResponse {
        let wanted = try wanted(request)
        let reader = service.logs
        return try await service.run(wording: lokiWording) { context in
            let streams = try reader.streams(wanted, context).count
            var (batches, entries, bytes) = (0, 0, 0)
            try reader.read(wanted, context) { batch in
                batches += 1
                entries += batch.rowCount
                bytes += batch.lines.reduce(0) { $0 + Int($1.count) }
                return true
            }
            var json = JSONWriter()
            json.beginObject()
            json.member("streams", streams)
            json.member("chunks", batches)
            json.member("bytes", bytes)
            json.member("entries", entries)
            json.endObject()
            return .json(json.bytes)
        }
    }

    /// `index/volume`: bytes of lines by stream, or by the labels asked for, largest first.
    func indexVolume(_ request: APIRequest) async throws -> APIResponse {
        let wanted = try wanted(request)
        let byLabels: Bool
        switch request.nonEmpty("aggregateBy") ?? "series" {
        case "series": byLabels = false
        case "labels": byLabels = true
        default: throw APIError(.badData, "invalid aggregation option")
        }
        let targets = Set(
            (request.nonEmpty("targetLabels") ?? "").split(separator: ",").map(String.init))
        let limit = try limit(request)
        let reader = service.logs
        let seconds = wanted.range.last.rawValue / 1_000_000
        return try await service.run(wording: lokiWording) { context in
            var bytes: [VolumeGroup: Int] = [:]
            try reader.read(wanted, context) { batch in
                let groups = batch.streams.map {
                    volumeGroups(batch.arena.labels($0), targets, byLabels)
                }
                for row in 0..<batch.rowCount {
                    for group in groups[Int(batch.rowStreams[row])] {
                        bytes[group, default: 0] += Int(batch.lines[row].count)
                    }
                }
                return true
            }
            let order = bytes.sorted {
                $0.value == $1.value ? $0.key < $1.key : $0.value > $1.value
            }
            return prometheusSuccess { json in
                json.beginObject()
                json.member("resultType", "vector")
                json.key("result")
                json.beginArray()
                for (group, count) in order.prefix(limit) {
                    json.beginObject()
                    json.key("metric")
                    json.beginObject()
                    for (name, value) in zip(group.names, group.values) {
                        json.member(name, value)
                    }
                    json.endObject()
                    json.key("value")
                    json.beginArray()
                    json.seconds(millis: seconds)
                    json.string(String(count))
                    json.endArray()
                    json.endObject()
                }
                json.endArray()
                json.endObject()
            }
        }
    }

    private func wanted(_ request: APIRequest) throws -> LogRequest {
        let (start, end) = try bounds(request)
        return LogRequest(
            tenant: request.tenant, matchers: try selector(request.nonEmpty("query") ?? ""),
            range: NanosRange(first: Nanos(start), last: Nanos(end)))
    }
}

/// What volume is counted by.
private struct VolumeGroup: Hashable, Comparable {
    var names: [String]
    var values: [String]

    static func < (a: VolumeGroup, b: VolumeGroup) -> Bool {
        (a.names + a.values).lexicographicallyPrecedes(b.names + b.values)
    }
}

/// The groups a stream counts for: itself cut to the target labels, or each label's name.
private func volumeGroups(
    _ stream: Labels, _ targets: Set<String>, _ byLabels: Bool
) -> [VolumeGroup] {
    let pairs = stream.pairs.filter { targets.isEmpty || targets.contains($0.name) }
    if byLabels { return pairs.map { VolumeGroup(names: [$0.name], values: [""]) } }
    return [VolumeGroup(names: pairs.map(\.name), values: pairs.map(\.value))]
}
