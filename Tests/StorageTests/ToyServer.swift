// SPDX-License-Identifier: Apache-2.0
// A kernel with a toy store, and what was promised to its clients.

import Base
import Storage
import Synchronization
import TestKit

/// Commits rows as the real server does, and remembers which of them were acknowledged.
final class ToyServer: Sendable {
    let kernel: Kernel
    let store: ToyStore

    init(
        _ files: any FileSystem, clock: any Clock = ManualClock(), seed: UInt64 = 7,
        path: String = "/data", change: (inout KernelConfiguration) -> Void = { _ in },
        progress: @escaping (ReplayProgress) -> Void = { _ in }
    ) throws {
        var configuration = KernelConfiguration(path: path, retentionSeconds: 0)
        configuration.minFreeBytes = 0
        change(&configuration)
        store = ToyStore()
        kernel = try Kernel.open(
            configuration, files: files, clock: clock, random: SeededRandom(seed: seed),
            stores: [store], progress: progress)
    }

    @discardableResult
    func commit(_ rows: [ToyStore.Row]) async throws(CommitError) -> CommitTicket {
        let tenant = rows.first?.tenant ?? "t"
        let ticket = try await kernel.commit(
            tenant: tenant,
            sections: [CommitSection(signal: .logs, payload: ToyStore.encode(rows))])
        store.append(rows, generation: ticket.generation)
        kernel.applied(ticket)
        return ticket
    }

    @discardableResult
    func commit(
        _ key: UInt64, tenant: String = "t", nanos: Int64 = 1_800_000_000_000_000_000,
        bytes: Int = 40
    ) async throws(CommitError) -> CommitTicket {
        try await commit([ToyServer.row(key, tenant: tenant, nanos: nanos, bytes: bytes)])
    }

    func delete(_ keys: Set<UInt64>, tenant: String = "t") async throws {
        try await kernel.delete(.logs, tenant: tenant, range: .min ... .max) {
            try ToyStore.deletions(keys, $0)
        }
    }

    /// The one row with this key: its bytes follow from the key.
    static func row(
        _ key: UInt64, tenant: String = "t", nanos: Int64 = 1_800_000_000_000_000_000,
        bytes: Int = 40
    ) -> ToyStore.Row {
        var random = SplitMix64(seed: key)
        return ToyStore.Row(
            tenant: tenant, key: key, nanos: nanos,
            value: (0..<bytes).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    }

    var keys: [UInt64] { store.rows.map(\.key).sorted() }
}
