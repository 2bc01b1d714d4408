// SPDX-License-Identifier: Apache-2.0
// Durable before the answer: the log of commits and the generations they belong to.

import Base

/// The one log of all signals and tenants.
///
/// Commits queue up while one thread writes: whatever arrived during a sync is the next group, put
/// down by one gathered write and one `fdatasync`, after which all its waiters go on. Sequence and
/// generation are assigned under the log's lock, so a rotation cuts the stream of records at one
/// exact sequence.
final class WriteAheadLog: Sendable {
    struct Options: Sendable {
        var directory: String
        var segmentBytes: Int
        /// Space to leave free on the disk, in bytes.
        var minFreeBytes: Int
        var coding: LogCoding
        var nextSequence: UInt64
        /// The highest sequence that is durable.
        var acknowledged: UInt64
        var nextNumber: UInt64
        /// Segments found at opening.
        var segments: [LogSegment]
        /// How long replaying them took.
        var replayNanos: Int64 = 0
    }

    /// A rotation: all records of `generation` have sequences below `boundary`.
    struct Rotation: Sendable, Equatable {
        var generation: UInt64
        var boundary: UInt64
    }

    struct Refusal: Sendable {
        var reason: String
        /// When the next commit may try, on the monotonic clock.
        var retryAtNanos: Int64
    }

    struct State: Sendable {
        var queue: [PendingCommit] = []
        var queuedBytes = 0
        var nextSequence: UInt64
        var acknowledged: UInt64
        var generation: UInt64 = 0
        /// Estimated nanoseconds of replaying each generation that is not in parts.
        var replayNanos: [UInt64: Int64] = [:]
        /// Commits per generation that are assigned and not yet applied.
        var inFlight: [UInt64: Int] = [:]
        var stopping = false
        var refusal: Refusal?
        var probe = false
        var cut = false
        var segments: [LogSegment]
        var activeNumber: UInt64?
        var counters = LogCounters()
        var thread: DedicatedThread?

        mutating func leave(_ generation: UInt64) {
            guard let count = inFlight[generation] else { return }
            inFlight[generation] = count > 1 ? count - 1 : nil
        }
    }

    let options: Options
    let files: any FileSystem
    let clock: any Clock
    let random: any RandomSource
    let state: Monitor<State>

    /// Most bytes of one group, and of all commits that wait.
    static let maxGroupBytes = 16 << 20
    static let maxQueuedBytes = 256 << 20
    /// Between two attempts to write while refusing.
    static let probeIntervalNanos: Int64 = 1_000_000_000

    init(
        _ options: Options, files: any FileSystem, clock: any Clock, random: any RandomSource
    ) {
        self.options = options
        self.files = files
        self.clock = clock
        self.random = random
        state = Monitor(
            State(
                nextSequence: options.nextSequence, acknowledged: options.acknowledged,
                segments: options.segments))
        if options.replayNanos > 0 {
            state.withLock { $0.replayNanos[0] = options.replayNanos }
        }
    }

    // MARK: - Commits

    /// Returns when the commit is durable.
    func commit(
        tenant: String, sections: [CommitSection]
    ) async throws(CommitError) -> CommitTicket {
        let plainCount = sections.reduce(tenant.utf8.count + 64) { $0 + $1.count + 11 }
        guard plainCount <= LogFormat.maxPayloadCount else {
            throw .tooLarge(byteCount: plainCount, limit: LogFormat.maxPayloadCount)
        }
        guard sections.count <= LogFormat.maxSections else {
            throw .tooLarge(byteCount: sections.count, limit: LogFormat.maxSections)
        }
        let record = LogRecord(tenant: tenant, sections: sections, preferred: options.coding)
        let cost = ReplayCost.nanos(sections, storedCount: record.count)
        let result = await withCheckedContinuation { continuation in
            if let refusal = enqueue(record, cost, continuation) {
                continuation.resume(returning: .failure(refusal))
            }
        }
        return try result.get()
    }

