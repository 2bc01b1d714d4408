// SPDX-License-Identifier: Apache-2.0
// How the spans of one trace hang together, and where its time went.

/// The tree of a trace, and self time and critical path of its spans. All of the spans must be
/// given: one that is missing changes the numbers of others.
///
/// *Order.* Spans count as ordered by start, span id and kind, whatever rows they stand in, so that
/// the same spans have the same structure wherever they are read from.
///
/// *Parent.* The span whose id is a span's parent id. Where client and server share an id (Zipkin),
/// the server's span is the child of the client's, and what names that id is the child of the
/// server's. Of other spans with one id the first stands for it. A span whose parent is not there,
/// or that is its own parent, stands at the top; so does the first span of a ring.
///
/// *Nested set.* A walk around the trees in order hands out numbers from 1, one on entering a span
/// and one on leaving it: a span's two enclose those of its descendants.
///
/// *Self time* of a span is its duration less the union of its children's intervals, each clipped to
/// the span. A span that ends before it starts has a duration of 0.
///
/// *Critical path.* From the end of the root span backwards: of the children, clipped to their
/// parent, that end at or before the present moment, the one that ends last is on the path (of
/// those that end together the longest); the time between its end and the present moment is the
/// parent's own; the walk goes on through the child and then, from the child's start, through the
/// earlier children. A child that still ran at that moment did not hold up what came after and is
/// not on the path, nor is a consumer, for which nobody waits. A span's number is the time that the
/// path spends in the span itself; the numbers of a trace add up to the duration of its root.
/// Spans of trees other than the root's have 0.
///
/// Source of the walk: Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice
/// Architectures" (USENIX ATC 2022), section 3.
///
/// Cycles and duplicate ids are harmless: each row is walked at most once, without recursion.
/// O(n log n).
package struct SpanStructure: Sendable, Equatable {
    /// Row of the root: the first span that names no parent, else the first whose parent is missing,
    /// else the first; nil without spans.
    package private(set) var root: Int?
    /// By row: row of the parent, -1 at the top.
    package private(set) var parents: [Int32]
    /// By row: steps to the top.
    package private(set) var depths: [UInt32]
    /// By row: numbers of the nested set.
    package private(set) var lefts: [UInt32]
    package private(set) var rights: [UInt32]
    package private(set) var childCounts: [UInt32]
    /// By row, in nanoseconds.
    package private(set) var selfTimeNanos: [Int64]
    package private(set) var criticalPathNanos: [Int64]

    /// - Parameter spans: all of a trace, in any order.
    package init(_ spans: SpanBatch) {
        self.init(
            spanIDs: spans.spanIDs, parentIDs: spans.parentIDs, starts: spans.startNanos,
            ends: spans.endNanos, kinds: spans.kinds)
    }

    /// Columns of one count, at most `SpanBatch.maxRows`.
    package init(
        spanIDs: [SpanID], parentIDs: [SpanID], starts: [Int64], ends: [Int64], kinds: [UInt8]
    ) {
        let count = spanIDs.count
        depths = [UInt32](repeating: 0, count: count)
        lefts = depths
        rights = depths
        childCounts = depths
        selfTimeNanos = [Int64](repeating: 0, count: count)
        criticalPathNanos = selfTimeNanos
        let order = (0..<count).sorted { a, b in
            if starts[a] != starts[b] { return starts[a] < starts[b] }
            if spanIDs[a] != spanIDs[b] { return spanIDs[a].rawValue < spanIDs[b].rawValue }
            return kinds[a] == kinds[b] ? a < b : kinds[a] < kinds[b]
        }
        parents = SpanStructure.parents(spanIDs, parentIDs, kinds, order)
        let ringHeads = SpanStructure.cutRings(&parents, order)
        root =
            order.first { parents[$0] < 0 && parentIDs[$0].isZero }
            ?? order.first { parents[$0] < 0 && !ringHeads.contains($0) } ?? order.first
        let children = Children(parents, order)
        number(order, children)
        let ends = zip(starts, ends).map { Swift.max($0, $1) }
        measureSelfTimes(starts, ends, children)
        if let root { walk(root, starts, ends, kinds, children) }
    }

    /// A structure that was stored, columns by row. Parents follow from the nested set.
    package init(
        root: Int?, depths: [UInt32], lefts: [UInt32], rights: [UInt32], childCounts: [UInt32],
        selfTimeNanos: [Int64], criticalPathNanos: [Int64]
    ) {
        self.root = root
        self.depths = depths
        self.lefts = lefts
        self.rights = rights
        self.childCounts = childCounts
        self.selfTimeNanos = selfTimeNanos
        self.criticalPathNanos = criticalPathNanos
        parents = [Int32](repeating: -1, count: lefts.count)
        var open: [Int] = []
        for row in lefts.indices.sorted(by: { lefts[$0] < lefts[$1] }) {
            while let last = open.last, rights[last] < lefts[row] { open.removeLast() }
            if let last = open.last { parents[row] = Int32(truncatingIfNeeded: last) }
            open.append(row)
        }
    }

    // MARK: - Tree

    private static func parents(
        _ ids: [SpanID], _ parentIDs: [SpanID], _ kinds: [UInt8], _ order: [Int]
    ) -> [Int32] {
        let table = IDTable(ids, order)
        var parents = [Int32](repeating: -1, count: ids.count)
        for row in ids.indices {
            if kinds[row] == 2,
                let client = table.first(ids[row], ids, { $0 != row && kinds[$0] == 3 })
            {
                parents[row] = Int32(truncatingIfNeeded: client)
                continue
            }
            let parent = parentIDs[row]
            guard !parent.isZero, parent != ids[row] else { continue }
            let found =
                table.first(parent, ids) { kinds[$0] == 2 }
                ?? table.first(parent, ids) { _ in true }
            if let found { parents[row] = Int32(truncatingIfNeeded: found) }
        }
        return parents
    }

    /// Rows by span id. A few are looked through, more are sorted.
    private struct IDTable {
        private static let few = 24
        /// Rows in order; of many, sorted by id.
        private let rows: [Int]
        private let isSorted: Bool

        init(_ ids: [SpanID], _ order: [Int]) {
            isSorted = ids.count > IDTable.few
            guard isSorted else {
                rows = order
                return
            }
            var ranks = [Int](repeating: 0, count: ids.count)
            for (rank, row) in order.enumerated() { ranks[row] = rank }
            rows = order.sorted { a, b in
                ids[a] == ids[b]
                    ? ranks[a] < ranks[b] : ids[a].rawValue < ids[b].rawValue
            }
        }

        /// The first row in order with an id for which `isWanted` is true.
        func first(_ id: SpanID, _ ids: [SpanID], _ isWanted: (Int) -> Bool) -> Int? {
            guard isSorted else { return rows.first { ids[$0] == id && isWanted($0) } }
            var low = 0, high = rows.count
            while low < high {
                let middle = (low + high) / 2
                if ids[rows[middle]].rawValue < id.rawValue {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            while low < rows.count, ids[rows[low]] == id {
                if isWanted(rows[low]) { return rows[low] }
                low += 1
            }
            return nil
        }
    }

    /// Makes a top span of the first member of each ring; returns those.
    private static func cutRings(_ parents: inout [Int32], _ order: [Int]) -> Set<Int> {
        var heads: Set<Int> = []
        // 0 not seen, 1 on the current path, 2 known to lead to the top.
        var state = [UInt8](repeating: 0, count: parents.count)
        var path: [Int] = []
        for start in order where state[start] == 0 {
            path.removeAll(keepingCapacity: true)
            var row = start
            while state[row] == 0 {
                state[row] = 1
                path.append(row)
                if parents[row] < 0 { break }
                row = Int(parents[row])
            }
            if parents[row] >= 0, state[row] == 1, let first = path.firstIndex(of: row) {
                let ring = Set(path[first...])
                if let head = order.first(where: { ring.contains($0) }) {
                    parents[head] = -1
                    heads.insert(head)
                }
            }
            for row in path { state[row] = 2 }
        }
        return heads
    }

    /// Children of each row, in order, in one array.
    private struct Children {
        private var starts: [Int32]
        private var rows: [Int32]

        init(_ parents: [Int32], _ order: [Int]) {
            starts = [Int32](repeating: 0, count: parents.count + 1)
            for parent in parents where parent >= 0 { starts[Int(parent) + 1] &+= 1 }
            for i in 0..<parents.count { starts[i + 1] &+= starts[i] }
            rows = [Int32](repeating: 0, count: Int(starts[parents.count]))
            var next = starts
            for row in order where parents[row] >= 0 {
                let parent = Int(parents[row])
                rows[Int(next[parent])] = Int32(truncatingIfNeeded: row)
                next[parent] &+= 1
            }
        }

        func count(_ row: Int) -> Int { Int(starts[row + 1] - starts[row]) }
        func child(_ row: Int, _ index: Int) -> Int { Int(rows[Int(starts[row]) + index]) }
        func of(_ row: Int) -> ArraySlice<Int32> {
            rows[Int(starts[row])..<Int(starts[row + 1])]
        }
    }

    private mutating func number(_ order: [Int], _ children: Children) {
        var counter: UInt32 = 1
        var stack: [(row: Int, next: Int)] = []
        for top in order where parents[top] < 0 {
            stack.append((top, 0))
            lefts[top] = counter
            counter &+= 1
            while let (row, next) = stack.last {
                if next < children.count(row) {
                    stack[stack.count - 1].next += 1
                    let child = children.child(row, next)
                    lefts[child] = counter
                    depths[child] = depths[row] + 1
                    counter &+= 1
                    stack.append((child, 0))
                } else {
                    rights[row] = counter
                    childCounts[row] = UInt32(truncatingIfNeeded: children.count(row))
                    counter &+= 1
                    stack.removeLast()
                }
            }
        }
    }

    // MARK: - Times

    /// A span's time, or a part of it.
    private struct Interval {
        var row: Int
        var first: Int64
        var last: Int64
        /// Among its siblings.
        var position = 0

        var length: Int64 { distance(first, last) }

        func clipped(to other: Interval) -> Interval {
            Interval(
                row: row, first: max(first, other.first), last: min(last, other.last),
                position: position)
        }
    }

    private mutating func measureSelfTimes(
        _ starts: [Int64], _ ends: [Int64], _ children: Children
    ) {
        var pieces: [Interval] = []
        for row in starts.indices {
            let whole = Interval(row: row, first: starts[row], last: ends[row])
            pieces.removeAll(keepingCapacity: true)
            for child in children.of(row) {
                let child = Int(child)
                pieces.append(
                    Interval(row: child, first: starts[child], last: ends[child])
                        .clipped(to: whole))
            }
            selfTimeNanos[row] = max(0, whole.length - SpanStructure.unionLength(&pieces))
        }
    }

    /// How much of time some intervals cover together. Those that end before they begin count 0.
    private static func unionLength(_ intervals: inout [Interval]) -> Int64 {
        if intervals.count > 1 { intervals.sort { $0.first < $1.first } }
        var covered: Int64 = 0
        var end = Int64.min
        for piece in intervals where piece.last > end {
            covered = saturatingSum(covered, distance(max(piece.first, end), piece.last))
            end = piece.last
        }
        return covered
    }

    private mutating func walk(
        _ root: Int, _ starts: [Int64], _ ends: [Int64], _ kinds: [UInt8], _ children: Children
    ) {
        var stack = [Interval(row: root, first: starts[root], last: ends[root])]
        var candidates: [Interval] = []
        while let parent = stack.popLast() {
            var moment = parent.last
            var own: Int64 = 0
            candidates.removeAll(keepingCapacity: true)
            for (position, child) in children.of(parent.row).enumerated()
            where kinds[Int(child)] != 5 {
                let child = Int(child)
                let interval = Interval(
                    row: child, first: starts[child], last: ends[child], position: position
                ).clipped(to: parent)
                if interval.first <= interval.last { candidates.append(interval) }
            }
            if candidates.count > 1 {
                candidates.sort { a, b in
                    a.last == b.last
                        ? (a.first, a.position) < (b.first, b.position) : a.last > b.last
                }
            }
            for child in candidates where child.last <= moment {
                own = saturatingSum(own, distance(child.last, moment))
                stack.append(child)
                moment = child.first
            }
            criticalPathNanos[parent.row] = saturatingSum(own, distance(parent.first, moment))
        }
    }
}

/// Nanoseconds from one time to a later one, 0 when it is not later, held at the largest number.
package func distance(_ from: Int64, _ to: Int64) -> Int64 {
    guard to > from else { return 0 }
    let (length, overflow) = to.subtractingReportingOverflow(from)
    return overflow ? .max : length
}

private func saturatingSum(_ a: Int64, _ b: Int64) -> Int64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
}
