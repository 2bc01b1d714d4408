// SPDX-License-Identifier: Apache-2.0
// Rows as bits: for collecting many lists, and for asking whether a row is in a set.

import Base

/// A set of row numbers below a limit, one bit each: `limit / 8` bytes.
package struct PostingsBitmap: Sendable {
    private var words: [UInt64]
    /// All rows are below it.
    package let limit: Int

    package init(limit: Int) {
        self.limit = limit
        words = [UInt64](repeating: 0, count: (limit + 63) / 64)
    }

    package init(_ postings: Postings, limit: Int) {
        self.init(limit: limit)
        insert(postings)
    }

    @inline(__always)
    package func contains(_ row: UInt32) -> Bool {
        words[Int(row &>> 6)] & (1 &<< UInt64(row & 63)) != 0
    }

    /// - Precondition: the row is below the limit.
    @inline(__always)
    package mutating func insert(_ row: UInt32) {
        words[Int(row &>> 6)] |= 1 &<< UInt64(row & 63)
    }

    package mutating func insert(_ postings: Postings) {
        for row in postings.ids { insert(row) }
    }

    package mutating func remove(_ row: UInt32) {
        words[Int(row &>> 6)] &= ~(1 &<< UInt64(row & 63))
    }

    /// Calls `body` with the rows in ascending order.
    @inline(__always)
    package func forEach(_ body: (UInt32) throws -> Void) rethrows {
        for (index, word) in words.enumerated() {
            var rest = word
            while rest != 0 {
                try body(UInt32(truncatingIfNeeded: index &* 64 &+ rest.trailingZeroBitCount))
                rest &= rest &- 1
            }
        }
    }

    package var count: Int { words.reduce(0) { $0 &+ $1.nonzeroBitCount } }

    package var postings: Postings { Postings(bits: words, count: count) }
}
