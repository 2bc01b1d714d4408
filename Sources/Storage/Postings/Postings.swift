// SPDX-License-Identifier: Apache-2.0
// Sorted lists of row numbers and the algebra over them.

/// A set of row numbers (series, streams, blocks) inside one part or head, ascending and unique.
package struct Postings: Sendable, Equatable {
    package private(set) var ids: [UInt32]

    package static let empty = Postings(ascending: [])

    /// - Precondition (debug): strictly ascending.
    package init(ascending ids: [UInt32]) {
        assert(zip(ids, ids.dropFirst()).allSatisfy { $0 < $1 }, "postings must ascend")
        self.ids = ids
    }

    /// All of `0..<count`.
    package init(all count: Int) {
        ids = (0..<count).map { UInt32(truncatingIfNeeded: $0) }
    }

    package var count: Int { ids.count }
    package var isEmpty: Bool { ids.isEmpty }

    /// Adds a row that is larger than all before.
    package mutating func append(_ id: UInt32) {
        assert(ids.last.map { $0 < id } ?? true, "postings must ascend")
        ids.append(id)
    }

    /// Rows in both. O(small × log(large / small)) when the sizes differ much, else O(sum).
    package func intersection(_ other: Postings) -> Postings {
        let (small, large) = count <= other.count ? (ids, other.ids) : (other.ids, ids)
        var result: [UInt32] = []
        result.reserveCapacity(small.count)
        var j = 0
        for id in small {
            j = Postings.gallop(large, from: j, to: id)
            if j == large.count { break }
            if large[j] == id { result.append(id) }
        }
        return Postings(ascending: result)
    }

    /// Rows of this set that are not in the other.
    package func subtracting(_ other: Postings) -> Postings {
        if other.isEmpty || isEmpty { return self }
        var result: [UInt32] = []
        result.reserveCapacity(count)
        var j = 0
        for id in ids {
            j = Postings.gallop(other.ids, from: j, to: id)
            if j == other.count || other.ids[j] != id { result.append(id) }
        }
        return Postings(ascending: result)
    }

    /// Rows in any of the sets. O(total × log(sets)), or O(total + limit) for large results.
    ///
    /// - Parameter limit: all rows are below it.
    package static func union(_ sets: [Postings], limit: Int) -> Postings {
        let filled = sets.filter { !$0.isEmpty }
        guard filled.count > 1 else { return filled.first ?? .empty }
        let total = filled.reduce(0) { $0 + $1.count }
        if total >= limit / 16 {
            var bits = [UInt64](repeating: 0, count: (limit + 63) / 64)
            for set in filled {
                for id in set.ids where Int(id) < limit { bits[Int(id >> 6)] |= 1 &<< (id & 63) }
            }
            return Postings(bits: bits, count: total)
        }
        var all: [UInt32] = []
        all.reserveCapacity(total)
        for set in filled { all.append(contentsOf: set.ids) }
        all.sort()
        var kept = 0
        for id in all where kept == 0 || all[kept - 1] != id {
            all[kept] = id
            kept += 1
        }
        all.removeLast(all.count - kept)
        return Postings(ascending: all)
    }

    /// The rows whose bits are set.
    init(bits: [UInt64], count: Int) {
        var result: [UInt32] = []
        result.reserveCapacity(count)
        for (index, word) in bits.enumerated() {
            var rest = word
            while rest != 0 {
                result.append(UInt32(truncatingIfNeeded: index * 64 + rest.trailingZeroBitCount))
                rest &= rest &- 1
            }
        }
        ids = result
    }

    /// First index at or after `start` whose row is not below `id`: doubling steps, then halving.
    private static func gallop(_ rows: [UInt32], from start: Int, to id: UInt32) -> Int {
        var low = start
        var step = 1
        var high = start
        while high < rows.count, rows[high] < id {
            low = high + 1
            high += step
            step *= 2
        }
        high = min(high, rows.count)
        while low < high {
            let middle = (low + high) / 2
            if rows[middle] < id { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
