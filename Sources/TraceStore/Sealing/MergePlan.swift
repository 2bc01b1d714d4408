// SPDX-License-Identifier: Apache-2.0
// Which rows of several parts come in which order.

import Base
import Storage
import Telemetry

/// Everything about the rows of a merge that must be known before the first one is written. Reads
/// identity, times, names and sources of all rows of the inputs; some 80 bytes per row.
struct MergePlan {
    struct Row {
        /// Rank of the service name, then of the span name.
        var group: UInt64
        var start: Int64
        /// Number among all rows of the inputs.
        var number: UInt32
    }
    /// In the order of the output, without duplicates.
    private(set) var order: [Row] = []
    private(set) var duplicates = 0
    /// Number of the first row of each input.
    private var firsts: [Int] = []
    private var ids: [TraceID] = []
    private var traces: [UInt32] = []
    private var spanIDs: [SpanID] = []
    private var parentIDs: [SpanID] = []
    private var ends: [Int64] = []
    private var kinds: [UInt8] = []

    /// - Parameter inputs: the oldest first.
    /// - Throws: `PartCorruption`, `CancellationError`.
    init(_ inputs: [TracePart], shouldStop: () -> Bool) throws {
        let ranks = try NameRanks(inputs)
        var numbers = TraceNumbers()
        for (input, part) in inputs.enumerated() {
            firsts.append(traces.count)
            let own = try part.allTraceIDs().map { numbers.number($0) }
            for entry in part.directory.blocks {
                if shouldStop() { throw CancellationError() }
                try add(part, entry, ranks, input, own)
            }
        }
        ids = numbers.ids
        duplicates = dropDuplicates()
        if shouldStop() { throw CancellationError() }
        // The inputs are sorted runs, which this sort makes use of.
        let unsorted = order
        order = unsorted.sorted { a, b in
            if a.group != b.group { return a.group < b.group }
            if a.start != b.start { return a.start < b.start }
            let comparison = compareKeys(key(a), key(b))
            return comparison == 0 ? a.number < b.number : comparison < 0
        }
    }

    private mutating func add(
        _ part: TracePart, _ entry: BlockEntry, _ ranks: NameRanks, _ input: Int, _ own: [UInt32]
    ) throws {
        guard traces.count + entry.rowCount < Int(UInt32.max) else {
            throw TracePartWriter.TooLarge()
        }
        var block = SpanBlock(part, entry)
        let starts = try block.starts(), durations = try block.durations()
        let sources = try block.sources(), names = try block.names()
        let nameRanks = names.values.map { ranks.name($0) }
        for row in 0..<entry.rowCount {
            let service = ranks.service(input, Int(sources.resources[row]))
            order.append(
                Row(
                    group: service << 32 | nameRanks[Int(names.rows[row])], start: starts[row],
                    number: UInt32(truncatingIfNeeded: traces.count + row)))
            ends.append(starts[row] &+ durations[row])
        }
        kinds += sources.kinds
        spanIDs += try block.spanIDs()
        parentIDs += try part.spanIDs(of: try block.parents())
        traces += try block.traces().map { own[Int($0)] }
    }

    private func key(_ row: Row) -> SpanKey {
        let number = Int(row.number)
        return SpanKey(
            traceID: ids[Int(traces[number])], spanID: spanIDs[number], startNanos: row.start,
            kind: kinds[number])
    }

    /// Only traces that several inputs hold can have spans twice; the oldest input's stays.
    private mutating func dropDuplicates() -> Int {
        // `order` still stands by number here.
        let groups = TraceGroups(traces, count: ids.count)
        var gone: Set<UInt32> = []
        var seen: Set<SpanKey> = []
        for trace in ids.indices {
            let rows = groups.rows(of: trace)
            guard let first = rows.first, let last = rows.last,
                input(Int(first)) != input(Int(last))
            else { continue }
            seen.removeAll(keepingCapacity: true)
            for number in rows where !seen.insert(key(order[Int(number)])).inserted {
                gone.insert(number)
            }
        }
        if !gone.isEmpty { order.removeAll { gone.contains($0.number) } }
        return gone.count
    }

    /// The input of a row.
    func input(_ number: Int) -> Int {
        var low = 0, high = firsts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if firsts[middle] <= number { low = middle } else { high = middle }
        }
        return low
    }

    /// The number of a row in its input.
    func row(_ number: Int, in input: Int) -> Int { number - firsts[input] }

    func partRows() -> PartRows {
        var rows = PartRows(reserving: order.count)
        for row in order {
            let number = Int(row.number)
            rows.add(
                trace: traces[number], spanID: spanIDs[number], parentID: parentIDs[number],
                start: row.start, end: ends[number], kind: kinds[number])
        }
        rows.connect(ids)
        return rows
    }
}

/// Ranks of the service and span names of several parts.
struct NameRanks {
    /// By input and resource.
    private var services: [[UInt64]] = []
    private var names: [[UInt8]: UInt64] = [:]

    init(_ inputs: [TracePart]) throws {
        var serviceNames: Set<[UInt8]> = [], spanNames: Set<[UInt8]> = []
        for part in inputs {
            for resource in part.sources.resources {
                serviceNames.insert(Array(part.sources.arena[resource.serviceName.range]))
            }
            for entry in part.directory.blocks {
                if let known = entry.names {
                    for value in known { spanNames.insert(part.directory.values[Int(value)]) }
                } else {
                    var block = SpanBlock(part, entry)
                    spanNames.formUnion(try block.names().values)
                }
            }
        }
        let serviceRanks = ranks(serviceNames)
        names = ranks(spanNames)
        services = inputs.map { part in
            part.sources.resources.map {
                serviceRanks[Array(part.sources.arena[$0.serviceName.range])] ?? 0
            }
        }
    }

    func service(_ input: Int, _ resource: Int) -> UInt64 { services[input][resource] }
    func name(_ name: [UInt8]) -> UInt64 { names[name] ?? 0 }
}
