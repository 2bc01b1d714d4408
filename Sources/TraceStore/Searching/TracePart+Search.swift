// SPDX-License-Identifier: Apache-2.0
// The conditions of a search applied to a part: first to its blocks, then to their rows.

import Base
import Storage
import Telemetry

/// A part prepared for one search: what its resources and scopes say to each condition.
struct PartSearch: Sendable {
    let part: TracePart
    let filter: SpanFilter
    /// Per condition and resource (or scope) of the part whether it may match.
    private let resources: [[Bool]]
    private let scopes: [[Bool]]
    /// Per condition the number of its attribute's key in the directory.
    private let keys: [UInt32?]
    /// Per condition and value of the directory whether it matches; empty where not needed.
    private let values: [[Bool]]

    init(_ part: TracePart, _ filter: SpanFilter) {
        self.part = part
        self.filter = filter
        let sources = part.sources
        keys = filter.tests.map { test in
            if case .attribute(_, let key) = test.subject {
                part.directory.keyNumber(key)
            } else {
                nil
            }
        }
        values = zip(filter.tests, keys).map { test, key in
            test.comparesStrings(hasKey: key != nil)
                ? part.directory.values.map { test.matches(string: $0) } : []
        }
        (resources, scopes) = sources.arena.withUnsafeBytes { all in
            (
                filter.tests.map { test in
                    sources.resources.map { test.mayMatch(resource: $0, all) }
                },
                filter.tests.map { test in sources.scopes.map { test.mayMatch(scope: $0, all) } }
            )
        }
    }

    // MARK: - Blocks

    /// Whether a block may hold a matching row, by its directory entry alone.
    func mayMatch(_ block: BlockEntry) -> Bool {
        guard filter.range.overlaps(first: block.minStart, last: block.maxStart) else {
            return false
        }
        if filter.tests.isEmpty { return true }
        for index in filter.tests.indices {
            let hit = mayMatch(block, index)
            if hit != filter.matchAll { return hit }
        }
        return filter.matchAll
    }

    private func mayMatch(_ block: BlockEntry, _ index: Int) -> Bool {
        let test = filter.tests[index]
        func anyResource() -> Bool {
            block.resources?.contains { resources[index][Int($0)] }
                ?? resources[index].contains(true)
        }
        func anyScope() -> Bool {
            block.scopes?.contains { scopes[index][Int($0)] } ?? scopes[index].contains(true)
        }
        switch test.subject {
        case .attribute(.resource, _): return anyResource()
        case .attribute(.instrumentation, _), .intrinsic(.instrumentationName),
            .intrinsic(.instrumentationVersion):
            return anyScope()
        case .attribute(.any, _): return anyResource() || mayMatch(block, index, .span)
        case .attribute(.span, _): return mayMatch(block, index, .span)
        case .attribute(.event, _): return mayMatch(block, index, .event)
        case .attribute(.link, _): return mayMatch(block, index, .link)
        case .intrinsic(.duration):
            return test.mayMatch(
                low: Double(block.minDuration).nextDown, high: Double(block.maxDuration).nextUp)
        case .intrinsic(.name): return mayMatch(block.names, index)
        case .intrinsic(.eventName):
            return block[.events].plainCount == 0
                ? test.matchesAbsent : mayMatch(block.eventNames, index)
        case .intrinsic(.kind): return mayMatch(bits: block.kinds, test)
        case .intrinsic(.status): return mayMatch(bits: block.statuses, test)
        case .intrinsic: return true
        }
    }

    private func mayMatch(_ numbers: [UInt32]?, _ index: Int) -> Bool {
        numbers?.contains { values[index][Int($0)] } ?? true
    }

    private func mayMatch(bits: UInt8, _ test: SpanTest) -> Bool {
        if bits & BlockEntry.bit(7) != 0 { return true }
        return (0..<7).contains { bits & (1 << $0) != 0 && test.matches(int: Int64($0)) }
    }

    /// By the statistics of the attribute's columns.
    private func mayMatch(_ block: BlockEntry, _ index: Int, _ scope: ColumnScope) -> Bool {
        let test = filter.tests[index]
        if test.matchesAbsent { return true }
        guard let key = keys[index] else { return false }
        for column in block.columns where column.key == key && column.scope == scope {
            if mayMatch(column, test, index) { return true }
        }
        return false
    }

    /// By the statistics of one column.
    private func mayMatch(_ column: ColumnEntry, _ test: SpanTest, _ index: Int) -> Bool {
        switch column.type {
        case .string: return mayMatch(column.values, index)
        case .int:
            guard let range = column.range else { return true }
            return test.mayMatch(
                low: Double(Int64(bitPattern: range.low)).nextDown,
                high: Double(Int64(bitPattern: range.high)).nextUp)
        case .double:
            guard let range = column.range else { return true }
            return test.mayMatch(
                low: Double(bitPattern: range.low), high: Double(bitPattern: range.high))
        case .bool, .empty, .bytes, .array, .map: return true
        }
    }

    // MARK: - Rows

    /// Rows of a block that may match, whole. Only what conditions ask for is read before it is known
    /// that there are any.
    func read(
        _ entry: BlockEntry, withTimes: Bool, _ context: ReadContext
    ) throws -> SpanBatch {
        if try isDenied(entry) {
            try context.count(samples: entry.rowCount, bytes: 0)
            return SpanBatch()
        }
        var block = SpanBlock(part, entry)
        let wanted = try rows(&block)
        let batch =
            wanted.isEmpty ? SpanBatch() : try block.materialise(rows: wanted, withTimes: withTimes)
        try context.count(samples: entry.rowCount, bytes: block.bytesRead)
        return batch
    }

