// SPDX-License-Identifier: Apache-2.0
// Matchers against an index of label values.

import Base
import Storage
import Telemetry

/// An index of one head shard or part: for each label name its values, for each value its series.
/// Names and values are addressed by dense numbers.
protocol LabelIndex {
    var seriesCount: Int { get }
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
    /// Whether the series' value of a label (empty when absent) satisfies a matcher.
    func satisfies(_ series: UInt32, _ matcher: LabelMatcher) throws -> Bool
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
        // Those that narrow before those that remove, the cheapest of each first.
        plans.sort { ($0.matchesEmpty ? 1 : 0, $0.cost) < ($1.matchesEmpty ? 1 : 0, $1.cost) }
        var candidates: Postings?
        for plan in plans {
            if let current = candidates {
                if current.isEmpty { return .empty }
                if current.count * Plan.testCost < plan.cost {
                    var tested = 0
                    let kept = try current.ids.filter { series in
                        tested += 1
                        if tested & 1023 == 0 { try context.check() }
                        return try satisfies(series, plan.matcher)
                    }
                    candidates = Postings(ascending: kept)
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
        var sets: [Postings] = []
        for value in values(name, startingWith: plan.matcher.literalPrefix) {
            if value & 1023 == 1023 { try context.check() }
            if withValue(name, value, { plan.matcher.matches($0) }) {
                sets.append(try postings(name, value))
            }
        }
        return .union(sets, limit: seriesCount)
    }

    private func postings(notMatching plan: Plan, _ context: ReadContext) throws -> Postings {
        guard let name = plan.name else { return .empty }
        if plan.matcher.operation == .notEqual {
            return .union(
                try (plan.finite ?? []).map { try postings(name, $0) }, limit: seriesCount)
        }
        var sets: [Postings] = []
        for value in 0..<valueCount(name) {
            if value & 1023 == 1023 { try context.check() }
            if !withValue(name, value, { plan.matcher.matches($0) }) {
                sets.append(try postings(name, value))
            }
        }
        return .union(sets, limit: seriesCount)
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

extension LabelMatcher {
    /// Whether canonical label bytes satisfy the matcher.
    func isSatisfied(by labels: UnsafeRawBufferPointer) -> Bool {
        let value = withBytes(of: name) { labelValue(of: $0, in: labels) }
        return matches(value ?? UnsafeRawBufferPointer(start: nil, count: 0))
    }
}
