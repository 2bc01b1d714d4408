// SPDX-License-Identifier: Apache-2.0
// How much background work a crash run has met.

import Base
import Synchronization

/// Sums counters of servers that are killed: the last values that each of them showed.
final class WorkCount: Sendable {
    static let names: [(metric: String, shown: String)] = [
        ("tern_storage_seals_total", "seals"),
        ("tern_storage_merges_total", "merges"),
        ("tern_storage_downsampled_parts_total", "parts down-sampled"),
        ("tern_storage_parts_expired_total", "parts expired"),
        ("tern_storage_deletions_total", "deletions"),
        ("tern_storage_merges_failed_total", "failed merges"),
        ("tern_storage_seals_failed_total", "failed seals"),
    ]
    private let state = Mutex<(sum: [String: Double], last: [String: Double])>(([:], [:]))

    /// Reads the counters every tenth of a second until the server is gone.
    func watch(_ client: LabClient) async throws {
        while true {
            guard let page = try? await TernMetrics(client: client).page() else { break }
            state.withLock { state in
                for (name, _) in Self.names {
                    if let value = page[name] { state.last[name] = value }
                }
            }
            try await SystemClock().sleep(seconds: 0.1)
        }
        finish()
    }

    /// Takes over what was seen last of a server that has ended.
    private func finish() {
        state.withLock { state in
            state.sum.merge(state.last, uniquingKeysWith: +)
            state.last = [:]
        }
    }

    var counts: [(shown: String, count: Int)] {
        state.withLock { state in
            Self.names.map { ($0.shown, Int(state.sum[$0.metric] ?? 0)) }
        }
    }
}
