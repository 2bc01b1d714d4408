// SPDX-License-Identifier: Apache-2.0
// What a search reads, newest first.

import Base
import Storage
import Telemetry

/// Segments of heads and blocks of parts that may hold matching spans, in descending order of their
/// newest start; of equally new ones heads come first, then parts in order of arrival.
///
/// A part's directory is read when the queue gets to the part's newest start and let go once all of
/// its blocks were handed out: what a search holds at a time are the directories of parts that
/// overlap in time, and one that ends early does not read older ones at all.
struct SearchQueue {
    enum Source {
        case segment(HeadSegment)
        case block(PartSearch, BlockEntry)
    }
    struct Item {
        var source: Source
        /// Whether another head or part may hold the same spans.
        var mayRepeat: Bool

        /// The part it comes from; nil = a head.
        var part: StoredPart? {
            if case .block(let search, _) = source { search.part.stored } else { nil }
        }
    }
    private struct Entry {
        var maxStart: Int64
        /// Number of the head, or the count of heads and the number of the part.
        var owner: Int32
        /// Number of the segment or block.
        var number: Int32

        func comes(before other: Entry) -> Bool {
            if maxStart != other.maxStart { return maxStart > other.maxStart }
            return owner == other.owner ? number < other.number : owner < other.owner
        }
    }
    private let filter: SpanFilter
    private let heads: [[HeadSegment]]
    private let parts: [StoredPart]
    /// First and last start of each head and part.
    private var extents: [(first: Int64, last: Int64)]
    /// Numbers of parts not looked into yet, the newest last.
    private var unopened: [Int]
    /// By part: what is open, and how many blocks of it are still to come.
    private var searches: [PartSearch?]
    private var remaining: [Int]
    /// A binary heap; the first one comes next.
    private var heap: [Entry] = []

    init(_ heads: [[HeadSegment]], _ parts: [StoredPart], _ filter: SpanFilter) {
        self.filter = filter
        self.heads = heads
        self.parts = parts
        extents = heads.map { segments in
            (
                segments.map(\.minStart).min() ?? Int64.max,
                segments.map(\.maxStart).max() ?? Int64.min
            )
        }
        extents += parts.map { ($0.minStart, $0.maxStart) }
        searches = [PartSearch?](repeating: nil, count: parts.count)
        remaining = [Int](repeating: 0, count: parts.count)
        unopened = parts.indices.filter {
            filter.range.overlaps(first: parts[$0].minStart, last: parts[$0].maxStart)
        }.sorted { parts[$0].maxStart < parts[$1].maxStart }
        for (owner, segments) in heads.enumerated() {
            for (number, segment) in segments.enumerated()
            where filter.range.overlaps(first: segment.minStart, last: segment.maxStart) {
                push(
                    Entry(
                        maxStart: segment.maxStart, owner: Int32(owner), number: Int32(number)))
            }
        }
    }

    /// The next one. What cannot be read is noted in the context and left out.
    mutating func next(_ context: ReadContext) throws(QueryInterruption) -> Item? {
        while let number = unopened.last,
            heap.first.map({ parts[number].maxStart >= $0.maxStart }) ?? true
        {
            try context.check()
            unopened.removeLast()
            do throws(PartCorruption) { try open(number) } catch { context.noteMissing(error) }
        }
        guard let entry = pop() else { return nil }
        let owner = Int(entry.owner), number = Int(entry.number)
        if owner < heads.count {
            let segment = heads[owner][number]
            return Item(
                source: .segment(segment),
                mayRepeat: mayRepeat(owner, segment.minStart, segment.maxStart))
        }
        let part = owner - heads.count
        // Always there: it is let go with its last entry.
        guard let search = searches[part] else { return nil }
        remaining[part] -= 1
        if remaining[part] == 0 { searches[part] = nil }
        let block = search.part.directory.blocks[number]
        return Item(
            source: .block(search, block),
            mayRepeat: mayRepeat(owner, block.minStart, block.maxStart))
    }

    /// The latest start that a span of what is still to come can have; `.min` = nothing comes.
    var restStartNanos: Int64 {
        max(heap.first?.maxStart ?? .min, unopened.last.map { parts[$0].maxStart } ?? .min)
    }

    private mutating func open(_ number: Int) throws(PartCorruption) {
        let search = PartSearch(try parts[number].opened(), filter)
        for (place, block) in search.part.directory.blocks.enumerated()
        where search.mayMatch(block) {
            push(
                Entry(
                    maxStart: block.maxStart, owner: Int32(heads.count + number),
                    number: Int32(place)))
            remaining[number] += 1
        }
        if remaining[number] > 0 { searches[number] = search }
    }

    private func mayRepeat(_ owner: Int, _ min: Int64, _ max: Int64) -> Bool {
        extents.indices.contains {
            $0 != owner && extents[$0].first <= max && min <= extents[$0].last
        }
    }

    // MARK: - Heap

    private mutating func push(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].comes(before: heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func pop() -> Entry? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if heap.isEmpty { return first }
        heap[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].comes(before: heap[child]) { child += 1 }
            guard heap[child].comes(before: heap[parent]) else { break }
            heap.swapAt(child, parent)
            parent = child
        }
        return first
    }
}
