// SPDX-License-Identifier: Apache-2.0
// The storage kernel: one log, many parts, and the stores between them.

import Base
import Synchronization

/// A data directory in use.
///
/// The way of a batch: `commit` makes it durable and names its generation; the caller applies it
/// to the heads and says `applied`; the kernel seals the generation into parts, moves the covered
/// log position in the same manifest commit, and removes the log behind it. Merging and retention
/// change the set of parts the same way. Reads never come here: they go to the stores.
package final class Kernel: Sendable {
    let configuration: KernelConfiguration
    let files: any FileSystem
    let clock: any Clock
    let stores: [any SignalStore]
    let followers: [any LogFollower]
    let directory: DataDirectory
    let log: WriteAheadLog
    let manifest: ManifestLog
    let blobs: any BlobStore
    let retention: OpenedRetention
    /// Seals, one at a time.
    let sealer = WorkerPool(name: "tern-seal", threads: 1, queueLimit: 64)
    /// Merges and drops, one pass at a time.
    let compactor = WorkerPool(name: "tern-merge", threads: 1, queueLimit: 64)
    let state: Mutex<State>
    /// Polled by merges.
    let stopping = Atomic<Bool>(false)
    let headBytes = Atomic<Int>(0)
    /// How many wait for, or do, work on parts that merges must not disturb.
    let exclusive = Atomic<Int>(0)

    struct State {
        var replay = ReplayReport()
        var faults: [StorageFault] = []
        var counters = KernelCounters()
        /// Parts that the stores show.
        var handles: [UInt64: PartHandle] = [:]
        /// Parts that the manifest names and nobody can read.
        var unreadable: Set<UInt64> = []
        /// Parts whose merge failed for reasons of their own.
        var unmergeable: Set<UInt64> = []
        /// The rotation whose parts are not in the manifest yet.
        var pending: WriteAheadLog.Rotation?
        /// Monotonic time of the first commit of the current generation.
        var oldestCommitNanos: Int64?
        /// Blobs of a manifest commit that may or may not have happened; deleted after the next
        /// one that did.
        var doubtfulBlobs: [String] = []
        var tasks: [Task<Void, Never>] = []
        var isStopped = false
    }

    init(
        _ configuration: KernelConfiguration, _ directory: DataDirectory, log: WriteAheadLog,
        manifest: ManifestLog, blobs: any BlobStore, retention: OpenedRetention,
        files: any FileSystem, clock: any Clock, stores: [any SignalStore],
        followers: [any LogFollower], state: consuming sending State
    ) {
        self.configuration = configuration
        self.directory = directory
        self.log = log
        self.manifest = manifest
        self.blobs = blobs
        self.retention = retention
        self.files = files
        self.clock = clock
        self.stores = stores
        self.followers = followers
        self.state = Mutex(state)
    }

    // MARK: - Commits

    /// Makes a batch durable. On success the caller applies the batch to the heads of the ticket's
    /// generation and then calls `applied`, whatever came of it; until then that generation cannot
    /// be sealed.
    ///
    /// Costs one copy and one compression of the payloads on the caller's thread, and waits for one
    /// group of the log. Not stopped by cancellation: an answer always comes.
    package func commit(
        tenant: String, sections: [CommitSection]
    ) async throws(CommitError) -> CommitTicket {
        let held = headBytes.load(ordering: .relaxed)
        guard held <= configuration.headLimit else {
            // The background loop lowers the figure; look again in case nothing runs it.
            guard refreshHeadBytes() <= configuration.headLimit else {
                throw .unavailable(
                    reason: "\(held) bytes wait in memory to be sealed, the limit is "
                        + "\(configuration.headLimit)",
                    retryAfterSeconds: 2)
            }
            return try await logged(tenant, sections)
        }
        return try await logged(tenant, sections)
    }

    private func logged(
        _ tenant: String, _ sections: [CommitSection]
    ) async throws(CommitError) -> CommitTicket {
        let ticket = try await log.commit(tenant: tenant, sections: sections)
        // Keeps the memory bound honest between two ticks of the background loop.
        if ticket.sequence & 15 == 0 { _ = refreshHeadBytes() }
        return ticket
    }

    /// The batch of a commit is in the heads, or failed to get there. Exactly once per ticket.
    package func applied(_ ticket: CommitTicket) {
        log.applied(ticket)
        let now = clock.monotonicNanos
        state.withLock { state in
            if state.oldestCommitNanos == nil { state.oldestCommitNanos = now }
        }
    }

    func refreshHeadBytes() -> Int {
        let sum = stores.reduce(0) { $0 &+ $1.headBytes }
        headBytes.store(sum, ordering: .relaxed)
        return sum
    }

    /// Estimated seconds that replaying what is not in parts takes one core.
    var replaySeconds: Double {
        stores.reduce(log.replaySeconds) {
            $0 + Double($1.headBytes) * ReplayCost.nanosPerHeadByte($1.signal) / 1e9
        }
    }

    func store(of signal: Signal) -> (any SignalStore)? { stores.first { $0.signal == signal } }

    // MARK: - Status

    /// A consistent enough picture for people and metrics.
    package var status: KernelStatus {
        let log = log.state.withLock {
            (
                bytes: $0.segments.reduce(0) { $0 + $1.byteCount }, segments: $0.segments.count,
                refusal: $0.refusal?.reason, counters: $0.counters, generation: $0.generation,
                next: $0.nextSequence, stopping: $0.stopping
            )
        }
        let replaySeconds = self.replaySeconds
        let set = manifest.current
        var parts: [Signal: PartTotals] = [:]
        for part in set.parts.values {
            parts[part.signal, default: PartTotals()].count += 1
            parts[part.signal, default: PartTotals()].bytes += Int(clamping: part.byteCount)
            parts[part.signal, default: PartTotals()].rows += Int(clamping: part.rowCount)
        }
        let held = refreshHeadBytes()
        var refusal = log.refusal
        if log.stopping { refusal = "the server is stopping" }
        if refusal == nil, held > configuration.headLimit {
            refusal = "\(held) bytes wait in memory to be sealed"
        }
        let unopened = stores.flatMap(\.openFaults).map {
            StorageFault(file: "parts/" + $0.name, offset: $0.offset, problem: $0.problem)
        }
        return state.withLock { state in
            KernelStatus(
                replay: state.replay, faults: state.faults + unopened, logBytes: log.bytes,
                segmentCount: log.segments, replaySeconds: replaySeconds, parts: parts,
                headBytes: held, refusal: refusal,
                log: log.counters, generation: log.generation, nextSequence: log.next,
                covered: set.covered, epoch: set.epoch, work: state.counters)
        }
    }
}
