// SPDX-License-Identifier: Apache-2.0
// Spans of a batch by service, five minutes and operation.

import Base
import Telemetry

/// Groups of a batch's rows, found by one look-up per row in a table of the batch.
struct SpanGroups {
    /// Spans of one service in one bucket.
    struct Group {
        var service: Int32
        var bucket: Int64
        var firstNanos = Int64.max
        var lastNanos = Int64.min
        /// Numbers in `operations`.
        var operations: [Int32] = []
    }

    private struct Operation {
        var hash: UInt64
        var group: Int32
        var kind: UInt8
        var name: ByteSlice
        var count: UInt64 = 0
        var errors: UInt64 = 0
        /// Its latest row, from which `before` leads to the others.
        var row: Int32 = -1
    }

    private struct Key: Hashable {
        var service: Int32
        var bucket: Int64
    }

    /// In order of appearance.
    private(set) var groups: [Group] = []
    private var operations: [Operation] = []
    /// By row, the row of the same operation before it; −1 = none.
    private var before: [Int32]
    private var groupNumbers: [Key: Int32] = [:]
    private var latest: (key: Key, group: Int32)?
    /// Number of an operation + 1 by its hash; 0 = free.
    private var slots = [Int32](repeating: 0, count: 128)

    init(_ batch: SpanBatch) { before = [Int32](repeating: -1, count: batch.rowCount) }

    mutating func add(
        _ row: Int, _ batch: SpanBatch, _ service: Int32, _ arena: UnsafeRawBufferPointer
    ) {
        let nanos = batch.startNanos[row]
        let group = self.group(Key(service: service, bucket: ServiceBucket.number(nanos)))
        if nanos < groups[group].firstNanos { groups[group].firstNanos = nanos }
        if nanos > groups[group].lastNanos { groups[group].lastNanos = nanos }
        let operation = self.operation(
            batch.names[row], batch.kinds[row], Int32(truncatingIfNeeded: group), arena)
        operations[operation].count += 1
        if batch.statusCodes[row] == 2 { operations[operation].errors += 1 }
        before[row] = operations[operation].row
        operations[operation].row = Int32(truncatingIfNeeded: row)
    }

    private mutating func group(_ key: Key) -> Int {
        if let latest, latest.key == key { return Int(latest.group) }
        let number = groupNumbers[key] ?? Int32(truncatingIfNeeded: groups.count)
        if Int(number) == groups.count {
            groupNumbers[key] = number
            groups.append(Group(service: key.service, bucket: key.bucket))
        }
        latest = (key, number)
        return Int(number)
    }

    private mutating func operation(
        _ name: ByteSlice, _ kind: UInt8, _ group: Int32, _ arena: UnsafeRawBufferPointer
    ) -> Int {
        let text = UnsafeRawBufferPointer(rebasing: arena[name.range])
        let hash = hash64(text, seed: UInt64(kind) | UInt64(UInt32(bitPattern: group)) &<< 8)
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != 0 {
            let number = Int(slots[slot]) - 1
            let other = operations[number]
            if other.hash == hash, other.group == group, other.kind == kind,
                equalBytes(UnsafeRawBufferPointer(rebasing: arena[other.name.range]), text)
            {
                return number
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        let number = operations.count
        operations.append(Operation(hash: hash, group: group, kind: kind, name: name))
        groups[Int(group)].operations.append(Int32(truncatingIfNeeded: number))
        slots[slot] = Int32(truncatingIfNeeded: number + 1)
        if operations.count * 2 > slots.count { grow() }
        return number
    }

    private mutating func grow() {
        slots = [Int32](repeating: 0, count: slots.count * 2)
        for (number, operation) in operations.enumerated() {
            var slot = Int(truncatingIfNeeded: operation.hash) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(truncatingIfNeeded: number + 1)
        }
    }

    /// Counts the rows of a group in its bucket.
    func add(
        _ group: Group, to bucket: inout ServiceBucket, _ batch: SpanBatch, _ maxOperations: Int
    ) {
        var named = group.operations.map { number in
            let operation = operations[Int(number)]
            return (
                key: OperationKey(name: batch.arena.text(operation.name), kind: operation.kind),
                operation: operation
            )
        }
        // Which operations share `(other)` must not depend on their order in the batch.
        if bucket.operations.count + named.count > maxOperations {
            named.sort { $0.key < $1.key }
        }
        for (key, operation) in named {
            // Mostly it is there: then one look-up finds it.
            if let place = bucket.operations.index(forKey: key) {
                add(operation, to: &bucket.operations.values[place], &bucket.picks, batch)
                continue
            }
            let admitted = bucket.admitted(key, maxOperations)
            add(
                operation, to: &bucket.operations[admitted, default: OperationCounts()],
                &bucket.picks, batch)
        }
    }

    private func add(
        _ operation: Operation, to counts: inout OperationCounts, _ picks: inout TracePicks,
        _ batch: SpanBatch
    ) {
        counts.count &+= operation.count
        counts.errorCount &+= operation.errors
        var row = Int(operation.row)
        while row >= 0 {
            let duration = batch.duration(row)
            counts.durations.add(index: DurationHistogram.index(duration), count: 1)
            picks.add(
                batch.traceIDs[row],
                TracePick(
                    startNanos: batch.startNanos[row], durationNanos: duration,
                    isError: batch.statusCodes[row] == 2))
            row = Int(before[row])
        }
    }
}
