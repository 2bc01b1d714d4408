// SPDX-License-Identifier: Apache-2.0
// Background loops, and the end.

import Base
import Synchronization

extension Kernel {
    /// Starts the background work: sealing by size and age, probing a refusing disk, merging and
    /// retention. Ends with `stop`.
    package func start() {
        state.withLock { state in
            guard state.tasks.isEmpty, !state.isStopped else { return }
            state.tasks = [
                Task { [self] in await sealLoop() }, Task { [self] in await compactionLoop() },
            ]
        }
    }

    private func sealLoop() async {
        var backoff = Backoff(firstSeconds: 5, mostSeconds: 60)
        while await pause(configuration.tickSeconds) {
            log.probe()
            boundResidentPages()
            guard shouldSeal(), backoff.allows(clock.monotonicNanos) else { continue }
            do {
                try await sealNow()
                backoff.succeeded()
            } catch {
                // `seal` has noted it. The head stays and is tried again.
                backoff.failed(clock.monotonicNanos)
            }
        }
    }

    /// Lets go of the pages of all parts when more of them are resident than may be. Those that are
    /// still wanted come back from the page cache for some tenths of a microsecond each.
    private func boundResidentPages() {
        guard let limit = configuration.residentPartBytes, residentFileBytes() > limit else {
            return
        }
        let handles = state.withLock { Array($0.handles.values) }
        for handle in handles { handle.reader.bytes.releaseResidentPages() }
    }

    private func shouldSeal() -> Bool {
        if refreshHeadBytes() >= configuration.sealBytes { return true }
        if log.byteCount >= configuration.sealLogBytes { return true }
        if replaySeconds >= configuration.sealReplaySeconds { return true }
        let now = clock.monotonicNanos
        return state.withLock { state in
            if state.pending != nil { return true }
            guard let oldest = state.oldestCommitNanos else { return false }
            return Double(now - oldest) / 1e9 >= configuration.sealAgeSeconds
        }
    }

    private func compactionLoop() async {
        var backoff = Backoff(
            firstSeconds: configuration.compactionIntervalSeconds * 2, mostSeconds: 600)
        while await pause(configuration.compactionIntervalSeconds) {
            do {
                // Never put off: it is what gives space back.
                try await enforceRetention()
                guard backoff.allows(clock.monotonicNanos) else { continue }
                try await compactNow()
                try await downsampleNow()
                backoff.succeeded()
            } catch {
                // Noted where it happened; a later round tries again.
                backoff.failed(clock.monotonicNanos)
            }
        }
    }

    /// - Returns: false when the loop has to end.
    private func pause(_ seconds: Double) async -> Bool {
        do {
            try await clock.sleep(seconds: seconds)
            return true
        } catch {
            return false
        }
    }

    /// Refuses new commits, waits for those under way to be applied, ends the background work,
    /// closes and unlocks. The log is durable anyway, so the heads need not be sealed.
    ///
    /// - Parameter flush: seal the heads all the same, for a quick start next time.
    package func stop(flush: Bool = false) async {
        let tasks = state.withLock { state -> [Task<Void, Never>]? in
            guard !state.isStopped else { return nil }
            state.isStopped = true
            defer { state.tasks = [] }
            return state.tasks
        }
        guard let tasks else { return }
        stopping.store(true, ordering: .relaxed)
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        do {
            if compactor.isStarted { try await compactor.run {} }
            if log.isStarted || sealer.isStarted || flush {
                // Waiting blocks, so it is done on a thread.
                try await sealer.run { [self] in
                    log.stop()
                    log.waitUntilIdle()
                    if flush { try seal() }
                }
            } else {
                log.stop()
            }
        } catch {
            note("stopping", error) { _ in }
        }
        sealer.stop()
        compactor.stop()
        manifest.close()
        directory.lock.unlock()
    }
}
