// SPDX-License-Identifier: Apache-2.0
// What `lab bench traces` asks a server that has taken its spans.

import Base
import Shell
import Telemetry
import TestKit

/// Questions in Jaeger's API, which all measured servers speak, and in Tempo's, which Tern does.
struct TraceQuestions: Sendable {
    let client: LabClient
    /// Before `/api/traces` of Jaeger.
    let jaegerPath: String
    /// Before `/api/search` of Tempo; nil = it is not spoken.
    let tempoPath: String?
    let shape: TraceShape
    let traceCount: Int
    let seed: UInt64

    /// Times of one question, sorted, and the size of its last answer.
    struct Times {
        var name: String
        var seconds: [Double]
        var count: Int
        var unit: String

        func quantile(_ q: Double) -> Double { seconds[Int(q * Double(seconds.count - 1))] }
    }

    /// - Parameter turns: of look-ups by id; searches are asked 11 times.
    func all(turns: Int) async throws -> [Times] {
        var result: [Times] = []
        var known = Chance(seed: seed, 1)
        var unknown = Chance(seed: seed, 2)
        result.append(
            try await time("a trace by id", "spans", turns) {
                try await trace(shape.traceID(known.below(traceCount)))
            })
        result.append(
            try await time("an id that is not there", "spans", turns) {
                try await trace(TraceID(high: unknown.next(), low: unknown.next()))
            })
        for (name, parameters) in [
            (
                "errors of payment, limit 20",
                [("service", "payment"), ("tags", "{\"error\":\"true\"}")]
            ),
            (
                "calls of payment over 800 ms, limit 20",
                [
                    ("service", "payment"), ("minDuration", "800ms"),
                ]
            ),
            (
                "payment, one session of 50,000, limit 20",
                [
                    ("service", "payment"), ("tags", "{\"session.id\":\"12345\"}"),
                ]
            ),
        ] {
            result.append(
                try await time(name, "traces", 11) {
                    try await jaeger("/api/traces", parameters + window("limit", 1000))
                })
        }
        guard let tempoPath else { return result }
        for (name, query, limit) in [
            (
                "`{ span.http.response.status_code = 503 }`, limit 20",
                "{ span.http.response.status_code = 503 }", 20
            ),
            ("`{ span.session.id = 12345 }`, limit 1000", "{ span.session.id = 12345 }", 1000),
            (
                "`{ resource.service.name = \"frontend\" } >> { status = error }`, limit 20",
                "{ resource.service.name = \"frontend\" } >> { status = error }", 20
            ),
        ] {
            result.append(
                try await time(name, "traces", 11) {
                    let nanos = window("", 1_000_000_000)
                    return try await client.json(
                        tempoPath + "/api/search",
                        [("q", query), ("limit", "\(limit)"), nanos[1], nanos[2]]
                    )["traces"].items.count
                })
        }
        return result
    }

    /// A limit of 20 under `name`, and the times of the data in units of `nanos` nanoseconds.
    private func window(_ name: String, _ nanos: Int64) -> [(String, String)] {
        let line = shape.timeline
        let end = line.startNanos + Int64(traceCount) * line.traceEveryNanos + 600_000_000_000
        return [
            (name, "20"), ("start", "\(line.startNanos / nanos)"), ("end", "\(end / nanos)"),
        ]
    }

    private func time(
        _ name: String, _ unit: String, _ turns: Int, _ ask: () async throws -> Int
    ) async throws -> Times {
        let clock = SystemClock()
        var times = Times(name: name, seconds: [], count: try await ask(), unit: unit)
        for _ in 0..<turns {
            let begin = clock.monotonicNanos
            times.count = try await ask()
            times.seconds.append(Double(clock.monotonicNanos - begin) / 1e9)
        }
        times.seconds.sort()
        return times
    }

    private func jaeger(_ path: String, _ parameters: [(String, String)]) async throws -> Int {
        try await client.json(jaegerPath + path, parameters)["data"].items.count
    }

    /// - Returns: number of its spans; 0 when it is not there, which Jaeger answers 404.
    private func trace(_ id: TraceID) async throws -> Int {
        let answer = try await client.get("\(jaegerPath)/api/traces/\(id)")
        if answer.status == 404 { return 0 }
        guard answer.isSuccess else {
            throw LabError("trace \(id) was answered \(answer.status): \(answer.text)")
        }
        return try JSONValue(parsing: answer.body)["data"].items.first?["spans"].items.count ?? 0
    }
}
