// SPDX-License-Identifier: Apache-2.0
// Log lines that do not stay as they were sent.

import Base
import Shell
import Synchronization
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

    private let ledgers = Mutex(
        [FateLedger](repeating: FateLedger(), count: LogFate.allCases.count))
    private let seed: UInt64
    /// On a whole second.
    let startNanos: Int64

    init(seed: UInt64, startNanos: Int64) {
        self.seed = seed
        self.startNanos = startNanos
    }

    func ledger(_ fate: LogFate) -> FateLedger { ledgers.withLock { $0[fate.rawValue] } }

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
                group.addTask { [self] in try await lane(fate, client) }
            }
            group.addTask { [self] in try await deletionLane(client, round) }
            try await group.waitForAll()
        }
    }

    private func lane(_ fate: LogFate, _ client: LabClient) async throws {
        let clock = SystemClock()
        while true {
            let batch = ledgers.withLock { ledgers -> Int? in
                guard ledgers[fate.rawValue].batches.end < Self.maxBatches else { return nil }
                return ledgers[fate.rawValue].beginNext(millis: clock.wallNanos / 1_000_000)
            }
            guard let batch, try await send(fate, batch, client) else { return }
            try await clock.sleep(seconds: 0.03)
        }
    }

    /// - Returns: false when the server is gone.
    private func send(_ fate: LogFate, _ batch: Int, _ client: LabClient) async throws -> Bool {
        let body = push(fate, batch)
        for _ in 0..<100 {
            let answer: LabAnswer
            do {
                answer = try await client.post(
                    "/loki/api/v1/push", headers: [("Content-Type", "application/json")],
                    body: body)
            } catch {
                return false
            }
            if answer.isSuccess {
                ledgers.withLock {
                    $0[fate.rawValue].acknowledge(batch, items: 2 * Self.half)
                }
                return true
            }
            guard answer.status == 503 || answer.status == 429 else {
                throw LabError("lines were answered \(answer.status): \(answer.text)")
            }
            try await SystemClock().sleep(seconds: 0.1)
        }
        throw LabError("lines of batch \(batch) were put off a hundred times")
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
        for batch in ledger(fate).unanswered {
            guard try await send(fate, batch, client) else {
                throw LabError("the server was gone while lines were sent again")
            }
        }
    }

    // MARK: - Deletions

    /// Deletes kind a over stretches of time that were acknowledged, one after the other: by the
    /// selector, and by a filter of lines.
    private func deletionLane(_ client: LabClient, _ round: Int) async throws {
        var chance = Chance(seed: seed, 41, UInt64(round))
        let number = LogFate.deleted.rawValue
        while true {
            try await SystemClock().sleep(seconds: 0.1 + chance.fraction())
            let part = chance.fraction()
            let range = ledgers.withLock { ledgers -> Range<Int> in
                let first = ledgers[number].deletedEnd
                let most = max(first, ledgers[number].acknowledgedEnd)
                let end = first + Int(Double(most - first) * part)
                for batch in first..<end { ledgers[number].deletions[batch] = .asked }
                return first..<end
            }
            guard !range.isEmpty else {
                // A server that is gone acknowledges nothing that could be deleted.
                guard await client.isThere else { return }
                continue
            }
            let second = startNanos / 1_000_000_000
            let query =
                chance.happens(1, in: 2)
                ? "{fate=\"deleted\", kind=\"a\"}" : "{fate=\"deleted\"} |= \"kind=a\""
            let form = [
                ("query", query), ("start", String(second + Int64(range.lowerBound))),
                ("end", String(second + Int64(range.upperBound))),
            ]
            guard try await delete(form, client) else { return }
            ledgers.withLock { ledgers in
                for batch in range { ledgers[number].deletions[batch] = .done }
                ledgers[number].deletedEnd = range.upperBound
            }
        }
    }

    /// - Returns: false when the server is gone, or takes nothing now.
    private func delete(_ form: [(String, String)], _ client: LabClient) async throws -> Bool {
        let body = form.map { encoded($0.0) + "=" + encoded($0.1) }.joined(separator: "&")
        let answer: LabAnswer
        do {
            answer = try await client.post(
                "/loki/api/v1/delete",
                headers: [("Content-Type", "application/x-www-form-urlencoded")],
                body: Array(body.utf8))
        } catch {
            return false
        }
        if answer.isSuccess { return true }
        guard answer.status == 503 || answer.status == 429 else {
            throw LabError("a deletion of lines was answered \(answer.status): \(answer.text)")
        }
        return false
    }
}
