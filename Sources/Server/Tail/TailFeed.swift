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
/// There is one list for all tails of a tenant, and each tail has a place in it: a batch costs the
/// request that brings it one entry, however many watch, and nothing when nobody of its tenant does.
/// A tail that falls further behind than the list reaches has lost batches and is told how many:
/// neither memory nor ingest depends on the slowest of them
/// (docs/decisions/0014-tails-share-one-list.md).
final class TailFeed: BatchObserving {
    /// Bounds of one tenant's list, and of the bytes of all.
    struct Limits: Sendable {
        var bytes = 32 << 20
        var batches = 4096
        var totalBytes = 128 << 20
    }
    struct Item: Sendable {
        /// Counts all batches that were ever in the list.
        var number: UInt64
        var batch: LogBatch
        var byteCount: Int
    }
    private struct Watcher {
        /// Number of the first batch it has not had.
        var next: UInt64
        /// Whether it has to be told when something comes.
        var isIdle = true
        var wake: AsyncStream<Void>.Continuation
    }
    /// What waits for the tails of one tenant.
    private struct List {
        var items: [Item] = []
        /// Items before it are gone.
        var head = 0
        var bytes = 0
        var next: UInt64 = 0
        var watchers: [Int: Watcher] = [:]

        var count: Int { items.count - head }
        var first: UInt64 { next - UInt64(count) }

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
    private struct State {
        var lists: [Tenant: List] = [:]
        var bytes = 0
        var nextToken = 0

        /// Changes a tenant's list and keeps the sum of all.
        mutating func change<R>(_ tenant: Tenant, _ body: (inout List, Int) -> R) -> R {
            var list = lists.removeValue(forKey: tenant) ?? List()
            let others = bytes - list.bytes
            let result = body(&list, others)
            bytes = others + list.bytes
            // Nobody watches any more: numbers begin anew with the next one who does.
            if !list.watchers.isEmpty { lists[tenant] = list }
            return result
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
            guard state.lists[tenant] != nil else { return [] }
            return state.change(tenant) { list, others in
                list.items.append(
                    Item(number: list.next, batch: batch, byteCount: byteCount))
                list.next += 1
                list.bytes += byteCount
                while list.count > 1,
                    list.bytes > limits.bytes || list.count > limits.batches
                        || others + list.bytes > limits.totalBytes
                {
                    list.dropFirst()
                }
                var wakes: [AsyncStream<Void>.Continuation] = []
                for token in list.watchers.keys where list.watchers[token]?.isIdle == true {
                    list.watchers[token]?.isIdle = false
                    if let wake = list.watchers[token]?.wake { wakes.append(wake) }
                }
                return wakes
            }
        }
        for wake in wakes { wake.yield() }
    }

    func record(metrics batch: MetricBatch, tenant: Tenant, generation: UInt64) {}
    func record(spans batch: SpanBatch, tenant: Tenant, generation: UInt64) {}

    // MARK: - Tails

    /// A place in a tenant's list.
    struct Watch: Sendable {
        let tenant: Tenant
        let token: Int
        /// Has an element when there may be something to take.
        let signals: AsyncStream<Void>
        let wake: AsyncStream<Void>.Continuation
    }

    /// Begins at the end of the list.
    func watch(_ tenant: Tenant) -> Watch {
        let (signals, wake) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        return state.withLock { state in
            state.nextToken += 1
            let token = state.nextToken
            state.change(tenant) { list, _ in
                list.watchers[token] = Watcher(next: list.next, wake: wake)
            }
            count.wrappingAdd(1, ordering: .relaxed)
            return Watch(tenant: tenant, token: token, signals: signals, wake: wake)
        }
    }

    func end(_ watch: Watch) {
        let known = state.withLock { state in
            state.change(watch.tenant) { list, _ in
                let known = list.watchers.removeValue(forKey: watch.token)
                list.trim()
                return known != nil
            }
        }
        guard known else { return }
        count.wrappingSubtract(1, ordering: .relaxed)
        watch.wake.finish()
    }

    /// The next batches, about `byteLimit` bytes of them, and how many are lost before those.
    /// `isLast` says that none waits behind them.
    func take(_ watch: Watch, byteLimit: Int) -> (items: [Item], lost: Int, isLast: Bool) {
        state.withLock { state in
            state.change(watch.tenant) { list, _ in
                guard var watcher = list.watchers[watch.token] else { return ([], 0, true) }
                var lost = 0
                if watcher.next < list.first {
                    lost = Int(clamping: list.first - watcher.next)
                    watcher.next = list.first
                }
                var taken: [Item] = []
                var bytes = 0
                while watcher.next < list.next, bytes < byteLimit {
                    let item = list.items[list.head + Int(watcher.next - list.first)]
                    watcher.next += 1
                    taken.append(item)
                    bytes += item.byteCount
                }
                watcher.isIdle = watcher.next == list.next
                list.watchers[watch.token] = watcher
                list.trim()
                return (taken, lost, watcher.isIdle)
            }
        }
    }

    /// Tails of a tenant.
    func watcherCount(_ tenant: Tenant) -> Int {
        state.withLock { $0.lists[tenant]?.watchers.count ?? 0 }
    }
    var watcherCount: Int { count.load(ordering: .relaxed) }
    var heldBytes: Int { state.withLock { $0.bytes } }
}
