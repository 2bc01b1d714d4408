// SPDX-License-Identifier: Apache-2.0
// Log lines that do not stay as they were sent.

import Base
import TestKit

/// What becomes of lines in a crash run.
enum LogFate: Int, CaseIterable, Sendable {
    /// Half of them are deleted, time by time.
    case deleted
    /// Kept for `FateShape.shortMillis` by a rule of `storage.retention`.
    case short
}

/// Lines, and deletions of them, with their ledgers. A batch has as many lines of kind a as of
/// kind b; deletions name kind a.
final class LogFateRun: Sendable {
    /// Lines of one kind in a batch.
    static let half = 10
    static let kinds = ["a", "b"]
    /// Batches of `deleted` are a second apart and must not reach the present.
    private static let maxBatches = 7000

    private let ledgers = FateLedgers(count: LogFate.allCases.count)
    private let seed: UInt64
    /// On a whole second.
    let startNanos: Int64

    init(seed: UInt64, startNanos: Int64) {
        self.seed = seed
        self.startNanos = startNanos
    }

    func ledger(_ fate: LogFate) -> FateLedger { ledgers[fate.rawValue] }

    /// Time of a line; away from the ends of deletions, which are whole seconds.
    func nanos(_ fate: LogFate, batch: Int, millis: Int64, line: Int) -> Int64 {
        switch fate {
        case .deleted:
            startNanos + Int64(batch) * 1_000_000_000 + 100_000_000 + Int64(line) * 10_000_000
        case .short: millis * 1_000_000 + Int64(line) * 1000
        }
    }

    func text(_ fate: LogFate, batch: Int, kind: String, line: Int) -> String {
        let value = Chance.hash(seed, UInt64(batch) * 64 + UInt64(line), kind == "a" ? 7 : 8)
        return "fate=\(fate) kind=\(kind) batch=\(batch) line=\(line) value=\(value)"
    }

    /// Sends and deletes until the server is gone.
    func load(_ client: LabClient, round: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for fate in LogFate.allCases {
                group.addTask { [self] in
                    try await ledgers.lane(
                        fate.rawValue, mostBatches: Self.maxBatches, pauseSeconds: 0.03
                    ) { try await self.send(fate, $0, client) }
                }
            }
            group.addTask { [self] in try await deletionLane(client, round) }
            try await group.waitForAll()
        }
    }

    /// - Returns: the number of lines, nil when the server is gone.
    private func send(_ fate: LogFate, _ batch: Int, _ client: LabClient) async throws -> Int? {
        let isTaken = try await client.postPatiently(
            "/loki/api/v1/push", headers: [("Content-Type", "application/json")],
            body: push(fate, batch), "batch \(batch) of lines")
        return isTaken ? 2 * Self.half : nil
    }

    private func push(_ fate: LogFate, _ batch: Int) -> [UInt8] {
        let millis = ledger(fate).millis[batch]
        var json = JSONWriter()
        json.beginObject()
        json.key("streams")
        json.beginArray()
        for kind in Self.kinds {
            json.beginObject()
            json.key("stream")
            json.beginObject()
            json.member("app", "lab-fate")
            json.member("fate", "\(fate)")
            json.member("kind", kind)
            json.member("retain", fate == .short ? "short" : "long")
            json.endObject()
            json.key("values")
            json.beginArray()
            for line in 0..<Self.half {
                json.beginArray()
                json.string(String(nanos(fate, batch: batch, millis: millis, line: line)))
                json.string(text(fate, batch: batch, kind: kind, line: line))
                json.endArray()
            }
            json.endArray()
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    /// Sends again what had no answer, as a sender does.
    func resend(_ fate: LogFate, _ client: LabClient) async throws {
        try await ledgers.resend(fate.rawValue, "lines") {
            try await self.send(fate, $0, client)
        }
    }

    /// Deletes half of the lines: by the selector, and by a filter of lines.
    private func deletionLane(_ client: LabClient, _ round: Int) async throws {
        var chance = Chance(seed: seed, 41, UInt64(round))
        let second = startNanos / 1_000_000_000
        try await ledgers.deletionLane(LogFate.deleted.rawValue, client, &chance) {
            range, chance in
            let query =
                chance.happens(1, in: 2)
                ? "{fate=\"deleted\", kind=\"a\"}" : "{fate=\"deleted\"} |= \"kind=a\""
            return try await client.postForm(
                "/loki/api/v1/delete",
                [
                    ("query", query), ("start", String(second + Int64(range.lowerBound))),
                    ("end", String(second + Int64(range.upperBound))),
                ])
        }
    }
}
