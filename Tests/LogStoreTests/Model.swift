// SPDX-License-Identifier: Apache-2.0
// A naive log store to compare with, and makers of random rows.

import Base
import Storage
import Telemetry

@testable import LogStore

/// A small seeded generator: a failing seed can be run again.
struct SeededNumbers: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }
    mutating func next() -> UInt64 {
        state = state &+ 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
    mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

/// A row as plainly as it can be held.
struct ModelRow: Hashable, CustomStringConvertible {
    var stream: Labels
    var nanos: Int64
    var line: [UInt8]
    var metadata: Labels
    var trace = TraceID.zero
    var span = SpanID.zero

    var description: String {
        "\(stream) \(nanos) \(String(decoding: line.prefix(40), as: UTF8.self)) \(metadata) \(trace)"
    }
    func isDuplicate(of other: ModelRow) -> Bool {
        stream == other.stream && nanos == other.nanos && line == other.line
            && metadata == other.metadata
    }
}

/// All rows in order of arrival, without duplicates.
struct Model {
    private struct Identity: Hashable {
        var stream: Labels
        var nanos: Int64
        var line: [UInt8]
        var metadata: Labels
    }
    private(set) var rows: [ModelRow] = []
    private var seen: Set<Identity> = []

    mutating func append(_ row: ModelRow) {
        let identity = Identity(
            stream: row.stream, nanos: row.nanos, line: row.line, metadata: row.metadata)
        if seen.insert(identity).inserted { rows.append(row) }
    }

    /// What a read must give in the order of time, then labels, then arrival.
    func read(_ request: LogRequest) -> [ModelRow] {
        let found = rows.enumerated().filter { _, row in
            request.range.contains(row.nanos) && matches(row.stream, request.matchers)
                && request.filters.allSatisfy { passes(row.line, $0) }
                && request.conditions.allSatisfy {
                    $0.matches(row.stream[$0.name] ?? row.metadata[$0.name] ?? "")
                }
                && request.numbers.allSatisfy { passes(row, $0) }
        }
        let ascending = found.sorted { a, b in
            if a.element.nanos != b.element.nanos { return a.element.nanos < b.element.nanos }
            let order = Labels.compare(a.element.stream, b.element.stream)
            return order == 0 ? a.offset < b.offset : order < 0
        }.map(\.element)
        return request.order == .newestFirst ? ascending.reversed() : ascending
    }

    /// What the engine makes of a condition on a number: a missing label fails, what is no number
    /// passes.
    func passes(_ row: ModelRow, _ condition: NumberCondition) -> Bool {
        guard let text = row.stream[condition.name] ?? row.metadata[condition.name] else {
            return false
        }
        guard let value = Double(text), condition.takesMinus || !text.hasPrefix("-") else {
            return true
        }
        let wanted = condition.value
        switch condition.comparison {
        case .equal: return value == wanted
        case .notEqual: return value != wanted
        case .greater: return value > wanted
        case .greaterOrEqual: return value >= wanted
        case .less: return value < wanted
        case .lessOrEqual: return value <= wanted
        }
    }

    func matches(_ labels: Labels, _ matchers: [LabelMatcher]) -> Bool {
        matchers.allSatisfy { matcher in matcher.matches(labels[matcher.name] ?? "") }
    }

    func passes(_ line: [UInt8], _ filter: LineFilter) -> Bool {
        let needle = Array(filter.text.utf8)
        let isFound: Bool
        switch filter.kind {
        case .contains, .notContains:
            isFound = position(of: needle, in: line) != nil
        case .matches, .notMatches:
            guard let regex = try? RegularExpression(filter.text, [.dotMatchesNewline]) else {
                return false
            }
            isFound = line.withUnsafeBytes { regex.matchesAnywhere($0) }
        }
        return isFound == (filter.kind == .contains || filter.kind == .matches)
    }
}

/// Where a needle first lies, found the slow way.
func position(of needle: [UInt8], in line: [UInt8]) -> Int? {
    var start = 0
    while start + needle.count <= line.count {
        var matched = 0
        while matched < needle.count, line[start + matched] == needle[matched] { matched += 1 }
        if matched == needle.count { return start }
        start += 1
    }
    return nil
}

extension LogBatch {
    init(_ rows: [ModelRow]) {
        self.init()
        var known: [Labels: UInt32] = [:]
        for row in rows {
            let stream = known[row.stream] ?? addStream(row.stream)
            known[row.stream] = stream
            let line = row.line.withUnsafeBytes { arena.keep($0) }
            let metadata = row.metadata.bytes.withUnsafeBytes { arena.keep($0) }
            addRow(
                stream: stream, nanos: row.nanos, line: line, metadata: metadata,
                traceID: row.trace, spanID: row.span)
        }
    }

    var modelRows: [ModelRow] {
        (0..<rowCount).map { row in
            ModelRow(
                stream: arena.labels(streams[Int(rowStreams[row])]), nanos: nanos[row],
                line: Array(arena[lines[row].range]),
                metadata: Labels(canonical: Array(arena[metadata[row].range])),
                trace: traceIDs[row], span: spanIDs[row])
        }
    }
}

/// Makes rows of every awkward kind.
struct RowMaker {
    var numbers: SeededNumbers
    var streams: [Labels]
    let start: Int64
    private var clock: Int64
    private var recent: [ModelRow] = []

    init(seed: UInt64, streamCount: Int = 12, start: Int64 = 1_700_000_000_000_000_000) {
        numbers = SeededNumbers(seed)
        self.start = start
        clock = start
        streams = (0..<streamCount).map { index in
            var pairs = [("app", "app-\(index % 5)"), ("instance", "i\(index)")]
            if index % 3 == 0 { pairs.append(("level", ["info", "error"][index / 3 % 2])) }
            if index % 4 == 1 { pairs.append(("región", "sur-\(index % 2)")) }
            return Labels(pairs.map { (name: $0.0, value: $0.1) })
        }
        if streamCount > 3 { streams[3] = .empty }
    }

    mutating func rows(_ n: Int) -> [ModelRow] { (0..<n).map { _ in row() } }

    mutating func row() -> ModelRow {
        // Now and then the very same row again, or one that differs in one respect.
        if numbers.chance(6), var again = recent.randomElement(using: &numbers) {
            switch numbers.below(4) {
            case 0: again.line.append(UInt8(ascii: "!"))
            case 1: again.metadata = Labels([("changed", "\(numbers.below(5))")])
            default: break
            }
            return again
        }
        if numbers.chance(60) { clock += Int64(numbers.below(5)) * 1_000_000 }
        var nanos = clock
        if numbers.chance(10) { nanos -= Int64(numbers.below(3_600)) * 1_000_000_000 }
        if numbers.chance(2) { nanos += nanosPerDay }
        if numbers.chance(5) { nanos += Int64(numbers.below(1000)) }
        let row = ModelRow(
            stream: streams[numbers.below(streams.count)], nanos: nanos, line: line(),
            metadata: metadata(),
            trace: numbers.chance(20)
                ? TraceID(high: UInt64(numbers.below(3)), low: numbers.next()) : .zero,
            span: numbers.chance(15) ? SpanID(numbers.next()) : .zero)
        recent.append(row)
        if recent.count > 60 { recent.removeFirst() }
        return withLiftedID(row)
    }

    /// Sometimes the metadata holds the text of the ids, as senders have it.
    private mutating func withLiftedID(_ row: ModelRow) -> ModelRow {
        var row = row
        if !row.trace.isZero, numbers.chance(80) {
            var builder = LabelsBuilder(row.metadata)
            builder.set("trace_id", row.trace.description)
            if !row.span.isZero { builder.set("span_id", row.span.description) }
            row.metadata = builder.labels()
        }
        return row
    }

    private mutating func line() -> [UInt8] {
        switch numbers.below(100) {
        case 0..<4: return []
        case 4..<14:
            return (0..<numbers.below(60)).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
        case 14: return (0..<(4000 + numbers.below(9000))).map { _ in UInt8(97 + numbers.below(4)) }
        default:
            let word = ["GET /api", "POST /cart", "failed to connect", "done\nnext"][
                numbers.below(4)]
            return Array(
                "level=\(["info", "error"][numbers.below(2)]) \(word) n=\(numbers.below(50))".utf8)
        }
    }

    private mutating func metadata() -> Labels {
        switch numbers.below(10) {
        case 0..<4: return .empty
        case 4..<8: return Labels([("pod", "p-\(numbers.below(3))"), ("zone", "a")])
        case 8: return Labels([("request", "\(numbers.next())"), ("pod", "p-1")])
        default: return Labels([("k\(numbers.below(30))", "ü\(numbers.below(3))")])
        }
    }
}

/// A store with the kernel's part played by hand.
final class Driver {
    let store: LogStore
    var generation: UInt64 = 1
    private(set) var sequence: UInt64 = 0
    private(set) var handles: [PartHandle] = []
    private var nextID: UInt64 = 1
    let tenant = Tenant("t")

    init(_ change: (inout LogStoreConfiguration) -> Void = { _ in }) {
        var configuration = LogStoreConfiguration()
        change(&configuration)
        store = LogStore(configuration)
    }

    @discardableResult
    func append(_ rows: [ModelRow]) -> LogAppendCounts {
        sequence += 1
        return store.append(
            LogBatch(rows), tenant: tenant, generation: generation, sequence: sequence)
    }

    func handle(_ draft: PartDraft, level: UInt8, lastSequence: UInt64) throws -> PartHandle {
        defer { nextID += 1 }
        return PartHandle(
            descriptor: PartDescriptor(
                id: nextID, signal: .logs, tenant: draft.tenant, day: draft.day, level: level,
                minNanos: draft.minNanos, maxNanos: draft.maxNanos, rowCount: draft.rowCount,
                byteCount: UInt64(draft.bytes.count), retentionClass: draft.retentionClass,
                lastSequence: lastSequence),
            reader: try PartReader(SharedBytes(draft.bytes), name: "part-\(nextID)"))
    }

    /// Seals the present generation; the next one is begun before, as the kernel does it.
    func seal() throws {
        let old = generation
        generation += 1
        let parts = try store.seal(generation: old).map {
            try handle($0, level: 0, lastSequence: sequence)
        }
        handles += parts
        store.sealed(generation: old, parts: parts)
    }

    /// Merges all parts of each day.
    func mergeAll() throws {
        for day in Set(handles.map(\.descriptor.day)) {
            let inputs = handles.filter { $0.descriptor.day == day }
            if inputs.count < 2 { continue }
            let last = inputs.map(\.descriptor.lastSequence).max() ?? 0
            let merged = try store.merge(inputs, shouldStop: { false }).map {
                try handle($0, level: 1, lastSequence: last)
            }
            let removed = inputs.map(\.descriptor.id)
            handles.removeAll { removed.contains($0.descriptor.id) }
            handles += merged
            store.replace(removed: removed, added: merged)
        }
    }

    /// Gives parts other deletions, as the kernel does it.
    func mark(_ deletions: [UInt64: [UInt8]]) {
        let changed = handles.compactMap { handle in
            deletions[handle.descriptor.id].map { handle.deleting($0) }
        }
        let ids = changed.map(\.descriptor.id)
        handles.removeAll { ids.contains($0.descriptor.id) }
        handles += changed
        store.replace(removed: ids, added: changed)
    }

    /// Rewrites each part that has deletions.
    func clean() throws {
        for input in handles where !input.descriptor.deletions.isEmpty {
            let merged = try store.merge([input], shouldStop: { false }).map {
                try handle($0, level: 1, lastSequence: input.descriptor.lastSequence)
            }
            handles.removeAll { $0 === input }
            handles += merged
            store.replace(removed: [input.descriptor.id], added: merged)
        }
    }

    func read(_ request: LogRequest, _ context: ReadContext = ReadContext()) throws -> [ModelRow] {
        var rows: [ModelRow] = []
        try store.read(request, context) {
            rows += $0.modelRows
            return true
        }
        return rows
    }
}