    private func enqueue(
        _ record: LogRecord, _ replayNanos: Int64,
        _ continuation: CheckedContinuation<Result<CommitTicket, CommitError>, Never>
    ) -> CommitError? {
        let now = clock.monotonicNanos
        return state.change { state -> CommitError? in
            guard !state.stopping else { return .stopped }
            if let refusal = state.refusal {
                guard now >= refusal.retryAtNanos else {
                    return .unavailable(reason: refusal.reason, retryAfterSeconds: 1)
                }
                // This one goes through as the probe.
                state.refusal?.retryAtNanos = now + WriteAheadLog.probeIntervalNanos
            }
            let count = record.count
            guard state.queue.isEmpty || state.queuedBytes + count <= Self.maxQueuedBytes else {
                return .unavailable(
                    reason: "\(state.queuedBytes) bytes wait for the log already",
                    retryAfterSeconds: 1)
            }
            if let failure = startThread(&state) { return failure }
            state.queue.append(
                PendingCommit(
                    record: record, sequence: state.nextSequence, generation: state.generation,
                    continuation: continuation))
            state.queuedBytes += count
            state.nextSequence += 1
            state.inFlight[state.generation, default: 0] += 1
            state.replayNanos[state.generation, default: 0] += replayNanos
            return nil
        }
    }

    private func startThread(_ state: inout State) -> CommitError? {
        guard state.thread == nil else { return nil }
        do throws(ThreadError) {
            state.thread = try DedicatedThread(name: "tern-log") { [self] in run() }
            return nil
        } catch {
            return .unavailable(reason: error.description, retryAfterSeconds: 5)
        }
    }

    /// The batch of a durable commit is in the heads, or failed to get there.
    func applied(_ ticket: CommitTicket) {
        state.change { $0.leave(ticket.generation) }
    }

    // MARK: - Rotation

    /// New commits belong to the next generation from now on.
    func rotate() -> Rotation {
        state.change { state in
            let rotation = Rotation(generation: state.generation, boundary: state.nextSequence)
            state.generation += 1
            state.cut = state.thread != nil
            return rotation
        }
    }

    /// Blocks until every commit of the generation is applied or has failed.
    func waitUntilApplied(_ generation: UInt64) {
        state.wait { $0.inFlight[generation] == nil ? () : nil }
    }

    /// Blocks until no commit of any generation is under way.
    func waitUntilIdle() {
        state.wait { $0.inFlight.isEmpty ? () : nil }
    }

    /// Removes segments that hold only records below `boundary`.
    func removeSegments(below boundary: UInt64) throws(FileError) {
        let old = state.wait { state -> [LogSegment]? in
            guard !state.cut || state.stopping else { return nil }
            return state.segments.filter {
                $0.lastSequence < boundary && $0.number != state.activeNumber
            }
        }
        guard !old.isEmpty else { return }
        for segment in old {
            let path = options.directory + "/" + LogFormat.name(segment.number)
            do throws(FileError) {
                try files.remove(path)
            } catch {
                guard error.isMissing else { throw error }
            }
            state.withLock { state in
                state.segments.removeAll { $0.number == segment.number }
            }
        }
        try files.syncDirectory(options.directory)
    }

    // MARK: - Life

    /// Asks the log's thread to find out whether a refusing disk works again.
    func probe() {
        let now = clock.monotonicNanos
        state.change { state in
            guard let refusal = state.refusal, now >= refusal.retryAtNanos, state.thread != nil
            else { return }
            state.probe = true
        }
    }

    /// Estimated seconds of replaying what is not in parts.
    var replaySeconds: Double {
        state.withLock { Double($0.replayNanos.values.reduce(0, &+)) / 1e9 }
    }

    /// A generation is in parts.
    func forget(_ generation: UInt64) {
        state.withLock { $0.replayNanos[generation] = nil }
    }

    /// Bytes of all segments: what would be replayed after a crash.
    var byteCount: Int { state.withLock { $0.segments.reduce(0) { $0 + $1.byteCount } } }

    /// Whether anything was committed since opening.
    var isStarted: Bool { state.withLock { $0.thread != nil } }

    /// Refuses new commits, finishes those that wait and ends the thread. Blocks.
    func stop() {
        let thread = state.change { state -> DedicatedThread? in
            state.stopping = true
            return state.thread
        }
        thread?.join()
    }
}

/// A segment as the log keeps account of it.
struct LogSegment: Sendable, Equatable {
    var number: UInt64
    var byteCount: Int
    /// No record in it has a higher sequence.
    var lastSequence: UInt64
}

/// Totals since opening.
package struct LogCounters: Sendable, Equatable {
    package var commits = 0
    package var groups = 0
    package var bytes = 0
    package var syncs = 0
    /// Time spent in writing and syncing groups, in nanoseconds.
    package var syncNanos: Int64 = 0
    package var refusedCommits = 0
    /// Segments left because a write or sync failed.
    package var abandonedSegments = 0
    package init() {}
}
