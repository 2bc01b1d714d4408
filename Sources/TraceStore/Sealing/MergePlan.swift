// SPDX-License-Identifier: Apache-2.0
// Which rows of several parts come in which order.

import Base
import Storage
import Telemetry

/// Everything about the rows of a merge that must be known before the first one is written. Reads
/// identity, times, names and sources of all rows of the inputs; some 80 bytes per row.
///
/// Blocks go over as they are when they are large enough and of few operations; the rows of all others
/// are put in order and into blocks anew. The blocks of the output lie in the order of their first
/// rows. Where a span is in two inputs no block goes over: rates, which are added up otherwise, would
/// count it twice.
struct MergePlan {
    /// A row that comes into a new block, and the first row of each block that does not.
    struct Row {
        /// Rank of the service name, then of the span name.
        var group: UInt64
        var start: Int64
        /// Number among all rows of the inputs.
        var number: UInt32
    }
    /// A block of an input.
    struct Block {
        var input: Int
        /// Number in its part.
        var number: Int
        /// Rows among all of the inputs.
        var rows: Range<Int>
        var isCarried = false
        /// Whether a trace has rows both in it and in another input.
        var hasOpenTraces = false
    }
    /// Rows that follow each other in the output.
    enum Stretch {
        /// A block, by its number in `blocks`.
        case carried(Int)
        /// Of `loose`; no more than come into one block.
        case loose(Range<Int>)
    }
    private(set) var blocks: [Block] = []
    /// Rows of new blocks in their order, without duplicates.
    private(set) var loose: [Row] = []
    private(set) var stretches: [Stretch] = []
    private(set) var duplicates = 0
    /// Number of the first row of each input.
    private var firsts: [Int] = []
    private var ids: [TraceID] = []
    /// By number of trace: whether several inputs have rows of it.
    private var isOpen: [Bool] = []
    private var groups: [UInt64] = []
    private var traces: [UInt32] = []
    private var spanIDs: [SpanID] = []
    private var parentIDs: [SpanID] = []
    /// Number + 1 of the parent where its input has it, else 0.
    private var parents: [UInt32] = []
    private var starts: [Int64] = []
    private var ends: [Int64] = []
    private var kinds: [UInt8] = []
    /// By number of row: where it is in the output. Of duplicates meaningless.
    private var places: [UInt32] = []

    /// - Parameter inputs: the oldest first.
    /// - Throws: `PartCorruption`, `CancellationError`.
    init(
        _ inputs: [TracePart], _ configuration: TraceStoreConfiguration, shouldStop: () -> Bool
    ) throws {
        let ranks = try NameRanks(inputs)
        var numbers = TraceNumbers()
        var owners: [Int] = []
        for (input, part) in inputs.enumerated() {
            firsts.append(traces.count)
            let own = try part.stored.allTraceIDs().map { numbers.number($0) }
            for trace in own {
                if Int(trace) == owners.count {
                    owners.append(input)
                    isOpen.append(false)
                } else if owners[Int(trace)] != input {
                    isOpen[Int(trace)] = true
                }
            }
            for number in part.directory.blocks.indices {
                if shouldStop() { throw CancellationError() }
                try add(part, number, ranks, input, own)
            }
            for row in firsts[input]..<traces.count where parents[row] > 0 {
                parentIDs[row] = spanIDs[Int(parents[row]) - 1]
            }
        }
        ids = numbers.ids
        let gone = findDuplicates()
        duplicates = gone.count
        if shouldStop() { throw CancellationError() }
        for index in blocks.indices {
            let block = blocks[index]
            blocks[index].hasOpenTraces = block.rows.contains { isOpen[Int(traces[$0])] }
            blocks[index].isCarried =
                gone.isEmpty && block.rows.count >= configuration.carriedBlockRows
                && operations(block.rows) <= configuration.carriedBlockOperations
        }
        for block in blocks where !block.isCarried {
            for row in block.rows where !gone.contains(UInt32(row)) { loose.append(self.row(row)) }
        }
        // The inputs are sorted runs, which this sort makes use of.
        let unsorted = loose
        loose = unsorted.sorted { precedes($0, $1) }
        if shouldStop() { throw CancellationError() }
        arrange(blockRows: configuration.blockRows)
    }

    /// Whether blocks go over; then the inputs have no row in common.
    var carries: Bool { blocks.contains { $0.isCarried } }

