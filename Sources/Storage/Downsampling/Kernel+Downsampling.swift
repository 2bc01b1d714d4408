// SPDX-License-Identifier: Apache-2.0
// Down-sampling what is old enough.

import Base
import Synchronization

extension Kernel {
    /// Down-samples what is old enough. The raw samples of those days are gone then.
    package func downsampleNow() async throws {
        guard !configuration.downsampling.isEmpty else { return }
        // One job per run, so that deletions and snapshots get their turn in between.
        while try await compactor.run({ [self] in try downsampleOne() }) {}
    }

    /// Rewrites one run. Returns whether there was one.
    private func downsampleOne() throws -> Bool {
        guard !mustYield else { return false }
        let all = manifest.current.sorted
        let handles = state.withLock { state in
            state.handles.filter { !state.unmergeable.contains($0.key) }
        }
        let runs = try DownsamplingPlanner.plan(
            all, rules: configuration.downsampling, isMergeable: { handles[$0.id] != nil },
            resolution: { part in
                guard let handle = handles[part.id] else { return nil }
                return try store(of: part.signal)?.resolutionMillis(handle)
            },
            wallNanos: clock.wallNanos, maxBytes: try maxMergeBytes())
        guard let run = runs.first else { return false }
        let inputs = run.parts.compactMap { handles[$0.id] }
        switch try merge(inputs, resolutionMillis: run.resolutionMillis) {
        case .done: return true
        case .interrupted: return false
        // What cannot be read is left out from now on.
        case .failed: return true
        }
    }
}