    /// Whether the filters of a block's columns say that no row matches.
    private func isDenied(_ block: BlockEntry) throws(PartCorruption) -> Bool {
        if filter.tests.isEmpty { return false }
        for index in filter.tests.indices {
            let hit = try isDenied(block, index)
            if hit == filter.matchAll { return hit }
        }
        return !filter.matchAll
    }

    private func isDenied(_ block: BlockEntry, _ index: Int) throws(PartCorruption) -> Bool {
        let test = filter.tests[index]
        guard test.filterKey != nil, case .attribute(.span, _) = test.subject,
            let key = keys[index]
        else { return false }
        for column in block.columns where column.key == key && column.scope == .span {
            if mayMatch(column, test, index), try filterAllows(column, test, block) {
                return false
            }
        }
        return true
    }

    /// Whether a column may hold the one value that is sought, by its filter.
    private func filterAllows(
        _ column: ColumnEntry, _ test: SpanTest, _ block: BlockEntry
    ) throws(PartCorruption) -> Bool {
        guard let (key, type) = test.filterKey, type == column.type,
            column.filter.plainCount > 0
        else { return true }
        return try part.mayContain(key, column.filter, of: block)
    }

    private func rows(_ block: inout SpanBlock) throws(PartCorruption) -> [Int] {
        let n = block.rowCount
        // Nil = all, as long as no condition has said anything.
        var known: [Bool]?
        for index in filter.tests.indices {
            guard let hits = try rows(&block, index) else {
                if filter.matchAll { continue }
                known = nil
                break
            }
            guard var both = known else {
                known = hits
                if filter.matchAll, !hits.contains(true) { return [] }
                continue
            }
            for row in 0..<n {
                both[row] = filter.matchAll ? both[row] && hits[row] : both[row] || hits[row]
            }
            if filter.matchAll, !both.contains(true) { return [] }
            known = both
        }
        var combined = known ?? [Bool](repeating: true, count: n)
        let range = filter.range
        if !(range.first.rawValue <= block.entry.minStart
            && block.entry.maxStart <= range.last.rawValue)
        {
            let starts = try block.starts()
            for row in 0..<n where !range.contains(starts[row]) { combined[row] = false }
        }
        return combined.indices.filter { combined[$0] }
    }

    /// Per row of a block whether one condition may hold; nil = all may.
    private func rows(_ block: inout SpanBlock, _ index: Int) throws(PartCorruption) -> [Bool]? {
        let test = filter.tests[index]
        func byResource(_ block: inout SpanBlock) throws(PartCorruption) -> [Bool] {
            let hits = resources[index]
            if !hits.contains(true) { return [Bool](repeating: false, count: block.rowCount) }
            return try block.sources().resources.map { hits[Int($0)] }
        }
        switch test.subject {
        case .attribute(.resource, _): return try byResource(&block)
        case .attribute(.instrumentation, _), .intrinsic(.instrumentationName),
            .intrinsic(.instrumentationVersion):
            return try block.sources().scopes.map { scopes[index][Int($0)] }
        case .attribute(.span, _): return try attributeRows(&block, index)
        case .attribute(.any, _):
            guard let own = try attributeRows(&block, index) else { return nil }
            var hits = try byResource(&block)
            for row in hits.indices where own[row] { hits[row] = true }
            return hits
        case .attribute(.event, _), .attribute(.link, _), .intrinsic(.eventName): return nil
        case .intrinsic(.name):
            let names = try block.names()
            let values = names.values.map { test.matches(string: $0) }
            return names.rows.map { values[Int($0)] }
        case .intrinsic(.statusMessage):
            let messages = try block.texts().messages
            let values = messages.values.map { test.matches(string: $0) }
            return messages.rows.map { values[Int($0)] }
        case .intrinsic(.duration): return try block.durations().map { test.matches(int: $0) }
        case .intrinsic(.kind):
            return try block.sources().kinds.map { test.matches(int: Int64($0)) }
        case .intrinsic(.status):
            return try block.sources().statuses.map { test.matches(int: Int64($0)) }
        case .intrinsic(let other):
            let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
            let ids = try block.identities(Array(0..<block.rowCount))
            return (0..<block.rowCount).map {
                test.mayMatch(
                    other, duration: 0, name: nothing, kind: 0, status: 0, message: nothing,
                    traceID: ids.traces[$0], spanID: ids.spans[$0], parentID: ids.parents[$0])
            }
        }
    }

    private func attributeRows(
        _ block: inout SpanBlock, _ index: Int
    ) throws(PartCorruption) -> [Bool]? {
        let test = filter.tests[index]
        if test.matchesAbsent { return nil }
        var flags: [[Bool]] = []
        if let key = keys[index] {
            for number in block.columns(ofKey: key) {
                let column = block.columnEntry(number)
                guard mayMatch(column, test, index), try filterAllows(column, test, block.entry)
                else {
                    continue
                }
                let hits = try block.column(number).flags(test)
                guard hits.contains(true) else { continue }
                while flags.count <= number { flags.append([]) }
                flags[number] = hits
            }
        }
        if flags.isEmpty { return [Bool](repeating: false, count: block.rowCount) }
        let layout = try block.layout()
        while flags.count < layout.valueCounts.count { flags.append([]) }
        return layout.lists(matching: flags)
    }
}
