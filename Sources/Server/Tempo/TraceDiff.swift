// SPDX-License-Identifier: Apache-2.0
// What differs between two traces.

import Telemetry

/// The differences of two whole traces, span by span.
///
/// Spans match from the tops downwards: below a matched pair, the n-th child of one service, name and
/// kind matches the n-th such child of the other side, in order of start. What stays unmatched was
/// added or removed, with all that is below it. Ids are never compared: they differ by nature.
///
/// A duration changed when it differs by more than `durationTolerance` of the base's, and by more than
/// `durationFloorNanos`; attributes of the span changed when they are not equal. Linear in the spans
/// of both traces, plus a sort by time.
struct TraceDiff {
    /// Shares below which two durations count as equal. Source: grafana/tempo, release notes of 3.1.
    static let durationTolerance = 0.2
    static let durationFloorNanos: Int64 = 1_000_000
    /// Most steps of paths in one answer; what comes after is counted and not listed. A chain of
    /// 100,000 spans that was removed has five billion.
    static let maxPathSteps = 1_000_000

    enum Target: Equatable {
        case durationNanos, status
        case attribute(String)
    }

    struct Change: Equatable {
        var target: Target
        /// Nil where the span of that side has no such attribute.
        var before: AttributeValue?
        var after: AttributeValue?
    }

    struct Modified {
        /// A row of `compare`.
        var row: Int
        var changes: [Change]
    }

    let base: TraceTree
    let compare: TraceTree
    private(set) var matchedSpans = 0
    /// In depth-first order of `compare`.
    private(set) var modified: [Modified] = []
    /// Rows of `compare` and of `base`, depth first.
    private(set) var added: [Int] = []
    private(set) var removed: [Int] = []
    /// Matched spans whose events differ in name, number or order.
    private(set) var eventChanges = 0
    /// Service, name and kind whose spans were matched by order where their numbers differ.
    private(set) var ambiguous: Set<TraceTree.Kin> = []

    /// - Throws: `MalformedBytes` when attributes or events of a span cannot be decoded.
    init(base: SpanBatch, compare: SpanBatch) throws {
        self.base = TraceTree(base)
        self.compare = TraceTree(compare)
        let partners = match()
        var isMatched = [Bool](repeating: false, count: base.rowCount)
        for row in self.compare.rows {
            let partner = partners[row]
            guard partner >= 0 else {
                added.append(row)
                continue
            }
            isMatched[partner] = true
            matchedSpans += 1
            let changes = try self.changes(from: partner, to: row)
            if !changes.isEmpty { modified.append(Modified(row: row, changes: changes)) }
            if try self.base.eventNames(partner) != self.compare.eventNames(row) {
                eventChanges += 1
            }
        }
        removed = self.base.rows.filter { !isMatched[$0] }
    }

    /// By row of `compare`: the matching row of `base`, -1 for none.
    private mutating func match() -> [Int] {
        var partners = [Int](repeating: -1, count: compare.spans.rowCount)
        var pending = [(base.tops, compare.tops)]
        while let (olds, news) = pending.popLast() {
            var waiting: [TraceTree.Kin: [Int]] = [:]
            for row in olds.reversed() { waiting[base.kin(row), default: []].append(row) }
            let counts = waiting.mapValues(\.count)
            var wanted: [TraceTree.Kin: Int] = [:]
            for row in news {
                let kin = compare.kin(row)
                wanted[kin, default: 0] += 1
                guard let partner = waiting[kin]?.popLast() else { continue }
                partners[row] = partner
                pending.append((base.children[partner], compare.children[row]))
            }
            for (kin, count) in wanted {
                if let other = counts[kin], other != count { ambiguous.insert(kin) }
            }
        }
        return partners
    }

    private func changes(from old: Int, to new: Int) throws -> [Change] {
        var result: [Change] = []
        let (before, after) = (base.durationNanos(old), compare.durationNanos(new))
        let difference = Double(after - before).magnitude
        if difference
            > max(Double(before) * Self.durationTolerance, Double(Self.durationFloorNanos))
        {
            result.append(Change(target: .durationNanos, before: .int(before), after: .int(after)))
        }
        let (status, newStatus) = (base.status(old), compare.status(new))
        if status != newStatus {
            result.append(
                Change(target: .status, before: .string(status), after: .string(newStatus)))
        }
        let (olds, news) = (try base.attributes(old), try compare.attributes(new))
        for (key, value) in olds {
            let other = news.first { $0.key == key }?.value
            if other != value {
                result.append(Change(target: .attribute(key), before: value, after: other))
            }
        }
        for (key, value) in news where !olds.contains(where: { $0.key == key }) {
            result.append(Change(target: .attribute(key), before: nil, after: value))
        }
        return result
    }
}

/// A trace whose children are in order of time.
struct TraceTree {
    /// What makes spans of two traces the same piece of work.
    struct Kin: Hashable {
        var service: String
        var name: String
        var kind: UInt8
    }

    let spans: SpanBatch
    /// All rows, depth first.
    let rows: [Int]
    let tops: [Int]
    /// By row.
    let children: [[Int]]
    private let parents: [Int32]
    /// By row: place among its siblings.
    private let places: [Int]

    init(_ spans: SpanBatch) {
        self.spans = spans
        let structure = SpanStructure(spans)
        parents = structure.parents
        rows = structure.lefts.indices.sorted { structure.lefts[$0] < structure.lefts[$1] }
        var tops: [Int] = []
        var children = [[Int]](repeating: [], count: spans.rowCount)
        var places = [Int](repeating: 0, count: spans.rowCount)
        for row in rows {
            let parent = Int(parents[row])
            if parent < 0 {
                places[row] = tops.count
                tops.append(row)
            } else {
                places[row] = children[parent].count
                children[parent].append(row)
            }
        }
        (self.tops, self.children, self.places) = (tops, children, places)
    }

    /// Places among siblings from the top to a span.
    func path(_ row: Int) -> [Int] {
        var result = [places[row]]
        var present = Int(parents[row])
        while present >= 0 {
            result.append(places[present])
            present = Int(parents[present])
        }
        return result.reversed()
    }

    func kin(_ row: Int) -> Kin {
        Kin(
            service: spans.serviceName(row), name: spans.arena.text(spans.names[row]),
            kind: spans.kinds[row])
    }

    /// Never negative.
    func durationNanos(_ row: Int) -> Int64 { distance(spans.startNanos[row], spans.endNanos[row]) }

    func status(_ row: Int) -> String {
        ["unset", "ok", "error"][Int(min(spans.statusCodes[row], 2))]
    }

    /// The span's own, by key; of a key that repeats, the first.
    func attributes(_ row: Int) throws -> [(key: String, value: AttributeValue)] {
        var seen: Set<String> = []
        return try spans.arena.withSlice(spans.attributes[row]) {
            try AttributeCoding.decodeList($0)
        }.filter { seen.insert($0.key).inserted }
    }

    func eventNames(_ row: Int) throws -> [String] {
        try spans.arena.withSlice(spans.events[row]) { try SpanEventCoding.decode($0) }.map(\.name)
    }

    /// Spans that end before they begin.
    var invalidDurations: Int {
        rows.count { spans.endNanos[$0] < spans.startNanos[$0] }
    }

    /// Rows beyond the first that share id and kind.
    var duplicateIDs: Int {
        rows.count
            - Set(rows.map { DuplicateKey(id: spans.spanIDs[$0], kind: spans.kinds[$0]) }).count
    }

    private struct DuplicateKey: Hashable {
        var id: SpanID
        var kind: UInt8
    }
}
