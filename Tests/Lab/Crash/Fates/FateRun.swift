// SPDX-License-Identifier: Apache-2.0
// Writing, and deleting, what does not stay.

import Base
import Shell
import Synchronization
import TestKit

/// The ledger of one fate.
struct FateLedger: Sendable {
    enum Deletion: UInt8, Sendable { case none, asked, done }
    var batches = BatchLedger()
    /// Times that the clock gave to batches.
    var millis: [Int64] = []
    /// Of the batches' series of kind a.
    var deletions: [Deletion] = []
    /// How often each batch was sent again after it had no answer.
    private(set) var repeats: [Int] = []
    /// Batches below are deleted or asked to be.
    var deletedEnd = 0
    /// Batches below are all acknowledged.
    private(set) var acknowledgedEnd = 0

    mutating func beginNext(millis now: Int64) -> Int {
        let next = batches.beginNext()
        millis.append(max(now, (millis.last ?? 0) + 1))
        deletions.append(.none)
        repeats.append(0)
        return next
    }

    mutating func acknowledge(_ batch: Int, items: Int) {
        batches.acknowledge(batch, items: items)
        while batches[acknowledgedEnd] == .acknowledged { acknowledgedEnd += 1 }
    }

    mutating func noteRepeat(_ batch: Int) { repeats[batch] += 1 }

    /// Batches without an answer, ascending.
    var unanswered: [Int] { (0..<batches.end).filter { batches[$0] == .sent } }
}

/// Shapes and ledgers of all fates in a crash run.
final class FateRun: Sendable {
    let shapes: [FateShape]
    private let ledgers = Mutex([FateLedger](repeating: FateLedger(), count: Fate.allCases.count))
    private let seed: UInt64

    init(seed: UInt64, nowMillis: Int64) {
        self.seed = seed
        shapes = Fate.allCases.map { FateShape($0, seed: seed, nowMillis: nowMillis) }
    }

    subscript(fate: Fate) -> FateShape { shapes[fate.rawValue] }
    func ledger(_ fate: Fate) -> FateLedger { ledgers.withLock { $0[fate.rawValue] } }

    /// Sends and deletes until the server is gone.
    func load(_ client: LabClient, round: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for fate in Fate.allCases {
                for _ in 0..<(fate == .coarse ? 2 : 1) {
                    group.addTask { [self] in try await lane(fate, client) }
                }
            }
            group.addTask { [self] in try await deletionLane(client, round) }
            try await group.waitForAll()
        }
    }

    private func lane(_ fate: Fate, _ client: LabClient) async throws {
        let clock = SystemClock()
        while true {
            let batch = ledgers.withLock { ledgers -> Int? in
                guard ledgers[fate.rawValue].batches.end < self[fate].maxBatches else {
                    return nil
                }
                return ledgers[fate.rawValue].beginNext(millis: clock.wallNanos / 1_000_000)
            }
            guard let batch, try await send(fate, batch, client) else { return }
            try await clock.sleep(seconds: fate == .coarse ? 0.015 : 0.03)
        }
    }

    /// - Returns: false when the server is gone.
    private func send(_ fate: Fate, _ batch: Int, _ client: LabClient) async throws -> Bool {
        let millis = fate == .short ? ledger(fate).millis[batch] : nil
        let request = try remoteWriteRequest(self[fate].batch(batch, millis: millis), .rw1)
        for _ in 0..<100 {
            let answer: LabAnswer
            do {
                answer = try await client.post(
                    request.path, headers: request.headers, body: request.body)
            } catch {
                return false
            }
            if answer.isSuccess {
                ledgers.withLock {
                    $0[fate.rawValue].acknowledge(batch, items: request.items)
                }
                return true
            }
            guard answer.status == 503 || answer.status == 429 else {
                throw LabError(
                    "\(fate) batch \(batch) was answered \(answer.status): \(answer.text)")
            }
            try await SystemClock().sleep(seconds: 0.1)
        }
        throw LabError("\(fate) batch \(batch) was put off a hundred times")
    }

    /// Sends again what had no answer, as a sender does.
    func resend(_ fate: Fate, _ client: LabClient) async throws {
        for batch in ledger(fate).unanswered {
            ledgers.withLock { $0[fate.rawValue].noteRepeat(batch) }
            guard try await send(fate, batch, client) else {
                throw LabError("the server was gone while \(fate) batches were sent again")
            }
        }
    }

    /// Deletes half of the series over stretches of time that were acknowledged, one after the other.
    private func deletionLane(_ client: LabClient, _ round: Int) async throws {
        var chance = Chance(seed: seed, 40, UInt64(round))
        let shape = self[.deleted]
        let number = Fate.deleted.rawValue
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
            let form = [
                ("match[]", "\(Fate.deleted.metric){kind=\"a\"}"),
                ("start", secondsText(shape.millis(step: range.lowerBound))),
                ("end", secondsText(shape.millis(step: range.upperBound - 1))),
            ]
            guard try await post("delete_series", form, client) else { return }
            ledgers.withLock { ledgers in
                for batch in range { ledgers[number].deletions[batch] = .done }
                ledgers[number].deletedEnd = range.upperBound
            }
            if chance.happens(1, in: 3) {
                guard try await post("clean_tombstones", [], client) else { return }
            }
        }
    }

    /// - Returns: false when the server is gone, or takes nothing now.
    private func post(
        _ name: String, _ form: [(String, String)], _ client: LabClient
    ) async throws -> Bool {
        let body = form.map { encoded($0.0) + "=" + encoded($0.1) }.joined(separator: "&")
        let answer: LabAnswer
        do {
            answer = try await client.post(
                "/api/v1/admin/tsdb/" + name,
                headers: [("Content-Type", "application/x-www-form-urlencoded")],
                body: Array(body.utf8))
        } catch {
            return false
        }
        if answer.isSuccess { return true }
        guard answer.status == 503 else {
            throw LabError("\(name) was answered \(answer.status): \(answer.text)")
        }
        return false
    }
}

extension LabClient {
    /// Whether something answers.
    var isThere: Bool {
        get async {
            do {
                _ = try await get("/-/healthy")
                return true
            } catch { return false }
        }
    }
}
