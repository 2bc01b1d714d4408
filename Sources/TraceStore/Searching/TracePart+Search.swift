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

    init(_ part: TracePart, _ filter: SpanFilter) {
        self.part = part
        self.filter = filter
        let sources = part.sources
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
        case .attribute(.any, let key):
            return anyResource() || mayMatch(block, test, key, .span)
        case .attribute(.span, let key): return mayMatch(block, test, key, .span)
        case .attribute(.event, let key): return mayMatch(block, test, key, .event)
        case .attribute(.link, let key): return mayMatch(block, test, key, .link)
        case .intrinsic(.duration):
            return test.mayMatch(
                low: Double(block.minDuration).nextDown, high: Double(block.maxDuration).nextUp)
        case .intrinsic(.name): return mayMatch(block.names, test)
        case .intrinsic(.eventName):
            return block.frames[BlockEntry.eventsFrame].plainCount == 0
                ? test.matchesAbsent : mayMatch(block.eventNames, test)
        case .intrinsic(.kind): return mayMatch(bits: block.kinds, test)
        case .intrinsic(.status): return mayMatch(bits: block.statuses, test)
        case .intrinsic: return true
        }
    }

    private func mayMatch(_ names: [UInt32]?, _ test: SpanTest) -> Bool {
        names?.contains { test.matches(string: part.directory.values[Int($0)]) } ?? true
    }

    private func mayMatch(bits: UInt8, _ test: SpanTest) -> Bool {
        if bits & BlockEntry.bit(7) != 0 { return true }
        return (0..<7).contains { bits & (1 << $0) != 0 && test.matches(int: Int64($0)) }
    }

    /// By the statistics of the attribute's columns.
    private func mayMatch(
        _ block: BlockEntry, _ test: SpanTest, _ key: String, _ scope: ColumnScope
    ) -> Bool {
        if test.matchesAbsent { return true }
        for column in block.columns
        where column.scope == scope
            && part.directory.keys[Int(column.key)].elementsEqual(key.utf8)
        {
            switch column.type {
            case .string:
                guard let values = column.values else { return true }
                if mayMatch(values, test) { return true }
            case .int:
                guard let range = column.range else { return true }
                if test.mayMatch(
                    low: Double(Int64(bitPattern: range.low)).nextDown,
                    high: Double(Int64(bitPattern: range.high)).nextUp)
                {
                    return true
                }
            case .double:
                guard let range = column.range else { return true }
                if test.mayMatch(
                    low: Double(bitPattern: range.low), high: Double(bitPattern: range.high))
                {
                    return true
                }
            case .bool, .empty, .bytes, .array, .map: return true
            }
        }
        return false
    }

    // MARK: - Rows

    /// Rows of a block that may match, whole.
    func read(_ entry: BlockEntry, _ context: ReadContext) throws -> SpanBatch {
        var block = try SpanBlock(part, entry)
        let n = block.rowCount
        var rows = (0..<n).map { filter.range.contains(block.core.starts[$0]) }
        var attributes: AttributeColumnsReader?
        if !filter.tests.isEmpty {
            var combined = [Bool](repeating: filter.matchAll, count: n)
            for index in filter.tests.indices {
                let hits = try self.rows(&block, index, &attributes)
                for row in 0..<n {
                    combined[row] =
                        filter.matchAll ? combined[row] && hits[row] : combined[row] || hits[row]
                }
            }
            for row in 0..<n where !combined[row] { rows[row] = false }
        }
        let wanted = rows.indices.filter { rows[$0] }
        guard !wanted.isEmpty else {
            try context.count(samples: n, bytes: block.bytesRead)
            return SpanBatch()
        }
        let batch = try block.materialise(rows: wanted, attributes: attributes)
        try context.count(samples: n, bytes: block.bytesRead)
        return batch
    }

    /// Per row of a block whether one condition may hold.
    private func rows(
        _ block: inout SpanBlock, _ index: Int, _ attributes: inout AttributeColumnsReader?
    ) throws -> [Bool] {
        let test = filter.tests[index]
        let core = block.core
        switch test.subject {
        case .attribute(.resource, _): return core.resources.map { resources[index][Int($0)] }
        case .attribute(.instrumentation, _), .intrinsic(.instrumentationName),
            .intrinsic(.instrumentationVersion):
            return core.scopes.map { scopes[index][Int($0)] }
        case .attribute(.span, let key):
            return try attributeRows(&block, test, key, &attributes)
        case .attribute(.any, let key):
            var hits = core.resources.map { resources[index][Int($0)] }
            if hits.contains(false) {
                let own = try attributeRows(&block, test, key, &attributes)
                for row in hits.indices where own[row] { hits[row] = true }
            }
            return hits
        case .attribute(.event, _), .attribute(.link, _), .intrinsic(.eventName):
            return [Bool](repeating: true, count: block.rowCount)
        case .intrinsic(.name):
            let values = core.names.values.map { test.matches(string: $0) }
            return core.names.rows.map { values[Int($0)] }
        case .intrinsic(.statusMessage):
            let values = core.messages.values.map { test.matches(string: $0) }
            return core.messages.rows.map { values[Int($0)] }
        case .intrinsic(.duration): return core.durations.map { test.matches(int: $0) }
        case .intrinsic(.kind): return core.kinds.map { test.matches(int: Int64($0)) }
        case .intrinsic(.status): return core.statuses.map { test.matches(int: Int64($0)) }
        case .intrinsic(let other):
            let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
            return (0..<block.rowCount).map {
                test.mayMatch(
                    other, duration: 0, name: nothing, kind: 0, status: 0, message: nothing,
                    traceID: block.traceIDs[$0], spanID: block.spanIDs[$0],
                    parentID: block.parentIDs[$0])
            }
        }
    }

    private func attributeRows(
        _ block: inout SpanBlock, _ test: SpanTest, _ key: String,
        _ attributes: inout AttributeColumnsReader?
    ) throws -> [Bool] {
        if test.matchesAbsent { return [Bool](repeating: true, count: block.rowCount) }
        let columns: AttributeColumnsReader
        if let known = attributes {
            columns = known
        } else {
            columns = try block.attributeColumns()
        }
        attributes = columns
        return columns.lists(matching: columns.flags(test, key: key))
    }
}

extension AttributeColumnsReader {
    /// Per column of a key, per value whether a condition may hold.
    func flags(_ test: SpanTest, key: String) -> [Int: [Bool]] {
        var result: [Int: [Bool]] = [:]
        for (index, column) in columns.enumerated()
        where withBytes(column.key, { $0.elementsEqual(key.utf8) }) {
            switch column.type {
            case .string:
                if column.dictionary.isEmpty {
                    result[index] = column.slices.map { range in
                        withBytes(range) { test.matches(string: $0) }
                    }
                } else {
                    let values = column.dictionary.map { range in
                        withBytes(range) { test.matches(string: $0) }
                    }
                    result[index] = column.indices.map { values[Int($0)] }
                }
            case .int:
                result[index] = column.numbers.map { test.matches(int: Int64(bitPattern: $0)) }
            case .double:
                result[index] = column.numbers.map { test.matches(double: Double(bitPattern: $0)) }
            case .bool: result[index] = column.numbers.map { test.matches(bool: $0 != 0) }
            case .empty, .bytes, .array, .map:
                result[index] = [Bool](repeating: true, count: column.count)
            }
        }
        return result
    }
}
