// SPDX-License-Identifier: Apache-2.0
// What waits to be forwarded to other servers, on disk.

import Base
import Storage
import Synchronization
import Telemetry

/// One copy of every acknowledged metric batch, kept until each destination has it.
///
/// A batch is handed over after its commit and before its generation can be sealed; a thread of
/// its own appends it to a segment file, unsynced. Before the kernel forgets a stretch of its log
/// it asks `makeDurable`, and after a crash it replays what is not in parts; so a batch is at all
/// times either in the log or durable here, at no sync per request. Destinations read at their own
/// pace, each with a cursor. Bounded in bytes and age: what is over is dropped, counted for each
/// destination that had not read it, and told.
///
/// Why so: docs/decisions/0009-forwarding-follows-the-log.md.
package final class ForwardQueue: LogFollower {
    package struct Limits: Sendable, Equatable {
        /// Bytes of all segments.
        package var maxBytes = 4 << 30
        package var maxAgeSeconds = 86_400.0
        package var segmentBytes = 16 << 20
        /// Bytes that may wait for the disk in memory.
        package var pendingBytes = 64 << 20
        package init() {}
    }

    struct Segment: Sendable, Equatable {
        var number: UInt64
        /// Bytes of whole records and the header.
        var byteCount: Int
        var points = 0
        var newestMillis: Int64 = 0
    }

    struct Pending: Sendable {
        var payload: [UInt8]
        var tenant: String
        var sequence: UInt64
        var millis: Int64
        var points: Int
    }

    struct Destination: Sendable {
        var path: String
        var file: any WritableFile
        var cursor: ForwardCursor
        /// Points that were dropped unread, by bound or damage.
        var dropped = 0
    }

    struct State: Sendable {
        /// Ascending; the thread appends to the last one.
        var segments: [Segment] = []
        var pending: [Pending] = []
        var pendingBytes = 0
        var destinations: [String: Destination] = [:]
        var mark: ForwardMark?
        /// Sequences at and after the mark's place, as found at opening.
        var known: Set<UInt64> = []
        /// What of the queue is not below the last boundary.
        var recent: [(sequence: UInt64, place: ForwardPosition)] = []
        var nextNumber: UInt64 = 1
        var asked = 0
        var done = 0
        var askedBoundary: UInt64 = 0
        /// What became of the request that was done last.
        var syncFailure: String?
        /// Why the last attempt to write or sync failed.
        var failure: String?
        var retryAtNanos: Int64 = 0
        var isRetryDue = false
        var isStopping = false
        var thread: DedicatedThread?
        var newestMillis: Int64 = 0
        var taken = ForwardTaken()
    }

    let directory: String
    let files: any FileSystem
    let clock: any Clock
    let limits: Limits
    let warn: @Sendable (String) -> Void
    let state: Monitor<State>
    /// Where files are read and cursors are written.
    package let pool = WorkerPool(name: "tern-forward", threads: 2, queueLimit: 4096)

    /// Opens the queue under `directory`, which need not exist. Blocks, in proportion to what it
    /// holds.
    ///
    /// - Parameter warn: told what is dropped, and why.
    package init(
        directory: String, files: any FileSystem = LocalFileSystem(), clock: any Clock,
        limits: Limits = Limits(), warn: @escaping @Sendable (String) -> Void
    ) throws(FileError) {
        self.directory = directory
        self.files = files
        self.clock = clock
        self.limits = limits
        self.warn = warn
        state = Monitor(try ForwardQueue.scan(directory, files, warn))
    }

    // MARK: - Taking

    /// Takes a batch that was committed. Returns at once unless the disk is behind.
    ///
    /// - Parameters:
    ///   - payload: what `MetricBatch.encode` makes.
    ///   - points: samples, histograms and exemplars in it.
    package func take(
        _ payload: [UInt8], points: Int, tenant: String, sequence: UInt64
    ) {
        let now = clock.wallNanos / 1_000_000
        let limit = limits.pendingBytes
        let hasRoom = state.wait { state -> Bool? in
            if state.destinations.isEmpty || state.isStopping { return false }
            if state.pending.isEmpty || state.pendingBytes + payload.count <= limit { return true }
            return state.failure == nil ? nil : true
        }
        guard hasRoom else { return }
        let monotonic = clock.monotonicNanos
        let lost = state.change { state -> String? in
            guard !state.destinations.isEmpty else { return nil }
            state.pending.append(
                Pending(
                    payload: payload, tenant: tenant, sequence: sequence, millis: now,
                    points: points))
            state.pendingBytes += payload.count
            if state.failure != nil, monotonic >= state.retryAtNanos { state.isRetryDue = true }
            return state.shorten(to: limit) ?? startThread(&state)
        }
        if let lost { warn(lost) }
    }

    private func startThread(_ state: inout State) -> String? {
        guard state.thread == nil else { return nil }
        do throws(ThreadError) {
            state.thread = try DedicatedThread(name: "tern-forward") { [self] in run() }
            return nil
        } catch {
            state.failure = error.description
            return "forwarding: \(error)"
        }
    }

    package func replay(
        _ payload: UnsafeRawBufferPointer, signal: Signal, tenant: String, sequence: UInt64
    ) {
        guard signal == .metrics else { return }
        let isNew = state.withLock { state in
            guard let mark = state.mark, !state.destinations.isEmpty else { return false }
            return sequence >= mark.boundary && !state.known.contains(sequence)
        }
        guard isNew else { return }
        do throws(MalformedBytes) {
            let batch = try MetricBatch(decoding: payload)
            take(Array(payload), points: batch.pointCount, tenant: tenant, sequence: sequence)
        } catch {
            warn("log record \(sequence) is not forwarded, it cannot be read: \(error)")
        }
    }

    package func makeDurable(below boundary: UInt64) throws {
        let ticket = try state.change { state throws(ForwardQueueError) -> Int? in
            guard !state.destinations.isEmpty, !state.isStopping else { return nil }
            if let failure = startThread(&state) { throw ForwardQueueError(description: failure) }
            state.asked += 1
            state.askedBoundary = max(state.askedBoundary, boundary)
            return state.asked
        }
        guard let ticket else { return }
        let failure = state.wait { state -> String?? in
            state.done >= ticket ? .some(state.syncFailure) : nil
        }
        if let failure { throw ForwardQueueError(description: failure) }
    }

    /// Writes and syncs what waits, and ends the threads. Senders must have ended. Blocks.
    package func stop() {
        do {
            try makeDurable(below: 0)
        } catch {
            // The log has what is not durable here.
            warn("forwarding: \(error)")
        }
        let thread = state.change { state -> DedicatedThread? in
            state.isStopping = true
            return state.thread
        }
        thread?.join()
        state.withLock { state in
            for destination in state.destinations.values { destination.file.close() }
        }
        pool.stop()
    }

    // MARK: - What others see

    /// Samples, histograms and exemplars that a destination has not got yet.
    package func pendingPoints(_ name: String) -> Int {
        state.withLock { state in
            guard let cursor = state.destinations[name]?.cursor else { return 0 }
            return state.points(after: cursor) + state.pending.reduce(0) { $0 + $1.points }
        }
    }

    /// Whether there is anything that a destination has not got, metadata included.
    func hasData(_ name: String) -> Bool {
        state.withLock { state in
            guard let place = state.destinations[name]?.cursor.place else { return false }
            return place < state.end || !state.pending.isEmpty
        }
    }

    /// Points that a destination will never get, since they were dropped.
    package func droppedPoints(_ name: String) -> Int {
        state.withLock { $0.destinations[name]?.dropped ?? 0 }
    }

    package var byteCount: Int {
        state.withLock { $0.segments.reduce($0.pendingBytes) { $0 + $1.byteCount } }
    }

    package var isActive: Bool { state.withLock { !$0.destinations.isEmpty } }
    /// Why nothing can be written now; nil when all is well.
    package var failure: String? { state.withLock { $0.failure } }
    package var taken: ForwardTaken { state.withLock { $0.taken } }

    /// Counts what goes into the queue, for `/metrics`.
    package func count(_ batch: MetricBatch) {
        state.withLock { state in
            guard !state.destinations.isEmpty else { return }
            state.taken.samples += batch.sampleSeries.count
            state.taken.histograms += batch.histogramSeries.count
            state.taken.exemplars += batch.exemplarSeries.count
            let newest = batch.sampleMillis.max() ?? batch.histogramMillis.max() ?? 0
            state.taken.highestMillis = max(state.taken.highestMillis, newest)
        }
    }
}

