// SPDX-License-Identifier: Apache-2.0
// What arrives, kept for those who watch.

import Base
import Ingest
import Synchronization
import Telemetry

/// What tails have come to since the start.
struct TailCounters: ~Copyable, Sendable {
    let frames = Atomic<Int>(0)
    let dropped = Atomic<Int>(0)
}

/// The newest batches of log lines, in the order they were acknowledged, for live tails.
///
/// There is one list for all tails, and each tail has a place in it: a batch costs the request that
/// brings it one entry, however many watch, and nothing when nobody of its tenant does. A tail
/// that falls further behind than the list reaches has lost batches and is told how many: neither
/// memory nor ingest depends on the slowest of them (docs/decisions/0014-tails-share-one-list.md).
final class TailFeed: BatchObserving {
    /// Bounds of the list.
    struct Limits: Sendable {
        var bytes = 32 << 20
        var batches = 4096
    }
    struct Item: Sendable {
        /// Counts all batches that were ever in the list.
        var number: UInt64
        var tenant: Tenant
        var batch: LogBatch
        var byteCount: Int
    }
    private struct Watcher {
        var tenant: Tenant
        /// Number of the first batch it has not had.
        var next: UInt64
        var wake: AsyncStream<Void>.Continuation
    }
    private struct State {
        var items: [Item] = []
        /// Items before it are gone.
        var head = 0
        var bytes = 0
        var next: UInt64 = 0
        var watchers: [Int: Watcher] = [:]
        var nextToken = 0

        var first: UInt64 { next - UInt64(items.count - head) }

        mutating func dropFirst() {
            bytes -= items[head].byteCount
            items[head].batch = LogBatch()
            head += 1
            if head == items.count || head > 1024 {
                items.removeFirst(head)
                head = 0
            }
        }

        /// Drops what everybody has had.
        mutating func trim() {
            let least = watchers.values.map(\.next).min() ?? next
            while head < items.count, items[head].number < least { dropFirst() }
        }
    }
    let counters = TailCounters()
    private let limits: Limits
    private let state = Mutex(State())
    /// Whether anybody watches, so that ingest need not look further.
    private let count = Atomic<Int>(0)

    init(_ limits: Limits = Limits()) { self.limits = limits }

    // MARK: - Ingest

    func record(logs batch: LogBatch, tenant: Tenant, generation: UInt64) {
        guard count.load(ordering: .relaxed) > 0, batch.rowCount > 0 else { return }
        let byteCount = batch.arena.count + batch.rowCount * 64
        let wakes = state.withLock { state -> [AsyncStream<Void>.Continuation] in
            let watching = state.watchers.values.filter { $0.tenant == tenant }
            guard !watching.isEmpty else { return [] }
            state.items.append(
                Item(number: state.next, tenant: tenant, batch: batch, byteCount: byteCount))
            state.next += 1
            state.bytes += byteCount
            while state.items.count - state.head > 1,
                state.bytes > limits.bytes || state.items.count - state.head > limits.batches
            {
                state.dropFirst()
            }
            // Who is not at the end already has been woken before.
            return watching.filter { $0.next + 1 == state.next }.map(\.wake)
        }
        for wake in wakes { wake.yield() }
    }

    func record(metrics batch: MetricBatch, tenant: Tenant, generation: UInt64) {}
    func record(spans batch: SpanBatch, tenant: Tenant, generation: UInt64) {}

    // MARK: - Tails

    /// A place in the list, at its end.
    struct Watch: Sendable {
        let token: Int
        /// Has an element when there may be something to take.
        let signals: AsyncStream<Void>
        let wake: AsyncStream<Void>.Continuation
    }

    func watch(_ tenant: Tenant) -> Watch {
        let (signals, wake) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        return state.withLock { state in
            state.nextToken += 1
            state.watchers[state.nextToken] = Watcher(
                tenant: tenant, next: state.next, wake: wake)
            count.wrappingAdd(1, ordering: .relaxed)
            return Watch(token: state.nextToken, signals: signals, wake: wake)
        }
    }

    func end(_ watch: Watch) {
        let known = state.withLock { state -> Watcher? in
            let known = state.watchers.removeValue(forKey: watch.token)
            if known != nil { count.wrappingSubtract(1, ordering: .relaxed) }
            state.trim()
            return known
        }
        known?.wake.finish()
    }

    /// The next batches of the watcher's tenant, about `byteLimit` bytes of them, and how many are
    /// lost before those. `isLast` says that there are no more for now.
    func take(_ watch: Watch, byteLimit: Int) -> (items: [Item], lost: Int, isLast: Bool) {
        state.withLock { state in
            guard var watcher = state.watchers[watch.token] else { return ([], 0, true) }
            var lost = 0
            if watcher.next < state.first {
                lost = Int(clamping: state.first - watcher.next)
                watcher.next = state.first
            }
            var taken: [Item] = []
            var bytes = 0
            while watcher.next < state.next, bytes < byteLimit {
                let item = state.items[state.head + Int(watcher.next - state.first)]
                watcher.next += 1
                if item.tenant == watcher.tenant {
                    taken.append(item)
                    bytes += item.byteCount
                }
            }
            state.watchers[watch.token] = watcher
            state.trim()
            return (taken, lost, watcher.next == state.next)
        }
    }

    /// Number of the next batch that will come.
    var end: UInt64 { state.withLock { $0.next } }

    /// Tails of a tenant.
    func watcherCount(_ tenant: Tenant) -> Int {
        state.withLock { state in state.watchers.values.count { $0.tenant == tenant } }
    }
    var watcherCount: Int { count.load(ordering: .relaxed) }
    var heldBytes: Int { state.withLock { $0.bytes } }
}
