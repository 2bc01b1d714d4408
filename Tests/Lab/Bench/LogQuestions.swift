// SPDX-License-Identifier: Apache-2.0
// What `lab bench logs` asks a server that has taken its lines.

import Base
import Shell
import Telemetry

/// A question's time and the number of lines or groups of its answer.
struct LogReply: Sendable {
    var seconds: Double
    var count: Int
}

/// The questions of the bench, over all that was sent.
protocol LogQuestions: Sendable {
    /// Lines with a trace id in their text.
    func needle(_ id: TraceID) async throws -> LogReply
    /// Lines with a phrase.
    func scan(_ phrase: String) async throws -> LogReply
    /// The number of lines of each service.
    func countByService() async throws -> LogReply
}

extension LogQuestions {
    fileprivate func timed(_ ask: () async throws -> Int) async throws -> LogReply {
        let clock = SystemClock()
        let begin = clock.monotonicNanos
        let count = try await ask()
        return LogReply(seconds: Double(clock.monotonicNanos - begin) / 1e9, count: count)
    }

    /// The fastest of five turns.
    func best(_ ask: (Self) async throws -> LogReply) async throws -> LogReply {
        var best = try await ask(self)
        for _ in 0..<4 {
            let again = try await ask(self)
            if again.seconds < best.seconds { best = again }
        }
        return best
    }
}

/// In LogQL.
struct LokiQuestions: LogQuestions {
    let client: LabClient
    let sent: LogPusher.Sent

    private func lines(_ query: String) async throws -> LogReply {
        try await timed {
            try await client.json(
                "/loki/api/v1/query_range",
                [
                    ("query", query), ("start", "\(sent.firstNanos)"),
                    ("end", "\(sent.lastNanos + 1)"), ("limit", "1000"),
                ]
            )["data"]["result"].items.reduce(0) { $0 + $1["values"].items.count }
        }
    }

    func needle(_ id: TraceID) async throws -> LogReply {
        try await lines("{namespace=\"shop\"} |= `\(id)`")
    }

    func scan(_ phrase: String) async throws -> LogReply {
        try await lines("{namespace=\"shop\"} |= `\(phrase)`")
    }

    func countByService() async throws -> LogReply {
        let seconds = (sent.lastNanos - sent.firstNanos) / 1_000_000_000 + 2
        return try await timed {
            try await client.json(
                "/loki/api/v1/query",
                [
                    (
                        "query",
                        "sum by (service_name) (count_over_time({namespace=\"shop\"}[\(seconds)s]))"
                    ), ("time", "\(sent.lastNanos + 1)"),
                ]
            )["data"]["result"].items.count
        }
    }
}

/// In LogsQL of VictoriaLogs, whose answers are lines of JSON. Its phrase filter asks for whole
/// words, its `~` for any text.
struct VictoriaLogsQuestions: LogQuestions {
    let client: LabClient
    let sent: LogPusher.Sent

    private func rows(_ query: String) async throws -> LogReply {
        try await timed {
            let answer = try await client.get(
                "/select/logsql/query",
                [
                    ("query", query), ("start", "\(sent.firstNanos)"),
                    ("end", "\(sent.lastNanos + 1)"), ("limit", "1000"),
                ])
            guard answer.isSuccess else {
                throw LabError("\(query) was answered \(answer.status): \(answer.text)")
            }
            return answer.body.split(separator: UInt8(ascii: "\n")).count
        }
    }

    func needle(_ id: TraceID) async throws -> LogReply {
        try await rows("{namespace=\"shop\"} \"\(id)\"")
    }

    func scan(_ phrase: String) async throws -> LogReply {
        try await rows("{namespace=\"shop\"} ~\"\(phrase)\"")
    }

    func countByService() async throws -> LogReply {
        try await rows("{namespace=\"shop\"} | stats by (service_name) count() as lines")
    }
}
