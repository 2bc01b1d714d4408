// SPDX-License-Identifier: Apache-2.0
// Who called whom in a trace.

import Telemetry

/// The tree of a whole trace. Spans whose parent is missing, and the earliest of spans that are their
/// own ancestors, stand at the top.
///
/// A handful of arrays whatever the trace's size. O(spans · log spans).
struct TraceShape {
    /// Rows by start. Identity decides between spans that start together, since the order of rows
    /// depends on when they came in.
    let order: [Int]
    /// Rows so that parents stand before their children.
    private(set) var topDown: [Int] = []
    /// Numbers of a walk around the tree: a span encloses those of its descendants.
    private(set) var left: [Int64]
    private(set) var right: [Int64]
    private(set) var childCounts: [Int32]
    /// The first span without a parent id; nil while it has not come in.
    let root: Int?
    let startNanos: Int64
    let durationNanos: Int64

    /// Rows, -1 for none.
    private var parents: [Int32]
    private var firstChildren: [Int32]
    private var nextSiblings: [Int32]

    init(_ batch: SpanBatch) {
        let count = batch.rowCount
        parents = [Int32](repeating: -1, count: count)
        firstChildren = parents
        nextSiblings = parents
        childCounts = [Int32](repeating: 0, count: count)
        left = [Int64](repeating: 0, count: count)
        right = left
        order = (0..<count).sorted { TraceShape.precedes(batch, $0, $1) }
        root = order.first { batch.parentIDs[$0].isZero }
        startNanos = order.first.map { batch.startNanos[$0] } ?? 0
        let (length, overflow) = (batch.endNanos.max() ?? 0).subtractingReportingOverflow(
            startNanos)
        durationNanos = overflow ? 0 : max(0, length)
        connect(batch)
        breakRings()
        for row in order.reversed() where parents[row] >= 0 {
            let parent = Int(parents[row])
            nextSiblings[row] = firstChildren[parent]
            firstChildren[parent] = Int32(row)
            childCounts[parent] += 1
        }
        number()
    }

    private static func precedes(_ batch: SpanBatch, _ a: Int, _ b: Int) -> Bool {
        if batch.startNanos[a] != batch.startNanos[b] {
            return batch.startNanos[a] < batch.startNanos[b]
        }
        if batch.spanIDs[a] != batch.spanIDs[b] { return batch.spanIDs[a] < batch.spanIDs[b] }
        return batch.kinds[a] == batch.kinds[b] ? a < b : batch.kinds[a] < batch.kinds[b]
    }

    func parent(_ row: Int) -> Int? { parents[row] < 0 ? nil : Int(parents[row]) }

    /// Calls `body` with each child, by start.
    func forEachChild(_ row: Int, _ body: (Int) -> Void) {
        var child = firstChildren[row]
        while child >= 0 {
            body(Int(child))
            child = nextSiblings[Int(child)]
        }
    }

    // MARK: building

    private mutating func connect(_ batch: SpanBatch) {
        // Client and server may share an id; the server's side is the parent, then the earliest.
        var ranks = [Int32](repeating: 0, count: order.count)
        for (rank, row) in order.enumerated() { ranks[row] = Int32(rank) }
        let byID = order.sorted { a, b in
            batch.spanIDs[a] == batch.spanIDs[b]
                ? ranks[a] < ranks[b] : batch.spanIDs[a] < batch.spanIDs[b]
        }
        for row in order where !batch.parentIDs[row].isZero {
            let wanted = batch.parentIDs[row]
            var low = 0, high = byID.count
            while low < high {
                let middle = (low + high) / 2
                if batch.spanIDs[byID[middle]] < wanted { low = middle + 1 } else { high = middle }
            }
            var found: Int?
            while low < byID.count, batch.spanIDs[byID[low]] == wanted {
                let candidate = byID[low]
                low += 1
                if candidate == row { continue }
                if batch.kinds[candidate] == 2 {
                    found = candidate
                    break
                }
                if found == nil { found = candidate }
            }
            if let found { parents[row] = Int32(found) }
        }
    }

    /// Makes a top span of the earliest member of each ring.
    private mutating func breakRings() {
        // 0 not seen, n on the n-th path.
        var state = [Int32](repeating: 0, count: parents.count)
        var path: Int32 = 0
        // By start: the first walk that meets a ring need not begin at its earliest member.
        for start in order where state[start] == 0 {
            path += 1
            var row = Int32(start)
            while row >= 0, state[Int(row)] == 0 {
                state[Int(row)] = path
                row = parents[Int(row)]
            }
            guard row >= 0, state[Int(row)] == path else { continue }
            cut(ring: Int(row))
        }
    }

    private mutating func cut(ring member: Int) {
        var members: Set<Int> = []
        var row = member
        while members.insert(row).inserted { row = Int(parents[row]) }
        if let top = order.first(where: { members.contains($0) }) { parents[top] = -1 }
    }

    private mutating func number() {
        topDown.reserveCapacity(order.count)
        var counter: Int64 = 1
        for top in order where parents[top] < 0 {
            var row = top
            left[row] = counter
            topDown.append(row)
            while true {
                counter += 1
                if firstChildren[row] >= 0, right[row] == 0, left[row] == counter - 1 {
                    row = Int(firstChildren[row])
                    left[row] = counter
                    topDown.append(row)
                    continue
                }
                right[row] = counter
                if row == top { break }
                if nextSiblings[row] >= 0 {
                    counter += 1
                    row = Int(nextSiblings[row])
                    left[row] = counter
                    topDown.append(row)
                } else {
                    row = Int(parents[row])
                }
            }
            counter += 1
        }
    }
}
