// SPDX-License-Identifier: Apache-2.0
// Counting items back by queries.

import Base
import Shell
import Telemetry
import TestKit
import Wire

/// Asks a server for everything that a run has sent.
struct Counting: Sendable {
    let client: LabClient
    /// Queries at once.
    var lanes = 4

    /// Samples of a run, one query per metric name: `count_over_time` drops the name, so that one
    /// query over all of them would bring the same labels twice.
    func samples(_ load: MetricLoad) async throws -> Int {
        let shape = load.shape
        let last = (load.samples + shape.seriesCount - 1) / shape.seriesCount - 1
        let end = shape.millis(step: max(0, last))
        let range = end - shape.millis(step: 0) + 1000
        let cluster = shape.timeline.cluster
        return try await sum(over: shape.names) { name in
            try await number(
                "/api/v1/query",
                [
                    ("query", "sum(count_over_time(\(name){cluster=\"\(cluster)\"}[\(range)ms]))"),
                    ("time", "\(end / 1000).\(end % 1000 / 100)\(end % 100 / 10)\(end % 10)"),
                ])
        }
    }

    /// Lines of a run, by queries over an hour of it each.
    func lines(_ load: LogLoad) async throws -> Int {
        let shape = load.shape
        let first = shape.timeline.startNanos
        let length = Int64(load.lines) * shape.lineEveryNanos
        let hour: Int64 = 3_600_000_000_000
        let windows = Array(0..<(length + hour - 1) / hour)
        // OTLP keeps the cluster as structured metadata: it is none of Loki's index attributes.
        let cluster = "cluster=\"\(shape.timeline.cluster)\""
        let selector =
            load.format == .otlp
            ? "{service_name=~\".+\"} | \(cluster)" : "{service_name=~\".+\", \(cluster)}"
        return try await sum(over: windows) { window in
            // A range is open at its start and closed at its end.
            let end = min(first + length, first + (window + 1) * hour) - 1
            let millis = (end - (first + window * hour - 1)) / 1_000_000
            return try await number(
                "/loki/api/v1/query",
                [
                    ("query", "sum(count_over_time(\(selector) [\(millis)ms]))"),
                    ("time", String(end)),
                ])
        }
    }

    /// Spans of a run: every trace is fetched by its id.
    ///
    /// - Throws: when a trace holds other spans than were sent.
    func spans(_ load: TraceLoad) async throws -> Int {
        let step = 64
        return try await sum(over: Array(stride(from: 0, to: load.traces, by: step))) { first in
            var sum = 0
            for trace in first..<min(load.traces, first + step) {
                sum += try await spans(ofTrace: load.shape.traceID(trace))
            }
            return sum
        }
    }

    private func spans(ofTrace id: TraceID) async throws -> Int {
        let answer = try await client.get(
            "/api/traces/\(id)", accept: "application/protobuf")
        if answer.status == 404 { return 0 }
        guard answer.isSuccess else {
            throw LabError("trace \(id) was answered \(answer.status): \(answer.text)")
        }
        return try answer.body.withUnsafeBytes {
            try OTLPTraces.decodeProtobuf($0).batch.rowCount
        }
    }

    /// The one number of an instant query; no result is 0.
    private func number(_ path: String, _ parameters: [(String, String)]) async throws -> Int {
        let json = try await client.json(path, parameters)
        let result = json["data"]["result"]
        return result.items.isEmpty ? 0 : Int(result[0]["value"][1].text) ?? 0
    }

    private func sum<Part: Sendable>(
        over parts: [Part], _ count: @Sendable @escaping (Part) async throws -> Int
    ) async throws -> Int {
        try await withThrowingTaskGroup(of: Int.self) { group in
            var sum = 0
            var rest = parts.makeIterator()
            for _ in 0..<lanes {
                if let part = rest.next() { group.addTask { try await count(part) } }
            }
            while let n = try await group.next() {
                sum += n
                if let part = rest.next() { group.addTask { try await count(part) } }
            }
            return sum
        }
    }
}
