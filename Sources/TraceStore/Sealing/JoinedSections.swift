// SPDX-License-Identifier: Apache-2.0
// What stands once per part, added up over parts.

import Base
import Storage
import Telemetry

/// Rates and catalogue of a part that holds exactly the rows of some others: they follow from
/// theirs.
struct JoinedSections {
    private(set) var catalogue = Catalogue()
    /// As `RateTable` would write them.
    private(set) var rates: [UInt8] = []

    /// - Parameters:
    ///   - inputs: that have no row in common.
    ///   - rows: of the part.
    ///   - place: where a row of an input is among them.
    init(
        _ inputs: [TracePart], _ rows: PartRows, place: (_ row: Int, _ input: Int) -> Int
    ) throws(PartCorruption) {
        var join = RateJoin()
        for (input, part) in inputs.enumerated() {
            catalogue.add(try part.stored.catalogue())
            try part.stored.forEachRate({ _, _ in true }) { service, name, entry in
                var entry = entry
                entry.slowest = place(entry.slowest, input)
                entry.other = place(entry.other, input)
                join.add(service, name, entry, rows)
            }
        }
        rates = join.encode()
    }
}

extension Catalogue {
    /// Adds what another part has.
    mutating func add(_ other: Catalogue) {
        for (key, entry) in other.entries {
            add(key, entry.values, isComplete: entry.isComplete)
        }
    }
}

/// Rates of several parts added up by operation and minute.
private struct RateJoin {
    private struct Operation: Hashable {
        var service: [UInt8]
        var name: [UInt8]
    }
    private struct Key: Hashable, Comparable {
        var minute: Int64
        var kind: UInt8
        var status: UInt8
        static func < (a: Key, b: Key) -> Bool {
            (a.minute, a.kind, a.status) < (b.minute, b.kind, b.status)
        }
    }
    private var operations: [Operation: Int] = [:]
    private var entries: [[Key: RateEntry]] = []
    private var last: (operation: Operation, number: Int)?

    /// - Parameter entry: with rows of the new part.
    mutating func add(
        _ service: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer, _ entry: RateEntry,
        _ rows: PartRows
    ) {
        let number = number(service, name)
        let key = Key(minute: entry.minute, kind: entry.kind, status: entry.status)
        guard var sum = entries[number].removeValue(forKey: key) else {
            entries[number][key] = entry
            return
        }
        sum.durations.merge(entry.durations)
        if rows.isSlower(entry.slowest, than: sum.slowest) { sum.slowest = entry.slowest }
        let rank = RateTable.rank(rows.spanIDs[entry.other])
        if rank < RateTable.rank(rows.spanIDs[sum.other]) { sum.other = entry.other }
        entries[number][key] = sum
    }

    private mutating func number(
        _ service: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer
    ) -> Int {
        if let last, last.operation.name.withUnsafeBytes({ equalBytes($0, name) }),
            last.operation.service.withUnsafeBytes({ equalBytes($0, service) })
        {
            return last.number
        }
        let operation = Operation(service: [UInt8](service), name: [UInt8](name))
        let number = operations[operation] ?? entries.count
        if number == entries.count {
            operations[operation] = number
            entries.append([:])
        }
        last = (operation, number)
        return number
    }

    consuming func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.u8(TraceFormat.version)
        writer.varint(entries.count)
        let sorted = operations.sorted { a, b in
            a.key.service == b.key.service
                ? a.key.name.lexicographicallyPrecedes(b.key.name)
                : a.key.service.lexicographicallyPrecedes(b.key.service)
        }
        for (operation, number) in sorted {
            writer.lengthPrefixed(operation.service)
            writer.lengthPrefixed(operation.name)
            var bytes = ByteWriter()
            var minute: Int64 = 0
            for (key, entry) in entries[number].sorted(by: { $0.key < $1.key }) {
                let runs = entry.durations.buckets.map {
                    ($0.index, Int(truncatingIfNeeded: $0.count))
                }
                RateTable.encode(after: minute, entry, runs: runs, into: &bytes)
                minute = key.minute
            }
            writer.lengthPrefixed(bytes.bytes)
        }
        return writer.bytes
    }
}

extension PartRows {
    /// Whether a row took longer than another; of equally slow ones the first in order counts.
    fileprivate func isSlower(_ a: Int, than b: Int) -> Bool {
        let first = distance(starts[a], ends[a]), second = distance(starts[b], ends[b])
        if first != second { return first > second }
        if starts[a] != starts[b] { return starts[a] < starts[b] }
        return compareKeys(key(a), key(b)) < 0
    }

    private func key(_ row: Int) -> SpanKey {
        SpanKey(
            traceID: traceIDs[Int(traces[row])], spanID: spanIDs[row], startNanos: starts[row],
            kind: kinds[row])
    }
}
