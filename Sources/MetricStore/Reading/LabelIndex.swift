// SPDX-License-Identifier: Apache-2.0
// Matchers against an index of label values.

import Base
import Storage
import Telemetry

/// An index of one head shard or part: for each label name its values, for each value its series.
/// Names and values are addressed by dense numbers.
protocol LabelIndex {
    var seriesCount: Int { get }
    var nameCount: Int { get }
    func withName<R>(_ name: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R
    func findName(_ name: UnsafeRawBufferPointer) -> Int?
    func valueCount(_ name: Int) -> Int
    func findValue(_ name: Int, _ value: UnsafeRawBufferPointer) -> Int?
    /// Numbers of the values that start with `prefix`, or a superset.
    func values(_ name: Int, startingWith prefix: String) -> Range<Int>
    func withValue<R>(
        _ name: Int, _ value: Int, _ body: (UnsafeRawBufferPointer) throws -> R
    ) rethrows -> R
    func postingCount(_ name: Int, _ value: Int) -> Int
    func postings(_ name: Int, _ value: Int) throws -> Postings
    /// Calls `body` with the series that have a value, ascending, until it returns false. Returns
    /// whether it was called with all.
    @discardableResult
    func forEachSeries(_ name: Int, _ value: Int, _ body: (UInt32) -> Bool) throws -> Bool
    /// Numbers of the names of the labels on some series, asked series by series.
    func names(of series: Postings) -> [Int]
    /// Adds the numbers of the values that some series have of a label.
    func insertValues(_ name: Int, of series: Postings, into values: inout PostingsBitmap)
    /// Those of some series whose value of a label (empty when absent) satisfies a matcher.
    func filter(_ series: Postings, _ matcher: LabelMatcher) -> Postings
}

extension LabelIndex {
    /// Series that satisfy all matchers.
    ///
    /// A matcher that the empty value does not satisfy selects the union of its matching values; one
    /// that it does removes the union of its non-matching values, so that series without the label
    /// stay. The most selective go first; once few candidates are left, the others are asked series
    /// by series instead of value by value. Source: prometheus/prometheus `tsdb/querier.go`,
    /// `PostingsForMatchers`.
    func select(_ matchers: [LabelMatcher], _ context: ReadContext) throws -> Postings {
        var plans = matchers.map { Plan(matcher: $0, name: name(of: $0), index: self) }
        // What every series satisfies need not be read. A series has one value of a label, so the
        // series of several values add up.
        plans.removeAll { !$0.matchesEmpty && $0.finite != nil && $0.cost == seriesCount }
        // Those that narrow before those that remove, the cheapest of each first.
        plans.sort { ($0.matchesEmpty ? 1 : 0, $0.cost) < ($1.matchesEmpty ? 1 : 0, $1.cost) }
        var candidates: Postings?
        for plan in plans {
            if let current = candidates {
                if current.isEmpty { return .empty }
                if current.count * Plan.testCost < plan.cost {
                    candidates = try filter(current, plan.matcher, context)
                    continue
                }
            }
            try context.check()
            if plan.matchesEmpty {
                let base = candidates ?? Postings(all: seriesCount)
                candidates = base.subtracting(try postings(notMatching: plan, context))
            } else {
                let matching = try postings(matching: plan, context)
                candidates = candidates.map { $0.intersection(matching) } ?? matching
            }
        }
        return candidates ?? Postings(all: seriesCount)
    }

    private func name(of matcher: LabelMatcher) -> Int? {
        withBytes(of: matcher.name) { findName($0) }
    }

    private func postings(matching plan: Plan, _ context: ReadContext) throws -> Postings {
        guard let name = plan.name else { return .empty }
        if let values = plan.finite {
            return .union(try values.map { try postings(name, $0) }, limit: seriesCount)
        }
        return try postings(
            name, values(name, startingWith: plan.matcher.literalPrefix), context
        ) { plan.matcher.matches($0) }
    }

    private func postings(notMatching plan: Plan, _ context: ReadContext) throws -> Postings {
        guard let name = plan.name else { return .empty }
        if plan.matcher.operation == .notEqual {
            return .union(
                try (plan.finite ?? []).map { try postings(name, $0) }, limit: seriesCount)
        }
        return try postings(name, 0..<valueCount(name), context) { !plan.matcher.matches($0) }
    }

    /// Series that have one of those values that are wanted. Nothing is allocated per value.
    private func postings(
        _ name: Int, _ values: Range<Int>, _ context: ReadContext,
        where isWanted: (UnsafeRawBufferPointer) -> Bool
    ) throws -> Postings {
        var set = PostingsBitmap(limit: seriesCount)
        for value in values {
            if value & 1023 == 1023 { try context.check() }
            guard withValue(name, value, isWanted) else { continue }
            try forEachSeries(name, value) { series in
                set.insert(series)
                return true
            }
        }
        return set.postings
    }