/// What went into the queue since the start.
package struct ForwardTaken: Sendable, Equatable {
    package var samples = 0
    package var histograms = 0
    package var exemplars = 0
    /// Newest timestamp, in milliseconds; 0 = none.
    package var highestMillis: Int64 = 0
}

package struct ForwardQueueError: Error, Sendable, CustomStringConvertible {
    package let description: String
}

extension ForwardQueue.State {
    func points(after cursor: ForwardCursor) -> Int {
        segments.reduce(0) { sum, segment in
            if segment.number > cursor.place.segment { return sum + segment.points }
            return segment.number == cursor.place.segment
                ? sum + max(0, segment.points - cursor.points) : sum
        }
    }

    /// Drops the oldest batches that wait while the disk refuses them. Returns what to tell.
    mutating func shorten(to limit: Int) -> String? {
        guard pendingBytes > limit, failure != nil else { return nil }
        var points = 0, count = 0
        while pendingBytes > limit, count < pending.count - 1 {
            pendingBytes -= pending[count].payload.count
            points += pending[count].points
            count += 1
        }
        guard count > 0 else { return nil }
        pending.removeFirst(count)
        for name in destinations.keys { destinations[name]?.dropped += points }
        return "forwarding: \(points) samples dropped: \(failure ?? "no room")"
    }
}

extension MetricBatch {
    /// Samples, histograms and exemplars.
    package var pointCount: Int {
        sampleSeries.count + histogramSeries.count + exemplarSeries.count
    }
}
