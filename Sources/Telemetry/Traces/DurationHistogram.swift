// SPDX-License-Identifier: Apache-2.0
// Durations in logarithmic buckets.

import Base
import Glibc

/// Counts of durations in buckets of ratio 1.02: bucket i holds (1.02^(i-1), 1.02^i] nanoseconds,
/// bucket 0 all up to one. A quantile is off by less than 1 % of its value.
///
/// Source of the scheme: Masson, Rim, Lee, "DDSketch" (VLDB 2019), section 2.
package struct DurationHistogram: Sendable, Equatable {
    private static let logGamma = log(1.02)
    /// The bucket of the longest duration.
    package static let maxIndex: UInt16 = 2206
    /// Counts of the buckets from `first` on; neither end is 0.
    private var dense: [UInt64] = []
    private var first: UInt16 = 0
    package private(set) var count: UInt64 = 0

    /// Buckets that hold something, ascending.
    package var buckets: [(index: UInt16, count: UInt64)] {
        dense.indices.compactMap { place in
            dense[place] == 0 ? nil : (first + UInt16(place), dense[place])
        }
    }

    package init() {}

    package mutating func add(nanos: Int64) {
        add(index: DurationHistogram.index(nanos), count: 1)
    }

    package mutating func add(index: UInt16, count n: UInt64) {
        if n == 0 { return }
        let index = min(index, DurationHistogram.maxIndex)
        if dense.isEmpty {
            first = index
        } else if index < first {
            dense.insert(contentsOf: repeatElement(0, count: Int(first - index)), at: 0)
            first = index
        }
        let place = Int(index - first)
        if place >= dense.count {
            dense.append(contentsOf: repeatElement(0, count: place + 1 - dense.count))
        }
        dense[place] &+= n
        count &+= n
    }

    package mutating func merge(_ other: DurationHistogram) {
        for (index, n) in other.buckets { add(index: index, count: n) }
    }

    /// The bucket of a duration. A look-up and one or two comparisons.
    package static func index(_ nanos: Int64) -> UInt16 {
        guard nanos > 1 else { return 0 }
        var index = firstOfCell[cell(nanos)]
        while longest[Int(index)] < nanos { index &+= 1 }
        return index
    }

    /// What `index` looks up.
    private static func calculatedIndex(_ nanos: Int64) -> UInt16 {
        guard nanos > 1 else { return 0 }
        return min(maxIndex, UInt16((log(Double(nanos)) / logGamma).rounded(.up)))
    }

    /// The longest duration of each bucket.
    private static let longest: [Int64] = (0...maxIndex).map { index in
        var low: Int64 = 1, high = Int64.max
        while low < high {
            let middle = low + (high - low + 1) / 2
            if calculatedIndex(middle) <= index { low = middle } else { high = middle - 1 }
        }
        return low
    }

    /// The number of a duration's highest bit, and the six bits after it.
    private static func cell(_ nanos: Int64) -> Int {
        let bits = UInt64(bitPattern: nanos)
        let zeros = bits.leadingZeroBitCount
        let following = ((bits &<< UInt64(zeros)) &<< 1) &>> 58
        return (63 - zeros) << 6 | Int(following)
    }

    /// The bucket of the shortest duration of each cell.
    private static let firstOfCell: [UInt16] = (0..<(64 << 6)).map { cell in
        let high = UInt64(cell >> 6), following = UInt64(cell & 63)
        if high == 63 { return maxIndex }
        let least =
            high >= 6
            ? (64 | following) << (high - 6) : (1 << high) | (following >> (6 - high))
        return calculatedIndex(Int64(least))
    }

    /// The nearest-rank quantile: the least duration that at least the share `q` (0…1) of all do not
    /// exceed; 0 when empty.
    package func quantile(_ q: Double) -> Int64 {
        guard count > 0 else { return 0 }
        let rank = max(1, (q * Double(count)).rounded(.up))
        var below: UInt64 = 0
        var last: UInt16 = 0
        for (index, n) in buckets {
            below &+= n
            last = index
            if Double(below) >= rank { break }
        }
        // Spans of no duration are far commoner than spans of one nanosecond.
        guard last > 0 else { return 0 }
        let middle = 2 * exp(Double(last) * DurationHistogram.logGamma) / 2.02
        return Int64(exactly: middle.rounded()) ?? .max
    }

    /// Buckets as `varint n × (varint index less that of the one before, varint count)`.
    package func encode(into writer: inout ByteWriter) {
        let buckets = buckets
        writer.varint(buckets.count)
        var previous: UInt16 = 0
        for (index, n) in buckets {
            writer.varint(UInt64(index - previous))
            writer.varint(n)
            previous = index
        }
    }

    package init(from reader: inout ByteReader) throws(MalformedBytes) {
        let n = try reader.length(limit: reader.remaining / 2, "number of buckets")
        var index = 0
        for _ in 0..<n {
            index += try reader.length(
                limit: Int(DurationHistogram.maxIndex) - index, "bucket")
            add(index: UInt16(index), count: try reader.varint())
        }
    }
}
