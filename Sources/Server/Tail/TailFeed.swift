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
/// (docs/decisions/0014-tails-share-one-list.md). A tail of several tenants has a place in the list of
/// each.
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
        /// Counts all batches of all lists.
        var arrival: UInt64
        var tenant: Tenant
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

        /// Moves a watcher to what is still there.
        ///
        /// - Returns: how many batches it has lost.
        mutating func passLost(_ token: Int) -> Int {
            let first = first
            guard let next = watchers[token]?.next, next < first else { return 0 }
            watchers[token]?.next = first
            return Int(clamping: first - next)
        }

        /// Where the next batch for a watcher lies in `items`.
        private func place(_ token: Int) -> Int? {
            guard let next = watchers[token]?.next, (first..<self.next).contains(next) else {
                return nil
            }
            return head + Int(next - first)
        }

        /// Arrival of the next batch for a watcher.
        func waiting(_ token: Int) -> UInt64? { place(token).map { items[$0].arrival } }

        /// Hands a watcher its next batch.
        mutating func take(_ token: Int) -> Item? {
            guard let place = place(token) else { return nil }
            watchers[token]?.next = items[place].number + 1
            return items[place]
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
        var nextArrival: UInt64 = 0
        /// Tails that have not ended.
        var open: Set<Int> = []

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
            let arrival = state.nextArrival
            state.nextArrival += 1
            return state.change(tenant) { list, others in
                list.items.append(
                    Item(
                        number: list.next, arrival: arrival, tenant: tenant, batch: batch,
                        byteCount: byteCount))
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

    /// A place in the list of each tenant of a tail.
    struct Watch: Sendable {
        let tenants: [Tenant]
        let token: Int
        /// Has an element when there may be something to take.
        let signals: AsyncStream<Void>
        let wake: AsyncStream<Void>.Continuation
    }

    /// Begins at the end of the lists.
    ///
    /// - Parameter tenants: distinct; of none nothing ever comes.
    func watch(_ tenants: [Tenant]) -> Watch {
        let (signals, wake) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        return state.withLock { state in
            state.nextToken += 1
            let token = state.nextToken
            state.open.insert(token)
            for tenant in tenants {
                state.change(tenant) { list, _ in
                    list.watchers[token] = Watcher(next: list.next, wake: wake)
                }
            }
            count.wrappingAdd(1, ordering: .relaxed)
            return Watch(tenants: tenants, token: token, signals: signals, wake: wake)
        }
    }

    func end(_ watch: Watch) {
        let known = state.withLock { state in
            for tenant in watch.tenants {
                state.change(tenant) { list, _ in
                    list.watchers.removeValue(forKey: watch.token)
                    list.trim()
                }
            }
            return state.open.remove(watch.token) != nil
        }
        guard known else { return }
        count.wrappingSubtract(1, ordering: .relaxed)
        watch.wake.finish()
    }

    /// What a tail gets at once.
    struct Step {
        /// In order of arrival, over all tenants.
        var items: [Item] = []
        /// Batches that were lost before those, of each tenant that lost some.
        var lost: [(tenant: Tenant, count: Int)] = []
        /// Whether none waits behind them.
        var isLast = true
    }

    /// The next batches, about `byteLimit` bytes of them in all.
    func take(_ watch: Watch, byteLimit: Int) -> Step {
        state.withLock { state in
            var step = Step()
            guard state.open.contains(watch.token) else { return step }
            for tenant in watch.tenants {
                guard let lost = state.lists[tenant]?.passLost(watch.token), lost > 0 else {
                    continue
                }
                step.lost.append((tenant, lost))
            }
            var bytes = 0
            while bytes < byteLimit {
                var earliest: (arrival: UInt64, tenant: Tenant)?
                for tenant in watch.tenants {
                    guard let arrival = state.lists[tenant]?.waiting(watch.token),
                        arrival < earliest?.arrival ?? .max
                    else { continue }
                    earliest = (arrival, tenant)
                }
                guard let earliest, let item = state.lists[earliest.tenant]?.take(watch.token)
                else { break }
                step.items.append(item)
                bytes += item.byteCount
            }
            for tenant in watch.tenants {
                state.change(tenant) { list, _ in
                    let isIdle = list.waiting(watch.token) == nil
                    list.watchers[watch.token]?.isIdle = isIdle
                    step.isLast = step.isLast && isIdle
                    list.trim()
                }
            }
            return step
        }
    }

    /// Tails of a tenant.
    func watcherCount(_ tenant: Tenant) -> Int {
        state.withLock { $0.lists[tenant]?.watchers.count ?? 0 }
    }
    var watcherCount: Int { count.load(ordering: .relaxed) }
    var heldBytes: Int { state.withLock { $0.bytes } }
}
