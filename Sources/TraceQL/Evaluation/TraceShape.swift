// SPDX-License-Identifier: Apache-2.0
// Who called whom in a trace.

import Telemetry

/// The tree of a whole trace. Spans whose parent is missing, or that are their own ancestors, stand
/// at the top.
struct TraceShape {
    /// Rows by start.
    let order: [Int]
    /// Row of the parent.
    private(set) var parents: [Int?]
    private(set) var children: [[Int]]
    /// Rows so that parents stand before their children.
    private(set) var topDown: [Int] = []
    /// Numbers of a walk around the tree: a span encloses those of its descendants.
    private(set) var left: [Int64]
    private(set) var right: [Int64]
    /// The first span without a parent id; nil while it has not come in.
    let root: Int?
    let startNanos: Int64
    let durationNanos: Int64

    init(_ batch: SpanBatch) {
        let count = batch.rowCount
        parents = [Int?](repeating: nil, count: count)
        children = [[Int]](repeating: [], count: count)
        left = [Int64](repeating: 0, count: count)
        right = left
        // Identity decides between spans that start together, since the order of rows depends on
        // when they came in.
        order = (0..<count).sorted { a, b in
            if batch.startNanos[a] != batch.startNanos[b] {
                return batch.startNanos[a] < batch.startNanos[b]
            }
            if batch.spanIDs[a] != batch.spanIDs[b] { return batch.spanIDs[a] < batch.spanIDs[b] }
            return batch.kinds[a] == batch.kinds[b] ? a < b : batch.kinds[a] < batch.kinds[b]
        }
        root = order.first { batch.parentIDs[$0].isZero }
        startNanos = batch.startNanos.min() ?? 0
        let (length, overflow) = (batch.endNanos.max() ?? 0).subtractingReportingOverflow(
            startNanos)
        durationNanos = overflow ? 0 : max(0, length)
        connect(batch)
        breakRings()
        for row in order { if let parent = parents[row] { children[parent].append(row) } }
        number(order.filter { parents[$0] == nil })
    }

    private mutating func connect(_ batch: SpanBatch) {
        var rows: [SpanID: [Int]] = [:]
        for row in order { rows[batch.spanIDs[row], default: []].append(row) }
        for row in order where !batch.parentIDs[row].isZero {
            // Client and server may share an id; the server's side is the parent.
            let candidates = (rows[batch.parentIDs[row]] ?? []).filter { $0 != row }
            parents[row] = candidates.first { batch.kinds[$0] == 2 } ?? candidates.first
        }
    }

    /// Makes a top span of the earliest member of each ring.
    private mutating func breakRings() {
        // 0 not seen, 1 on the current path, 2 known to lead to the top.
        var state = [UInt8](repeating: 0, count: parents.count)
        var rank = [Int](repeating: 0, count: parents.count)
        for (place, row) in order.enumerated() { rank[row] = place }
        for start in parents.indices where state[start] == 0 {
            var path: [Int] = []
            var row: Int? = start
            while let current = row, state[current] == 0 {
                state[current] = 1
                path.append(current)
                row = parents[current]
            }
            if let ring = row, state[ring] == 1, let first = path.firstIndex(of: ring),
                let top = path[first...].min(by: { rank[$0] < rank[$1] })
            {
                parents[top] = nil
            }
            for row in path { state[row] = 2 }
        }
    }

    private mutating func number(_ tops: [Int]) {
        var counter: Int64 = 1
        var stack: [(row: Int, child: Int)] = []
        for top in tops {
            stack.append((top, 0))
            left[top] = counter
            counter += 1
            topDown.append(top)
            while let (row, child) = stack.last {
                if child < children[row].count {
                    stack[stack.count - 1].child += 1
                    let next = children[row][child]
                    left[next] = counter
                    counter += 1
                    topDown.append(next)
                    stack.append((next, 0))
                } else {
                    right[row] = counter
                    counter += 1
                    stack.removeLast()
                }
            }
        }
    }
}
