// SPDX-License-Identifier: Apache-2.0
// What bounds one query.

import Synchronization

/// Why a query ended before its answer.
package enum QueryInterruption: Error, Equatable, Sendable, CustomStringConvertible {
    /// The client went away or asked for an end.
    case cancelled
    case timedOut(seconds: Double)
    /// More bytes would have been held than the limit allows.
    case memoryLimit(bytes: Int)
    /// All queries together would have held more than they may, and this one held most.
    case sharedMemoryLimit(bytes: Int)
    /// More rows or samples would have been read than the limit allows.
    case rowLimit(name: String, limit: Int)

    package var description: String {
        switch self {
        case .cancelled: "query was canceled"
        case .timedOut(let seconds): "query timed out after \(seconds) seconds"
        case .memoryLimit(let bytes):
            "query needs more than its memory limit of \(bytes) bytes: narrow the selector or the "
                + "time range, or raise --query.memory-limit"
        case .sharedMemoryLimit(let bytes):
            "all queries together need more than their memory limit of \(bytes) bytes and this is "
                + "the largest: narrow the selector or the time range, or raise --memory.limit"
        case .rowLimit(let name, let limit):
            "query would read more than \(limit) \(name): narrow the selector or the time range"
        }
    }
}

/// Deadline, budgets and counters of one query, shared by all that work on it.
///
/// Stores and engines call `check()` once per batch or series, never per sample. The counters
/// feed the statistics of the answer.
package final class ReadContext: Sendable {
    private let cancelFlag = Atomic<Bool>(false)
    private let evictFlag = Atomic<Bool>(false)
    private let held = Atomic<Int>(0)
    private let peak = Atomic<Int>(0)
    private let samples = Atomic<Int>(0)
    private let bytes = Atomic<Int>(0)
    private let notes = Mutex<[String]>([])
    private let blocks = BlockCounters()
    /// Of decompressed pieces of parts.
    package let cache = CacheCounters()
    private let now: @Sendable () -> Int64
    private let startNanos: Int64
    private let deadlineNanos: Int64
    /// Limits; `Int.max` = none.
    package let memoryLimitBytes: Int
    package let sampleLimit: Int
    private let budget: ReadBudget?

    /// - Parameters:
    ///   - timeoutSeconds: from now; 0 = no deadline.
    ///   - budget: memory shared with other queries; the caller enters and leaves it.
    ///   - now: a monotonic clock in nanoseconds.
    package init(
        timeoutSeconds: Double = 0, memoryLimitBytes: Int = .max, sampleLimit: Int = .max,
        budget: ReadBudget? = nil, now: @escaping @Sendable () -> Int64 = { 0 }
    ) {
        self.now = now
        self.memoryLimitBytes = memoryLimitBytes
        self.sampleLimit = sampleLimit
        self.budget = budget
        startNanos = now()
        deadlineNanos =
            timeoutSeconds > 0 && timeoutSeconds < 1e9
            ? startNanos + Int64(timeoutSeconds * 1e9) : .max
    }

    package func cancel() { cancelFlag.store(true, ordering: .relaxed) }

    /// Ends the query because it is the largest and memory is short.
    func evict() { evictFlag.store(true, ordering: .relaxed) }

    package var isCancelled: Bool { cancelFlag.load(ordering: .relaxed) }

    /// - Throws: `QueryInterruption` when the query was cancelled or its time is up.
    package func check() throws(QueryInterruption) {
        if cancelFlag.load(ordering: .relaxed) { throw .cancelled }
        try checkShare()
        if deadlineNanos != .max, now() > deadlineNanos {
            throw .timedOut(seconds: Double(deadlineNanos - startNanos) / 1e9)
        }
    }

    private func checkShare() throws(QueryInterruption) {
        guard let budget, evictFlag.load(ordering: .relaxed) else { return }
        throw .sharedMemoryLimit(bytes: budget.limitBytes)
    }

    /// Takes bytes from the budget for as long as the query holds them.
    package func reserve(_ byteCount: Int) throws(QueryInterruption) {
        let total = held.wrappingAdd(byteCount, ordering: .relaxed).newValue
        if total > peak.load(ordering: .relaxed) { peak.store(total, ordering: .relaxed) }
        budget?.reserve(byteCount)
        if total > memoryLimitBytes { throw .memoryLimit(bytes: memoryLimitBytes) }
        try checkShare()
    }

    /// Gives back what `reserve` took.
    package func release(_ byteCount: Int) {
        held.wrappingSubtract(byteCount, ordering: .relaxed)
        budget?.release(byteCount)
    }

    /// Counts what was read: samples, lines or spans, and the bytes they were decoded from.
    package func count(samples n: Int, bytes b: Int = 0) throws(QueryInterruption) {
        let total = samples.wrappingAdd(n, ordering: .relaxed).newValue
        bytes.wrappingAdd(b, ordering: .relaxed)
        if total > sampleLimit { throw .rowLimit(name: "samples", limit: sampleLimit) }
    }

    /// Counts blocks by what became of them.
    package func count(blocks n: Int, _ fate: BlockFate) { blocks.add(n, fate) }

    /// Blocks that this became of.
    package func blockCount(_ fate: BlockFate) -> Int { blocks.count(fate) }

    /// Most entries of `warnings`.
    package static let maxWarnings = 10

    /// Notes data that could not be read, so that the answer is incomplete; the read goes on
    /// without it. The same text counts once.
    ///
    /// - Parameter fault: names the file and the offset in it.
    package func noteMissing(_ fault: some CustomStringConvertible) {
        warn("the answer is incomplete: \(fault); `tern check data` reports all damage")
    }

    /// Notes what the user should know about the answer. The same text counts once.
    package func warn(_ text: String) {
        notes.withLock { texts in
            if texts.count < ReadContext.maxWarnings, !texts.contains(text) { texts.append(text) }
        }
    }

    /// What the answer lacks and what should be known of it, ascending; for the warnings that the
    /// answer carries where its format has such a field.
    package var warnings: [String] { notes.withLock { $0.sorted() } }

    package var samplesRead: Int { samples.load(ordering: .relaxed) }
    package var bytesRead: Int { bytes.load(ordering: .relaxed) }
    package var heldBytes: Int { held.load(ordering: .relaxed) }
    package var peakBytes: Int { peak.load(ordering: .relaxed) }
    /// Seconds until the deadline, nil without one.
    package var secondsLeft: Double? {
        deadlineNanos == .max ? nil : Double(deadlineNanos - now()) / 1e9
    }
    /// Nanoseconds since the query began.
    package var elapsedNanos: Int64 { now() - startNanos }
}
