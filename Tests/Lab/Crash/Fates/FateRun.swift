// SPDX-License-Identifier: Apache-2.0
// Writing, and deleting, what does not stay.

import TestKit

/// Shapes and ledgers of all fates in a crash run.
final class FateRun: Sendable {
    let shapes: [FateShape]
    private let ledgers = FateLedgers(count: Fate.allCases.count)
    private let seed: UInt64

    init(seed: UInt64, nowMillis: Int64) {
        self.seed = seed
        shapes = Fate.allCases.map { FateShape($0, seed: seed, nowMillis: nowMillis) }
    }

    subscript(fate: Fate) -> FateShape { shapes[fate.rawValue] }
    func ledger(_ fate: Fate) -> FateLedger { ledgers[fate.rawValue] }

    /// Sends and deletes until the server is gone.
    func load(_ client: LabClient, round: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for fate in Fate.allCases {
                for _ in 0..<(fate == .coarse ? 2 : 1) {
                    group.addTask { [self] in
                        try await ledgers.lane(
                            fate.rawValue, mostBatches: self[fate].maxBatches,
                            pauseSeconds: fate == .coarse ? 0.015 : 0.03
                        ) { try await self.send(fate, $0, client) }
                    }
                }
            }
            group.addTask { [self] in try await deletionLane(client, round) }
            try await group.waitForAll()
        }
    }

    /// - Returns: the number of samples, nil when the server is gone.
    private func send(_ fate: Fate, _ batch: Int, _ client: LabClient) async throws -> Int? {
        let millis = fate == .short ? ledger(fate).millis[batch] : nil
        let request = try remoteWriteRequest(self[fate].batch(batch, millis: millis), .rw1)
        let isTaken = try await client.postPatiently(
            request.path, headers: request.headers, body: request.body, "\(fate) batch \(batch)")
        return isTaken ? request.items : nil
    }

    /// Sends again what had no answer, as a sender does.
    func resend(_ fate: Fate, _ client: LabClient) async throws {
        try await ledgers.resend(fate.rawValue, "\(fate) batches") {
            try await self.send(fate, $0, client)
        }
    }

    /// Deletes half of the series.
    private func deletionLane(_ client: LabClient, _ round: Int) async throws {
        var chance = Chance(seed: seed, 40, UInt64(round))
        let shape = self[.deleted]
        let base = "/api/v1/admin/tsdb/"
        try await ledgers.deletionLane(Fate.deleted.rawValue, client, &chance) { range, chance in
            let form = [
                ("match[]", "\(Fate.deleted.metric){kind=\"a\"}"),
                ("start", secondsText(shape.millis(step: range.lowerBound))),
                ("end", secondsText(shape.millis(step: range.upperBound - 1))),
            ]
            guard try await client.postForm(base + "delete_series", form) else { return false }
            if chance.happens(1, in: 3) {
                // The series are deleted either way; a server that is gone ends the next deletion.
                _ = try await client.postForm(base + "clean_tombstones", [])
            }
            return true
        }
    }
}
