// SPDX-License-Identifier: Apache-2.0
// All scraping of a server.

import Base
import Synchronization
import Telemetry

/// Holds a pool per job and brings them in line with each new configuration.
package final class Scraper: Sendable {
    /// A target that has gone and whose series wait for their markers.
    private struct Leaving: Sendable {
        var loop: ScrapeLoop
        var markers: Task<Void, Never>
    }

    private struct State: Sendable {
        var pools: [ScrapePool] = []
        var leaving: [UInt64: Leaving] = [:]
        var nextLeaving: UInt64 = 0
        var isShutDown = false
    }

    package let environment: ScrapeEnvironment
    private let state = Mutex(State())

    package init(_ environment: ScrapeEnvironment) { self.environment = environment }

    /// Starts, keeps and stops loops so that they are those of the configurations.
    ///
    /// A target whose identity and whose job are unchanged keeps its loop: it does not notice. One
    /// that changed gets a new loop, which takes over what the old one remembers, so that series
    /// which the new settings no longer bring are marked stale by its first scrape. A target that
    /// is gone is marked stale a little later.
    ///
    /// - Returns: what is wrong with single targets; they are left out.
    @discardableResult
    package func apply(_ configurations: [ScrapeConfiguration]) -> [String] {
        state.withLock { state in
            guard !state.isShutDown else { return [] }
            let pools = configurations.map { configuration in
                // Until its discoveries say something else, a job has the targets it had.
                let old = state.pools.first { $0.name == configuration.jobName }
                return ScrapePool(
                    configuration,
                    discovered: configuration.discoveries.isEmpty ? [] : old?.discovered ?? [])
            }
            return replacePools(by: pools, &state)
        }
    }

    /// Takes over what the discoveries of a job have found; of an unknown job nothing is taken.
    ///
    /// - Returns: what is wrong with single targets; they are left out.
    @discardableResult
    package func update(job: String, discovered: [TargetGroup]) -> [String] {
        state.withLock { state in
            // Of a job that discovers nothing any more, this came late.
            guard !state.isShutDown,
                let index = state.pools.firstIndex(where: {
                    $0.name == job && !$0.configuration.discoveries.isEmpty
                })
            else { return [] }
            var pool = ScrapePool(state.pools[index].configuration, discovered: discovered)
            let change = pool.adopt(state.pools[index], environment)
            state.pools[index] = pool
            for loop in change.stopped { loop.stop() }
            hand(change.stopped, to: change.fresh, &state)
            return change.errors
        }
    }

    private func replacePools(by pools: [ScrapePool], _ state: inout State) -> [String] {
        var errors: [String] = []
        var stopped: [ScrapeLoop] = []
        var fresh: [ScrapeLoop] = []
        var pools = pools
        for index in pools.indices {
            let old = state.pools.first { $0.name == pools[index].name }
            let change = pools[index].adopt(old, environment)
            errors += change.errors
            fresh += change.fresh
            stopped += change.stopped
        }
        for old in state.pools where !pools.contains(where: { $0.name == old.name }) {
            stopped += old.loops
        }
        state.pools = pools
        for loop in stopped { loop.stop() }
        hand(stopped, to: fresh, &state)
        return errors
    }

    /// Starts new loops, each after the one whose series it continues, and lets the rest of the
    /// stopped ones leave.
    private func hand(_ stopped: [ScrapeLoop], to fresh: [ScrapeLoop], _ state: inout State) {
        var free: [ScrapeLoop.Owner: [ScrapeLoop]] = [:]
        for loop in stopped { free[loop.owner, default: []].append(loop) }
        var returning: [ScrapeLoop.Owner: UInt64] = [:]
        for (number, leaving) in state.leaving { returning[leaving.loop.owner] = number }
        for loop in fresh {
            if let predecessor = free[loop.owner]?.popLast() {
                loop.start(after: predecessor)
            } else if let number = returning[loop.owner], let leaving = state.leaving[number] {
                state.leaving[number] = nil
                leaving.markers.cancel()
                loop.start(after: leaving.loop)
            } else {
                loop.start()
            }
        }
        for loops in free.values {
            for loop in loops { leave(loop, &state) }
        }
    }

    private func leave(_ loop: ScrapeLoop, _ state: inout State) {
        let number = state.nextLeaving
        state.nextLeaving += 1
        let markers = Task {
            await loop.markGone(
                unlessExposedBy: { self.heirs(of: loop) },
                isReported: { self.loops.contains { $0.owner == loop.owner } })
            left(number)
        }
        state.leaving[number] = Leaving(loop: loop, markers: markers)
    }

    private func left(_ number: UInt64) { state.withLock { $0.leaving[number] = nil } }

    /// All loops that run, by job and target.
    var loops: [ScrapeLoop] { state.withLock { $0.pools }.flatMap(\.loops) }

    /// The loops that may bring the series of one that has gone.
    private func heirs(of gone: ScrapeLoop) -> [ScrapeLoop] {
        loops.filter { loop in
            loop.owner == gone.owner
                || loop.owner.tenant == gone.owner.tenant
                    && (loop.configuration.mayRelabelSeries
                        || gone.configuration.mayRelabelSeries)
        }
    }

    /// Ends all loops at once; no markers are written, since the server will be back.
    package func shutDown() async {
        let (loops, leaving) = state.withLock { state in
            state.isShutDown = true
            let leaving = state.leaving.values.map(\.markers)
            return (state.pools.flatMap(\.loops), leaving)
        }
        for task in leaving { task.cancel() }
        for loop in loops { loop.shutDown() }
        for loop in loops { await loop.ended() }
    }

    // MARK: what others see

    /// Names of the jobs, in the order of the configuration.
    package var poolNames: [String] { state.withLock { $0.pools.map(\.name) } }

    /// Targets being scraped, by job name and then in order of discovery.
    package var activeTargets: [ActiveTarget] {
        sortedPools.flatMap { pool in
            zip(pool.targets, pool.loops).map { target, loop in
                ActiveTarget(
                    pool: pool.name, target: target, status: loop.status, metadata: loop.metadata)
            }
        }
    }

    package var droppedTargets: [DroppedTarget] {
        sortedPools.flatMap { pool in
            pool.dropped.map { DroppedTarget(pool: pool.name, discovered: $0) }
        }
    }

    /// Dropped targets per job, those included that are not remembered.
    package var droppedCounts: [(pool: String, count: Int)] {
        sortedPools.map { ($0.name, $0.droppedCount) }
    }

    private var sortedPools: [ScrapePool] {
        state.withLock { $0.pools }.sorted { $0.name < $1.name }
    }
}

extension ScrapeLoop {
    /// Whose series a loop writes: another loop with the same goes on with them.
    fileprivate struct Owner: Hashable {
        var tenant: Tenant
        var labels: Labels
    }
    fileprivate var owner: Owner { Owner(tenant: configuration.tenant, labels: target.labels) }
}