    /// See `filter(_:_:)`; the query can be ended on the way.
    private func filter(
        _ series: Postings, _ matcher: LabelMatcher, _ context: ReadContext
    ) throws -> Postings {
        let ids = series.ids
        var kept: [UInt32] = []
        for start in stride(from: 0, to: ids.count, by: 4096) {
            try context.check()
            let some = Postings(ascending: Array(ids[start..<min(ids.count, start + 4096)]))
            kept += filter(some, matcher).ids
        }
        return Postings(ascending: kept)
    }

    /// Series that have a label.
    func seriesWith(_ name: [UInt8], _ context: ReadContext) throws -> Postings {
        guard let number = name.withUnsafeBytes({ findName($0) }) else { return .empty }
        return try postings(number, 0..<valueCount(number), context) { _ in true }
    }

    // MARK: - Names

    /// Calls `body` with the names of the labels on some series.
    ///
    /// Of many series, each name's values are gone through up to the first that one of them has; few
    /// series are asked themselves.
    ///
    /// - Parameter series: nil = all.
    func forEachName(of series: Postings?, _ body: (UnsafeRawBufferPointer) -> Void) throws {
        guard let series, series.count < seriesCount else {
            for name in 0..<nameCount { withName(name, body) }
            return
        }
        guard series.count >= seriesCount / 8 else {
            for name in names(of: series) { withName(name, body) }
            return
        }
        let set = PostingsBitmap(series, limit: seriesCount)
        for name in 0..<nameCount {
            let isFound = try (0..<valueCount(name)).contains { value in
                try !forEachSeries(name, value) { !set.contains($0) }
            }
            if isFound { withName(name, body) }
        }
    }

    // MARK: - Values

    /// Calls `body` with the numbers of the values that a label has on the series which satisfy all
    /// matchers, ascending.
    ///
    /// Matchers of the label itself test its values. For the others, either each value's series are
    /// looked for in those selected, up to the first, or the series selected are asked for their
    /// values, whichever promises to look at fewer.
    ///
    /// - Parameter isLeftOut: series that do not count; nil = none.
    func forEachValue(
        _ name: Int, _ text: String, _ matchers: [LabelMatcher], _ context: ReadContext,
        leavingOut isLeftOut: ((UInt32) -> Bool)?, _ body: (Int) throws -> Void
    ) throws {
        let own = matchers.filter { $0.name == text }
        let others = matchers.filter { $0.name != text }
        let candidates = (0..<valueCount(name)).filter { value in
            own.allSatisfy { matcher in withValue(name, value) { matcher.matches($0) } }
        }
        if candidates.isEmpty { return }
        try context.check()
        if others.isEmpty, isLeftOut == nil {
            for value in candidates { try body(value) }
            return
        }
        var selected = try select(others, context)
        if let isLeftOut {
            selected = Postings(ascending: selected.ids.filter { !isLeftOut($0) })
        }
        if selected.isEmpty { return }
        if selected.count == seriesCount {
            for value in candidates { try body(value) }
            return
        }
        try context.check()
        let perValue = 1 + seriesCount / selected.count
        if selected.count * Plan.testCost < candidates.count * perValue {
            var found = PostingsBitmap(limit: valueCount(name))
            insertValues(name, of: selected, into: &found)
            for value in candidates where found.contains(UInt32(truncatingIfNeeded: value)) {
                try body(value)
            }
            return
        }
        let set = PostingsBitmap(selected, limit: seriesCount)
        for value in candidates
        where try !forEachSeries(name, value, { !set.contains($0) }) { try body(value) }
    }
}

/// How one matcher is evaluated, and what that costs in units of one posting decoded.
private struct Plan {
    /// Testing one value or one series costs about as much as decoding this many postings.
    static let testCost = 16

    let matcher: LabelMatcher
    let name: Int?
    let matchesEmpty: Bool
    /// The values in the index that decide, where they can be listed: those that match, or for
    /// `!=` the one that does not. Nil: every value is tested.
    let finite: [Int]?
    let cost: Int

    init(matcher: LabelMatcher, name: Int?, index: some LabelIndex) {
        self.matcher = matcher
        self.name = name
        matchesEmpty = matcher.matchesEmpty
        guard let name else {
            // No series has the label: the matcher selects everything or nothing, for free.
            finite = []
            cost = 0
            return
        }
        let listed: [String]?
        switch matcher.operation {
        case .equal, .matches: listed = matchesEmpty ? nil : matcher.finiteValues
        case .notEqual: listed = matchesEmpty ? [matcher.value] : nil
        case .notMatches: listed = nil
        }
        guard let listed else {
            finite = nil
            cost = index.valueCount(name) * Plan.testCost
            return
        }
        let found = Set(
            listed.compactMap { text in withBytes(of: text) { index.findValue(name, $0) } }
        ).sorted()
        finite = found
        cost = found.reduce(0) { $0 + index.postingCount(name, $1) }
    }
}

/// Calls `body` with the UTF-8 of a string.
@inline(__always)
func withBytes<R>(of text: String, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    var text = text
    return try text.withUTF8 { try body(UnsafeRawBufferPointer($0)) }
}