    private mutating func add(
        _ part: TracePart, _ number: Int, _ ranks: NameRanks, _ input: Int, _ own: [UInt32]
    ) throws {
        let entry = part.directory.blocks[number]
        let first = traces.count
        guard first + entry.rowCount < Int(UInt32.max) else {
            throw TracePartWriter.TooLarge()
        }
        blocks.append(Block(input: input, number: number, rows: first..<(first + entry.rowCount)))
        var block = SpanBlock(part, entry)
        let durations = try block.durations()
        let sources = try block.sources(), names = try block.names()
        starts += try block.starts()
        let nameRanks = names.values.map { ranks.name($0) }
        for row in 0..<entry.rowCount {
            let service = ranks.service(input, Int(sources.resources[row]))
            groups.append(service << 32 | nameRanks[Int(names.rows[row])])
            ends.append(starts[first + row] &+ durations[row])
        }
        kinds += sources.kinds
        spanIDs += try block.spanIDs()
        for parent in try block.parents() {
            switch parent {
            case .none:
                parentIDs.append(.zero)
                parents.append(0)
            case .id(let id):
                parentIDs.append(id)
                parents.append(0)
            case .row(let row):
                // Known when all blocks of the part are.
                parentIDs.append(.zero)
                parents.append(UInt32(firsts[input] + row + 1))
            }
        }
        traces += try block.traces().map { own[Int($0)] }
    }

    private func row(_ number: Int) -> Row {
        Row(
            group: groups[number], start: starts[number],
            number: UInt32(truncatingIfNeeded: number))
    }

    private func key(_ row: Row) -> SpanKey {
        let number = Int(row.number)
        return SpanKey(
            traceID: ids[Int(traces[number])], spanID: spanIDs[number], startNanos: row.start,
            kind: kinds[number])
    }

    private func precedes(_ a: Row, _ b: Row) -> Bool {
        if a.group != b.group { return a.group < b.group }
        if a.start != b.start { return a.start < b.start }
        let comparison = compareKeys(key(a), key(b))
        return comparison == 0 ? a.number < b.number : comparison < 0
    }

    private func operations(_ rows: Range<Int>) -> Int {
        rows.dropFirst().reduce(1) { $0 + (groups[$1] == groups[$1 - 1] ? 0 : 1) }
    }

    /// Only traces that several inputs hold can have spans twice; the oldest input's stays.
    private func findDuplicates() -> Set<UInt32> {
        guard isOpen.contains(true) else { return [] }
        let byTrace = TraceGroups(traces, count: ids.count)
        var gone: Set<UInt32> = []
        var seen: Set<SpanKey> = []
        for trace in ids.indices where isOpen[trace] {
            seen.removeAll(keepingCapacity: true)
            for number in byTrace.rows(of: trace)
            where !seen.insert(key(row(Int(number)))).inserted {
                gone.insert(number)
            }
        }
        return gone
    }

    /// Puts blocks and loose rows in order.
    private mutating func arrange(blockRows: Int) {
        var firsts: [(row: Row, stretch: Stretch)] = []
        for (number, block) in blocks.enumerated() where block.isCarried {
            firsts.append((row(block.rows.lowerBound), .carried(number)))
        }
        for start in stride(from: 0, to: loose.count, by: blockRows) {
            let rows = start..<min(start + blockRows, loose.count)
            firsts.append((loose[start], .loose(rows)))
        }
        stretches = firsts.sorted { precedes($0.row, $1.row) }.map(\.stretch)
        places = [UInt32](repeating: 0, count: traces.count)
        for (place, number) in numbers.enumerated() { places[number] = UInt32(place) }
    }

    /// Numbers of the rows of the output, in its order.
    private var numbers: [Int] {
        stretches.flatMap { stretch in
            switch stretch {
            case .carried(let number): Array(blocks[number].rows)
            case .loose(let rows): loose[rows].map { Int($0.number) }
            }
        }
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

    /// Where a row of an input is in the output, unless it is a duplicate.
    func place(ofRow row: Int, in input: Int) -> Int { Int(places[firsts[input] + row]) }

    /// Identity, times and structure of the rows of the output. What is stored of the structure holds
    /// where no other input has rows of the trace.
    ///
    /// - Throws: `PartCorruption`.
    func partRows(_ inputs: [TracePart]) throws(PartCorruption) -> PartRows {
        let numbers = numbers
        var rows = PartRows(reserving: numbers.count)
        for number in numbers {
            rows.add(
                trace: traces[number], spanID: spanIDs[number], parentID: parentIDs[number],
                start: starts[number], end: ends[number], kind: kinds[number])
        }
        rows.connect(ids, isOpen: isOpen) { row in
            let parent = Int(parents[numbers[row]])
            return parent > 0 ? Int(places[parent - 1]) : -1
        }
        for block in blocks where !block.isCarried || block.hasOpenTraces {
            let part = inputs[block.input]
            var reader = SpanBlock(part, part.directory.blocks[block.number])
            let tree = try reader.tree()
            for (index, number) in block.rows.enumerated() where !isOpen[Int(traces[number])] {
                rows.setStructure(of: Int(places[number]), tree, index)
            }
        }
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
