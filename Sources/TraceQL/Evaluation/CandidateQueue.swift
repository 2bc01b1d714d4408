// SPDX-License-Identifier: Apache-2.0
// Traces that may answer, handed out newest first while spans still come in.

import Telemetry

/// A priority queue of traces by the start of their newest span that may answer.
///
/// A trace leaves it once: spans that come later, which can only be as old as the reader says, do not
/// bring it back. Costs O(log n) a span that makes its trace newer.
struct CandidateQueue {
    private struct Entry {
        var start: Int64
        var id: TraceID

        /// Of equally new ones the smaller id comes first.
        func isBefore(_ other: Entry) -> Bool {
            start == other.start ? id < other.id : start > other.start
        }
    }

    /// What a trace takes in memory, in both tables.
    static let traceBytes = 96

    /// Newest start of each trace; `.max` once it has left.
    private var newest: [TraceID: Int64] = [:]
    /// A heap, its first entry before all others. Entries of traces that became newer since are void.
    private var heap: [Entry] = []

    /// Traces that were ever in it.
    var count: Int { newest.count }

    /// Adds a trace, or makes it newer.
    mutating func note(_ id: TraceID, start: Int64) {
        if let known = newest[id], known >= start { return }
        newest[id] = start
        heap.append(Entry(start: start, id: id))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].isBefore(heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// Whether a trace is already known to be at least as new.
    func knows(_ id: TraceID, start: Int64) -> Bool { newest[id].map { $0 >= start } ?? false }

    /// Takes out the newest trace if its newest span started after `rest`, or all spans are there.
    ///
    /// - Parameter rest: the latest start of spans that are still to come; `.min` = there are none.
    mutating func next(after rest: Int64) -> TraceID? {
        while let first = heap.first {
            guard first.start > rest || rest == .min else { return nil }
            removeFirst()
            if newest[first.id] == first.start {
                newest[first.id] = .max
                return first.id
            }
        }
        return nil
    }

    private mutating func removeFirst() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].isBefore(heap[least]) {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
