// SPDX-License-Identifier: Apache-2.0
// Which batches were sent, acknowledged and deleted, by fate.

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
    /// Of the batches' items of kind a.
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

    fileprivate mutating func noteRepeat(_ batch: Int) { repeats[batch] += 1 }

    mutating func acknowledge(_ batch: Int, items: Int) {
        batches.acknowledge(batch, items: items)
        while batches[acknowledgedEnd] == .acknowledged { acknowledgedEnd += 1 }
    }

    /// Batches without an answer, ascending.
    var unanswered: [Int] { (0..<batches.end).filter { batches[$0] == .sent } }

    /// Marks a part of what is acknowledged and not deleted yet.
    fileprivate mutating func askDeletion(part: Double) -> Range<Int> {
        let first = deletedEnd
        let most = max(first, acknowledgedEnd)
        let end = first + Int(Double(most - first) * part)
        for batch in first..<end { deletions[batch] = .asked }
        return first..<end
    }

    fileprivate mutating func finishDeletion(_ range: Range<Int>) {
        for batch in range { deletions[batch] = .done }
        deletedEnd = range.upperBound
    }
}

/// The ledgers of several fates, and how they are filled until the server is gone.
final class FateLedgers: Sendable {
    /// Sends a batch; gives the number of its items, nil when the server is gone.
    typealias Send = @Sendable (_ batch: Int) async throws -> Int?
    private let ledgers: Mutex<[FateLedger]>

    init(count: Int) { ledgers = Mutex([FateLedger](repeating: FateLedger(), count: count)) }

    subscript(number: Int) -> FateLedger { ledgers.withLock { $0[number] } }

    /// Sends batches one after the other.
    func lane(
        _ number: Int, mostBatches: Int, pauseSeconds: Double, _ send: Send
    ) async throws {
        let clock = SystemClock()
        while true {
            let batch = ledgers.withLock { ledgers -> Int? in
                guard ledgers[number].batches.end < mostBatches else { return nil }
                return ledgers[number].beginNext(millis: clock.wallNanos / 1_000_000)
            }
            guard let batch, let items = try await send(batch) else { return }
            ledgers.withLock { $0[number].acknowledge(batch, items: items) }
            try await clock.sleep(seconds: pauseSeconds)
        }
    }

    /// Sends again what had no answer, as a sender does.
    func resend(_ number: Int, _ what: String, _ send: Send) async throws {
        for batch in self[number].unanswered {
            ledgers.withLock { $0[number].noteRepeat(batch) }
            guard let items = try await send(batch) else {
                throw LabError("the server was gone while \(what) were sent again")
            }
            ledgers.withLock { $0[number].acknowledge(batch, items: items) }
        }
    }

    /// Deletes kind a over stretches of time that were acknowledged, one after the other.
    ///
    /// - Parameter delete: asks for the deletion of a range of batches; false when the server is gone or
    ///   takes nothing now.
    func deletionLane(
        _ number: Int, _ client: LabClient, _ chance: inout Chance,
        _ delete: (Range<Int>, inout Chance) async throws -> Bool
    ) async throws {
        while true {
            try await SystemClock().sleep(seconds: 0.1 + chance.fraction())
            let part = chance.fraction()
            let range = ledgers.withLock { $0[number].askDeletion(part: part) }
            guard !range.isEmpty else {
                // A server that is gone acknowledges nothing that could be deleted.
                guard await client.isThere else { return }
                continue
            }
            guard try await delete(range, &chance) else { return }
            ledgers.withLock { $0[number].finishDeletion(range) }
        }
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

    /// Posts until the server, which may be busy, takes it.
    ///
    /// - Returns: false when the server is gone.
    /// - Throws: `LabError` for a refusal, and after a hundred times.
    func postPatiently(
        _ path: String, headers: [(String, String)], body: [UInt8], _ what: String
    ) async throws -> Bool {
        for _ in 0..<100 {
            let answer: LabAnswer
            do {
                answer = try await post(path, headers: headers, body: body)
            } catch {
                return false
            }
            if answer.isSuccess { return true }
            guard answer.status == 503 || answer.status == 429 else {
                throw LabError("\(what) was answered \(answer.status): \(answer.text)")
            }
            try await SystemClock().sleep(seconds: 0.1)
        }
        throw LabError("\(what) was put off a hundred times")
    }

    /// Posts a form once.
    ///
    /// - Returns: false when the server is gone, or takes nothing now.
    func postForm(_ path: String, _ form: [(String, String)]) async throws -> Bool {
        let body = form.map { encoded($0.0) + "=" + encoded($0.1) }.joined(separator: "&")
        let answer: LabAnswer
        do {
            answer = try await post(
                path, headers: [("Content-Type", "application/x-www-form-urlencoded")],
                body: Array(body.utf8))
        } catch {
            return false
        }
        if answer.isSuccess { return true }
        guard answer.status == 503 || answer.status == 429 else {
            throw LabError("\(path) was answered \(answer.status): \(answer.text)")
        }
        return false
    }
}
